"""Erasing over HTTP: a privacy officer erases a signer of a petition, whom one of her signatures names, or her address.

It is answered when nothing is held of her any more. No answer is stored: by an idempotency key it would be known again
what was asked of whom. This module must never say in a log or in an error of whom it was.
"""

from typing import Final

import asyncpg
import structlog
from aiohttp import web

from ledger.email_policy import EmailRefused
from ledger.erasure_journal import JournalRefused
from ledger.identity import Email, signer_token
from schemas.answers import ErasureAnswer
from schemas.commands import EraseSigner, Outcome
from schemas.requests import ErasureRequest
from service.database import Unavailable
from service.erasing import erase, journal_of
from service.http.bodies import media_type, read_json
from service.http.context import Context
from service.http.credentials import require, within
from service.http.problems import Invalid, Problem
from service.http.reading import context_of
from service.http.routes import JSON, Answer, Route
from service.http.submitting import KEY_WELCOME, accepted, idempotency_key, respond, rules_of

log: Final = structlog.get_logger(__name__)


async def erase_signer(request: web.Request) -> web.StreamResponse:
    """Erase a signer: all her signatures in the petition."""
    principal = await require(request, "privacy")
    media_type(request, JSON)
    idempotency_key(request, needed=False)  # asked again it is answered the same, whatever the key
    body = await read_json(request, ErasureRequest)
    within(principal, body.petition)
    context = context_of(request)
    command = await _command(context, body)
    answer = accepted(await _erased(context, command, principal.actor)).answer
    log.info("erasing.erased", actor=principal.actor, petition=body.petition, signatures=len(answer["signatures"]))
    return respond(200, answer)


async def _command(context: Context, body: ErasureRequest) -> EraseSigner:
    """By which token an address is known. Raises Problem."""
    rules = await rules_of(context, body.petition)
    if body.email is None:
        return EraseSigner(body.petition, body.signature)
    try:
        return EraseSigner(body.petition, None, signer_token(rules.key, Email(body.email), rules.policy))
    except EmailRefused as refusal:
        wrong = Invalid("/email", str(refusal))
    raise Problem("validation-failed", "The body is not what this route takes.", errors=(wrong,))


async def _erased(context: Context, command: EraseSigner, actor: str) -> Outcome:
    assert context.privacy is not None, "this route is served where admins are"
    try:
        connection = await context.ledger.connect("ledger_privacy")
        try:
            return await erase(connection, context.privacy, journal_of(context.ledger), command, actor)
        finally:
            connection.terminate()
    except asyncpg.SyntaxOrAccessError:
        raise  # a mistake of ours, which the log has to name
    except JournalRefused as refusal:
        log.error("erasing.journal_refused", why=str(refusal))
    except (Unavailable, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        log.error("erasing.interrupted", error=type(error).__name__)
    raise Problem("unavailable", "The erasure is not finished; ask again.")


ROUTES: Final = (
    Route(
        "POST",
        "/erasures",
        erase_signer,
        "privacy",
        "eraseSigner",
        "Erase a signer of a petition, with all her signatures there",
        {200: Answer("Nothing is held of her any more; the log stays as it is.", model=ErasureAnswer)},
        body=ErasureRequest,
        headers=KEY_WELCOME,
        problems=("idempotency-key-invalid", "not-found", "outcome-unknown"),
    ),
)
