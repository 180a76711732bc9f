"""The copy of the newest tree head outside the database: what shows that a database was put back to an older state.

A head is copied before anybody is shown it, so that no head that was shown is newer than the copy. The copy is one
file, written beside its place, brought to the disk, and renamed: whoever looks finds the old head or the new one,
whole, also after a loss of power.

This module must never judge a head, and never take one away.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from ledger.durable import give_to_owner_of_directory, sync

LARGEST: Final = 128 * 1024
"""Bytes that are read of a copy: more than any note has."""


class HeadCopy:
    """The copy at one path. The caller sees to it that there is one writer at a time. Methods raise OSError."""

    def __init__(self, path: Path) -> None:
        self.path: Final = path

    def read(self) -> bytes | None:
        """The note that is there; None where there is none. Of what is too long to be one, the beginning."""
        try:
            with self.path.open("rb") as file:
                return file.read(LARGEST + 1)
        except FileNotFoundError:
            return None

    def write(self, note: bytes) -> None:
        """Put this note in the place of what is there. When this returns it is on the disk, under its name."""
        directory = self.path.parent
        if not directory.is_dir():
            directory.mkdir(mode=0o755, parents=True, exist_ok=True)
            give_to_owner_of_directory(directory)
            sync(directory.parent)
        for left in directory.iterdir():
            if left.name.startswith(f".{self.path.name}."):
                left.unlink(missing_ok=True)  # by a writer that was killed; of one that only froze, the renaming fails
        draft = self.path.with_name(f".{self.path.name}.{secrets.token_hex(8)}")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(note)
                file.flush()
                os.fsync(file.fileno())
            give_to_owner_of_directory(draft)
            draft.replace(self.path)
        except BaseException:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            raise
        sync(directory)  # From here a crash loses nothing: the name is on the disk too.
