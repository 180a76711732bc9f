"""The count: as of a position, as of a time, effective at a time; and the moments by which people ask for it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.asking import counting as asking
from projections.asking.moments import position_of
from projections.asking.petitions import head_of_log, id_of, number_of
from projections.counting import count_as_of, count_effective, count_view, goals_as_of
from projections.moments import (
    AsOf,
    AtPosition,
    AtTime,
    MomentRefused,
    PositionNotReached,
    WhenCountBecame,
    read_as_of,
    read_moment,
)
from schemas.commands import RevisePetition
from schemas.events import PetitionRevised
from schemas.ids import Position
from schemas.views import CountView
from tests.histories import BEGINNING, History, histories, opening, signing
from tests.projections.entries import NEAR, entries_of, on_a_database, petitions_of, stored


def _naive(history: History, petition: int, position: int, effective: datetime | None) -> CountView:
    """The document by going through the rows once, with nothing but addition."""
    count, last, recorded = 0, 0, None
    for row in history.events:
        if row[1] != petition or row[0] > position:
            continue
        last, recorded = row[0], row[5]
        if effective is None or row[4] <= effective:
            count += row[6]
    entries = entries_of(history, petition)
    goals = tuple(goals_as_of(entries, position))
    count = max(count, 0)
    target = next((rung for rung in goals if rung > count), None)
    return CountView(
        signature_count=count,
        as_of_position=last,
        as_of=recorded,
        goal=target,
        remaining=None if target is None else target - count,
    )


@given(histories())
def test_the_count_as_of_each_position_is_what_the_writer_counted(history: History) -> None:
    """If the deltas up to a position are summed, then the sum is the count that stands beside the event there."""
    for petition in petitions_of(history):
        entries = entries_of(history, petition)
        for row in history.events:
            if row[1] == petition:
                assert count_as_of(entries, row[0]) == row[7]


@given(histories(), NEAR, st.integers(0, 90))
def test_a_count_effective_by_a_time_ignores_what_was_recorded_later(
    history: History, time: datetime, position: int
) -> None:
    """If events are recorded above a position, then the count effective by any time, as known there, does not move."""
    for petition in petitions_of(history):
        entries = entries_of(history, petition)
        known_then = [entry for entry in entries if entry.position <= position]
        assert count_effective(entries, time, position) == count_effective(known_then, time, position)
        assert count_effective(entries, datetime(2100, 1, 1, tzinfo=UTC), position) == count_as_of(entries, position)


@on_a_database
@given(history=histories(), data=st.data())
async def test_the_database_answers_every_count_as_the_fold_does(
    history: History, data: st.DataObject, ledger_database: Any
) -> None:
    """If a count is asked as of a position or a time, effective or recorded, then it is that of adding up the rows."""
    connection = ledger_database.superuser
    async with stored(connection, history):
        for petition in petitions_of(history):
            positions = [0, petition - 1, petition, history.size, data.draw(st.integers(0, history.size))]
            time, effective = data.draw(NEAR), data.draw(st.none() | NEAR)
            recorded_by = max((row[0] for row in history.events if row[5] <= time), default=0)
            asked: Sequence[tuple[AsOf | None, int]] = [
                (None, history.size),
                (AtTime(time), recorded_by),
                *((AtPosition(Position(position)), position) for position in positions),
            ]
            for as_of, position in asked:
                found = await asking.count(connection, petition, as_of=as_of, effective=effective)
                assert found == _naive(history, petition, position, effective)


@on_a_database
@given(history=histories(), data=st.data())
async def test_the_event_by_which_the_count_last_became_a_number_is_found(
    history: History, data: st.DataObject, ledger_database: Any
) -> None:
    """If the count was moved to N, then `count:N` is the last such event, or the last before another; else refused."""
    connection = ledger_database.superuser
    async with stored(connection, history):
        head = await head_of_log(connection)
        for petition in petitions_of(history):
            before = data.draw(st.none() | st.integers(0, history.size + 1))
            for count in range(9):
                made = [row[0] for row in history.events if row[1] == petition and row[6] and row[7] == count]
                made = [position for position in made if before is None or position < before]
                if made:
                    found = await position_of(connection, petition, WhenCountBecame(count), head, before=before)
                    assert found == made[-1]
                else:
                    with pytest.raises(MomentRefused):
                        await position_of(connection, petition, WhenCountBecame(count), head, before=before)


async def test_a_position_beyond_the_head_is_refused_and_a_time_beyond_it_is_the_head(ledger_database: Any) -> None:
    """If nothing stands at a position yet, then it has no count; by a time to come all that is known counts."""
    history = History()
    history.settle(opening("bees"), signing("bees", "a"), signing("bees", "b"))
    connection = ledger_database.superuser
    async with stored(connection, history):
        assert await id_of(connection, 1) == "bees"
        with pytest.raises(PositionNotReached) as refused:
            await asking.count(connection, 1, as_of=AtPosition(Position(4)))
        assert refused.value.problem == "position-not-reached"
        assert refused.value.head == 3
        later = await asking.count(connection, 1, as_of=AtTime(BEGINNING + timedelta(days=365)))
        assert (later.signature_count, later.as_of_position, later.goal, later.remaining) == (2, 3, 5, 3)


async def test_a_petition_is_found_by_its_id_as_soon_as_it_is_recorded(ledger_database: Any) -> None:
    """If the projection has a petition it says where it begins; what it has not come to yet is found in the log."""
    history = History()
    history.settle(opening("bees"), signing("bees", "a"), opening("wasps"))
    connection = ledger_database.superuser
    async with stored(connection, history):
        assert [await number_of(connection, id) for id in ("bees", "wasps", "ants")] == [1, 3, None]
    async with stored(connection, history):
        await connection.execute("RESET ROLE")
        await connection.execute("UPDATE projections.checkpoints SET position = 2 WHERE name = 'petitions'")
        await connection.execute(
            """
            INSERT INTO projections.petitions (
              build, id, first_position, title, addressee, basis, provenance, confirmation, timezone, goals, milestones,
              public_fields, text_version, acceptance, opened_at, created_at, updated_at, count, position, recorded,
              version)
            VALUES (1, 'hornets', 2, '-', '', 'itemised', 'live', 'none', 'UTC', '[]', '[]', '[]', 1, 'open',
              now(), now(), now(), 0, 2, now(), 1)
            """
        )
        await connection.execute("SET LOCAL ROLE ledger_reader")
        # Not `bees`: the projection, which has come past it, does not know it.
        assert [await number_of(connection, id) for id in ("bees", "wasps", "hornets")] == [None, 3, 2]


async def test_an_empty_log_counts_nothing(ledger_database: Any) -> None:
    """If nothing was ever recorded, then the head is 0 and a count is that of a petition before its first event."""
    connection = ledger_database.superuser
    async with stored(connection, History()):
        assert (await head_of_log(connection)).position == 0
        assert await asking.count(connection, 1) == count_view(0, 0, None, ())


async def test_the_goal_is_that_of_the_ladder_as_it_stood(ledger_database: Any) -> None:
    """If goals are revised, then counts as of positions before keep the old goal; another revision changes none."""
    history = History()
    history.settle(opening("bees", goals=(1, 5)), signing("bees", "a"))
    history.settle(RevisePetition("bees", PetitionRevised(goals=(3, 4), text_version=2)))
    history.settle(RevisePetition("bees", PetitionRevised(title="Save them", text_version=3)))
    connection = ledger_database.superuser
    async with stored(connection, history):
        goals = [
            (await asking.count(connection, 1, as_of=AtPosition(Position(position)))).goal for position in range(5)
        ]
    assert goals == [None, 1, 5, 3, 3]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("0", AtPosition(Position(0))),
        ("4711", AtPosition(Position(4711))),
        ("count:0", WhenCountBecame(0)),
        ("count:13158", WhenCountBecame(13158)),
        ("2018-01-31 09:56:46 +0100", AtTime(datetime(2018, 1, 31, 8, 56, 46, tzinfo=UTC))),
        ("2018-01-31T09:56:46Z", AtTime(datetime(2018, 1, 31, 9, 56, 46, tzinfo=UTC))),
    ],
)
def test_a_moment_is_a_position_a_time_or_a_count(text: str, moment: object) -> None:
    """If a text has one of the three forms, then that is what it means."""
    assert read_moment(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        *("", "-1", "007", "9" * 17, "9007199254740993", "2018-01-31", "2018-01-31T09:56:46", "yesterday"),
        *("١٢", " 12", "1e3", "count:", "count:-1", "count:013", "count:13,158", "count:12 ", "count:9007199254740993"),
    ],
)
def test_what_is_no_moment_is_refused_without_repeating_it(text: str) -> None:
    """If a text has none of the forms, or a time has no offset, then a sentence says so, and does not hold the text."""
    with pytest.raises(MomentRefused) as refused:
        read_moment(text)
    assert text.strip() in ("", "-1", "12", "count:") or text.strip() not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None


def test_a_count_is_no_moment_to_be_as_of() -> None:
    """If `as_of` is asked by count, then it is refused: the surface knows positions and times there."""
    with pytest.raises(MomentRefused):
        read_as_of("count:12")
