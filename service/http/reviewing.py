"""Reviewing over HTTP: admins see what in a petition is unlike itself, and by which condition it would be corrected.

Nothing of it is public. This module must never do anything about a signal.
"""

from typing import Final

import orjson
from aiohttp import web

from schemas.answers import SignalsView
from service.http.conditional import respond
from service.http.corrections import PRIVATE, as_admin, require_petition
from service.http.credentials import require
from service.http.reading import context_of
from service.http.routes import PETITION, Answer, Route
from service.region_names import names
from service.reviewing import disposable_domains, look, told


async def signals(request: web.Request) -> web.StreamResponse:
    """What to look at first."""
    context, petition = context_of(request), request.match_info["id"]
    await require(request, "admin", petition=petition)
    await require_petition(context, petition)
    settings = context.settings
    async with as_admin(context) as connection:
        found = await look(
            connection, petition, names(settings.regions_file), disposable_domains(settings.disposable_domains_file)
        )
    return respond(request, orjson.dumps(told(petition, found)), cache=PRIVATE)


ROUTES: Final = (
    Route(
        "GET",
        f"/petitions/{PETITION}/signals",
        signals,
        "admin",
        "readSignals",
        "What in the petition is unlike itself: trending networks and domains, bursts, and more",
        {200: Answer("The signals, the greatest excess first.", model=SignalsView)},
        problems=("not-found",),
    ),
)
