"""What a service does without being asked: it folds what is recorded, closes what is due, clears away what expired,
runs corrections on, states what it served, and seals the log.

Beside one worker it runs in the worker's process, beside several in one of its own. Two services on one database may
both do it: the checkpoints' lock orders the projectors, that of sealing the sealers, and what is closed, gone or stated
is so once.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from ledger.connecting import Role, connect
from ledger.writer import BOUND, Writer
from service.database import Ledger
from service.serving.clockwork import close_due_petitions, purge
from service.serving.correcting import run_corrections
from service.serving.orders import Service
from service.serving.projecting import project
from service.serving.publishing import AT_ONCE, publish_counts
from service.serving.sealing import seal_the_log
from service.serving.waiting import cancelled


@contextlib.asynccontextmanager
async def following(service: Service) -> AsyncIterator[asyncio.Event]:
    """Follow the log while the block runs; the event comes when the projections have reached the head once."""
    ledger, settings = service.ledger, service.settings
    reached = asyncio.Event()
    async with contextlib.AsyncExitStack() as writers:
        signing = await writers.enter_async_context(_writer(ledger, "ledger_signing"))
        tasks = [
            asyncio.create_task(project(ledger, settings.projection_interval, reached), name="projector"),
            asyncio.create_task(close_due_petitions(ledger, signing, settings.clock_interval), name="closing"),
        ]
        if service.role != "public":  # what follows takes the role of an admin
            admin = await writers.enter_async_context(_writer(ledger, "ledger_admin", bound=AT_ONCE))
            publishing = publish_counts(ledger, admin, settings.clock_interval, settings.publish_interval)
            tasks.append(asyncio.create_task(purge(ledger, settings.evidence_days), name="purging"))
            tasks.append(asyncio.create_task(publishing, name="publishing"))
            correcting = run_corrections(ledger, admin, settings.clock_interval)
            tasks.append(asyncio.create_task(correcting, name="correcting"))
            if settings.seal_interval:  # of a public service, nobody gives it the key
                tasks.append(asyncio.create_task(seal_the_log(ledger, settings), name="sealing"))
        try:
            yield reached
        finally:
            await cancelled(*tasks)


def _writer(ledger: Ledger, role: Role, bound: int = BOUND) -> Writer:
    return Writer(lambda: connect(ledger.dsn, role), role, ledger.origin, bound=bound)
