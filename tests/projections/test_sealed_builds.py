"""Sealed builds: folded exactly up to the size that was told, whatever the active builds, rebuilds and others do."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from projections.projector import NAMES, catch_up
from projections.reading import rows
from projections.rebuild import rebuild
from projections.replay import canonical_rows
from projections.sealed import advance, is_at, sealed_rows
from tests.histories import History, histories, store
from tests.projections.test_projector import DATABASE, Database, a_history, bytes_of, folded, undone
from tests.projections.test_rebuild import builds


@DATABASE
@given(histories(), st.integers(1, 40), st.lists(st.integers(0, 200), max_size=3))
async def test_a_sealed_build_is_the_fold_of_exactly_its_size(
    ledger_database: Database, history: History, chunk: int, stops: list[int]
) -> None:
    """If a build goes from seal to seal, in ranges of any size, then its rows are those of the leaves up to the last
    one, byte for byte, wherever the active build is; and it never goes back."""
    async with undone(ledger_database.superuser, history) as connection:
        reached = 0
        for stop in [*stops, history.size]:
            size = min(stop, history.size)
            await advance(connection, size, chunk=chunk)
            reached = max(reached, size)
            found = {name: await sealed_rows(connection, name) for name in NAMES}
            assert {name: position for name, (position, _) in found.items()} == dict.fromkeys(NAMES, reached)
            assert {name: canonical_rows(of) for name, (_, of) in found.items()} == folded(history, reached)
        assert {position for position, _ in [await rows(connection, name) for name in NAMES]} == {0}
        await catch_up(connection)
        assert await bytes_of(connection) == folded(history)


async def test_before_the_first_seal_there_is_nothing(ledger_database: Database) -> None:
    """If nothing was sealed yet, then the sealed builds are at 0 and without rows, and a build of size 0 is none."""
    history = a_history()
    await store(ledger_database.superuser, history)
    projector = await ledger_database.connect("ledger_projector")
    reader = await ledger_database.connect("ledger_reader")
    assert [await sealed_rows(reader, name) for name in NAMES] == [(0, [])] * 3
    assert not await is_at(projector, 0)
    await advance(projector, history.size)
    assert await is_at(projector, history.size)
    assert not await is_at(projector, history.size + 1)
    assert [position for position, _ in [await sealed_rows(reader, name) for name in NAMES]] == [history.size] * 3


async def test_a_rebuild_that_swaps_forgets_the_sealed_build(ledger_database: Database) -> None:
    """If a projection is rebuilt and swapped, then its sealed build goes too, with its rows, and the next seal folds it
    anew; one that was not swapped, and those of other projections, stay."""
    history = a_history()
    await store(ledger_database.superuser, history)
    projector = await ledger_database.connect("ledger_projector")
    await catch_up(projector)
    await advance(projector, 20)
    sealed = {name: await sealed_rows(projector, name) for name in NAMES}
    await ledger_database.superuser.execute("UPDATE projections.tally SET standing = 99 WHERE build = 1")
    assert [told.swapped for told in await rebuild(projector, ["tally"])] == [False]
    assert {name: await sealed_rows(projector, name) for name in NAMES} == sealed
    assert [told.swapped for told in await rebuild(projector, ["tally"], accept=True)] == [True]
    assert await sealed_rows(projector, "tally") == (0, [])
    assert await sealed_rows(projector, "timeline") == sealed["timeline"]
    assert [build for build, _, _ in (await builds(projector))["tally"]] == [3]
    assert await ledger_database.superuser.fetch("SELECT FROM projections.tally WHERE build <> 3") == []
    assert not await is_at(projector, 20)
    await advance(projector, 20)
    assert {name: await sealed_rows(projector, name) for name in NAMES} == sealed


async def test_those_who_advance_and_rebuild_at_once_come_to_one_end(ledger_database: Database) -> None:
    """If several sealers advance while projections are followed and rebuilt, then nobody fails, and every build is what
    the leaves make of it."""
    history = a_history()
    await store(ledger_database.superuser, history)
    connections = [await ledger_database.connect("ledger_projector") for _ in range(5)]

    async def advancing(connection: object, step: int) -> None:
        for size in range(step, history.size, step):
            await advance(connection, size)  # type: ignore[arg-type]

    async def rebuilding() -> None:
        for _ in range(3):
            await rebuild(connections[3])

    await asyncio.gather(
        advancing(connections[0], 3), advancing(connections[1], 5), catch_up(connections[2], chunk=4), rebuilding()
    )
    await advance(connections[4], history.size)
    found = {name: canonical_rows((await sealed_rows(connections[4], name))[1]) for name in NAMES}
    assert found == await bytes_of(connections[4]) == folded(history)
