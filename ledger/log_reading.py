"""Reading the public log: tree heads that were shown, tiles, leaves, and the keys that seal, out of the database.

Tiles are not stored: those of level 0 are the leaf hashes of events, those above the subtrees that sealing wrote. What
is asked for is read by ranges of positions and indexes, in bounded memory. Any role that may read seals may ask.

This module must never hash, never sign, and never give a tile or a leaf that is not there whole. It does not look at
how far the log was sealed: whoever serves a tile first holds it against the newest published size.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import asyncpg

from ledger.merkle import Node
from ledger.sql_files import queries
from ledger.tiles import WIDTH, Tile, TileReader, tiles_for

if TYPE_CHECKING:
    Connection = asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]
else:
    Connection = asyncpg.Connection  # generic for the type checker only

_HASH: Final = 32
_ASKED: Final = queries("ledger", "sql/queries/sealing.sql")


class NotThere(LookupError):
    """The log does not have the leaves, or the subtrees, that were asked for."""


class Published(NamedTuple):
    """A tree head that was shown: the `nth` one from 1, and its note with the lines of witnesses that were there."""

    nth: int
    size: int
    root: bytes
    note: bytes
    published: datetime


async def newest_published(connection: Connection) -> Published | None:
    """The head that `/checkpoint` shows; None where none was ever shown."""
    row = await connection.fetchrow(_ASKED["newest_published"])
    return None if row is None else Published(*row)


async def published(connection: Connection, *, after: int = 0, limit: int = 1000) -> list[Published]:
    """The heads that were shown of sizes above `after`, in the order in which they were shown: `limit` of them (1 or
    more), and then those that have the last one's size too. What follows is asked for with that size as `after`.
    """
    return [Published(*row) for row in await connection.fetch(_ASKED["published"], after, limit)]


async def sealed_root(connection: Connection, size: int) -> bytes | None:
    """The root that was sealed at this size, shown or not; None where there is no head of this size."""
    root: bytes | None = await connection.fetchval(_ASKED["sealed_root"], size)
    return root


async def stated_keys(connection: Connection) -> list[str]:
    """The verifier keys (C2SP vkeys) that ever sealed under the log's present origin, the last stated first."""
    return [row["vkey"] for row in await connection.fetch(_ASKED["stated_keys_of_origin"])]


async def tile(connection: Connection, tile: Tile) -> bytes:
    """The hashes of one tile, `width` times 32 bytes. Raises NotThere."""
    return (await tiles(connection, [tile]))[tile]


async def tiles(connection: Connection, wanted: Iterable[Tile]) -> dict[Tile, bytes]:
    """The hashes of some tiles, in at most two queries. Raises NotThere."""
    found: dict[Tile, bytes] = {}
    leaves: list[Tile] = []
    subtrees: list[Tile] = []
    for each in dict.fromkeys(wanted):
        (subtrees if each.level else leaves).append(each)
    if leaves:
        rows = await connection.fetch(
            _ASKED["tiles_of_leaves"], [each.index for each in leaves], [each.width for each in leaves]
        )
        found |= {each: _whole(row["hashes"], each.width) for each, row in zip(leaves, rows, strict=True)}
    if subtrees:
        rows = await connection.fetch(
            _ASKED["tiles_of_subtrees"],
            [each.level for each in subtrees],
            [each.index for each in subtrees],
            [each.width for each in subtrees],
        )
        found |= {each: _whole(row["hashes"], each.width) for each, row in zip(subtrees, rows, strict=True)}
    return found


async def reader(connection: Connection, nodes: Iterable[Node], size: int) -> TileReader:
    """What `prove_...` of `ledger.merkle` asks for subtrees, with the tiles of the tree of this size that hold these
    nodes. Raises NotThere.
    """
    return TileReader(await tiles(connection, tiles_for(nodes, size)))


async def entries(connection: Connection, index: int, width: int) -> list[bytes]:
    """The leaves of one entry bundle, 1 to 256. Raises NotThere."""
    first = index * WIDTH
    rows = await connection.fetch(_ASKED["entries"], first, first + width)
    if len(rows) != width:
        raise NotThere(f"{len(rows)} leaves of {width}")
    return [row["leaf"] for row in rows]


def _whole(hashes: bytes | None, width: int) -> bytes:
    if hashes is None or len(hashes) != width * _HASH:
        raise NotThere(f"{len(hashes or b'') // _HASH} hashes of {width}")
    return hashes
