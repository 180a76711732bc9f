"""Asking for a drift: its ends, its causes, its list of events, in pages or as a stream.

Shell; `projections.drift` says what a drift is. This module must never hold a whole list: a page has a limit, and
without one there is the stream.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, Final

from ledger.connecting import Connection
from ledger.sql_files import queries
from projections.asking.moments import position_of
from projections.asking.petitions import SQL as COUNTING
from projections.asking.petitions import head_of_log, id_of
from projections.drift import Span, causes, drift_event, held_against, span_of_positions, span_of_times
from projections.moments import AtTime, CursorRefused, Moment
from schemas.views import DriftCorrection, DriftEnd, DriftEvent, DriftView

SQL: Final = queries("projections", "sql/queries/drift.sql")
PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class Explained:
    """A drift without its list of events, and the range that `listed` gives the list of."""

    petition: int
    span: Span
    view: DriftView


async def drift(
    connection: Connection,
    petition: int,
    start: Moment,
    end: Moment,
    *,
    recorded: bool = False,
    after: int | None = None,
    limit: int = PAGE,
) -> DriftView:
    """The drift with one page of its events: the first, or the one that follows the event at `after`.

    Raises MomentRefused, PositionNotReached, CursorRefused.
    """
    explained = await explain(connection, petition, start, end, recorded=recorded)
    # One more than is given tells whether there is a next page.
    events = [event async for event in listed(connection, explained, after=after, limit=limit + 1)]
    more = len(events) > limit
    return explained.view.model_copy(
        update={"events": tuple(events[:limit]), "next": events[limit - 1].position if more else None}
    )


async def explain(
    connection: Connection, petition: int, start: Moment, end: Moment, *, recorded: bool = False
) -> Explained:
    """The drift but for its events. Two times are effective times, unless `recorded`; one time is always resolved to
    the last position recorded by then. Raises MomentRefused, PositionNotReached.
    """
    head = await head_of_log(connection)
    if isinstance(start, AtTime) and isinstance(end, AtTime) and not recorded:
        span = span_of_times(start.time, end.time, head.position)
        ends = [await _end_at_time(connection, petition, moment, head.position) for moment in (start, end)]
    else:
        upto = await position_of(connection, petition, end, head)
        since = await position_of(connection, petition, start, head, before=upto)
        span = span_of_positions(since, upto)
        ends = [
            await _end_at_position(connection, petition, since, start),
            await _end_at_position(connection, petition, upto, end),
        ]
    range_ = _arguments(petition, span)
    moved = await connection.fetch(SQL["moved_by_type"], *range_)
    corrections = await connection.fetch(SQL["corrections"], *range_)
    published = await connection.fetch(SQL["published"], *range_)
    view = DriftView(
        petition=await id_of(connection, petition),
        start=ends[0],
        end=ends[1],
        net=ends[1].count - ends[0].count,
        causes=causes({row["type"]: row["delta"] for row in moved}),
        corrections=tuple(DriftCorrection(**dict(row.items())) for row in corrections),
        published=tuple(held_against(row["position"], row["count"], row["replayed"]) for row in published),
        events=(),
        next=None,
    )
    return Explained(petition, span, view)


async def listed(
    connection: Connection, explained: Explained, *, after: int | None = None, limit: int | None = None
) -> AsyncIterator[DriftEvent]:
    """The events of a drift in the order of the answer, streamed: oldest first, undated ones last.

    `after` is the position of an event that was listed; `limit` None is all. Raises CursorRefused.
    """
    petition, span = explained.petition, explained.span
    undated_only = False
    if after is not None:
        cursor = await connection.fetchval(SQL["cursor"], petition, after)
        if cursor is None:
            raise CursorRefused
        undated_only = cursor
    async with connection.transaction():
        if span.by_time:
            query = connection.cursor(SQL["events_as_effective"], *_arguments(petition, span), after, limit)
            async for row in query:
                yield _event(row)
            return
        given = 0
        for undated in (True,) if undated_only else (False, True):
            begin = after if after is not None and undated == undated_only else span.after
            rest = None if limit is None else limit - given
            part = replace(span, after=max(begin, span.after))
            query = connection.cursor(SQL["events_as_recorded"], *_arguments(petition, part), undated, rest)
            async for row in query:
                given += 1
                yield _event(row)


def _arguments(petition: int, span: Span) -> tuple[Any, ...]:
    return (petition, span.after, span.upto, span.since, span.until)


def _event(row: Any) -> DriftEvent:
    at = None if row["undated"] else row["effective"]
    return drift_event(row["position"], row["type"], at, row["recorded"], row["delta"], row["count"])


async def _end_at_position(connection: Connection, petition: int, position: int, asked: Moment) -> DriftEnd:
    last = await connection.fetchrow(COUNTING["last_event"], petition, position)
    at = None if last is None or last["undated"] else last["effective"]
    if isinstance(asked, AtTime):
        at = asked.time
    return DriftEnd(position=position, at=at, count=0 if last is None else last["count"])


async def _end_at_time(connection: Connection, petition: int, asked: AtTime, head: int) -> DriftEnd:
    row = await connection.fetchrow(COUNTING["count_effective"], petition, head, asked.time)
    assert row is not None
    return DriftEnd(position=row["position"], at=asked.time, count=row["count"])
