"""Putting a bundle in its place: what was staged beside it becomes the bundle, or a later run finishes that.

The law of this module
  1. The staged `checkpoint` is the decision. Before it is on the disk, a crash leaves the bundle as it was, and what
     was staged is thrown away; after it, whoever comes next puts everything in its place.
  2. In their places the tiles come first, then entries, projections, `checkpoints`. `checkpoint` is the last to be
     renamed, and only then what the new head does not need is taken away. A bundle that was torn between two of these
     steps has findings until the next run has finished it.

This module must never write into a file that lies in its place, and never take away what is no bundle's.
"""

import contextlib
import os
import shutil
from pathlib import Path
from typing import Final

from ledger.bundle import CHECKPOINT, CHECKPOINTS, INCOMING, MANIFEST, PROJECTIONS, Bundle, NotOurs, on_disk
from ledger.durable import sync

_BEHIND_THE_TILES: Final = (PROJECTIONS, MANIFEST, CHECKPOINTS, CHECKPOINT)


def decide(directory: Path, note: bytes) -> None:
    """All else is staged, and on the disk: stage the checkpoint, whole or not at all."""
    incoming = directory / INCOMING
    part = incoming / f"{CHECKPOINT}.part"
    part.write_bytes(note)
    sync(part)
    part.replace(incoming / CHECKPOINT)
    sync(incoming)


def recover(directory: Path) -> None:
    """Finish what was decided in a directory, and throw away what was not. The caller is alone in it.

    Raises NotUsable, NotOurs.
    """
    incoming = directory / INCOMING
    with on_disk(incoming):
        if incoming.is_symlink():
            raise NotOurs(f"{incoming} has no place in an audit bundle.")
        if (incoming / CHECKPOINT).exists():
            put_in_place(directory)
        else:
            discard(incoming)


def put_in_place(directory: Path) -> int:
    """Rename what is staged to where it belongs, `checkpoint` last; how many files were then taken away."""
    incoming = directory / INCOMING
    staged = [Path(parent, name).relative_to(incoming) for parent, _, names in os.walk(incoming) for name in names]
    touched: set[Path] = set()
    for name in sorted(staged, key=lambda name: (_turn(name.parts), name)):
        target = directory / name
        if name == Path(CHECKPOINT):
            for each in touched:
                sync(each)
        target.parent.mkdir(parents=True, exist_ok=True)
        (incoming / name).replace(target)
        touched |= set(target.parents) - set(directory.parents)
    sync(directory)
    # The new head stands. What only older ones needed goes.
    superseded = Bundle.find(directory).superseded()
    for gone in superseded:
        (directory / gone).unlink()
        with contextlib.suppress(OSError):  # not empty
            (directory / gone).parent.rmdir()
    discard(incoming)
    sync(directory)
    return len(superseded)


def discard(incoming: Path) -> None:
    """Throw away what was staged, if anything was."""
    if incoming.exists():
        shutil.rmtree(incoming)


def _turn(parts: tuple[str, ...]) -> int:
    """Which is put in its place before which."""
    if parts[0] == "tile":
        return 1 if parts[1] == "entries" else 0
    return 2 + _BEHIND_THE_TILES.index(parts[0])
