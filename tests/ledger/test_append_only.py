"""Events never change: not by any role, not by the owner, not by who switches ordinary triggers off."""

import asyncpg
import pytest

from ledger.connecting import Connection
from schemas.commands import Accepted
from tests.conftest import LedgerDatabase
from tests.ledger.checking import whole_log
from tests.ledger.submissions import by_site, recording
from tests.ledger.writing import writer

ROLES = [
    "ledger_owner",
    "ledger_migrator",
    "ledger_signing",
    "ledger_admin",
    "ledger_privacy",
    "ledger_projector",
    "ledger_reader",
    "ledger_backup",
    "the superuser",
]
CHANGES = [
    "UPDATE ledger.events SET delta = 0",
    "UPDATE ledger.events SET leaf = leaf WHERE position = 1",
    "UPDATE ledger.events SET delta = 0 WHERE false",
    "DELETE FROM ledger.events",
    "DELETE FROM ledger.events WHERE position = 1",
    "DELETE FROM ledger.events WHERE false",
    "DELETE FROM ONLY ledger.events",
    "TRUNCATE ledger.events",
    "TRUNCATE ledger.events CASCADE",
    "TRUNCATE ledger.head, ledger.events",
    "INSERT INTO ledger.events SELECT * FROM ledger.events ON CONFLICT (position) DO UPDATE SET delta = 0",
    "MERGE INTO ledger.events e USING ledger.head h ON e.position = h.position WHEN MATCHED THEN DELETE",
    "MERGE INTO ledger.events e USING ledger.head h ON e.position = h.position WHEN MATCHED THEN UPDATE SET delta = 0",
    "WITH gone AS (DELETE FROM ledger.events RETURNING 1) SELECT count(*) FROM gone",
    "DELETE FROM ledger.head",
    "TRUNCATE ledger.head",
]


@pytest.fixture
async def log(petition: LedgerDatabase) -> LedgerDatabase:
    """A ledger with a few events."""
    async with writer(petition) as site:
        outcomes = await site.submit_all([by_site(recording(f"s{n}")) for n in range(3)])
        assert all(isinstance(each, Accepted) for each in outcomes)
    return petition


async def attempt(connection: Connection, change: str, *settings: str) -> str:
    """`changed`, or the code of the refusal. Whatever it did is rolled back."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        for setting in settings:
            await connection.execute(setting)
        await connection.execute(change)
        return "changed"
    except asyncpg.PostgresError as error:
        return error.sqlstate or "?"
    finally:
        await transaction.rollback()


@pytest.mark.parametrize("role", ROLES)
async def test_nobody_changes_an_event(log: LedgerDatabase, role: str) -> None:
    """If any role, the owner and the superuser among them, updates, deletes, merges or truncates, even where no row
    would be met, then that is refused."""
    before = await whole_log(log)
    become = [] if role == "the superuser" else [f'SET LOCAL ROLE "{role}"']
    answers = {change: await attempt(log.superuser, change, *become) for change in CHANGES}
    assert set(answers.values()) == {"42501"}, answers
    assert await whole_log(log) == before


async def test_switching_triggers_off_for_a_session_switches_these_not_off(log: LedgerDatabase) -> None:
    """If a superuser turns ordinary triggers off, as a restore or a replica does, then these still refuse."""
    for owner in ([], ["SET LOCAL ROLE ledger_owner"]):
        settings = ["SET LOCAL session_replication_role = replica", *owner]
        answers = {change: await attempt(log.superuser, change, *settings) for change in CHANGES}
        assert set(answers.values()) == {"42501"}, answers


async def test_the_triggers_are_what_refuses_the_owner(log: LedgerDatabase) -> None:
    """If the triggers were taken away, then the owner could change events: it is they that are tested above."""
    off = ["SET LOCAL ROLE ledger_owner", "ALTER TABLE ledger.events DISABLE TRIGGER USER"]
    assert await attempt(log.superuser, "DELETE FROM ledger.events", *off) == "changed"
    assert len(await whole_log(log)) == 4


async def test_every_trigger_on_the_log_fires_always(ledger_database: LedgerDatabase) -> None:
    """If a trigger guards the log or its head, then it was enabled ALWAYS, so that no session setting avoids it."""
    enabled = await ledger_database.superuser.fetch(
        "SELECT tgrelid::regclass::text AS guarded, tgenabled::text AS fires FROM pg_trigger"
        " WHERE NOT tgisinternal AND tgrelid IN ('ledger.events'::regclass, 'ledger.head'::regclass)"
    )
    assert {row["guarded"] for row in enabled} == {"ledger.events", "ledger.head"}
    assert {row["fires"] for row in enabled} == {"A"}


async def test_a_copy_into_the_log_is_refused_to_every_role(log: LedgerDatabase) -> None:
    """If any role copies rows into the log past the append functions, then it may not."""
    for role in ROLES[2:-1]:
        answer = await attempt(
            log.superuser, "INSERT INTO ledger.events SELECT * FROM ledger.events", f'SET LOCAL ROLE "{role}"'
        )
        assert answer == "42501", role
