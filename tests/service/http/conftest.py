"""A small application behind the real door and the real protocol, on a free port, and a client that speaks raw HTTP."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, cast

import orjson
import pytest
import structlog
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from service.http.app import build
from service.http.bodies import parse, read_empty, read_json, read_lines
from service.http.conditional import declarations_etag, expected_declarations, negotiate, respond
from service.http.context import Context
from service.http.parameters import choice, duration, instant, integer, matching, point, position, query
from service.http.problems import Problem
from service.http.protocol import Limits, Runner
from service.http.routes import PETITION, SIGNATURE, Answer, Role, Route

CANARY = "zq7canary"
"""Put wherever a client can put something; it must never come back, nor stand in a log."""

PATIENCE = 5.0
"""Seconds after which a test gives up waiting for what must come at once."""


class Person(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    email: Annotated[str, Field(max_length=100)]
    postcode: str | None = None


class Reference(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    ref: Annotated[str, Field(pattern=r"^[0-9a-f]{8}$")]


class Thing(BaseModel):
    """A body with everything that a body can hold."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    signer: Person | Reference
    amount: Annotated[int, Field(ge=0, le=2**53 - 1)] = 0
    kind: Literal["person", "organisation"] = "person"
    answers: dict[str, Literal["yes", "no"]] = Field(default_factory=dict)
    parts: Annotated[list[Person], Field(max_length=10)] = Field(default_factory=list)


@dataclass
class Events:
    """What the application recorded, and the gate that its slow route waits at."""

    recorded: list[object] = field(default_factory=list)
    declarations: int = 3
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    gate: asyncio.Event = field(default_factory=asyncio.Event)


QUERY = {
    "after": position(),
    "limit": integer(1, 1000, default=100),
    "as_of": point(),
    "effective": instant(),
    "within": duration(),
    "mode": choice("as_recorded", "as_corrected", default="as_recorded"),
    "digest": matching("[0-9a-f]{4}", "four hexadecimal digits"),
}


def routes(events: Events) -> list[Route]:
    """The small application's routes."""

    async def read(request: web.Request) -> web.StreamResponse:
        asked = query(request, **QUERY)
        body = {"id": request.match_info["id"], **{name: str(value) for name, value in asked.items()}}
        return respond(request, orjson.dumps(body), headers={"Ledger-Position": "7"})

    async def table(request: web.Request) -> web.StreamResponse:
        media = negotiate(request, "application/json", "text/csv")
        return respond(request, b"[]" if media == "application/json" else b"at\r\n", media)

    async def one(request: web.Request) -> web.StreamResponse:
        return respond(request, b"{}")

    async def large(request: web.Request) -> web.StreamResponse:
        return respond(request, b"x" * 16_000_000)

    async def broken(request: web.Request) -> web.StreamResponse:
        raise LookupError(f"{CANARY} is in the text of this exception")

    async def slow(request: web.Request) -> web.StreamResponse:
        events.arrived.set()
        await events.gate.wait()
        events.recorded.append("slow")
        return web.json_response({})

    async def sign(request: web.Request) -> web.StreamResponse:
        thing = await read_json(request, Thing)
        events.recorded.append(thing)
        return web.json_response({"position": len(events.recorded)}, status=201)

    async def confirm(request: web.Request) -> web.StreamResponse:
        await read_empty(request)
        events.recorded.append("confirmed")
        return web.json_response({})

    async def batch(request: web.Request) -> web.StreamResponse:
        results: list[object] = []
        for line in await read_lines(request):
            try:
                events.recorded.append(parse(line, Thing))
                results.append({"status": 201})
            except Problem as problem:
                results.append(problem.document())
        return web.json_response(results)

    async def declare(request: web.Request) -> web.StreamResponse:
        if expected_declarations(request) != events.declarations:
            raise Problem("precondition-failed", "The petition has changed since.")
        events.declarations += 1
        return web.json_response({}, headers={"ETag": declarations_etag(events.declarations)})

    done = {200: Answer("done")}
    forms = {200: Answer("a table", ("application/json", "text/csv"))}
    return [
        Route("GET", f"/petitions/{PETITION}.json", read, "public", "read", "Read", done, query=QUERY),
        Route("GET", f"/petitions/{PETITION}/table", table, "public", "table", "Table", forms),
        Route("GET", f"/petitions/{PETITION}/signatures/{SIGNATURE}", one, "public", "one", "One", done),
        Route("GET", "/large", large, "public", "large", "Large", done),
        Route("GET", "/broken", broken, "public", "broken", "Broken", done),
        Route("POST", "/broken", broken, "site", "break", "Break", done),
        Route("GET", "/signals", one, "admin", "signals", "Signals", done),
        Route("POST", "/slow", slow, "site", "slow", "Slow", done),
        Route("POST", f"/petitions/{PETITION}/signatures", sign, "site", "sign", "Sign", done, body=Thing),
        Route("POST", f"/petitions/{PETITION}/confirmation", confirm, "site", "confirm", "Confirm", done),
        Route("POST", f"/petitions/{PETITION}/batch", batch, "site", "batch", "Batch", done),
        Route("POST", f"/petitions/{PETITION}/status", declare, "admin", "declare", "Declare", done),
    ]


@dataclass(frozen=True)
class Reply:
    """One answer as it came over the wire; `closed` says that the connection ended after it."""

    status: int
    headers: dict[str, str]
    body: bytes
    closed: bool

    @property
    def document(self) -> Any:
        return orjson.loads(self.body)

    @property
    def problem(self) -> str:
        """The slug of the problem document that this must be."""
        assert self.headers["content-type"] == "application/problem+json"
        document = self.document
        assert document["status"] == self.status
        assert set(document) <= {"type", "title", "status", "detail", "errors"}
        assert isinstance(document["type"], str)
        return document["type"].removeprefix("/problems/")


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what no event tells."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110  # a socket's state on the other side
            await asyncio.sleep(0.01)


class Line:
    """One raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def reply(self, *, bodiless: bool = False) -> Reply:
        """The next answer; `bodiless` for those to HEAD."""
        async with asyncio.timeout(PATIENCE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *rest = head.rstrip("\r\n").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
            status = int(first.split(" ")[1])
            length = 0 if bodiless or status in (204, 304) else int(headers.get("content-length", "0"))
            body = await self.reader.readexactly(length)
        assert CANARY.encode() not in head.encode("latin-1") + body
        return Reply(status, headers, body, headers.get("connection") == "close")

    async def ended(self) -> bytes:
        """What still comes until the service closes the connection, which it must."""
        async with asyncio.timeout(PATIENCE):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""


@dataclass(frozen=True)
class Served:
    """The application as it is served."""

    port: int
    events: Events
    runner: Runner
    lines: AsyncExitStack

    async def open(self) -> Line:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**20)
        self.lines.callback(writer.close)
        return Line(reader, writer)

    async def ask(self, *data: bytes, bodiless: bool = False) -> Reply:
        """One request on a connection of its own; where the answer announces the end, the end must come."""
        line = await self.open()
        for piece in data:
            await line.send(piece)
        reply = await line.reply(bodiless=bodiless)
        if reply.closed:
            assert await line.ended() == b""
        return reply

    async def get(self, target: str, *headers: str, method: str = "GET") -> Reply:
        return await self.ask(request(method, target, *headers), bodiless=method == "HEAD")

    async def post(self, target: str, body: bytes, *headers: str, media: str | None = "application/json") -> Reply:
        kind = [] if media is None else [f"Content-Type: {media}"]
        return await self.ask(request("POST", target, *kind, f"Content-Length: {len(body)}", *headers) + body)


def request(method: str, target: str, *headers: str, version: str = "HTTP/1.1", host: str = "Host: ledger") -> bytes:
    """The head of a request."""
    return "\r\n".join([f"{method} {target} {version}", host, *headers, "", ""]).encode("utf-8")


Serve = Callable[..., Awaitable[Served]]


async def started(
    open_now: AsyncExitStack, limits: Limits, role: Role, of: Callable[[Events], Iterable[Route]]
) -> Served:
    """An application that is served until the stack is closed."""
    events = Events()
    runner = Runner(build(cast(Context, None), role, of(events), limits=limits), limits)
    open_now.push_async_callback(runner.cleanup)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    lines = await open_now.enter_async_context(AsyncExitStack())
    return Served(runner.addresses[0][1], events, runner, lines)


@pytest.fixture
async def serve(said: list[Any]) -> AsyncIterator[Serve]:
    """Serves an application (by default the small one) until the test ends."""
    async with AsyncExitStack() as open_now:

        async def start(
            limits: Limits | None = None,
            *,
            role: Role = "all",
            of: Callable[[Events], Iterable[Route]] = routes,
        ) -> Served:
            return await started(open_now, limits or Limits(), role, of)

        yield start


@pytest.fixture
async def served(serve: Serve) -> Served:
    """The small application, served with bounds short enough for a test."""
    return await serve(Limits(idle=2.0, body=0.3, write=0.5, linger=0.1))


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[list[Any]]:
    """What was logged. If a test sends the canary, then it is in no line; and aiohttp and asyncio say nothing."""
    with structlog.testing.capture_logs() as lines:
        yield lines
    assert CANARY not in repr(lines)
    assert [record for record in caplog.records if record.name.startswith(("aiohttp", "asyncio"))] == []
