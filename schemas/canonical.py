"""Canonical bytes: the one form in which an event, an identity or any other hashed document is written.

RFC 8785 (JSON Canonicalization Scheme) restricted to a profile in which no two implementations can disagree: object
keys are ASCII, integers lie within 2^53-1 of zero, and there are no floats, no duplicate keys, no lone surrogates, no
NUL; at most 8 containers deep and 16 KiB long. Text is written as it came: no Unicode normalisation. Binary travels
as padded standard base64.

Within the profile, sorting keys by UTF-8 bytes (orjson) is sorting them by UTF-16 code units (RFC 8785 section 3.2.3),
and the escapes agree byte for byte (section 3.2.2.2); the tests hold it against an independent implementation.

This module must never echo what it refuses: a reason says what is wrong, not what was written, and no exception that
holds the input stays chained to ours. It must never repair: what is not canonical is refused, not re-rendered.
"""

import binascii
import json
import re
from typing import Any, Final

import orjson

MAX_BYTES: Final = 16 * 1024
MAX_DEPTH: Final = 8
MAX_INTEGER: Final = 2**53 - 1

_OPTIONS: Final = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER
# U+0000 as JSON writes it, and not the six letters of a text that holds a backslash of its own (an escaped pair).
_ESCAPED_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
# No machine integer has more digits; a longer one is an attack on the parser, not a number out of bounds.
_MAX_INTEGER_TEXT: Final = 20


class NotCanonical(ValueError):
    """The value or the bytes do not lie within the profile. The message is a reason that never echoes them.

    NotCanonical
    |-- Malformed        not a JSON document that two readers read alike: syntax, encoding, duplicate keys, depth, size
    `-- OutsideProfile   a JSON document, but with a value that no event may carry, or not in its canonical form
    """


class Malformed(NotCanonical):
    """Not a JSON document that two readers would read alike."""


class OutsideProfile(NotCanonical):
    """A JSON document with a value that the profile does not know, or that is not in its canonical form."""


def canonical(value: object) -> bytes:
    """The canonical bytes of a value built of dict, list, tuple, str, int, bool and None, checked against the profile.

    Only those exact types: an enum, a date or a subclass has no form of its own: its owner must choose one.
    Raises Malformed (depth, size) or OutsideProfile (all else).
    """
    _check(value, MAX_DEPTH)
    return render(value)


def render(value: object) -> bytes:
    """The canonical bytes of a value that the caller built itself, for bulk paths: trusted, not searched.

    It looks only at what costs next to nothing: length, NUL, integers beyond 2^53-1, lone surrogates, keys that are no
    text. Floats, keys beyond ASCII and depth are the caller's promise: for anything else there is `canonical`.
    """
    try:
        rendered = orjson.dumps(value, option=_OPTIONS)
    except TypeError:
        rendered = b""  # refused below, outside the handler: what orjson raised stays behind
    if not rendered:
        raise OutsideProfile("a value, key, integer or text is outside the profile of canonical JSON")
    if len(rendered) > MAX_BYTES:
        raise Malformed(f"the document is longer than {MAX_BYTES} bytes")
    if b"\\u0000" in rendered and _ESCAPED_NUL.search(rendered):
        raise OutsideProfile("a text contains NUL")
    return rendered


def parse(data: bytes) -> dict[str, Any]:
    """The object that these canonical bytes hold.

    Whatever is not byte for byte the canonical form of what it says is refused, which catches white space, key order,
    duplicate keys, other escapes, `-0`, `1.0` and `1e2` by one rule. Raises Malformed or OutsideProfile.
    """
    if len(data) > MAX_BYTES:
        raise Malformed(f"the document is longer than {MAX_BYTES} bytes")
    value: Any = None
    syntax = True
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        syntax = False  # raised below, outside the handler: the decoder's exception holds the whole document
    if not syntax:
        raise Malformed("the document is not JSON in UTF-8")
    if type(value) is not dict:
        raise OutsideProfile("the document is not an object")
    _check(value, MAX_DEPTH)
    if render(value) != data:
        raise OutsideProfile("the document is not in canonical form")
    return value


def strict_json(data: bytes, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> Any:
    """The value of a JSON document that people or sites wrote, read without the latitude that JSON parsers take.

    Layout, key order and escapes are free; the rest of the profile holds. Malformed: over size or depth, not UTF-8, a
    byte order mark, bad syntax, a duplicate key, an integer of more than 20 characters. OutsideProfile: floats, NaN and
    Infinity, integers beyond 2^53-1, NUL, lone surrogates, keys that are not ASCII.
    """
    if len(data) > max_bytes:
        raise Malformed(f"the document is longer than {max_bytes} bytes")
    value: Any = None
    reason: str | None = None
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_without_duplicates, parse_int=_integer)
    except UnicodeDecodeError:
        reason = "the document is not UTF-8"
    except json.JSONDecodeError:
        reason = "the document is not JSON"
    except RecursionError:
        reason = f"the document is nested more than {max_depth} deep"
    if reason is not None:  # outside the handlers: the decoders' exceptions hold the whole document
        raise Malformed(reason)
    _check(value, max_depth)
    return value


def to_base64(data: bytes) -> str:
    """Padded standard base64 (RFC 4648 section 4) on one line."""
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def from_base64(text: str) -> bytes:
    """The bytes of a base64 text in the one form that `to_base64` writes: padded, standard, its spare bits zero.

    RFC 4648 section 3.5 lets a decoder accept other spellings; here one value has one text. Raises OutsideProfile.
    """
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:  # binascii.Error too
        data = b""
    if to_base64(data) != text:
        raise OutsideProfile("a text is not canonical padded base64")
    return data


def _check(value: Any, depth: int) -> None:
    """Raises unless the value lies within the profile, with at most `depth` containers inside one another."""
    kind = type(value)
    if kind is str:
        _check_text(value)
    elif kind is int:
        if not -MAX_INTEGER <= value <= MAX_INTEGER:
            raise OutsideProfile("an integer is beyond 2^53-1")
    elif kind is dict:
        _check_depth(depth)
        for key, member in value.items():
            _check_key(key)
            _check(member, depth - 1)
    elif kind is list or kind is tuple:
        _check_depth(depth)
        for member in value:
            _check(member, depth - 1)
    elif kind is float:
        raise OutsideProfile("a number is not an integer written as one")
    elif kind is not bool and value is not None:
        raise OutsideProfile("a value is of a type that canonical JSON does not know")


def _check_depth(left: int) -> None:
    if left == 0:
        raise Malformed("the document is nested too deep")


def _check_key(key: object) -> None:
    if type(key) is not str or not key.isascii():
        raise OutsideProfile("a key is not ASCII text")
    if "\0" in key:
        raise OutsideProfile("a key contains NUL")


def _check_text(text: str) -> None:
    if "\0" in text:
        raise OutsideProfile("a text contains NUL")
    if not text.isascii() and _SURROGATE.search(text):
        raise OutsideProfile("a text contains a lone surrogate")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Malformed("an object has the same key twice")
    return members


def _integer(text: str) -> int:
    if len(text) > _MAX_INTEGER_TEXT:
        raise Malformed("an integer has too many digits")
    return int(text)
