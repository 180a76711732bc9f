"""The application: every module's routes behind one door, at which each request is named, judged and protected.

What the door does is the same for all: a request id, the version and target of the request, the parameters that its
route knows, the form of the answer, how much its network has asked, and the headers that every answer carries. This
module must never know what a route is about, and never trust what a client says of its own address or of ours.
"""

import math
import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final

from aiohttp import HttpVersion10, HttpVersion11, web

from service.http import (
    amending,
    audit,
    campaigns,
    comments,
    corrections,
    disclosing,
    erasing,
    log,
    openapi,
    operation,
    petitions,
    reviewing,
    signing,
)
from service.http.bodies import BODY_LIMIT, READ_WITHIN
from service.http.conditional import PUBLIC, REVALIDATE, negotiate, preflight
from service.http.context import CONTEXT, Context
from service.http.networks import Networks, forwarded_network
from service.http.parameters import query
from service.http.problems import PROTECTION, Handler, Problem, answer_problems, expectation_failed
from service.http.protocol import CURRENT, REQUEST_ID, Connection, Limits, new_request_id
from service.http.routes import SERVED, SERVED_ROUTES, Role, Route

LIMITS: Final = web.AppKey("limits", Limits)
"""The bounds that this application was built with."""
NETWORKS: Final = web.AppKey("networks", Networks)
"""How much each network has asked, where there is a limit."""
AUDIT_READS: Final = frozenset(route.operation for route in (*audit.ROUTES, *log.ROUTES))
"""What auditors read, which has a share of its own of what a network may ask."""

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_LOOPBACK: Final = "localhost"


def build(
    context: Context, role: Role, routes: Iterable[Route] | None = None, *, limits: Limits | None = None
) -> web.Application:
    """The application of one worker in one role, serving every module's routes, or these.

    Raises ValueError where two routes claim one method and path.
    """
    limits = limits or Limits()
    served = tuple(route for route in (collected() if routes is None else routes) if route.need in SERVED[role])
    app = web.Application(middlewares=[answer_problems, _door], client_max_size=BODY_LIMIT)
    app[CONTEXT] = context
    app[READ_WITHIN] = limits.body
    app[LIMITS] = limits
    if limits.rates is not None:
        app[NETWORKS] = Networks(limits.rates)
    app[SERVED_ROUTES] = served
    claimed: set[tuple[str, str]] = set()
    for route in served:
        if (route.method, route.template) in claimed:
            raise ValueError(f"two routes claim {route.method} {route.template}")
        claimed.add((route.method, route.template))
        _add(app, route)
    app.on_response_prepare.append(_protect)
    return app


def collected() -> tuple[Route, ...]:
    """The routes of every module."""
    deciding = (signing, amending, petitions, corrections, reviewing, comments, disclosing, erasing)
    modules = (campaigns, audit, log, *deciding, operation, openapi)
    return tuple(route for module in modules for route in module.ROUTES)


def _add(app: web.Application, route: Route) -> None:
    serve = _serving(route)
    app.router.add_route(route.method, route.path, serve, expect_handler=_expect)
    if route.method == "GET":
        app.router.add_route("HEAD", route.path, serve, expect_handler=_expect)
    if route.public:
        app.router.add_route("OPTIONS", route.path, _asking_first(route), expect_handler=_expect)


def _serving(route: Route) -> Handler:
    """The route's handler behind the checks that need only the route's description."""

    async def serve(request: web.Request) -> web.StreamResponse:
        request[CURRENT] = route
        if route.need == "public":
            _charge(request, route)
        query(request, **route.query)
        if route.method == "GET":
            negotiate(request, *route.produces)
        return await route.handler(request)

    return serve


def _asking_first(route: Route) -> Handler:
    """The answer to a browser that asks whether it may read the route."""

    async def answer(request: web.Request) -> web.StreamResponse:
        _charge(request, route)
        return preflight()

    return answer


def _charge(request: web.Request, route: Route) -> None:
    """Count a request that brings no credential for its network. Raises Problem `rate-limited`."""
    networks = request.app.get(NETWORKS)
    protocol = request.protocol
    if networks is None or not isinstance(protocol, Connection):
        return
    network = protocol.network
    if network is None:
        trusted = request.app[LIMITS].trusted
        network = forwarded_network(request.headers.getall("X-Forwarded-For", []), trusted)
    wait = 0.0 if network is None else networks.ask(network, audit=route.operation in AUDIT_READS)
    if wait:
        retry = {"Retry-After": str(max(1, math.ceil(wait)))}
        raise Problem("rate-limited", "The network has asked as much as it may for now.", headers=retry)


async def _expect(request: web.Request) -> None:
    """Nothing yet: 100 Continue is said by whoever reads the body, so that a refusal comes before it is sent."""


@web.middleware
async def _door(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Names the request and refuses what no route should see."""
    given = request.headers.getall("X-Request-Id", [])
    named = len(given) == 1 and _REQUEST_ID.fullmatch(given[0]) is not None
    request[REQUEST_ID] = given[0] if named else new_request_id()
    if request.version != HttpVersion11 and request.version != HttpVersion10:
        raise Problem("malformed-request", "The version of HTTP is 1.1 or 1.0 here.", close=True)
    if request.headers.getall("Transfer-Encoding", ["chunked"]) != ["chunked"]:
        raise Problem("malformed-request", "The only transfer encoding is chunked.", close=True)
    if request.headers.get("Expect", "100-continue").lower() != "100-continue":
        raise expectation_failed()
    _judge_host(request)
    return await handler(request)


def _judge_host(request: web.Request) -> None:
    """Refuses a name that is not ours, where ours are known; a target in absolute form always has to name us."""
    hosts = request.app[LIMITS].hosts
    absolute = not request.raw_path.startswith(("/", "*"))
    if hosts is None and not absolute:
        return
    name = (request.url.host if absolute else request.host.rpartition(":")[0] or request.host) or ""
    if name.lower() not in (hosts if hosts is not None else _own_names(request)):
        raise Problem("malformed-request", "The request is for another host.", close=True)


def _own_names(request: web.Request) -> frozenset[str]:
    """What the service is surely called: the address at which it was reached; `localhost` where that is loopback."""
    transport = request.transport
    address = transport.get_extra_info("sockname") if transport is not None else None
    if not isinstance(address, tuple):
        return frozenset()
    return frozenset({address[0], _LOOPBACK} if ip_address(address[0]).is_loopback else {address[0]})


async def _protect(request: web.Request, response: web.StreamResponse) -> None:
    """The headers that every answer carries; a handler's own choice stands."""
    headers = response.headers
    headers["Server"] = PROTECTION["Server"]  # by now aiohttp has put its version there
    for name, value in PROTECTION.items():
        headers.setdefault(name, value)
    if REQUEST_ID in request:
        headers["X-Request-Id"] = request[REQUEST_ID]
    route = request.get(CURRENT)
    public = route is not None and route.public
    if public or (route is None and response.status == 404 and request.method in ("GET", "HEAD")):
        headers.update(PUBLIC)
    if route is not None and len(route.produces) > 1:
        headers.setdefault("Vary", "Accept")
    headers.setdefault("Cache-Control", REVALIDATE if public and response.status < 400 else "no-store")
