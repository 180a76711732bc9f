"""Canonical bytes: one document, one form, and everything else refused without being repeated."""

import dataclasses
import datetime
import enum
import json
import traceback
from typing import Any

import orjson
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from schemas.canonical import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_INTEGER,
    Malformed,
    NotCanonical,
    OutsideProfile,
    canonical,
    from_base64,
    parse,
    render,
    strict_json,
    to_base64,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
KEYS = st.text(st.characters(min_codepoint=1, max_codepoint=127), max_size=8)
SCALARS = st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | TEXTS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
).filter(lambda value: depth(value) < MAX_DEPTH)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=5)


def depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


@given(DOCUMENTS)
def test_canonical_bytes_are_those_of_an_independent_rfc_8785_implementation(document: dict[str, Any]) -> None:
    """If a document lies within the profile, then our bytes are the bytes of the `rfc8785` package."""
    assert canonical(document) == render(document) == rfc8785.dumps(document)


def test_every_character_is_escaped_as_rfc_8785_says() -> None:
    """If a text holds any one character but NUL and surrogates, then it is written as RFC 8785 section 3.2.2.2 says."""
    short = {8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r", 0x22: '\\"', 0x5C: "\\\\"}
    for code in [*range(1, 0xD800), *range(0xE000, 0x11000), 0x1F600, 0xE0001, 0x10FFFF]:
        written = short.get(code) or (f"\\u{code:04x}" if code < 0x20 else chr(code))
        assert canonical(chr(code)) == f'"{written}"'.encode(), hex(code)


@given(DOCUMENTS)
def test_parsing_gives_back_what_was_written(document: dict[str, Any]) -> None:
    """If canonical bytes are parsed, then the same document comes back."""
    assert parse(canonical(document)) == document
    assert strict_json(canonical(document)) == document


@given(DOCUMENTS, st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_matter(document: dict[str, Any], random: Any) -> None:
    """If the same members arrive in another order, then the bytes are the same."""
    members = list(document.items())
    random.shuffle(members)
    assert canonical(dict(members)) == canonical(document)


@given(DOCUMENTS)
def test_only_the_canonical_form_is_parsed(document: dict[str, Any]) -> None:
    """If the same document is written in any other form, then it is refused, unless it happens to be canonical."""
    for other in (
        json.dumps(document).encode(),
        json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode(),
        json.dumps(document, sort_keys=True, separators=(",", ":")).encode(),
    ):
        assert strict_json(other) == document
        if other != canonical(document):
            with pytest.raises(OutsideProfile):
                parse(other)


@given(st.binary(max_size=60) | st.text('{}[]":,0123456789eE+-.\\un \nabtrfals', max_size=30).map(str.encode))
def test_whatever_is_parsed_is_canonical(data: bytes) -> None:
    """If any bytes at all are parsed, then they are exactly the canonical bytes of the result, else NotCanonical."""
    try:
        document = parse(data)
    except NotCanonical:
        return
    assert canonical(document) == data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"{}{}",
        b'{"a":1,}',
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\0}\0",
        b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\x01"}',
        b"[" * 5000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'{"a":' + b"9" * 5000 + b"}",
        b"{'a':1}",
        b'{"a":01}',
        b'{"a":"' + b"x" * MAX_BYTES + b'"}',
    ],
)
def test_what_is_not_json_is_malformed_for_both_readers(data: bytes) -> None:
    """If bytes are no JSON document, or out of all bounds, then both readers refuse them."""
    with pytest.raises(NotCanonical):
        parse(data)
    with pytest.raises(Malformed):
        strict_json(data)


@pytest.mark.parametrize(
    "data", [b'{"a":1,"a":1}', b'{"a":1,"\\u0061":2}', b'{"b":{"a":1,"c":2,"a":3}}', b'[{"a":1,"a":2}]']
)
def test_a_key_written_twice_is_refused(data: bytes) -> None:
    """If an object anywhere names a key twice, even spelled differently, then both readers refuse it."""
    with pytest.raises(NotCanonical):
        parse(data)
    with pytest.raises(Malformed):
        strict_json(data)


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1.5}',
        b'{"a":1.0}',
        b'{"a":1e2}',
        b'{"a":-0.0}',
        b'{"a":1e999}',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":9007199254740992}',
        b'{"a":-9007199254740992}',
        b'{"a":18446744073709551616}',
        b'{"a":"\\u0000"}',
        b'{"a":"\\ud800"}',
        b'{"a":"\\udc00\\ud800"}',
        b'{"\\u0000":1}',
        '{"ä":1}'.encode(),
    ],
)
def test_values_outside_the_profile_are_refused_by_both_readers(data: bytes) -> None:
    """If a document carries a float, a big integer, NUL, a lone surrogate or a foreign key, then it is refused."""
    with pytest.raises(NotCanonical):
        parse(data)
    with pytest.raises(OutsideProfile):
        strict_json(data)


@pytest.mark.parametrize(
    "data", [b"null", b"[]", b"1", b'"a"', b'{"a":-0}', b'{"a":1} ', b'{"a":"\\/"}', b'{"a":"\\u0041"}']
)
def test_other_forms_of_good_documents_are_not_canonical(data: bytes) -> None:
    """If a document is good JSON but no object, or not in canonical form, then only `parse` refuses it."""
    strict_json(data)
    with pytest.raises(OutsideProfile):
        parse(data)


class Colour(enum.StrEnum):
    RED = "red"


class Small(enum.IntEnum):
    ONE = 1


@dataclasses.dataclass
class Pair:
    a: int


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        float("nan"),
        b"bytes",
        2**53,
        -(2**53),
        2**70,
        "\0",
        "a\ud800",
        {"ä": 1},
        {1: 1},
        {"a\0": 1},
        {"\ud800": 1},
        Colour.RED,
        Small.ONE,
        Pair(1),
        datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
        {"a": {1, 2}},
        {Colour.RED: 1},
    ],
)
def test_values_without_one_canonical_form_are_refused(value: object) -> None:
    """If a value has no form in the profile, wherever it stands, then `canonical` refuses it."""
    for document in (value, {"a": value}, [0, [value]]):
        with pytest.raises(OutsideProfile):
            canonical(document)


@pytest.mark.parametrize("value", ["\0", "a\ud800", 2**53, 2**70, {1: 1}, "\\\0", "\\\\\0", b"bytes"])
def test_the_trusted_path_still_refuses_what_would_poison_the_log(value: object) -> None:
    """If a trusted value holds NUL, a surrogate, a big integer or no JSON at all, then `render` refuses it."""
    with pytest.raises(OutsideProfile):
        render({"a": value})


@pytest.mark.parametrize("text", ["\\u0000", "\\\\u0000", "a\\u0000b", "\\\\\\u0000"])
def test_a_text_that_spells_an_escape_is_not_mistaken_for_nul(text: str) -> None:
    """If a text contains a backslash and the letters u0000, then it is a text like any other."""
    assert parse(render({"a": text})) == {"a": text}


def test_depth_and_size_are_bounded_exactly() -> None:
    """If a document is 8 deep or 16 KiB long, then it is taken; one more of either, and it is refused."""
    assert parse(canonical(nested(MAX_DEPTH))) == nested(MAX_DEPTH)
    deeper = orjson.dumps(nested(MAX_DEPTH + 1))
    for refused in (lambda: canonical(nested(MAX_DEPTH + 1)), lambda: parse(deeper), lambda: strict_json(deeper)):
        with pytest.raises(Malformed):
            refused()
    longest = {"a": "x" * (MAX_BYTES - 8)}
    assert len(canonical(longest)) == MAX_BYTES
    assert parse(canonical(longest)) == longest
    for write in (canonical, render):
        with pytest.raises(Malformed):
            write({"a": "x" * (MAX_BYTES - 7)})
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(Malformed):
        canonical(cycle)


def test_a_reader_of_bodies_has_bounds_of_its_own() -> None:
    """If a caller names other bounds, then those hold."""
    data = orjson.dumps({"a": ["x" * MAX_BYTES]})
    assert strict_json(data, max_bytes=2 * MAX_BYTES, max_depth=2) == {"a": ["x" * MAX_BYTES]}
    with pytest.raises(Malformed):
        strict_json(data, max_bytes=2 * MAX_BYTES, max_depth=1)


@pytest.mark.parametrize(
    "refused",
    [
        lambda: canonical({"a": "canary@example.org\0"}),
        lambda: canonical({"canary@example.orgä": 1}),
        lambda: render({"a": "canary@example.org\ud800"}),
        lambda: parse(b'{"a": "canary@example.org"}'),
        lambda: parse(b'{"a": "canary@example.org'),
        lambda: strict_json(b'{"a": "canary@example.org'),
        lambda: strict_json(b'{"a": "canary@example.org\xff"}'),
        lambda: strict_json(b'{"canary@example.org":1,"canary@example.org":2}'),
        lambda: from_base64("canary@example.org"),
    ],
)
def test_a_refusal_never_repeats_what_was_refused(refused: Any) -> None:
    """If anything is refused, then neither the reason nor any exception that stays chained to it holds the input."""
    with pytest.raises(NotCanonical) as refusal:
        refused()
    assert refusal.value.__context__ is None
    assert refusal.value.__cause__ is None
    assert "canary" not in "".join(traceback.format_exception_only(refusal.value))


@given(st.binary(max_size=80))
def test_base64_has_one_spelling(data: bytes) -> None:
    """If bytes are written as base64, then they come back, and every other spelling is refused."""
    text = to_base64(data)
    assert from_base64(text) == data
    for other in (text + "\n", " " + text, text + "=", text.rstrip("="), text.replace("+", "-").replace("/", "_")):
        if other != text:
            with pytest.raises(OutsideProfile):
                from_base64(other)


@pytest.mark.parametrize("text", ["QQ", "QR==", "QUJ=", "Q Q=", "QQ=\n=", "é===", "====", "QQ==QQ=="])
def test_base64_with_spare_bits_or_strangers_is_refused(text: str) -> None:
    """If a base64 text has spare bits set, white space, or padding out of place, then it is refused."""
    with pytest.raises(OutsideProfile):
        from_base64(text)
