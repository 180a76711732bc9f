"""The counter of the porch: sites sign and admins declare, over the real door and real writers, with real tokens."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import orjson
from aiohttp import web

from ledger.access import TokenRole, create_token
from ledger.connecting import Role, connect, settings
from ledger.writer import Writer
from schemas.commands import Accepted, Command, Submission
from service.credentials import Tokens
from service.database import Ledger
from service.http import (
    amending,
    audit,
    campaigns,
    comments,
    corrections,
    disclosing,
    erasing,
    petitions,
    reviewing,
    signing,
)
from service.http.app import build
from service.http.context import Context
from service.http.protocol import Limits, Runner
from service.opening import opening
from service.settings import Settings
from service.snapshots import Snapshots
from tests.conftest import LedgerDatabase
from tests.ledger.submissions import SOURCE
from tests.vaults import lay_keys

PATIENCE = 10.0
"""Seconds after which a test gives up waiting for a condition."""
PETITION = "keep-the-library"
JANE = {"signer": {"email": "jane@ex.org", "name": "Jane"}}


@dataclass(frozen=True)
class Reply:
    """One answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return orjson.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        """The documents of an NDJSON answer."""
        return [orjson.loads(line) for line in self.body.splitlines()]

    @property
    def problem(self) -> str:
        """The slug of the problem document that this must be."""
        assert self.headers["Content-Type"] == "application/problem+json", self.body
        assert self.document["status"] == self.status
        return str(self.document["type"]).removeprefix("/problems/")


@dataclass
class Counter:
    """Where it is served, over which ledger, and with which tokens."""

    url: str
    database: LedgerDatabase
    ledger: Ledger
    context: Context
    session: aiohttp.ClientSession
    site: str = field(default="", repr=False)
    admin: str = field(default="", repr=False)

    async def token(self, role: TokenRole = "site", name: str = "a site", **limits: Any) -> str:
        """A new token."""
        connection = await connect(self.ledger.dsn, "ledger_admin")
        try:
            return await create_token(connection, role, name, **limits)
        finally:
            await connection.close()

    async def send(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """One request, with these headers and no others that matter."""
        skip = {"Content-Type"}
        async with self.session.request(
            method, self.url + path, data=body, headers=headers, skip_auto_headers=skip
        ) as response:
            return Reply(response.status, response.headers, await response.read())

    async def post(
        self, path: str, body: object = None, *, token: str | None = None, key: str | None = None, **headers: str
    ) -> Reply:
        """A POST of a JSON body, by the site unless another token is given."""
        sent = {"Authorization": f"Bearer {token or self.site}"}
        if body is not None:
            sent["Content-Type"] = "application/json"
        if key is not None:
            sent["Idempotency-Key"] = key
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.send("POST", path, None if body is None else orjson.dumps(body), sent)

    async def sign(self, key: str, body: object = JANE, petition: str = PETITION, **more: Any) -> Reply:
        """Sign as a site does."""
        return await self.post(f"/petitions/{petition}/signatures", body, key=key, **more)

    async def get(self, path: str, token: str | None = None) -> Reply:
        """A GET, without a credential unless a token is given."""
        return await self.send("GET", path, headers={} if token is None else {"Authorization": f"Bearer {token}"})

    async def declare(self, path: str, body: object, *, seen: int | None = None, **more: Any) -> Reply:
        """Declare as an admin does, having seen so many declarations."""
        tag = {} if seen is None else {"If_Match": f'"d{seen}"'}
        return await self.post(path, body, token=self.admin, **tag, **more)

    async def open(self, petition: str = PETITION, **said: Any) -> None:
        """Open a petition, as the command line does."""
        await self.done(opening(petition, **said))

    async def done(self, command: Command, actor: str = "system") -> Accepted:
        """Carry a command out as an admin or an import, beside the porch."""
        assert self.context.admin is not None
        outcome = await self.context.admin.submit(Submission(command, actor))
        assert isinstance(outcome, Accepted), outcome
        return outcome

    async def events(self, type: str | None = None) -> list[dict[str, Any]]:
        """Every leaf, or those of one type, in order."""
        rows = await self.database.superuser.fetch("SELECT leaf FROM ledger.events ORDER BY position")
        leaves = [orjson.loads(row["leaf"]) for row in rows]
        return [leaf for leaf in leaves if type is None or leaf["type"] == type]

    async def rows(self, table: str) -> list[dict[str, Any]]:
        """What stands in a table of the vault, or of what stands beside the log."""
        return [dict(row) for row in await self.database.superuser.fetch(f"TABLE {table}")]


@asynccontextmanager
async def counter(
    database: LedgerDatabase,
    directory: Path,
    *,
    writer: Callable[[Role], Writer] | None = None,
    tokens: Mapping[str, Any] | None = None,
    reads: bool = False,
) -> AsyncIterator[Counter]:
    """Serve until the block ends. `writer` and `tokens` change how those two are made; with `reads`, what campaign
    sites and auditors read is served too."""
    ledger = Ledger(database.url, SOURCE, lay_keys(directory / "vault.key"), erasure_journal=directory / "journal")

    def usual(role: Role) -> Writer:
        return Writer(lambda: connect(database.url, role), role, SOURCE)

    made = writer or usual
    async with AsyncExitStack() as opened:
        pool = await opened.enter_async_context(
            asyncpg.create_pool(
                database.url, min_size=0, max_size=4, command_timeout=10, server_settings=settings("ledger_reader")
            )
        )
        context = Context(
            settings=Settings(),
            ledger=ledger,
            public=pool,
            audit=pool,
            desk=pool,
            signing=await opened.enter_async_context(made("ledger_signing")),
            admin=await opened.enter_async_context(made("ledger_admin")),
            privacy=await opened.enter_async_context(made("ledger_privacy")),
            snapshots=Snapshots(lambda: connect(database.url, "ledger_reader"), interval=0.05),
            tokens=await opened.enter_async_context(
                Tokens(lambda: connect(database.url, "ledger_signing"), **(tokens or {}))
            ),
            started=0.0,
        )
        limits = Limits()
        modules = (signing, amending, petitions, corrections, reviewing, comments, disclosing, erasing)
        served_routes = [route for module in modules for route in module.ROUTES]
        if reads:
            served_routes += [*campaigns.ROUTES, *audit.ROUTES]
            await opened.enter_async_context(context.snapshots)
        runner = Runner(build(context, "all", served_routes, limits=limits), limits)
        await runner.setup()
        opened.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        session = await opened.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100), auto_decompress=False)
        )
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        served = Counter(url, database, ledger, context, session)
        served.site = await served.token("site")
        served.admin = await served.token("admin", "an admin")
        yield served


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what no event tells."""
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # noqa: ASYNC110  # what is waited for is in the database
            await asyncio.sleep(0.02)
