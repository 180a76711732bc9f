"""What this ledger claims at its newest published tree head, for whoever folds the leaves and compares.

All projections are read in one snapshot of the database and kept together, so that a mirror that takes them one after
the other over one connection gets those of one head, although others are published meanwhile. This module must never
answer rows under another size than the one that they were folded up to.
"""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from aiohttp import web

from ledger.log_reading import Published
from projections.claimed import claim
from projections.projector import NAMES
from projections.replay import Rows
from projections.sealed import sealed_rows
from schemas.ids import LARGEST_POSITION
from schemas.log_views import ProjectionView
from service.documents import Together, document
from service.http.context import Context
from service.http.newest_head import newest
from service.http.parameters import Parameter, integer, query
from service.http.problems import Problem
from service.http.reading import WAIT, answer, asking, context_of
from service.http.routes import Answer, Route

AGAIN: Final = 0.05
"""Seconds between two looks while the next head is being published."""

SIZE_QUERY: Final[Mapping[str, Parameter[Any]]] = {"size": integer(1, LARGEST_POSITION)}


class _Moving(Exception):
    """The projections are folded up to the next head already, which is not published yet; or it has just been."""


async def projection(request: web.Request) -> web.StreamResponse:
    """The rows of a projection, folded exactly up to the newest published head, or to one that is kept from before."""
    context, name = context_of(request), request.match_info["projection"]
    size = query(request, **SIZE_QUERY)["size"]
    claimed = None if size is None else context.snapshots.claims.kept(_key(context, size))
    if claimed is None:
        claimed = await _newest(context, size)
    return await answer(request, context, claimed.documents[name])


async def _newest(context: Context, size: int | None) -> Together:
    """What is claimed at the newest published head, which must be of this size where one is asked for."""
    for _ in range(round(WAIT / AGAIN)):
        async with asking(context, context.audit) as connection:
            head = await newest(connection)
        if size not in (None, head.size):
            raise Problem("position-not-reached", "The newest published tree head is of another size.")
        try:
            return await context.snapshots.claims.get(_key(context, head.size), partial(_made, context, head.size))
        except _Moving:
            await asyncio.sleep(AGAIN)
    raise Problem("unavailable", "The projections are not folded up to the newest tree head.")


async def _made(context: Context, size: int) -> Together:
    """Every projection at the newest published head, if that is of this size. Raises _Moving."""
    async with (
        asking(context, context.audit) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        head = await newest(connection)
        folded = {name: await sealed_rows(connection, name) for name in NAMES}
    if {head.size, *(position for position, _ in folded.values())} != {size}:
        raise _Moving
    return await asyncio.to_thread(_written, head, folded)


def _written(head: Published, folded: Mapping[str, tuple[int, Rows]]) -> Together:
    """As documents. Outside the event loop: they may be long."""
    return Together(
        {name: document(claim(name, head.size, head.root, rows), head.size) for name, (_, rows) in folded.items()}
    )


def _key(context: Context, size: int) -> tuple[int, int]:
    return context.snapshots.generation, size


ROUTES: Final = (
    Route(
        "GET",
        "/projections/{projection:petitions|tally|timeline}.json",
        projection,
        "public",
        "readProjection",
        "What this ledger claims at its newest published tree head",
        {200: Answer("The rows of a projection, folded up to the head.", model=ProjectionView)},
        query=SIZE_QUERY,
        problems=("not-yet-sealed", "position-not-reached"),
    ),
)
