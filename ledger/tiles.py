"""Tiles: the tree cut into files of at most 256 hashes, and its leaves into bundles of as many (C2SP tlog-tiles).

A tile of level L holds hashes of subtrees of 256^L leaves: level 0 the leaf hashes, each level above the roots of the
full tiles below it. What lies between two levels is hashed again from the tile. A full tile never changes; the last one
of a level may be partial, and is then another file for every width.

Paths are read strictly: one tile has one path. A number in it is bounded by its form before it is a number, and nothing
here allocates or loops by it. This module must never look into a leaf, and proves nothing: whoever did not make the
tiles himself holds what is read from them against a root.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from ledger.merkle import HASH_BYTES, LARGEST_SIZE, Node, root

HEIGHT: Final = 8
"""How many levels of the tree a tile spans."""
WIDTH: Final = 1 << HEIGHT
"""How many hashes a full tile, and how many leaves a full bundle, holds."""
LARGEST_LEAF: Final = 2**16 - 1
"""Bytes: the length before a leaf is a uint16 (C2SP tlog-tiles, "Log entries")."""

# Indexes in groups of three digits, all but the last behind an x, and no group of zeros before the others.
_INDEX: Final = r"(?P<index>[0-9]{3}|x(?!000)[0-9]{3}(?:/x[0-9]{3}){0,5}/[0-9]{3})"
_WIDTH: Final = r"(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
_TILE_PATH: Final = re.compile(rf"tile/(?P<level>0|[1-9][0-9]?)/{_INDEX}{_WIDTH}")
_ENTRIES_PATH: Final = re.compile(rf"tile/entries/{_INDEX}{_WIDTH}")
_HIGHEST_LEVEL: Final = 63
_LENGTH_BYTES: Final = 2


class Tile(NamedTuple):
    """The first `width` (1 to 256) hashes of the tile of this index (from 0) at this level (from 0)."""

    level: int
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody asks for
    width: int

    @property
    def is_full(self) -> bool:
        return self.width == WIDTH


def tile_path(tile: Tile) -> str:
    """The path of a tile below the log's prefix: `tile/0/x001/234.p/57` (C2SP tlog-tiles, "Merkle Tree")."""
    return f"tile/{tile.level}/{_index_path(tile.index, tile.width)}"


def entries_path(index: int, width: int) -> str:
    """The path of the bundle of the leaves under the level 0 tile of this index and width: `tile/entries/000.p/3`."""
    return f"tile/entries/{_index_path(index, width)}"


def parse_tile_path(text: str) -> Tile | None:
    """The tile that has this path; None for every other text. Which tiles a tree has is for `width_at` to say."""
    match = _TILE_PATH.fullmatch(text)
    if match is None or int(match["level"]) > _HIGHEST_LEVEL:
        return None
    level, index, width = int(match["level"]), _index(match), _width(match)
    if width is None or index > LARGEST_SIZE >> HEIGHT * (level + 1):
        return None
    return Tile(level, index, width)


def parse_entries_path(text: str) -> tuple[int, int] | None:
    """The index and the width of the bundle that has this path; None for every other text."""
    match = _ENTRIES_PATH.fullmatch(text)
    if match is None:
        return None
    index, width = _index(match), _width(match)
    if width is None or index > LARGEST_SIZE >> HEIGHT:
        return None
    return index, width


def width_at(level: int, index: int, size: int) -> int:
    """How many hashes the tile of this level and index has in a tree of this size: 0 (there is none) to 256.

    C2SP tlog-tiles, "Partial Tiles". With level 0 it is also the number of leaves in the bundle.
    """
    return max(0, min(WIDTH, (size >> HEIGHT * level) - WIDTH * index))


def tiles_of(size: int) -> Iterator[Tile]:
    """All tiles of a tree of this size, from level 0 upwards and left to right: the full ones and the partial one of
    each level, none of width 0."""
    level = 0
    while (hashes := size >> HEIGHT * level) > 0:
        full, rest = divmod(hashes, WIDTH)
        for index in range(full):
            yield Tile(level, index, WIDTH)
        if rest:
            yield Tile(level, full, rest)
        level += 1


def tiles_for(nodes: Iterable[Node], size: int) -> list[Tile]:
    """The tiles, as they are in a tree of this size, that hold what these complete subtrees need; each once.

    Raises ValueError where a subtree is not in the tree.
    """
    tiles: dict[Tile, None] = {}
    for node in nodes:
        if node.height < 0 or node.index < 0 or node.index >= size >> node.height:
            raise ValueError("a tree of this size has no such subtree")
        level, index, _, _ = _place(node)
        tiles[Tile(level, index, width_at(level, index, size))] = None
    return list(tiles)


class TileReader:
    """Hashes of complete subtrees, read from tiles: a `subtree` for `prove_inclusion` and `prove_consistency`.

    Where a tile is given in several widths the widest serves. Raises ValueError where one is not as long as its width
    says, and, when called, LookupError where no tile holds the subtree.
    """

    __slots__ = ("_tiles",)

    def __init__(self, tiles: Mapping[Tile, bytes]) -> None:
        self._tiles: dict[tuple[int, int], bytes] = {}
        for tile, hashes in tiles.items():
            if len(hashes) != HASH_BYTES * tile.width:
                raise ValueError("a tile has 32 bytes for every hash of its width")
            place = tile.level, tile.index
            self._tiles[place] = max(self._tiles.get(place, b""), hashes, key=len)

    def __call__(self, node: Node) -> bytes:
        level, index, first, count = _place(node)
        hashes = self._tiles.get((level, index), b"")[HASH_BYTES * first : HASH_BYTES * (first + count)]
        if len(hashes) != HASH_BYTES * count:
            raise LookupError("no tile holds this subtree")
        # As many hashes as a power of two: their root is that of the subtree (RFC 6962 section 2.1).
        return root([hashes[start : start + HASH_BYTES] for start in range(0, len(hashes), HASH_BYTES)])


def encode_bundle(leaves: Sequence[bytes]) -> bytes:
    """The bundle of 1 to 256 leaves: each after its length, a big-endian uint16 (C2SP tlog-tiles, "Log entries").

    Raises ValueError where it has no such form.
    """
    if not 1 <= len(leaves) <= WIDTH or any(len(leaf) > LARGEST_LEAF for leaf in leaves):
        raise ValueError("a bundle holds 1 to 256 leaves of at most 65,535 bytes")
    return b"".join(part for leaf in leaves for part in (len(leaf).to_bytes(_LENGTH_BYTES, "big"), leaf))


def decode_bundle(data: bytes, width: int) -> list[bytes]:
    """The leaves of a bundle of this width. Raises ValueError where it holds fewer, or anything behind them."""
    if not 1 <= width <= WIDTH:
        raise ValueError("a bundle holds 1 to 256 leaves")
    leaves: list[bytes] = []
    at = 0
    for _ in range(width):
        start = at + _LENGTH_BYTES
        at = start + int.from_bytes(data[at:start], "big")
        if max(start, at) > len(data):
            raise ValueError("the bundle ends within a leaf, or before its last one")
        leaves.append(data[start:at])
    if at != len(data):
        raise ValueError("something stands behind the bundle's last leaf")
    return leaves


def _place(node: Node) -> tuple[int, int, int, int]:
    """Where a complete subtree stands: level and index of its tile, and which hashes of it (first, count)."""
    level, above = divmod(node.height, HEIGHT)
    first = node.index << above
    return level, first >> HEIGHT, first % WIDTH, 1 << above


def _index_path(index: int, width: int) -> str:
    groups = [f"{index % 1000:03}"]
    while index := index // 1000:
        groups.append(f"x{index % 1000:03}")
    return "/".join(reversed(groups)) + ("" if width == WIDTH else f".p/{width}")


def _index(match: re.Match[str]) -> int:
    return int(match["index"].replace("x", "").replace("/", ""))


def _width(match: re.Match[str]) -> int | None:
    """1 to 255 for a partial tile, 256 for a full one; None for a width that has no path."""
    if match["width"] is None:
        return WIDTH
    width = int(match["width"])
    return width if width < WIDTH else None
