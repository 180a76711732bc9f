"""A writer in a process of its own, to be run as a module: `URL PREFIX COUNT [FREEZE]`.

It signs COUNT times in the tests' petition, by signers of its own and by shared ones, and asks now and then what is
refused. With FREEZE it stops itself (SIGSTOP) the first time that a statement which begins with that text was answered.
Each outcome is a line of JSON on standard output: the number of the asking, its kind, and the position if it has one.
"""

import asyncio
import json
import os
import signal
import sys
from typing import Any

import structlog

from ledger.connecting import connect
from ledger.writer import Writer
from schemas.commands import Accepted, Submission
from tests.ledger.submissions import PETITION, SOURCE, by_site, recording


class Freezing:
    """A connection that stops its process after one statement."""

    def __init__(self, connection: Any, statement: str) -> None:
        self._connection = connection
        self._statement = statement

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def fetchrow(self, query: str, *arguments: Any) -> Any:
        return self._frozen(query, await self._connection.fetchrow(query, *arguments))

    async def execute(self, query: str, *arguments: Any) -> Any:
        return self._frozen(query, await self._connection.execute(query, *arguments))

    def _frozen(self, query: str, answer: Any) -> Any:
        if self._statement and query.startswith(self._statement):
            self._statement = ""
            print(json.dumps(["frozen"]), flush=True)
            os.kill(os.getpid(), signal.SIGSTOP)
        return answer


def askings(prefix: str, count: int) -> list[Submission]:
    """Every third signer is shared with every other process; every seventh asking is refused."""
    asked = []
    for n in range(count):
        signer = f"shared {n}" if n % 3 == 0 else f"{prefix} {n}"
        petition = "there-is-none" if n % 7 == 6 else PETITION
        signature = recording(f"{prefix} {n}").signature
        asked.append(by_site(recording(signer, petition=petition, signature=signature), key=f"{prefix} {n}"))
    return asked


async def main(url: str, prefix: str, count: int, freeze: str) -> None:
    statements = [freeze]  # only the first connection freezes

    async def connected() -> Any:
        return Freezing(await connect(url, "ledger_signing"), statements.pop() if statements else "")

    async with Writer(connected, "ledger_signing", SOURCE, bound=16) as writer:

        async def ask(n: int, submission: Submission) -> None:
            outcome = await writer.submit(submission)
            about = [outcome.answer["position"], outcome.answer["signature"]] if isinstance(outcome, Accepted) else []
            print(json.dumps([n, type(outcome).__name__, getattr(outcome, "repeated", False), *about]), flush=True)

        await asyncio.gather(*[ask(n, submission) for n, submission in enumerate(askings(prefix, count))])


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), "".join(sys.argv[4:])))
