"""Declaring: admins open petitions, and say of them what they are, whether they take signatures and what came of them.

Status, acceptance and revisions are said on top of what the admin has seen: `If-Match` names the number of declarations
that were there, and the ledger refuses what was overtaken. This module must never take who acts from anything but the
credential, and never a position, a version or a time of the log from a body.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

import orjson
from aiohttp import web
from pydantic import BaseModel, ValidationError

from ledger.writer import Writer
from projections.asking.declarations import declarations as ask_declarations
from projections.asking.declarations import text_version
from schemas.answers import DeclarationsView, DeclarationView, DeclaredAnswer
from schemas.commands import ChangeAcceptance, Command, DeclareStatus, PostUpdate, RevisePetition, Submission
from schemas.events import PetitionRevised
from schemas.ids import RESERVED_PETITION_ID
from schemas.instants import format_instant
from schemas.ladders import LadderKind, LadderRefused, read_ladder
from schemas.requests import AcceptanceRequest, PetitionRequest, RevisionRequest, StatusRequest, UpdateRequest
from service.credentials import Principal
from service.http.bodies import media_type, read_json
from service.http.conditional import declarations_etag, expected_declarations
from service.http.conditional import respond as respond_to_read
from service.http.context import Context
from service.http.credentials import require, within
from service.http.problems import Invalid, Problem
from service.http.reading import asking, context_of, desk, number
from service.http.routes import JSON, PETITION, Answer, Route
from service.http.submitting import KEY_WELCOME, idempotency_key, keyed, respond, status_of, submitted
from service.opening import OpeningRefused, known_zone, opening

PETITION_BODY: Final = 256 * 1024
"""Bytes of a body that may hold the text of a petition."""


async def open_petition(request: web.Request) -> web.StreamResponse:
    """Open a petition."""
    context = context_of(request)
    principal = await require(request, "admin")
    media_type(request, JSON)
    client_key = idempotency_key(request, needed=False)
    body = await read_json(request, PetitionRequest, limit=PETITION_BODY)
    within(principal, body.id)
    try:
        command = opening(
            body.id,
            title=body.title,
            addressee=body.addressee,
            text=body.text,
            basis=body.basis,
            goals=_written(body.goals),
            milestones=_written(body.milestones),
            confirmation=body.confirmation,
            public_fields=body.public_fields,
            timezone=body.timezone,
            opens_at=None if body.opens_at is None else format_instant(body.opens_at),
            closes_at=None if body.closes_at is None else format_instant(body.closes_at),
            questions=body.questions,
            provenance="observed" if body.basis == "observed" else "live",
        )
    except OpeningRefused as refusal:
        raise Problem("validation-failed", str(refusal)) from None
    # Of all its petitions, not of one: which petition this is about is in the body.
    return await _declare(
        context, principal, command, "POST /petitions", body, client_key, scope=RESERVED_PETITION_ID,
        headers={"Location": f"/petitions/{body.id}.json"},
    )  # fmt: skip


async def declare_status(request: web.Request) -> web.StreamResponse:
    """Declare an outcome. People go on signing."""
    context, petition, principal, client_key = await _begun(request)
    expected = expected_declarations(request)
    body = await read_json(request, StatusRequest)
    command = DeclareStatus(
        petition, body.status, body.reported_count, body.reference, body.effective_on, expected=expected
    )
    return await _declare(context, principal, command, f"POST /petitions/{petition}/status", body, client_key)


async def change_acceptance(request: web.Request) -> web.StreamResponse:
    """Take signatures, or cease to."""
    context, petition, principal, client_key = await _begun(request)
    expected = expected_declarations(request)
    body = await read_json(request, AcceptanceRequest)
    command = ChangeAcceptance(petition, body.acceptance, expected=expected)
    return await _declare(context, principal, command, f"POST /petitions/{petition}/acceptance", body, client_key)


async def revise(request: web.Request) -> web.StreamResponse:
    """Change what a petition says of itself. A new text is its next version."""
    context, petition, principal, client_key = await _begun(request)
    expected = expected_declarations(request)
    body = await read_json(request, RevisionRequest, limit=PETITION_BODY)
    async with asking(context, desk(context)) as connection:
        declared = await ask_declarations(connection, await number(context, connection, petition))
    if expected > len(declared):
        raise Problem("precondition-failed", "The petition never had so many declarations.")
    # If more were made meanwhile, the ledger refuses the command, and the version in it with it.
    version = text_version(declared) + (body.text is not None)
    command = RevisePetition(petition, _revised(body, version), expected, body.text)
    return await _declare(context, principal, command, f"POST /petitions/{petition}/revisions", body, client_key)


async def post_update(request: web.Request) -> web.StreamResponse:
    """Tell the signers something."""
    context, petition, principal, client_key = await _begun(request)
    body = await read_json(request, UpdateRequest)
    command = PostUpdate(petition, body.headline, body.reference, body.effective_on)
    return await _declare(context, principal, command, f"POST /petitions/{petition}/updates", body, client_key)


async def declarations(request: web.Request) -> web.StreamResponse:
    """What was declared of a petition, with the ETag that the next declaration names."""
    context, petition = context_of(request), request.match_info["id"]
    await require(request, "admin", petition=petition)
    async with asking(context, desk(context)) as connection:
        declared = await ask_declarations(connection, await number(context, connection, petition))
    view = DeclarationsView(
        petition=petition,
        declarations=len(declared),
        text_version=text_version(declared),
        data=tuple(
            DeclarationView(
                position=each.position, type=each.type, at=each.at, recorded_at=each.recorded_at, data=each.data
            )
            for each in declared
        ),
    )
    tag = declarations_etag(len(declared))
    return respond_to_read(request, orjson.dumps(view.model_dump(mode="json")), tag=tag, cache="private, no-cache")


async def _begun(request: web.Request) -> tuple[Context, str, Principal, str | None]:
    """The checks that come before the body: credential, media type, key."""
    petition = request.match_info["id"]
    principal = await require(request, "admin", petition=petition)
    media_type(request, JSON)
    return context_of(request), petition, principal, idempotency_key(request, needed=False)


async def _declare(
    context: Context,
    principal: Principal,
    command: Command,
    route: str,
    body: BaseModel,
    client_key: str | None,
    *,
    scope: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.StreamResponse:
    said = body.model_dump(mode="json", exclude_none=True)
    asked = await keyed(context, Submission(command, principal.actor), client_key, route=route, said=said, scope=scope)
    answer = (await submitted(_admin(context), asked)).answer
    return respond(status_of(answer), answer, headers)


def _admin(context: Context) -> Writer:
    assert context.admin is not None, "these routes are served where admins are"
    return context.admin


def _revised(body: RevisionRequest, version: int) -> PetitionRevised:
    wrong: Invalid | None = None
    try:
        if body.timezone is not None:
            known_zone(body.timezone)
        return PetitionRevised(
            title=body.title,
            addressee=body.addressee,
            goals=_ladder(body.goals, "goals"),
            milestones=_ladder(body.milestones, "milestones"),
            timezone=body.timezone,
            opens_at=body.opens_at,
            closes_at=body.closes_at,
            text_version=version,
            text_sha256=None if body.text is None else sha256(body.text.encode()).hexdigest(),
        )
    except OpeningRefused as refusal:
        wrong = Invalid("/timezone", str(refusal))
    except LadderRefused as refusal:
        wrong = Invalid("", str(refusal))
    except ValidationError as refused:
        wrong = Invalid("", str(refused.errors(include_input=False, include_url=False)[0]["msg"]))
    raise Problem("validation-failed", "The body is not what this route takes.", errors=(wrong,))


def _ladder(asked: str | tuple[int, ...] | None, kind: LadderKind) -> tuple[int, ...] | None:
    return None if asked is None else read_ladder(_written(asked), kind)


def _written(ladder: str | tuple[int, ...]) -> str:
    return ladder if isinstance(ladder, str) else ",".join(str(rung) for rung in ladder)


_IF_MATCH: Final[Mapping[str, tuple[bool, Mapping[str, Any], str]]] = {
    "If-Match": (
        True,
        {"type": "string", "pattern": '^"d(0|[1-9][0-9]{0,15})"$'},
        "The ETag of the petition's declarations, as the caller has seen them.",
    ),
    **KEY_WELCOME,
}
_DECLARED: Final = {
    201: Answer("It is recorded.", model=DeclaredAnswer),
    200: Answer("It was so already; nothing was recorded.", model=DeclaredAnswer),
}
_REFUSALS: Final = (
    "idempotency-key-invalid",
    "not-found",
    "invalid-transition",
    "idempotency-key-reused",
    "outcome-unknown",
)
_ON_TOP: Final = (*_REFUSALS, "precondition-failed", "precondition-required")

ROUTES: Final = (
    Route(
        "POST",
        "/petitions",
        open_petition,
        "admin",
        "openPetition",
        "Open a petition",
        {201: Answer("It is open.", model=DeclaredAnswer, headers=("Location",))},
        body=PetitionRequest,
        headers=KEY_WELCOME,
        problems=tuple(problem for problem in _REFUSALS if problem != "not-found"),
    ),
    Route(
        "POST",
        f"/petitions/{PETITION}/status",
        declare_status,
        "admin",
        "declareStatus",
        "Declare an outcome",
        {201: _DECLARED[201]},
        body=StatusRequest,
        headers=_IF_MATCH,
        problems=_ON_TOP,
    ),
    Route(
        "POST",
        f"/petitions/{PETITION}/acceptance",
        change_acceptance,
        "admin",
        "changeAcceptance",
        "Say whether the petition takes signatures",
        _DECLARED,
        body=AcceptanceRequest,
        headers=_IF_MATCH,
        problems=_ON_TOP,
    ),
    Route(
        "POST",
        f"/petitions/{PETITION}/revisions",
        revise,
        "admin",
        "revisePetition",
        "Change what the petition says of itself",
        {201: _DECLARED[201]},
        body=RevisionRequest,
        headers=_IF_MATCH,
        problems=_ON_TOP,
    ),
    Route(
        "POST",
        f"/petitions/{PETITION}/updates",
        post_update,
        "admin",
        "postUpdate",
        "Tell the signers something",
        {201: _DECLARED[201]},
        body=UpdateRequest,
        headers=KEY_WELCOME,
        problems=_REFUSALS,
    ),
    Route(
        "GET",
        f"/petitions/{PETITION}/declarations",
        declarations,
        "admin",
        "readDeclarations",
        "What was declared of the petition, with the ETag that the next declaration names",
        {200: Answer("The declarations, oldest first.", model=DeclarationsView)},
        problems=("not-found",),
    ),
)
