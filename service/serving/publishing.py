"""Publishing: states in the log which counts this ledger served, so that a number that was shown can't be denied later.

A count is stated once the served view has passed the declaration of a status, and else once a day; each only where it
is another number than the last one stated. What is stated is what the projections serve, with the position at which it
is true there.

Two services on one database may both do it: whoever states a number names the last one that it has seen, and the second
finds nothing left to state. This module must never count anything itself; that the log gives the same number is judged
by whoever writes.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog

from ledger.connecting import Connection
from ledger.sql_files import queries
from ledger.writer import Writer
from schemas.commands import Accepted, PublishCount, Refused, Submission
from service.database import Ledger
from service.serving.clockwork import again_and_again

AT_MOST: Final = 500
"""Petitions looked at by one statement."""
AT_ONCE: Final = 32
"""Counts stated by one commit: whoever signs meanwhile waits for it."""
SYSTEM: Final = "system"
EXACTLY: Final = 100
"""How often, in the time after which a count is stated anew, it is looked which ones are."""

log = structlog.get_logger(__name__)


async def publish_counts(ledger: Ledger, writer: Writer, interval: float, daily: float) -> None:
    """State what was served, until cancelled. `interval` is the seconds between two looks for declarations, `daily`
    those after which a count that has changed is stated again. The writer is in the role `ledger_admin`."""
    publishing = Publishing(writer, daily)
    await again_and_again(lambda: ledger.connect("ledger_reader"), publishing.look, interval, "publishing.interrupted")


class Publishing:
    """One service's looks at what it served. Which declarations it has seen is forgotten with it, and harmless: of each
    petition the log says what was stated."""

    def __init__(self, writer: Writer, daily: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._writer = writer
        self._daily = daily
        self._clock = clock
        self._declared = 0
        self._next = clock()

    async def look(self, connection: Connection) -> None:
        """State what is due now. The connection is in the role `ledger_reader`."""
        asked = queries("service", "serving/sql/publishing.sql")
        while rows := await connection.fetch(asked["declared"], self._declared, AT_MOST):
            if not await self._state(rows):
                return  # looked at again the next time
            self._declared = rows[-1]["next"]
        if self._clock() < self._next:
            return
        after = 0
        while rows := await connection.fetch(asked["served"], after, AT_MOST, self._daily):
            if not await self._state(rows):
                return
            after = rows[-1]["next"]
        self._next = self._clock() + self._daily / EXACTLY

    async def _state(self, rows: Sequence[Any]) -> bool:
        """State what is due of these; whether all of it was settled."""
        due = {row["id"]: row for row in rows if row["is_due"]}
        outcomes = await self._writer.submit_all(
            [
                Submission(PublishCount(id, row["count"], row["position"], row["last"]), SYSTEM)
                for id, row in due.items()
            ]
        )
        settled = [each for each in outcomes if isinstance(each, Accepted)]
        wrong = [each for each in outcomes if isinstance(each, Refused) and each.problem != "unavailable"]
        if published := sum(not each.repeated for each in settled):
            log.info("publishing.published", petitions=published)
        if wrong:
            # The view is not what the log says: nothing that could be stated, and nothing that may go unnoticed.
            log.error("publishing.view_disagrees", petitions=len(wrong))
        return len(settled) + len(wrong) == len(outcomes)
