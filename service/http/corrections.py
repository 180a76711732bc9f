"""Correcting over HTTP: admins preview, open, approve, cancel and reverse corrections, and see how they stand.

A preview records nothing; an opening freezes what it found, and says so in the log at once. Whether a second principal
has to approve is the ledger's to decide, as is who may. What is approved is run by the service beside the worker. This
module must never take who acts from anything but the credential, and never repeat what a condition searched for to
anybody else than an admin.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson
from aiohttp import web

from ledger.connecting import Connection
from ledger.writer import Writer
from schemas.answers import (
    CorrectionMoved,
    CorrectionOpenedAnswer,
    CorrectionPreview,
    CorrectionShown,
    CorrectionsQueue,
)
from schemas.commands import ApproveCorrection, CancelCorrection, Command, Submission
from schemas.requests import ApprovalRequest, CorrectionRequest, PreviewRequest, ReversalRequest
from service.correcting import (
    ChoiceRefused,
    Chosen,
    NoSuchCorrection,
    NoSuchPetition,
    choose,
    choose_applied,
    one_shown,
    opening,
    preview,
    shown,
    told,
)
from service.credentials import Principal
from service.database import Unavailable
from service.http.bodies import media_type, read_empty, read_json
from service.http.conditional import respond as respond_to_read
from service.http.context import Context
from service.http.credentials import require
from service.http.parameters import choice, query
from service.http.problems import Invalid, Problem
from service.http.reading import asking, context_of, desk, number
from service.http.routes import JSON, PETITION, Answer, Route
from service.http.submitting import KEY_WELCOME, idempotency_key, keyed, respond, rules_of, submitted

LISTING: Final = 1 << 20
"""Bytes of a body that may list signatures."""
CORRECTION: Final = "{cid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}}"
"""A correction's id in a path: a UUID in its one canonical form."""
PRIVATE: Final = "private, no-cache"
STATE_QUERY: Final = {"state": choice("proposed", "running", "completed", "cancelled")}


async def preview_correction(request: web.Request) -> web.StreamResponse:
    """What a correction would be over, and what it would do. Records nothing."""
    context, petition, _, _ = await _begun(request)
    body = await read_json(request, PreviewRequest, limit=LISTING)
    rules = await rules_of(context, petition)
    async with as_admin(context) as connection:
        chosen = await choose(connection, rules, body)
        effect = await _told(context, connection, petition, chosen)
    return respond(200, preview(chosen, effect))


async def open_correction(request: web.Request) -> web.StreamResponse:
    """Open a correction: its set is frozen. Where no second principal is needed, it is applied at once."""
    context, petition, principal, client_key = await _begun(request)
    body = await read_json(request, CorrectionRequest, limit=LISTING)
    rules = await rules_of(context, petition)
    async with as_admin(context) as connection:
        chosen = await choose(connection, rules, body)
        command = opening(petition, chosen, body, await _told(context, connection, petition, chosen), body.digest)
    return await _opened(
        context, principal, command, f"POST /petitions/{petition}/corrections", body.said(), client_key
    )


async def reverse_correction(request: web.Request) -> web.StreamResponse:
    """Open a correction of the opposite kind, over exactly what was applied."""
    context, petition, principal, client_key = await _begun(request)
    body = await read_json(request, ReversalRequest)
    await rules_of(context, petition)
    correction = _named(request)
    async with as_admin(context) as connection:
        chosen = await choose_applied(connection, petition, correction)
        command = opening(petition, chosen, body, await _told(context, connection, petition, chosen))
    route = f"POST /petitions/{petition}/corrections/{correction}/reversal"
    return await _opened(context, principal, command, route, body.said(), client_key)


async def approve_correction(request: web.Request) -> web.StreamResponse:
    """Approve the frozen set, as a second principal: from here on it runs."""
    context, petition, principal, client_key = await _begun(request)
    body = await read_json(request, ApprovalRequest)
    correction = _named(request)
    command = ApproveCorrection(petition, correction, body.digest)
    route = f"POST /petitions/{petition}/corrections/{correction}/approval"
    return respond(202, await _moved(context, principal, command, route, body.said(), client_key))


async def cancel_correction(request: web.Request) -> web.StreamResponse:
    """Stop a correction where it is."""
    petition = request.match_info["id"]
    principal = await require(request, "admin", petition=petition)
    client_key = idempotency_key(request, needed=False)
    await read_empty(request)
    correction = _named(request)
    route = f"POST /petitions/{petition}/corrections/{correction}/cancellation"
    command = CancelCorrection(petition, correction)
    return respond(200, await _moved(context_of(request), principal, command, route, {}, client_key))


async def queue(request: web.Request) -> web.StreamResponse:
    """The corrections of a petition, or those in one state."""
    context, petition = context_of(request), request.match_info["id"]
    await require(request, "admin", petition=petition)
    state = query(request, **STATE_QUERY)["state"]
    await require_petition(context, petition)
    async with as_admin(context) as connection:
        found = await shown(connection, petition, state)
    return respond_to_read(request, orjson.dumps({"petition": petition, "corrections": found}), cache=PRIVATE)


async def show(request: web.Request) -> web.StreamResponse:
    """How one correction stands."""
    context, petition = context_of(request), request.match_info["id"]
    await require(request, "admin", petition=petition)
    await require_petition(context, petition)
    async with as_admin(context) as connection:
        found = await one_shown(connection, petition, _named(request))
    return respond_to_read(request, orjson.dumps(found), cache=PRIVATE)


async def _begun(request: web.Request) -> tuple[Context, str, Principal, str | None]:
    """The checks that come before the body: credential, media type, key."""
    petition = request.match_info["id"]
    principal = await require(request, "admin", petition=petition)
    media_type(request, JSON)
    return context_of(request), petition, principal, idempotency_key(request, needed=False)


def _named(request: web.Request) -> UUID:
    return UUID(request.match_info["cid"])


async def require_petition(context: Context, petition: str) -> None:
    """Raises Problem `not-found` where there is none."""
    async with asking(context, desk(context)) as connection:
        await number(context, connection, petition)


async def _told(context: Context, admin: Connection, petition: str, chosen: Chosen) -> dict[str, Any]:
    async with asking(context, desk(context)) as reader:
        return await told(admin, reader, petition, chosen)


@asynccontextmanager
async def as_admin(context: Context) -> AsyncIterator[Connection]:
    """A connection that may look at evidence. What is refused, and a database that does not answer, become problems."""
    problem: Problem
    try:
        connection = await context.ledger.connect("ledger_admin")
        try:
            yield connection
            return
        finally:
            connection.terminate()
    except (NoSuchCorrection, NoSuchPetition) as refusal:
        problem = Problem("not-found", str(refusal))
    except ChoiceRefused as refusal:
        wrong = Invalid(refusal.pointer, str(refusal))
        problem = Problem("validation-failed", "The body is not what this route takes.", errors=(wrong,))
    except asyncpg.SyntaxOrAccessError:
        raise  # a mistake of ours, which the log has to name
    except (Unavailable, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
        problem = Problem("unavailable", "The ledger cannot be read now.")
    raise problem


async def _opened(
    context: Context,
    principal: Principal,
    command: Command,
    route: str,
    said: Mapping[str, Any],
    client_key: str | None,
) -> web.StreamResponse:
    answer = await _moved(context, principal, command, route, said, client_key)
    location = f"/petitions/{command.petition}/corrections/{answer['correction']}"
    return respond(201, answer, {"Location": location})


async def _moved(
    context: Context,
    principal: Principal,
    command: Command,
    route: str,
    said: Mapping[str, Any],
    client_key: str | None,
) -> dict[str, Any]:
    asked = await keyed(context, Submission(command, principal.actor), client_key, route=route, said=said)
    return (await submitted(_writer(context), asked)).answer


def _writer(context: Context) -> Writer:
    assert context.admin is not None, "these routes are served where admins are"
    return context.admin


_REFUSALS: Final = (
    "idempotency-key-invalid",
    "not-found",
    "invalid-transition",
    "idempotency-key-reused",
    "outcome-unknown",
)
_OPENED: Final = {
    201: Answer("It is open, and its set is frozen.", model=CorrectionOpenedAnswer, headers=("Location",))
}

ROUTES: Final = (
    Route(
        "POST",
        f"/petitions/{PETITION}/corrections/preview",
        preview_correction,
        "admin",
        "previewCorrection",
        "What a correction would be over, and what it would do",
        {200: Answer("What it would be over, and do. Nothing was recorded.", model=CorrectionPreview)},
        body=PreviewRequest,
        headers=KEY_WELCOME,
        problems=("idempotency-key-invalid", "not-found"),
    ),
    Route(
        "POST",
        f"/petitions/{PETITION}/corrections",
        open_correction,
        "admin",
        "openCorrection",
        "Open a correction over a set that is frozen now",
        _OPENED,
        body=CorrectionRequest,
        headers=KEY_WELCOME,
        problems=(*_REFUSALS, "digest-mismatch"),
    ),
    Route(
        "GET",
        f"/petitions/{PETITION}/corrections",
        queue,
        "admin",
        "readCorrectionsQueue",
        "The petition's corrections, or those that wait for approval",
        {200: Answer("The corrections, newest first.", model=CorrectionsQueue)},
        query=STATE_QUERY,
        problems=("not-found",),
    ),
    Route(
        "GET",
        f"/petitions/{PETITION}/corrections/{CORRECTION}",
        show,
        "admin",
        "readCorrection",
        "How a correction stands: who proposed it, who approved it, how far it has come",
        {200: Answer("The correction.", model=CorrectionShown)},
        problems=("not-found",),
    ),
    Route(
        "POST",
        f"/petitions/{PETITION}/corrections/{CORRECTION}/approval",
        approve_correction,
        "admin",
        "approveCorrection",
        "Approve exactly the frozen set, as another principal than the one that opened it",
        {202: Answer("It runs from here on.", model=CorrectionMoved)},
        body=ApprovalRequest,
        headers=KEY_WELCOME,
        problems=(*_REFUSALS, "digest-mismatch"),
    ),
    Route(
        "POST",
        f"/petitions/{PETITION}/corrections/{CORRECTION}/cancellation",
        cancel_correction,
        "admin",
        "cancelCorrection",
        "Stop a correction where it is",
        {200: Answer("It stays where it is, with these numbers.", model=CorrectionMoved)},
        optional=True,
        headers=KEY_WELCOME,
        problems=_REFUSALS,
    ),
    Route(
        "POST",
        f"/petitions/{PETITION}/corrections/{CORRECTION}/reversal",
        reverse_correction,
        "admin",
        "reverseCorrection",
        "Open a correction that undoes exactly what another one applied",
        _OPENED,
        body=ReversalRequest,
        headers=KEY_WELCOME,
        problems=_REFUSALS,
    ),
)
