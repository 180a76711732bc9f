"""What campaign sites read: the list of petitions, a petition, its count.

A plain count is answered from memory, ready bytes with their tag, and asks no database. A petition's document is made
when its position is asked for the first time. This module must never answer a number without the position that it is
true at.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import orjson
from aiohttp import web

from projections.asking.counting import count as ask_count
from projections.asking.serving import petitions as ask_petitions
from projections.moments import AsOf, AtPosition, AtTime
from schemas.campaign_views import PetitionsView, PetitionView
from schemas.ids import Position
from schemas.views import CountView
from service.documents import Document, document
from service.http import conditional, timelines
from service.http.context import Context
from service.http.parameters import Parameter, choice, instant, point, position, query
from service.http.petition_document import data_of, petition_body, petition_data, petitions_body
from service.http.problems import Problem
from service.http.reading import MIN_POSITION, answer, asking, at_position, context_of, held, reach
from service.http.routes import PETITION, Answer, Route
from service.region_names import names
from service.snapshots import Held

PAGE: Final = 25
"""Petitions on a page of the list."""

LIST_QUERY: Final[Mapping[str, Parameter[Any]]] = {
    "state": choice("open", "closed", "rejected"),
    "before": position(),
    **MIN_POSITION,
}
COUNT_QUERY: Final[Mapping[str, Parameter[Any]]] = {"as_of": point(), "effective": instant(), **MIN_POSITION}


async def petitions(request: web.Request) -> web.StreamResponse:
    """A page of petitions, newest first. The next page begins before the last one's first event: whatever opens or
    moves meanwhile, none is given twice and none is left out.
    """
    context = context_of(request)
    asked = query(request, **LIST_QUERY)
    await reach(context, asked["min_position"])
    state, before = asked["state"], asked["before"]
    found = context.snapshots.page(state, before, PAGE + 1)
    shown = found[:PAGE]
    data, upto = await _data_of(context, shown)
    links = {
        "self": _list_link(state, before),
        "next": _list_link(state, shown[-1][1].number) if len(found) > PAGE else None,
    }
    return await answer(request, context, document(petitions_body(links, data), upto))


async def petition(request: web.Request) -> web.StreamResponse:
    """One petition."""
    context, id = context_of(request), request.match_info["id"]
    asked = query(request, **MIN_POSITION)
    await reach(context, asked["min_position"])
    present = held(context, id)

    async def make() -> Document:
        made = (await _made(context, [id])).get(id)
        if made is None:  # a rebuild was accepted that has no such petition
            raise Problem("not-found", "There is no petition of this id.")
        return made

    return await answer(request, context, await context.snapshots.documents.get(_key(context, id, present), make))


async def count(request: web.Request) -> web.StreamResponse:
    """The count: now, from memory; or as of a position or a time, or of what was effective by a time, from the log."""
    context, id = context_of(request), request.match_info["id"]
    asked = query(request, **COUNT_QUERY)
    if asked["min_position"] is not None:
        await reach(context, asked["min_position"])
    present = held(context, id)
    if asked["as_of"] is None and asked["effective"] is None:
        return conditional.respond(request, present.body, tag=present.etag, headers=at_position(context))
    # What is now known is what is served now: the log may be ahead of it.
    known = AtPosition(Position(context.snapshots.position)) if asked["as_of"] is None else _moment(asked["as_of"])
    pool = context.public if asked["effective"] is None else context.audit
    async with asking(context, pool) as connection:
        view = await ask_count(connection, present.number, as_of=known, effective=asked["effective"])
    return conditional.respond(request, orjson.dumps(view.body()), headers=at_position(context))


async def _data_of(context: Context, shown: list[tuple[str, Held]]) -> tuple[list[bytes], int]:
    """The `data` of each of these petitions, and the position that all of them are true at."""
    documents = context.snapshots.documents
    kept = {id: documents.kept(_key(context, id, present)) for id, present in shown}
    found = {id: made for id, made in kept.items() if made is not None}
    if missing := [id for id in kept if id not in found]:
        made = await _made(context, missing)
        for id, present in shown:
            if id in made:
                documents.keep(_key(context, id, present), made[id])
        found |= made
    return [data_of(id, found[id].body) for id in kept], max((each.position for each in found.values()), default=0)


async def _made(context: Context, ids: list[str]) -> dict[str, Document]:
    """The documents of these petitions, which are in memory, by one question."""
    called = names(context.settings.regions_file)
    async with asking(context, context.public) as connection:
        checkpoint, found = await ask_petitions(connection, ids)
    return {
        id: document(petition_body(id, orjson.dumps(petition_data(shown, called).body())), checkpoint)
        for id, shown in found.items()
    }


def _key(context: Context, id: str, present: Held) -> tuple[Any, ...]:
    return ("petition", context.snapshots.generation, id, present.position)


def _list_link(state: str | None, before: int | None) -> str:
    parts = [f"{name}={value}" for name, value in (("state", state), ("before", before)) if value is not None]
    return "/petitions.json" + ("?" + "&".join(parts) if parts else "")


def _moment(as_of: "Position | datetime") -> AsOf:
    return AtTime(as_of) if isinstance(as_of, datetime) else AtPosition(as_of)


ROUTES: Final = (
    Route(
        "GET",
        "/petitions.json",
        petitions,
        "public",
        "listPetitions",
        "Petitions, newest first, in pages",
        {200: Answer("A page of petitions.", model=PetitionsView)},
        query=LIST_QUERY,
    ),
    Route(
        "GET",
        f"/petitions/{PETITION}.json",
        petition,
        "public",
        "readPetition",
        "A petition, in the form that readers of UK petition JSON know",
        {200: Answer("The petition.", model=PetitionView)},
        query=MIN_POSITION,
        problems=("not-found",),
    ),
    Route(
        "GET",
        f"/petitions/{PETITION}/count.json",
        count,
        "public",
        "readCount",
        "A petition's count, and the position that it is true at",
        {200: Answer("The count.", model=CountView)},
        query=COUNT_QUERY,
        problems=("not-found", "position-not-reached"),
    ),
    *timelines.ROUTES,
)
