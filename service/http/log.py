"""The log as others audit it: the newest tree head, tiles of every hash and every leaf, the keys, every head there was.

Formats: C2SP tlog-checkpoint (`/checkpoint`; `/heads` as the file `checkpoints` of a bundle), tlog-tiles (`/tile/...`)
and signed-note (`/vkey`). An event is public in `/events` when it is committed, and here once a published head covers
it: beyond the newest one nothing is shown, because nothing was promised.

Coordinates are read off the path as it was sent, by the strict reader of the form. This module must never allocate or
loop by a number of a client's, never hash a node, and never call immutable what is not full.
"""

from collections.abc import AsyncGenerator, Mapping
from hashlib import sha256
from typing import Any, Final

from aiohttp import web

from ledger.bundle import BETWEEN
from ledger.connecting import Connection
from ledger.log_reading import published, stated_keys
from ledger.log_reading import tile as read_tile
from ledger.tiles import WIDTH, Tile, encode_bundle, parse_entries_path, parse_tile_path, width_at
from projections.asking.serving import Page
from service.http import conditional, proofs, sealed_projections
from service.http.audit import leaves_of
from service.http.context import Context
from service.http.newest_head import BRIEF, TEXT, newest, not_yet_sealed
from service.http.parameters import Parameter, position, query
from service.http.problems import Problem
from service.http.reading import asking, context_of
from service.http.routes import Answer, Route
from service.http.streaming import stream

BINARY: Final = "application/octet-stream"
A_MINUTE: Final = "public, max-age=60"
"""For a partial tile: it never changes, but soon nobody asks for it any more."""
HEADS: Final = 1000
"""Heads of a page, and beyond them those of the last one's size."""

HEADS_QUERY: Final[Mapping[str, Parameter[Any]]] = {"after": position()}

_LEVEL: Final = "{level:(?:[0-9]|[1-5][0-9]|6[0-3])}"
_INDEX: Final = "{index:(?:x[0-9]{3}/){0,6}[0-9]{3}}"
_WIDTH: Final = "{width:(?:[1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5])}"


async def checkpoint(request: web.Request) -> web.StreamResponse:
    """The newest tree head as its signed note."""
    context = context_of(request)
    async with asking(context, context.audit) as connection:
        head = await newest(connection)
    return conditional.respond(request, head.note, TEXT, cache=BRIEF)


async def tile(request: web.Request) -> web.StreamResponse:
    """The hashes of a tile, full or partial."""
    context, asked = context_of(request), parse_tile_path(_sent(request))
    if asked is None:
        raise _no_such_tile()
    async with asking(context, context.audit) as connection:
        await _must_cover(connection, asked)
        hashes = await read_tile(connection, asked)
    return conditional.respond(request, hashes, BINARY, cache=_kept(asked))


async def entries(request: web.Request) -> web.StreamResponse:
    """The leaves under a tile of level 0: 4 MiB at the most, so that a client has a bounded time to take them."""
    context, place = context_of(request), parse_entries_path(_sent(request))
    if place is None:
        raise _no_such_tile()
    asked = Tile(0, *place)
    async with asking(context, context.audit) as connection:
        await _must_cover(connection, asked)
        hashes = await read_tile(connection, asked)
    tag = f'"{sha256(b"entries" + hashes).hexdigest()[:32]}"'  # the hashes of the leaves say what the leaves are
    return await stream(request, _bundle(context, asked, hashes), BINARY, tag=tag, cache=_kept(asked))


async def vkey(request: web.Request) -> web.StreamResponse:
    """The keys that seal, newest first."""
    context = context_of(request)
    async with asking(context, context.audit) as connection:
        keys = await stated_keys(connection)
    if not keys:
        raise not_yet_sealed("No key has sealed yet.")
    return conditional.respond(request, "".join(f"{key}\n" for key in keys).encode(), TEXT, cache=BRIEF)


async def heads(request: web.Request) -> web.StreamResponse:
    """The published heads above a size, as they were shown; none where there are none."""
    context = context_of(request)
    asked = query(request, **HEADS_QUERY)
    async with asking(context, context.audit) as connection:
        found = await published(connection, after=asked["after"] or 0, limit=HEADS)
    return conditional.respond(request, BETWEEN.join(head.note for head in found), TEXT)


async def _must_cover(connection: Connection, asked: Tile) -> None:
    """Raises Problem `not-yet-sealed`, which nobody keeps for longer than a moment."""
    head = await newest(connection)
    if asked.width > width_at(asked.level, asked.index, head.size):
        raise not_yet_sealed("No published tree head covers this tile yet.")


async def _bundle(context: Context, asked: Tile, hashes: bytes) -> AsyncGenerator[bytes, None]:
    """An entry bundle, in one piece as a rule; several one behind the other are one bundle too."""
    first = asked.index * WIDTH
    async for some in leaves_of(context, Page(None, first, first + asked.width, hashes[-32:], full=True), WIDTH):
        yield encode_bundle(some)


def _sent(request: web.Request) -> str:
    """The path as it was sent, without its first slash: with escapes it is none of the form."""
    return request.rel_url.raw_path.removeprefix("/")


def _kept(asked: Tile) -> str:
    return conditional.IMMUTABLE if asked.is_full else A_MINUTE


def _no_such_tile() -> Problem:
    return Problem("not-found", "No tile has this path.")


_TILES: Final = "32 bytes a hash, of subtrees of 256 to the power of `level` leaves."
_ENTRIES: Final = "Each leaf behind its length, a big-endian uint16."

ROUTES: Final = (
    Route(
        "GET",
        "/checkpoint",
        checkpoint,
        "public",
        "readCheckpoint",
        "The newest tree head, signed",
        {200: Answer("A signed note: origin, size and root (C2SP tlog-checkpoint).", media=("text/plain",))},
        problems=("not-yet-sealed",),
    ),
    Route(
        "GET",
        f"/tile/{_LEVEL}/{_INDEX}",
        tile,
        "public",
        "readTile",
        "A full tile of the Merkle tree",
        {200: Answer(f"256 hashes: {_TILES}", media=(BINARY,))},
        problems=("not-yet-sealed",),
    ),
    Route(
        "GET",
        f"/tile/{_LEVEL}/{_INDEX}.p/{_WIDTH}",
        tile,
        "public",
        "readPartialTile",
        "The first hashes of a tile",
        {200: Answer(f"So many hashes: {_TILES}", media=(BINARY,))},
        problems=("not-yet-sealed",),
    ),
    Route(
        "GET",
        f"/tile/entries/{_INDEX}",
        entries,
        "public",
        "readEntries",
        "256 events, as they were hashed",
        {200: Answer(f"256 leaves. {_ENTRIES}", media=(BINARY,))},
        problems=("not-yet-sealed",),
    ),
    Route(
        "GET",
        f"/tile/entries/{_INDEX}.p/{_WIDTH}",
        entries,
        "public",
        "readPartialEntries",
        "The first events of a bundle, as they were hashed",
        {200: Answer(f"So many leaves. {_ENTRIES}", media=(BINARY,))},
        problems=("not-yet-sealed",),
    ),
    Route(
        "GET",
        "/vkey",
        vkey,
        "public",
        "readVerifierKeys",
        "The keys that seal tree heads",
        {200: Answer("A verifier key a line, the newest first (C2SP signed-note).", media=("text/plain",))},
        problems=("not-yet-sealed",),
    ),
    Route(
        "GET",
        "/heads",
        heads,
        "public",
        "readHeads",
        "Every tree head that was published, in pages",
        {
            200: Answer(
                "Signed notes of sizes above `after`, oldest first, a line `---` between two. The next page is the one"
                " after the size of the last; past the end there is none.",
                media=("text/plain",),
            )
        },
        query=HEADS_QUERY,
    ),
    *proofs.ROUTES,
    *sealed_projections.ROUTES,
)
