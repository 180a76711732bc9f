"""The wire: how long, how much and from whom a connection may be, and what it is told when it breaks the rules.

aiohttp answers what its parser refuses by itself, outside every middleware, in text that quotes the client; it waits
an hour for an idle connection and for ever for one that does not read. Here each of these has a bound and an answer of
ours: a problem document, then the end of the connection. This module must never put anything that a client sent into
an answer or a log, and never look at `X-Forwarded-*`: connections are counted by the peer of their socket.
"""

import asyncio
import random
import re
from collections import Counter
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import IPv4Network, IPv6Network
from logging import Logger
from typing import Any, Final, cast

import structlog
from aiohttp import StreamReader, http_parser, web
from aiohttp.abc import AbstractAccessLogger
from aiohttp.http_exceptions import BadHttpMethod
from aiohttp.web_protocol import RequestHandler, RequestPayloadError, _ErrInfo

from service.http.networks import Rates, peer_network
from service.http.problems import FAILURE, PROTECTION, Disconnected, Problem, frames, of_http_exception, unexpected
from service.http.routes import Route

REQUEST_ID: Final = web.RequestKey("request_id", str)
"""What a request is called in its answer and in its log line."""
CURRENT: Final = web.RequestKey("route", Route)
"""The route that serves a request."""

_UNKNOWN_METHOD: Final = re.compile(r"""\n  b["'][A-Za-z][A-Za-z-]{0,31} [^\s"']+ HTTP/1\.[01]["']\n""", re.ASCII)
_METHODS: Final = "GET, HEAD, OPTIONS, POST"
_log: Final = structlog.stdlib.get_logger()


class ProtocolUnfit(RuntimeError):
    """This process must not serve: its parser or its event loop would break what the service promises."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on connections and on what is asked; times in seconds. The defaults are those for networks that are not
    trusted.

    `idle` bounds the wait for a whole request head, the first of a connection or a later one; `body` that for a whole
    body; `write` the time for which a client may take nothing of its answer; `linger` how long what still comes after
    an answer is read and dropped, so that the answer is not lost in a reset; `shutdown` how long a stop waits for what
    is in flight. `network` is how many connections one address (of IPv6: one /64) may hold, `connections` how many
    there are in all, in this process; networks in `trusted`, such as that of a proxy, are not counted by address.
    `rates` are how much one network may ask of routes without a credential; None: any number. `hosts` are the names
    that the service answers to; None: any, but for targets in absolute form.
    """

    idle: float = 10.0
    body: float = 10.0
    write: float = 10.0
    linger: float = 1.0
    shutdown: float = 10.0
    network: int | None = 256
    connections: int | None = 4096
    trusted: tuple[IPv4Network | IPv6Network, ...] = ()
    rates: Rates | None = None
    hosts: frozenset[str] | None = None


def new_request_id() -> str:
    """A name for a request that brought none, or none that may stand in a log."""
    return f"{random.getrandbits(64):016x}"  # a name, not a secret


class AccessLog(AbstractAccessLogger):
    """One line a request: method, route pattern, status, duration, request id; for a fault of ours also where."""

    def __init__(self, logger: Logger, log_format: str) -> None:
        super().__init__(logger, log_format)
        self._log = _log.bind()  # once a connection: the lazy logger makes a new one for every line

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Write the line. `time` is in seconds. The path itself is never written, nor the address."""
        route = request.get(CURRENT)
        line: dict[str, Any] = {
            "method": request.method,
            "route": None if route is None else route.template,
            "status": response.status,
            "ms": round(time * 1000, 1),
            "request_id": request.get(REQUEST_ID),
        }
        failure = request.get(FAILURE)
        if failure is None:
            self._log.info("request", **line)
        else:
            self._log.error("request failed", **line, error=type(failure).__name__, where=frames(failure))


class Connection(RequestHandler):
    """One connection: aiohttp's, with its errors answered as problems and its waits bounded."""

    __slots__ = ("_answered", "_ended", "_key", "_last_payload", "_limits", "_porch", "_stall", "_turned_away")

    def __init__(self, porch: "Porch", *, loop: asyncio.AbstractEventLoop, limits: Limits) -> None:
        super().__init__(
            porch,
            loop=loop,
            keepalive_timeout=limits.idle,
            lingering_time=limits.linger,
            access_log_class=AccessLog,
            max_line_size=8190,
            max_field_size=8190,
            max_headers=128,
            auto_decompress=False,
            debug=False,
        )
        self._limits = limits
        self._porch = porch
        self._key: str | None = None
        self._turned_away: asyncio.Transport | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._last_payload: StreamReader | None = None
        self._answered = 0
        self._ended = False

    @property
    def network(self) -> str | None:
        """By what its peer is counted; None where the peer is trusted, so that it may say for whom it asks."""
        return self._key

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let it in, or tell it in one answer why not."""
        transport = cast(asyncio.Transport, transport)  # by its manners only: uvloop's is no subclass
        self._key = peer_network(transport.get_extra_info("peername"), self._limits.trusted)
        refusal = self._porch.enter(self._key)
        if refusal is None:
            super().connection_made(transport)
            return
        self._turned_away = transport
        transport.write(_raw(refusal))
        # What it sends is read and dropped for a moment: closing on unread bytes would reset the answer away.
        if transport.can_write_eof():
            transport.write_eof()
        self._stall = self._loop.call_later(self._limits.linger, transport.abort)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget it."""
        self._unstall()
        if self._turned_away is not None:
            self._turned_away = None
            return
        if self._manager is not None:
            self._porch.leave(self._key)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, and remember the last body, to know at the end of the stream whether it is whole."""
        if self._turned_away is not None:
            return
        super().data_received(data)
        if not self._messages:
            return
        message, payload = self._messages[-1]
        if not isinstance(message, _ErrInfo):
            self._last_payload = payload
        elif self._last_payload is not None and not self._last_payload.is_eof():
            # aiohttp queues the parser's refusal behind the request whose body it is, and lets that one wait for ever.
            self._last_payload.set_exception(RequestPayloadError())

    def eof_received(self) -> bool | None:  # type: ignore[override]  # asyncio's own signature; aiohttp narrows it
        """Whether to stay open: for a client that sent whole requests, ended its side, and waits for the answers."""
        if self._turned_away is not None or self._request_count <= self._answered:
            return None
        self._ended = self._last_payload is not None and self._last_payload.is_eof()
        return self._ended or None

    def pause_writing(self) -> None:
        """The client takes nothing; it has a while to begin again."""
        super().pause_writing()
        if self.transport is not None:
            self._stall = self._loop.call_later(self._limits.write, self.transport.abort)

    def resume_writing(self) -> None:
        """The client takes its answer again."""
        self._unstall()
        super().resume_writing()

    def force_close(self) -> None:
        """Close now, but do not wait for ever until the client has taken what is still to be sent."""
        self._bound_the_flush()
        super().force_close()

    async def start(self) -> None:
        """Serve the connection to its end."""
        try:
            await super().start()
        finally:
            self._bound_the_flush()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer. What aiohttp raised outside our middlewares becomes a problem document here."""
        self._answered += 1
        if isinstance(resp, web.HTTPException):
            resp = of_http_exception(resp).response()
        last = self._ended and self._answered >= self._request_count
        if (last or not request.content.is_eof()) and not resp.prepared:
            resp.force_close()
        return await super().finish_response(request, resp, start_time)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What the parser refused, or what escaped the middlewares, as a problem that ends the connection."""
        if isinstance(exc, Disconnected) or request.writer.output_size > 0:
            raise ConnectionError("there is nobody left to answer, or half an answer is out")
        request[REQUEST_ID] = new_request_id()
        if status < 500:
            problem = _unreadable(exc)
        else:
            problem = unexpected(request.method)
            if exc is not None:
                request[FAILURE] = exc
        problem.headers["X-Request-Id"] = request[REQUEST_ID]
        problem.close = True
        return problem.response()

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """aiohttp's own words quote the request, so only the kind of the error and its place are kept."""
        exc = kw.get("exc_info")
        known = isinstance(exc, BaseException)
        _log.error(
            "connection failed",
            error=type(exc).__name__ if known else None,
            where=frames(exc) if isinstance(exc, BaseException) else [],
        )

    def log_debug(self, *args: Any, **kw: Any) -> None:
        """Nothing: aiohttp's debugging lines are for aiohttp."""

    def _bound_the_flush(self) -> None:
        transport = self.transport
        if transport is not None and self._stall is None and transport.get_write_buffer_size() > 0:
            self._stall = self._loop.call_later(self._limits.write, transport.abort)

    def _unstall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None


class Porch(web.Server):
    """The connections of one process, and how many of them each network holds."""

    def __init__(self, server: web.Server, limits: Limits, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            server.request_handler, request_factory=server.request_factory, handler_cancellation=False, loop=loop
        )
        self.limits = limits
        self.turned_away = 0
        self._held: Counter[str] = Counter()
        self._all = 0
        self._running = loop

    def __call__(self) -> Connection:
        """A new connection. aiohttp's own way drops every limit where one option is misspelt; this one cannot."""
        return Connection(self, loop=self._running, limits=self.limits)

    def enter(self, key: str | None) -> Problem | None:
        """Count a connection in, or say why it must go."""
        if self.limits.connections is not None and self._all >= self.limits.connections:
            self.turned_away += 1
            return Problem("unavailable", "All connections are in use.", close=True)
        if key is not None and self.limits.network is not None and self._held[key] >= self.limits.network:
            self.turned_away += 1
            return Problem("rate-limited", "The address holds too many connections.", close=True)
        self._all += 1
        if key is not None:
            self._held[key] += 1
        return None

    def leave(self, key: str | None) -> None:
        """Count a connection out."""
        self._all -= 1
        if key is not None:
            self._held[key] -= 1
            if self._held[key] <= 0:
                del self._held[key]


class Runner(web.AppRunner):
    """Serves an application over `Porch`. Raises ProtocolUnfit at `setup` where the process must not serve."""

    def __init__(self, app: web.Application, limits: Limits) -> None:
        super().__init__(app, handle_signals=False, shutdown_timeout=limits.shutdown)
        self._limits = limits

    async def _make_server(self) -> Porch:
        loop = asyncio.get_running_loop()
        must_be_fit(loop)
        return Porch(await super()._make_server(), self._limits, loop)


def must_be_fit(loop: asyncio.AbstractEventLoop) -> None:
    """Raises ProtocolUnfit. aiohttp falls back to its slow parser silently; debug mode tells clients too much."""
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        raise ProtocolUnfit("aiohttp runs without its compiled parser")
    if loop.get_debug():
        raise ProtocolUnfit("asyncio runs in debug mode")


def _unreadable(exc: BaseException | None) -> Problem:
    # Only llhttp's own text tells a method that it does not know from bytes that are no HTTP at all.
    if isinstance(exc, BadHttpMethod) and _UNKNOWN_METHOD.search(exc.message):
        return Problem("method-not-allowed", "The method is not known here.", headers={"Allow": _METHODS})
    return Problem("malformed-request", "The request is not HTTP that this service reads.")


def _raw(problem: Problem) -> bytes:
    """A whole answer, for a connection that is not let in."""
    body = problem.body()
    headers = {
        **PROTECTION,
        "Cache-Control": "no-store",
        "Connection": "close",
        "Content-Length": str(len(body)),
        "Content-Type": "application/problem+json",
        "Retry-After": "1",
    }
    lines = [f"{name}: {value}" for name, value in headers.items()]
    status = f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}"
    return "\r\n".join([status, *lines, "", ""]).encode("ascii") + body
