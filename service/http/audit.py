"""What auditors read: the events as they are stored, why a number moved, whether a claim is true, what was corrected.

Reads of the log itself, with database connections of their own, so that an audit never keeps a campaign site waiting.
This module must never re-render an event: what is sent is what was hashed.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from hashlib import sha256
from typing import Any, Final

import orjson
from aiohttp import web

from projections.asking.claims import judge
from projections.asking.drift import drift as ask_drift
from projections.asking.serving import Page, acted, leaves, page, rules
from projections.claims import Claim, ClaimRefused, read_claim
from projections.moments import read_moment
from projections.reading import rows
from schemas.campaign_views import CorrectionsView
from schemas.forms import DURATION, INSTANT, MOMENT
from schemas.ids import LARGEST_POSITION
from schemas.instants import read_duration, read_instant
from schemas.views import ClaimView, DriftView
from service.documents import Document, document
from service.http import conditional
from service.http.context import Context
from service.http.parameters import Parameter, choice, integer, position, query
from service.http.petition_document import notices, unfinished
from service.http.problems import Problem
from service.http.reading import MIN_POSITION, answer, asking, context_of, held, number, reach
from service.http.routes import JSON, NDJSON, PETITION, Answer, Route
from service.http.streaming import stream

BATCH: Final = "application/cloudevents-batch+json"
AT_ONCE: Final = 100
"""Leaves read at once: of 16 KiB each at the most."""

_A_MOMENT: Final = "a position, a time with its offset (a + is written %2B), or count:N"


def _moment() -> Parameter[Any]:
    return Parameter(read_moment, _A_MOMENT, MOMENT, required=True)


def _kept_as_text(read: Callable[[str], object], said: str, schema: Mapping[str, Any]) -> Parameter[str]:
    """A parameter that is judged here and handed on as it was written."""

    def text(given: str) -> str:
        read(given)
        return given

    return Parameter(text, said, schema)


EVENTS_QUERY: Final[Mapping[str, Parameter[Any]]] = {"after": position(), "limit": integer(1, 1000, default=100)}
DRIFT_QUERY: Final[Mapping[str, Parameter[Any]]] = {
    "from": _moment(),
    "to": _moment(),
    "by": choice("effective", "recorded", default="effective"),
    **EVENTS_QUERY,
}
CLAIM_QUERY: Final[Mapping[str, Parameter[Any]]] = {
    "at_least": integer(0, LARGEST_POSITION),
    "exactly": integer(0, LARGEST_POSITION),
    "at": _kept_as_text(read_instant, "a time with its offset (a + is written %2B)", INSTANT),
    "within": _kept_as_text(read_duration, "a duration such as 72h, 3d or 1d12h", DURATION),
}


async def events(request: web.Request) -> web.StreamResponse:
    """A page of the whole log."""
    context = context_of(request)
    asked = query(request, **EVENTS_QUERY)
    async with asking(context, context.audit) as connection:
        found = await page(connection, None, asked["after"] or 0, asked["limit"])
    return await _stored(request, context, found)


async def petition_events(request: web.Request) -> web.StreamResponse:
    """A page of one petition's events; `after` is a position of the whole log here too."""
    context = context_of(request)
    asked = query(request, **EVENTS_QUERY)
    async with asking(context, context.audit) as connection:
        petition = await number(context, connection, request.match_info["id"])
        found = await page(connection, petition, asked["after"] or 0, asked["limit"])
    return await _stored(request, context, found)


async def drift(request: web.Request) -> web.StreamResponse:
    """Why the number moved between two moments, with a page of the events that moved it."""
    context = context_of(request)
    asked = query(request, **DRIFT_QUERY)
    async with asking(context, context.audit) as connection:
        petition = await number(context, connection, request.match_info["id"])
        view = await ask_drift(
            connection,
            petition,
            asked["from"],
            asked["to"],
            recorded=asked["by"] == "recorded",
            after=asked["after"] or None,  # 0 is before the first
            limit=asked["limit"],
        )
    return conditional.respond(request, orjson.dumps(view.body()))


async def claims(request: web.Request) -> web.StreamResponse:
    """Whether a claim about the count is true, false or undetermined."""
    context = context_of(request)
    claim = _claim(query(request, **CLAIM_QUERY))
    async with asking(context, context.audit) as connection:
        petition = await number(context, connection, request.match_info["id"])
        view = await judge(connection, petition, claim)
    return conditional.respond(request, orjson.dumps(view.body()))


async def corrections(request: web.Request) -> web.StreamResponse:
    """The public notices of a petition's corrections."""
    context, id = context_of(request), request.match_info["id"]
    asked = query(request, **MIN_POSITION)
    await reach(context, asked["min_position"])
    present = held(context, id)

    async def make() -> Document:
        async with asking(context, context.audit) as connection:
            checkpoint, timeline = await rows(connection, "timeline", id)
            done = await acted(connection, present.number, checkpoint) if unfinished(timeline) else {}
            said = await rules(connection, [row["correction"] for row in timeline if row["correction"]])
        view = CorrectionsView(petition=id, corrections=tuple(notices(timeline, done, said)))
        return document(orjson.dumps(view.body()), checkpoint)

    key = ("corrections", context.snapshots.generation, id, present.position)
    return await answer(request, context, await context.snapshots.documents.get(key, make))


async def _stored(request: web.Request, context: Context, found: Page | None) -> web.StreamResponse:
    """The stored bytes of a page, in the form that the client likes best."""
    media = conditional.negotiate(request, NDJSON, BATCH)
    if found is None:
        return conditional.respond(request, b"" if media == NDJSON else b"[]", media)
    # Which events a page has, its last one says for ever: its hash binds it, and through `prev` those before it.
    made_of = [media, found.petition, found.after, found.upto, found.leaf_hash.hex()]
    tag = f'"{sha256(orjson.dumps(made_of)).hexdigest()[:32]}"'
    chunks = _lines(context, found) if media == NDJSON else _batch(context, found)
    return await stream(request, chunks, media, tag=tag)


async def _lines(context: Context, found: Page) -> AsyncGenerator[bytes, None]:
    async for some in leaves_of(context, found):
        yield b"\n".join(some) + b"\n"


async def _batch(context: Context, found: Page) -> AsyncGenerator[bytes, None]:
    before = b"["
    async for some in leaves_of(context, found):
        yield before + b",".join(some)
        before = b","
    yield b"]"


async def leaves_of(context: Context, found: Page, at_once: int = AT_ONCE) -> AsyncGenerator[list[bytes], None]:
    """The leaves of a page, some at a time. A slow client holds no connection: leaves never change meanwhile."""
    after = found.after
    while after < found.upto:
        async with asking(context, context.audit) as connection:
            after, some = await leaves(connection, found, after, at_once)
        if some:
            yield some


def _claim(asked: Mapping[str, Any]) -> Claim:
    try:
        return read_claim(asked["at_least"], asked["exactly"], asked["at"], asked["within"])
    except ClaimRefused as refusal:
        sentence = str(refusal)
        raise Problem(refusal.problem, sentence[:1].upper() + sentence[1:] + ".") from None


_EVENTS: Final = {
    200: Answer(
        "The events as they are stored, oldest first, one a line; or a batch of them (CloudEvents 1.0).",
        media=(NDJSON, BATCH),
        schema={
            "type": "array",
            "maxItems": 1000,
            "items": {
                "type": "object",
                "required": ["specversion", "id", "source", "type", "subject", "time", "recordedtime", "data"],
                "properties": {"specversion": {"const": "1.0"}, "id": {"type": "string", "pattern": "^[0-9]{20}$"}},
            },
        },
    )
}

ROUTES: Final = (
    Route(
        "GET",
        "/events",
        events,
        "public",
        "readEvents",
        "The events of the whole log, as they are stored",
        _EVENTS,
        query=EVENTS_QUERY,
    ),
    Route(
        "GET",
        f"/petitions/{PETITION}/events",
        petition_events,
        "public",
        "readPetitionEvents",
        "A petition's events, as they are stored",
        _EVENTS,
        query=EVENTS_QUERY,
        problems=("not-found",),
    ),
    Route(
        "GET",
        f"/petitions/{PETITION}/drift.json",
        drift,
        "public",
        "explainDrift",
        "Why a count moved between two moments, event by event",
        {200: Answer("The drift.", media=(JSON,), model=DriftView)},
        query=DRIFT_QUERY,
        problems=("not-found", "position-not-reached", "cursor-invalid"),
    ),
    Route(
        "GET",
        f"/petitions/{PETITION}/claims.json",
        claims,
        "public",
        "judgeClaim",
        "Whether a claim about a count is true, with what proves it",
        {200: Answer("The verdict.", model=ClaimView)},
        query=CLAIM_QUERY,
        problems=("not-found",),
    ),
    Route(
        "GET",
        f"/petitions/{PETITION}/corrections.json",
        corrections,
        "public",
        "readCorrections",
        "The public notices of a petition's corrections",
        {200: Answer("The notices, newest first.", model=CorrectionsView)},
        query=MIN_POSITION,
        problems=("not-found",),
    ),
)
