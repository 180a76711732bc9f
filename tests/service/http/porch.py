"""A ledger in a database, served by the real application; the projector is in the test's hand."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import aiohttp
import asyncpg
import orjson
from aiohttp import web
from yarl import URL

from ledger.connecting import Role, settings
from ledger.writer import Writer
from projections.projector import catch_up
from schemas.commands import Accepted, Command, Submission
from service.credentials import Tokens
from service.database import Ledger
from service.http import audit, campaigns, log, operation
from service.http.app import build
from service.http.context import Context
from service.http.protocol import Limits, Runner
from service.settings import Settings
from service.snapshots import Snapshots
from tests.conftest import DatabaseServer, LedgerDatabase
from tests.filling import ADMIN, FILE, SITE
from tests.histories import SOURCE

PATIENCE = 10.0


async def until(condition: Callable[[], Any]) -> None:
    """Wait for what no event tells; fail where it does not come."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.005)


@dataclass(frozen=True)
class Answered:
    """One answer."""

    status: int
    headers: Any
    body: bytes

    @property
    def document(self) -> Any:
        return orjson.loads(self.body)

    @property
    def attributes(self) -> Any:
        return self.document["data"]["attributes"]

    @property
    def problem(self) -> str:
        """The slug of the problem document that this must be."""
        assert self.headers["Content-Type"] == "application/problem+json"
        slug = self.document["type"].removeprefix("/problems/")
        assert isinstance(slug, str)
        return slug


class CountingPool:
    """A pool that counts how often a connection is taken from it."""

    def __init__(self, pool: "asyncpg.Pool[Any]") -> None:
        self.pool = pool
        self.acquired = 0

    def acquire(self, **given: Any) -> Any:
        self.acquired += 1
        return self.pool.acquire(**given)


@dataclass
class Porch:
    """A served ledger. `get` goes over one connection, so that the answers are those of one client in turn."""

    database: LedgerDatabase
    context: Context
    address: str
    session: aiohttp.ClientSession

    @property
    def snapshots(self) -> Snapshots:
        return self.context.snapshots

    @property
    def asked(self) -> int:
        """How often any request has taken a database connection."""
        pools = cast(list[CountingPool], [self.context.public, self.context.audit])
        return sum(pool.acquired for pool in pools)

    async def get(self, path: str, method: str = "GET", **headers: str) -> Answered:
        """One request, its path sent as it stands; `_` in a header's name stands for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.request(method, URL(self.address + path, encoded=True), headers=named) as response:
            return Answered(response.status, response.headers.copy(), await response.read())

    @contextlib.asynccontextmanager
    async def another_client(self, connections: int = 1) -> "AsyncIterator[Porch]":
        """The same service, asked over at most so many connections of another client's."""
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections)) as session:
            yield replace(self, session=session)

    async def record(self, *commands: Command, role: Role = "ledger_signing", actor: str = SITE) -> None:
        """Append, without folding."""
        async with Writer(lambda: self.database.connect(role), role, SOURCE) as writer:
            outcomes = await writer.submit_all([Submission(command, actor) for command in commands])
        assert all(isinstance(outcome, Accepted) for outcome in outcomes), outcomes

    async def declare(self, *commands: Command, actor: str = ADMIN) -> None:
        await self.record(*commands, role="ledger_admin", actor=actor)

    async def imported(self, *commands: Command) -> None:
        for command in commands:
            await self.record(command, role="ledger_admin", actor=FILE)

    async def project(self) -> int:
        """Fold what was recorded, and wait until the worker serves it."""
        position = await catch_up(await self.database.connect("ledger_projector"))
        assert await self.snapshots.wait_for(position, PATIENCE)
        return position


@contextlib.asynccontextmanager
async def served(database: LedgerDatabase, home: Path, role: str = "all", **chosen: Any) -> AsyncIterator[Porch]:
    """Serve a ledger. `chosen` are settings."""
    async with contextlib.AsyncExitStack() as opened:
        pools = []
        for _ in range(2):
            pool = await opened.enter_async_context(
                asyncpg.create_pool(
                    database.url, min_size=0, max_size=3, command_timeout=10, server_settings=settings("ledger_reader")
                )
            )
            pools.append(cast("asyncpg.Pool[Any]", CountingPool(pool)))
        snapshots = await opened.enter_async_context(
            Snapshots(lambda: database.connect("ledger_reader"), interval=0.01)
        )
        assert await snapshots.wait_for(0, PATIENCE)
        context = Context(
            settings=Settings(home=home, **chosen),
            ledger=Ledger(database.url, SOURCE, home / "vault.key"),
            public=pools[0],
            audit=pools[1],
            signing=cast(Writer, None),
            admin=None,
            snapshots=snapshots,
            tokens=cast(Tokens, None),
            started=time.monotonic(),
        )
        routes = (*campaigns.ROUTES, *audit.ROUTES, *log.ROUTES, *operation.ROUTES)
        limits = Limits(shutdown=1.0)
        runner = Runner(build(context, cast(Any, role), routes, limits=limits), limits)
        await runner.setup()
        opened.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        session = await opened.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)))
        yield Porch(database, context, f"http://127.0.0.1:{runner.addresses[0][1]}", session)


@contextlib.asynccontextmanager
async def another_database(server: DatabaseServer, template: str) -> AsyncIterator[LedgerDatabase]:
    """A freshly migrated ledger for one example of a property: a fixture makes one only for a whole test."""
    name = f"ledger_test_{uuid.uuid4().hex}"
    admin = await asyncpg.connect(server.dsn("postgres"))
    await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    database = LedgerDatabase(server.dsn(name), await asyncpg.connect(server.dsn(name)), [])
    try:
        yield database
    finally:
        for connection in (database.superuser, *database.opened):
            connection.terminate()
        await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await admin.close()
