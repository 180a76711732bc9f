"""The projector: set-based SQL says what the pure folds say, by any ranges, resumed anywhere, and stops at what it does
not know."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Protocol

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.connecting import Role
from projections import as_corrected as pure
from projections.projector import NAMES, CheckpointAhead, catch_up, checkpoint
from projections.reading import as_corrected, rows
from projections.replay import canonical_rows, replay
from schemas.canonical import canonical
from schemas.commands import ChangeAcceptance, ContinueCorrection, ObserveCount, RevisePetition
from schemas.envelope import UnknownType
from schemas.events import Acceptance, PetitionRevised
from tests.histories import BEGINNING, History, correcting, fixed_uuid, histories, opening, signing, store

DATABASE = settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


class Database(Protocol):
    """What the fixture `ledger_database` gives."""

    @property
    def superuser(self) -> Any: ...

    async def connect(self, role: Role) -> Any: ...


@asynccontextmanager
async def undone(connection: Any, history: History) -> AsyncIterator[Any]:
    """A transaction in which the database holds this history, seen as a projector; taken back at the end."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await store(connection, history)
        await connection.execute("SET LOCAL ROLE ledger_projector")
        yield connection
    finally:
        await transaction.rollback()


async def bytes_of(connection: Any) -> dict[str, bytes]:
    """Every projection in canonical form."""
    return {name: canonical_rows((await rows(connection, name))[1]) for name in NAMES}


def folded(history: History, as_of: int | None = None) -> dict[str, bytes]:
    """The same, folded from the leaves."""
    replayed = replay(history.leaves, as_of)["projections"]
    assert replayed.keys() == set(NAMES)
    return {name: canonical_rows(found) for name, found in replayed.items()}


def a_history(signers: int = 30) -> History:
    history = History()
    history.settle(opening("p", milestones=(5, 10)), opening("q", basis="observed"))
    history.settle(*(signing("p", str(number)) for number in range(signers)))
    history.settle(correcting("p", "invalidate", [str(number) for number in range(signers // 2)], "one", reason="bot"))
    return history


@DATABASE
@given(histories(), st.integers(1, 40), st.data())
async def test_folding_by_any_ranges_gives_the_bytes_of_the_pure_fold(
    ledger_database: Database, history: History, chunk: int, data: st.DataObject
) -> None:
    """If a history is projected by ranges of any size, with a stop anywhere, then at the stop and at the end every row
    equals the replay, byte for byte."""
    stop = data.draw(st.integers(0, history.size), label="stop")
    async with undone(ledger_database.superuser, history) as connection:
        assert await catch_up(connection, to=stop, chunk=chunk) == stop
        assert await bytes_of(connection) == folded(history, stop)
        assert await catch_up(connection, chunk=chunk) == history.size
        assert await bytes_of(connection) == folded(history)


@DATABASE
@given(histories())
async def test_event_by_event_is_the_same_as_all_at_once(ledger_database: Database, history: History) -> None:
    """If every event is a range of its own, or all are one, then the rows are the same bytes."""
    async with undone(ledger_database.superuser, history) as connection:
        await catch_up(connection, chunk=1)
        one_by_one = await bytes_of(connection)
    async with undone(ledger_database.superuser, history) as connection:
        await catch_up(connection)
        assert await bytes_of(connection) == one_by_one


@DATABASE
@given(histories(), st.data())
async def test_as_corrected_in_the_database_is_as_corrected_from_the_leaves(
    ledger_database: Database, history: History, data: st.DataObject
) -> None:
    """If signatures are held, then the query without them gives what the pure fold without them gives."""
    as_of = data.draw(st.integers(0, history.size), label="as of")
    async with undone(ledger_database.superuser, history) as connection:
        await catch_up(connection, to=as_of)
        for id in [*history.known.petitions, "nobody-opened-this"]:
            ours = pure.as_corrected(lambda: history.leaves, id, as_of)
            told = await as_corrected(connection, id)
            assert (told and canonical_rows(told.pop("timeline"))) == (ours and canonical_rows(ours.pop("timeline")))
            assert (told and canonical(told)) == (ours and canonical(ours))


def a_history_that_is_hard_to_fold() -> History:
    """Corrections that run through each other, holds lifted one by one, ladders changed between observations that come
    out of time order, several changes of what a petition takes in one batch."""
    history = History()
    history.settle(opening("p", milestones=(2, 3)), opening("q", basis="observed", milestones=(10, 50)))
    history.settle(*(signing("p", str(number), country=("GB", None)[number % 2]) for number in range(5)))
    ids = [fixed_uuid(f"p/{number}/0") for number in range(5)]
    first = history.begin("p", "invalidate", ids[:3], "first")
    second = history.begin("p", "invalidate", ids[2:], "second")
    history.settle(correcting("p", "invalidate", ["0"], "third"), ContinueCorrection("p", second))
    lifting = history.begin("p", "reinstate", ids, "lifting", lifts=second)
    history.settle(ContinueCorrection("p", first))
    history.settle(ContinueCorrection("p", lifting))
    history.settle(*(ChangeAcceptance("p", each) for each in ACCEPTANCES))
    history.settle(RevisePetition("p", PetitionRevised(milestones=(4,), text_version=2)))
    history.settle(signing("p", "6"), signing("p", "7"))
    history.settle(ObserveCount("q", 55, "page", None))
    for day, count in ((5, 20), (1, 12), (3, 60)):
        history.settle(ObserveCount("q", count, "page", BEGINNING - timedelta(days=9 - day)))
        history.settle(RevisePetition("q", PetitionRevised(milestones=(15, 20 + day), text_version=1, title=f"{day}")))
    return history


ACCEPTANCES: tuple[Acceptance, ...] = ("paused", "closed", "open", "rejected", "open")


async def test_what_is_hard_to_fold_is_folded_alike_by_any_ranges(ledger_database: Database) -> None:
    """If corrections interleave, ladders change and time runs backwards, then SQL and fold agree at every position."""
    history = a_history_that_is_hard_to_fold()
    states = [row["detail"] for row in replay(history.leaves)["projections"]["timeline"] if row["kind"] == "correction"]
    assert [row["net"] for row in states if "net" in row] == [-1, -3, -1, 2]
    for chunk in (1, 2, 3, 7, history.size):
        async with undone(ledger_database.superuser, history) as connection:
            for to in range(chunk, history.size + chunk, chunk):
                position = await catch_up(connection, to=to, chunk=chunk)
                assert await bytes_of(connection) == folded(history, position)
                for id in history.known.petitions:
                    ours = pure.as_corrected(lambda: history.leaves, id, position)
                    assert await as_corrected(connection, id) == ours


async def test_a_session_of_another_zone_and_date_style_gives_the_same_bytes(ledger_database: Database) -> None:
    """If the session that folds and reads writes its times and numbers otherwise, then no byte is another."""
    history = a_history(4)
    history.settle(opening("r", opens_at=BEGINNING, closes_at=BEGINNING + timedelta(days=9)))
    for day in range(3):
        history.settle(ObserveCount("q", day * 4, "page", BEGINNING - timedelta(days=day)))
    async with undone(ledger_database.superuser, history) as connection:
        for setting in ("timezone = 'Asia/Kathmandu'", "datestyle = 'German'", "intervalstyle = 'sql_standard'"):
            await connection.execute(f"SET LOCAL {setting}")
        await catch_up(connection, chunk=5)
        assert await bytes_of(connection) == folded(history)


async def test_the_checkpoint_moves_with_the_state(ledger_database: Database) -> None:
    """If a range fails half-way, then neither rows nor checkpoint moved, and the next run goes on from there."""
    history = a_history()
    await store(ledger_database.superuser, history)
    projector = await ledger_database.connect("ledger_projector")
    await catch_up(projector, to=10)
    before = await bytes_of(projector)
    # The last statement of the range trips over this row, which is none of any fold.
    await ledger_database.superuser.execute(
        "INSERT INTO projections.timeline (build, petition, position, ordinal, kind, recorded_at, count, detail)"
        " SELECT 1, 'p', $1, 0, 'update', now(), 0, '{}'",
        history.size,
    )
    with pytest.raises(asyncpg.UniqueViolationError):
        await catch_up(projector)
    await ledger_database.superuser.execute("DELETE FROM projections.timeline WHERE position = $1", history.size)
    assert await checkpoint(projector) == 10
    assert await bytes_of(projector) == before == folded(history, 10)
    assert await catch_up(projector) == history.size
    assert await bytes_of(projector) == folded(history)


async def test_an_unknown_type_stops_the_projector_before_anything_moves(ledger_database: Database) -> None:
    """If a newer writer has appended a type that this projector does not know, then it stops, and skips nothing."""
    history = a_history(3)
    await store(ledger_database.superuser, history)
    projector = await ledger_database.connect("ledger_projector")
    await ledger_database.superuser.execute("ALTER TYPE ledger.event_type ADD VALUE 'petition.blessed.v1'")
    assert await catch_up(projector) == history.size
    unknown = (history.size + 1, 1, 99, "petition.blessed.v1", BEGINNING, BEGINNING, 0, 0, *[None] * 7, b"{}")
    await ledger_database.superuser.execute(
        "INSERT INTO ledger.events VALUES"
        " ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, sha256('\\x00'::bytea || $16))",
        *unknown,
    )
    await ledger_database.superuser.execute("UPDATE ledger.head SET position = position + 1")
    with pytest.raises(UnknownType, match=f"position {history.size + 1}"):
        await catch_up(projector)
    assert await checkpoint(projector) == history.size
    assert await bytes_of(projector) == folded(history)


async def test_a_checkpoint_ahead_of_the_log_stops_the_projector(ledger_database: Database) -> None:
    """If the log has lost its tail, then the projector says so instead of waiting for other events in its place."""
    history = a_history(3)
    await store(ledger_database.superuser, history)
    projector = await ledger_database.connect("ledger_projector")
    await catch_up(projector)
    await ledger_database.superuser.execute("UPDATE ledger.head SET position = position - 1")
    with pytest.raises(CheckpointAhead):
        await catch_up(projector)


async def test_two_projectors_at_once_fold_every_event_once(ledger_database: Database) -> None:
    """If projectors run side by side, then they take turns at the checkpoint, and the rows are as if there were one."""
    history = a_history()
    await store(ledger_database.superuser, history)
    projectors = [await ledger_database.connect("ledger_projector") for _ in range(3)]
    assert await asyncio.gather(*(catch_up(each, chunk=3) for each in projectors)) == [history.size] * 3
    assert await bytes_of(projectors[0]) == folded(history)


async def test_progress_is_told_range_by_range(ledger_database: Database) -> None:
    """If progress is asked for, then it rises by ranges to the head."""
    history = a_history(10)
    await store(ledger_database.superuser, history)
    told: list[tuple[int, int]] = []
    projector = await ledger_database.connect("ledger_projector")
    await catch_up(projector, chunk=7, progress=lambda position, target: told.append((position, target)))
    assert told == [(min(end, history.size), history.size) for end in range(7, history.size + 7, 7)]
    assert await catch_up(projector, to=3) == history.size


async def test_readers_may_read_and_nothing_else(ledger_database: Database) -> None:
    """If a reader's connection is used, then it sees rows with their checkpoint, and cannot fold."""
    history = a_history(3)
    await store(ledger_database.superuser, history)
    await catch_up(await ledger_database.connect("ledger_projector"))
    reader = await ledger_database.connect("ledger_reader")
    assert await bytes_of(reader) == folded(history)
    assert (await rows(reader, "tally", "p"))[0] == history.size
    for name in NAMES:
        found = await reader.fetch(f"SELECT checkpoint FROM projections.current_{name}")  # noqa: S608 - a fixed name
        assert {row["checkpoint"] for row in found} == {history.size}
    with pytest.raises(asyncpg.PostgresError):
        await catch_up(reader)
