"""Reading: the stored leaves, in order, in pages, so that a log of any length is read in bounded memory.

This module must never give a leaf that was not committed, and never change one.
"""

from collections.abc import AsyncIterator
from typing import Final

from ledger.connecting import Connection

PAGE: Final = 2000
"""Leaves fetched at once: 16 KiB each at the most, under 1 KiB as a rule."""

_LEAVES: Final = "SELECT leaf FROM ledger.events WHERE position > $1 AND position <= $2 ORDER BY position"


async def leaves(connection: Connection, *, after: int = 0, upto: int, page: int = PAGE) -> AsyncIterator[bytes]:
    """The leaves at positions above `after` up to `upto`, oldest first.

    Positions are dense, so a page is a range of them. The connection is in a role that may read events.
    """
    for first in range(after, upto, page):
        for row in await connection.fetch(_LEAVES, first, min(first + page, upto)):
            yield row["leaf"]
