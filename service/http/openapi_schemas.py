"""Schemas as the OpenAPI document gives them: what a model takes, and the one form in which an answer is written.

pydantic knows that a time is written as text, but not as which text: that is said here, for the functions that write
times, days and ids. Pure. This module must never say less than a reader needs to parse a member, nor more than what is
kept.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, Final, Literal

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema

from schemas.instants import format_instant

Mode = Literal["validation", "serialization"]
References = Mapping[tuple[Any, Mode], Mapping[str, Any]]

INSTANT: Final[Mapping[str, Any]] = {
    "type": "string",
    "format": "date-time",
    "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$",
}
"""A time in an answer: RFC 3339 in UTC, to the microsecond."""
UUID: Final[Mapping[str, Any]] = {
    "type": "string",
    "format": "uuid",
    "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
}
"""An id in an answer: a UUID in its one canonical form."""

_REF: Final = "#/components/schemas/{model}"
_DATA: Final = frozenset({"const", "default", "enum", "examples"})
_OF_LISTS: Final = {"minLength": "minItems", "maxLength": "maxItems"}
_WRITTEN_BY: Final[Mapping[Any, Mapping[str, Any]]] = {
    format_instant: INSTANT,
    date.isoformat: {"type": "string", "format": "date"},
    str: UUID,  # the models serialize by `str` nothing but UUIDs
}


class _AsWritten(GenerateJsonSchema):
    """How an answer writes what a model holds."""

    def ser_schema(self, schema: Any) -> JsonSchemaValue | None:
        """The schema of what a serializer of ours writes."""
        if schema["type"] == "function-plain" and schema["function"] in _WRITTEN_BY:
            return dict(_WRITTEN_BY[schema["function"]])
        return super().ser_schema(schema)

    def get_title_from_name(self, name: str) -> str:
        """Nothing that only repeats the member's name: see `_tidied`."""
        return name


def schemas_of(
    *, taken: Iterable[type[BaseModel]], given: Iterable[type[BaseModel]]
) -> tuple[dict[str, Any], References]:
    """The definitions of these models, by name, and a reference to each: `taken` as bodies, `given` as answers."""
    models: list[tuple[type[BaseModel], Mode]] = [(model, "validation") for model in dict.fromkeys(taken)]
    models += [(model, "serialization") for model in dict.fromkeys(given)]
    references, document = models_json_schema(models, by_alias=True, ref_template=_REF, schema_generator=_AsWritten)
    definitions: dict[str, Any] = _tidied(document.get("$defs", {}))
    return definitions, references


def _tidied(schema: Any) -> Any:
    """The schema without the titles of members, which repeat their names, and with two things said as they are judged.

    pydantic says the bounds of a list that is read by a function of ours as those of a text; and where it says of what
    form keys are, that there are no others. What is data in a schema is left alone.
    """
    match schema:
        case dict():
            tidied = {
                key: value if key in _DATA else _tidied(value)
                for key, value in schema.items()
                if key != "title" or isinstance(value, dict)
            }
            if tidied.get("type") == "array":
                tidied = {_OF_LISTS.get(key, key): value for key, value in tidied.items()}
            if "patternProperties" in tidied:
                tidied.setdefault("additionalProperties", False)
            return tidied
        case list():
            return [_tidied(each) for each in schema]
        case _:
            return schema
