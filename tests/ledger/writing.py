"""How the tests of the event store write to it, wait for it, and read what it stored."""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from ledger.connecting import Role, connect
from ledger.writer import Writer
from schemas.commands import Outcome, Refused
from tests.conftest import LedgerDatabase
from tests.ledger.submissions import SOURCE

SIGN: Role = "ledger_signing"
RUN: Role = "ledger_admin"
ERASE: Role = "ledger_privacy"


def writer(database: LedgerDatabase, role: Role = SIGN, **given: Any) -> Writer:
    """A writer on this ledger, live signing's unless the test says otherwise."""
    return Writer(partial(connect, database.url, role), role, SOURCE, **given)


async def stored(database: LedgerDatabase) -> list[tuple[Any, ...]]:
    """Position, signature and type of each event of a signature."""
    rows = await database.superuser.fetch(
        "SELECT position, signature, type::text FROM ledger.events WHERE signature IS NOT NULL ORDER BY position"
    )
    return [tuple(row) for row in rows]


def reasons(outcomes: Iterable[Outcome]) -> dict[int, str]:
    """Which of these were refused, and why."""
    return {nth: each.reason for nth, each in enumerate(outcomes) if isinstance(each, Refused)}


async def until(condition: Callable[[], Any]) -> None:
    """Wait for a condition that nobody announces."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 -- the writer tells nobody what it is doing
            await asyncio.sleep(0.005)
