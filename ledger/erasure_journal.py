"""The journal of erasures: which signatures were erased, outside the database and its backups.

A backup that is put back holds people again who were erased after it was taken. What stands here outlives it: before
anything is served, whoever the journal names is erased anew. It is one file of JSON lines, one a signature, that is
only ever added to; a line is written whole and on the disk before anything is destroyed. Nothing in it is personal.

A line that was cut off by a crash is the last one, and says nothing: the log says it, and the next start writes it
anew. Whoever writes next takes what is left of it away. This module must never take a whole line away.
"""

import fcntl
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID

import orjson

from ledger.durable import give_to_owner_of_directory, sync
from schemas.ids import read_uuid
from schemas.instants import format_instant

PIECE: Final = 1 << 16
"""Bytes that are looked at, at the end of the file, for where its last whole line ends."""


class JournalRefused(Exception):
    """The journal cannot be read or written. The text is a sentence for the operator."""


@dataclass(frozen=True, slots=True)
class Erased:
    """One line: a signature of whom was erased, and where and when the log says so."""

    petition: str
    signature: UUID
    position: int
    recorded: datetime

    def line(self) -> bytes:
        """As it stands in the file."""
        said = {
            "petition": self.petition,
            "signature": str(self.signature),
            "position": self.position,
            "recorded": format_instant(self.recorded),
        }
        return orjson.dumps(said) + b"\n"


class Journal:
    """The journal at one path. Several processes may write it at once."""

    def __init__(self, path: Path) -> None:
        self.path: Final = path

    def signatures(self) -> list[UUID]:
        """Which signatures it names, in order, each once. None where there is no file. Raises JournalRefused."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise JournalRefused(f"The journal of erasures {self.path} cannot be read ({error.strerror})") from None
        whole = content[: content.rfind(b"\n") + 1].splitlines()
        try:
            return list(dict.fromkeys(read_uuid(orjson.loads(line)["signature"]) for line in whole))
        except (ValueError, KeyError, TypeError):
            pass  # refused below, outside the handler: what is raised holds what was read
        raise JournalRefused(f"The journal of erasures {self.path} has a line that is none")

    def write(self, erased: Sequence[Erased]) -> None:
        """Add these lines. When this returns they are on the disk, under the file's name. Raises JournalRefused."""
        if not erased:
            return
        try:
            is_new = not self.path.exists()
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                end = _end_of_last_line(handle)
                os.ftruncate(handle, end)
                os.lseek(handle, end, os.SEEK_SET)
                with os.fdopen(os.dup(handle), "wb") as file:
                    file.write(b"".join(each.line() for each in erased))
                os.fsync(handle)
                if is_new:
                    give_to_owner_of_directory(self.path)
            finally:
                os.close(handle)
            if is_new:
                sync(self.path.parent)
        except OSError as error:
            raise JournalRefused(f"The journal of erasures {self.path} cannot be written ({error.strerror})") from None


def _end_of_last_line(handle: int) -> int:
    """Where the last whole line ends; 0 where there is none."""
    end = os.fstat(handle).st_size
    while end > 0:
        begin = max(end - PIECE, 0)
        if (last := os.pread(handle, end - begin, begin).rfind(b"\n")) >= 0:
            return begin + last + 1
        end = begin
    return 0
