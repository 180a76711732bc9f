"""History: every point is true at its own time, in every interval, and pages lose none."""

import csv as csv_format
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.asking.history import csv, history
from projections.asking.history import points as points_of
from projections.counting import Entry, count_effective
from projections.history import points
from projections.moments import CursorRefused
from schemas.views import HistoryPoint, Interval
from tests.histories import BEGINNING, History, histories, opening, signing
from tests.projections.entries import NEAR, entries_of, on_a_database, petitions_of, stored, the_page

INTERVALS: tuple[Interval, ...] = ("hour", "day", "event")
LONDON = ZoneInfo("Europe/London")


@given(histories(), st.sampled_from(INTERVALS), st.none() | NEAR, st.none() | NEAR)
def test_every_point_is_the_count_effective_at_its_time(
    log: History, interval: Interval, start: datetime | None, end: datetime | None
) -> None:
    """If a point is the last of its instant, then the count effective then is its count; bounds choose, and no more."""
    for petition in petitions_of(log):
        entries = entries_of(log, petition)
        found = points(entries, interval, LONDON, start, end)
        for point, following in zip_longest(found, found[1:]):
            assert start is None or start <= point.at
            assert end is None or point.at <= end
            if following is None or following.at > point.at:
                assert point.count == max(count_effective(entries, point.at, log.size), 0)
        everything = points(entries, "event", LONDON)
        assert [point for point in everything if point in found] == found
        if interval == "event" and start is None and end is None:
            assert len(found) == sum(1 for entry in entries if entry.delta)


@on_a_database
@given(log=histories(), interval=st.sampled_from(INTERVALS), start=st.none() | NEAR, end=st.none() | NEAR)
async def test_the_database_gives_the_points_of_the_plain_values(
    log: History, interval: Interval, start: datetime | None, end: datetime | None, ledger_database: Any
) -> None:
    """If a history is asked of the database, whole or in pages, then it is that of the plain values."""
    connection = ledger_database.superuser
    async with stored(connection, log):
        for petition in petitions_of(log):
            expected = points(entries_of(log, petition), interval, LONDON, start, end)
            stream = points_of(connection, petition, interval, start=start, end=end)
            assert [point async for point in stream] == expected
            paged: list[HistoryPoint] = []
            after: int | None = None
            while True:
                page = await history(connection, petition, interval, start=start, end=end, after=after, limit=2)
                paged += page.points
                if page.next is None:
                    break
                after = page.next
            assert paged == expected


async def test_an_hour_that_the_clock_shows_twice_is_two_and_days_are_local(ledger_database: Any) -> None:
    """If clocks are put back, then the repeated hour has a point each time; a day ends at the petition's midnight."""
    log = History()
    times = [
        "2025-10-26T00:10:00+00:00",  # 01:10 in London, summer time
        "2025-10-26T00:50:00+00:00",  # 01:50, summer time
        "2025-10-26T01:20:00+00:00",  # 01:20 again, winter time
        "2025-10-26T23:59:59+00:00",
        "2025-10-27T00:00:00+00:00",
        "2025-07-01T22:59:59+00:00",
        "2025-07-01T23:00:00+00:00",  # midnight in London
    ]
    log.settle(opening("bees"), *(signing("bees", t, at=datetime.fromisoformat(t)) for t in times))
    connection = ledger_database.superuser
    async with stored(connection, log):
        hours = await history(connection, 1, "hour")
        days = await history(connection, 1, "day")
    local = points(entries_of(log, 1), "hour", LONDON)
    assert list(hours.points) == local
    assert [point.at.isoformat() for point in hours.points] == [times[5], times[6], *times[1:5]]
    assert [point.at.isoformat() for point in days.points] == [times[5], times[6], times[3], times[4]]
    assert [point.count for point in days.points] == [1, 2, 6, 7]


def test_an_hour_of_a_zone_that_is_off_by_minutes_is_that_of_its_clock() -> None:
    """If a zone is 45 minutes off the hour, then its hours begin at a quarter past those of UTC."""
    times = [datetime(2025, 3, 1, 12, minute, tzinfo=UTC) for minute in (14, 15, 59)]
    entries = [
        Entry(position, "signature.recorded.v1", at, BEGINNING, 1, {}) for position, at in enumerate(times, start=1)
    ]
    assert [point.position for point in points(entries, "hour", ZoneInfo("Asia/Kathmandu"))] == [1, 3]
    assert [point.position for point in points(entries, "hour", LONDON)] == [3]


async def test_the_history_of_a_real_page_is_its_numbers_in_order(ledger_database: Any) -> None:
    """If the page is asked for its history, as CSV or as a document, then each number stands at its own second."""
    connection = ledger_database.superuser
    async with stored(connection, the_page()):
        view = await history(connection, 1, "event", end=datetime(2014, 6, 1, tzinfo=UTC))
        lines = [line async for line in csv(connection, 1, "event")]
        days = await history(connection, 1, "day", end=datetime(2014, 6, 1, tzinfo=UTC))
    assert [point.count for point in view.points] == [10, 25, 50, 100, 500, 1000, 5000, 10_000]
    assert [point.count for point in days.points] == [1000, 5000, 10_000]
    assert view.body()["points"][0] == {"at": "2014-05-17T01:11:09.000000Z", "position": 2, "count": 10}
    rows = list(csv_format.DictReader(lines))
    assert len(rows) == 19
    assert rows[-1] == {"at": "2018-01-31T09:56:46.000000Z", "position": "30", "count": "13163"}


async def test_a_cursor_of_another_petition_is_refused(ledger_database: Any) -> None:
    """If `after` is no event of this petition, then no page follows it."""
    log = History()
    log.settle(opening("bees"), opening("wasps"), signing("wasps", "a", at=BEGINNING - timedelta(days=1)))
    connection = ledger_database.superuser
    async with stored(connection, log):
        with pytest.raises(CursorRefused):
            await history(connection, 1, "day", after=3)
