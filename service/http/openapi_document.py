"""The OpenAPI 3.1 document, built from the very routes that are served and the very models that judge bodies.

Nothing here is written twice: paths, parameters, bodies, answers and problems come from `service.http.routes.Route`,
and schemas from pydantic. Pure. This module must never describe what is not served.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from schemas.problems import PROBLEMS, Problem
from service.http.routes import JSON, NDJSON, Need, Route

OPENAPI: Final = "3.1.1"
PROBLEM_MEDIA: Final = "application/problem+json"
_REF: Final = "#/components/schemas/{model}"

ANY_ROUTE: Final[tuple[Problem, ...]] = ("malformed-request", "request-timeout", "rate-limited", "unavailable")
"""Problems that every route can answer."""
_WITH_QUERY: Final[tuple[Problem, ...]] = ("validation-failed",)
_READ: Final[tuple[Problem, ...]] = ("not-acceptable",)
_CREDENTIAL: Final[tuple[Problem, ...]] = ("unauthenticated", "forbidden")
_BODY: Final[tuple[Problem, ...]] = ("unsupported-media-type", "payload-too-large", "validation-failed")

_TAGS: Final[Mapping[Need, str]] = {
    "public": "Public reads",
    "site": "Campaign sites",
    "admin": "Admins",
    "auditor": "Auditors",
    "privacy": "Privacy",
    "operation": "Operation",
}
_PLACES: Final[Mapping[str, str]] = {
    "id": "The petition's id.",
    "sid": "The signature's id: a UUID in lower case.",
    "cid": "The correction's id: a UUID in lower case.",
}


def openapi_document(routes: Iterable[Route], version: str) -> dict[str, Any]:
    """The document of these routes; `version` is the release's."""
    served = tuple(routes)
    definitions, references = _schemas(served)
    paths: dict[str, dict[str, Any]] = {}
    for route in served:
        paths.setdefault(route.template, {})[route.method.lower()] = _operation(route, references)
    return {
        "openapi": OPENAPI,
        "info": {
            "title": "The signature ledger",
            "version": version,
            "summary": "Why a petition's number is what it is, event by event.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(_TAGS[route.need] for route in served)],
        "paths": paths,
        "components": {
            "schemas": {**definitions, "Problem": _PROBLEM},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "A token made by `ledger token create`."}
            },
        },
    }


_PROBLEM: Final[dict[str, Any]] = {
    "title": "Problem",
    "description": "RFC 9457. Nothing in it repeats the request.",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "enum": [f"/problems/{slug}" for slug in PROBLEMS]},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "message"],
                "properties": {"pointer": {"type": "string"}, "message": {"type": "string"}},
                "additionalProperties": False,
            },
        },
    },
}

Mode = Literal["validation", "serialization"]
_References = Mapping[tuple[Any, Mode], Mapping[str, Any]]


def _schemas(routes: tuple[Route, ...]) -> tuple[dict[str, Any], _References]:
    """The definitions of every model that the routes name, and where each is referred to."""
    named: dict[tuple[type[BaseModel], Mode], None] = {}
    for route in routes:
        if route.body is not None:
            named[route.body, "validation"] = None
        for answer in route.answers.values():
            if answer.model is not None:
                named[answer.model, "serialization"] = None
    references, document = models_json_schema(list(named), by_alias=True, ref_template=_REF)
    return dict(document.get("$defs", {})), references


def _operation(route: Route, references: _References) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.operation,
        "summary": route.summary,
        "tags": [_TAGS[route.need]],
        "parameters": _parameters(route),
        "responses": {
            **{str(status): _answer(route, status, references) for status in route.answers},
            **_problems(route),
        },
    }
    if route.need not in ("public", "operation"):
        operation["security"] = [{"token": []}]
    if route.body is not None:
        schema: Mapping[str, Any] = references[route.body, "validation"]
        if route.body_media == NDJSON:
            # A line is a document of its own; JSON Schema has no word for a sequence of them.
            schema = {"type": "string", "description": f"One JSON document a line, each as {schema['$ref']}."}
        operation["requestBody"] = {"required": not route.optional, "content": {route.body_media: {"schema": schema}}}
    return operation


def _parameters(route: Route) -> list[dict[str, Any]]:
    places = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PLACES.get(name, f"{name}, of the form that the pattern gives."),
            "schema": {"type": "string", "pattern": f"^{pattern}$"},
        }
        for name, pattern in route.places.items()
    ]
    queries = [
        {
            "name": name,
            "in": "query",
            "required": parameter.required,
            "description": parameter.said[:1].upper() + parameter.said[1:] + ".",
            "schema": dict(parameter.schema)
            | ({} if parameter.default is None else {"default": _default(parameter.default)}),
        }
        for name, parameter in route.query.items()
    ]
    headers = [
        {"name": name, "in": "header", "required": required, "description": description, "schema": dict(schema)}
        for name, (required, schema, description) in route.headers.items()
    ]
    return [*places, *queries, *headers]


def _answer(route: Route, status: int, references: _References) -> dict[str, Any]:
    answer = route.answers[status]
    schema: Mapping[str, Any] = {}
    if answer.model is not None:
        schema = references[answer.model, "serialization"]
    elif answer.schema is not None:
        schema = answer.schema
    content = {media: {"schema": dict(schema)} if media == JSON and schema else {} for media in answer.media}
    return {"description": answer.description, **({"content": content} if content else {})}


def _problems(route: Route) -> dict[str, Any]:
    """The problems that a route can answer, gathered by status."""
    possible: list[Problem] = [*ANY_ROUTE, *route.problems]
    possible += _READ if route.method == "GET" else ()
    possible += _WITH_QUERY
    possible += _CREDENTIAL if route.need not in ("public", "operation") else ()
    possible += _BODY if route.method == "POST" else ()
    possible += ("not-found",) if route.places else ()
    by_status: dict[int, list[str]] = {}
    for problem in dict.fromkeys(possible):
        by_status.setdefault(PROBLEMS[problem].status, []).append(problem)
    return {
        str(status): {
            "description": "; ".join(f"`{slug}`" for slug in slugs),
            "content": {PROBLEM_MEDIA: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status, slugs in sorted(by_status.items())
    }


def _default(value: Any) -> Any:
    return value if isinstance(value, str | int | bool) else str(value)
