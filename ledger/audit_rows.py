"""The rows that an audit of the database looks at, streamed: a page at a time, in the audit's own snapshot.

This module must never hold more than a page, and never let a value that no ledger could have written end an audit.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg

from ledger.connecting import Connection
from schemas.findings import Findings

PAGE: Final = 2_000
"""Rows fetched at once: bounds the memory that a page takes to some megabytes."""
PATIENCE: Final = 24 * 3600.0
"""Seconds that one query may take: it is an audit of the whole log, not an answer to anybody who waits."""


@asynccontextmanager
async def asking(connection: Connection, findings: Findings, rule: str) -> AsyncIterator[None]:
    """A question that values beyond all bounds may make unanswerable: that is a finding, and the next one is asked."""
    try:
        async with connection.transaction():
            yield
    except (asyncpg.DataError, OverflowError, ValueError):
        findings.add(rule, None, None, "it cannot be judged: a value is beyond what the database can compare")


async def rows(connection: Connection, query: str, *arguments: Any) -> AsyncIterator[asyncpg.Record]:
    """The rows that a query answers, in a transaction of the caller."""
    async for row in connection.cursor(query, *arguments, prefetch=PAGE, timeout=PATIENCE):
        yield row
