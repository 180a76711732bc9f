"""The OpenAPI 3.1 document, built from the very routes that are served and the very models that judge bodies.

Nothing here is written twice: paths, parameters, bodies, answers and problems come from `service.http.routes.Route`,
and schemas from pydantic. Pure. This module must never describe what is not served.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from schemas.problems import PROBLEMS, Problem
from service.http.openapi_schemas import References, schemas_of
from service.http.routes import JSON, NDJSON, Need, Route

OPENAPI: Final = "3.1.1"
PROBLEM_MEDIA: Final = "application/problem+json"

_SAID: Final = """\
Why a petition's number is what it is, event by event.

Every read that is described here as GET answers HEAD too, and a public one the preflight (OPTIONS) of a browser; any
other method is 405 with `Allow`. Query parameters and members of bodies that are not described are refused.
Every answer carries `X-Request-Id`: the request's own, where that is 1 to 64 of `A-Z a-z 0-9 . _ -`.\
"""

# (problem, status): the public surface gives two types a second status.
_Possible = tuple[Problem, int]


def _at_their_own(*problems: Problem) -> tuple[_Possible, ...]:
    return tuple((problem, PROBLEMS[problem].status) for problem in problems)


_ANY_ROUTE: Final = (
    *_at_their_own("malformed-request", "request-timeout", "validation-failed", "rate-limited", "unavailable"),
    ("malformed-request", 417),  # an expectation other than 100-continue
)
_READ: Final = _at_their_own("not-acceptable", "precondition-failed")
_WAITS: Final[tuple[_Possible, ...]] = (("position-not-reached", 503),)
_CREDENTIAL: Final = _at_their_own("unauthenticated", "forbidden")
_WRITE: Final = _at_their_own("unsupported-media-type", "payload-too-large", "outcome-unknown")

_TAGS: Final[Mapping[Need, str]] = {
    "public": "Public reads",
    "site": "Campaign sites",
    "admin": "Admins",
    "auditor": "Auditors",
    "privacy": "Privacy",
    "operation": "Operation",
}
_PLACES: Final[Mapping[str, tuple[str, str]]] = {
    "id": ("The petition's id.", "save-the-harbour"),
    "sid": ("The signature's id: a UUID in lower case.", "0198c5e0-7a54-7c1e-8a6f-3b1d2c4e5f60"),
    "cid": ("The correction's id: a UUID in lower case.", "0198c5e1-0f3b-7d92-b1c4-6a7e8f901234"),
    "asset": ("The file's name.", "start.js"),
    "level": ("The level: 0 holds the hashes of leaves, each above it hashes of full tiles below.", "0"),
    "index": (
        "The index in groups of three digits, all but the last behind an x; slashes are sent as they are.",
        "x001/234",
    ),
    "width": ("How many, of 256.", "57"),
    "projection": ("The projection's name.", "tally"),
}
_HEADERS: Final[Mapping[str, tuple[Mapping[str, Any], str]]] = {
    "X-Request-Id": ({"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"}, "What the request is called in our log."),
    "ETag": ({"type": "string", "pattern": '^"[!#-~]*"$'}, "The strong tag of these bytes."),
    "Cache-Control": ({"type": "string"}, "How long this may be kept."),
    "Ledger-Position": (
        {"type": "integer", "minimum": 0},
        "The projections' checkpoint, which `min_position` tests.",
    ),
    "Location": ({"type": "string", "format": "uri-reference"}, "Where what was made is read."),
    "Retry-After": ({"type": "integer", "minimum": 1}, "Seconds after which to ask again."),
    "WWW-Authenticate": ({"type": "string", "pattern": "^Bearer "}, "What credential is needed (RFC 6750)."),
}
_TAG: Final = '"5d41402abc4b2a76b9719d911017c592"'
_TAG_LIST: Final = r'^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$'
_PROBLEM: Final[Mapping[str, Any]] = {
    "description": "RFC 9457. Nothing in it repeats the request.",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "enum": [f"/problems/{slug}" for slug in PROBLEMS]},
        "title": {"type": "string", "enum": list(dict.fromkeys(each.title for each in PROBLEMS.values()))},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "A sentence for the caller."},
        "errors": {
            "type": "array",
            "description": "What is wrong with the body, where it is that.",
            "items": {
                "type": "object",
                "required": ["pointer", "message"],
                "properties": {
                    "pointer": {
                        "type": "string",
                        "format": "json-pointer",
                        "description": "RFC 6901; an unknown member points to its parent.",
                    },
                    "message": {"type": "string"},
                },
                "additionalProperties": False,
            },
        },
    },
    "additionalProperties": False,
}


def openapi_document(routes: Iterable[Route], version: str) -> dict[str, Any]:
    """The document of these routes; `version` is the release's."""
    served = tuple(routes)
    definitions, references = schemas_of(
        taken=[route.body for route in served if route.body is not None],
        given=[answer.model for route in served for answer in route.answers.values() if answer.model is not None],
    )
    refusals: dict[str, Any] = {}
    paths: dict[str, dict[str, Any]] = {}
    for route in served:
        paths.setdefault(route.template, {})[route.method.lower()] = _operation(route, references, refusals)
    return {
        "openapi": OPENAPI,
        "info": {
            "title": "The signature ledger",
            "version": version,
            "summary": "An append-only, publicly verifiable ledger of signatures on petitions.",
            "description": _SAID,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(_TAGS[route.need] for route in served)],
        "paths": paths,
        "components": {
            "schemas": {**definitions, "Problem": _PROBLEM},
            "responses": refusals,
            "headers": {
                name: {"description": said, "required": True, "schema": schema}
                for name, (schema, said) in _HEADERS.items()
            },
            "securitySchemes": {
                need: {
                    "type": "http",
                    "scheme": "bearer",
                    "description": f"A token made by `ledger token create --role {need}`.",
                }
                for need in dict.fromkeys(route.need for route in served if _is_guarded(route))
            },
        },
    }


def _operation(route: Route, references: References, refusals: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.operation,
        "summary": route.summary,
        "tags": [_TAGS[route.need]],
        "parameters": _parameters(route),
        "responses": _responses(route, references, refusals),
    }
    if _is_guarded(route):
        operation["security"] = [{route.need: []}]
    if route.body is not None:
        schema: Mapping[str, Any] = references[route.body, "validation"]
        if route.body_media == NDJSON:
            # A line is a document of its own; JSON Schema has no word for a sequence of them.
            said = f"One JSON document a line, each as `{schema['$ref']}`. A line that is refused refuses no other."
            schema = {"type": "string", "minLength": 1, "description": said}
        operation["requestBody"] = {"required": not route.optional, "content": {route.body_media: {"schema": schema}}}
    elif route.optional:
        nothing = {"type": "object", "maxProperties": 0}
        operation["requestBody"] = {"required": False, "content": {JSON: {"schema": nothing}}}
    return operation


def _is_guarded(route: Route) -> bool:
    return route.need not in ("public", "operation")


def _parameters(route: Route) -> list[dict[str, Any]]:
    places = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PLACES[name][0],
            "schema": {"type": "string", "pattern": f"^{pattern}$"},
            "example": _PLACES[name][1],
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
    if route.method == "GET":
        said = "The tags of what the caller has: where one is the present one, the answer is 304 without a body."
        condition = {"type": "string", "pattern": _TAG_LIST, "examples": [_TAG]}
        headers.append(
            {"name": "If-None-Match", "in": "header", "required": False, "description": said, "schema": condition}
        )
    return [*places, *queries, *headers]


def _responses(route: Route, references: References, refusals: dict[str, Any]) -> dict[str, Any]:
    """Every answer of a route by its status. What is nothing but a refusal is put into `refusals`, for all routes."""
    problems: dict[int, list[Problem]] = {}
    for problem, status in dict.fromkeys(_problems(route)):
        problems.setdefault(status, []).append(problem)
    responses: dict[str, Any] = {}
    for status in sorted({*route.answers, *problems, *([304] if route.method == "GET" else [])}):
        refused = problems.get(status, [])
        if status in route.answers or not refused:
            responses[str(status)] = _response(route, status, references, refused)
            continue
        name = f"{status}-{'.'.join(refused)}"
        refusals.setdefault(name, _response(route, status, references, refused))
        responses[str(status)] = {"$ref": f"#/components/responses/{name}"}
    return responses


def _response(route: Route, status: int, references: References, refused: list[Problem]) -> dict[str, Any]:
    said: list[str] = []
    content: dict[str, Any] = {}
    if status in route.answers:
        said.append(route.answers[status].description)
        content |= _content(route, status, references)
    if refused:
        said.append("; ".join(f"`{problem}`" for problem in refused))
        content[PROBLEM_MEDIA] = {"schema": _problem(status, refused)}
    return {
        "description": " Or: ".join(said) or "The caller has it.",
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in _headers(route, status)},
        **({"content": content} if content else {}),
    }


def _content(route: Route, status: int, references: References) -> dict[str, Any]:
    answer = route.answers[status]
    schema: Mapping[str, Any] = {} if answer.schema is None else answer.schema
    if answer.model is not None:
        schema = references[answer.model, "serialization"]
    lines = {"type": "string"}
    if answer.model is not None and NDJSON in answer.media:
        lines["description"] = f"One JSON document a line, each as `{schema['$ref']}`."
    return {
        media: {"schema": lines if media == NDJSON else schema}
        if media == NDJSON or (schema and "json" in media)
        else {}
        for media in answer.media
    }


def _problem(status: int, problems: list[Problem]) -> dict[str, Any]:
    """The schema of the problems of one status; with their types, so that an answer of another type is none of them."""
    return {
        "allOf": [{"$ref": "#/components/schemas/Problem"}],
        "properties": {
            "type": {"enum": [f"/problems/{problem}" for problem in problems]},
            "status": {"const": status},
        },
        "examples": [
            {
                "type": f"/problems/{problems[0]}",
                "title": PROBLEMS[problems[0]].title,
                "status": status,
                "detail": "A sentence for the caller.",
            }
        ],
    }


def _headers(route: Route, status: int) -> list[str]:
    """The headers that every answer of this status carries."""
    names = ["X-Request-Id", "Cache-Control", *(route.answers[status].headers if status in route.answers else ())]
    if status in (200, 304) and route.method == "GET":
        names += ["ETag", *(["Ledger-Position"] if "min_position" in route.query else [])]
    if status == 401:
        names += ["WWW-Authenticate"]
    if status in (429, 503):
        names += ["Retry-After"]
    return names


def _problems(route: Route) -> list[_Possible]:
    """Every problem that a route can answer, with its status."""
    possible = [*_ANY_ROUTE, *_at_their_own(*route.problems)]
    possible += _READ if route.method == "GET" else _WRITE
    possible += _CREDENTIAL if _is_guarded(route) else ()
    possible += _WAITS if "min_position" in route.query else ()
    possible += _at_their_own("not-found") if route.places else ()
    return possible


def _default(value: Any) -> Any:
    return value if isinstance(value, str | int | bool) else str(value)
