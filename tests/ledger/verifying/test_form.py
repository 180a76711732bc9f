"""The form of events, which the verifier judges by itself: held against the catalogue, event by event."""

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.verify import DATA, Refused, read_event
from schemas.envelope import MalformedEvent
from schemas.envelope import read_event as read_by_the_catalogue
from schemas.events import CATALOGUE
from tests.ledger.verifying.bundles import Json, rendered
from tests.ledger.verifying.story import events, position, sound
from tests.schemas import facts

RECORDED = position("signature.recorded.v1")


def is_taken(leaf: bytes) -> bool:
    try:
        read_event(leaf)
    except Refused:
        return False
    return True


def is_of_the_catalogue(leaf: bytes) -> bool:
    try:
        read_by_the_catalogue(leaf)
    except MalformedEvent:
        return False
    return True


def test_every_type_of_the_catalogue_has_a_form() -> None:
    """If the catalogue gains a type or a member, then this fails until the verifier knows it."""
    assert DATA.keys() == CATALOGUE.keys()
    for type, model in CATALOGUE.items():
        assert DATA[type].members.keys() == model.model_fields.keys()
        written = {name for name, field in model.model_fields.items() if field.is_required()}
        assert DATA[type].required == written | ({"public_fields"} if type == "petition.opened.v1" else set())


@given(facts.events())
@settings(max_examples=100)
def test_what_the_catalogue_writes_is_taken(event: dict[str, Any]) -> None:
    """If a model of the catalogue wrote an event, then it has its form."""
    leaf = facts.leaf_of(event)
    assert read_event(leaf) == json.loads(leaf)


_TEXTS = [
    "person", "organisation", "answers", "1.0", "A" * 22 + "==", "A" * 43 + "=", "a" * 64, "a" * 201, "a" * 501,
    "2020-02-30", "2020-W01-1", "2020-01-01", "2020-02-29T24:00:00.000000Z", "2020-02-29T23:59:59.999999Z",
    "0000-01-01T00:00:00.000000Z", "https://a", "x\x00", "x\u2028", "ledger", "import:a", "0" * 20,
    "00000000-0000-0000-0000-000000000000", "",
]  # fmt: skip
_VALUES: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3),
    st.integers(2**53 - 2, 2**53 + 2),
    st.floats(allow_nan=False),
    st.text(max_size=3),
    st.sampled_from(_TEXTS),
    st.lists(st.sampled_from([1, 2, 3, "country", "yes", "answers", None]), max_size=3),
    st.dictionaries(st.sampled_from(["name", "version", "yes", "Å"]), st.sampled_from(["x", 1, ["yes"], {}])),
)


@given(facts.events(), st.data())
@settings(max_examples=200)
def test_it_is_as_strict_as_the_catalogue(event: dict[str, Any], data: st.DataObject) -> None:
    """If a member of an event is changed, taken out or put in, then the verifier refuses it where the catalogue does;
    and a 0 where `false` must stand, which the catalogue takes for it."""
    document = json.loads(facts.leaf_of(event))
    place = document if data.draw(st.booleans()) else document["data"]
    known = sorted({*document, *DATA[document["type"]].members, "more"})
    name = data.draw(st.sampled_from(known))
    if data.draw(st.booleans()) and name in place:
        del place[name]
    else:
        place[name] = data.draw(_VALUES)
    leaf = rendered(document)
    is_false = type(place.get("at_known")) is not int
    assert is_taken(leaf) == (is_of_the_catalogue(leaf) and is_false), leaf


@pytest.mark.parametrize(
    "spelled",
    [
        lambda leaf: leaf.replace(b'"actor"', b' "actor"'),
        lambda leaf: leaf + b"\n",
        lambda leaf: b"\xef\xbb\xbf" + leaf,
        lambda leaf: leaf[:-1] + b',"actor":"system"}',
        lambda leaf: leaf.replace(b'"confirmed":true', b'"confirmed":true,"confirmed":true'),
        lambda leaf: leaf.replace(b'"version":', b'"version":0'),
        lambda leaf: leaf.replace(b'"text_version":1', b'"text_version":1.0'),
        lambda leaf: leaf.replace(b'"text_version":1', b'"text_version":1e0'),
        lambda leaf: leaf.replace(b'"text_version":1', b'"text_version":' + b"1" * 5000),
        lambda leaf: leaf.replace(b'"text_version":1', b'"text_version":NaN'),
        lambda leaf: leaf.replace(b'"site"', b'"s\\u0069te"'),
        lambda leaf: leaf.replace(b'"channel"', b'"\\u0063hannel"'),
        lambda leaf: leaf.replace(b'"GB"', b'"G\\ud800"'),
        lambda leaf: leaf.replace(b'"GB"', b'"G\xff"'),
        lambda leaf: leaf.replace(b'"GB"', b"[" * 9000 + b"]" * 9000),
        lambda leaf: leaf.replace(b'"GB"', b"[" * 900 + b"]" * 900),
        lambda leaf: leaf.replace(b'"GB"', b'"' + b"G" * 17_000 + b'"'),
        lambda leaf: leaf[:-1],
        lambda leaf: leaf * 2,
        lambda _: b"",
        lambda _: b"[]",
        lambda _: b"null",
        lambda _: b"\x00" * 300,
    ],
)
def test_one_spelling_of_each_event(spelled: Any) -> None:
    """If an event is written in another way than the canonical one, then it is refused, in whatever way."""
    leaf = next(leaf for leaf in sound().leaves[RECORDED - 1 :] if b'"GB"' in leaf)
    assert is_taken(leaf)
    assert spelled(leaf) != leaf
    assert not is_taken(spelled(leaf))


def test_without_orjson_it_is_the_same() -> None:
    """If orjson is not installed, then the standard library takes and refuses the same leaves."""
    leaves = [sound().leaves[RECORDED - 1], rendered({**events()[0], "data": {"title": 'Å \\ " \x1f'}})]
    for change in (
        b'{"a":1}',
        b"[",
        b"[" * 100_000,
        b'"\\ud800"',
        b'{"a":1,"a":1}',
        b"1e400",
        b'{"\xff":1}',
        b"9" * 5000,
    ):
        leaves += [change, leaves[0].replace(b'"GB"', change)]
    program = (
        "import sys; sys.modules['orjson'] = None\n"
        "from ledger.verify import read_event, Refused, loads, render\n"
        "for line in sys.stdin.read().split():\n"
        "    leaf = bytes.fromhex(line)\n"
        "    try:\n"
        "        read_event(leaf); print('taken')\n"
        "    except Refused as refused:\n"
        "        print(refused)\n"
    )
    given = "\n".join(leaf.hex() for leaf in leaves)
    told = subprocess.run([sys.executable, "-c", program], input=given, capture_output=True, text=True, check=True)
    assert [line == "taken" for line in told.stdout.splitlines()] == [is_taken(leaf) for leaf in leaves]


def test_text_is_rendered_alike_with_and_without_orjson() -> None:
    """If a text holds whatever a title may, then both renderings are the same bytes."""
    titles = ["".join(map(chr, range(0x20, 0x7F))), "Å\u00a0\u2027\u2030\ufeff\U0001f600", "\u202e"]
    opened: Json = events()[0]
    for title in titles:
        leaf = rendered({**opened, "data": {**opened["data"], "title": title}})  # by the standard library
        assert is_taken(leaf)
