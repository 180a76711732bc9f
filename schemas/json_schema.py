"""JSON Schemas of the events, for readers in other languages: the envelope, and the `data` of each type.

They describe the one form that a leaf has, not every form that a model takes: times, ids and binary as the texts that
are written, a member that is not set as absent, never null. They are made from the models; `docs/schemas/` holds what
this module prints, and a test compares the two. `python -m schemas.json_schema` prints the names, and with a name its
schema.

A schema cannot say every rule (that rungs rise, that only organisations have names): it may take what `read_event`
refuses, and must never refuse what `read_event` takes.
"""

import sys
from collections.abc import Mapping
from typing import Any, Final

import orjson
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from schemas import events
from schemas.canonical import MAX_INTEGER
from schemas.envelope import LEDGER_SUBJECT, SPECVERSION
from schemas.events import CATALOGUE
from schemas.ids import ACTOR_PATTERN, PETITION_ID_PATTERN

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
ENVELOPE: Final = "envelope"

_INSTANT: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$"
_DAY: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_ID: Final = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
# 16 and 32 bytes in padded base64: the last digit before the padding has spare bits, which are zero.
_BYTES: Final = {16: r"^[A-Za-z0-9+/]{21}[AQgw]==$", 32: r"^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$"}
_OF_LISTS: Final = {"minLength": "minItems", "maxLength": "maxItems"}


class _OfTheLeaf(GenerateJsonSchema):
    """How a leaf writes what a model holds."""

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> JsonSchemaValue:
        function = schema["function"]["function"]
        if function is events._instant:
            return {"type": "string", "pattern": _INSTANT}
        if function is events._date:
            return {"type": "string", "pattern": _DAY}
        if function is events._uuid:
            return {"type": "string", "pattern": _ID}
        if function is events._bytes:
            return {"type": "string", "contentEncoding": "base64"}  # its length comes around it: see `_as_written`
        return self.generate_inner(schema["schema"])

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def field_is_required(
        self,
        field: core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField,
        total: bool,
    ) -> bool:
        """A member is absent only where it is not set, that is, None."""
        inner = field["schema"]
        return not (inner["type"] == "default" and inner.get("default", ...) is None)

    def get_title_from_name(self, name: str) -> str:
        return name


def data_schema(type: str) -> dict[str, Any]:
    """The schema of the `data` of this event type."""
    model = CATALOGUE[type]
    schema = model.model_json_schema(schema_generator=_OfTheLeaf)
    return {"$schema": DIALECT, "$id": f"{type}.json", **_as_written(schema), "title": f"The data of a {type}"}


def envelope_schema() -> dict[str, Any]:
    """The schema of a whole event."""
    instant = {"type": "string", "pattern": _INSTANT}
    properties = {
        "specversion": {"const": SPECVERSION},
        "id": {"type": "string", "pattern": "^[0-9]{20}$", "description": "the position, padded with zeros"},
        "source": {"type": "string", "pattern": "^[!-*,-~]{1,200}$", "description": "the ledger's origin"},
        "type": {"enum": sorted(CATALOGUE)},
        "subject": {"type": "string", "pattern": f"^{PETITION_ID_PATTERN}$", "description": "the petition"},
        "time": {**instant, "description": "the effective time"},
        "recordedtime": {**instant, "description": "when it was recorded, by the database's clock"},
        "version": {"type": "integer", "minimum": 1, "maximum": MAX_INTEGER},
        "prev": {
            "type": "string",
            "pattern": _BYTES[32],
            "description": "the leaf hash of the petition's previous event; absent on its first",
        },
        "actor": {"type": "string", "pattern": f"^{ACTOR_PATTERN}$"},
        "data": {"type": "object"},
    }
    is_first = {"properties": {"version": {"const": 1}}}
    is_of_the_log = {"properties": {"type": {"const": "log.continued.v1"}}}
    of_the_log = {"properties": {"subject": {"const": LEDGER_SUBJECT}}}
    return {
        "$schema": DIALECT,
        "$id": f"{ENVELOPE}.json",
        "title": "An event: a CloudEvents 1.0 object",
        "type": "object",
        "properties": properties,
        "required": sorted(properties.keys() - {"prev"}),
        "additionalProperties": False,
        "allOf": [
            {"if": is_first, "then": {"not": {"required": ["prev"]}}, "else": {"required": ["prev"]}},
            {"if": is_of_the_log, "then": of_the_log, "else": {"not": of_the_log}},
            *[
                {
                    "if": {"properties": {"type": {"const": type}}},
                    "then": {"properties": {"data": {"$ref": f"{type}.json"}}},
                }
                for type in sorted(CATALOGUE)
            ],
        ],
    }


def documents() -> Mapping[str, dict[str, Any]]:
    """Every schema by the name of its file, without `.json`: the envelope, and one for each type."""
    return {ENVELOPE: envelope_schema(), **{type: data_schema(type) for type in sorted(CATALOGUE)}}


def text_of(schema: Mapping[str, Any]) -> str:
    """A schema as its file holds it."""
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def _as_written(schema: Any) -> Any:
    """Lengths of bytes as forms of base64, lengths of lists as such, no members of other names, and without the titles
    that only repeat the names of members."""
    if isinstance(schema, list):
        return [_as_written(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("contentEncoding") == "base64":
        return {"type": "string", "contentEncoding": "base64", "pattern": _BYTES[schema["minLength"]]}
    is_list = schema.get("type") == "array"
    written = {
        _OF_LISTS.get(key, key) if is_list else key: _as_written(value)
        for key, value in schema.items()
        if key != "title" or isinstance(value, dict)
    }
    return {**written, "additionalProperties": False} if "patternProperties" in written else written


if __name__ == "__main__":
    if len(sys.argv) == 2:
        print(text_of(documents()[sys.argv[1]]), end="")
    else:
        print(*documents(), sep="\n")
