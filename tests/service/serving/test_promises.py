"""What a service does not start on: a login with powers of its own, and guards that are off."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from service.database import Ledger
from service.serving.promises import broken
from tests.conftest import LedgerDatabase
from tests.ledger.submissions import SOURCE

RUNTIME = "ledger_signing, ledger_reader, ledger_projector, ledger_admin, ledger_privacy, ledger_backup, ledger_sealer"


@asynccontextmanager
async def login(database: LedgerDatabase, powers: str, roles: str) -> AsyncIterator[str]:
    """A login with these powers and roles, until the block ends."""
    name = f"ledger_test_login_{database.superuser.get_server_pid()}"
    await database.superuser.execute(f'CREATE ROLE "{name}" LOGIN NOINHERIT {powers}')
    try:
        await database.superuser.execute(f'GRANT {roles} TO "{name}"')
        yield name
    finally:
        await database.superuser.execute(f'DROP OWNED BY "{name}"')
        await database.superuser.execute(f'DROP ROLE "{name}"')


async def said(database: LedgerDatabase, name: str) -> str:
    """What a service that logs in by this name is refused with. It has no vault key, which is said where all else is
    well."""
    parts = urlsplit(database.url)
    url = urlunsplit(parts._replace(netloc=f"{name}@{parts.netloc.rpartition('@')[2]}"))
    return " ".join(await broken(Ledger(url, SOURCE, Path("unused"))))


@pytest.mark.parametrize(
    ("powers", "roles", "word"),
    [
        ("", RUNTIME, "no vault key"),
        ("SUPERUSER", RUNTIME, "superuser"),
        ("", "ledger_owner", "owns"),
        ("", "ledger_migrator", "owns"),
        ("CREATEROLE", RUNTIME, "make roles"),
        ("REPLICATION", RUNTIME, "make roles"),
        ("BYPASSRLS", RUNTIME, "make roles"),
        ("", f"{RUNTIME}, pg_read_all_data", "make roles"),
        ("", f"{RUNTIME}, pg_write_all_data", "make roles"),
        ("", f"{RUNTIME}, pg_execute_server_program", "make roles"),
    ],
)
async def test_a_login_with_powers_of_its_own_is_refused(
    ledger_database: LedgerDatabase, powers: str, roles: str, word: str
) -> None:
    """If a login is, or can become, more than the ledger's own roles are, then the service does not start by it."""
    async with login(ledger_database, powers, roles) as name:
        assert word in await said(ledger_database, name)


async def test_a_login_that_can_become_one_with_powers_is_refused(ledger_database: LedgerDatabase) -> None:
    """If a login is a member of a superuser's role, or owns one table of ours, then it is refused as if it were he."""
    async with login(ledger_database, "", RUNTIME) as name:
        superuser = await ledger_database.superuser.fetchval("SELECT session_user")
        await ledger_database.superuser.execute(f'GRANT "{superuser}" TO "{name}"')
        assert "superuser" in await said(ledger_database, name)
        await ledger_database.superuser.execute(f'REVOKE "{superuser}" FROM "{name}"')
        assert "no vault key" in await said(ledger_database, name)
        await ledger_database.superuser.execute(f'ALTER TABLE vault.evidence OWNER TO "{name}"')
        assert "owns" in await said(ledger_database, name)
        await ledger_database.superuser.execute("ALTER TABLE vault.evidence OWNER TO ledger_owner")


async def test_guards_that_are_off_are_refused(ledger_database: LedgerDatabase) -> None:
    """If a trigger of the log is disabled, or all are by a setting, then the service does not start."""
    async with login(ledger_database, "", RUNTIME) as name:
        await ledger_database.superuser.execute("ALTER TABLE ledger.events DISABLE TRIGGER events_never_change")
        assert "events_never_change" in await said(ledger_database, name)
        await ledger_database.superuser.execute("ALTER TABLE ledger.events ENABLE ALWAYS TRIGGER events_never_change")
        assert "trigger" not in await said(ledger_database, name)
        await ledger_database.superuser.execute(
            "DO $$ BEGIN EXECUTE format("
            "'ALTER DATABASE %I SET session_replication_role = replica', current_database()); END $$"
        )
        assert "session_replication_role" in await said(ledger_database, name)
