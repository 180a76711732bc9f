"""What a worker holds in memory: true at its position, never going back, and there while the database is not."""

import asyncio
import tracemalloc
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

import service.snapshots
from ledger.connecting import Connection
from ledger.writer import Writer
from projections.asking.counting import count
from projections.asking.petitions import number_of
from projections.asking.serving import Moved
from projections.projector import catch_up, checkpoint
from projections.rebuild import rebuild
from schemas.commands import Accepted, ChangeAcceptance, Submission
from service.snapshots import Snapshots, _Petitions
from tests.conftest import LedgerDatabase
from tests.filling import ADMIN, BRIDGE, LIBRARY, PAGE, SITE
from tests.histories import SOURCE, opening, signing

PATIENCE = 10.0


@pytest.fixture
async def filled(filled_database: LedgerDatabase) -> LedgerDatabase:
    """Three petitions, folded."""
    await catch_up(await filled_database.connect("ledger_projector"))
    return filled_database


def reader(database: LedgerDatabase) -> Callable[[], Awaitable[Connection]]:
    return lambda: database.connect("ledger_reader")


def holding(database: LedgerDatabase) -> Snapshots:
    return Snapshots(reader(database), interval=0.01)


async def loaded(snapshots: Snapshots) -> None:
    assert await snapshots.wait_for(0, PATIENCE)


async def until(condition: Callable[[], Any]) -> None:
    """Waits for a condition; fails where it does not come."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)


async def sign(database: LedgerDatabase, petition: str, *signers: str) -> int:
    """Signatures, recorded and folded; the position reached."""
    async with Writer(lambda: database.connect("ledger_signing"), "ledger_signing", SOURCE) as writer:
        commands = [signing(petition, signer, imported=False) for signer in signers]
        outcomes = await writer.submit_all([Submission(command, SITE) for command in commands])
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    return await catch_up(await database.connect("ledger_projector"))


async def test_what_is_held_is_what_the_log_answers(filled: LedgerDatabase) -> None:
    """If a petition's count is read from memory, then its bytes are those of the question put to the log."""
    connection = await filled.connect("ledger_reader")
    async with holding(filled) as snapshots:
        await loaded(snapshots)
        for id in (LIBRARY, BRIDGE, PAGE):
            number = await number_of(connection, id)
            assert number is not None
            view = await count(connection, number)
            held = snapshots.count(id)
            assert held is not None
            assert held.body == orjson.dumps(view.body())
            assert (held.number, held.count, held.position) == (number, view.signature_count, view.as_of_position)
        assert snapshots.count("nobody-opened-this") is None
        assert snapshots.position == await checkpoint(connection)


async def test_counts_are_answered_without_a_query(filled: LedgerDatabase) -> None:
    """If counts are read a thousand times between two polls, then not one query is put to the database."""
    asked = 0

    def counted(query: Any) -> None:
        nonlocal asked
        asked += 1

    async def connect() -> Connection:
        connection = await filled.connect("ledger_reader")
        connection.add_query_logger(counted)
        return connection

    async with Snapshots(connect, interval=60) as snapshots:
        await loaded(snapshots)
        await asyncio.sleep(0.05)
        before = asked
        for _ in range(1000):
            assert snapshots.count(LIBRARY) is not None
            assert await snapshots.wait_for(snapshots.position, PATIENCE)
        assert asked == before > 0


async def test_a_quiet_petition_keeps_its_tag_while_others_move(filled: LedgerDatabase) -> None:
    """If one petition moves, then only its bytes and tag are others; the position that memory has come to rises."""
    async with holding(filled) as snapshots:
        await loaded(snapshots)
        before = {id: snapshots.count(id) for id in (LIBRARY, BRIDGE, PAGE)}
        position = await sign(filled, LIBRARY, "somebody", "else")
        assert await snapshots.wait_for(position, PATIENCE)
        assert snapshots.position == position
        after = {id: snapshots.count(id) for id in (LIBRARY, BRIDGE, PAGE)}
        assert after[BRIDGE] is before[BRIDGE]
        assert after[PAGE] is before[PAGE]
        moved, was = after[LIBRARY], before[LIBRARY]
        assert moved is not None
        assert was is not None
        assert (moved.count, moved.position) == (was.count + 2, position)
        assert moved.etag != was.etag


async def test_a_position_that_does_not_come_is_given_up(filled: LedgerDatabase) -> None:
    """If a position is not reached in time, then the answer is no, and nobody goes on waiting for it."""
    async with holding(filled) as snapshots:
        await loaded(snapshots)
        assert not await snapshots.wait_for(snapshots.position + 1, 0.05)
        assert not snapshots.is_awaited


async def test_every_number_that_was_seen_is_the_fold_at_its_position(filled: LedgerDatabase) -> None:
    """If counts are read while signatures come in and are folded, then each equals the log at the position it names,
    and no position is ever below the one before.
    """
    seen: list[tuple[int, int]] = []
    done = asyncio.Event()

    async def reading(snapshots: Snapshots) -> None:
        while not done.is_set():
            held = snapshots.count(LIBRARY)
            assert held is not None
            told = orjson.loads(held.body)
            seen.append((told["as_of_position"], told["signature_count"]))
            assert told["as_of_position"] <= snapshots.position
            await asyncio.sleep(0)

    async with holding(filled) as snapshots:
        await loaded(snapshots)
        task = asyncio.create_task(reading(snapshots))
        for batch in range(6):
            position = await sign(filled, LIBRARY, *[f"{batch}/{number}" for number in range(5)])
            assert await snapshots.wait_for(position, PATIENCE)
        done.set()
        await task
    assert seen == sorted(seen)
    assert len(set(seen)) >= 6
    rows = await filled.superuser.fetch("SELECT position, count_after FROM ledger.events")
    assert set(seen) <= {(row["position"], row["count_after"]) for row in rows}


async def test_what_is_held_is_served_while_the_database_is_away(
    filled: LedgerDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the database goes away, then counts are still there and readiness says no; when it is back, all goes on."""
    monkeypatch.setattr(service.snapshots, "FRESH", 0.2)
    away = False
    connections: list[Connection] = []

    async def connect() -> Connection:
        if away:
            raise ConnectionRefusedError
        connections.append(await filled.connect("ledger_reader"))
        return connections[-1]

    async with Snapshots(connect, interval=0.01) as snapshots:
        await loaded(snapshots)
        assert snapshots.is_ready
        before = snapshots.count(LIBRARY)
        away = True
        await filled.superuser.execute("SELECT pg_terminate_backend($1)", connections[-1].get_server_pid())
        await until(lambda: not snapshots.is_ready)
        assert snapshots.count(LIBRARY) is before
        position = await sign(filled, LIBRARY, "meanwhile")
        assert not await snapshots.wait_for(position, 0.1)
        away = False
        assert await snapshots.wait_for(position, PATIENCE)
        assert snapshots.is_ready


async def test_a_rebuilt_projection_replaces_what_is_held(filled: LedgerDatabase) -> None:
    """If a rebuild that differs is swapped in, then its rows are served, at the same position and as another
    generation, and documents of the former one are not taken for theirs.
    """
    wrong = "UPDATE projections.petitions SET count = 4711 WHERE id = $1"
    await filled.superuser.execute(wrong, LIBRARY)
    async with holding(filled) as snapshots:
        await loaded(snapshots)
        before, generation, position = snapshots.count(LIBRARY), snapshots.generation, snapshots.position
        assert before is not None
        assert before.count == 4711
        await rebuild(await filled.connect("ledger_projector"), ["petitions"], accept=True)
        await until(lambda: snapshots.generation != generation)
        after = snapshots.count(LIBRARY)
        assert after is not None
        assert after.count != 4711
        assert (after.position, snapshots.position) == (before.position, position)


async def test_positions_never_go_back(filled: LedgerDatabase) -> None:
    """If the projections are behind what was served, then what was served stays, this worker is not ready, and it goes
    on from a reading of everything once they have come as far again.
    """
    async with holding(filled) as snapshots:
        await loaded(snapshots)
        before, position = snapshots.count(LIBRARY), snapshots.position
        back = "UPDATE projections.checkpoints SET position = position + $1"
        await filled.superuser.execute(back, -5)
        await filled.superuser.execute("UPDATE projections.petitions SET count = 0, position = position - 5")
        await until(lambda: snapshots.lag().behind)
        assert not snapshots.is_ready
        assert (snapshots.count(LIBRARY), snapshots.position) == (before, position)
        await filled.superuser.execute("UPDATE projections.petitions SET count = 3, position = position + 5")
        await filled.superuser.execute(back, 5)
        await until(lambda: not snapshots.lag().behind)
        after = snapshots.count(LIBRARY)
        assert after is not None
        assert (after.count, snapshots.position) == (3, position)


async def test_more_petitions_than_one_batch_are_all_read(
    filled: LedgerDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If there are more petitions than are taken in at once, then all of them are served, and only when all are there
    is anything.
    """
    monkeypatch.setattr(service.snapshots, "BATCH", 7)
    async with Writer(lambda: filled.connect("ledger_admin"), "ledger_admin", SOURCE) as writer:
        await writer.submit_all([Submission(opening(f"petition-{number}"), ADMIN) for number in range(40)])
        await writer.submit(Submission(ChangeAcceptance("petition-7", "rejected"), ADMIN))
        await writer.submit(Submission(ChangeAcceptance("petition-9", "paused"), ADMIN))
    await catch_up(await filled.connect("ledger_projector"))
    async with holding(filled) as snapshots:
        await loaded(snapshots)
        numbers: list[int] = []
        before: int | None = None
        while page := snapshots.page(None, before, 6):
            numbers += [held.number for _, held in page]
            before = numbers[-1]
        assert numbers == sorted(set(numbers), reverse=True)
        assert len(numbers) == 43
        assert [id for id, _ in snapshots.page("rejected", None, 100)] == ["petition-7"]
        assert {id for id, _ in snapshots.page("closed", None, 100)} == {"petition-9", BRIDGE}
        assert len(snapshots.page("open", None, 100)) == 40


async def test_a_petition_that_changes_its_state_changes_its_list(filled: LedgerDatabase) -> None:
    """If a petition closes, then it is listed among the closed and no longer among the open."""
    async with holding(filled) as snapshots:
        await loaded(snapshots)
        assert LIBRARY in [id for id, _ in snapshots.page("open", None, 100)]
        async with Writer(lambda: filled.connect("ledger_admin"), "ledger_admin", SOURCE) as writer:
            await writer.submit(Submission(ChangeAcceptance(LIBRARY, "closed"), ADMIN))
        assert await snapshots.wait_for(await catch_up(await filled.connect("ledger_projector")), PATIENCE)
        assert LIBRARY not in [id for id, _ in snapshots.page("open", None, 100)]
        assert LIBRARY in [id for id, _ in snapshots.page("closed", None, 100)]


def test_a_petition_takes_a_kilobyte_of_memory_or_less() -> None:
    """If a hundred thousand petitions are held, then they take a hundred megabytes or less."""
    goals = tuple(range(100, 13_000, 100))
    petitions = _Petitions()
    tracemalloc.start()
    try:
        for number in range(1, 3001):
            at = datetime(2026, 1, 1, tzinfo=UTC)
            petitions.put(Moved(f"a-petition-with-a-long-name-{number}", number, "open", goals, 4711, number, at))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken / 3000 < 1024
