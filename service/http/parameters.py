"""Query parameters: each has a name, one parser and a description; what is unknown, repeated or misspelt is refused.

Nothing is clamped or guessed: a number is `0` or digits without a leading zero, a time carries its offset. Reading is
done on the raw query, because a decoder that replaces what it cannot decode hides what was sent. This module must
never repeat a value, and names a parameter only when the route knows it.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar
from urllib.parse import unquote_to_bytes

from aiohttp import web

from schemas.forms import DURATION, INSTANT
from schemas.ids import LARGEST_POSITION, Position, read_position
from schemas.instants import InstantRefused, read_duration, read_instant
from service.http.problems import Problem

T_co = TypeVar("T_co", covariant=True)

_DIGITS: Final = re.compile(r"0|[1-9][0-9]{0,15}", re.ASCII)
_BROKEN_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_MOST_PAIRS: Final = 32
_WRITTEN_INSTANT: Final = "a time with its offset, such as 2020-12-31T18:30:00Z (a + is written %2B in a query)"


class _Refused(ValueError):
    """The text is no value of the parameter."""


@dataclass(frozen=True, slots=True)
class Parameter(Generic[T_co]):
    """One query parameter.

    `read` turns its text into a value or raises ValueError; `default` is its value when absent; `said` completes the
    sentence "The parameter x is ..."; `schema` is its JSON Schema; `required` refuses a query without it.
    """

    read: Callable[[str], T_co]
    said: str
    schema: Mapping[str, Any]
    default: T_co | None = None
    required: bool = False


def integer(least: int, most: int, *, default: int | None = None, required: bool = False) -> Parameter[int]:
    """A whole number within bounds, neither of them below 0."""

    def read(text: str) -> int:
        if not _DIGITS.fullmatch(text) or not least <= int(text) <= most:
            raise _Refused
        return int(text)

    schema = {"type": "integer", "minimum": least, "maximum": most}
    return Parameter(read, f"a whole number from {least:,} to {most:,}", schema, default, required)


def position(*, default: Position | None = None, required: bool = False) -> Parameter[Position]:
    """A position, 0 being the one before the first event. One in the future is legal."""
    schema = {"type": "integer", "minimum": 0, "maximum": LARGEST_POSITION}
    return Parameter(_position, "a position: a whole number from 0", schema, default, required)


def instant(*, required: bool = False) -> Parameter[datetime]:
    """A time with its offset, as UTC."""
    return Parameter(_instant, _WRITTEN_INSTANT, INSTANT, None, required)


def point(*, required: bool = False) -> Parameter[Position | datetime]:
    """A position (digits) or a time."""

    def read(text: str) -> Position | datetime:
        return _position(text) if text.isdecimal() else _instant(text)

    schema = {
        "oneOf": [
            {"type": "integer", "minimum": 0, "maximum": LARGEST_POSITION},
            INSTANT,
        ]
    }
    return Parameter(read, f"a position or {_WRITTEN_INSTANT}", schema, None, required)


def duration(*, required: bool = False) -> Parameter[timedelta]:
    """A duration such as 72h, 3d or 1d12h."""
    return Parameter(_duration, "a duration such as 72h, 3d or 1d12h", DURATION, None, required)


def choice(*choices: str, default: str | None = None, required: bool = False) -> Parameter[str]:
    """One of a closed list."""

    def read(text: str) -> str:
        if text not in choices:
            raise _Refused
        return text

    schema = {"type": "string", "enum": list(choices)}
    return Parameter(read, "one of " + ", ".join(choices), schema, default, required)


def matching(pattern: str, said: str, *, required: bool = False) -> Parameter[str]:
    """A text of a form of its own; `said` completes "The parameter x is ..."."""
    form = re.compile(pattern, re.ASCII)

    def read(text: str) -> str:
        if not form.fullmatch(text):
            raise _Refused
        return text

    return Parameter(read, said, {"type": "string", "pattern": f"^(?:{pattern})$"}, None, required)


def query(request: web.Request, **spec: Parameter[Any]) -> dict[str, Any]:
    """The value of every parameter of `spec`, absent ones as their default.

    Raises Problem `validation-failed` for a parameter that is unknown, given twice, missing or not of its form.
    """
    given: dict[str, str] = {}
    raw = request.rel_url.raw_query_string
    for name, value in pairs(raw) if raw else ():
        if name not in spec:
            raise _refusal("The query has a parameter that this route does not know.")
        if name in given:
            raise _refusal(f"The parameter {name} is given twice.")
        given[name] = value
    values: dict[str, Any] = {}
    for name, parameter in spec.items():
        if name in given:
            values[name] = _value(name, parameter, given[name])
        elif parameter.required:
            raise _refusal(f"The parameter {name} is missing; it is {parameter.said}.")
        else:
            values[name] = parameter.default
    return values


def pairs(raw: str) -> list[tuple[str, str]]:
    """The names and values of a raw query (application/x-www-form-urlencoded), decoded strictly. Raises Problem."""
    parts = [part for part in raw.split("&") if part]
    if len(parts) > _MOST_PAIRS:
        raise _refusal("The query has too many parameters.")
    return [(_decoded(name), _decoded(value)) for name, _, value in (part.partition("=") for part in parts)]


def _decoded(raw: str) -> str:
    text: str | None = None
    if not _BROKEN_ESCAPE.search(raw):
        try:
            text = unquote_to_bytes(raw.replace("+", " ")).decode("utf-8")
        except UnicodeError:
            text = None  # refused below, outside the handler: the exception holds what was sent
    if text is None:
        raise _refusal("The query is not percent-encoded UTF-8.")
    return text


def _value(name: str, parameter: Parameter[Any], text: str) -> Any:
    refused = False
    value: Any = None
    try:
        value = parameter.read(text)
    except ValueError:
        refused = True  # raised below, outside the handler: what the parser raised stays behind
    if refused:
        raise _refusal(f"The parameter {name} is {parameter.said}.")
    return value


def _position(text: str) -> Position:
    found = read_position(text)
    if found is None:
        raise _Refused
    return found


def _instant(text: str) -> datetime:
    return read_instant(text)


def _duration(text: str) -> timedelta:
    return read_duration(text)


def _refusal(detail: str) -> Problem:
    return Problem("validation-failed", detail)


assert issubclass(InstantRefused, ValueError)
