"""Comments over HTTP: an admin reads why somebody signed, and says whether it is published.

Nothing of it is public before that. This module must never log a comment, and never keep one with an answer.
"""

from typing import Final
from uuid import UUID

import asyncpg
from aiohttp import web

from ledger.comments import decide_comment
from ledger.connecting import Connection
from schemas.answers import CommentAnswer
from schemas.commands import Accepted, AnswerKey, Refused
from schemas.requests import CommentRequest
from service.database import Unavailable
from service.http.bodies import media_type, read_json
from service.http.context import Context
from service.http.credentials import require
from service.http.problems import Problem
from service.http.reading import context_of
from service.http.routes import JSON, PETITION, SIGNATURE, Answer, Route
from service.http.submitting import KEY_WELCOME, accepted, answer_key_of, idempotency_key, respond, rules_of


async def decide(request: web.Request) -> web.StreamResponse:
    """Release a signature's comment, or take it back."""
    context, petition, signature = context_of(request), request.match_info["id"], UUID(request.match_info["sid"])
    principal = await require(request, "admin", petition=petition)
    media_type(request, JSON)
    client_key = idempotency_key(request, needed=False)
    body = await read_json(request, CommentRequest)
    await rules_of(context, petition)
    route = f"POST /petitions/{petition}/signatures/{signature}/comment"
    key = await answer_key_of(context, petition, principal.actor, client_key, route=route, said=body.said())
    outcome = await _decided(context, principal.actor, petition, signature, body.released, key)
    return respond(200, accepted(outcome).answer)


async def _decided(
    context: Context, actor: str, petition: str, signature: UUID, released: bool, key: AnswerKey | None
) -> Accepted | Refused:
    connection: Connection | None = None
    try:
        connection = await context.ledger.connect("ledger_admin")
        return await decide_comment(connection, actor, petition, signature, released, key)
    except asyncpg.SyntaxOrAccessError:
        raise  # a mistake of ours, which the log has to name
    except (Unavailable, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
        pass  # refused below, outside the handler
    finally:
        if connection is not None:
            connection.terminate()
    # Whether it was decided may not be known; deciding again is the same decision.
    raise Problem("outcome-unknown", "Ask again: the same decision twice is one.")


ROUTES: Final = (
    Route(
        "POST",
        f"/petitions/{PETITION}/signatures/{SIGNATURE}/comment",
        decide,
        "admin",
        "decideComment",
        "Publish why somebody signed, or take that back",
        {200: Answer("What was decided, and the comment.", model=CommentAnswer)},
        body=CommentRequest,
        headers=KEY_WELCOME,
        problems=("idempotency-key-invalid", "not-found", "invalid-transition", "idempotency-key-reused"),
    ),
)
