"""Disclosing over HTTP: what is held of a person, for a privacy officer who has to answer her; and the openings of
signatures that are named, for an auditor who checks a sample.

Who asked about which signature stands in the database and in the log before the answer goes out. This module must never
give anything of it to another role, nor say in a log or in an error of whom it was.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
import structlog
from aiohttp import web

from ledger.connecting import Connection
from ledger.disclosing import NotAll
from ledger.email_policy import EmailRefused
from schemas.answers import OpeningsAnswer, SubjectAnswer
from schemas.requests import OpeningsRequest, SubjectRequest
from service.database import Unavailable
from service.disclosing import Unreadable, openings, subject
from service.http.bodies import media_type, read_json
from service.http.context import Context
from service.http.credentials import require, within
from service.http.problems import Invalid, Problem
from service.http.reading import context_of
from service.http.routes import JSON, Answer, Route
from service.http.submitting import KEY_WELCOME, idempotency_key, respond, rules_of

log: Final = structlog.get_logger(__name__)


async def show_subject(request: web.Request) -> web.StreamResponse:
    """What is held of a person in every petition, or in the one that the credential is for."""
    principal = await require(request, "privacy")
    media_type(request, JSON)
    idempotency_key(request, needed=False)  # asked again it is another asking, and written down again
    body = await read_json(request, SubjectRequest)
    context = context_of(request)
    async with _privacy(context) as connection:
        found = await subject(
            connection, context.ledger, context.epochs, principal.actor, body.email, principal.petition
        )
    log.info("disclosure.subject", actor=principal.actor, signatures=len(found["signatures"]))
    return respond(200, found)


async def show_openings(request: web.Request) -> web.StreamResponse:
    """The openings of signatures that are named."""
    principal = await require(request, "auditor")
    media_type(request, JSON)
    idempotency_key(request, needed=False)
    body = await read_json(request, OpeningsRequest)
    within(principal, body.petition)
    context = context_of(request)
    await rules_of(context, body.petition)
    async with _privacy(context) as connection:
        found = await openings(connection, context.epochs, principal.actor, body.petition, body.signatures)
    log.info("disclosure.openings", actor=principal.actor, petition=body.petition, signatures=len(found["openings"]))
    return respond(200, found)


@asynccontextmanager
async def _privacy(context: Context) -> AsyncIterator[Connection]:
    """A connection that may read what is sealed. What is refused, and a database that does not answer, become
    problems."""
    problem: Problem
    try:
        connection = await context.ledger.connect("ledger_privacy")
        try:
            yield connection
            return
        finally:
            connection.terminate()
    except EmailRefused as refusal:
        problem = _invalid("/email", str(refusal))
    except NotAll:
        problem = _invalid("/signatures", "The list names a signature that the petition does not have.")
    except Unreadable as refusal:
        problem = Problem("unavailable", str(refusal))
    except asyncpg.SyntaxOrAccessError:
        raise  # a mistake of ours, which the log has to name
    except (Unavailable, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
        problem = Problem("unavailable", "The vault cannot be read now.")
    raise problem


def _invalid(pointer: str, message: str) -> Problem:
    return Problem("validation-failed", "The body is not what this route takes.", errors=(Invalid(pointer, message),))


ROUTES: Final = (
    Route(
        "POST",
        "/subjects",
        show_subject,
        "privacy",
        "showSubject",
        "What is held of a person, in every petition",
        {200: Answer("All that is held. That it was asked for is written down.", model=SubjectAnswer)},
        body=SubjectRequest,
        headers=KEY_WELCOME,
        problems=("idempotency-key-invalid",),
    ),
    Route(
        "POST",
        "/openings",
        show_openings,
        "auditor",
        "showOpenings",
        "The openings of up to 100 signatures of a petition",
        {200: Answer("The openings. That they were asked for is written down.", model=OpeningsAnswer)},
        body=OpeningsRequest,
        headers=KEY_WELCOME,
        problems=("idempotency-key-invalid", "not-found"),
    ),
)
