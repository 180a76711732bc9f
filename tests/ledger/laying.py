"""A log of texts in memory, and laying bundles of it: no database, no events."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ledger.bundle import PROJECTIONS, Bundle, alone_in
from ledger.laying import Laying
from ledger.merkle import leaf_hash, root
from ledger.placing import recover
from ledger.tree_head import SealingKey, TreeHead, seal_head

ORIGIN: Final = "petitions.example/ledger"
KEY: Final = SealingKey(ORIGIN, bytes(32))


def leaf(index: int) -> bytes:
    return f"leaf {index}".encode()


def note(size: int, *, origin: str = ORIGIN, forked_at: int | None = None) -> bytes:
    """The note of the head of this size; of a log whose leaf `forked_at` is another one."""
    head = TreeHead(origin, size, root([leaf_hash(each) for each in leaves(0, size, forked_at)]))
    return seal_head(head, [SealingKey(origin, bytes(32))])


def leaves(first: int, end: int, forked_at: int | None = None) -> list[bytes]:
    return [leaf(index) if index != forked_at else b"another leaf" for index in range(first, end)]


def lay(directory: Path, sizes: Sequence[int], *, forked_at: int | None = None, at_once: int = 100) -> Laying:
    """Lay the head of the last of these sizes; those before it were shown too."""
    with alone_in(directory):
        recover(directory)
        bundle = Bundle.find(directory)
        newest = note(sizes[-1], forked_at=forked_at)
        head = TreeHead(ORIGIN, sizes[-1], root([leaf_hash(each) for each in leaves(0, sizes[-1], forked_at)]))
        with Laying(bundle, head, newest) as laying:
            laying.add_notes([note(size, forked_at=forked_at) for size in sizes if size > laying.notes_after])
            laying.begin_leaves()
            for first in range(laying.first, head.size, at_once):
                laying.take(leaves(first, min(first + at_once, head.size), forked_at))
            with laying.writing(f"{PROJECTIONS}/tally.json") as file:
                file.write(b'{"as_of_position":%d}\n' % head.size)
            laying.finish([KEY.verifier.vkey], "2026-01-01T00:00:00.000000Z")
    return laying


def content(directory: Path) -> dict[str, bytes]:
    """Every file, by its name."""
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }
