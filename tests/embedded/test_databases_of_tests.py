"""What the suite's own fixtures promise to the tests that use them."""

import asyncpg

from tests.conftest import DatabaseServer, FreshDatabase, GivenServer
from tests.embedded.commands import run


async def test_each_fresh_database_is_empty_and_a_different_one(fresh_database: FreshDatabase) -> None:
    """If a test asks twice, then it gets two databases, and what it makes in one is not in the other."""
    first, second = await fresh_database(), await fresh_database()
    await run(first, "CREATE TABLE thing ()")
    assert await run(first, "SELECT count(*) FROM pg_class WHERE relname = 'thing'") == 1
    assert await run(second, "SELECT count(*) FROM pg_class WHERE relname = 'thing'") == 0


async def test_a_database_still_in_use_is_dropped_all_the_same(
    server: DatabaseServer, fresh_database: FreshDatabase
) -> None:
    """If a test leaves a connection open, then its database can be dropped with it."""
    dsn = await fresh_database()
    connection = await asyncpg.connect(dsn)
    name = await connection.fetchval("SELECT current_database()")
    await run(server.dsn("template1"), f'DROP DATABASE "{name}" WITH (FORCE)')
    connection.terminate()


def test_a_given_server_keeps_its_address_and_options() -> None:
    """If TEST_DATABASE_URL names a server, then only the database, and where asked the user, are replaced in it."""
    given = GivenServer("postgresql://me:secret@127.0.0.1:6543/postgres?sslmode=disable")
    assert given.dsn("ledger_test_1") == "postgresql://me:secret@127.0.0.1:6543/ledger_test_1?sslmode=disable"
    assert given.dsn("x", "reader") == "postgresql://reader@127.0.0.1:6543/x?sslmode=disable"
