"""The catalogue: each type has one form, takes nothing else, and is described by a JSON Schema that agrees with it."""

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.canonical import canonical, parse
from schemas.envelope import MalformedEvent, read_fact
from schemas.events import CATALOGUE, Fact, PetitionOpened, SignatureRecorded, signature_recorded_data
from schemas.json_schema import documents, text_of
from tests.schemas.facts import BY_TYPE, events, facts, leaf_of, recordings

DOCS = Path(__file__).parents[2] / "docs"


def test_every_type_of_the_union_is_in_the_catalogue_and_in_these_tests() -> None:
    """If a type is added to the union, then the catalogue knows it by its name, and these tests make it."""
    assert set(CATALOGUE.values()) == set(get_args(Fact)) == set(BY_TYPE)
    assert all(CATALOGUE[name].type == name for name in CATALOGUE)
    assert len(CATALOGUE) == 19


@given(facts)
def test_a_fact_comes_back_from_its_data_as_it_was(fact: Fact) -> None:
    """If a fact is written to canonical bytes and read, then it is the same fact, and nothing unset is written."""
    written = canonical(fact.data())
    assert read_fact(fact.type, parse(written)) == fact
    assert b"null" not in written or b'null"' in written


@given(recordings())
def test_the_bulk_path_writes_what_the_model_writes(members: dict[str, Any]) -> None:
    """If a signature's data is built without the model, then it is the model's data."""
    given_ = {name: value for name, value in members.items() if value is not None}
    assert signature_recorded_data(**given_) == SignatureRecorded(**members).data()


@given(facts, st.data())
def test_a_fact_with_a_member_too_many_or_too_few_is_refused(fact: Fact, data: st.DataObject) -> None:
    """If data has a member that its type does not know, a null, or lacks one that it needs, then it is refused."""
    said = fact.data()
    with pytest.raises(MalformedEvent):
        read_fact(fact.type, {**said, "email": "x"})
    unset = [name for name in type(fact).model_fields if name not in said]
    if unset:
        with pytest.raises(MalformedEvent):
            read_fact(fact.type, {**said, data.draw(st.sampled_from(unset)): None})
    needed = [name for name, field in type(fact).model_fields.items() if field.is_required()]
    gone = data.draw(st.sampled_from(needed))
    with pytest.raises(MalformedEvent):
        read_fact(fact.type, {name: value for name, value in said.items() if name != gone})


@pytest.mark.parametrize("number", [0, 0.0])
def test_a_number_is_no_boolean(number: float) -> None:
    """If a zero stands where `false` has to, then it is refused: it is written in other bytes."""
    undated = [fact_type for fact_type in CATALOGUE.values() if "at_known" in fact_type.model_fields]
    assert len(undated) == 6
    for fact_type in undated:
        needed = {name: field for name, field in fact_type.model_fields.items() if name != "at_known"}
        with pytest.raises(ValidationError) as refused:
            fact_type.model_validate({"at_known": number})
        assert "at_known" in {error["loc"][0] for error in refused.value.errors()} - needed.keys()


WRONG: list[Any] = [1.5, -1, 2**53, "", " ", "x\0", "A" * 600, [], {}, [[]], True, "true", "1", None, "2020-01-01"]


@given(facts, st.data())
def test_a_value_of_another_form_is_refused_or_was_one_of_its_own(fact: Fact, data: st.DataObject) -> None:
    """If any member has any other value, then the fact is refused, or is one that is written exactly so."""
    said = fact.data()
    name = data.draw(st.sampled_from(sorted(said)))
    forged = {**said, name: data.draw(st.sampled_from(WRONG))}
    try:
        read = read_fact(fact.type, forged)
    except MalformedEvent:
        return
    assert read.data() == forged
    assert canonical(read.data()) == canonical(forged)


@pytest.mark.parametrize(("member", "value"), [
    ("signature", "01890A5D-AC96-774B-BCCE-B302099A8057"),  # upper case
    ("signature", "{01890a5d-ac96-774b-bcce-b302099a8057}"),
    ("signature", "01890a5dac96774bbcceb302099a8057"),
    ("signer_ref", "AAAAAAAAAAAAAAAAAAAAAA"),  # not padded
    ("signer_ref", "AAAAAAAAAAAAAAAAAAAAAB=="),  # spare bits
    ("signer_ref", "A" * 43 + "="),  # too long
    ("pii_commit", "____________________________________________"),  # the other alphabet
    ("confirmed", 1),
    ("confirmed", "true"),
    ("channel", "phone"),
    ("kind", "bot"),
    ("text_version", 0),
    ("text_version", True),
    ("country", "gb"),
    ("country", "GBR"),
    ("region", ".x"),
    ("name", "a person has none"),
    ("reference", "a person has none"),
    ("answers", {}),
    ("answers", {"Q": "yes"}),
    ("answers", {"q": "yes\n"}),
    ("answers", []),
])  # fmt: skip
def test_a_signature_is_written_in_one_way_only(member: str, value: Any) -> None:
    """If a member of a signature is spelled in any other way than the one, then it is refused."""
    said: dict[str, Any] = {
        "signature": "01890a5d-ac96-774b-bcce-b302099a8057",
        "signer_ref": "AAAAAAAAAAAAAAAAAAAAAA==",
        "pii_commit": "A" * 43 + "=",
        "confirmed": True,
        "channel": "site",
        "kind": "person",
        "text_version": 1,
        "at_known": True,
    }
    assert read_fact("signature.recorded.v1", said).data() == said
    with pytest.raises(MalformedEvent):
        read_fact("signature.recorded.v1", {**said, member: value})


@pytest.mark.parametrize("change", [
    {"goals": [2, 1]},
    {"milestones": [1, 1]},
    {"goals": [0]},
    {"public_fields": ["answers"]},  # without questions
    {"questions": {"q": ["yes"]}},  # without their public field
    {"opens_at": "2024-01-02T00:00:00.000000Z", "closes_at": "2024-01-02T00:00:00.000000Z"},
    {"opens_at": "2024-01-02T00:00:00Z"},
    {"opens_at": "2024-01-02T00:00:00.000000+00:00"},
    {"title": ""},
    {"title": "two\nlines"},
    {"title": "two\u2028lines"},
    {"addressee": "x" * 501},
    {"text_sha256": "A" * 64},
    {"identity_policy": {"name": "strict"}},
    {"identity_policy": "strict/1"},
])  # fmt: skip
def test_a_petition_that_contradicts_itself_is_refused(change: dict[str, Any]) -> None:
    """If what a petition says of itself cannot be, then it is no event."""
    said: dict[str, Any] = {
        "title": "T",
        "addressee": "",
        "basis": "itemised",
        "goals": [1, 2],
        "milestones": [],
        "confirmation": "none",
        "timezone": "UTC",
        "identity_policy": {"name": "strict", "version": 1},
        "public_fields": ["country"],
        "provenance": "live",
    }
    assert read_fact("petition.opened.v1", said).data() == said
    with pytest.raises(MalformedEvent):
        read_fact("petition.opened.v1", {**said, **change})
    with pytest.raises(ValidationError):
        PetitionOpened.model_validate({**said, **change})


def test_models_do_not_change() -> None:
    """If somebody sets a member of a fact, then that is an error."""
    fact = CATALOGUE["acceptance.changed.v1"].model_validate({"acceptance": "open"})
    with pytest.raises(ValidationError):
        fact.acceptance = "closed"  # type: ignore[union-attr, misc]


# -- the JSON Schemas --------------------------------------------------------------------------------------------------


def test_the_schemas_in_the_docs_are_those_of_the_code() -> None:
    """If a type changes, then its schema in `docs/schemas/` says so: write it anew with `python -m
    schemas.json_schema`."""
    written = {path.stem: path.read_text(encoding="utf-8") for path in (DOCS / "schemas").glob("*.json")}
    assert written == {name: text_of(schema) for name, schema in documents().items()}


def test_the_docs_name_every_type_and_every_member() -> None:
    """If a type or a member is in the catalogue, then `docs/events.md` has a line for it, and for no other type."""
    text = (DOCS / "events.md").read_text(encoding="utf-8")
    headings = [line.removeprefix("### `").removesuffix("`") for line in text.splitlines() if line.startswith("### ")]
    assert headings == list(CATALOGUE)
    sections = dict(zip(headings, text.split("\n### ")[1:], strict=True))
    for type_, model in CATALOGUE.items():
        rows = [line.split("|")[1].strip() for line in sections[type_].splitlines() if line.startswith("| `")]
        assert rows == [f"`{name}`" for name in model.model_fields], type_


@given(events())
def test_the_schemas_take_every_event(event: dict[str, Any]) -> None:
    """If an event is one of the catalogue, then the schemas take it; and with a member too many, they do not."""
    jsonschema = pytest.importorskip("jsonschema")
    referencing = pytest.importorskip("referencing")
    registry = referencing.Registry().with_resources(
        (f"{name}.json", referencing.Resource.from_contents(schema)) for name, schema in documents().items()
    )
    validator = jsonschema.Draft202012Validator(documents()["envelope"], registry=registry)
    document = json.loads(leaf_of(event))
    validator.validate(document)
    assert not validator.is_valid({**document, "email": "x"})
    assert not validator.is_valid({**document, "data": {**document["data"], "email": "x"}})
    assert not validator.is_valid({**document, "version": 0})
