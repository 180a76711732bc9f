"""`/openapi.json`, which describes every route that is served, and `/docs`, which shows it without the internet.

The page and its scripts are served by us, under a policy that lets nothing else load. This module must never let a
document claim a route of another role's service.
"""

from functools import cache, lru_cache
from importlib.metadata import version
from typing import Final

import orjson
from aiohttp import web
from swagger_ui_bundle import swagger_ui_path  # type: ignore[import-untyped]  # ships no types

from service.http.conditional import respond
from service.http.openapi_document import openapi_document
from service.http.problems import Problem
from service.http.routes import SERVED_ROUTES, Answer, Route

HTML: Final = "text/html"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
ASSETS: Final = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "start.js": "text/javascript",
}
_START: Final = b"""\
window.addEventListener("load", () => {
  SwaggerUIBundle({
    url: "/openapi.json", dom_id: "#document", deepLinking: true, validatorUrl: null, supportedSubmitMethods: ["get"],
  });
});
"""
_PAGE: Final = b"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>The signature ledger: HTTP interface</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<noscript><p><a href="/openapi.json">The OpenAPI document</a> reads as well without this page.</p></noscript>
<main id="document"></main>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""


async def document(request: web.Request) -> web.StreamResponse:
    """The document, made once an application."""
    return respond(request, _document(request.app))


async def page(request: web.Request) -> web.StreamResponse:
    """The page."""
    answer = respond(request, _PAGE, media=HTML)
    answer.headers["Content-Security-Policy"] = POLICY
    return answer


async def asset(request: web.Request) -> web.StreamResponse:
    """A file that the page loads. The name is one of three, never a path."""
    name = request.match_info["asset"]
    if name not in ASSETS:
        raise Problem("not-found", "There is no such file.")
    return respond(request, _asset(name), media=ASSETS[name])


@lru_cache(maxsize=4)
def _document(app: web.Application) -> bytes:
    routes = app[SERVED_ROUTES]
    return orjson.dumps(openapi_document(routes, version("signature-ledger")))


@cache
def _asset(name: str) -> bytes:
    if name == "start.js":
        return _START
    content: bytes = (swagger_ui_path / name).read_bytes()
    return content


ROUTES: Final = (
    Route(
        method="GET",
        path="/openapi.json",
        handler=document,
        need="public",
        operation="getOpenapi",
        summary="This document",
        answers={200: Answer("An OpenAPI 3.1 document.", schema={"type": "object"})},
    ),
    Route(
        method="GET",
        path="/docs",
        handler=page,
        need="public",
        operation="getDocs",
        summary="This document as a page",
        answers={200: Answer("A page.", media=(HTML,))},
    ),
    Route(
        method="GET",
        path=r"/docs/{asset:[a-z-]{1,32}\.[a-z]{2,3}}",
        handler=asset,
        need="public",
        operation="getDocsAsset",
        summary="A file that the page loads",
        answers={200: Answer("A script or a style sheet.", media=("text/javascript", "text/css"))},
    ),
)
