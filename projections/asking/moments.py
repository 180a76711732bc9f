"""Resolving moments: from what a person named to a position of the log.

Shell; `projections.moments` says what a moment is. This module must never resolve a time by anything but the recorded
times in the log.
"""

from datetime import datetime
from typing import assert_never

from ledger.connecting import Connection
from projections.asking.petitions import SQL, Head
from projections.moments import (
    AtPosition,
    AtTime,
    Moment,
    PositionNotReached,
    WhenCountBecame,
    never_became,
)


async def position_of(
    connection: Connection, petition: int, moment: Moment, head: Head, *, before: int | None = None
) -> int:
    """The position at which to be, at this moment. `before`: a `count:N` must lie below this position.

    Raises PositionNotReached beyond the head, MomentRefused where the count never became this.
    """
    match moment:
        case AtPosition(position):
            if position > head.position:
                raise PositionNotReached(head.position)
            return position
        case AtTime(time):
            return await _recorded_by(connection, time, head)
        case WhenCountBecame(count):
            last = head.position if before is None else before - 1
            found = await connection.fetchval(SQL["last_time_the_count_became"], petition, last, count)
            if found is None:
                raise never_became(before is not None)
            return int(found)
        case _:
            assert_never(moment)


async def _recorded_by(connection: Connection, time: datetime, head: Head) -> int:
    recorded_by = await connection.fetchval(SQL["last_position_recorded_by"], time)
    # What was appended since the head was read is not part of this answer.
    return min(int(recorded_by), head.position)
