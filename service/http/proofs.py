"""Proofs for whoever does not want to read the whole log: that an event is in it, and that it only grew.

A receipt is a proof that stands alone (C2SP tlog-proof): a leaf's index, its inclusion proof and the signed head that
it leads to. It is public, because it says no more than the log does; whose signature the leaf is, only the opening
shows, which was given once. This module must never prove anything for a head that was not published.
"""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import orjson
from aiohttp import web

from ledger import proving
from schemas.canonical import to_base64
from schemas.ids import LARGEST_POSITION, Position, leaf_index
from schemas.log_views import ConsistencyView, InclusionView
from service.http import conditional
from service.http.newest_head import BRIEF, TEXT, covering, newest, not_yet_sealed
from service.http.parameters import Parameter, integer, query
from service.http.problems import Problem
from service.http.reading import asking, context_of, number
from service.http.routes import PETITION, SIGNATURE, Answer, Route

_SIZE: Final = integer(1, LARGEST_POSITION, required=True)
INCLUSION_QUERY: Final[Mapping[str, Parameter[Any]]] = {
    "index": integer(0, LARGEST_POSITION - 1, required=True),
    "size": _SIZE,
}
CONSISTENCY_QUERY: Final[Mapping[str, Parameter[Any]]] = {"from": _SIZE, "to": _SIZE}


async def inclusion(request: web.Request) -> web.StreamResponse:
    """The proof that a leaf is in the tree of a size."""
    context = context_of(request)
    asked = query(request, **INCLUSION_QUERY)
    index, size = asked["index"], asked["size"]
    if index >= size:
        raise Problem("validation-failed", "A tree of this size has no leaf of this index.")
    async with asking(context, context.audit) as connection:
        await covering(connection, size)
        found = await proving.inclusion(connection, index, size)
    view = InclusionView(
        index=index,
        size=size,
        leaf_hash=to_base64(found.leaf_hash),
        root=to_base64(found.root),
        proof=tuple(to_base64(each) for each in found.proof),
    )
    return conditional.respond(request, orjson.dumps(view.body()))


async def consistency(request: web.Request) -> web.StreamResponse:
    """The proof that the tree of one size begins with that of another."""
    context = context_of(request)
    asked = query(request, **CONSISTENCY_QUERY)
    old, new = asked["from"], asked["to"]
    if old > new:
        raise Problem("validation-failed", "`from` is larger than `to`: a tree only grows.")
    async with asking(context, context.audit) as connection:
        await covering(connection, new)
        found = await proving.consistency(connection, old, new)
    view = ConsistencyView(
        old=old,
        new=new,
        from_root=to_base64(found.old_root),
        to_root=to_base64(found.new_root),
        proof=tuple(to_base64(each) for each in found.proof),
    )
    return conditional.respond(request, orjson.dumps(view.body()))


async def signature_receipt(request: web.Request) -> web.StreamResponse:
    """The receipt of a signature: that the event which recorded it is in the log."""
    context = context_of(request)
    async with asking(context, context.audit) as connection:
        petition = await number(context, connection, request.match_info["id"])
        signature = UUID(request.match_info["sid"])
        position = await proving.position_of_signature(connection, petition, signature)
        if position is None:
            raise Problem("not-found", "The petition has no such signature.")
        head = await covering(connection, position)
        body = await proving.receipt(connection, leaf_index(Position(position)), head)
    return conditional.respond(request, body, TEXT, cache=BRIEF)


async def petition_receipt(request: web.Request) -> web.StreamResponse:
    """The receipt of a petition's last event: with the chain of its own events it shows them complete up to it."""
    context = context_of(request)
    async with asking(context, context.audit) as connection:
        petition = await number(context, connection, request.match_info["id"])
        head = await newest(connection)
        position = await proving.last_covered(connection, petition, head.size)
        if position is None:
            raise not_yet_sealed("No published tree head covers the petition yet.")
        body = await proving.receipt(connection, leaf_index(Position(position)), head)
    return conditional.respond(request, body, TEXT, cache=BRIEF)


_RECEIPT: Final = "The leaf's index, its inclusion proof, and the newest published note (C2SP tlog-proof)."

ROUTES: Final = (
    Route(
        "GET",
        "/proofs/inclusion",
        inclusion,
        "public",
        "proveInclusion",
        "The proof that a leaf is in the tree of a size",
        {200: Answer("The proof (RFC 6962 section 2.1.1).", model=InclusionView)},
        query=INCLUSION_QUERY,
        problems=("not-yet-sealed",),
    ),
    Route(
        "GET",
        "/proofs/consistency",
        consistency,
        "public",
        "proveConsistency",
        "The proof that a tree begins with the leaves of a smaller one",
        {200: Answer("The proof (RFC 6962 section 2.1.2).", model=ConsistencyView)},
        query=CONSISTENCY_QUERY,
        problems=("not-yet-sealed",),
    ),
    Route(
        "GET",
        f"/petitions/{PETITION}/signatures/{SIGNATURE}/receipt",
        signature_receipt,
        "public",
        "readReceipt",
        "The receipt of a signature",
        {200: Answer(_RECEIPT, media=("text/plain",))},
        problems=("not-found", "not-yet-sealed"),
    ),
    Route(
        "GET",
        f"/petitions/{PETITION}/receipt",
        petition_receipt,
        "public",
        "readPetitionReceipt",
        "The receipt of a petition's last event that the newest published head covers",
        {200: Answer(_RECEIPT, media=("text/plain",))},
        problems=("not-found", "not-yet-sealed"),
    ),
)
