"""A service from its start to its end: in one process, or with children under a supervisor.

It says that it listens when every worker accepts connections and the projections have reached the head that was found
at the start. SIGTERM and SIGINT stop it; so does whatever it is run in, by cancelling it.

This module must never say that it listens before that is true, and never start on settings that break a promise.
"""

import asyncio
import contextlib
import logging
import signal
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import structlog

from service.database import Unavailable
from service.erasing import look, settle
from service.logging import configure
from service.serving import listening
from service.serving.following import following
from service.serving.keeping import kept_alive
from service.serving.orders import Service
from service.serving.projecting import ProjectionsStopped, reach_head
from service.serving.promises import broken
from service.serving.supervisor import supervising
from service.serving.waiting import first, unless

FIGURES: Final = "ledger-figures-"
STOPPERS: Final = (signal.SIGTERM, signal.SIGINT)

log = structlog.get_logger(__name__)


async def serve(service: Service, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT. `announce` is told the address once, when the service listens.

    Raises Unavailable, for what it refuses to start on too, and PortTaken.
    """
    configure(logging.getLevelName(service.settings.log_level.upper()), process="service")
    listening.raise_descriptor_limit()
    if sentences := await broken(service.ledger):
        raise Unavailable(" ".join(sentences))
    await _settle_erasures(service)
    with listening.reserve(service.host, service.port) as reserved, _told_to_stop() as stopping:
        placed = replace(service, port=listening.port_of(reserved))
        address = listening.address_of(service.host, reserved)
        run = _alone if service.workers == 1 else _with_children
        async with kept_alive(service.settings):
            await run(placed, stopping, lambda: announce(address))
    log.info("service.stopped")


async def _settle_erasures(service: Service) -> None:
    """Before anything is served: nobody who was erased stands in the database again, and nothing is left of anybody."""
    if service.role == "public":
        await look(service.ledger)
        return
    settled = await settle(service.ledger)
    if any(settled):
        log.info("service.erasures_settled", **settled._asdict())


async def _alone(service: Service, stopping: asyncio.Event, announce: Callable[[], None]) -> None:
    """Worker and projector in this process."""
    from service.serving.worker import working

    if not await unless(stopping, _reach_head(service)):
        return
    async with following(service) as reached:
        ready = working(service, lambda: listening.share(service.host, service.port, service.settings.backlog))
        async with ready:
            await first(reached, stopping)
            if not stopping.is_set():
                announce()
            await stopping.wait()


async def _with_children(service: Service, stopping: asyncio.Event, announce: Callable[[], None]) -> None:
    """Workers and projector in processes of their own."""
    with tempfile.TemporaryDirectory(prefix=FIGURES) as figures:
        async with supervising(service, Path(figures)) as supervisor:
            # Meanwhile the children load what they need.
            if not await unless(stopping, _reach_head(service)):
                return
            supervisor.begin()
            if await unless(stopping, supervisor.accepting()) and await unless(stopping, supervisor.projected()):
                announce()
            await stopping.wait()


async def _reach_head(service: Service) -> None:
    """Bring the projections up to the head before anybody reads them. Where they cannot follow, signing still goes on:
    the projector says so again and again, and the service does not say that it listens."""
    try:
        await reach_head(service.ledger)
    except (ProjectionsStopped, Unavailable) as stopped:
        log.error("service.projections_behind", why=str(stopped))


@contextlib.contextmanager
def _told_to_stop() -> Iterator[asyncio.Event]:
    """An event that SIGTERM and SIGINT bring. Once it came, another signal does not hurry what ends in seconds."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in STOPPERS:
        loop.add_signal_handler(number, stopping.set)
    try:
        yield stopping
    finally:
        for number in STOPPERS:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)
