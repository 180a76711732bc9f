"""Correcting, beside a service: runs on what was opened and, where it has to be, approved.

A correction is applied in chunks, each a transaction of its own, in which its members are marked as settled; so any
service may go on where another was cut off, two may run one at once, and none applies a member twice. Between two
chunks others write. This module must never decide what a correction is over, or whether it may run.
"""

from typing import Final

import structlog

from ledger.connecting import Connection
from ledger.correction import CHUNK
from ledger.writer import Writer
from schemas.commands import Accepted, ContinueCorrection, Submission
from service.correcting import SQL, SYSTEM
from service.database import Ledger
from service.serving.clockwork import again_and_again

AT_MOST: Final = 20
"""Corrections that are run side by side, a chunk of each in turn."""

log = structlog.get_logger(__name__)


async def run_corrections(ledger: Ledger, writer: Writer, interval: float, chunk: int = CHUNK) -> None:
    """Run what is to be run, `chunk` members at once, every `interval` seconds, until cancelled. The writer is in the
    role `ledger_admin`."""

    async def once(connection: Connection) -> None:
        moves = True
        while moves and (rows := await connection.fetch(SQL["to_run"], AT_MOST)):
            moves = False
            for row in rows:
                command = ContinueCorrection(row["id"], row["correction"], chunk)
                outcome = await writer.submit(Submission(command, SYSTEM))  # one at a time: others write in between
                if isinstance(outcome, Accepted):
                    moves = True
                    if not outcome.answer["remaining"]:
                        log.info("correcting.completed", correction=str(row["correction"]))

    await again_and_again(lambda: ledger.connect("ledger_admin"), once, interval, "correcting.interrupted")
