"""Everything that a service of each role serves, over one ledger, and tokens of every kind to ask for it with."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, get_args

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from ledger.access import PREFIX, TokenRole, list_tokens, revoke_token
from ledger.connecting import Role as DatabaseRole
from ledger.connecting import connect
from ledger.writer import Writer
from projections.projector import catch_up
from service.http.app import build, collected
from service.http.openapi_document import openapi_document
from service.http.protocol import Limits, Runner
from service.http.routes import Role, Route
from service.settings import Settings
from service.snapshots import Snapshots
from tests.conftest import LedgerDatabase
from tests.service.http.counter import PATIENCE, PETITION, Counter, counter

ROLES: Final[tuple[TokenRole, ...]] = get_args(TokenRole)
LISTENERS: Final[tuple[Role, ...]] = get_args(Role)
ANOTHER: Final = "another-petition"
NOTHING: Final = b"There is nothing at this path."
"""What the router says of a path that no route has."""
AT_ONCE: Final = 4
"""Routes that are asked at once: unknown tokens wait for the list to be read anew."""


@dataclass(frozen=True)
class Listeners:
    """Where each role listens. `counter` is the ledger's own."""

    counter: Counter
    addresses: Mapping[Role, str]
    session: aiohttp.ClientSession

    async def ask(self, route: Route, *authorization: str, role: Role = "all", query: str = "", **more: Any) -> int:
        """The status of one request for a route, with these Authorization headers."""
        headers = CIMultiDict([("Authorization", each) for each in authorization])
        headers.update(more.pop("headers", {}))
        url = URL(self.addresses[role] + path_of(route) + query, encoded=True)
        async with self.session.request(
            route.method, url, headers=headers, skip_auto_headers={"Content-Type"}, **more
        ) as response:
            return response.status  # the body may have no end

    async def knows(self, role: Role, route: Route, token: str) -> bool:
        """Whether a service of this role has the route, and is not only one that has nothing there."""
        url = URL(self.addresses[role] + path_of(route), encoded=True)
        headers = {"Authorization": f"Bearer {token}"}
        async with self.session.request(route.method, url, headers=headers) as response:
            return response.status not in (404, 405) or (
                response.status == 404 and NOTHING not in await response.read()
            )


def path_of(route: Route) -> str:
    """A path that the route serves: of the petition that there is, else as the document's examples say."""
    operation = openapi_document([route], "1")["paths"][route.template][route.method.lower()]
    path = route.template
    for each in operation["parameters"]:
        if each["in"] == "path":
            path = path.replace("{" + each["name"] + "}", PETITION if each["name"] == "id" else each["example"])
    return path


@asynccontextmanager
async def listeners(
    database: LedgerDatabase, directory: Path, *, writer: Callable[[DatabaseRole], Writer] | None = None
) -> AsyncIterator[Listeners]:
    """Serve the ledger in every role until the block ends, with two petitions in it. `writer` makes its writers."""
    async with counter(database, directory, writer=writer) as made, AsyncExitStack() as opened:
        for petition in (PETITION, ANOTHER):
            await made.open(petition)
        position = await catch_up(await database.connect("ledger_projector"))
        snapshots = await opened.enter_async_context(Snapshots(lambda: connect(database.url, "ledger_reader")))
        assert await snapshots.wait_for(position, PATIENCE)
        addresses: dict[Role, str] = {}
        for role in LISTENERS:
            context = replace(
                made.context,
                settings=Settings(acquire_timeout=PATIENCE),
                snapshots=snapshots,
                admin=None if role == "public" else made.context.admin,
            )
            chosen = Limits(shutdown=1.0)
            runner = Runner(build(context, role, limits=chosen), chosen)
            await runner.setup()
            opened.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            addresses[role] = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield Listeners(made, addresses, made.session)


@dataclass(frozen=True)
class Credentials:
    """A token of each kind, for each role."""

    good: Mapping[TokenRole, str]
    here: Mapping[TokenRole, str]
    elsewhere: Mapping[TokenRole, str]
    expired: Mapping[TokenRole, str]
    revoked: Mapping[TokenRole, str]


async def credentials(counter: Counter) -> Credentials:
    """Make them. `here` is limited to the petition that is asked about, `elsewhere` to another."""
    now = datetime.now(UTC)

    async def each(kind: str, **limits: Any) -> dict[TokenRole, str]:
        return {role: await counter.token(role, f"{kind} {role}", **limits) for role in ROLES}

    made = Credentials(
        good=await each("good"),
        here=await each("here", petition=PETITION),
        elsewhere=await each("elsewhere", petition=ANOTHER),
        expired=await each("expired", expires=now - timedelta(seconds=1)),
        revoked=await each("revoked"),
    )
    admin = await connect(counter.ledger.dsn, "ledger_admin")
    try:
        for listed in await list_tokens(admin):
            if listed.name.startswith("revoked"):
                assert await revoke_token(admin, listed.id)
    finally:
        await admin.close()
    return made


def shown(status: int) -> str:
    """What an answer says of access: `in`, or by which status not. A fault of ours is neither."""
    assert status < 500, status
    return str(status) if status in (401, 403, 429) else "in"


async def lines(served: Listeners, tokens: Credentials) -> list[str]:
    """The matrix: a line for each route, asked in every way that there is."""
    at_once = asyncio.Semaphore(AT_ONCE)

    async def line(route: Route) -> str:
        async with at_once:
            return await _line(served, tokens, route)

    return sorted(await asyncio.gather(*[line(route) for route in collected()]))


async def _line(served: Listeners, tokens: Credentials, route: Route) -> str:
    role: TokenRole = route.need if route.need in ROLES else "site"
    good = tokens.good[role]
    ways: dict[str, dict[str, Any]] = {
        "query": {"query": f"?access_token={good}"},
        "cookie": {"headers": {"Cookie": f"token={good}; Authorization=Bearer {good}"}},
        "body": {"json": {"access_token": good}} if route.method == "POST" else {"data": f"access_token={good}"},
    }
    cells = {"nobody": shown(await served.ask(route))}
    for each in ROLES:
        cells[each] = shown(await served.ask(route, f"Bearer {tokens.good[each]}"))
    for name, kind in (("here", tokens.here), ("elsewhere", tokens.elsewhere)):
        cells[name] = shown(await served.ask(route, f"Bearer {kind[role]}"))
    refused = {
        "expired": (f"Bearer {tokens.expired[role]}",),
        "revoked": (f"Bearer {tokens.revoked[role]}",),
        "unknown": (f"Bearer {PREFIX}{'A' * 43}",),
        "malformed": (f"Bearer {good}=",),
        "another-scheme": (f"Basic {good}",),
        "twice": (f"Bearer {good}", f"Bearer {good}"),
    }
    for name, given in refused.items():
        cells[name] = shown(await served.ask(route, *given))
    for name, way in ways.items():
        status = await served.ask(route, **way)
        # An unknown parameter is refused before a credential is looked at: nobody is let in by it.
        guarded = route.need in ROLES
        cells[name] = "422" if guarded and name == "query" and status == 422 else shown(status)
    cells["lower-case"] = shown(await served.ask(route, f"bearer {good}"))
    cells["space-behind"] = shown(await served.ask(route, f"Bearer {good} "))
    where = [name for name in LISTENERS if await served.knows(name, route, good)]
    return _written(route, cells, where)


def _written(route: Route, cells: Mapping[str, str], where: list[Role]) -> str:
    """`POST /petitions  all,admin  in: admin here lower-case; 403: site; 401: the others`, as it is compared."""
    answered: dict[str, list[str]] = {}
    for name, cell in cells.items():
        answered.setdefault(cell, []).append(name)
    told = "; ".join(
        f"{cell}: {'everybody' if len(answered) == 1 else ' '.join(names)}" for cell, names in _in_order(answered)
    )
    return f"{route.template} {route.method}  on {' '.join(where)}  {told}"


def _in_order(answered: Mapping[str, list[str]]) -> Iterator[tuple[str, list[str]]]:
    yield from sorted(answered.items(), key=lambda item: (item[0] != "in", item[0]))
