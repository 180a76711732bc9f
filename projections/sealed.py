"""Sealed builds: what this ledger claims of exactly the events that a published tree head covers.

Of each projection there is a second build beside the active one. It is moved only when a head is about to be published,
to that head's size, by the statements of `projections.projector`. So whoever audits finds rows that are true at a size
whose root is sealed, and readers of the active build do not wait for it.

All three move in one transaction: a reader sees each of them at the size of some head, never between two. One that is
missing, after a rebuild or at first, is folded from the first event.

This module must never touch a row of the active build, and never fold beyond the size that it was told.
"""

from typing import Any, Final

from ledger.sql_files import queries
from projections import reading
from projections.projector import NAMES, Connection, apply
from schemas.ids import Position

CHUNK: Final = 250_000
"""Positions that are applied at once, all in one transaction."""


async def advance(connection: Connection, size: int, *, chunk: int = CHUNK) -> None:
    """Fold every sealed build up to the first `size` events; one that has come further stays as it is.

    The connection is in the role `ledger_projector`, and `size` is one that was sealed. Raises UnknownType, and what
    asyncpg raises; whatever it raises, nothing has moved.
    """
    checkpoints = queries("projections", "sql/checkpoints.sql")
    while not await is_at(connection, size):
        async with connection.transaction():
            builds = await connection.fetch(checkpoints["lock_sealed"])
            if len(builds) == len(NAMES):
                for row in builds:
                    for after in range(row["position"], size, chunk):
                        await apply(connection, row["name"], row["build"], after, min(after + chunk, size))
                return
        await _begin(connection)


async def is_at(connection: Connection, size: int) -> bool:
    """Whether every sealed build is there and has come as far as this."""
    builds = await connection.fetch(queries("projections", "sql/checkpoints.sql")["sealed"])
    return len(builds) == len(NAMES) and all(row["position"] >= size for row in builds)


async def sealed_rows(connection: Connection, name: str) -> tuple[Position, list[dict[str, Any]]]:
    """The size at which the sealed build of a projection is, and its rows as `projections.reading.rows` gives them.

    While a head is being published that is its size already, though it is not shown yet; 0 and no rows where the build
    was not folded yet.
    """
    return await reading.rows(connection, name, sealed=True)


async def _begin(connection: Connection) -> None:
    """Begin the builds that are missing, under the lock under which a rebuild begins one."""
    checkpoints = queries("projections", "sql/checkpoints.sql")
    async with connection.transaction():
        await connection.execute(checkpoints["lock_active"])
        for name in NAMES:
            await connection.execute(checkpoints["begin_sealed_build"], name)
