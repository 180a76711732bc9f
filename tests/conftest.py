"""What every test may lean on. Must never read DATABASE_URL, or touch a database that the suite did not create."""

import os
import shutil
import tempfile
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg
import pytest
from hypothesis import settings

from ledger.connecting import Role, connect
from ledger.migrations import migrate
from service.database import MIGRATIONS
from service.embedded.place import Place
from service.embedded.sharing import shared
from tests.filling import fill
from tests.vaults import EPOCH

# Two cores, shared with a database server: the time of a single example says nothing.
settings.register_profile("house", deadline=None)
settings.load_profile("house")

DATABASE_FIXTURES = {"server"}
"""A test that uses one of these, however indirectly, is a `database` test: `make test-fast` leaves it out."""

ROOM_IN_MEMORY = 3 * 1024**3
"""Bytes: five times what the clusters of two processes of tests came to together."""

FreshDatabase = Callable[[], Awaitable[str]]
"""Makes a new, empty database and gives its URL, as the superuser; it is dropped when the test has ended."""


class DatabaseServer(Protocol):
    """A server on which the suite makes databases of its own."""

    def dsn(self, database: str, user: str | None = None) -> str: ...


@dataclass(frozen=True)
class GivenServer:
    """The server that TEST_DATABASE_URL names; the database in it is only used to create others from."""

    url: str

    def dsn(self, database: str, user: str | None = None) -> str:
        parts = urlsplit(self.url)
        address = parts.netloc
        if user is not None:
            address = f"{quote(user, safe='')}@{address.rpartition('@')[2]}"
        return urlunsplit(parts._replace(netloc=address, path="/" + quote(database, safe="")))


def _in_memory() -> Path | None:
    """Where files are kept in memory, if there is room: what a cluster is made of is thousands of small ones, and no
    test outlives the machine. Else None."""
    memory = Path("/dev/shm")
    if memory.is_mount() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOM_IN_MEMORY:
        return memory
    return None


@contextmanager
def home_for_a_server() -> Iterator[Path]:
    """An empty LEDGER_HOME, taken away afterwards together with what root may have had to lay elsewhere for it."""
    # Not pytest's own directory: it keeps the last three of them, and a cluster is 40 MB.
    home = Path(tempfile.mkdtemp(prefix="ledger-test-", dir=_in_memory()))
    try:
        yield home
    finally:
        elsewhere = Place(home).elsewhere()
        for path in (home, elsewhere):
            if path is not None:
                shutil.rmtree(path, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if DATABASE_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.database)
    # Files of few tests first, which are those of long ones: so no process is left alone with one of them at the end.
    tests = Counter(item.path for item in items)
    items.sort(key=lambda item: tests[item.path])


@pytest.fixture(scope="session", autouse=True)
def _without_a_database_of_the_callers() -> Iterator[None]:
    """If DATABASE_URL is set, then no test can reach it: neither our code nor a command that a test starts sees it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DATABASE_URL", raising=False)
        patch.delenv("LEDGER_HOME", raising=False)
        yield


@pytest.fixture(scope="session")
def server() -> Iterator[DatabaseServer]:
    """An embedded server for the whole session, or the one that TEST_DATABASE_URL names."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield GivenServer(given)
        return
    with home_for_a_server() as home, shared(home) as embedded:
        yield embedded


@pytest.fixture
async def fresh_database(server: DatabaseServer) -> AsyncIterator[FreshDatabase]:
    """A maker of databases, as many as the test asks for."""
    made: list[str] = []
    admin = await asyncpg.connect(os.environ.get("TEST_DATABASE_URL") or server.dsn("postgres"))

    async def make() -> str:
        name = f"ledger_test_{uuid.uuid4().hex}"
        made.append(name)
        await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
        return server.dsn(name)

    try:
        yield make
    finally:
        for name in made:
            await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await admin.close()


@dataclass
class LedgerDatabase:
    """A migrated database of its own: its address, a connection as the superuser, and more in any role."""

    url: str
    superuser: "asyncpg.Connection[Any]"
    opened: "list[asyncpg.Connection[Any]]"

    @property
    def name(self) -> str:
        return urlsplit(self.url).path.removeprefix("/")

    async def connect(self, role: Role) -> "asyncpg.Connection[Any]":
        """A connection in one of the ledger's roles, closed when the test ends."""
        connection = await connect(self.url, role)
        self.opened.append(connection)
        return connection


@asynccontextmanager
async def copied(server: DatabaseServer, template: str) -> AsyncIterator[LedgerDatabase]:
    """A copy of this database, dropped when the block ends."""
    admin = await asyncpg.connect(os.environ.get("TEST_DATABASE_URL") or server.dsn("postgres"))
    name = f"ledger_test_{uuid.uuid4().hex}"
    await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    database = LedgerDatabase(server.dsn(name), await asyncpg.connect(server.dsn(name)), [])
    try:
        yield database
    finally:
        for connection in (database.superuser, *database.opened):
            connection.terminate()
        await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await admin.close()


@pytest.fixture(scope="session")
async def ledger_template(server: DatabaseServer) -> AsyncIterator[str]:
    """A migrated database that others are copied from."""
    async with copied(server, "template0") as database:
        await migrate(database.superuser, MIGRATIONS)
        await database.superuser.execute("INSERT INTO vault.epochs VALUES ($1, $2)", EPOCH.number, EPOCH.check)
        await database.superuser.close()
        yield database.name


@pytest.fixture(scope="session")
async def filled_template(server: DatabaseServer, ledger_template: str) -> AsyncIterator[str]:
    """One that is filled as `tests.filling` says: once, for filling takes longer than most tests that want it."""
    async with copied(server, ledger_template) as database:
        await fill(database)
        for connection in (database.superuser, *database.opened):
            await connection.close()  # a database that somebody is connected to is not copied
        yield database.name


@pytest.fixture
async def ledger_database(server: DatabaseServer, ledger_template: str) -> AsyncIterator[LedgerDatabase]:
    """A freshly migrated ledger."""
    async with copied(server, ledger_template) as database:
        yield database


@pytest.fixture
async def filled_database(server: DatabaseServer, filled_template: str) -> AsyncIterator[LedgerDatabase]:
    """A ledger of its own with a bit of everything in it."""
    async with copied(server, filled_template) as database:
        yield database
