"""Rebuilding: beside, compared, swapped; a difference is told and not swapped in unless it is accepted."""

import asyncio
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.projector import NAMES, catch_up
from projections.reading import rows
from projections.rebuild import BuildGone, Rebuilt, rebuild
from tests.histories import History, histories, signing, store
from tests.projections.test_projector import DATABASE, Database, a_history, bytes_of, folded, undone


async def builds(connection: Any) -> dict[str, list[tuple[int, int, bool]]]:
    found: dict[str, list[tuple[int, int, bool]]] = {name: [] for name in NAMES}
    for row in await connection.fetch("SELECT * FROM projections.checkpoints ORDER BY name, build"):
        found[row["name"]].append((row["build"], row["position"], row["active"]))
    return found


@DATABASE
@given(histories(), st.integers(1, 50), st.data())
async def test_rebuilt_equals_incremental_equals_folded(
    ledger_database: Database, history: History, chunk: int, data: st.DataObject
) -> None:
    """If projections are rebuilt, from wherever the active ones have come to, then no row differs, and the bytes are
    those of the pure fold."""
    reached = data.draw(st.integers(0, history.size), label="reached")
    async with undone(ledger_database.superuser, history) as connection:
        await catch_up(connection, to=reached, chunk=7)
        told = await rebuild(connection, chunk=chunk)
        assert [(each.name, each.position, each.different, each.swapped) for each in told] == [
            (name, history.size, 0, True) for name in NAMES
        ]
        assert [each.rows for each in told] == [len((await rows(connection, name))[1]) for name in NAMES]
        assert await bytes_of(connection) == folded(history)
        assert await builds(connection) == {name: [(2, history.size, True)] for name in NAMES}


TAMPERINGS = {
    "petitions": "UPDATE projections.petitions SET count = count + 1 WHERE id = 'p'",
    "tally": "UPDATE projections.tally SET standing = 99 WHERE dimension = 'country'",
    "timeline": "DELETE FROM projections.timeline WHERE kind = 'milestone' AND rung = 5 AND crossing = 'reached'",
}
KEYS = {"petitions": ("p",), "tally": ("p country unknown",), "timeline": ("p 7 0",)}


@pytest.mark.parametrize("name", NAMES)
async def test_a_row_that_differs_is_told_and_not_swapped_away_unless_accepted(
    ledger_database: Database, name: str
) -> None:
    """If somebody changed a row, then the rebuild names its key and leaves all as it was; accepted, it heals."""
    history = a_history()
    await store(ledger_database.superuser, history)
    projector = await ledger_database.connect("ledger_projector")
    await catch_up(projector)
    await ledger_database.superuser.execute(TAMPERINGS[name])
    tampered = await bytes_of(projector)
    before = await builds(projector)
    (told,) = await rebuild(projector, [name])
    assert (told.different, told.examples, told.swapped) == (1, KEYS[name], False)
    assert await bytes_of(projector) == tampered != folded(history)
    assert await builds(projector) == before
    (told,) = await rebuild(projector, [name], accept=True)
    assert (told.different, told.swapped) == (1, True)
    assert await bytes_of(projector) == folded(history)


async def test_readers_never_see_a_half_built_one(ledger_database: Database) -> None:
    """If somebody reads while a rebuild runs, then every answer is the whole projection."""
    history = a_history()
    await store(ledger_database.superuser, history)
    projector, reader = [await ledger_database.connect(role) for role in ("ledger_projector", "ledger_reader")]
    await catch_up(projector)
    whole, seen = folded(history), 0
    rebuilding = asyncio.create_task(rebuild(projector, chunk=5))
    while not rebuilding.done():
        assert await bytes_of(reader) == whole
        seen += 1
    assert all(each.swapped for each in await rebuilding)
    assert seen > 1
    assert await bytes_of(reader) == whole


async def test_projecting_goes_on_while_rebuilding(ledger_database: Database) -> None:
    """If events are folded while a rebuild runs and after its swap, then nothing is lost and nothing is doubled."""
    history = a_history()
    await store(ledger_database.superuser, history)
    first, second = [await ledger_database.connect("ledger_projector") for _ in range(2)]
    await catch_up(first)
    rebuilding = asyncio.create_task(rebuild(second, chunk=3))
    for number in range(100, 130):
        size = history.size
        history.settle(signing("p", str(number)))
        async with ledger_database.superuser.transaction():
            await store(ledger_database.superuser, history, size)
        await catch_up(first)
    told: list[Rebuilt] = await rebuilding
    assert [(each.different, each.swapped) for each in told] == [(0, True)] * 3
    await catch_up(second)
    assert await bytes_of(first) == folded(history)


async def test_what_a_rebuild_left_behind_is_removed_by_the_next(ledger_database: Database) -> None:
    """If a rebuild died half-way, then the next one removes its rows, and the dead one cannot go on."""
    history = a_history()
    await store(ledger_database.superuser, history)
    projector, other = [await ledger_database.connect("ledger_projector") for _ in range(2)]
    await catch_up(projector)
    half_way = asyncio.Event()

    def stop(position: int, target: int) -> None:
        half_way.set()
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await rebuild(projector, ["tally"], chunk=20, progress=stop)
    assert half_way.is_set()
    assert [build for build, _, _ in (await builds(other))["tally"]] == [1, 2]
    assert (await rebuild(other, ["tally"]))[0].swapped
    assert (await builds(other))["tally"] == [(3, history.size, True)]
    left = await other.fetchval("SELECT count(*) FROM projections.tally WHERE build <> 3")
    assert left == 0
    assert await bytes_of(other) == folded(history)


async def test_two_rebuilds_at_once_leave_one_whole_projection(ledger_database: Database) -> None:
    """If two rebuilds run side by side, then each either swaps or is told that its build is gone."""
    history = a_history()
    await store(ledger_database.superuser, history)
    connections = [await ledger_database.connect("ledger_projector") for _ in range(2)]
    told = await asyncio.gather(*(rebuild(each, chunk=3) for each in connections), return_exceptions=True)
    assert all(isinstance(each, (list, BuildGone)) for each in told), told
    assert any(isinstance(each, list) for each in told)
    await rebuild(connections[0])
    assert await bytes_of(connections[0]) == folded(history)
    assert {len(each) for each in (await builds(connections[0])).values()} == {1}


async def test_a_projection_ahead_of_a_log_that_lost_its_tail_is_rebuilt_when_accepted(
    ledger_database: Database,
) -> None:
    """If the log is shorter than what was folded, then the rows that are too many are told, and go when accepted."""
    history, longer = a_history(), a_history()
    longer.settle(signing("p", "one more"))
    await store(ledger_database.superuser, longer)
    projector = await ledger_database.connect("ledger_projector")
    await catch_up(projector)
    await ledger_database.superuser.execute("UPDATE ledger.head SET position = $1", history.size)
    (told,) = await rebuild(projector, ["petitions"])
    assert (told.position, told.different, told.swapped) == (history.size, 1, False)
    assert all(each.swapped for each in await rebuild(projector, accept=True))
    assert await bytes_of(projector) == folded(history)


async def test_a_name_that_is_no_projection_is_refused(ledger_database: Database) -> None:
    """If a rebuild is asked for something else, then nothing happens."""
    with pytest.raises(ValueError, match="no projection"):
        await rebuild(ledger_database.superuser, ["tallies"])


async def test_a_reader_cannot_rebuild(ledger_database: Database) -> None:
    """If a reader's role tries, then the database refuses."""
    with pytest.raises(asyncpg.PostgresError):
        await rebuild(await ledger_database.connect("ledger_reader"), ["tally"])
