"""Refusals: one form for all of them, on every path and from every layer."""

from typing import Any, get_args

import orjson
import pytest
from aiohttp import web

from schemas import problems
from service.http.problems import Invalid, Problem, frames, of_http_exception, unexpected
from tests.service.http.conftest import CANARY, Serve, Served, routes

NOT_FOUND = [
    "/nowhere",
    "/petitions/../../etc/passwd",
    "/petitions/..%2f..%2fetc%2fpasswd.json",
    "/petitions/%252e%252e.json",
    "/petitions/a%00.json",
    "/petitions/a%0d%0aX-Injected:%20b.json",
    "/petitions/%ff%fe.json",
    "/petitions/%D9%A1%D9%A2.json",
    "/petitions/A.json",
    "/petitions/-a.json",
    "/petitions/a%0A.json",
    "/petitions/.json",
    "/petitions/" + "a" * 101 + ".json",
    "/petitions/a.json/",
    "//petitions/a.json",
    "/petitions//a.json",
    "/petitions/a/signatures/0190B2A0-0000-7000-8000-000000000001",
    "/petitions/a/signatures/urn:uuid:0190b2a0-0000-7000-8000-000000000001",
    "/petitions/a/signatures/0190b2a0000070008000000000000001",
    "/petitions/a/signatures/%7B0190b2a0-0000-7000-8000-000000000001%7D",
    f"/{CANARY}",
]


@pytest.mark.parametrize("target", NOT_FOUND)
async def test_a_path_that_is_none_of_ours_is_not_found(served: Served, said: list[Any], target: str) -> None:
    """If a path holds a climb, an escape, another script's digits or another spelling of an id, then 404."""
    reply = await served.get(target)
    assert (reply.status, reply.problem) == (404, "not-found")
    assert "x-injected" not in reply.headers
    assert [line["route"] for line in said] == [None]


async def test_an_id_in_its_one_form_is_found(served: Served) -> None:
    """If the id is canonical, then it is served; so the refusals above are not for want of a route."""
    assert (await served.get("/petitions/a-1.json")).status == 200
    assert (await served.get("/petitions/a/signatures/0190b2a0-0000-7000-8000-000000000001")).status == 200


@pytest.mark.parametrize("slug", get_args(problems.Problem))
def test_every_problem_has_the_status_and_title_of_its_type(slug: problems.Problem) -> None:
    """If a problem of a type is raised, then its document says the type's status and title."""
    response = Problem(slug, "A sentence.").response()
    kind = problems.PROBLEMS[slug]
    assert response.status == kind.status
    assert response.content_type == "application/problem+json"
    assert isinstance(response.body, bytes)
    assert orjson.loads(response.body) == {
        "type": f"/problems/{slug}",
        "title": kind.title,
        "status": kind.status,
        "detail": "A sentence.",
    }
    assert ("Retry-After" in response.headers) == (kind.status in (429, 503))


def test_a_problem_carries_its_errors_its_headers_and_its_other_status() -> None:
    """If a problem says more, then the answer does: errors, headers, the second status of a type that has two."""
    problem = Problem(
        "position-not-reached",
        "Not yet.",
        status=503,
        headers={"Retry-After": "2"},
        errors=(Invalid("/signer", "is odd"),),
        close=True,
    )
    response = problem.response()
    assert response.status == 503
    assert response.headers["Retry-After"] == "2"
    assert response.headers["Connection"] == "close"
    assert problem.document()["errors"] == [{"pointer": "/signer", "message": "is odd"}]


@pytest.mark.parametrize(
    ("raised", "slug"),
    [
        (web.HTTPNotFound(text=CANARY), "not-found"),
        (web.HTTPRequestEntityTooLarge(5, 6, text=CANARY), "payload-too-large"),
        (web.HTTPBadRequest(text=CANARY), "malformed-request"),
        (web.HTTPInternalServerError(text=CANARY), "unavailable"),
        (web.HTTPMethodNotAllowed(CANARY, ["POST"]), "method-not-allowed"),
        (web.HTTPExpectationFailed(text=CANARY), "malformed-request"),
    ],
)
def test_what_the_framework_raises_becomes_a_problem_without_its_words(raised: web.HTTPException, slug: str) -> None:
    """If aiohttp refuses by itself, then our document answers and its text is gone."""
    response = of_http_exception(raised).response()
    assert isinstance(response.body, bytes)
    assert orjson.loads(response.body)["type"] == f"/problems/{slug}"
    assert CANARY not in repr((response.body, dict(response.headers)))


def test_where_an_exception_came_from_is_told_without_values() -> None:
    """If something fails, then its place is told: modules, functions, lines, at most six."""

    def deep(level: int) -> None:
        if level == 0:
            raise LookupError(CANARY)
        deep(level - 1)

    with pytest.raises(LookupError) as caught:
        deep(10)
    told = frames(caught.value)
    assert len(told) == 6
    assert told[-1].startswith(f"{__name__}.deep:")
    assert CANARY not in repr(told)


def test_a_write_that_failed_says_that_its_outcome_is_unknown() -> None:
    """If a write breaks off, then nobody may read that it was not recorded."""
    assert unexpected("POST").problem == "outcome-unknown"
    assert unexpected("GET").problem == "unavailable"


async def test_every_answer_is_protected(served: Served) -> None:
    """If anything is answered, then no browser may sniff, frame, run or leak it, and only public reads are kept."""
    public = await served.get("/petitions/a.json")
    private = await served.get("/signals")
    written = await served.post("/petitions/a/confirmation", b"")
    refused = await served.get("/nowhere")
    for reply in (public, private, written, refused):
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert reply.headers["referrer-policy"] == "no-referrer"
        assert reply.headers["server"] == "ledger"
        assert len(reply.headers["x-request-id"]) == 16
    assert public.headers["cache-control"] == "public, max-age=0, must-revalidate"
    assert written.headers["cache-control"] == "no-store"
    assert refused.headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in {**private.headers, **written.headers}


async def test_a_service_in_one_role_does_not_know_the_routes_of_another(serve: Serve) -> None:
    """If a service is public, then admin routes are not there; if it is for admins, then signing is not."""
    public, admin = await serve(role="public"), await serve(role="admin")
    assert (await public.get("/signals")).status == 404
    assert (await public.post("/petitions/a/signatures", b"{}")).status == 422
    assert (await admin.get("/signals")).status == 200
    assert (await admin.post("/petitions/a/signatures", b"{}")).status == 404
    assert (await public.get("/petitions/a.json")).status == (await admin.get("/petitions/a.json")).status == 200


async def test_two_routes_cannot_claim_one_operation(serve: Serve) -> None:
    """If two routes have one method and path, however their expressions differ, then nothing is built."""
    with pytest.raises(ValueError):
        await serve(of=lambda events: [*routes(events), routes(events)[0]])
