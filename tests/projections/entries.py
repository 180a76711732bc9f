"""What the tests of the queries over the log lean on: a history as plain entries, and the same history in a database.

One migrated database serves any number of histories: each is stored inside a transaction that is rolled back.
"""

import csv
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import asyncpg
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from projections.counting import Entry, entry_of
from schemas.commands import ObserveCount
from schemas.envelope import read_event
from schemas.events import Claim, Status
from schemas.instants import read_instant
from tests.histories import BEGINNING, History, opening, store

PAGE: Final = Path(__file__).parents[1] / "data" / "intake" / "page.csv"
"""The published timeline of a real petition: 19 entries, newest first; it falls three times."""

on_a_database = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
"""For properties that a server is asked about: the fixture's database is empty again after every example."""

TIMES = st.integers(-31 * 86_400, 120).map(lambda seconds: BEGINNING + timedelta(seconds=seconds))
NEAR = st.one_of(st.integers(-5, 60).map(lambda seconds: BEGINNING + timedelta(seconds=seconds)), TIMES)
"""Times around those of a random history, often equal to one."""


def petitions_of(history: History) -> list[int]:
    """The numbers of its petitions."""
    return sorted(state.petition for state in history.known.petitions.values())


def entries_of(history: History, petition: int) -> list[Entry]:
    """The events of one petition, in order of position, with the deltas that the writer gave them."""
    return [entry_of(read_event(row[15]), row[6]) for row in history.events if row[1] == petition]


@asynccontextmanager
async def stored(connection: "asyncpg.Connection[Any]", history: History) -> AsyncIterator[None]:
    """The history in the database, asked by the role that readers have; gone again afterwards."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await store(connection, history)
        await connection.execute("SET LOCAL ROLE ledger_reader")
        await connection.execute("SET LOCAL TimeZone = 'Asia/Kathmandu'")
        yield
    finally:
        await transaction.rollback()


def the_page() -> History:
    """The published timeline as an observed petition, its rows in order of time."""
    history = History()
    history.recorded = datetime.fromisoformat("2024-02-01T12:00:00+00:00")
    history.settle(opening("child-protection", basis="observed", goals=(100, 1000, 10_000, 15_000)))
    with PAGE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in reversed(rows):
        claim: Claim = "milestone" if row["kind"] == "milestone" else "status"
        status: Status | None = "successful" if row["kind"] == "status" else None
        at = read_instant(row["at"])
        history.settle(ObserveCount("child-protection", int(row["count"]), claim, at, None, status))
    return history
