"""The clockwork: what has to happen because time has passed, and not because somebody asked.

A petition whose closing time has passed is closed by the first writer that touches it; where nobody writes, this does.
It decides nothing itself: it names the petition to a writer, whose batch closes what is due before it does anything
else. And it clears away what is kept for a time only: stored answers, and evidence.

This module must never close a petition by a decision of its own, and never purge without a bound on one statement.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final
from uuid import UUID

import asyncpg
import structlog

from ledger.connecting import Connection
from ledger.sql_files import queries
from ledger.writer import Writer
from schemas.commands import ContinueCorrection, Submission
from service.database import Ledger

AT_MOST: Final = 500
"""Petitions closed in one go."""
PURGED: Final = 10_000
"""Rows cleared away by one statement."""
HOUR: Final = 3600.0
PAUSE: Final = 1.0
"""Seconds until a database that was lost is tried again."""
NO_CORRECTION: Final = UUID(int=0)

log = structlog.get_logger(__name__)


async def close_due_petitions(ledger: Ledger, writer: Writer, interval: float) -> None:
    """Close what is due, every `interval` seconds, until cancelled. The writer is in the role `ledger_signing`."""

    async def once(connection: Connection) -> None:
        rows = await connection.fetch(queries("service", "serving/sql/clockwork.sql")["due_petitions"], AT_MOST)
        if rows:
            await writer.submit_all([naming(row["id"]) for row in rows])
            log.info("clockwork.closed", petitions=len(rows))

    await again_and_again(lambda: ledger.connect("ledger_signing"), once, interval, "clockwork.closing_interrupted")


def naming(petition: str) -> Submission:
    """What makes a batch look at a petition, and can do nothing itself: to continue a correction that is none."""
    return Submission(ContinueCorrection(petition, NO_CORRECTION), "system")


async def purge(ledger: Ledger, evidence_days: int) -> None:
    """Clear away what has expired, hourly, until cancelled."""

    async def once(connection: Connection) -> None:
        statements = queries("service", "serving/sql/clockwork.sql")
        answers = await _until_none(lambda: connection.fetchval(statements["purge_answers"], PURGED))
        evidence = await _until_none(lambda: connection.fetchval(statements["purge_evidence"], evidence_days, PURGED))
        if answers or evidence:
            log.info("clockwork.purged", answers=answers, evidence=evidence)

    await again_and_again(lambda: ledger.connect("ledger_admin"), once, HOUR, "clockwork.purging_interrupted")


async def _until_none(statement: Callable[[], Awaitable[int]]) -> int:
    total = 0
    while gone := await statement():
        total += gone
    return total


async def again_and_again(
    connect: Callable[[], Awaitable[Connection]],
    once: Callable[[Connection], Awaitable[None]],
    interval: float,
    name: str,
) -> None:
    """Do something every so often on a connection of its own, whatever becomes of the database."""
    connection: Connection | None = None
    lost = False
    try:
        while True:
            try:
                if connection is None or connection.is_closed():
                    connection = await connect()
                await once(connection)
                lost = False
                if interval >= HOUR:  # nothing to hold a connection for
                    await connection.close(timeout=5)
                await asyncio.sleep(interval)
            except Exception as error:
                if not lost:
                    log.warning(name, error=type(error).__name__, code=getattr(error, "sqlstate", None))
                    lost = True
                if connection is not None:
                    connection.terminate()
                connection = None
                await asyncio.sleep(PAUSE)
    finally:
        if connection is not None:
            with contextlib.suppress(asyncpg.InterfaceError):
                connection.terminate()
