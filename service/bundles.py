"""Bundles at work: one directory, one writer, and what came of it. Shared by export and mirror."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import Any

from ledger.bundle import Bundle, alone_in
from ledger.laying import Diverged, Laying
from ledger.placing import recover
from ledger.tree_head import TreeHead
from schemas.canonical import to_base64
from schemas.instants import format_instant

Progress = Callable[[int, int], None]
"""Told now and then how many events were taken, and of how many."""


class Disputed(Exception):
    """What is to be added does not continue what is here, or nobody vouches for it: a finding. The text is a sentence
    for a person."""


@dataclass(frozen=True, slots=True)
class Laid:
    """What lies in a directory now, and what it took."""

    directory: Path
    head: TreeHead
    vkeys: tuple[str, ...]
    files: int
    bytes: int
    removed: int

    def keys(self) -> str:
        """The keys as options of a command: heads from before a rotation are sealed by the older one alone."""
        return " ".join(f"--vkey {quote(key)}" for key in self.vkeys)

    def document(self) -> dict[str, Any]:
        """The same as one JSON document."""
        return {
            "directory": str(self.directory),
            "origin": self.head.origin,
            "size": self.head.size,
            "root": to_base64(self.head.root),
            "vkeys": list(self.vkeys),
            "files_written": self.files,
            "bytes_written": self.bytes,
            "files_removed": self.removed,
        }


@contextlib.contextmanager
def opened(directory: Path) -> Iterator[Bundle]:
    """What lies in a directory, for the caller alone to add to. Raises NotOurs, NotUsable."""
    with alone_in(directory):
        recover(directory)
        yield Bundle.find(directory)


@contextlib.contextmanager
def laying(bundle: Bundle, head: TreeHead, note: bytes) -> Iterator[Laying]:
    """Lay a head beside a bundle; what does not continue it is kept aside. Raises Disputed, NotOurs, NotUsable."""
    bundle.belongs_to(head.origin)
    with Laying(bundle, head, note) as at_work:
        try:
            yield at_work
        except Diverged as diverged:
            kept = at_work.set_aside()
            said = "What was given could not be kept." if kept is None else f"What was given is kept in {kept}."
            raise Disputed(f"{diverged} {bundle.directory} stays as it was. {said}") from None


def finish(at_work: Laying, directory: Path, vkeys: list[str]) -> Laid:
    """Put everything in its place."""
    removed = at_work.finish(vkeys, format_instant(datetime.now(UTC)))
    return Laid(directory, at_work.head, tuple(vkeys), at_work.files, at_work.bytes, removed)
