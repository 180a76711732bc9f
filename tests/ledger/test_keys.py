"""The vault's root key: made once, whole, private, and the same for everybody."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ledger.keys import KeyMissing, KeyRefused, KeyUnavailable, load_or_create_root_key, load_root_key

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "root.key"


def names(path: Path) -> list[str]:
    """What is in the key's directory, hidden drafts too."""
    return [entry.name for entry in path.parent.iterdir()]


def write(path: Path, content: bytes, mode: int = 0o600) -> None:
    path.write_bytes(content)
    path.chmod(mode)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_missing_key_is_made_private_and_stays(path: Path, umask: int) -> None:
    """If there is no key, then one of 32 bytes is made for its owner alone, and every later start gets the same."""
    before = os.umask(umask)
    try:
        key = load_or_create_root_key(path)
    finally:
        os.umask(before)
    assert len(key) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_or_create_root_key(path) == load_root_key(path) == path.read_bytes() == key
    assert names(path) == [path.name]


def test_two_keys_are_never_the_same(tmp_path: Path) -> None:
    """If two files are made, then they hold two keys."""
    assert load_or_create_root_key(tmp_path / "a") != load_or_create_root_key(tmp_path / "b")


def test_loading_makes_nothing(path: Path) -> None:
    """If there is no key, then loading says so, names the file, and makes none."""
    with pytest.raises(KeyMissing, match=str(path)):
        load_root_key(path)
    assert not path.exists()


@pytest.mark.parametrize("content", [b"", b"canary" * 5 + b"x", b"canary" * 5 + b"xyz", b"canary" * 100])
def test_a_file_of_another_length_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    """If the file has not exactly 32 bytes, then it is refused, neither repaired nor quoted."""
    write(path, content)
    for load in (load_root_key, load_or_create_root_key):
        with pytest.raises(KeyRefused, match="32 bytes") as refusal:
            load(path)
        assert "canary" not in str(refusal.value)
    assert path.read_bytes() == content


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o644, 0o777])
def test_a_file_that_others_may_use_is_refused(path: Path, mode: int) -> None:
    """If anybody but the owner may read, write or run the file, then it is refused, with what to do."""
    write(path, bytes(32), mode)
    for load in (load_root_key, load_or_create_root_key):
        with pytest.raises(KeyRefused, match="chmod 600"):
            load(path)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_private_file_is_loaded_also_through_a_link(path: Path, mode: int) -> None:
    """If the file is its owner's alone, also where a secret store gives it by a symbolic link, then it is loaded."""
    write(path, bytes(range(32)), mode)
    link = path.with_name("link.key")
    link.symlink_to(path)
    assert load_root_key(path) == load_or_create_root_key(link) == bytes(range(32))


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """If a directory or a pipe stands in the key's place, then it is refused at once."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "directory").mkdir(0o700)
    for name in ("pipe", "directory"):
        with pytest.raises(KeyRefused):
            load_or_create_root_key(tmp_path / name)


def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    """If the directory is missing, then no key is made, and the sentence names the file."""
    path = tmp_path / "missing" / "root.key"
    with pytest.raises(KeyUnavailable, match=r"root\.key"):
        load_or_create_root_key(path)
    assert not path.parent.exists()


def test_who_comes_second_in_the_middle_of_it_gets_the_first_ones_key(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If another process makes the key between our look and our making, then its key is the key, and stays."""
    link = os.link

    def late(source: Path, target: Path) -> None:
        write(path, bytes(range(32)))
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    assert load_or_create_root_key(path) == bytes(range(32)) == path.read_bytes()
    assert names(path) == [path.name]


def test_a_crash_in_the_making_leaves_no_half_key(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the disk fails before the key is on it, then there is no key, no remains, and the next start makes one."""

    def fail(handle: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(KeyRefused, match="Input/output error"):
            load_or_create_root_key(path)
    assert names(path) == []
    assert len(load_or_create_root_key(path)) == 32


def test_processes_that_start_together_agree_on_one_key(path: Path) -> None:
    """If several processes make the key at once, then all of them hold the key that is in the file."""
    program = (
        "import sys; from pathlib import Path; from ledger.keys import load_or_create_root_key;"
        "print('ready', flush=True); sys.stdin.readline();"
        "print(load_or_create_root_key(Path(sys.argv[1])).hex())"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(path)],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = {process.communicate(timeout=30)[0] for process in processes}
    assert answers == {path.read_bytes().hex() + "\n"}
    assert names(path) == [path.name]
