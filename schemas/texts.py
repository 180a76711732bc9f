"""What people write into bodies of requests: names, titles, comments, times, addresses, as types that judge their form.

One-line texts that people see hold no control characters, no directional overrides and nothing that cannot be seen, so
that a name in a review list is what it looks like. Each type carries, for the readers of a schema, the form that
`schemas.forms` gives it.

This module must never repeat in a refusal what it refuses, and never repair a text: what is committed to is what was
sent.
"""

import re
import unicodedata
from datetime import datetime
from ipaddress import ip_address, ip_network
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, StringConstraints, WithJsonSchema

from schemas.events import Day, Id, Ladder
from schemas.forms import ADDRESS, DAY, DOMAIN, EMAIL, INSTANT, LINE, LINES, NETWORK, SAID, SEEN, UUID
from schemas.instants import format_instant, read_instant
from schemas.ladders import GOALS

LONGEST_TEXT: Final = 40_000
"""Characters of a petition's text."""

MOST_MARKS: Final = 8
"""Combining marks in a row: no script needs more."""

# Code points that are not seen but are no format characters by category: fillers, variation selectors, the joiner of
# graphemes, and the blank Braille pattern.
_UNSEEN: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROLS_BUT_BREAKS: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_DIRECTIONS: Final = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_MAILBOX: Final = re.compile(r"[^\s@]@[^\s@]")
_NUMBERS: Final = re.compile(r"[0-9A-Fa-f:.]*[.:][0-9A-Fa-f:.]+(?:/[0-9]{1,3})?")
_JOINERS: Final = frozenset("\u200c\u200d")
# The first script whose letters are joined, Arabic, stands here; before it no script needs a joiner.
_FIRST_JOINED: Final = "\u0600"


def _seen(text: str) -> str:
    """A line that people read, as names are: what stands in it can be seen, and something does."""
    if _CONTROLS.search(text):
        raise ValueError("holds no control characters and no line breaks")
    if not text.strip():
        raise ValueError("is not blank")
    if text.isascii():
        return text
    if _DIRECTIONS.search(text):
        raise ValueError("holds no characters that turn the direction of writing")
    marks = 0
    for place, sign in enumerate(text):
        category = unicodedata.category(sign)
        marks = marks + 1 if category[0] == "M" else 0
        if marks > MOST_MARKS:
            raise ValueError(f"has at most {MOST_MARKS} combining marks in a row")
        if (category == "Cf" or _UNSEEN.match(sign)) and not _joins(text, place):
            raise ValueError("holds no characters that cannot be seen")
    if all(unicodedata.category(sign)[0] in "MZC" for sign in text):
        raise ValueError("is not blank")
    return text


def _joins(text: str, place: int) -> bool:
    """Whether this is a joiner between two letters of a script that joins: there it is part of the name."""
    return (
        text[place] in _JOINERS
        and 0 < place < len(text) - 1
        and all(
            near >= _FIRST_JOINED and unicodedata.category(near)[0] in "LM"
            for near in (text[place - 1], text[place + 1])
        )
    )


def _line(text: str) -> str:
    """One line that is published. Signs that are drawn with a variation selector are welcome in it."""
    if _CONTROLS.search(text):
        raise ValueError("holds no control characters and no line breaks")
    if _DIRECTIONS.search(text):
        raise ValueError("holds no characters that turn the direction of writing")
    return text


def _said(text: str) -> str:
    """Such a line with something in it."""
    if not text.strip():
        raise ValueError("is not blank")
    return _line(text)


def _lines(text: str) -> str:
    """A text of several lines. Directions may turn in it: whoever shows it isolates it."""
    if _CONTROLS_BUT_BREAKS.search(text):
        raise ValueError("holds no control characters but tabs and line breaks")
    if not text.strip():
        raise ValueError("is not blank")
    return text


def _moment(value: object) -> datetime:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise ValueError("a time is written like 2020-12-31T18:30:00Z")
    return read_instant(value)


def _address(text: str) -> str:
    try:
        address = None if "%" in text else ip_address(text)
    except ValueError:
        address = None  # refused below, outside the handler: what ipaddress raised repeats the text
    if address is None:
        raise ValueError("is an IPv4 or IPv6 address")
    return str(address)


def _rule(text: str) -> str:
    """A public notice in words: of no person, and of no network that is one person's."""
    folded = unicodedata.normalize("NFKC", text)
    if _MAILBOX.search(folded) or any(map(_is_network, _NUMBERS.findall(folded))):
        raise ValueError("holds no address of a person or of a network")
    return _said(text)


def _is_network(text: str) -> bool:
    try:
        ip_network(text.strip("."), strict=False)
    except ValueError:
        return False
    return "." in text or ":" in text


def _network(text: str) -> str:
    try:
        network = None if "%" in text else ip_network(text)
    except ValueError:
        network = None  # refused below, outside the handler: what ipaddress raised repeats the text
    if network is None:
        raise ValueError("is a network of IPv4 or IPv6 in CIDR, with no bits set behind its prefix")
    return str(network)


# What `json_schema_extra` says is for readers of the schema alone: the functions judge.
Seen = Annotated[str, AfterValidator(_seen), Field(json_schema_extra={"pattern": SEEN})]
Named = Annotated[Seen, Field(min_length=1, max_length=200)]
Moment = Annotated[
    datetime,
    BeforeValidator(_moment, json_schema_input_type=str),
    PlainSerializer(format_instant),
    WithJsonSchema(dict(INSTANT)),
]
EffectiveDay = Annotated[Day, WithJsonSchema(dict(DAY))]
Address = Annotated[str, AfterValidator(_address), Field(max_length=45), WithJsonSchema(dict(ADDRESS))]
EmailText = Annotated[str, Field(min_length=3, max_length=320), WithJsonSchema(dict(EMAIL))]
LadderName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9-]{1,40}$"), WithJsonSchema({"type": "string", "enum": list(GOALS)})
]
Rungs = Annotated[
    Ladder,
    Field(min_length=1, json_schema_extra={"uniqueItems": True, "description": "Each rung above the one before it."}),
]
Title = Annotated[str, AfterValidator(_said), Field(min_length=1, max_length=500, json_schema_extra={"pattern": SAID})]
Addressee = Annotated[str, AfterValidator(_line), Field(max_length=500, json_schema_extra={"pattern": LINE})]
Text = Annotated[
    str, AfterValidator(_lines), Field(min_length=1, max_length=LONGEST_TEXT, json_schema_extra={"pattern": LINES})
]
UserAgent = Annotated[
    str, AfterValidator(_line), Field(min_length=1, max_length=1000, json_schema_extra={"pattern": LINE})
]
Comment = Annotated[
    str, AfterValidator(_lines), Field(min_length=1, max_length=2000, json_schema_extra={"pattern": LINES})
]
DomainText = Annotated[str, Field(min_length=1, max_length=253), WithJsonSchema(dict(DOMAIN))]
Identifier = Annotated[Id, WithJsonSchema(dict(UUID))]
Network = Annotated[str, AfterValidator(_network), Field(min_length=2, max_length=49), WithJsonSchema(dict(NETWORK))]
Rule = Annotated[
    str,
    AfterValidator(_rule),
    Field(
        min_length=1,
        max_length=1000,
        json_schema_extra={"pattern": SAID, "description": "Public, in words: no e-mail or network address in it."},
    ),
]
Headline = Annotated[
    str, AfterValidator(_said), Field(min_length=1, max_length=200, json_schema_extra={"pattern": SAID})
]
