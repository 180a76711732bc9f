"""What happened to a petition, and its count over time: timeline and history, for programs, feed readers and
spreadsheets.

Both are told as known at the position that the worker serves, so that they agree with the count beside them, and are
kept by it. This module must never hold a whole history in memory: a page has a limit, and the spreadsheet is streamed.
"""

from collections.abc import AsyncIterator, Mapping
from hashlib import sha256
from typing import Any, Final

import orjson
from aiohttp import web

from projections.asking.history import PAGE, csv, history
from projections.reading import as_corrected, rows
from projections.timeline import Row, newest_first
from projections.timeline_text import atom, entries
from schemas.campaign_views import TimelineView
from schemas.instants import format_instant
from schemas.views import HistoryView
from service.documents import Document, document
from service.http.context import Context
from service.http.parameters import Parameter, choice, instant, integer, position, query
from service.http.problems import Problem
from service.http.reading import MIN_POSITION, answer, asking, at_position, context_of, held, reach
from service.http.routes import PETITION, Answer, Route
from service.http.streaming import gathered, stream
from service.provenance import heading
from service.snapshots import Held

ATOM: Final = "application/atom+xml; charset=utf-8"
CSV: Final = "text/csv; charset=utf-8"

TIMELINE_QUERY: Final[Mapping[str, Parameter[Any]]] = {
    "mode": choice("as_recorded", "as_corrected", default="as_recorded"),
    **MIN_POSITION,
}
CSV_QUERY: Final[Mapping[str, Parameter[Any]]] = {
    "interval": choice("hour", "day", "event", default="day"),
    "from": instant(),
    "to": instant(),
    **MIN_POSITION,
}
HISTORY_QUERY: Final[Mapping[str, Parameter[Any]]] = {
    **CSV_QUERY,
    "after": position(),
    "limit": integer(1, PAGE, default=PAGE),
}


async def timeline_json(request: web.Request) -> web.StreamResponse:
    """The timeline, newest first."""

    async def make(context: Context, id: str, mode: str) -> Document:
        checkpoint, found, _ = await _told(context, id, mode)
        return document(orjson.dumps({"entries": entries(found)}), checkpoint)

    return await _timeline(request, "timeline", make, "application/json")


async def timeline_atom(request: web.Request) -> web.StreamResponse:
    """The timeline as a feed."""

    async def make(context: Context, id: str, mode: str) -> Document:
        checkpoint, found, said = await _told(context, id, mode)
        feed = atom(
            found,
            title=heading(said["title"], said["provenance"]),
            author=said["title"],
            url=f"/petitions/{id}/timeline.atom" + ("" if mode == "as_recorded" else f"?mode={mode}"),
        )
        return document(feed.encode(), checkpoint)

    return await _timeline(request, "atom", make, ATOM)


async def history_json(request: web.Request) -> web.StreamResponse:
    """The count over time, in pages."""
    context, id = context_of(request), request.match_info["id"]
    asked = query(request, **HISTORY_QUERY)
    await reach(context, asked["min_position"])
    present = held(context, id)
    wanted = {name: asked[name] for name in ("interval", "from", "to", "after", "limit")}

    async def make() -> Document:
        async with asking(context, context.audit) as connection:
            view = await history(
                connection,
                present.number,
                asked["interval"],
                start=asked["from"],
                end=asked["to"],
                after=asked["after"] or None,  # 0 is before the first
                limit=asked["limit"],
                upto=present.position,
            )
        return document(orjson.dumps(view.body()), present.position)

    key = ("history", context.snapshots.generation, id, present.position, *wanted.values())
    return await answer(request, context, await context.snapshots.documents.get(key, make))


async def history_csv(request: web.Request) -> web.StreamResponse:
    """The whole history as a table. Its cells are times and numbers: nothing that a spreadsheet would run."""
    context, id = context_of(request), request.match_info["id"]
    asked = query(request, **CSV_QUERY)
    await reach(context, asked["min_position"])
    present = held(context, id)

    async def lines() -> AsyncIterator[bytes]:
        async with asking(context, context.audit) as connection:
            told = csv(
                connection,
                present.number,
                asked["interval"],
                start=asked["from"],
                end=asked["to"],
                upto=present.position,
            )
            async for line in told:
                yield line.encode()

    headers = {**at_position(context), "Content-Disposition": f'attachment; filename="{id}-history.csv"'}
    # Events never change: what was asked, as known at a position, is these bytes for ever.
    return await stream(request, gathered(lines()), CSV, tag=_csv_tag(context, id, present, asked), headers=headers)


async def _timeline(request: web.Request, name: str, make: Any, media: str) -> web.StreamResponse:
    context, id = context_of(request), request.match_info["id"]
    asked = query(request, **TIMELINE_QUERY)
    await reach(context, asked["min_position"])
    present = held(context, id)
    mode = asked["mode"]
    key = (name, context.snapshots.generation, id, present.position, mode)
    made = await context.snapshots.documents.get(key, lambda: make(context, id, mode))
    return await answer(request, context, made, media)


async def _told(context: Context, id: str, mode: str) -> tuple[int, list[Row], dict[str, Any]]:
    """The rows of a timeline in the order in which they are shown, what the petition says of itself, and the position
    that memory must have reached before they are."""
    if mode == "as_corrected":
        async with asking(context, context.audit) as connection:
            corrected = await as_corrected(connection, id)
            _, petitions = await rows(connection, "petitions", id)
        checkpoint, found = (0, []) if corrected is None else (corrected["as_of_position"], corrected["timeline"])
    else:
        async with asking(context, context.public) as connection:
            checkpoint, found = await rows(connection, "timeline", id)
            _, petitions = await rows(connection, "petitions", id)
    if not petitions:
        raise Problem("not-found", "There is no petition of this id.")
    return checkpoint, newest_first(found, petitions[0]["basis"]), petitions[0]


def _csv_tag(context: Context, id: str, present: Held, asked: Mapping[str, Any]) -> str:
    bounds = [None if asked[name] is None else format_instant(asked[name]) for name in ("from", "to")]
    made_of = [context.ledger.origin, context.snapshots.generation, id, present.position, asked["interval"], *bounds]
    return f'"{sha256(orjson.dumps(made_of)).hexdigest()[:32]}"'


ROUTES: Final = (
    Route(
        "GET",
        f"/petitions/{PETITION}/timeline.json",
        timeline_json,
        "public",
        "readTimeline",
        "What happened to a petition, newest first",
        {200: Answer("The timeline.", model=TimelineView)},
        query=TIMELINE_QUERY,
        problems=("not-found",),
    ),
    Route(
        "GET",
        f"/petitions/{PETITION}/timeline.atom",
        timeline_atom,
        "public",
        "readTimelineFeed",
        "What happened to a petition, as an Atom feed",
        {200: Answer("The timeline as a feed (RFC 4287).", media=("application/atom+xml",))},
        query=TIMELINE_QUERY,
        problems=("not-found",),
    ),
    Route(
        "GET",
        f"/petitions/{PETITION}/history.json",
        history_json,
        "public",
        "readHistory",
        "A petition's count over time, in pages",
        {200: Answer("A page of the history.", model=HistoryView)},
        query=HISTORY_QUERY,
        problems=("not-found", "cursor-invalid"),
    ),
    Route(
        "GET",
        f"/petitions/{PETITION}/history.csv",
        history_csv,
        "public",
        "readHistoryTable",
        "A petition's count over time, whole, as a table",
        {200: Answer("The history (RFC 4180).", media=("text/csv",))},
        query=CSV_QUERY,
        problems=("not-found",),
    ),
)
