"""Reading for a request: what every read needs before it can answer, and the one place where a question that has no
answer becomes a problem.

A view is answered only once the worker's own memory has come up to the position that it is true at; so within a
connection, which stays with one worker, views never go back, wherever they were made. This module must never hold a
database connection while it writes to a client.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, cast

import asyncpg
from aiohttp import web

from ledger.connecting import Connection
from projections.asking.petitions import number_of
from projections.moments import QueryRefused
from service.documents import Document
from service.http import conditional
from service.http.context import CONTEXT, Context
from service.http.parameters import Parameter, position
from service.http.problems import Problem
from service.snapshots import Held

if TYPE_CHECKING:
    Pool = asyncpg.Pool[Any]
else:
    Pool = asyncpg.Pool  # generic for the type checker only

WAIT: Final = 2.0
"""Seconds for which `min_position` is waited for."""
MIN_POSITION: Final[dict[str, Parameter[Any]]] = {"min_position": position()}
"""The query parameter by which a client says how far it has seen."""


def context_of(request: web.Request) -> Context:
    """The worker's wiring."""
    return request.app[CONTEXT]


def desk(context: Context) -> Pool:
    """The pool of what admins read, in a service that serves them."""
    assert context.desk is not None
    return context.desk


async def reach(context: Context, min_position: int | None) -> None:
    """Wait until everything up to this position is in memory. Raises Problem `position-not-reached`, then 503."""
    if min_position is not None and not await context.snapshots.wait_for(min_position, WAIT):
        raise Problem(
            "position-not-reached", "The projections have not reached this position yet; ask again.", status=503
        )


def held(context: Context, id: str) -> Held:
    """The petition in memory. Raises Problem."""
    found = context.snapshots.count(id)
    if found is None:
        if not context.snapshots.is_loaded:
            raise Problem("unavailable", "The service is starting and has not read the petitions yet.")
        raise Problem("not-found", "There is no petition of this id.")
    return found


async def number(context: Context, connection: Connection, id: str) -> int:
    """The petition's number, also where it was recorded a moment ago. Raises Problem `not-found`."""
    found = context.snapshots.count(id)
    known = await number_of(connection, id) if found is None else found.number
    if known is None:
        raise Problem("not-found", "There is no petition of this id.")
    return known


@asynccontextmanager
async def asking(context: Context, pool: Pool) -> AsyncIterator[Connection]:
    """A reader's connection. A question that is refused, and a database that does not answer, become problems."""
    try:
        async with pool.acquire(timeout=context.settings.acquire_timeout) as connection:
            yield cast(Connection, connection)
    except QueryRefused as refusal:
        sentence = str(refusal)
        raise Problem(refusal.problem, sentence[:1].upper() + sentence[1:] + ".") from None
    except asyncpg.SyntaxOrAccessError:
        raise  # a mistake of ours, which the log has to name
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError):
        raise Problem("unavailable", "The ledger cannot be read now.") from None


async def answer(
    request: web.Request, context: Context, made: Document, media: str = "application/json"
) -> web.Response:
    """A document as the answer to a read, once memory has come up to where it is true. Raises Problem."""
    if not await context.snapshots.wait_for(made.position, WAIT):
        raise Problem("unavailable", "The ledger cannot be read now.")
    return conditional.respond(request, made.body, media, tag=made.etag, headers=at_position(context))


def at_position(context: Context) -> dict[str, str]:
    """The header that names the projections' checkpoint, which `min_position` tests."""
    return {"Ledger-Position": str(context.snapshots.position)}
