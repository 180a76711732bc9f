"""Rebuilding: a projection's next build beside the active one, from the first event, compared, and swapped in.

Both are brought to the same position under the locks of both checkpoints; then every row is held against its
counterpart. Only where all are equal (or the difference is accepted) does one UPDATE make the new build the active
one; readers see the old rows until then and the new ones from then, never a part. The old build is deleted afterwards,
and with it the sealed one (`projections.sealed`): what made the old rows wrong may have made those wrong too. The next
seal folds it anew.

This module must never touch an active row, and never hide a difference. What a rebuild that died left behind, the next
one removes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ledger.sql_files import queries
from projections.projector import NAMES, Connection, Progress, apply, head
from schemas.ids import Position

CHUNK: Final = 1_000_000
EXAMPLES: Final = 10

_FORGET: Final = {
    "petitions": ("forget_build",),
    "tally": ("forget_build",),
    "timeline": ("forget_build", "forget_build_ladders"),
}


class BuildGone(Exception):
    """Another rebuild removed the build that this one was making, or swapped under it. Nothing is lost: start again."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What came of rebuilding one projection. `examples` are keys of rows that differ, at most ten."""

    name: str
    build: int
    position: Position
    rows: int
    different: int
    examples: tuple[str, ...]
    swapped: bool


async def rebuild(
    connection: Connection,
    names: Sequence[str] = NAMES,
    *,
    accept: bool = False,
    chunk: int = CHUNK,
    progress: Progress | None = None,
) -> list[Rebuilt]:
    """Rebuild these projections one after the other. With `accept`, a build that differs is swapped in as well.

    Raises ValueError for a name that is none, BuildGone, and what `catch_up` raises.
    """
    if unknown := set(names) - set(NAMES):
        raise ValueError(f"there is no projection of this name: {min(unknown)}")
    return [await _rebuild(connection, name, accept, chunk, progress) for name in names]


async def _rebuild(connection: Connection, name: str, accept: bool, chunk: int, progress: Progress | None) -> Rebuilt:
    checkpoints = queries("projections", "sql/checkpoints.sql")
    async with connection.transaction():
        await connection.execute(checkpoints["lock_active"])
        leftover = await connection.fetch(checkpoints["leftover_builds"], name)
        # Numbered before those are forgotten: a rebuild still busy with one of them finds it gone, not replaced.
        build = await connection.fetchval(checkpoints["begin_build"], name)
        for row in leftover:
            await _forget(connection, name, row["build"])
    target = await head(connection)
    position = Position(0)
    while position < target:
        async with connection.transaction():
            position = await _advance(connection, name, build, min(position + chunk, target))
        if progress is not None:
            progress(position, target)
    async with connection.transaction():
        told = await _compare_and_swap(connection, name, build, accept)
    async with connection.transaction():
        await connection.execute(checkpoints["lock_active"])
        for row in await connection.fetch(checkpoints["leftover_builds"], name):
            await _forget(connection, name, row["build"])
    return told


async def _advance(connection: Connection, name: str, build: int, to: int) -> Position:
    """Fold a build up to `to`, in the transaction of the caller."""
    position = await connection.fetchval(queries("projections", "sql/checkpoints.sql")["lock_build"], name, build)
    if position is None:
        raise BuildGone(name)
    if position < to:
        await apply(connection, name, build, position, to)
    return Position(max(position, to))


async def _compare_and_swap(connection: Connection, name: str, build: int, accept: bool) -> Rebuilt:
    checkpoints, own = queries("projections", "sql/checkpoints.sql"), queries("projections", f"sql/{name}.sql")
    locked = {row["name"]: row for row in await connection.fetch(checkpoints["lock_active"])}
    if name not in locked or locked[name]["build"] == build:
        raise BuildGone(name)
    old, reached = locked[name]["build"], locked[name]["position"]
    # An active build that is ahead of the log (the tail of which was lost) is compared as it is.
    position = await _advance(connection, name, build, min(reached, await head(connection)))
    await _advance(connection, name, old, position)
    rows = await connection.fetchval(own["size"], old, build)
    differing = await connection.fetch(own["differences"], old, build, EXAMPLES)
    swap = accept or not differing
    if swap:
        await connection.execute(checkpoints["deactivate"], name, old)
        await connection.execute(checkpoints["activate"], name, build)
        for row in await connection.fetch(checkpoints["lock_sealed_build"], name):
            await _forget(connection, name, row["build"])
    return Rebuilt(
        name=name,
        build=build,
        position=position,
        rows=rows,
        different=differing[0]["different"] if differing else 0,
        examples=tuple(row["key"] for row in differing),
        swapped=swap,
    )


async def _forget(connection: Connection, name: str, build: int) -> None:
    """Delete a build that is not the active one, its rows and its checkpoint."""
    for statement in _FORGET[name]:
        await connection.execute(queries("projections", f"sql/{name}.sql")[statement], build)
    await connection.execute(queries("projections", "sql/checkpoints.sql")["forget_build"], name, build)
