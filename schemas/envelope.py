"""The envelope: one event as a CloudEvents 1.0 object, and the canonical bytes that are its leaf.

Attributes and their meaning: the envelope table of the design; `recordedtime` is the CloudEvents recorded-time
extension. The leaf is what is stored, hashed, exported and served. It is written once, by `leaf_bytes`, and never
rendered again: a reader that needs the bytes takes the stored ones.

This module must never accept a leaf that is not canonical, and never change what an old leaf says: an older version
of a type is read through `schemas.upcasters`, its bytes stay.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from schemas.canonical import NotCanonical, from_base64, parse, render, to_base64
from schemas.events import CATALOGUE, Fact, LogContinued
from schemas.ids import Position, Version, event_id, is_actor, is_petition_id, position_of
from schemas.instants import format_instant, parse_instant
from schemas.upcasters import upcast

SPECVERSION = "1.0"
LEDGER_SUBJECT = "ledger"
_REQUIRED = frozenset(
    {"specversion", "id", "source", "type", "subject", "time", "recordedtime", "version", "actor", "data"}
)


class MalformedEvent(ValueError):
    """These bytes are no event of this catalogue. The message names the rule, never the content."""


class UnknownType(MalformedEvent):
    """A well-formed event of a type that this version does not know: whoever folds must stop, not skip."""


@dataclass(frozen=True, slots=True)
class Event:
    """One stored event, read. `prev` is the leaf hash of the petition's previous event, None on its first."""

    position: Position
    source: str
    subject: str
    version: Version
    time: datetime
    recorded: datetime
    prev: bytes | None
    actor: str
    fact: Fact

    @property
    def type(self) -> str:
        """The event type, as the envelope names it (after upcasting)."""
        return self.fact.type


def leaf_bytes(
    *,
    position: int,
    source: str,
    type: str,
    subject: str,
    time: datetime,
    recorded: str,
    version: int,
    prev: bytes | None,
    actor: str,
    data: dict[str, Any],
) -> bytes:
    """The canonical bytes of one event.

    `data` holds JSON values that a model of the catalogue has made or would accept; `recorded` is already formatted,
    since a batch has one. Raises NotCanonical where the event would be longer than a leaf may be.
    """
    document: dict[str, Any] = {
        "specversion": SPECVERSION,
        "id": event_id(Position(position)),
        "source": source,
        "type": type,
        "subject": subject,
        "time": format_instant(time),
        "recordedtime": recorded,
        "version": version,
        "actor": actor,
        "data": data,
    }
    if prev is not None:
        document["prev"] = to_base64(prev)
    return render(document)


def is_source(text: str) -> bool:
    """Whether this may be a ledger's origin: printable ASCII without spaces or `+`, as a key name must be."""
    return 1 <= len(text) <= 200 and all("!" <= char <= "~" and char != "+" for char in text)


def read_event(leaf: bytes) -> Event:
    """The event that these bytes are, every rule of form checked.

    Raises MalformedEvent; UnknownType where only the type is not known.
    """
    try:
        document = parse(leaf)
    except NotCanonical as refusal:
        raise MalformedEvent(f"not canonical: {refusal}") from None
    members = document.keys() - {"prev"}
    if members != _REQUIRED:
        raise MalformedEvent("the attributes of the envelope are not those of the catalogue")
    if document["specversion"] != SPECVERSION:
        raise MalformedEvent("specversion is not 1.0")
    if not all(isinstance(document[name], str) for name in ("id", "source", "type", "subject", "actor")):
        raise MalformedEvent("an attribute is not text")
    if not isinstance(document["data"], dict):
        raise MalformedEvent("data is not an object")
    version = document["version"]
    if type(version) is not int or version < 1:
        raise MalformedEvent("version is not an integer from 1")
    if not is_source(document["source"]):
        raise MalformedEvent("source is not an origin")
    if not is_petition_id(document["subject"]) and document["subject"] != LEDGER_SUBJECT:
        raise MalformedEvent("subject is not a petition id")
    if not is_actor(document["actor"]):
        raise MalformedEvent("actor is not a role and a random id")
    if (version == 1) == ("prev" in document):
        raise MalformedEvent("every event but a petition's first names the leaf before it")
    try:
        position = position_of(document["id"])
        time, recorded = parse_instant(document["time"]), parse_instant(document["recordedtime"])
        prev = from_base64(document["prev"]) if "prev" in document else None
    except (ValueError, TypeError, AttributeError):
        raise MalformedEvent("id, a time or prev is not of its form") from None
    if prev is not None and len(prev) != 32:
        raise MalformedEvent("prev is not a SHA-256 hash")
    fact = read_fact(document["type"], document["data"])
    if isinstance(fact, LogContinued) != (document["subject"] == LEDGER_SUBJECT):
        raise MalformedEvent("only what is said of the whole log has the log as its subject")
    return Event(
        position=position,
        source=document["source"],
        subject=document["subject"],
        version=Version(version),
        time=time,
        recorded=recorded,
        prev=prev,
        actor=document["actor"],
        fact=fact,
    )


def read_fact(type: str, data: dict[str, Any]) -> Fact:
    """The fact that `data` states under this type, read through the upcasters. Raises MalformedEvent, UnknownType."""
    try:
        type, data = upcast(type, data)
    except (LookupError, TypeError, ValueError):
        raise MalformedEvent(f"data is not that of a {type}") from None
    model = CATALOGUE.get(type)
    if model is None:
        raise UnknownType("a type that this version does not know")
    try:
        fact = model.model_validate(data)
    except ValidationError:
        raise MalformedEvent(f"data is not that of a {type}") from None
    if fact.data() != data:
        raise MalformedEvent(f"data of a {type} is not in its one form")
    return fact


def signature_of(fact: Fact) -> UUID | None:
    """The signature that a fact is about, if any."""
    return getattr(fact, "signature", None)
