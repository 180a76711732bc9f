"""Files of keys that seal: the present one and the retired ones beside it, through rotations and crashes."""

import os
import secrets
from pathlib import Path

import pytest

from ledger.keys import KeyMissing, KeyRefused
from ledger.seal_keys import make_sealing_key, retired_path, rotate_sealing_key, sealing_keys
from tests.ledger.sealed_logs import ORIGIN


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "seal.key"


def listed(path: Path) -> list[str]:
    """The keys that seal, in order, by their ids."""
    return [key.verifier.key_id.hex() for key in sealing_keys(path, ORIGIN)]


def names(path: Path) -> set[str]:
    return {entry.name for entry in path.parent.iterdir()}


def test_one_key_is_made_and_seals_under_the_origin(path: Path) -> None:
    """If there is no key, then sealing says which file is missing; once it is made, it bears the origin's name."""
    with pytest.raises(KeyMissing, match=f"no sealing key file {path}"):
        sealing_keys(path, ORIGIN)
    key = make_sealing_key(path, ORIGIN)
    assert key.verifier == make_sealing_key(path, ORIGIN).verifier == sealing_keys(path, ORIGIN)[0].verifier
    assert key.verifier.name == ORIGIN
    assert path.read_bytes().hex() not in repr(key)


def test_a_rotated_key_goes_on_beside_the_new_one(path: Path) -> None:
    """If a key is rotated, again and again, then all of them seal, the present one first and then the youngest; who
    takes a file away ends that key."""
    ids = [make_sealing_key(path, ORIGIN).verifier.key_id.hex()]
    for age in (30, 20, 10):
        made = path.stat().st_mtime_ns - age * 10**9
        os.utime(path, ns=(made, made))
        ids.insert(0, rotate_sealing_key(path, ORIGIN).verifier.key_id.hex())
    assert listed(path) == ids
    assert names(path) == {"seal.key", *(f"seal.key.{id}" for id in ids[1:])}
    assert {entry.stat().st_mode & 0o777 for entry in path.parent.iterdir()} == {0o600}
    path.with_name(f"seal.key.{ids[2]}").unlink()
    assert listed(path) == [ids[0], ids[1], ids[3]]


def test_nothing_is_rotated_that_is_not_there(path: Path) -> None:
    """If there is no key, then there is nothing to rotate, and none is made."""
    with pytest.raises(KeyMissing):
        rotate_sealing_key(path, ORIGIN)
    assert names(path) == set()


def test_other_files_beside_the_key_do_not_seal(path: Path) -> None:
    """If something else lies beside the key, then it is left alone; a retired key that is none is refused."""
    key = make_sealing_key(path, ORIGIN)
    for name in ("seal.key.bak", "seal.key.0123456", "seal.key.012345678", "other.key.01234567", "vault.key"):
        path.with_name(name).write_bytes(b"x")
    assert listed(path) == [key.verifier.key_id.hex()]
    path.with_name("seal.key.01234567").write_bytes(b"x")
    with pytest.raises(KeyRefused):
        sealing_keys(path, ORIGIN)


def test_a_retired_key_that_others_may_read_is_refused(path: Path) -> None:
    """If others than its owner may use the file of a retired key, then nothing is sealed with any of them."""
    retired = retired_path(path, make_sealing_key(path, ORIGIN))
    rotate_sealing_key(path, ORIGIN)
    retired.chmod(0o640)
    with pytest.raises(KeyRefused, match="chmod 600"):
        sealing_keys(path, ORIGIN)


@pytest.mark.parametrize("fails", ["link", "fsync", "replace"])
def test_a_rotation_that_is_cut_off_loses_no_key(path: Path, monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
    """If a rotation ends halfway, then the key before is still the present one, and the next rotation succeeds."""
    before = make_sealing_key(path, ORIGIN).verifier.key_id.hex()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path if fails == "replace" else os, fails, fail)
        with pytest.raises(KeyRefused, match="No space left on device"):
            rotate_sealing_key(path, ORIGIN)
    assert listed(path) == [before]
    assert not [name for name in names(path) if name.startswith(".")]
    after = rotate_sealing_key(path, ORIGIN).verifier.key_id.hex()
    assert listed(path) == [after, before]


def test_a_key_is_never_put_over_another(path: Path) -> None:
    """If another key lies where the retired one belongs, then nothing is rotated."""
    key = make_sealing_key(path, ORIGIN)
    retired = retired_path(path, key)
    retired.write_bytes(secrets.token_bytes(32))
    retired.chmod(0o600)
    with pytest.raises(KeyRefused, match="another key"):
        rotate_sealing_key(path, ORIGIN)
    assert listed(path)[0] == key.verifier.key_id.hex()


def test_a_directory_that_cannot_be_listed_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If it cannot be seen which keys were retired, then nothing is sealed: a key would stop sealing unseen."""
    make_sealing_key(path, ORIGIN)

    def fail(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", fail)
    with pytest.raises(KeyRefused, match="which keys lie beside"):
        sealing_keys(path, ORIGIN)
