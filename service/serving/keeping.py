"""Keeps the embedded server alive for a service: a command that works for a minute may fail with it, a service may not.

While the service runs, the server is looked at every tenth of a second; if its postmaster has died, however it did, it
is started again where it was, so that every address stays good. Whoever shares the server may do the same at the same
time: the door sees to it that one of them starts it.

This module must never stop a server; leaving `service.database.place` does, for whoever is the last.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

import structlog

from service.embedded import postmaster
from service.embedded.place import Place
from service.embedded.server import EmbeddedUnavailable
from service.embedded.sharing import shared
from service.serving.waiting import within
from service.settings import Settings

LOOK: Final = 0.1
PAUSE: Final = 1.0
"""Seconds until a server that did not start is tried again."""

log = structlog.get_logger(__name__)


@contextlib.asynccontextmanager
async def kept_alive(settings: Settings) -> AsyncIterator[None]:
    """Keep the embedded server of this home alive while the block runs; nothing where DATABASE_URL names another."""
    if settings.database_url is not None:
        yield
        return
    stopping = asyncio.Event()
    keeping = asyncio.create_task(_keep(settings, stopping), name="keeping")
    try:
        yield
    finally:
        stopping.set()
        await keeping  # not cancelled: a start in a thread of its own has to come to its end


async def _keep(settings: Settings, stopping: asyncio.Event) -> None:
    place = Place(settings.home.absolute())
    with contextlib.ExitStack() as joined:
        while not await within(LOOK, stopping):
            if await asyncio.to_thread(postmaster.is_running, place.data):
                continue
            log.error("keeping.server_died")
            try:
                await asyncio.to_thread(joined.enter_context, shared(place.home, programs=settings.postgres_bin))
                log.warning("keeping.server_started")
            except EmbeddedUnavailable as error:
                log.error("keeping.server_not_started", why=str(error))
                await within(PAUSE, stopping)
        # Leaves what was joined again, which does not stop the server: the command itself still uses it.
        await asyncio.to_thread(joined.close)
