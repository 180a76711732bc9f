"""Asking for the count over time, in pages or as a stream.

Shell; `projections.history` says what a point is. This module must never hold a whole history: a page has a limit, and
without one there is the stream.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Final

from ledger.connecting import Connection
from ledger.sql_files import queries
from projections.asking.petitions import head_of_log, id_of, said
from projections.history import CSV_HEADER, csv_line, history_point
from projections.moments import CursorRefused
from schemas.views import HistoryPoint, HistoryView, Interval

SQL: Final = queries("projections", "sql/queries/history.sql")
_CURSOR: Final = queries("projections", "sql/queries/drift.sql")["cursor"]
PAGE: Final = 10_000


async def history(
    connection: Connection,
    petition: int,
    interval: Interval,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    after: int | None = None,
    limit: int = PAGE,
    upto: int | None = None,
) -> HistoryView:
    """One page of the history between two effective times, both inclusive. Raises CursorRefused.

    `upto` is the position as known at which it is told; None: at the head.
    """
    # One more than is given tells whether there is a next page.
    found = [
        point
        async for point in points(
            connection, petition, interval, start=start, end=end, after=after, limit=limit + 1, upto=upto
        )
    ]
    more = len(found) > limit
    return HistoryView(
        petition=await id_of(connection, petition),
        interval=interval,
        points=tuple(found[:limit]),
        next=found[limit - 1].position if more else None,
    )


async def points(
    connection: Connection,
    petition: int,
    interval: Interval,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    after: int | None = None,
    limit: int | None = None,
    upto: int | None = None,
) -> AsyncIterator[HistoryPoint]:
    """The points, streamed in effective order; `after` is the position of the last one given before.

    Raises CursorRefused.
    """
    known = (await head_of_log(connection)).position if upto is None else upto
    zone = await said(connection, petition, known, "timezone")
    if after is not None and await connection.fetchval(_CURSOR, petition, after) is None:
        raise CursorRefused
    async with connection.transaction():
        query = connection.cursor(SQL["points"], petition, known, zone, interval, start, end, after, limit)
        async for row in query:
            yield history_point(row["effective"], row["position"], row["count"])


async def csv(
    connection: Connection,
    petition: int,
    interval: Interval,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    upto: int | None = None,
) -> AsyncIterator[str]:
    """The whole history as lines of CSV, with a header."""
    yield CSV_HEADER
    async for point in points(connection, petition, interval, start=start, end=end, upto=upto):
        yield csv_line(point)
