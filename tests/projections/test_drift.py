"""Drift: its causes sum to the net change, its list leads from one end to the other, and it knows a real page."""

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.drafts import draft
from projections.asking.drift import Explained, drift, explain, listed
from projections.counting import count_as_of, count_effective
from projections.drift import (
    Span,
    causes,
    corrections,
    moved_by_type,
    published,
    span_of_positions,
    span_of_times,
)
from projections.drift import listed as listed_of
from projections.moments import (
    AtPosition,
    AtTime,
    CursorRefused,
    Moment,
    MomentRefused,
    PositionNotReached,
    read_moment,
)
from schemas.commands import WithdrawSignature
from schemas.events import CountPublished
from schemas.ids import Position
from schemas.views import DriftEvent
from tests.histories import BEGINNING, History, correcting, histories, opening, signing, token_of
from tests.projections.entries import NEAR, entries_of, on_a_database, petitions_of, stored, the_page


def _spans(history: History, data: st.DataObject) -> list[tuple[Moment, Moment, Span]]:
    """A range between positions, and one between times, as asked and as meant."""
    low, high = sorted(data.draw(st.tuples(*[st.integers(0, history.size)] * 2)))
    since, until = sorted(data.draw(st.tuples(NEAR, NEAR)))
    return [
        (AtPosition(Position(low)), AtPosition(Position(high)), span_of_positions(low, high)),
        (AtTime(since), AtTime(until), span_of_times(since, until, history.size)),
    ]


@given(histories(), st.data())
def test_the_causes_sum_to_the_net_change_and_every_event_is_listed_once(history: History, data: st.DataObject) -> None:
    """If a range is explained, then its causes sum to the difference of its ends, and its list holds all its events."""
    for petition in petitions_of(history):
        entries = entries_of(history, petition)
        for _, _, span in _spans(history, data):
            net = causes(moved_by_type(entries, span)).total()
            events = listed_of(entries, span)
            assert sorted(event.position for event in events) == [e.position for e in entries if span.holds(e)]
            assert sum(event.delta for event in events) == net
            if span.since is not None and span.until is not None:
                ends = [count_effective(entries, time, span.upto) for time in (span.since, span.until)]
            else:
                ends = [count_as_of(entries, position) for position in (span.after, span.upto)]
            assert ends[1] - ends[0] == net
            held = moved_by_type(entries, span)
            by_correction = sum(correction.net for correction in corrections(entries, span))
            assert by_correction == sum(held.get(f"signature.{how}.v1", 0) for how in ("invalidated", "reinstated"))


@given(histories(), st.data())
def test_the_list_is_oldest_first_and_undated_last(history: History, data: st.DataObject) -> None:
    """If events are listed, then dated ones come first in the order of the range, and no undated one shows a time."""
    for petition in petitions_of(history):
        entries = {entry.position: entry for entry in entries_of(history, petition)}
        for _, _, span in _spans(history, data):
            events = listed_of(list(entries.values()), span)
            assert [event.at is None for event in events] == sorted(event.at is None for event in events)
            dated = [event for event in events if event.at is not None]
            key = (lambda e: (e.at, e.position)) if span.by_time else (lambda e: e.position)
            assert dated == sorted(dated, key=key)
            assert all(event.at is None or event.at == entries[event.position].effective for event in events)


@on_a_database
@given(history=histories(), data=st.data())
async def test_the_database_explains_as_the_fold_does(
    history: History, data: st.DataObject, ledger_database: Any
) -> None:
    """If a drift is asked of the database, whole or in pages, then each part of it is that of the plain values."""
    connection = ledger_database.superuser
    async with stored(connection, history):
        for petition in petitions_of(history):
            entries = entries_of(history, petition)
            for start, end, span in _spans(history, data):
                explained = await explain(connection, petition, start, end)
                view = explained.view
                assert explained.span == span
                assert view.causes == causes(moved_by_type(entries, span))
                assert view.net == view.end.count - view.start.count == view.causes.total()
                assert list(view.corrections) == corrections(entries, span)
                assert list(view.published) == published(entries, span)
                assert not view.is_finding
                expected = listed_of(entries, span)
                assert [event async for event in listed(connection, explained)] == expected
                limit = data.draw(st.integers(1, 5))
                assert await _paged(connection, petition, start, end, limit) == expected


async def _paged(connection: Any, petition: int, start: Moment, end: Moment, limit: int) -> list[DriftEvent]:
    events: list[DriftEvent] = []
    after: int | None = None
    while True:
        page = await drift(connection, petition, start, end, after=after, limit=limit)
        assert len(page.events) == limit or page.next is None
        events += page.events
        if page.next is None:
            return events
        after = page.next


async def test_a_real_page_falls_and_rises_from_13158_to_13163(ledger_database: Any) -> None:
    """If the published page is asked why 13,158 became 13,163, then: +4, -1, -1, +3, each at its own second."""
    history = the_page()
    connection = ledger_database.superuser
    async with stored(connection, history):
        view = await drift(connection, 1, read_moment("count:13158"), read_moment("count:13163"))
        body = view.body()
        assert list(body) == [
            *("petition", "from", "to", "net", "causes", "corrections", "published", "events", "next")
        ]
        assert body["petition"] == "child-protection"
        assert (body["from"]["count"], body["from"]["at"]) == (13158, "2016-11-18T10:42:40.000000Z")
        assert (body["to"]["count"], body["to"]["at"]) == (13163, "2018-01-31T09:56:46.000000Z")
        assert body["net"] == 5
        none = dict.fromkeys(("signed", "confirmed", "withdrawn", "invalidated", "reinstated"), 0)
        assert body["causes"] == {**none, "unitemised": 5}
        moved = [(event["at"], event["delta"], event["count"]) for event in body["events"] if event["delta"]]
        assert moved == [
            ("2017-05-07T14:43:18.000000Z", 4, 13162),
            ("2017-05-08T15:29:53.000000Z", -1, 13161),
            ("2017-05-09T09:29:46.000000Z", -1, 13160),
            ("2018-01-31T09:56:46.000000Z", 3, 13163),
        ]
        assert not view.is_finding

        by_time = await drift(
            connection, 1, read_moment("2016-11-18T10:42:40Z"), read_moment("2018-01-31 09:56:46 +0000")
        )
        assert (by_time.net, by_time.causes) == (view.net, view.causes)
        # A row of the page is an observation and the status that it shows: `count:13158` is the first of the two.
        assert by_time.events == (*view.events[1:], by_time.events[-1])
        assert by_time.events[-1].type == view.events[0].type == "status.declared.v1"
        # Nothing of it was recorded then: asked by recorded time, the ledger knew of nothing.
        recorded = await drift(
            connection, 1, read_moment("2016-11-18T10:42:40Z"), read_moment("2018-01-31T09:56:46Z"), recorded=True
        )
        assert (recorded.net, recorded.start.count, recorded.end.count, recorded.events) == (0, 0, 0, ())


@given(histories())
def test_every_number_that_was_published_is_what_the_replay_gives(history: History) -> None:
    """If a ledger published numbers in any history, then each is the count at its position, and another than the last
    one; none is from before what was said already."""
    for petition in petitions_of(history):
        said = published(entries_of(history, petition), span_of_positions(0, history.size))
        assert all(each.agrees for each in said)
        assert all(one.count != other.count and one.position < other.position for one, other in pairwise(said))


async def test_a_published_number_that_the_replay_does_not_give_is_a_finding(ledger_database: Any) -> None:
    """If the ledger published a number that its log does not give at that position, then the drift is a finding."""
    history = History()
    history.settle(opening("bees"), signing("bees", "a"), signing("bees", "b"))
    history.evolve("bees", draft(CountPublished(count=2, position=3)))
    history.evolve("bees", draft(CountPublished(count=2, position=2)))
    connection = ledger_database.superuser
    async with stored(connection, history):
        good = await drift(connection, 1, AtPosition(Position(0)), AtPosition(Position(4)))
        assert [row.model_dump() for row in good.published] == [
            {"position": 3, "count": 2, "replayed": 2, "agrees": True}
        ]
        assert not good.is_finding
        bad = await drift(connection, 1, AtPosition(Position(0)), AtPosition(Position(5)))
        assert bad.published[1].model_dump() == {"position": 2, "count": 2, "replayed": 1, "agrees": False}
        assert bad.is_finding


async def test_corrections_are_told_with_their_net_effect(ledger_database: Any) -> None:
    """If corrections overlap on a signature, then each says what it moved and how many events it made."""
    history = History()
    history.settle(opening("bees"), *(signing("bees", name) for name in "abc"))
    history.settle(correcting("bees", "invalidate", "ab", "one", reason="bot"))
    history.settle(correcting("bees", "invalidate", "bc", "two"))
    history.settle(correcting("bees", "reinstate", "ab", "three", reason="mistake"))
    connection = ledger_database.superuser
    async with stored(connection, history):
        view = await drift(connection, 1, AtPosition(Position(4)), AtPosition(Position(history.size)))
    assert [(each.kind, each.reason, each.net, each.events) for each in view.corrections] == [
        ("invalidate", "bot", -2, 2),
        ("invalidate", "duplicate", -1, 2),
        ("reinstate", "mistake", 2, 3),
    ]
    assert (view.causes.invalidated, view.causes.reinstated, view.net) == (-3, 2, -1)


async def test_one_time_and_one_position_are_both_taken_as_recorded(ledger_database: Any) -> None:
    """If only one end is a time, then it is resolved to the last position recorded by then."""
    history = History()
    history.settle(opening("bees"), signing("bees", "a", at=BEGINNING - timedelta(days=9)))
    history.settle(WithdrawSignature("bees", None, token_of("bees", "a"), True, BEGINNING - timedelta(days=8)))
    connection = ledger_database.superuser
    async with stored(connection, history):
        view = await drift(connection, 1, AtPosition(Position(0)), AtTime(BEGINNING + timedelta(seconds=1)))
        assert (view.net, view.end.position, view.end.at) == (1, 2, BEGINNING + timedelta(seconds=1))
        by_time = await drift(connection, 1, AtTime(BEGINNING - timedelta(days=8, hours=1)), AtTime(BEGINNING))
        assert (by_time.start.count, by_time.end.count, by_time.start.position, by_time.end.position) == (1, 0, 2, 3)


async def test_a_range_that_runs_backwards_or_beyond_the_head_is_refused(ledger_database: Any) -> None:
    """If `from` lies after `to`, or an end is not reached, or a cursor is foreign, then a sentence says so."""
    history = History()
    history.settle(opening("bees"), signing("bees", "a"))
    connection = ledger_database.superuser
    one, two = AtPosition(Position(1)), AtPosition(Position(2))
    async with stored(connection, history):
        with pytest.raises(MomentRefused):
            await explain(connection, 1, two, one)
        with pytest.raises(MomentRefused):
            await explain(connection, 1, AtTime(BEGINNING), AtTime(BEGINNING - timedelta(seconds=1)))
        with pytest.raises(PositionNotReached):
            await explain(connection, 1, one, AtPosition(Position(3)))
        with pytest.raises(MomentRefused, match="before the later end"):
            await explain(connection, 1, read_moment("count:1"), read_moment("count:1"))
        with pytest.raises(CursorRefused):
            await drift(connection, 1, one, two, after=7)


async def test_undated_events_come_last_and_show_no_time(ledger_database: Any) -> None:
    """If a source dates some signatures only, then the others are listed after them, with `at` null, on later pages."""
    history = History()
    at = BEGINNING - timedelta(days=1)
    history.settle(opening("bees"), signing("bees", "a"), signing("bees", "b", at=at), signing("bees", "c"))
    connection = ledger_database.superuser
    moments: list[tuple[Moment, Moment]] = [
        (AtPosition(Position(1)), AtPosition(Position(4))),
        (AtTime(at - timedelta(seconds=1)), AtTime(BEGINNING + timedelta(days=1))),
    ]
    async with stored(connection, history):
        for start, end in moments:
            events = await _paged(connection, 1, start, end, 1)
            seen: list[tuple[int, datetime | None]] = [(e.position, e.at) for e in events if e.delta]
            assert seen == [(3, at), (2, None), (4, None)]
        explained: Explained = await explain(connection, 1, *moments[0])
        assert explained.view.start.at == BEGINNING + timedelta(seconds=1)
        assert explained.view.end.at is None
