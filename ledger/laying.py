"""Laying a bundle: what is new is laid beside it, held against every head, and only then put in its place.

The law of this module
  1. What is here is not touched before all that is to be added is there, fits, and is on the disk. `ledger.placing`
     does the rest.
  2. Leaves are folded on top of the tree that is here: they must have the root of every head on the way, the bundle's
     own among them, and at the end that of the new head. So a log that was edited, cut or forked is added to no bundle.
  3. The hashes in tiles are computed here from the leaves: nobody has to be believed for them.

The same steps serve an export from a database and a mirror over a network. Neither is trusted, and whether a note is
signed is the caller's to ask. This module must never judge an event.
"""

import contextlib
import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from heapq import merge
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

import orjson

from ledger.bundle import (
    BETWEEN,
    CHECKPOINT,
    CHECKPOINTS,
    INCOMING,
    MANIFEST,
    Bundle,
    BundleRefused,
    Damaged,
    notes_in,
    on_disk,
)
from ledger.durable import sync
from ledger.merkle import HASH_BYTES, Frontier, Node, join, leaf_hash, root_nodes
from ledger.placing import decide, discard, put_in_place
from ledger.tiles import HEIGHT, WIDTH, Tile, TileReader, encode_bundle, entries_path, tile_path, tiles_for
from ledger.tree_head import NoteRefused, TreeHead, read_head
from schemas.canonical import to_base64

_SYNCING: Final = 4
"""Threads that see to it that files are on the disk: a file system commits for several of them at once."""
_UNSYNCED: Final = 256
"""Files that may wait for that."""


class Diverged(BundleRefused):
    """What was to be added does not continue the bundle, or does not have the root of its own head."""


class Laying:
    """Lays a head, and all that it covers, beside a bundle. Use as a context manager, alone in the directory; leaving
    it before `finish` throws away what was staged.

    In this order: `add_notes` those of sizes above `notes_after`, `begin_leaves`, `take` those from index `first` on,
    write the projections, `finish`. All may raise Diverged and NotUsable.
    """

    def __init__(self, bundle: Bundle, head: TreeHead, note: bytes) -> None:
        self.head: Final = head
        self.files = 0
        self.bytes = 0
        self.notes_after = 0
        self._bundle = bundle
        self._note = note
        self._incoming = bundle.directory / INCOMING
        self._made: set[Path] = set()
        self._pool = ThreadPoolExecutor(_SYNCING, thread_name_prefix="syncing")
        self._unsynced: deque[Future[None]] = deque()
        self._leaves: list[bytes] = []
        self._heads: Iterator[TreeHead] = iter(())
        self._due: TreeHead | None = None
        self._frontier, self._rows = _where_it_ended(bundle)
        self.first: Final = self._frontier.size

    def __enter__(self) -> Self:
        with on_disk(self._incoming):
            discard(self._incoming)
            self._incoming.mkdir()
            self._begin_notes()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)
        if not (self._incoming / CHECKPOINT).exists():
            with contextlib.suppress(OSError):
                discard(self._incoming)

    # -- what was shown ------------------------------------------------------------------------------------------------

    def add_notes(self, notes: Iterable[bytes]) -> None:
        """The notes that were shown, in that order, of sizes above `notes_after` up to the new head's; in parts as they
        come. One of the bundle's own size may be shown again with more lines, never with another root."""
        with on_disk(self._incoming), (self._incoming / CHECKPOINTS).open("ab") as file:
            for note in notes:
                size = _head_of(note).size
                if not max(self._last_size, self.notes_after + 1) <= size <= self.head.size:
                    raise Diverged("The heads do not come in the order of their sizes.")
                if note not in self._of_held_size:
                    self._write_note(file, note)

    def _begin_notes(self) -> None:
        """Begin with the notes that are here, if they end with the checkpoint as they should; else without any."""
        self._last_note, self._last_size = b"", 0
        self._of_held_size: set[bytes] = set()
        head = self._bundle.head
        with (self._incoming / CHECKPOINTS).open("wb") as file:
            if head is None:
                return
            try:
                for note in self._bundle.notes():
                    size = _head_of(note).size
                    if size == head.size:
                        self._of_held_size.add(note)
                    self._write_note(file, note)
                if self._last_note != self._bundle.note:
                    raise Damaged("The newest of the notes is not the checkpoint.")
                self.notes_after = head.size - 1
            except (Damaged, Diverged):
                file.truncate(0)
                file.seek(0)
                self._last_note, self._last_size = b"", 0
                self._of_held_size.clear()

    def _write_note(self, file: IO[bytes], note: bytes) -> None:
        file.write(BETWEEN + note if self._last_note else note)
        self._last_note, self._last_size = note, _head_of(note).size

    # -- what was sealed -----------------------------------------------------------------------------------------------

    def begin_leaves(self) -> None:
        """All notes are there: from now on the leaves are held against them."""
        held = self._bundle.head
        if held is not None and held.size > self.head.size:
            raise Diverged(f"The head of {self.head.size:,} events is older than that of {held.size:,}, which is here.")
        if held is not None and held.size == self.head.size and held.root != self.head.root:
            raise Diverged(f"There are two heads of {held.size:,} events: one here, and another one that is shown.")
        if self._last_note != self._note:
            raise Diverged("The newest of the heads that were shown is not the one that was asked for.")
        shown = map(_head_of, notes_in(self._incoming / CHECKPOINTS))
        self._heads = merge(
            (head for head in shown if head.size >= self.first),
            [] if held is None else [held],
            [self.head],
            key=lambda head: head.size,
        )
        self._due = next(self._heads, None)

    def take(self, leaves: Sequence[bytes]) -> None:
        """The next leaves, in order from index `first`, as many as there are."""
        self._leaves += leaves
        while len(self._leaves) >= WIDTH:
            self._take_bundle(self._leaves[:WIDTH])
            del self._leaves[:WIDTH]

    def _take_bundle(self, leaves: list[bytes]) -> None:
        index = self._frontier.size // WIDTH
        hashes = [leaf_hash(leaf) for leaf in leaves]
        self._stage(tile_path(Tile(0, index, len(hashes))), b"".join(hashes))
        try:
            self._stage(entries_path(index, len(leaves)), encode_bundle(leaves))
        except ValueError:
            raise Diverged("A leaf is longer than any event can be.") from None
        self._grow(hashes)

    def _grow(self, hashes: list[bytes]) -> None:
        """Take leaf hashes into the tree, which must have the root of every head on the way."""
        start = 0
        while self._due is not None and self._due.size <= self._frontier.size + len(hashes) - start:
            end = start + self._due.size - self._frontier.size
            self._complete(self._frontier.extend(hashes[start:end]))
            if self._frontier.root() != self._due.root:
                raise Diverged(f"The leaves do not have the root of the head of {self._due.size:,} events.")
            start, self._due = end, next(self._heads, None)
        self._complete(self._frontier.extend(hashes[start:]))

    def _complete(self, subtrees: Iterable[tuple[Node, bytes]]) -> None:
        """Put what the tree completed into the tiles above level 0."""
        for node, hash in subtrees:
            level = node.height // HEIGHT
            row = self._rows.setdefault(level, [])
            row.append(hash)
            if len(row) == WIDTH:
                self._stage(tile_path(Tile(level, node.index // WIDTH, WIDTH)), b"".join(row))
                row.clear()

    # -- what is put on the disk ---------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        """A file of the bundle that is written anew, by its name from the directory."""
        with on_disk(self._incoming):
            path = self._path(name)
            with path.open("wb") as file:
                yield file
                self.bytes += file.tell()
            self.files += 1
            self._sync(path)

    def finish(self, vkeys: Sequence[str], created: str) -> int:
        """Put everything in its place; how many files were taken away. What the manifest says is nobody's proof."""
        if self._leaves:
            self._take_bundle(self._leaves)
        for level, row in self._rows.items():
            if row:
                index = (self.head.size >> HEIGHT * level) // WIDTH
                self._stage(tile_path(Tile(level, index, len(row))), b"".join(row))
        if self._due is not None or self._frontier.size != self.head.size:
            raise Diverged(f"There are {self._frontier.size:,} leaves, and the head covers {self.head.size:,}.")
        with self.writing(MANIFEST) as file:
            file.write(_manifest(self.head, vkeys, created))
        with on_disk(self._incoming):
            self._sync(self._incoming / CHECKPOINTS)
            while self._unsynced:
                self._unsynced.popleft().result()
            for directory in {self._incoming, *self._made}:
                sync(directory)
            decide(self._bundle.directory, self._note)
            # Decided. From here a crash loses nothing: whoever comes next puts everything in its place.
            return put_in_place(self._bundle.directory)

    def set_aside(self) -> Path | None:
        """Keep what was served, and both notes, beside the bundle, for whoever is to be shown it; where it lies."""
        directory = self._bundle.directory.resolve()
        evidence = directory.with_name(f"{directory.name}.disputed-{self.head.size}-{self.head.root[:4].hex()}")
        try:
            if evidence.exists():
                shutil.rmtree(evidence)
            self._incoming.rename(evidence)
            (evidence / "checkpoint.served").write_bytes(self._note)
            if self._bundle.note is not None:
                (evidence / "checkpoint.held").write_bytes(self._bundle.note)
        except OSError:
            return None
        return evidence

    def _stage(self, name: str, data: bytes) -> None:
        """Stage a file, unless it lies in its place as it must be."""
        with on_disk(self._incoming):
            if self._bundle.files.get(name) == len(data) and (self._bundle.directory / name).read_bytes() == data:
                return
            path = self._path(name)
            path.write_bytes(data)
            self.files += 1
            self.bytes += len(data)
            self._sync(path)

    def _path(self, name: str) -> Path:
        path = self._incoming / name
        if path.parent not in self._made:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._made |= set(path.parents) - set(self._incoming.parents)
        return path

    def _sync(self, path: Path) -> None:
        self._unsynced.append(self._pool.submit(sync, path))
        while len(self._unsynced) > _UNSYNCED:
            self._unsynced.popleft().result()


def _where_it_ended(bundle: Bundle) -> tuple[Frontier, dict[int, list[bytes]]]:
    """The tree that is here up to its last full tile, and the partial tiles above level 0; an empty one where what is
    here does not have the root of its checkpoint: all of it is then laid anew."""
    if bundle.head is not None and bundle.is_whole:
        size, nodes = bundle.head.size, root_nodes(bundle.head.size)
        with contextlib.suppress(Damaged):
            subtree = TileReader({tile: bundle.tile(tile) for tile in tiles_for(nodes, size)})
            hashes = [subtree(node) for node in nodes]
            if join(hashes) == bundle.head.root:
                full = size - size % WIDTH
                return Frontier(hashes[: full.bit_count()], full), _rows_above(bundle, size)
    return Frontier(), {}


def _rows_above(bundle: Bundle, size: int) -> dict[int, list[bytes]]:
    rows: dict[int, list[bytes]] = {}
    level = 1
    while (hashes := size >> HEIGHT * level) > 0:
        index, width = divmod(hashes, WIDTH)
        if width:
            data = bundle.tile(Tile(level, index, width))
            rows[level] = [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]
        level += 1
    return rows


def _head_of(note: bytes) -> TreeHead:
    try:
        return read_head(note)
    except NoteRefused:
        raise Diverged("What was shown among the heads is no signed note of a log.") from None


def _manifest(head: TreeHead, vkeys: Sequence[str], created: str) -> bytes:
    said: Mapping[str, Any] = {
        "origin": head.origin,
        "size": head.size,
        "root": to_base64(head.root),
        "vkeys": list(vkeys),
        "created": created,
    }
    return orjson.dumps(said, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
