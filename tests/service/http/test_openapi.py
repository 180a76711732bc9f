"""The OpenAPI document is valid, whole, and says of every route what it answers."""

import json
import re
from typing import Any, cast

import pytest
from aiohttp import web
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # ships no types
from jsonschema.validators import validator_for  # type: ignore[import-untyped]  # ships no types
from openapi_spec_validator import validate

from schemas.problems import PROBLEMS
from service.http.app import build, collected
from service.http.context import Context
from service.http.openapi import ASSETS
from service.http.openapi_document import openapi_document
from service.http.routes import SERVED, Role, Route

DOCUMENT: dict[str, Any] = json.loads(json.dumps(openapi_document(collected(), "1.2.3")))
OPERATIONS = [
    pytest.param(path, method, operation, id=operation["operationId"])
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """What a reference refers to, or the node itself."""
    while "$ref" in node:
        found: Any = DOCUMENT
        for step in node["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        node = found
    return node


def application(role: Role) -> web.Application:
    return build(cast(Context, None), role)


def test_it_is_a_valid_document() -> None:
    """If the document is judged by the specification's own schema, then nothing is found."""
    validate(cast(Any, DOCUMENT))
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert DOCUMENT["info"]["version"] == "1.2.3"


def test_every_schema_in_it_is_a_valid_schema() -> None:
    """If a schema stands anywhere in the document, then it is one of JSON Schema's draft 2020-12."""
    for schema in DOCUMENT["components"]["schemas"].values():
        assert validator_for(schema, default=Draft202012Validator) is Draft202012Validator
        Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("role", ["all", "public", "admin"])
def test_it_describes_exactly_what_the_router_serves(role: Role) -> None:
    """If a service has a role, then its document has the router's paths and methods, no more and no fewer.

    HEAD and the preflight go without saying: the document says so once for all reads.
    """
    app = application(role)
    served = {
        (route.resource.canonical, route.method)
        for route in app.router.routes()
        if route.resource is not None and route.method not in ("HEAD", "OPTIONS")
    }
    document = openapi_document((route for route in collected() if route.need in SERVED[role]), "1")
    described = {(path, method.upper()) for path, methods in document["paths"].items() for method in methods}
    assert served == described


def test_every_read_answers_head_and_every_public_one_the_preflight() -> None:
    """If the document says it once for all reads, then the router has it for each of them."""
    served = {
        (route.resource.canonical, route.method)
        for route in application("all").router.routes()
        if route.resource is not None
    }
    read = {route.template for route in collected() if route.method == "GET"}
    for route in collected():
        assert ((route.template, "HEAD") in served) == (route.template in read)
        assert ((route.template, "OPTIONS") in served) == route.public


def test_operations_have_names_of_their_own() -> None:
    """If two operations are described, then they have different names, which programs are made from."""
    names = [operation["operationId"] for methods in DOCUMENT["paths"].values() for operation in methods.values()]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[a-z][A-Za-z]+", name) for name in names)


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_an_operation_says_what_it_needs(path: str, method: str, operation: dict[str, Any]) -> None:
    """If an operation has a place in its path, a credential or a body, then the document says of what form it is."""
    route = next(route for route in collected() if route.operation == operation["operationId"])
    placed = {each["name"]: each for each in operation["parameters"] if each["in"] == "path"}
    assert placed.keys() == set(re.findall(r"\{(\w+)\}", path))
    for each in placed.values():
        assert re.fullmatch(each["schema"]["pattern"], each["example"])
    queried = {each["name"] for each in operation["parameters"] if each["in"] == "query"}
    assert queried == route.query.keys()
    guarded = route.need not in ("public", "operation")
    assert operation.get("security", []) == ([{route.need: []}] if guarded else [])
    assert {"401", "403"} <= operation["responses"].keys() or not guarded
    assert ("requestBody" in operation) == (route.body is not None or route.optional)


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_an_operation_lists_every_problem_that_it_can_answer(path: str, method: str, operation: dict[str, Any]) -> None:
    """If a route names a problem, then its status, its type and their schema are described; and so are those of all."""
    route = next(route for route in collected() if route.operation == operation["operationId"])
    described: dict[str, set[int]] = {}
    for status, response in operation["responses"].items():
        content = resolved(response).get("content", {})
        if "application/problem+json" in content:
            schema = content["application/problem+json"]["schema"]
            assert schema["properties"]["status"] == {"const": int(status)}
            for type in schema["properties"]["type"]["enum"]:
                described.setdefault(type.removeprefix("/problems/"), set()).add(int(status))
        else:
            assert int(status) < 400 or int(status) in route.answers
    assert described.keys() >= {*route.problems, "malformed-request", "request-timeout", "rate-limited", "unavailable"}
    assert described["malformed-request"] == {400, 417}
    for problem, statuses in described.items():
        second = {"malformed-request": 417, "position-not-reached": 503}.get(problem)
        assert statuses <= {PROBLEMS[problem].status, second}  # type: ignore[index]  # a slug of the document
    assert (503 in described.get("position-not-reached", ())) == ("min_position" in route.query)
    assert ("304" in operation["responses"]) == (method == "get")


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_an_operation_says_of_what_shape_its_answers_are(path: str, method: str, operation: dict[str, Any]) -> None:
    """If an answer is JSON, then its schema is described, and every answer has the headers that it always carries."""
    for status, each in operation["responses"].items():
        response = resolved(each)
        assert response["description"]
        assert {"X-Request-Id", "Cache-Control"} <= response["headers"].keys()
        for media, content in response.get("content", {}).items():
            assert "json" not in media or content["schema"], (status, media)
        if status == "200" and method == "get":
            assert "ETag" in response["headers"]


def test_examples_follow_their_schemas() -> None:
    """If a schema gives an example, then the example is one of it."""
    found = 0

    def walk(node: Any) -> None:
        nonlocal found
        match node:
            case {"examples": list(examples), **rest}:
                for example in examples:
                    Draft202012Validator({**rest, "components": DOCUMENT["components"]}).validate(example)
                    found += 1
                walk(rest)
            case dict():
                for value in node.values():
                    walk(value)
            case list():
                for value in node:
                    walk(value)
            case _:
                pass

    walk(DOCUMENT)
    assert found > 50


def test_the_bodies_examples_are_taken() -> None:
    """If a body's schema gives an example, then the model that judges bodies takes it."""
    taken = 0
    for route in collected():
        for example in route.body.model_json_schema().get("examples", []) if route.body is not None else []:
            assert route.body is not None
            route.body.model_validate_json(json.dumps(example), strict=True)
            taken += 1
    assert taken > 3


def test_a_service_describes_no_route_of_another_role() -> None:
    """If a service is public, then its document has no word of admins; if it has a role, of no other's credentials."""
    public = openapi_document((route for route in collected() if route.need in SERVED["public"]), "1")
    assert public["components"]["securitySchemes"].keys() == {"site"}
    assert "/petitions" not in public["paths"]
    assert "/health/live" not in public["paths"]


def test_two_routes_of_one_path_are_both_described() -> None:
    """If a path is read and posted to, then both are in the document."""

    async def nothing(request: web.Request) -> web.StreamResponse:
        return web.Response()

    routes = [
        Route("GET", "/things", nothing, "public", "readThings", "Read", {}),
        Route("POST", "/things", nothing, "admin", "makeThing", "Make", {}),
    ]
    assert openapi_document(routes, "1")["paths"]["/things"].keys() == {"get", "post"}


def test_the_page_needs_nothing_but_its_own_files() -> None:
    """If the page's files are read, then each is of the kinds that browsers take, and there are no others."""
    assert set(ASSETS.values()) == {"text/css", "text/javascript"}
