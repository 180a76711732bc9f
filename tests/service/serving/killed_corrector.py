"""A service's runner of corrections in a process of its own, to be killed: `URL KEY_FILE CHUNK`, as a module."""

import asyncio
import sys
from pathlib import Path

from service.database import Ledger
from service.serving.correcting import run_corrections
from tests.ledger.submissions import SOURCE


async def main(url: str, key_file: str, chunk: int) -> None:
    ledger = Ledger(url, SOURCE, Path(key_file))
    async with ledger.writer("ledger_admin") as writer:
        await run_corrections(ledger, writer, 0.01, chunk)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
