"""Bodies of requests: read within a limit and a time, held to strict JSON, validated by a model.

Checked in this order: media type, encoding, declared length (refused before a byte is read), the bytes as they come,
syntax, shape. A client that stalls or dribbles is told 408 and let go. This module must never decompress, never coerce
a value, and never repeat what it refuses: an error's pointer names members that the model knows, and nothing else.
"""

import asyncio
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final, TypeVar

from aiohttp import HttpVersion11, StreamReader, web
from aiohttp.web_protocol import RequestPayloadError
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from schemas.canonical import Malformed, OutsideProfile, strict_json
from service.http.problems import Disconnected, Invalid, Problem

M = TypeVar("M", bound=BaseModel)

BODY_LIMIT: Final = 16 * 1024
BATCH_LIMIT: Final = 2 * 1024 * 1024
BATCH_LINES: Final = 1000

READ_WITHIN: Final = web.AppKey("read_within", float)
"""Seconds within which a whole body must have arrived."""

_DEFAULT_READ_WITHIN: Final = 10.0
_MOST_ERRORS: Final = 20
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
# The kinds of error whose text pydantic makes from the model's own constraints. Any other may quote the input.
_SPEAKING: Final = frozenset(
    {
        "bool_type",
        "dict_type",
        "extra_forbidden",
        "greater_than",
        "greater_than_equal",
        "int_type",
        "less_than",
        "less_than_equal",
        "list_type",
        "literal_error",
        "missing",
        "model_attributes_type",
        "model_type",
        "string_pattern_mismatch",
        "string_too_long",
        "string_too_short",
        "string_type",
        "too_long",
        "too_short",
        "tuple_type",
    }
)


async def read_json(request: web.Request, model: type[M], *, limit: int = BODY_LIMIT) -> M:
    """The JSON body of a request as the model. Raises Problem.

    `unsupported-media-type`, `payload-too-large`, `request-timeout`, `malformed-request` (not JSON that two readers
    would read alike, or no object), `validation-failed` with `errors` (not what the model takes).
    """
    media_type(request, "application/json")
    return parse(await _read(request, limit), model, limit=limit)


async def read_empty(request: web.Request) -> None:
    """For a route whose body says nothing: empty, or `{}` as JSON. Raises Problem."""
    body = await _read(request, BODY_LIMIT)
    if body:
        media_type(request, "application/json")
        if strict(body):
            raise Problem("validation-failed", "The body has no members here.", errors=(Invalid("", "must be empty"),))


async def read_lines(request: web.Request, *, limit: int = BATCH_LIMIT, most: int = BATCH_LINES) -> list[bytes]:
    """The lines of an NDJSON body, not yet parsed: `parse` judges each, so that one bad line does not refuse the rest.

    A line feed ends the last line or is left out; a blank line counts as a line. Raises Problem.
    """
    media_type(request, "application/x-ndjson")
    body = await _read(request, limit)
    if not body:
        raise Problem("malformed-request", "The body has no line.")
    if body.count(b"\n") > most:  # before splitting: the number of lines is the client's choice
        raise Problem("payload-too-large", f"A batch has at most {most:,} lines.")
    lines = body.removesuffix(b"\n").split(b"\n")
    if len(lines) > most:
        raise Problem("payload-too-large", f"A batch has at most {most:,} lines.")
    return lines


def parse(data: bytes, model: type[M], *, limit: int = BODY_LIMIT) -> M:
    """One JSON document as the model. Raises Problem as `read_json` does."""
    document = strict(data, limit=limit)
    found: list[ErrorDetails] = []
    try:
        # From the bytes, not from `document`: only in its JSON mode does strict pydantic read times and ids from text.
        return model.model_validate_json(data, strict=True)
    except ValidationError as refused:
        found = refused.errors(include_url=False, include_input=False)
    # Outside the handler: the exception holds the whole body.
    errors = tuple(dict.fromkeys(Invalid(_pointer(error, document, model), _message(error)) for error in found))
    raise Problem("validation-failed", "The body is not what this route takes.", errors=errors[:_MOST_ERRORS])


def strict(data: bytes, *, limit: int = BODY_LIMIT) -> dict[str, Any]:
    """The object that strict JSON holds. Raises Problem as `read_json` does."""
    if len(data) > limit:
        raise _too_large(limit)
    document: Any = None
    problem: Problem | None = None
    try:
        document = strict_json(data, max_bytes=limit)
    except Malformed as refused:
        problem = Problem("malformed-request", f"{refused.args[0].capitalize()}.")
    except OutsideProfile as refused:
        problem = Problem(
            "validation-failed", "The body is not what this route takes.", errors=(Invalid("", refused.args[0]),)
        )
    if problem is not None:
        raise problem
    if type(document) is not dict:
        raise Problem("malformed-request", "The document is not an object.")
    return document


def media_type(request: web.Request, expected: str) -> None:
    """Raises Problem unless the body is of this media type, in UTF-8 where it says so (RFC 9110 section 8.3)."""
    given, *parameters = request.headers.get("Content-Type", "").split(";")
    charset_alone = all(_is_utf8(parameter) for parameter in parameters)
    if given.strip().lower() != expected or not charset_alone or len(request.headers.getall("Content-Type")) != 1:
        raise Problem("unsupported-media-type", f"The body is {expected}, in UTF-8.", headers={"Accept-Post": expected})


def _is_utf8(parameter: str) -> bool:
    name, _, value = parameter.strip().partition("=")
    return name.lower() == "charset" and value.strip('"').lower() in ("utf-8", "utf8")


async def _read(request: web.Request, limit: int) -> bytes:
    """The whole body, if it is not encoded, not longer than `limit` bytes, and here in time."""
    encoding = request.headers.get("Content-Encoding")
    if encoding is not None and encoding.strip().lower() != "identity":
        raise Problem("unsupported-media-type", "The body is sent without a content encoding.", close=True)
    declared = request.content_length
    if declared is not None and declared > limit:
        raise _too_large(limit)
    stream = request.content
    if request.headers.get("Expect") is not None and not stream.is_eof() and request.version >= HttpVersion11:
        await request.writer.write(_CONTINUE)
        request.writer.output_size = 0  # the interim answer is none of the answer's bytes
    body: bytes | None = None
    problem: Problem | None = None
    try:
        async with asyncio.timeout(request.app.get(READ_WITHIN, _DEFAULT_READ_WITHIN)):
            body = await _collect(stream, limit)
    except TimeoutError:
        problem = Problem("request-timeout", "The body did not arrive in time.", close=True)
    except RequestPayloadError:
        problem = Problem("malformed-request", "The body is not framed as HTTP says.", close=True)
    except ConnectionError:
        pass  # raised below, outside the handler
    if problem is not None:
        raise problem
    if body is None:
        raise Disconnected
    return body


async def _collect(stream: StreamReader, limit: int) -> bytes:
    body = bytearray()
    while chunk := await stream.readany():
        body += chunk
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


def _too_large(limit: int) -> Problem:
    return Problem("payload-too-large", f"The body is longer than {limit:,} bytes.", close=True)


def _message(error: ErrorDetails) -> str:
    kind = error["type"]
    if kind == "value_error":  # our own validators, which never repeat what they refuse
        return str(error.get("ctx", {}).get("error", "is not valid"))
    return error["msg"] if kind in _SPEAKING else "is not of the form that is taken here"


def _pointer(error: ErrorDetails, document: Any, model: type[BaseModel]) -> str:
    """Where an error lies (RFC 6901), as far as the members are known to the model.

    pydantic's path also names branches of unions, which are nowhere in the document: those steps are skipped.
    """
    known = _members(model)
    path: list[str] = []
    here = document
    steps = error["loc"]
    for number, step in enumerate(steps):
        match here, step:
            case list(), int() if 0 <= step < len(here):
                here = here[step]
            case dict(), str() if step in here:
                if step not in known:
                    break
                here = here[step]
            case dict(), str() if error["type"] == "missing" and number == len(steps) - 1 and step in known:
                pass
            case _:
                continue
        path.append(str(step))
    return "".join(f"/{step}" for step in path)


@cache
def _members(model: type[BaseModel]) -> frozenset[str]:
    """The name of every member that the model, or one inside it, knows."""
    return frozenset(_properties(model.model_json_schema()))


def _properties(schema: object) -> Iterator[str]:
    match schema:
        case Mapping():
            properties = schema.get("properties")
            if isinstance(properties, Mapping):
                yield from properties
            for inner in schema.values():
                yield from _properties(inner)
        case list():
            for inner in schema:
                yield from _properties(inner)
        case _:
            pass
