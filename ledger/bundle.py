"""The audit bundle on a disk: what may lie in it, whose it is, and its leaves in order.

    checkpoint                  the newest note, which says how large the rest has to be
    checkpoints                 every note that was shown, oldest first, a line `---` between two
    tile/<L>/...                hashes, and tile/entries/... the leaves: C2SP tlog-tiles
    projections/<name>.json     what the ledger claims at that size
    openings/<index>.json       optional, and nobody's here: left alone
    manifest.json               convenience, never trusted
    .incoming/                  what is being laid beside it (`ledger.laying`)

This module says what a directory looks like, and reads it. It must never judge what is in a file beyond its place and
its length: that is for `ledger.verify`, which shares nothing with it. It must never change anything.
"""

import contextlib
import fcntl
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from ledger.merkle import HASH_BYTES, Frontier, leaf_hash
from ledger.tiles import (
    WIDTH,
    Tile,
    decode_bundle,
    entries_path,
    parse_entries_path,
    parse_tile_path,
    tile_path,
    tiles_of,
)
from ledger.tree_head import LARGEST_NOTE, NoteRefused, TreeHead, read_head

CHECKPOINT: Final = "checkpoint"
CHECKPOINTS: Final = "checkpoints"
MANIFEST: Final = "manifest.json"
PROJECTIONS: Final = "projections"
INCOMING: Final = ".incoming"

BETWEEN: Final = b"---\n"
"""Stands between two notes."""
_LONGEST_ENTRY: Final = 2 + 0xFFFF

_BESIDE: Final = re.compile(r"projections/[a-z][a-z_]{0,63}\.json|openings/(?:0|[1-9][0-9]{0,15})\.json", re.ASCII)


class BundleRefused(Exception):
    """The directory cannot be worked with. The message is a sentence for a person, and names the file.

    BundleRefused
    |-- NotOurs    it holds something that is no bundle of this ledger
    |-- NotUsable  it cannot be read or written, or somebody else is at work in it
    |-- Damaged    what is in it does not fit together
    `-- Diverged   what was to be added does not continue it (in `ledger.laying`)
    """


class NotOurs(BundleRefused):
    """There is something in the directory that is no bundle of this ledger."""


class NotUsable(BundleRefused):
    """The directory cannot be read or written, or somebody else is at work in it."""


class Damaged(BundleRefused):
    """What is in the bundle does not fit together; `ledger verify` says how."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle as it was found. Without a head there is none yet, and the directory is empty or missing."""

    directory: Path
    note: bytes | None = None
    head: TreeHead | None = None
    files: Mapping[str, int] = field(default_factory=dict)
    """What lies there but `.incoming`: name from the directory, with slashes -> bytes."""

    @classmethod
    def find(cls, directory: Path) -> Self:
        """What lies in this directory. Raises NotOurs, NotUsable."""
        with on_disk(directory):
            if not directory.exists():
                return cls(directory)
            if not directory.is_dir():
                raise NotUsable(f"{directory} is not a directory.")
            files = dict(_files(directory))
            note = (
                (directory / CHECKPOINT).read_bytes()
                if files.get(CHECKPOINT, LARGEST_NOTE + 1) <= LARGEST_NOTE
                else None
            )
        if note is None:
            if files:
                raise NotOurs(f"{directory} holds {min(files)}, and no checkpoint of an audit bundle.")
            return cls(directory)
        try:
            head = read_head(note)
        except NoteRefused:
            raise NotOurs(f"{directory / CHECKPOINT} is no signed note of a log.") from None
        return cls(directory, note, head, files)

    def belongs_to(self, origin: str) -> None:
        """Raises NotOurs where the bundle is another log's."""
        if self.head is not None and self.head.origin != origin:
            raise NotOurs(f"{self.directory} holds a bundle of {self.head.origin}, not of {origin}.")

    @property
    def is_whole(self) -> bool:
        """Whether everything that the head needs is there, as far as lengths tell."""
        return self.head is not None and all(
            self.files.get(name, 0) in lengths for name, lengths in needed(self.head.size)
        )

    def superseded(self) -> list[str]:
        """Files under tile/ that the head does not need: those of smaller or larger trees."""
        assert self.head is not None
        wanted = {name for name, _ in needed(self.head.size)}
        return sorted(name for name in self.files if name.startswith("tile/") and name not in wanted)

    def tile(self, tile: Tile) -> bytes:
        """The hashes of a tile. Raises Damaged where they are not as many."""
        data = self._read(tile_path(tile), tile.width * HASH_BYTES)
        if len(data) != tile.width * HASH_BYTES:
            raise Damaged(f"{self.directory / tile_path(tile)} is not as long as its name says.")
        return data

    def entries(self, index: int, width: int) -> list[bytes]:
        """The leaves of an entry bundle. Raises Damaged where they are not as many."""
        name = entries_path(index, width)
        try:
            return decode_bundle(self._read(name, width * _LONGEST_ENTRY), width)
        except ValueError:
            raise Damaged(f"{self.directory / name} does not hold the entries that its name says.") from None

    def leaves(self) -> Iterator[bytes]:
        """The leaves that the head covers, oldest first, some at a time in memory.

        They are hashed on the way: raises Damaged where one is missing, or at the end where they do not have the root
        that the checkpoint says. Whether somebody signed that root is for `ledger verify` to say.
        """
        assert self.head is not None
        frontier = Frontier()
        for index in range(0, self.head.size, WIDTH):
            leaves = self.entries(index // WIDTH, min(WIDTH, self.head.size - index))
            frontier.extend(leaf_hash(leaf) for leaf in leaves)
            yield from leaves
        if frontier.root() != self.head.root:
            raise Damaged(f"The entries in {self.directory} do not have the root that its checkpoint says.")

    def notes(self) -> Iterator[bytes]:
        """Every note of `checkpoints`, oldest first; none where there is no such file. Raises Damaged."""
        if CHECKPOINTS in self.files:
            yield from notes_in(self.directory / CHECKPOINTS)

    def _read(self, name: str, length: int) -> bytes:
        """A file, and of one that is too long only so much that this can be seen."""
        try:
            with (self.directory / name).open("rb") as file:
                return file.read(length + 1)
        except OSError as error:
            raise Damaged(f"{self.directory / name} cannot be read ({error.strerror}).") from None


def needed(size: int) -> Iterator[tuple[str, range]]:
    """What a tree of this size needs under tile/: each file's name, and how long it may be, in bytes."""
    for tile in tiles_of(size):
        yield tile_path(tile), range(tile.width * HASH_BYTES, tile.width * HASH_BYTES + 1)
        if tile.level == 0:
            yield entries_path(tile.index, tile.width), range(2 * tile.width, tile.width * _LONGEST_ENTRY + 1)


def split_notes(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The notes of a text in the form of `checkpoints`, given as its lines. Raises ValueError where one is too long."""
    note: list[bytes] = []
    length = 0
    for line in lines:
        if line == BETWEEN:
            yield b"".join(note)
            note, length = [], 0
            continue
        note.append(line)
        length += len(line)
        if length > LARGEST_NOTE:
            raise ValueError("a note is too long")
    if note:
        yield b"".join(note)


def notes_in(path: Path) -> Iterator[bytes]:
    """The notes of a file in the form of `checkpoints`, one at a time in memory. Raises Damaged."""
    try:
        with path.open("rb") as file:
            yield from split_notes(iter(lambda: file.readline(LARGEST_NOTE + 1), b""))
    except OSError as error:
        raise Damaged(f"{path} cannot be read ({error.strerror}).") from None
    except ValueError:
        raise Damaged(f"{path} holds what is no signed note of a log.") from None


@contextlib.contextmanager
def alone_in(directory: Path) -> Iterator[None]:
    """Be the only one who writes into this directory, which is made if it is missing. Raises NotUsable."""
    with on_disk(directory):
        made = not directory.exists()
        directory.mkdir(parents=True, exist_ok=True)
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NotUsable(f"Another export or mirror writes into {directory} at this moment.") from None
        except OSError:
            pass  # a file system without locks: whoever uses one sees to it that nobody else does
        yield
    finally:
        os.close(handle)
        if made:
            with contextlib.suppress(OSError):  # not empty: something was laid in it
                directory.rmdir()


@contextlib.contextmanager
def on_disk(directory: Path) -> Iterator[None]:
    """Say what a disk refuses as a sentence. Raises NotUsable."""
    try:
        yield
    except OSError as error:
        at = directory if error.filename is None else Path(os.fsdecode(error.filename))
        raise NotUsable(f"{at} cannot be used ({error.strerror or type(error).__name__}).") from None


def _files(directory: Path) -> Iterator[tuple[str, int]]:
    """Every file of a bundle with its length. Raises NotOurs at what has no place in one."""
    waiting = [""]
    while waiting:
        under = waiting.pop()
        with os.scandir(directory / under) as entries:
            for entry in entries:
                name = f"{under}{entry.name}"
                found = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(found.st_mode) and _may_be_directory(name):
                    if name != INCOMING:
                        waiting.append(f"{name}/")
                elif stat.S_ISREG(found.st_mode) and _has_a_place(name):
                    yield name, found.st_size
                else:
                    raise NotOurs(f"{directory / name} has no place in an audit bundle.")


def _may_be_directory(name: str) -> bool:
    return name in (INCOMING, PROJECTIONS, "openings") or name.split("/", 1)[0] == "tile"


def _has_a_place(name: str) -> bool:
    return (
        name in (CHECKPOINT, CHECKPOINTS, MANIFEST)
        or _BESIDE.fullmatch(name) is not None
        or parse_tile_path(name) is not None
        or parse_entries_path(name) is not None
    )
