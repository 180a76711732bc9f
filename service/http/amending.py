"""Amending over HTTP: an admin rectifies who it was that signed. Of who was said before, nothing is kept.

This module must never log or repeat anything of a body.
"""

import secrets
from typing import Final
from uuid import UUID

from aiohttp import web

from ledger.email_policy import EmailRefused
from ledger.identity import NONCE_BYTES
from ledger.vault import RANDOM_BYTES
from schemas.answers import AmendmentAnswer
from schemas.commands import AmendSignature, Submission
from schemas.requests import AmendmentRequest
from service.http.bodies import media_type, read_json
from service.http.credentials import require
from service.http.problems import Invalid, Problem
from service.http.reading import context_of
from service.http.routes import JSON, PETITION, SIGNATURE, Answer, Route
from service.http.signing import newest_epoch
from service.http.submitting import KEY_WELCOME, idempotency_key, keyed, respond, rules_of, submitted
from service.signing import amending


async def amend(request: web.Request) -> web.StreamResponse:
    """Rectify who signed."""
    context, petition, signature = context_of(request), request.match_info["id"], request.match_info["sid"]
    principal = await require(request, "admin", petition=petition)
    media_type(request, JSON)
    client_key = idempotency_key(request, needed=False)
    body = await read_json(request, AmendmentRequest)
    rules = await rules_of(context, petition)
    epoch, random = newest_epoch(context), secrets.token_bytes
    command: AmendSignature | None = None
    wrong: Invalid | None = None
    try:
        command = amending(body.signer, rules, epoch, UUID(signature), random(NONCE_BYTES), random(RANDOM_BYTES))
    except EmailRefused as refusal:
        wrong = Invalid("/signer/email", str(refusal))
    if command is None:  # outside the handler: what was raised must not travel with the problem
        assert wrong is not None
        raise Problem("validation-failed", "The body is not what this route takes.", errors=(wrong,))
    asked = Submission(command, principal.actor)
    route = f"POST /petitions/{petition}/signatures/{signature}/amendment"
    asked = await keyed(context, asked, client_key, route=route, said=body.said())
    assert context.admin is not None, "this route is served where admins are"
    return respond(200, (await submitted(context.admin, asked)).answer)


ROUTES: Final = (
    Route(
        "POST",
        f"/petitions/{PETITION}/signatures/{SIGNATURE}/amendment",
        amend,
        "admin",
        "amendSignature",
        "Rectify who signed",
        {200: Answer("The signature is the new identity's; of the old one nothing is kept.", model=AmendmentAnswer)},
        body=AmendmentRequest,
        headers=KEY_WELCOME,
        problems=(
            "idempotency-key-invalid",
            "not-found",
            "invalid-transition",
            "idempotency-key-reused",
            "outcome-unknown",
        ),
    ),
)
