"""Routes as data: what a module serves, so that the application can add it and the OpenAPI document can describe it.

This module must never look at a request.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from aiohttp import web
from pydantic import BaseModel

from schemas.ids import PETITION_ID_PATTERN
from schemas.problems import Problem
from service.http.parameters import Parameter

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Need = Literal["public", "site", "admin", "auditor", "privacy", "operation"]
"""Whose route it is: `public` and `operation` need no credential, the others one of that role."""
Role = Literal["all", "public", "admin"]
"""What one service serves."""

PETITION: Final = "{id:" + PETITION_ID_PATTERN + "}"
"""A petition's id in a path."""
SIGNATURE: Final = "{sid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}}"
"""A signature's id in a path: a UUID in its one canonical form."""

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"

SERVED: Final[Mapping[Role, frozenset[Need]]] = {
    "all": frozenset({"public", "site", "admin", "auditor", "privacy", "operation"}),
    "public": frozenset({"public", "site"}),
    "admin": frozenset({"public", "admin", "auditor", "privacy", "operation"}),
}

SERVED_ROUTES: Final = web.AppKey("served_routes", tuple["Route", ...])
"""Every route that an application serves, for its description."""

_PLACE: Final = re.compile(r"\{([a-z_]+)(?::((?:[^{}]|\{[^{}]*\})*))?\}")


@dataclass(frozen=True, slots=True)
class Answer:
    """One successful answer: what it means, its media types (the first is the default), the shape of its JSON, and the
    headers that it carries beyond those of every answer.
    """

    description: str
    media: tuple[str, ...] = (JSON,)
    model: type[BaseModel] | None = None
    schema: Mapping[str, Any] | None = None
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """One operation. A GET is also served as HEAD; a public GET also answers the preflight of a browser.

    `path` is in aiohttp's form, its ids matched by strict expressions. `query` names every query parameter there is:
    others are refused before the handler runs. `body` is what the JSON body (or each line) is validated by; `optional`
    says that the body may be empty. `headers` are request headers for the OpenAPI document: name to (required, schema,
    description). `problems` are those beyond what every route can answer.
    """

    method: Literal["GET", "POST"]
    path: str
    handler: Handler
    need: Need
    operation: str
    summary: str
    answers: Mapping[int, Answer]
    query: Mapping[str, Parameter[Any]] = field(default_factory=dict)
    body: type[BaseModel] | None = None
    body_media: str = JSON
    optional: bool = False
    headers: Mapping[str, tuple[bool, Mapping[str, Any], str]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    # Asked at every request, so they are made once.
    public: bool = field(init=False)
    produces: tuple[str, ...] = field(init=False)
    template: str = field(init=False)

    def __post_init__(self) -> None:
        """`public`: any page of any origin may read it. `produces`: its media types, the default first. `template`: its
        path as OpenAPI writes it, `/petitions/{id}.json`.
        """
        produces = dict.fromkeys(media for answer in self.answers.values() for media in answer.media)
        object.__setattr__(self, "public", self.need == "public" and self.method == "GET")
        object.__setattr__(self, "produces", tuple(produces))
        object.__setattr__(self, "template", _PLACE.sub(r"{\1}", self.path))

    @property
    def places(self) -> dict[str, str]:
        """The names in the path, each with the expression that it must match."""
        return {name: pattern or "[^/]+" for name, pattern in _PLACE.findall(self.path)}
