"""A correction is run on by any service, wherever another was cut off, and applied exactly once."""

import asyncio
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ledger.correction import digest
from ledger.fsck import fsck
from schemas.commands import ApproveCorrection, OpenCorrection, Submission
from tests.conftest import LedgerDatabase
from tests.ledger.submissions import PETITION, by_admin, opening, recording
from tests.ledger.test_correcting import SECOND, correcting, ids, told
from tests.ledger.writing import RUN, writer

MANY = 400
CHUNK = 7
PATIENCE = 60.0


@asynccontextmanager
async def runner(database: LedgerDatabase) -> AsyncIterator[asyncio.subprocess.Process]:
    """A service's runner; killed at the end, whatever it was doing."""
    module = "tests.service.serving.killed_corrector"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, database.url, "none", str(CHUNK), cwd=Path(__file__).parents[3]
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()


async def settled(database: LedgerDatabase, at_least: int) -> int:
    """Wait until so many members were settled; how many were."""
    async with asyncio.timeout(PATIENCE):
        while True:
            done = await database.superuser.fetchval("SELECT applied + skipped FROM ledger.corrections")
            if done >= at_least:
                return int(done)
            await asyncio.sleep(0.005)


async def opened(database: LedgerDatabase) -> OpenCorrection:
    """A correction of many, approved and not begun."""
    signatures = ids(*[f"s{n}" for n in range(MANY)])
    command = correcting("k1", signatures, digest=digest(signatures))
    async with writer(database, RUN) as admin:
        told(await admin.submit(by_admin(opening())))
        for each in await admin.submit_all([by_admin(recording(f"s{n}")) for n in range(MANY)]):
            told(each)
        told(await admin.submit(by_admin(command)))
        told(await admin.submit(Submission(ApproveCorrection(PETITION, command.correction, command.digest), SECOND)))
    return command


async def test_a_correction_whose_runners_are_killed_is_applied_exactly_once(ledger_database: LedgerDatabase) -> None:
    """If runners are killed at random moments, one alone and two beside each other, then the next one goes on where the
    log says, every member is held once, and the numbers are those of the set."""
    await opened(ledger_database)
    moments = random.Random(75_169)
    done = 0
    for beside in (False, True):
        async with runner(ledger_database):
            if beside:
                async with runner(ledger_database):
                    done = await settled(ledger_database, done + moments.randint(1, MANY // 3))
            else:
                done = await settled(ledger_database, done + moments.randint(1, MANY // 3))
        assert list(await fsck(await ledger_database.connect("ledger_backup"), deep=True)) == []
    async with runner(ledger_database):
        assert await settled(ledger_database, MANY) == MANY
    row = await ledger_database.superuser.fetchrow(
        "SELECT count(*) AS held, count(DISTINCT signature) AS signatures FROM ledger.events"
        " WHERE type = 'signature.invalidated.v1'"
    )
    assert row is not None
    assert (row["held"], row["signatures"]) == (MANY, MANY)
    assert await ledger_database.superuser.fetchval("SELECT count FROM ledger.petitions") == 0
    assert list(await fsck(await ledger_database.connect("ledger_backup"), deep=True)) == []
