"""History: the count over time, in effective order as now known, over the events' plain values.

A point is an event that moved the count: its effective time, its position, the count right after it. By hour or day
only the last of each hour or day is given, so that every point, in every interval, is true at its own time: asking the
count effective at that time gives the same number. An hour or a day in which nothing moved has no point.

Days are those of the petition's time zone. Hours are its clock's too, but an hour that the clock shows twice is two.
Undated events stand at the time when they were recorded: the count that the ledger knew did move then.

Pure. This module must never fill a gap with a number that no event made.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, assert_never
from zoneinfo import ZoneInfo

from projections.counting import Entry, running
from schemas.instants import format_instant
from schemas.views import HistoryPoint, Interval

CSV_HEADER: Final = "at,position,count\r\n"
"""The first line of the history as CSV (RFC 4180)."""


def points(
    entries: Iterable[Entry],
    interval: Interval,
    zone: ZoneInfo,
    start: datetime | None = None,
    end: datetime | None = None,
) -> list[HistoryPoint]:
    """The points from `start` to `end`, both inclusive; None is no bound."""
    last: dict[object, HistoryPoint] = {}
    for entry, count in running(entries):
        after_start = start is None or start <= entry.effective
        if entry.delta and after_start and (end is None or entry.effective <= end):
            last[bucket(entry.effective, entry.position, interval, zone)] = history_point(
                entry.effective, entry.position, count
            )
    return sorted(last.values(), key=lambda point: (point.at, point.position))


def bucket(at: datetime, position: int, interval: Interval, zone: ZoneInfo) -> object:
    """What the events of one point have in common."""
    local = at.astimezone(zone)
    match interval:
        case "event":
            return position
        case "hour":
            return at - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
        case "day":
            return local.date()
        case _:
            assert_never(interval)


def history_point(at: datetime, position: int, count: int) -> HistoryPoint:
    """One point."""
    return HistoryPoint(at=at, position=position, count=max(count, 0))


def csv_line(point: HistoryPoint) -> str:
    """One point as a line of CSV. None of its values can hold a comma or a quote."""
    return f"{format_instant(point.at)},{point.position},{point.count}\r\n"
