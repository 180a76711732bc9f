"""The projector: brings the projections up to the head, a range of positions at a time.

Per range one transaction: lock the checkpoints (so that there is one projector at a time), read the head, apply
everything above the checkpoint up to it by sets, move the checkpoint. One new event and ten million go the same way. A
projector may die anywhere: what it did not commit was not done, and the next one goes on from the checkpoint.

This module must never skip an event: a type that it does not know stops it before anything moves. It must never write
an event, and never fold past the head.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from ledger.sql_files import queries
from projections.standing import FOLDED_TYPES
from schemas.envelope import UnknownType
from schemas.ids import Position

if TYPE_CHECKING:
    Connection = asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]
else:
    Connection = asyncpg.Connection  # generic for the type checker only

Progress = Callable[[Position, Position], None]
"""Told after each range: how far it has come, and how far it will go."""

NAMES: Final = ("petitions", "tally", "timeline")
CHUNK: Final = 50_000

_STATEMENTS: Final[dict[str, tuple[str, ...]]] = {
    "petitions": ("open_petitions", "declare_petitions", "count_petitions"),
    "tally": ("tally",),
    "timeline": (
        "end_ladders",
        "begin_ladders",
        "declare_entries",
        "end_corrections",
        "cross_rungs",
        "claim_rungs",
        "forget_inferences",
        "infer_rungs",
    ),
}


class CheckpointAhead(Exception):
    """A projection has folded further than the log goes: the log has lost a tail, or another one was restored.

    Nothing is repaired: whoever restored a log rebuilds the projections from it.
    """


async def catch_up(
    connection: Connection, *, to: int | None = None, chunk: int = CHUNK, progress: Progress | None = None
) -> Position:
    """Bring every active projection up to the head, or up to `to` where that is less; the position reached.

    `chunk` is the most positions that one transaction applies. Raises UnknownType, CheckpointAhead, and what asyncpg
    raises; whatever it raises, every transaction that was committed before stands.
    """
    while True:
        async with connection.transaction():
            done = await _step(connection, to, chunk)
        if done is None:
            continue  # a rebuild swapped while the lock was waited for
        position, target = done
        if progress is not None:
            progress(position, target)
        if position >= target:
            return position


async def checkpoint(connection: Connection) -> Position:
    """How far the active projections have come: the least of their checkpoints."""
    rows = await connection.fetch(queries("projections", "sql/checkpoints.sql")["active"])
    return Position(min(row["position"] for row in rows))


async def apply(connection: Connection, name: str, build: int, after: int, to: int) -> None:
    """Fold the events of (after, to] into a build and move its checkpoint, in the transaction of the caller, who holds
    the checkpoint's lock. Raises UnknownType.
    """
    checkpoints, statements = queries("projections", "sql/checkpoints.sql"), queries("projections", f"sql/{name}.sql")
    await _refuse_unknown_types(connection, after, to)
    # Plans made while a table was small are ruinous once it is not, and compiling costs more than it saves on a range.
    await connection.execute("SET LOCAL plan_cache_mode = force_custom_plan")
    await connection.execute("SET LOCAL jit = off")
    for statement in _STATEMENTS[name]:
        await connection.execute(statements[statement], build, after, to)
    await connection.execute(checkpoints["move"], name, build, to)


async def head(connection: Connection) -> Position:
    """The position of the last event."""
    return Position(await connection.fetchval(queries("projections", "sql/checkpoints.sql")["head"]))


async def _step(connection: Connection, to: int | None, chunk: int) -> tuple[Position, Position] | None:
    """One range of every active projection: how far they have come and how far they go; None where to ask again."""
    active = await connection.fetch(queries("projections", "sql/checkpoints.sql")["lock_active"])
    if len(active) != len(NAMES):
        return None
    end = await head(connection)
    if any(row["position"] > end for row in active):
        raise CheckpointAhead(f"a projection is ahead of the log, which ends at position {end}")
    target = end if to is None else Position(min(end, to))
    reached = []
    for row in active:
        after = row["position"]
        until = max(after, min(after + chunk, target))
        if until > after:
            await apply(connection, row["name"], row["build"], after, until)
        reached.append(until)
    return Position(min(reached)), target


async def _refuse_unknown_types(connection: Connection, after: int, to: int) -> None:
    checkpoints = queries("projections", "sql/checkpoints.sql")
    known = await connection.fetch(checkpoints["types"])
    unknown = [row["type"] for row in known if row["type"] not in FOLDED_TYPES]
    if unknown and (first := await connection.fetchval(checkpoints["first_of_types"], after, to, unknown)) is not None:
        raise UnknownType(f"position {first}: a type that this version does not know")
