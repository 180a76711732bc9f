"""What operators and their machines read: whether the process lives, whether it is ready, its figures; and the icon
that every browser asks for.

Nothing here asks the database: a probe must not fail because the database is busy, nor make it busier. This module must
never show anything of a petition or a request.
"""

from base64 import b64decode
from typing import Final, Literal

import orjson
from aiohttp import web

from schemas.events import Count
from schemas.views import View
from service import metrics
from service.http import conditional
from service.http.reading import context_of
from service.http.routes import Answer, Route
from service.snapshots import FRESH

ICON_TYPE: Final = "image/x-icon"
TEXT: Final = "text/plain"
NOT_STORED: Final = "no-store"
A_DAY: Final = "public, max-age=86400"
UNSEALED: Final = 10.0
"""Seconds, beyond two intervals of sealing, after which an event that is not sealed says that sealing is behind."""

_ICON: Final = b64decode(
    # One 16 by 16 image of one bit a pixel: a tally of four strokes and the fifth across them.
    "AAABAAEAEBACAAEAAQCwAAAAFgAAACgAAAAQAAAAIAAAAAEAAQAAAAAAgAAAAAAAAAAAAAAAAgAAAAIAAAAzMzMA////AP//AAD//wAAzbcAAO23"
    "AADltwAA6bcAAO23AADstwAA7TcAAO23AADtlwAA7acAAO23AADtswAA//8AAP//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)


class Liveness(View):
    """The process answers."""

    status: Literal["live"]


class Readiness(View):
    """Whether this worker serves the present, and how far it is behind the log.

    `position` is what it serves, `head` the log's last position when it last looked, `lag_seconds` for how long the
    oldest event that is not served had been recorded then; `polled_ms_ago` is null where it never looked.

    `sealing` is `behind` where an event has long been recorded that no published tree head covers: what is signed is
    recorded all the same, but cannot be proven yet, and the log of the service that seals says why. `sealed_position`
    is how many events the newest head covers, `seal_age_seconds` for how long it has been the newest (null: there is
    none), `unsealed_seconds` for how long the oldest event that it does not cover had been recorded.
    """

    status: Literal["ready", "starting", "database-away", "behind"]
    position: Count
    head: Count
    lag_positions: Count
    lag_seconds: float
    polled_ms_ago: Count | None
    sealing: Literal["current", "behind"]
    sealed_position: Count
    seal_age_seconds: float | None
    unsealed_seconds: float


async def live(request: web.Request) -> web.StreamResponse:
    """The process answers: nothing more is meant."""
    return conditional.respond(request, orjson.dumps(Liveness(status="live").body()), cache=NOT_STORED)


async def ready(request: web.Request) -> web.StreamResponse:
    """Whether requests should be sent here: 200, or 503 with the same document."""
    context = context_of(request)
    snapshots = context.snapshots
    lag, seal = snapshots.lag(), snapshots.sealing()
    status: Literal["ready", "starting", "database-away", "behind"] = "ready"
    if not snapshots.is_loaded:
        status = "starting"
    elif lag.age >= FRESH:
        status = "database-away"
    elif lag.behind:
        status = "behind"
    told = Readiness(
        status=status,
        position=lag.position,
        head=lag.head,
        lag_positions=lag.positions,
        lag_seconds=round(lag.seconds, 3),
        polled_ms_ago=None if lag.age == float("inf") else int(lag.age * 1000),
        sealing="behind" if seal.unsealed > UNSEALED + 2 * context.settings.seal_interval else "current",
        sealed_position=seal.size,
        seal_age_seconds=None if seal.age is None else round(seal.age, 3),
        unsealed_seconds=round(seal.unsealed, 3),
    )
    response = conditional.respond(request, orjson.dumps(told.body()), cache=NOT_STORED)
    if status != "ready":
        response.set_status(503)
        response.headers["Retry-After"] = "1"
    return response


async def figures(request: web.Request) -> web.StreamResponse:
    """The figures of this worker, or of all where they share them."""
    return conditional.respond(request, metrics.exposition(), metrics.CONTENT_TYPE, cache=NOT_STORED)


async def icon(request: web.Request) -> web.StreamResponse:
    """The icon."""
    return conditional.respond(request, _ICON, ICON_TYPE, cache=A_DAY)


ROUTES: Final = (
    Route(
        "GET",
        "/health/live",
        live,
        "operation",
        "isLive",
        "Whether the process answers",
        {200: Answer("It does.", model=Liveness)},
    ),
    Route(
        "GET",
        "/health/ready",
        ready,
        "operation",
        "isReady",
        "Whether this worker serves the present",
        {200: Answer("It does.", model=Readiness), 503: Answer("It does not.", model=Readiness)},
    ),
    Route(
        "GET",
        "/metrics",
        figures,
        "operation",
        "readMetrics",
        "Figures in Prometheus' text format",
        {200: Answer("The figures.", media=(TEXT,))},
    ),
    Route(
        "GET",
        "/favicon.ico",
        icon,
        "public",
        "readIcon",
        "The icon of the service",
        {200: Answer("The icon.", media=(ICON_TYPE,))},
    ),
)
