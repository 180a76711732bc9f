"""The bodies of requests: what is taken, what is refused, and that a refusal never says what it refused."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from schemas.canonical import canonical
from schemas.instants import format_instant
from schemas.requests import (
    AcceptanceRequest,
    BatchLineRequest,
    PetitionRequest,
    RevisionRequest,
    SignatureRequest,
    StatusRequest,
    UpdateRequest,
)

CANARY = "canary-7d1f"
JANE = {"signer": {"email": "jane@ex.org"}}


def read(model: type[BaseModel], body: object) -> Any:
    return model.model_validate_json(orjson.dumps(body), strict=True)


def refused(model: type[BaseModel], body: object) -> str:
    """What the refusal says: every message, kind and place, without what pydantic would keep of the input."""
    with pytest.raises(ValidationError) as refusal:
        read(model, body)
    return str(refusal.value.errors(include_input=False, include_url=False))


def named(name: str) -> dict[str, Any]:
    return {"signer": {"email": "jane@ex.org", "name": name}}


@pytest.mark.parametrize(
    "body",
    [
        JANE,
        {"signer": {"ref": "17"}},
        {"organisation": {"name": "Trades Council", "reference": "Resolution 9"}},
        {
            "signer": {"email": "jane@ex.org", "name": "Jane O'Brien", "postcode": "N1 1AA"},
            "confirmed": True,
            "area": {"country": "GB", "region": "W07000055"},
            "signed_at": "2020-12-31T18:30:00+01:00",
            "channel": "paper",
            "text_version": 2,
            "answers": {"ban": "yes"},
            "comment": "Because.\n\nIt matters.",
            "evidence": {"ip": "2001:db8::1", "user_agent": "Mozilla/5.0"},
        },
    ],
)
def test_a_signature_is_said_in_these_ways(body: dict[str, Any]) -> None:
    """If a body says who signs and what the site knows of it, then it is taken, and said again in one form."""
    once = read(SignatureRequest, body).said()
    assert read(SignatureRequest, once).said() == once
    assert canonical(once)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"signer": None},
        {"signer": {}},
        {"signer": {"name": "Jane"}},
        {"signer": {"email": "jane@ex.org", "ref": "17"}},
        {"signer": {"ref": "17", "name": "Jane"}},
        {"signer": {"ref": ""}},
        {**JANE, "organisation": {"name": "Council"}},
        {"organisation": {}},
        {**JANE, "is_admin": True},
        {**JANE, "actor": "admin:7f3a21"},
        {**JANE, "position": 1},
        {**JANE, "confirmed": "true"},
        {**JANE, "confirmed": 1},
        {**JANE, "text_version": True},
        {**JANE, "text_version": "1"},
        {**JANE, "text_version": 1.0},
        {**JANE, "text_version": 0},
        {**JANE, "text_version": 2**63},
        {**JANE, "channel": "import"},
        {**JANE, "area": {"country": "gb"}},
        {**JANE, "area": {"region": "W7"}},
        {**JANE, "signed_at": 1_700_000_000},
        {**JANE, "signed_at": "2020-12-31"},
        {**JANE, "signed_at": "2020-12-31T18:30:00"},
        {**JANE, "signed_at": "0001-01-01T00:00:00Z"},
        {**JANE, "signed_at": "9999-12-31T23:59:59-14:00"},
        {**JANE, "answers": {}},
        {**JANE, "answers": {"ban": True}},
        {**JANE, "comment": " \n "},
        {**JANE, "comment": "x" * 2001},
        {**JANE, "comment": "bell\x07"},
        {**JANE, "evidence": {}},
        {**JANE, "evidence": {"ip": "999.1.1.1"}},
        {**JANE, "evidence": {"ip": "fe80::1%eth0"}},
        {**JANE, "evidence": {"user_agent": "a\r\nb"}},
        [],
        None,
    ],
)
def test_what_is_no_signature_is_refused(body: object) -> None:
    """If a body leaves out who signs, says it twice, or says anything in another type or form, then it is refused."""
    refused(SignatureRequest, body)


@pytest.mark.parametrize(
    "name",
    [
        *("Jane", "O'Brien", "Åsa", "A\u030asa", "Ngũgĩ wa Thiong'o", "李小龍", "=cmd()", "<b>Jane</b>", "a" * 200),
        "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627",  # Persian: the joiner is how the name is written
        "\u0915\u094d\u200d\u0937",  # Devanagari
        "e" + "\u0301" * 8,
    ],
)
def test_names_of_people_are_taken(name: str) -> None:
    """If a name is one that people have, or only looks like a formula or a tag, then it is taken as it was sent."""
    assert read(SignatureRequest, named(name)).signer.name == name


@pytest.mark.parametrize(
    "sign",
    [
        *("\x01", "\t", "\n", "\r", "\x7f", "\x85", "\u2028", "\u2029"),
        *("\u202a", "\u202e", "\u2066", "\u2069", "\u200e", "\u200f", "\u061c"),
        *("\u200b", "\u200c", "\u200d", "\ufeff", "\u00ad", "\u2060", "\ufe0f", "\U000e0041", "\U000e0100", "\u3164"),
    ],
)
@pytest.mark.parametrize("place", ["before", "between", "after"])
def test_a_name_holds_nothing_that_cannot_be_seen(sign: str, place: str) -> None:
    """If a name holds a control, a directional override or a sign that is not seen, then it is refused, unrepeated."""
    text = {"before": f"{sign}{CANARY}", "between": f"{CANARY}{sign}x", "after": f"{CANARY}{sign}"}[place]
    assert CANARY not in refused(SignatureRequest, named(text))
    assert CANARY not in refused(SignatureRequest, {"organisation": {"name": text}})
    assert CANARY not in refused(SignatureRequest, {"signer": {"ref": text}})


@pytest.mark.parametrize("name", ["", " ", "\u3000", "\u3164", "\u2800", "\u0301", "a" * 201, "e" + "\u0301" * 9])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    """If nothing of a name can be seen, or it is too long or piled up, then it is refused."""
    refused(SignatureRequest, named(name))


@pytest.mark.parametrize("sign", ["\x00", "\n", "\x9b", "\u2028", "\u202e", "\u2066"])
def test_what_a_petition_publishes_in_a_line_keeps_to_it(sign: str) -> None:
    """If a title, an addressee or a headline breaks its line or turns the direction of writing, then it is refused."""
    refused(PetitionRequest, {"id": "a", "title": f"x{sign}y"})
    refused(PetitionRequest, {"id": "a", "addressee": f"x{sign}y"})
    refused(UpdateRequest, {"headline": f"x{sign}y"})


@given(st.text(max_size=20))
def test_no_text_makes_a_model_fail_in_another_way(text: str) -> None:
    """If any text at all stands where a name, a comment or a headline does, then it is taken whole or refused."""
    try:
        body = orjson.dumps({**named(text), "comment": text})
    except TypeError:
        return  # lone surrogates never come this far: strict JSON refuses them
    try:
        request = SignatureRequest.model_validate_json(body, strict=True)
    except ValidationError:
        return
    assert request.signer is not None
    assert (request.signer.name, request.comment) == (text, text)


@given(
    st.integers(0, 3_000_000_000_000_000).map(lambda us: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=us))
)
def test_a_time_is_the_same_however_its_offset_is_written(moment: datetime) -> None:
    """If one instant is written with two offsets, then the requests say the same."""
    spellings = [format_instant(moment), moment.isoformat().replace("+00:00", "-00:00"), moment.isoformat(" ")]
    said = [read(SignatureRequest, {**JANE, "signed_at": text}).said() for text in spellings]
    assert said == [{**JANE, "channel": "site", "signed_at": format_instant(moment)}] * len(spellings)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (JANE, {**JANE, "channel": "site", "comment": None}),
        ({"signer": {"email": "jane@ex.org", "name": None}}, JANE),
        ({**JANE, "evidence": {"ip": "2001:DB8:0::1"}}, {**JANE, "evidence": {"ip": "2001:db8::1"}}),
    ],
)
def test_two_ways_to_say_one_thing_are_one(one: dict[str, Any], other: dict[str, Any]) -> None:
    """If bodies differ in what is left out or null, or in an address's spelling, then they say the same."""
    assert read(SignatureRequest, one).said() == read(SignatureRequest, other).said()


def test_a_line_of_a_batch_is_a_signature_with_a_key() -> None:
    """If a line has a key, then without it it is the signature that it would be alone; without a key it is no line."""
    line = read(BatchLineRequest, {**JANE, "idempotency_key": "k1"})
    assert line.idempotency_key == "k1"
    assert line.alone() == read(SignatureRequest, JANE)
    assert line.alone().said() == read(SignatureRequest, JANE).said()
    refused(BatchLineRequest, JANE)
    for key in ("", "a b", "é", "k" * 256, "k\n", 7):
        refused(BatchLineRequest, {**JANE, "idempotency_key": key})


@pytest.mark.parametrize(
    "body",
    [
        {"id": "keep-the-library"},
        {"id": "a", "goals": "uk-parliament", "milestones": [10, 25], "opens_at": "2020-01-01T00:00:00Z"},
        {"id": "a", "questions": {"ban": ["yes", "no"]}, "public_fields": [], "text": "One.\n\tTwo."},
    ],
)
def test_a_petition_is_said_in_these_ways(body: dict[str, Any]) -> None:
    """If a body has an id and whatever else a petition says of itself, then it is taken."""
    assert canonical(read(PetitionRequest, body).said())


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"id": "ledger"},
        {"id": "UPPER"},
        {"id": "a/b"},
        {"id": "a" * 101},
        {"id": "a", "goals": "10,20"},
        {"id": "a", "goals": [0]},
        {"id": "a", "goals": [1.5]},
        {"id": "a", "basis": "guessed"},
        {"id": "a", "timezone": "..\\etc"},
        {"id": "a", "text": ""},
        {"id": "a", "text": "x" * 40_001},
        {"id": "a", "title": " "},
        {"id": "a", "provenance": "live"},
        {"id": "a", "identity_policy": {"name": "mine", "version": 1}},
    ],
)
def test_what_is_no_petition_is_refused(body: dict[str, Any]) -> None:
    """If a body names no petition, or says of one what it may not, then it is refused."""
    refused(PetitionRequest, body)


@pytest.mark.parametrize(
    ("model", "good", "bad"),
    [
        (StatusRequest, {"status": "successful", "reported_count": 13163, "effective_on": "2020-12-31"}, {}),
        (StatusRequest, {"status": "answered"}, {"status": "answered", "reported_count": -1}),
        (StatusRequest, {"status": "answered"}, {"status": "answered", "reference": "javascript:alert(1)"}),
        (StatusRequest, {"status": "answered"}, {"status": "answered", "effective_on": "2020-02-30"}),
        (AcceptanceRequest, {"acceptance": "paused"}, {"acceptance": "ajar"}),
        (RevisionRequest, {"title": "Other"}, {}),
        (RevisionRequest, {"closes_at": "2030-01-01T00:00:00Z"}, {"text_version": 2}),
        (RevisionRequest, {"goals": [5]}, {"title": None}),
        (UpdateRequest, {"headline": "We wrote", "reference": "https://ex.org/1"}, {"headline": ""}),
    ],
)
def test_declarations_are_said_in_these_ways(model: type[BaseModel], good: dict[str, Any], bad: dict[str, Any]) -> None:
    """If a declaration has its members in their form, then it is taken, and otherwise refused."""
    assert canonical(read(model, good).said())
    refused(model, bad)
