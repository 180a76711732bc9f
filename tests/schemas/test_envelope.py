"""The envelope: what is written is read back, and what is malformed in any attribute is refused without being
echoed."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.canonical import MAX_BYTES, NotCanonical, canonical
from schemas.envelope import MalformedEvent, UnknownType, is_source, leaf_bytes, read_event, signature_of
from schemas.events import AcceptanceChanged, SignatureWithdrawn
from tests.schemas.facts import events, leaf_of

EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": f"{7:020d}",
    "source": "petitions.example/ledger",
    "type": "acceptance.changed.v1",
    "subject": "keep-the-library",
    "time": "2024-01-01T00:00:00.000000Z",
    "recordedtime": "2024-01-02T00:00:00.000000Z",
    "version": 2,
    "prev": "A" * 43 + "=",
    "actor": "system",
    "data": {"acceptance": "closed"},
}
SECRET = "someone@example.org"


@given(events())
def test_a_leaf_is_read_back_as_it_was_written(event: dict[str, Any]) -> None:
    """If an event is written, then reading its leaf gives every part of it, and the leaf is canonical."""
    leaf = leaf_of(event)
    read = read_event(leaf)
    for name in ("fact", "position", "source", "subject", "time", "recorded", "version", "prev", "actor"):
        assert getattr(read, name) == event[name]
    assert read.type == event["fact"].type
    assert canonical(json.loads(leaf)) == leaf


@given(events(), st.data())
def test_a_leaf_with_any_byte_changed_is_refused_or_says_something_else(
    event: dict[str, Any], data: st.DataObject
) -> None:
    """If a byte of a leaf is changed, then it is no event any more, or another one; never the same event in other
    bytes."""
    leaf = leaf_of(event)
    at = data.draw(st.integers(0, len(leaf) - 1))
    changed = leaf[:at] + bytes([data.draw(st.integers(0, 255).filter(lambda byte: byte != leaf[at]))]) + leaf[at + 1 :]
    try:
        read = read_event(changed)
    except MalformedEvent:
        return
    assert read != read_event(leaf)


def test_the_event_of_these_tests_is_one() -> None:
    """If nothing is wrong with it, then it is read."""
    assert read_event(canonical(EVENT)).fact == AcceptanceChanged(acceptance="closed")


@pytest.mark.parametrize("attribute", EVENT)
def test_an_attribute_that_is_missing_is_refused(attribute: str) -> None:
    """If any attribute is left out, then it is no event."""
    with pytest.raises(MalformedEvent):
        read_event(canonical({name: value for name, value in EVENT.items() if name != attribute}))


def may_be(attribute: str, value: Any) -> bool:
    """Whether this happens to be another legal value of the attribute."""
    match attribute:
        case "source":
            return isinstance(value, str) and re.fullmatch(r"[!-*,-~]{1,200}", value) is not None
        case "subject":
            return isinstance(value, str) and re.fullmatch(r"(?!ledger$)[a-z0-9][a-z0-9-]*", value) is not None
        case "version":
            return type(value) is int and value > 1
        case _:
            return False


@pytest.mark.parametrize("attribute", EVENT)
@pytest.mark.parametrize("value", [
    None, True, False, 0, -1, 5, 2**53 - 1, "", " ", "x", SECRET, [], {}, [1], {"x": 1}, "1.0 ", "0" * 20, "9" * 20,
    "2024-01-01", "2024-01-01T00:00:00Z", "2024-02-30T00:00:00.000000Z", "2024-01-01T00:00:00.000000+00:00",
    "2024-01-01t00:00:00.000000Z", "A" * 44, "A" * 43, "A" * 42 + "B=", "é", "ledger", "a+b", "site:", "admin",
])  # fmt: skip
def test_an_attribute_of_another_form_is_refused_and_not_echoed(attribute: str, value: Any) -> None:
    """If any attribute is of another form, then it is no event, and the refusal repeats nothing of it."""
    forged = {**EVENT, attribute: value}
    if may_be(attribute, value):
        assert getattr(read_event(canonical(forged)), attribute) == value
        return
    with pytest.raises(MalformedEvent) as refusal:
        read_event(canonical(forged))
    assert SECRET not in str(refusal.value)
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


@pytest.mark.parametrize("change", [
    {"email": SECRET},
    {"datacontenttype": "application/json"},
    {"prev": None},
    {"version": 1},  # a first event names no leaf before it
    {"subject": "ledger"},  # only what is said of the whole log
    {"data": {"acceptance": "closed", "email": SECRET}},
    {"data": {"acceptance": SECRET}},
    {"data": {"acceptance": None}},
    {"data": {}},
])  # fmt: skip
def test_what_does_not_belong_together_is_refused(change: dict[str, Any]) -> None:
    """If the attributes are each of their form, but do not belong together, then it is no event."""
    with pytest.raises(MalformedEvent) as refusal:
        read_event(canonical({**EVENT, **change}))
    assert SECRET not in str(refusal.value)


def test_only_what_is_said_of_the_log_has_it_as_subject() -> None:
    """If the log was continued, then its subject is `ledger`, and no petition."""
    data = {"old_origin": "x", "old_size": 1, "old_root": "A" * 43 + "=", "reason": "operator-error"}
    continued = {**EVENT, "type": "log.continued.v1", "data": data}
    assert read_event(canonical({**continued, "subject": "ledger"})).subject == "ledger"
    with pytest.raises(MalformedEvent):
        read_event(canonical(continued))


def test_a_first_event_names_no_leaf_and_every_other_one_does() -> None:
    """If an event is a petition's first, then `prev` is absent; else it is there."""
    first = {name: value for name, value in EVENT.items() if name != "prev"}
    assert read_event(canonical({**first, "version": 1})).prev is None
    with pytest.raises(MalformedEvent):
        read_event(canonical(first))


@pytest.mark.parametrize("leaf", [
    b"", b"{}", b"null", b"[]", b"\xff", canonical(EVENT) + b"\n", b" " + canonical(EVENT),
    json.dumps(EVENT).encode(), canonical(EVENT).replace(b'"version":2', b'"version":2.0'),
    canonical(EVENT).replace(b'"version":2', b'"version":2,"version":2'),
    canonical(EVENT).replace(b"system", b"s\\u0079stem"), canonical({**EVENT, "actor": "x" * 20}) + b" " * MAX_BYTES,
])  # fmt: skip
def test_bytes_that_are_not_canonical_are_no_event(leaf: bytes) -> None:
    """If the bytes are anything but the one form of what they say, then they are no event."""
    with pytest.raises(MalformedEvent):
        read_event(leaf)


@pytest.mark.parametrize("type_", ["acceptance.changed.v2", "acceptance.changed", "ACCEPTANCE.CHANGED.V1", "x", ""])
def test_an_unknown_type_is_told_apart_so_that_a_fold_stops(type_: str) -> None:
    """If only the type is not known, then the refusal says so by its class, and does not repeat it."""
    with pytest.raises(UnknownType) as refusal:
        read_event(canonical({**EVENT, "type": type_}))
    assert not type_ or type_ not in str(refusal.value) or len(type_) == 1


def test_an_event_too_long_for_a_leaf_is_not_written() -> None:
    """If an event would be longer than a leaf may be, then it is refused before it has any bytes."""
    event = read_event(canonical(EVENT))
    with pytest.raises(NotCanonical):
        leaf_bytes(
            position=1,
            source=event.source,
            type=event.type,
            subject=event.subject,
            time=event.time,
            recorded=EVENT["recordedtime"],
            version=1,
            prev=None,
            actor=event.actor,
            data={"acceptance": "x" * MAX_BYTES},
        )


@pytest.mark.parametrize(("text", "is_one"), [
    ("petitions.example/ledger", True), ("x", True), ("!" * 200, True),
    ("", False), ("a b", False), ("a+b", False), ("x" * 201, False), ("é", False), ("a\n", False), ("a\x7f", False),
])  # fmt: skip
def test_an_origin_is_what_a_key_may_be_named(text: str, is_one: bool) -> None:
    """If a text is printable ASCII without spaces and `+`, of at most 200 characters, then it may be an origin."""
    assert is_source(text) == is_one


@given(st.uuids())
def test_which_signature_a_fact_is_about(signature: Any) -> None:
    """If a fact is about a signature, then it is told which; else that there is none."""
    assert signature_of(SignatureWithdrawn(signature=signature)) == signature
    assert signature_of(AcceptanceChanged(acceptance="open")) is None
