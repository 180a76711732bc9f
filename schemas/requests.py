"""The bodies of requests: what sites and admins may say, as strict models. What is not said here is refused.

Everything is judged by its form alone: whether an address is one, and whether the petition takes what is asked, is
decided later. One-line texts that people see hold no control characters, no directional overrides and nothing that
cannot be seen, so that a name in a review list is what it looks like.

This module must never repeat in a refusal what it refuses, and never repair a text: what is committed to is what was
sent.
"""

import re
import unicodedata
from datetime import datetime
from ipaddress import ip_address
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from schemas.events import (
    Acceptance,
    Answers,
    Basis,
    Choices,
    Confirmation,
    Count,
    Country,
    Day,
    Key,
    Ladder,
    OrdinalFrom1,
    PublicField,
    Region,
    Status,
    Timezone,
    Url,
)
from schemas.forms import ADDRESS, DAY, EMAIL, INSTANT, LINE, LINES, SAID, SEEN
from schemas.ids import PETITION_ID_PATTERN, is_petition_id
from schemas.instants import format_instant, read_instant
from schemas.ladders import GOALS

IDEMPOTENCY_KEY_PATTERN: Final = "[!-~]{1,255}"
"""1 to 255 printable ASCII characters, none of them a space."""

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


def _petition(id: str) -> str:
    if not is_petition_id(id):
        raise ValueError("is 1 to 100 of a-z, 0-9 and -, beginning with a letter or digit; `ledger` is reserved")
    return id


# What `extra` says is for readers of the schema alone: the functions judge.
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
Question = Annotated[dict[Key, Choices], Field(min_length=1, max_length=20)]


_TEXT: Final[dict[str, Any]] = {"type": "string"}
_OBJECT: Final[dict[str, Any]] = {"type": "object"}
_NONE: Final[dict[str, Any]] = {"type": "null"}


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    def said(self) -> dict[str, Any]:
        """What was asked, in JSON values of one form: what is absent and what is null are the same."""
        return self.model_dump(mode="json", exclude_none=True)


class Signer(_Request):
    """A person: by an e-mail address, or by a reference that the site knows them by."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["email"], "properties": {"email": _TEXT, "ref": _NONE}},
                {"required": ["ref"], "properties": {"ref": _TEXT, "email": _NONE, "name": _NONE, "postcode": _NONE}},
            ]
        }
    )

    email: EmailText | None = None
    name: Named | None = None
    postcode: Annotated[Seen, Field(min_length=1, max_length=32)] | None = None
    ref: Named | None = None

    @model_validator(mode="after")
    def _one_of_the_two(self) -> Self:
        if (self.email is None) == (self.ref is None):
            raise ValueError("a signer has either an email or a ref")
        if self.ref is not None and (self.name is not None or self.postcode is not None):
            raise ValueError("a name and a postcode stand beside an email")
        return self


class SigningOrganisation(_Request):
    """An organisation. Its name and its reference (the resolution by which it signs) are public, in the log."""

    name: Named
    reference: Named | None = None


class Area(_Request):
    """Where the signer says to be: ISO 3166-1 alpha-2, and a region's code."""

    country: Country
    region: Region | None = None


class SignerEvidence(_Request):
    """Where the signature came from, as the site saw it. Kept apart, and for a time."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": ["ip"], "properties": {"ip": _TEXT}},
                {"required": ["user_agent"], "properties": {"user_agent": _TEXT}},
            ]
        }
    )

    ip: Address | None = None
    user_agent: (
        Annotated[str, AfterValidator(_line), Field(min_length=1, max_length=1000, json_schema_extra={"pattern": LINE})]
        | None
    ) = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.ip is None and self.user_agent is None:
            raise ValueError("evidence has an ip, a user_agent, or both")
        return self


_EITHER: Final[list[Any]] = [
    {"required": ["signer"], "properties": {"signer": _OBJECT, "organisation": _NONE}},
    {"required": ["organisation"], "properties": {"organisation": _OBJECT, "signer": _NONE}},
]
_SIGNATURES: Final[list[Any]] = [
    {
        "signer": {"email": "jane@example.org", "name": "Jane Doe", "postcode": "N1 1AA"},
        "area": {"country": "GB"},
    },
    {"organisation": {"name": "Trades Council", "reference": "Resolution 9"}, "channel": "paper"},
]


class SignatureRequest(_Request):
    """`POST /petitions/{id}/signatures`: who signs, and what the site knows of it."""

    model_config = ConfigDict(json_schema_extra={"oneOf": _EITHER, "examples": _SIGNATURES})

    signer: Signer | None = None
    organisation: SigningOrganisation | None = None
    confirmed: bool | None = None
    area: Area | None = None
    signed_at: Moment | None = None
    channel: Literal["site", "paper"] = "site"
    text_version: OrdinalFrom1 | None = None
    answers: Answers | None = None
    comment: (
        Annotated[
            str, AfterValidator(_lines), Field(min_length=1, max_length=2000, json_schema_extra={"pattern": LINES})
        ]
        | None
    ) = None
    evidence: SignerEvidence | None = None

    @model_validator(mode="after")
    def _one_of_the_two(self) -> Self:
        if (self.signer is None) == (self.organisation is None):
            raise ValueError("either a signer or an organisation signs")
        return self


class BatchLineRequest(SignatureRequest):
    """A line of `POST /petitions/{id}/signatures/batch`: a signature with an idempotency key of its own."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": _EITHER,
            "examples": [{"idempotency_key": f"sheet-7-{line}", **each} for line, each in enumerate(_SIGNATURES, 1)],
        }
    )

    idempotency_key: Annotated[str, StringConstraints(pattern=f"^{IDEMPOTENCY_KEY_PATTERN}$")]

    def alone(self) -> SignatureRequest:
        """The same signature as a request of its own, which so is known again however it was sent."""
        return SignatureRequest.model_construct(**{name: getattr(self, name) for name in SignatureRequest.model_fields})


class PetitionRequest(_Request):
    """`POST /petitions`: a petition to open. Only the id must be said."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [  # answers are those to questions
                {"required": ["questions"], "properties": {"questions": _OBJECT}},
                {"properties": {"public_fields": {"items": {"enum": ["country", "region"]}}}},
            ],
            "examples": [
                {
                    "id": "save-the-harbour",
                    "title": "Save the harbour",
                    "addressee": "The harbour board",
                    "text": "We ask the board to keep the harbour open.",
                    "confirmation": "required",
                    "closes_at": "2099-12-31T23:59:59Z",
                }
            ],
        }
    )

    id: Annotated[
        str,
        AfterValidator(_petition),
        WithJsonSchema({"type": "string", "pattern": f"^{PETITION_ID_PATTERN}$", "not": {"const": "ledger"}}),
    ]
    title: Title | None = None
    addressee: Addressee = ""
    text: Text | None = None
    basis: Basis = "itemised"
    goals: LadderName | Rungs = "38degrees"
    milestones: LadderName | Rungs = "38degrees"
    confirmation: Confirmation = "none"
    public_fields: Annotated[tuple[PublicField, ...], Field(max_length=3)] = ("country",)
    timezone: Timezone = "Europe/London"
    opens_at: Moment | None = None
    closes_at: Moment | None = None
    questions: Question | None = None


class RevisionRequest(_Request):
    """`POST /petitions/{id}/revisions`: what the petition says differently of itself. Only what is named changes."""

    model_config = ConfigDict(
        json_schema_extra=lambda schema: schema.update(
            anyOf=[{"required": [name], "properties": {name: {"not": _NONE}}} for name in schema.get("properties", {})],
            examples=[{"title": "Save the whole harbour"}],
        )
    )

    title: Title | None = None
    addressee: Addressee | None = None
    text: Text | None = None
    goals: LadderName | Rungs | None = None
    milestones: LadderName | Rungs | None = None
    timezone: Timezone | None = None
    opens_at: Moment | None = None
    closes_at: Moment | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if all(getattr(self, name) is None for name in RevisionRequest.model_fields):
            raise ValueError("a revision changes something")
        return self


class StatusRequest(_Request):
    """`POST /petitions/{id}/status`: an outcome is declared."""

    status: Status
    reported_count: Count | None = None
    reference: Url | None = None
    effective_on: EffectiveDay | None = None


class AcceptanceRequest(_Request):
    """`POST /petitions/{id}/acceptance`: whether it takes signatures."""

    acceptance: Acceptance


class UpdateRequest(_Request):
    """`POST /petitions/{id}/updates`: something is told to the signers."""

    headline: Annotated[
        str, AfterValidator(_said), Field(min_length=1, max_length=200, json_schema_extra={"pattern": SAID})
    ]
    reference: Url | None = None
    effective_on: EffectiveDay | None = None
