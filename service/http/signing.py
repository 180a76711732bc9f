"""Signing: sites post signatures, one or many, and the confirmations and withdrawals that their links brought.

The checks come in one order, whoever sends what: credential, media type, key, body, stored answer, duplicate, closed;
the last three are the ledger's. The opening (nonce and canonical identity) is in the answer that recorded a signature
and in no other. This module must never log or repeat anything of a body.
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson
from aiohttp import web
from uuid_utils.compat import uuid7

from ledger.email_policy import EmailRefused
from ledger.identity import NONCE_BYTES, IdentityRefused
from ledger.keys import KeyUnavailable
from ledger.vault import RANDOM_BYTES, Epoch, Opened
from schemas.answers import BatchLineAnswer, SignatureAnswer
from schemas.commands import Accepted, ConfirmSignature, RecordSignature, Submission, WithdrawSignature
from schemas.requests import BatchLineRequest, SignatureRequest
from service.credentials import Principal
from service.http.bodies import media_type, parse, read_empty, read_json, read_lines, strict
from service.http.context import Context
from service.http.credentials import require
from service.http.problems import Invalid, Problem
from service.http.reading import context_of
from service.http.routes import JSON, NDJSON, PETITION, SIGNATURE, Answer, Route
from service.http.submitting import (
    KEY_NEEDED,
    KEY_WELCOME,
    accepted,
    idempotency_key,
    keyed,
    respond,
    rules_of,
    status_of,
    submitted,
    valid_key,
)
from service.signing import SIGNER_REF_BYTES, Fresh, Rules, opening_of, receipt_path, recording

LINE: Final = orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
BREATH: Final = 25
"""Lines of a batch that are prepared in one go; between them others are served."""


class Asked(NamedTuple):
    """A signature that is asked for, and what opens its commitment: for the answer alone, should it be recorded."""

    submission: Submission
    opened: Opened


async def sign(request: web.Request) -> web.StreamResponse:
    """Record one signature."""
    context, petition = context_of(request), request.match_info["id"]
    principal = await require(request, "site", petition=petition)
    media_type(request, JSON)
    client_key = idempotency_key(request, needed=True)
    body = await read_json(request, SignatureRequest)
    asked = await _asked(context, principal, await rules_of(context, petition), body, client_key)
    answer = _answer(asked, await submitted(context.signing, asked.submission))
    return respond(status_of(answer), answer)


async def sign_batch(request: web.Request) -> web.StreamResponse:
    """Record many signatures. Each line has a key and an outcome of its own: one that is refused refuses no other."""
    context, petition = context_of(request), request.match_info["id"]
    principal = await require(request, "site", petition=petition)
    media_type(request, NDJSON)
    idempotency_key(request, needed=False)  # the keys of the lines make the batch one that can be sent again
    lines = await read_lines(request)
    rules = await rules_of(context, petition)
    prepared: list[tuple[str | None, Asked | Problem]] = []
    for number, line in enumerate(lines):
        if number % BREATH == BREATH - 1:
            await asyncio.sleep(0)
        prepared.append(await _prepared(context, principal, rules, line))
    asked = [each.submission for _, each in prepared if isinstance(each, Asked)]
    outcomes = iter(await asyncio.shield(asyncio.ensure_future(context.signing.submit_all(asked))))
    results = []
    for client_key, each in prepared:
        try:
            if isinstance(each, Problem):
                raise each
            answer = _answer(each, accepted(next(outcomes)))
            result = {**answer, "status": status_of(answer)}
        except Problem as problem:
            result = problem.document()
        results.append(orjson.dumps({"idempotency_key": client_key, **result}, option=LINE))
    return web.Response(body=b"".join(results), headers={"Content-Type": NDJSON, "Cache-Control": "no-store"})


async def confirm(request: web.Request) -> web.StreamResponse:
    """Record that the signer confirmed."""
    return await _follow(request, "confirmation", ConfirmSignature)


async def withdraw(request: web.Request) -> web.StreamResponse:
    """Record that the signer withdrew."""
    return await _follow(request, "withdrawal", WithdrawSignature)


async def _follow(
    request: web.Request,
    what: str,
    command: Callable[[str, UUID, None, bool], ConfirmSignature | WithdrawSignature],
) -> web.StreamResponse:
    context, petition, signature = context_of(request), request.match_info["id"], request.match_info["sid"]
    principal = await require(request, "site", petition=petition)
    client_key = idempotency_key(request, needed=False)
    await read_empty(request)
    asked = Submission(command(petition, UUID(signature), None, False), principal.actor)
    route = f"POST /petitions/{petition}/signatures/{signature}/{what}"
    asked = await keyed(context, asked, client_key, route=route, said={})
    answer = (await submitted(context.signing, asked)).answer
    return respond(200, {**answer, "receipt": receipt_path(petition, signature)})


async def _prepared(
    context: Context, principal: Principal, rules: Rules, line: bytes
) -> tuple[str | None, Asked | Problem]:
    """A line's key, where it has one, and what it asks or why it cannot."""
    client_key: str | None = None
    try:
        client_key = valid_key(strict(line).get("idempotency_key"))
        body = parse(line, BatchLineRequest).alone()
        return client_key, await _asked(context, principal, rules, body, client_key)
    except Problem as problem:
        return client_key, problem


async def _asked(
    context: Context, principal: Principal, rules: Rules, body: SignatureRequest, client_key: str | None
) -> Asked:
    """The submission of a signature: the same for a line of a batch and a request of its own. Raises Problem."""
    random = secrets.token_bytes
    fresh = Fresh(uuid7(), random(SIGNER_REF_BYTES), random(NONCE_BYTES), random(RANDOM_BYTES))
    made: tuple[RecordSignature, Opened] | None = None
    wrong: Invalid | None = None
    epoch = newest_epoch(context)
    try:
        made = recording(body, rules, epoch, principal.actor, fresh)
    except EmailRefused as refusal:
        wrong = Invalid("/signer/email", str(refusal))
    except IdentityRefused as refusal:
        wrong = Invalid("/organisation/name" if body.signer is None else "/signer/ref", str(refusal))
    if made is None:  # outside the handlers: what was raised must not travel with the problem
        assert wrong is not None
        raise Problem("validation-failed", "The body is not what this route takes.", errors=(wrong,))
    command, opened = made
    route = f"POST /petitions/{rules.petition}/signatures"
    submission = Submission(command, principal.actor)
    return Asked(await keyed(context, submission, client_key, route=route, said=body.said()), opened)


def newest_epoch(context: Context) -> Epoch:
    """The epoch of the vault to seal under. Raises Problem `unavailable`."""
    try:
        return context.epochs.newest()
    except KeyUnavailable:
        pass  # refused below, outside the handler: what was raised names a file
    raise Problem("unavailable", "The service lacks a key.")


def _answer(asked: Asked, outcome: Accepted) -> dict[str, Any]:
    """What the site is told: the ledger's answer, where the receipt is to be had, and the opening where this very
    asking made the signature."""
    command, answer = asked.submission.command, outcome.answer
    assert isinstance(command, RecordSignature)
    told = {**answer, "receipt": receipt_path(command.petition, answer["signature"])}
    if answer["signature"] == str(command.signature) and "duplicate" not in answer:
        told["opening"] = opening_of(asked.opened)
    return told


_REFUSALS: Final = (
    "idempotency-key-missing",
    "idempotency-key-invalid",
    "not-found",
    "petition-closed",
    "invalid-transition",
    "idempotency-key-reused",
    "outcome-unknown",
)

ROUTES: Final = (
    Route(
        "POST",
        f"/petitions/{PETITION}/signatures",
        sign,
        "site",
        "sign",
        "Record a signature",
        {
            201: Answer("The signature, with its opening in this answer alone.", model=SignatureAnswer),
            200: Answer("The signer's earlier signature: nothing was recorded.", model=SignatureAnswer),
        },
        body=SignatureRequest,
        headers=KEY_NEEDED,
        problems=_REFUSALS,
    ),
    Route(
        "POST",
        f"/petitions/{PETITION}/signatures/batch",
        sign_batch,
        "site",
        "signBatch",
        "Record up to 1,000 signatures, a line each",
        {200: Answer("What became of each line, in order.", media=(NDJSON,), model=BatchLineAnswer)},
        body=BatchLineRequest,
        body_media=NDJSON,
        headers=KEY_WELCOME,
        problems=("idempotency-key-invalid", "not-found"),
    ),
    Route(
        "POST",
        f"/petitions/{PETITION}/signatures/{SIGNATURE}/confirmation",
        confirm,
        "site",
        "confirmSignature",
        "Record that the signer confirmed",
        {200: Answer("The signature as it stands.", model=SignatureAnswer)},
        optional=True,
        headers=KEY_WELCOME,
        problems=_REFUSALS[1:],
    ),
    Route(
        "POST",
        f"/petitions/{PETITION}/signatures/{SIGNATURE}/withdrawal",
        withdraw,
        "site",
        "withdrawSignature",
        "Record that the signer withdrew",
        {200: Answer("The signature as it stands.", model=SignatureAnswer)},
        optional=True,
        headers=KEY_WELCOME,
        problems=_REFUSALS[1:],
    ),
)
