"""What a service does without being asked: it folds what is recorded, closes what is due, and clears away what expired.

Beside one worker it runs in the worker's process, beside several in one of its own. Two services on one database may
both do it: the checkpoints' lock orders the projectors, and what is closed or gone is so once.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from ledger.connecting import connect
from ledger.writer import Writer
from service.serving.clockwork import close_due_petitions, purge
from service.serving.orders import Service
from service.serving.projecting import project
from service.serving.waiting import cancelled


@contextlib.asynccontextmanager
async def following(service: Service) -> AsyncIterator[asyncio.Event]:
    """Follow the log while the block runs; the event comes when the projections have reached the head once."""
    ledger, settings = service.ledger, service.settings
    reached = asyncio.Event()
    async with Writer(lambda: connect(ledger.dsn, "ledger_signing"), "ledger_signing", ledger.origin) as writer:
        tasks = [
            asyncio.create_task(project(ledger, settings.projection_interval, reached), name="projector"),
            asyncio.create_task(close_due_petitions(ledger, writer, settings.clock_interval), name="closing"),
        ]
        if service.role != "public":  # purging takes the role of an admin
            tasks.append(asyncio.create_task(purge(ledger, settings.evidence_days), name="purging"))
        try:
            yield reached
        finally:
            await cancelled(*tasks)
