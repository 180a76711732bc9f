"""Conditional requests, forms of answers, HEAD, and what a browser of another origin may do."""

import asyncio
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.http.conditional import etag
from tests.service.http.conftest import CANARY, Served, request

READ = "/petitions/save-it.json"
TABLE = "/petitions/save-it/table"
STATUS = "/petitions/save-it/status"
UNKNOWN_TAGS = ", ".join(f'"{n:x}"' for n in range(256))


async def present(served: Served) -> str:
    return (await served.get(READ)).headers["etag"]


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_a_tag_is_strong_and_of_its_bytes_alone(one: bytes, other: bytes) -> None:
    """If two bodies differ, then so do their tags; the same body has the same tag everywhere."""
    assert (etag(one) == etag(other)) == (one == other)
    assert etag(one) == f'"{hashlib.sha256(one).hexdigest()[:32]}"'


@pytest.mark.parametrize("form", ["{}", "W/{}", '"x", {}', 'W/"y",{} , "z"', " {} ", ', {} ,, "a,b"', "*"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_client_that_has_it_gets_nothing_but_the_headers(served: Served, form: str, method: str) -> None:
    """If If-None-Match names the present tag, weakly or in a list, or any, then 304 with the headers of the 200."""
    full = await served.get(READ)
    reply = await served.get(READ, f"If-None-Match: {form.format(full.headers['etag'])}", method=method)
    assert reply.status == 304
    assert reply.body == b""
    for name in ("etag", "cache-control", "ledger-position", "access-control-allow-origin"):
        assert reply.headers[name] == full.headers[name]


@pytest.mark.parametrize("tags", ['"x"', 'W/"x"', '"x", "y"', UNKNOWN_TAGS[:-5]])
async def test_a_client_that_has_another_gets_it_whole(served: Served, tags: str) -> None:
    """If no tag of the list is the present one, then 200."""
    assert (await served.get(READ, f"If-None-Match: {tags}")).status == 200


@pytest.mark.parametrize(
    "tags", [CANARY, '"x', 'x"', '"x""y"', 'w/"x"', '"a b"', "", '*, "x"', UNKNOWN_TAGS + ', "y"', '"\u00e9\u4e00" x']
)
@pytest.mark.parametrize("header", ["If-None-Match", "If-Match"])
async def test_a_list_that_is_none_or_too_long_is_malformed(served: Served, header: str, tags: str) -> None:
    """If the header is no list of at most 256 tags, then 400."""
    reply = await served.get(READ, f"{header}: {tags}")
    assert (reply.status, reply.problem) == (400, "malformed-request")


async def test_ten_thousand_tags_are_refused_by_their_length(served: Served) -> None:
    """If a list is longer than a header may be, then 400 before anything is parsed."""
    reply = await served.get(READ, "If-None-Match: " + ",".join(['"x"'] * 10_000))
    assert (reply.status, reply.problem) == (400, "malformed-request")


async def test_lists_in_several_headers_are_one_list(served: Served) -> None:
    """If the list is spread over headers, then it is still one; and as long as one may be."""
    tag = await present(served)
    assert (await served.get(READ, 'If-None-Match: "x"', f"If-None-Match: {tag}")).status == 304
    many = [f"If-None-Match: {', '.join([f'{n:x}'.join(chr(34) * 2) for n in range(100)])}" for _ in range(3)]
    assert (await served.get(READ, *many)).status == 400


async def test_a_read_that_must_match_fails_where_it_does_not(served: Served) -> None:
    """If a read carries If-Match, then it is compared strongly (RFC 9110 section 13.1.1): 412 for others."""
    tag = await present(served)
    assert (await served.get(READ, f"If-Match: {tag}")).status == 200
    assert (await served.get(READ, "If-Match: *")).status == 200
    for other in ('"x"', f"W/{tag}"):
        reply = await served.get(READ, f"If-Match: {other}")
        assert (reply.status, reply.problem) == (412, "precondition-failed")


@pytest.mark.parametrize("ranges", ["bytes=0-1", "bytes=5-1", f"{CANARY}=1"])
async def test_a_range_is_ignored(served: Served, ranges: str) -> None:
    """If a part is asked for, then the whole is served, as RFC 9110 section 14.2 allows."""
    whole = await served.get(READ)
    reply = await served.get(READ, f"Range: {ranges}")
    assert (reply.status, reply.body) == (200, whole.body)


async def test_head_is_get_without_the_body(served: Served) -> None:
    """If HEAD is asked, then every header of GET is there, its length too, and no body; refusals too."""
    for target, status in ((READ, 200), (TABLE, 200), ("/signals", 200), ("/nowhere", 404), (READ + "?x=1", 422)):
        line = await served.open()
        await line.send(request("GET", target) + request("HEAD", target) + request("GET", target))
        full, head, again = await line.reply(), await line.reply(bodiless=True), await line.reply()
        varying = ("x-request-id", "date")
        assert head.status == full.status == again.status == status
        assert {k: v for k, v in head.headers.items() if k not in varying} == {
            k: v for k, v in full.headers.items() if k not in varying
        }


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("text/csv", "text/csv"),
        ("TEXT/CSV; charset=utf-8", "text/csv"),
        ("text/*", "text/csv"),
        ("text/csv;q=0.5, application/json;q=0.4", "text/csv"),
        ("text/csv, application/json", "application/json"),
        ("application/json;q=0, */*", "text/csv"),
        ("*/*;q=0.1, application/*;q=0", "text/csv"),
        ("text/html, application/xhtml+xml, */*;q=0.8", "application/json"),
    ],
)
async def test_the_form_that_the_client_likes_best_is_served(served: Served, accept: str | None, media: str) -> None:
    """If several forms exist, then qualities and the most specific range decide, and caches are told."""
    reply = await served.get(TABLE, *([] if accept is None else [f"Accept: {accept}"]))
    assert (reply.status, reply.headers["content-type"]) == (200, media)
    assert reply.headers["vary"] == "Accept"


@pytest.mark.parametrize(
    "accept",
    ["text/csv;q=0, */*;q=0", "image/png", "text/csv;q=0", "application/json;q=0.000", CANARY, "", "a/b," * 900],
)
async def test_no_form_that_the_client_takes_is_not_acceptable(served: Served, accept: str) -> None:
    """If a client takes none of the forms, then 406."""
    reply = await served.get(READ, f"Accept: {accept}")
    assert (reply.status, reply.problem) == (406, "not-acceptable")


@pytest.mark.parametrize(
    ("given", "status", "problem"),
    [
        (None, 428, "precondition-required"),
        ("*", 428, "precondition-required"),
        ("d3", 400, "malformed-request"),
        ("", 400, "malformed-request"),
        ('"d2"', 412, "precondition-failed"),
        ('"d4"', 412, "precondition-failed"),
        ('W/"d3"', 412, "precondition-failed"),
        ('"d3", "d4"', 412, "precondition-failed"),
        ('"3"', 412, "precondition-failed"),
        ('"d03"', 412, "precondition-failed"),
        ('"d+3"', 412, "precondition-failed"),
        ('"d' + "9" * 5000 + '"', 412, "precondition-failed"),
        (f'"{CANARY}"', 412, "precondition-failed"),
    ],
)
async def test_a_declaration_needs_the_tag_that_was_seen(
    served: Served, given: str | None, status: int, problem: str
) -> None:
    """If an admin does not say what she has seen, then 428; if it is not what is, 412."""
    reply = await served.post(STATUS, b"", *([] if given is None else [f"If-Match: {given}"]))
    assert (reply.status, reply.problem) == (status, problem)
    assert served.events.declarations == 3


async def test_of_many_declarations_on_one_tag_one_is_taken(served: Served) -> None:
    """If sixteen admins have seen the same state, then one declares, fifteen are told, and the tag moves on."""
    replies = await asyncio.gather(*(served.post(STATUS, b"", 'If-Match: "d3"') for _ in range(16)))
    assert sorted(reply.status for reply in replies) == [200] + [412] * 15
    assert [reply.headers["etag"] for reply in replies if reply.status == 200] == ['"d4"']


async def test_a_public_read_may_be_read_by_any_page(served: Served) -> None:
    """If a page of any origin reads, then it may see the answer, the refusal and the position; nothing is reflected."""
    for target in (READ, READ + "?x=1", "/nowhere"):
        reply = await served.get(target, "Origin: https://evil.example", "Cookie: a=b")
        assert reply.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in reply.headers
        assert "Ledger-Position" in reply.headers["access-control-expose-headers"]


async def test_a_preflight_allows_reading_and_nothing_else(served: Served) -> None:
    """If a browser asks first, then reads are allowed; for what is not public there is no such answer."""
    reply = await served.get(READ, "Origin: null", "Access-Control-Request-Method: GET", method="OPTIONS")
    assert reply.status == 204
    assert reply.headers["access-control-allow-origin"] == "*"
    assert reply.headers["access-control-allow-methods"] == "GET, HEAD"
    assert reply.body == b""
    for target in ("/signals", STATUS, "/petitions/save-it/signatures"):
        refused = await served.get(target, "Origin: null", "Access-Control-Request-Method: POST", method="OPTIONS")
        assert refused.status == 405
        assert "access-control-allow-origin" not in refused.headers
