"""The sealer of a service: seals the log again and again, where it grew.

It outlives the database: after every loss it connects anew, and stands before the guard again, because a database that
comes back may have been put back to an older state. What the guard refuses, a key that is missing or a disk that takes
no copy stops sealing and nothing else: it says so again and again, signing goes on, and the readiness of the service
shows for how long nothing was sealed.

This module must never hold up signing, nor the start of a service.
"""

import asyncio
from typing import Final

import structlog

from ledger.keys import KeyUnavailable
from ledger.sealing import SealingRefused
from schemas.envelope import UnknownType
from service.database import Ledger, Unavailable
from service.sealing import opened
from service.settings import Settings
from service.witness import witness

PAUSE: Final = 0.2
"""Seconds until a database that was lost is tried again; twice as many each time, up to the following."""
STOPPED: Final = 5.0
"""Seconds until a sealer that was refused tries again: somebody may have helped."""

log = structlog.get_logger(__name__)


async def seal_the_log(ledger: Ledger, settings: Settings) -> None:
    """Seal every so often, until cancelled. A service with a database of its own makes the first key."""
    lost = False
    pause = PAUSE
    async with witness(settings, ledger.origin) as cosigner:
        while True:
            try:
                async with opened(ledger, cosigner=cosigner, makes_key=settings.database_url is None) as sealer:
                    while True:
                        await sealer.once()
                        if lost:
                            log.info("sealer.found_again")
                        lost, pause = False, PAUSE
                        await asyncio.sleep(settings.seal_interval)
            except SealingRefused as refusal:
                log.error("sealer.refused", why=str(refusal))
                await asyncio.sleep(STOPPED)
            except KeyUnavailable as error:
                log.error("sealer.refused", why=f"The log is not sealed: {error}.")
                await asyncio.sleep(STOPPED)
            except UnknownType as stopped:
                why = f"Nothing is published: a projection stands still at {stopped}. Run a newer release."
                log.error("sealer.refused", why=why)
                await asyncio.sleep(STOPPED)
            except Exception as error:  # a sealer outlives whatever a driver can think of
                if not lost:
                    why = str(error) if isinstance(error, Unavailable) else type(error).__name__
                    log.warning("sealer.lost", why=why, code=getattr(error, "sqlstate", None))
                    lost = True
                await asyncio.sleep(pause)
                pause = min(2 * pause, max(STOPPED, PAUSE))
