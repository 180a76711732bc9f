"""Answers to reads: their tags, preconditions (RFC 9110 section 13), forms (section 12.5.1) and caching.

A tag is strong and made of the bytes that it names. Lists from the client are bounded before they are parsed. This
module must never build a link from what the client says of the host.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Final

from aiohttp import web

from service.http.problems import Problem

PUBLIC: Final[Mapping[str, str]] = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "ETag, Ledger-Position, Retry-After, X-Request-Id",
}
"""What a public read carries, so that any page may read it; never with credentials."""

REVALIDATE: Final = "public, max-age=0, must-revalidate"
"""A cache may keep it and must ask each time: a 304 is cheap, an old count is not."""
IMMUTABLE: Final = "public, max-age=31536000, immutable"
"""It will never be different."""

_MOST_BYTES: Final = 8190
_MOST_ITEMS: Final = 256
_TAG: Final = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_DECLARED: Final = re.compile(r"d(0|[1-9][0-9]{0,15})", re.ASCII)
_QUALITY: Final = re.compile(r"[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)", re.ASCII)


def etag(body: bytes) -> str:
    """The strong tag of these bytes, with its quotes."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def declarations_etag(declarations: int) -> str:
    """The tag of a petition's declarations when there are so many: `"d<n>"`."""
    return f'"d{declarations}"'


def respond(
    request: web.Request,
    body: bytes,
    media: str = "application/json",
    *,
    tag: str | None = None,
    cache: str = REVALIDATE,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """The answer to a read: 200 with the body, or 304 where the client has it; 412 where its If-Match does not hold.

    `tag` is the strong tag where the caller keeps it ready; `media` may carry parameters. HEAD needs nothing of its
    own: aiohttp leaves out the body and keeps its length. Raises Problem.
    """
    tag = tag or etag(body)
    sent = {"ETag": tag, "Cache-Control": cache, **(headers or {})}
    given = request.headers
    if "If-Match" in given and not _matches(request, "If-Match", tag, weak=False):
        raise Problem("precondition-failed", "No tag in If-Match is the present one.", headers={"ETag": tag})
    if "If-None-Match" in given and _matches(request, "If-None-Match", tag, weak=True):
        return web.Response(status=304, headers=sent)
    return web.Response(body=body, headers={"Content-Type": media, **sent})


def expected_declarations(request: web.Request) -> int:
    """The number of declarations that the caller has seen, from `If-Match: "d<n>"`.

    Raises Problem: `precondition-required` where the header is missing or `*`, `malformed-request` where it is no tag,
    `precondition-failed` where it names several tags or one that no petition ever had.
    """
    if "If-Match" not in request.headers:
        raise Problem("precondition-required", "If-Match names the ETag of the petition's declarations.")
    tags = _tags(request, "If-Match")
    if tags is None:
        raise Problem("precondition-required", "If-Match names one ETag of the petition's declarations.")
    form = _DECLARED.fullmatch(tags[0][1]) if len(tags) == 1 and not tags[0][0] else None
    if form is None:
        raise Problem("precondition-failed", "If-Match does not name the ETag of the petition's declarations.")
    return int(form[1])


def negotiate(request: web.Request, *offers: str) -> str:
    """The offered media type that the client likes best; among equals the first. Raises Problem `not-acceptable`."""
    given = request.headers.getall("Accept", ())
    if not given or given == ["*/*"]:
        return offers[0]
    ranges = _ranges(",".join(given))
    best, offer = max(((_quality(ranges, offer), -place), offer) for place, offer in enumerate(offers))
    if best[0] == 0:
        raise Problem("not-acceptable", f"The forms of this answer are: {', '.join(offers)}.")
    return offer


def preflight() -> web.Response:
    """The answer to a browser that asks before it reads (Fetch standard, CORS-preflight): reads, no credentials."""
    return web.Response(
        status=204,
        headers={
            **PUBLIC,
            "Access-Control-Allow-Methods": "GET, HEAD",
            "Access-Control-Allow-Headers": "Accept, If-None-Match, Last-Event-ID, X-Request-Id",
            "Access-Control-Max-Age": "86400",
            "Allow": "GET, HEAD, OPTIONS",
            "Cache-Control": "public, max-age=86400",
        },
    )


def _matches(request: web.Request, header: str, tag: str, *, weak: bool) -> bool:
    tags = _tags(request, header)
    if tags is None:
        return True
    return any(f'"{opaque}"' == tag and (weak or not is_weak) for is_weak, opaque in tags)


def _tags(request: web.Request, header: str) -> Sequence[tuple[bool, str]] | None:
    """The tags that a header lists, each with whether it is weak; None for `*`. Raises Problem `malformed-request`."""
    given = ",".join(request.headers.getall(header)).strip(" \t")
    if given == "*":
        return None
    tags: list[tuple[bool, str]] = []
    at = 0
    while at < len(given) <= _MOST_BYTES and len(tags) < _MOST_ITEMS:
        if given[at] in ", \t":
            at += 1
            continue
        found = _TAG.match(given, at)
        if found is None or (found.end() < len(given) and given[found.end()] not in ", \t"):
            break
        tags.append((found[1] is not None, found[2]))
        at = found.end()
    if at < len(given) or not tags:
        raise Problem("malformed-request", f"{header} is no list of at most {_MOST_ITEMS} entity tags.")
    return tags


def _ranges(given: str) -> list[tuple[str, float]]:
    """The media ranges of an Accept header with their qualities; what is not of its form is passed over."""
    if len(given) > _MOST_BYTES:
        raise Problem("malformed-request", "Accept is too long.")
    ranges: list[tuple[str, float]] = []
    for item in given.split(",")[:_MOST_ITEMS]:
        media, *parameters = (part.strip(" \t") for part in item.split(";"))
        quality = 1.0
        for parameter in parameters:
            if form := _QUALITY.fullmatch(parameter):
                quality = float(form[1])
        ranges.append((media.lower(), quality))
    return ranges


def _quality(ranges: Sequence[tuple[str, float]], offer: str) -> float:
    """The quality of an offer: that of the most specific range that covers it (RFC 9110 section 12.5.1)."""
    media = offer.split(";")[0]
    for covering in (media, f"{media.split('/')[0]}/*", "*/*"):
        qualities = [quality for name, quality in ranges if name == covering]
        if qualities:
            return max(qualities)
    return 0.0
