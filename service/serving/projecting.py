"""The projector of a service: folds what was recorded into the projections, as soon as it is.

It looks at the head and at the checkpoints every few milliseconds, and catches up where they differ; the checkpoints'
lock sees to it that there is one at a time, whoever else runs. It outlives the database: what it did not commit was not
done.

This module must never skip an event. What it does not know, or a log that ends before a checkpoint, stops it where it
is, and it says so again and again; signing goes on, and the readiness of the service shows the lag.
"""

import asyncio
import contextlib
from typing import Final

import asyncpg
import structlog

from ledger.connecting import Connection
from projections.projector import CheckpointAhead, catch_up, checkpoint, head
from schemas.envelope import UnknownType
from schemas.ids import Position
from service.database import Ledger, Unavailable

PAUSE: Final = 0.2
"""Seconds until a database that was lost is tried again."""
STOPPED: Final = 5.0
"""Seconds until a projector that an event stopped looks again: a newer release or a rebuild may have helped."""

log = structlog.get_logger(__name__)


class ProjectionsStopped(Exception):
    """The projections cannot follow the log. The text is a sentence that names the position, never content."""


async def reach_head(ledger: Ledger) -> Position:
    """Fold up to the head that is found now; the position reached. Raises ProjectionsStopped and Unavailable."""
    connection = await ledger.connect("ledger_projector")
    try:
        return await catch_up(connection, to=await head(connection))
    except (UnknownType, CheckpointAhead) as stopped:
        raise ProjectionsStopped(_sentence(stopped)) from None
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
        raise Unavailable(f"The projections could not be brought up to date ({type(error).__name__}).") from None
    finally:
        with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            await connection.close(timeout=5)


async def project(ledger: Ledger, interval: float, reached: asyncio.Event) -> None:
    """Follow the log until cancelled. `interval` is the seconds between two looks at the head; `reached` comes when the
    projections have reached it for the first time."""
    connection: Connection | None = None
    lost = False
    try:
        while True:
            try:
                if connection is None or connection.is_closed():
                    connection = await ledger.connect("ledger_projector")
                # Two reads, so that a quiet ledger is not written to: the lock of a checkpoint is a write.
                position = await checkpoint(connection)
                if lost:
                    log.info("projector.found_again", position=position)
                    lost = False
                if position != await head(connection):
                    await catch_up(connection)
                else:
                    reached.set()
                    await asyncio.sleep(interval)
            except (UnknownType, CheckpointAhead) as stopped:
                log.error("projector.stopped", why=_sentence(stopped))
                await asyncio.sleep(STOPPED)
            except Exception as error:  # a projector outlives whatever a driver can think of
                if not lost:
                    log.warning("projector.lost", error=type(error).__name__, code=getattr(error, "sqlstate", None))
                    lost = True
                if connection is not None:
                    connection.terminate()
                    connection = None
                await asyncio.sleep(PAUSE)
    finally:
        if connection is not None:
            connection.terminate()


def _sentence(stopped: Exception) -> str:
    match stopped:
        case CheckpointAhead():
            return f"The projections stand still: {stopped}. If the log is the right one, run `ledger rebuild`."
        case _:
            return f"The projections stand still at {stopped}. Run the release that wrote it, or a newer one."
