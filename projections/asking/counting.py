"""Asking for a count: now, as of a position or a recorded time, effective at a time.

Shell; `projections.counting` says what a count is. This module must never fetch more than a row a question.
"""

from datetime import datetime

from ledger.connecting import Connection
from projections.asking.moments import position_of
from projections.asking.petitions import SQL, head_of_log, said
from projections.counting import count_view
from projections.moments import AsOf
from schemas.views import CountView


async def count(
    connection: Connection, petition: int, *, as_of: AsOf | None = None, effective: datetime | None = None
) -> CountView:
    """The count document: now, or as of a moment; with `effective`, of what was effective by then as known there.

    Raises PositionNotReached for a position beyond the head.
    """
    head = await head_of_log(connection)
    position = head.position if as_of is None else await position_of(connection, petition, as_of, head)
    last = await connection.fetchrow(SQL["last_event"], petition, position)
    if last is None:
        return count_view(0, 0, None, ())
    goals = await said(connection, petition, last["position"], "goals")
    number = last["count"]
    if effective is not None:
        number = await connection.fetchval(SQL["count_effective"], petition, position, effective)
    return count_view(number, last["position"], last["recorded"], goals)
