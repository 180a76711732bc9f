"""Submitting: what every POST has in common between a body that was read and an answer: its idempotency key, the
petition's rules, and what the ledger's outcome means to the caller.

A command that was handed to the writer is carried through, whether or not its client stays. This module must never
turn an outcome that is not known into a refusal, and never keep an idempotency key: only its keyed hash.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import orjson
from aiohttp import web

from ledger.email_policy import UnknownPolicy
from ledger.writer import Writer
from schemas.commands import Accepted, AnswerKey, Outcome, Refused, Submission
from schemas.requests import IDEMPOTENCY_KEY_PATTERN
from service.database import Unavailable
from service.http.context import Context
from service.http.problems import Invalid, Problem
from service.http.reading import asking
from service.signing import Rules, answer_key

KEY_HEADER: Final = "Idempotency-Key"
_KEY: Final = re.compile(IDEMPOTENCY_KEY_PATTERN, re.ASCII)
_KEY_SCHEMA: Final[Mapping[str, Any]] = {"type": "string", "pattern": f"^{IDEMPOTENCY_KEY_PATTERN}$"}
_KEY_SAID: Final = (
    "1 to 255 printable ASCII characters without a space. The same key with the same request gives the first one's"
    " answer, for 30 days."
)
KEY_NEEDED: Final = {KEY_HEADER: (True, _KEY_SCHEMA, _KEY_SAID)}
KEY_WELCOME: Final = {KEY_HEADER: (False, _KEY_SCHEMA, _KEY_SAID)}

# Which member of a body a refusal of the ledger is about, where it is about one.
_ABOUT: Final[Mapping[str, str]] = {
    "in-the-future": "/signed_at",
    "unknown-text-version": "/text_version",
    "unknown-answer": "/answers",
}


def idempotency_key(request: web.Request, *, needed: bool) -> str | None:
    """The request's idempotency key. Raises Problem: `idempotency-key-missing`, `idempotency-key-invalid`."""
    given = request.headers.getall(KEY_HEADER, [])
    if not given:
        return valid_key(None) if needed else None
    return valid_key(given[0] if len(given) == 1 else "")


def valid_key(key: object) -> str:
    """The key, if it is one. Raises Problem as `idempotency_key`."""
    if key is None:
        raise Problem("idempotency-key-missing", "A signature is sent with an idempotency key.")
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise Problem(
            "idempotency-key-invalid", "An idempotency key has 1 to 255 printable ASCII characters, no space."
        )
    return key


async def rules_of(context: Context, petition: str) -> Rules:
    """How the petition reads its signers. Raises Problem: `not-found`, `unavailable`."""
    rules: Rules | None = None
    unavailable = False
    try:
        rules = await context.rules.of(petition, context.ledger, lambda: asking(context, context.public))
    except (UnknownPolicy, Unavailable):
        unavailable = True
    if unavailable:
        raise Problem("unavailable", "The service lacks what this petition's signers are read by.")
    if rules is None:
        raise Problem("not-found", "There is no petition of this id.")
    return rules


async def key_of(context: Context, petition: str) -> bytes:
    """The petition's key, whether there is such a petition or not. Raises Problem `unavailable`."""
    try:
        return await context.rules.key(petition, context.ledger)
    except Unavailable:
        pass  # refused below, outside the handler: what was raised names a file
    raise Problem("unavailable", "The service lacks a key.")


async def keyed(
    context: Context,
    asked: Submission,
    client_key: str | None,
    *,
    route: str,
    said: Mapping[str, Any],
    scope: str | None = None,
) -> Submission:
    """The submission with that by which a repeat is known, if it came with a key. `said` is the request's body in one
    form; `scope` is within what the key is unique, where that is not the command's petition. Raises Problem."""
    known_by = await answer_key_of(
        context, scope or asked.command.petition, asked.actor, client_key, route=route, said=said
    )
    return asked if known_by is None else replace(asked, answer_key=known_by)


async def answer_key_of(
    context: Context, petition: str, actor: str, client_key: str | None, *, route: str, said: Mapping[str, Any]
) -> AnswerKey | None:
    """By what a repeat of a request is known, if it came with a key. `said` is its body in one form. Raises Problem."""
    if client_key is None:
        return None
    return answer_key(
        petition,
        await key_of(context, petition),
        actor,
        client_key,
        route,
        orjson.dumps(said, option=orjson.OPT_SORT_KEYS),
    )


async def submitted(writer: Writer, asked: Submission) -> Accepted:
    """Hand it to the ledger and wait for what becomes of it. Raises Problem."""
    return accepted(await writer.submit(asked))


def accepted(outcome: Outcome) -> Accepted:
    """The outcome, if it was taken. Raises the Problem that it is otherwise."""
    match outcome:
        case Accepted():
            return outcome
        case Refused():
            pointer = _ABOUT.get(outcome.reason)
            errors = () if pointer is None else (Invalid(pointer, outcome.detail),)
            raise Problem(outcome.problem, outcome.detail, errors=errors)
        case _:
            raise Problem("outcome-unknown", "Ask again with the same idempotency key.")


def status_of(answer: Mapping[str, Any]) -> int:
    """201 where the asking recorded something, also when its answer is repeated; 200 where it was so before."""
    return 200 if "duplicate" in answer else 201


def respond(status: int, answer: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> web.Response:
    """The answer to a POST."""
    return web.Response(
        status=status,
        body=orjson.dumps(answer, option=orjson.OPT_SORT_KEYS),  # one order, whether it was stored or not
        content_type="application/json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )
