"""The copy of the head: whole, on the disk before it is said to be, and one writer's remains never the next one's."""

import os
from pathlib import Path
from typing import Any

import pytest

from ledger.head_copy import LARGEST, HeadCopy


@pytest.fixture
def copy(tmp_path: Path) -> HeadCopy:
    return HeadCopy(tmp_path / "head" / "checkpoint")


def test_what_was_written_is_read(copy: HeadCopy) -> None:
    """If a note is written, then it is what is read, and nothing else lies beside it; before, there is none."""
    assert copy.read() is None
    for note in (b"one\n", b"two, and longer\n", b"3\n"):
        copy.write(note)
        assert copy.read() == note
        assert [entry.name for entry in copy.path.parent.iterdir()] == ["checkpoint"]


def test_it_is_on_the_disk_when_it_is_said_to_be(copy: HeadCopy, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a note is written, then it is brought to the disk before it is renamed, and its name after that."""
    copy.write(b"old\n")
    happened: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(handle: int) -> None:
        happened.append("directory" if os.path.isdir(f"/proc/self/fd/{handle}") else "file")  # noqa: PTH112
        fsync(handle)

    def renamed(path: Path, target: Any) -> Path:
        assert path.read_bytes() == b"new\n"
        happened.append("renamed")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    copy.write(b"new\n")
    assert happened == ["file", "renamed", "directory"]


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_a_write_that_fails_leaves_what_was_there(copy: HeadCopy, monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
    """If the disk takes no more, then the copy is what it was, and no remains lie beside it."""
    copy.write(b"old\n")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path if fails == "replace" else os, fails, fail)
        with pytest.raises(OSError, match="No space"):
            copy.write(b"new\n")
    assert copy.read() == b"old\n"
    assert [entry.name for entry in copy.path.parent.iterdir()] == ["checkpoint"]


def test_a_writer_that_froze_does_not_write_over_the_next_one(copy: HeadCopy, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a writer freezes before it renames, and another one writes meanwhile, then the first one fails."""
    replace = Path.replace

    def frozen(path: Path, target: Any) -> Path:
        monkeypatch.setattr(Path, "replace", replace)
        copy.write(b"the next one's\n")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", frozen)
    with pytest.raises(FileNotFoundError):
        copy.write(b"the frozen one's\n")
    assert copy.read() == b"the next one's\n"


def test_what_is_too_long_is_not_read_whole(copy: HeadCopy) -> None:
    """If something without end lies there, then no more is read of it than shows that it is no note."""
    copy.write(bytes(5 * LARGEST))
    read = copy.read()
    assert read is not None
    assert len(read) == LARGEST + 1
