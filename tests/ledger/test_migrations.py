"""Migrations: once, whoever runs them and however often; and never over what somebody else has made."""

import asyncio
from dataclasses import replace

import asyncpg
import pytest

from ledger import migrations
from ledger.connecting import Connection
from ledger.migrations import LEDGER, Migration, MigrationRefused, is_current, migrate, shipped
from service.database import MIGRATIONS
from tests.conftest import FreshDatabase

SCHEMA = """
SELECT (SELECT string_agg(c.oid::regclass || ' ' || c.relkind::text, E'\n' ORDER BY c.oid::regclass::text)
          FROM pg_class c WHERE c.relnamespace::regnamespace::text IN ('ledger', 'vault', 'access', 'projections')),
       (SELECT string_agg(p.oid::regprocedure || ' ' || md5(p.prosrc) || coalesce(p.proacl::text, ''), E'\n'
                          ORDER BY p.oid::regprocedure::text)
          FROM pg_proc p WHERE p.pronamespace::regnamespace::text IN ('ledger', 'vault', 'access', 'projections')),
       (SELECT string_agg(name || ' ' || encode(sha256, 'hex'), E'\n' ORDER BY name) FROM public.ledger_migrations)
"""


async def schema(connection: Connection) -> tuple[str, ...]:
    """Everything that the migrations have made."""
    row = await connection.fetchrow(SCHEMA)
    assert row is not None
    return tuple(row)


@pytest.fixture
async def empty(fresh_database: FreshDatabase) -> str:
    """The address of a database in which nothing was ever done."""
    return await fresh_database()


async def connected(url: str) -> Connection:
    return await asyncpg.connect(url)


async def test_migrating_twice_changes_nothing_the_second_time(empty: str) -> None:
    """If what is shipped was applied, then applying it again does nothing, and says so."""
    connection = await connected(empty)
    said: list[str] = []
    assert not await is_current(connection, MIGRATIONS)
    assert await migrate(connection, MIGRATIONS, said.append) == len(said) > 0
    before = await schema(connection)
    assert await is_current(connection, MIGRATIONS)
    assert await migrate(connection, MIGRATIONS, said.append) == 0
    assert await schema(connection) == before
    assert len(said) == len(set(said))
    await connection.close()


async def test_many_at_once_on_a_fresh_database_apply_everything_once(empty: str) -> None:
    """If several connections migrate a fresh database at once, then each file is applied by exactly one of them, and
    none of them fails."""
    connections = [await connected(empty) for _ in range(5)]
    counts = await asyncio.gather(*[migrate(each, MIGRATIONS) for each in connections])
    shipped_files = sum(len(shipped(package)) for package in MIGRATIONS)
    assert sum(counts) == shipped_files
    assert await connections[0].fetchval("SELECT count(*) FROM public.ledger_migrations") == shipped_files
    for each in connections:
        assert await is_current(each, MIGRATIONS)
        await each.close()


async def test_ledgers_that_share_a_server_migrate_side_by_side(fresh_database: FreshDatabase) -> None:
    """If two databases of one server migrate at once, then the roles that they share do not make either fail."""
    connections = [await connected(await fresh_database()) for _ in range(3)]
    counts = await asyncio.gather(*[migrate(each, MIGRATIONS) for each in connections])
    assert len(set(counts)) == 1
    for each in connections:
        await each.close()


async def test_nobody_waits_for_ever_behind_a_migration_that_was_killed(empty: str) -> None:
    """If the connection that migrates is gone in the middle, then the next one takes up where it was."""
    first, second = await connected(empty), await connected(empty)

    def die(said: str) -> None:
        if said.endswith("0003_state"):
            first.terminate()

    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, ConnectionError)):
        await migrate(first, (LEDGER,), die)
    async with asyncio.timeout(20):
        assert await migrate(second, (LEDGER,)) == len(shipped(LEDGER)) - 2
    await second.close()


async def test_an_edited_file_is_refused(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a file was edited after it was applied, then migrating is refused and names it, and nothing is applied."""
    connection = await connected(empty)
    await migrate(connection, (LEDGER,))
    before = await schema(connection)
    edited = [replace(each, sha256=b"x" * 32) if "0002" in each.name else each for each in shipped(LEDGER)]
    newer = Migration("ledger/9999_newer", "CREATE TABLE ledger.newer ()", b"y" * 32)
    monkeypatch.setattr(migrations, "shipped", lambda package: [*edited, newer])
    with pytest.raises(MigrationRefused, match="ledger/0002_events was edited"):
        await migrate(connection, (LEDGER,))
    assert await schema(connection) == before
    assert not await is_current(connection, (LEDGER,))
    await connection.close()


async def test_a_database_of_a_newer_release_is_refused(empty: str) -> None:
    """If the database knows a migration that is not shipped here, then migrating is refused, and names it."""
    connection = await connected(empty)
    await migrate(connection, (LEDGER,))
    await connection.execute("INSERT INTO public.ledger_migrations VALUES ('ledger/9999_newer', '\\x00')")
    with pytest.raises(MigrationRefused, match=r"newer release .*ledger/9999_newer"):
        await migrate(connection, (LEDGER,))
    await connection.close()


async def test_a_migration_that_fails_leaves_nothing_of_itself(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a file fails halfway, then nothing of it stays, what came before it does, and the lock is free again."""
    connection = await connected(empty)
    broken = Migration("ledger/9999_broken", "CREATE TABLE ledger.half (); SELECT 1 / 0", b"x" * 32)
    files = [*shipped(LEDGER), broken]
    monkeypatch.setattr(migrations, "shipped", lambda package: files)
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(connection, (LEDGER,))
    assert await connection.fetchval("SELECT to_regclass('ledger.half')") is None
    assert await connection.fetchval("SELECT count(*) FROM public.ledger_migrations") == len(files) - 1
    assert await connection.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted") == 0
    await connection.close()
