"""Verify: what an audit bundle of a signature ledger proves, checked offline and from its bytes alone.

    python -m ledger.verify DIR --vkey FILE|STRING [--petition ID] [--since NOTE] [--witness VKEY]

One file on purpose, with nothing of the ledger's own code in it: Python's standard library, `cryptography` for Ed25519,
and orjson where it is installed. Whoever does not trust the ledger reads this, or writes it again. In order of reading:

  1. Findings     what is wrong, where, and the report
  2. Heads        signed notes: C2SP signed-note, tlog-checkpoint, tlog-cosignature
  3. The tree     RFC 6962 section 2.1, and the files of C2SP tlog-tiles
  4. Form         what an event may look like, byte by byte
  5. Rules        what may follow what, and what each event adds to its petition's count
  6. Projections  the rows that the bundle claims, folded again, naively
  7. The audit    a whole bundle, or one petition alone
  8. The call

The law
  * The leaves are the only source. Hashes, heads, numbers and rows are computed from them and compared with what is
    stated; nothing that is stated is used to compute anything.
  * An event is taken as it is stated, legal or not: what it should not have said is a finding, and the fold goes on
    from what it did say, so that one wrong event is found once.
  * Whatever is malformed is a finding, never an exception. Nothing of the bundle is printed but names and numbers, and
    these without control characters.
  * A finding about one event stands at its position; one about something that covers several (a head, a hash above the
    first level, a row) at the last of them. So the first position that is named is the first that diverges.
  * Memory grows by some 100 bytes a signature: a million events pass in less than 256 MB.
"""

import argparse
import hashlib
import hmac
import os
import re
import sys
from array import array
from binascii import a2b_base64, b2a_base64
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

try:
    import orjson

    def loads(data: bytes) -> Any:
        """The value of a JSON document in UTF-8. Raises ValueError."""
        return orjson.loads(data)

    def render(value: object) -> bytes:
        """Canonical JSON (RFC 8785), where there are no floats. Raises ValueError or TypeError."""
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER)
except ImportError:  # slower, and otherwise the same
    import json

    def loads(data: bytes) -> Any:
        return json.loads(data.decode())

    def render(value: object) -> bytes:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


LARGEST: Final = 2**53 - 1
WIDTH: Final = 256  # hashes of a full tile, entries of a full bundle
LONGEST_LEAF: Final = 16 * 1024
LONGEST_NOTE: Final = 128 * 1024
LONGEST_CLAIM: Final = 256 * 1024 * 1024  # a file of a projection
KEPT: Final = 10  # findings of one kind; the others are counted

Json = dict[str, Any]
Row = dict[str, Any]
sha256 = hashlib.sha256


# -- 1. Findings -------------------------------------------------------------------------------------------------------


class WrongCall(Exception):
    """What was asked makes no sense: no such directory, a text that is no key."""


class Refused(Exception):
    """What was read has not its one form. The message is a sentence, without what was read."""


class Finding(NamedTuple):
    """Something that is wrong: at which position (None: at none that can be named), in what, and a sentence."""

    position: int | None
    where: str
    sentence: str


@dataclass
class Report:
    """What came of it. `proved` says how much of what was checked, `not_proved` are sentences."""

    head: "Head | None" = None
    findings: list[Finding] = field(default_factory=list)
    first: int | None = None  # the first divergent position, where one can be named
    proved: dict[str, int] = field(default_factory=dict)
    not_proved: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)

    def find(self, kind: str, position: int | None, where: str, sentence: str) -> None:
        """Add a finding; it is kept if there are not many of its kind yet."""
        self.kinds[kind] += 1
        if position is not None and (self.first is None or position < self.first):
            self.first = position
        if self.kinds[kind] <= KEPT:
            self.findings.append(Finding(position, printable(where), printable(sentence)))

    @property
    def total(self) -> int:
        """How many findings there are, those that were only counted among them."""
        return self.kinds.total()


def printable(text: str) -> str:
    """A text of the bundle as it may be shown: in ASCII, without control characters, and not at length."""
    return ascii(text[:300])[1:-1]


# -- 2. Heads ----------------------------------------------------------------------------------------------------------

SEAL: Final = 1  # C2SP signed-note: Ed25519 over the text
COSIGNATURE: Final = 4  # C2SP tlog-cosignature: Ed25519 over a time and the text
digits = re.compile("0|[1-9][0-9]{0,15}", re.ASCII).fullmatch
vkey_form = re.compile(r"([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)").fullmatch


class Key(NamedTuple):
    """A key that the auditor trusts: the ledger's, or a witness's."""

    name: str
    id: bytes
    algorithm: int
    public: bytes


class Head(NamedTuple):
    """The log of this origin has this many leaves and this root. Which witnesses saw it when (by their keys: two may
    bear one name); how many lines of others it bears."""

    origin: str
    size: int
    root: bytes
    cosigned: tuple[tuple[Key, int], ...] = ()
    unlisted: int = 0


def read_keys(given: Iterable[str]) -> list[Key]:
    """The keys of vkeys, and of files that hold some, one a line. Raises WrongCall."""
    keys: dict[tuple[str, bytes], Key] = {}
    for text in given:
        if vkey_form(text) is None and "\n" not in text:
            try:
                text = Path(text).read_text(encoding="utf-8")
            except (OSError, ValueError):
                raise WrongCall("what was given is neither a vkey nor a file that can be read") from None
        for key in map(read_key, text.split()):
            keys[key.name, key.id] = key
    return list(keys.values())


def read_key(text: str) -> Key:
    """The key of a vkey: `name+id+base64(algorithm || public key)` (C2SP signed-note). Raises WrongCall."""
    form = vkey_form(text)
    material = from_base64(form[3]) if form else None
    if form is None or material is None or len(material) != 33 or material[0] not in (SEAL, COSIGNATURE):
        raise WrongCall("a vkey is a name, eight hex digits and the base64 of an Ed25519 key, with plus signs between")
    # signed-note, "Signatures": the id is SHA-256(name || 0x0A || algorithm || public key)[:4].
    if sha256(form[1].encode() + b"\n" + material).digest()[:4].hex() != form[2]:
        raise WrongCall("the id of a vkey is not that of its name and key: it was mistyped or cut")
    if is_weak(material[1:]):
        raise WrongCall("a key is no point of the curve, or of small order: anybody could sign for it")
    return Key(form[1], bytes.fromhex(form[2]), material[0], material[1:])


def is_weak(public: bytes) -> bool:
    """Whether some signatures hold for many texts under this Ed25519 key: eight times its point is the neutral one.
    Also a y outside the field, or, as far as doubling shows it, off the curve (RFC 8032 section 5.1)."""
    field = 2**255 - 19
    d = -121665 * pow(121666, -1, field) % field
    y = int.from_bytes(public, "little") & (2**255 - 1)  # the highest bit is the sign of x
    if y >= field:
        return True
    try:
        for _ in range(3):
            xx = (y * y - 1) * pow(d * y * y + 1, -1, field) % field
            y = (y * y + xx) * pow(2 - y * y + xx, -1, field) % field
    except ValueError:  # no inverse of zero: on the curve there is always one
        return True
    return y == 1


def to_base64(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode()


def from_base64(text: str) -> bytes | None:
    """The bytes of a text in padded standard base64; None where it is not in the one canonical form."""
    try:
        data = a2b_base64(text, strict_mode=True)
    except ValueError:
        return None
    return data if to_base64(data) == text else None


def open_head(note: bytes, keys: Sequence[Key]) -> Head:
    """The head of a note that at least one listed key of its origin has sealed. Raises Refused.

    C2SP signed-note: text, blank line, lines of signatures. Lines of keys that are not listed say nothing; one of a
    listed key must hold, and stand there once. C2SP tlog-checkpoint: exactly three lines of text.
    """
    try:
        text, blank, signatures = note.decode("utf-8").rpartition("\n\n")
    except UnicodeDecodeError:
        raise Refused("the note is not UTF-8") from None
    if len(note) > LONGEST_NOTE or re.search("[\x00-\x09\x0b-\x1f]", text + signatures):
        raise Refused("the note is too long, or holds control characters")
    lines = text.split("\n")
    if not blank or not signatures.endswith("\n") or len(lines) != 3:
        raise Refused("a note is three lines, a blank one, and lines of signatures")
    origin, size, root = lines[0], lines[1], from_base64(lines[2])
    if not origin or not digits(size) or int(size) > LARGEST or root is None or len(root) != 32:
        raise Refused("a note names an origin, a size in plain digits, and a root of 32 bytes in canonical base64")
    listed = {(key.name, key.id): key for key in keys}
    signed: dict[Key, int] = {}
    unlisted = 0
    for line in signatures[:-1].split("\n"):
        dash, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        blob = from_base64(encoded)
        if dash != "—" or "+" in name or name.split() != [name] or blob is None or len(blob) < 5:
            raise Refused("a line of signatures is a dash, a name, and canonical base64 of a key id and a signature")
        key = listed.get((name, blob[:4]))
        if key is None:
            unlisted += 1
        elif key in signed:
            raise Refused("a key has two lines in the note")
        else:
            signed[key] = check_signature(key, blob[4:], (text + "\n").encode())
    if not any(key.algorithm == SEAL and key.name == origin for key in signed):
        raise Refused("no listed key of the note's origin has sealed it")
    cosigned = tuple((key, time) for key, time in signed.items() if key.algorithm == COSIGNATURE)
    return Head(origin, int(size), root, cosigned, unlisted)


def check_signature(key: Key, signature: bytes, body: bytes) -> int:
    """Hold a signature against the text; the time that a cosignature states, else 0. Raises Refused."""
    time = 0
    if key.algorithm == COSIGNATURE:  # tlog-cosignature: eight bytes of time, then the signature over it and the text
        time, signature = int.from_bytes(signature[:8], "big"), signature[8:]
        body = b"cosignature/v1\ntime %d\n" % time + body
    try:
        if time >= 2**63:
            raise InvalidSignature
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, body)
    except InvalidSignature:
        raise Refused("the signature of a listed key does not hold") from None
    return time


def read_notes(file: Iterable[bytes]) -> Iterator[bytes]:
    """The notes of `checkpoints`, between lines `---`, one at a time in memory; one that is too long is cut."""
    note = bytearray()
    for line in file:
        if line == b"---\n":
            yield bytes(note)
            note.clear()
        elif len(note) <= LONGEST_NOTE:
            note += line
    yield bytes(note)


# -- 3. The tree -------------------------------------------------------------------------------------------------------


def node_hash(left: bytes, right: bytes) -> bytes:
    """RFC 6962 section 2.1: SHA-256(0x01 || left || right)."""
    return sha256(b"\x01" + left + right).digest()


class Tree:
    """The tree over the leaves so far. `tiles[L]` are the hashes of the tile of level L that is not full yet."""

    def __init__(self) -> None:
        self.size = 0
        self.tiles: list[list[bytes]] = [[]]
        self._complete: list[bytes] = []  # the complete subtrees, from the largest to the smallest

    def append(self, node: bytes) -> None:
        """One leaf hash more. A subtree is complete when its last leaf is there: join as often as the count halves."""
        self.tiles[0].append(node)
        count, height = self.size, 0
        while count & 1:
            node = sha256(b"\x01" + self._complete.pop() + node).digest()
            count >>= 1
            height += 1
            if not height & 7:  # a hash of a tile: of 256, 256^2, ... leaves
                if len(self.tiles) == height >> 3:
                    self.tiles.append([])
                self.tiles[height >> 3].append(node)
        self._complete.append(node)
        self.size += 1

    def root(self) -> bytes:
        """The complete subtrees, joined from the right. Of no leaves, SHA-256 of nothing."""
        if not self._complete:
            return sha256(b"").digest()
        node, *rest = reversed(self._complete)
        for left in rest:
            node = node_hash(left, node)
        return node


def tile_name(level: int | str, index: int, width: int) -> str:
    """The path of a tile, or of entries (C2SP tlog-tiles): groups of three digits, an `x` before all but the last."""
    groups = f"{index % 1000:03d}"
    while index := index // 1000:
        groups = f"x{index % 1000:03d}/{groups}"
    return f"tile/{level}/{groups}" + (f".p/{width}" if width < WIDTH else "")


tile_form = re.compile(r"tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?").fullmatch


def tile_place(name: str, size: int) -> str | None:
    """Why this path has no place in a tree of this size; None where it has."""
    form = tile_form(name)
    if form is None or len(name) > 100:
        return "a file that is no tile"
    level, index, width = form[1], int(re.sub("[x/]", "", form[2])), int(form[3] or WIDTH)
    if tile_name(level, index, width) != name:
        return "a file that is no tile"
    full, partial = divmod(size >> (0 if level == "entries" else 8 * int(level)), WIDTH)
    if (width == WIDTH and index < full) or (width == partial and index == full):
        return None
    return "a tile that the newest head does not need: superseded, or of another tree"


def split_entries(data: bytes, width: int) -> tuple[list[bytes], bool]:
    """The entries of a bundle, and whether it holds just these (C2SP tlog-tiles: big-endian uint16 length, bytes)."""
    leaves: list[bytes] = []
    at, end = 0, len(data)
    while at + 2 <= end and len(leaves) < width:
        start = at + 2
        at = start + (data[start - 2] << 8 | data[start - 1])
        if at > end:
            return leaves, False
        leaves.append(data[start:at])
    return leaves, at == end and len(leaves) == width


def inclusion_root(index: int, size: int, leaf_hash: bytes, proof: Sequence[bytes]) -> bytes | None:
    """The root to which an inclusion proof leads (RFC 9162 section 2.1.3.2); None where it has not its length."""
    node, last = leaf_hash, size - 1
    for sibling in proof:
        if last == 0:
            return None
        if index & 1 or index == last:
            node = node_hash(sibling, node)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        index, last = index >> 1, last >> 1
    return node if last == 0 else None


# -- 4. Form -----------------------------------------------------------------------------------------------------------

Check = Callable[[Any], Any]
"""Whether a JSON value may stand there. It may raise TypeError, KeyError or ValueError for one that may not."""

YEAR_1: Final = datetime(1, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
MINUTE: Final = 60_000_000
DAY: Final = 24 * 60 * MINUTE
LINE: Final = "[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]"
time_form = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{6}Z").fullmatch
twenty_digits = re.compile("[0-9]{20}").fullmatch
petition_id = re.compile("[a-z0-9][a-z0-9-]{0,99}").fullmatch


@lru_cache(maxsize=4096)
def instant(text: str) -> int:
    """The microseconds since the year 1, from 1, of a time in its one form. Raises ValueError or TypeError."""
    if not time_form(text):
        raise ValueError
    return (datetime.fromisoformat(text[:26] + "+00:00") - YEAR_1) // MICROSECOND + 1


class Form:
    """The members of an object: each of a form, and all there but those whose name is written with a `?`."""

    def __init__(self, text: str) -> None:
        named = [member.split(":") for member in text.split()]
        self.required = frozenset(name for name, _ in named if not name.endswith("?"))
        self.members: dict[str, Check] = {
            name.removesuffix("?"): FORMS.get(form) or frozenset(form.split("|")).__contains__ for name, form in named
        }

    def fits(self, value: Json) -> bool:
        """Whether these are its members, and each has its form."""
        try:
            for name, member in value.items():
                if not self.members[name](member):
                    return False
        except (TypeError, KeyError, ValueError):
            return False
        return self.required <= value.keys()


def pattern(text: str) -> Check:
    return re.compile(text).fullmatch


def integer(least: int) -> Check:
    return lambda value: type(value) is int and least <= value <= LARGEST


def list_of(form: Check, least: int, most: int) -> Check:
    return lambda value: type(value) is list and least <= len(value) <= most and all(map(form, value))


def pairs_of(form: Check, of: Check) -> Check:
    return lambda value: (
        type(value) is dict and 1 <= len(value) <= 20 and all(form(k) and of(v) for k, v in value.items())
    )


word = pattern("[a-z0-9][a-z0-9_-]{0,39}")
reasons = "duplicate|bot|disposable-address|false-identity|ineligible|test-entry|court-order|mistake|operator-error"
FORMS: Final[dict[str, Check]] = {
    "text": lambda value: type(value) is str,
    "object": lambda value: type(value) is dict,
    "bool": lambda value: type(value) is bool,
    "false": lambda value: value is False,
    "count": integer(0),
    "ordinal": integer(1),
    "line": pattern(LINE + "{0,500}"),
    "title": pattern(LINE + "{1,500}"),
    "headline": pattern(LINE + "{1,200}"),
    "word": word,
    "words": list_of(word, 0, LONGEST_LEAF),
    "fields": list_of({"country", "region", "answers"}.__contains__, 0, LONGEST_LEAF),
    "ladder": lambda value: list_of(integer(1), 0, 200)(value) and all(low < high for low, high in pairwise(value)),
    "policy": lambda value: type(value) is dict and Form("name:word version:ordinal").fits(value),
    "questions": pairs_of(word, list_of(word, 1, 50)),
    "answers": pairs_of(word, word),
    "reason": frozenset(reasons.split("|")).__contains__,
    "time": instant,
    "day": lambda value: re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", value) and date.fromisoformat(value),
    "zone": pattern("[A-Za-z0-9_+/-]{1,64}"),
    "url": pattern("https?://[!-~]{1,490}"),
    "country": pattern("[A-Z]{2}"),
    "region": pattern("[A-Za-z0-9][A-Za-z0-9._-]{0,39}"),
    "uuid": pattern("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    "hex32": pattern("[0-9a-f]{64}"),
    "base64x16": pattern("[A-Za-z0-9+/]{21}[AQgw]=="),  # the spare bits of the last digit are zero
    "base64x32": pattern("[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]="),
    "position": lambda value: twenty_digits(value) and 1 <= int(value) <= LARGEST,
    "origin": pattern("[!-*,-~]{1,200}"),
    "subject": petition_id,
    "actor": pattern("system|(?:site|admin|auditor|privacy|import):[A-Za-z0-9._-]{1,64}"),
}
ENVELOPE: Final = Form(
    "specversion:1.0 id:position source:origin type:text subject:subject time:time recordedtime:time version:ordinal"
    " prev?:base64x32 actor:actor data:object"
)
DATA: Final = {
    line.split(maxsplit=1)[0]: Form(line.split(maxsplit=1)[1])
    for line in """
petition.opened.v1       title:title addressee:line basis:itemised|observed goals:ladder milestones:ladder \
                         confirmation:none|required timezone:zone identity_policy:policy public_fields:fields \
                         provenance:live|observed|real-log|synthetic opens_at?:time closes_at?:time \
                         text_sha256?:hex32 questions?:questions
petition.revised.v1      title?:title addressee?:line goals?:ladder milestones?:ladder timezone?:zone opens_at?:time \
                         closes_at?:time text_version:ordinal text_sha256?:hex32
update.posted.v1         headline:headline reference?:url effective_on?:day
acceptance.changed.v1    acceptance:open|paused|closed|rejected
status.declared.v1       status:successful|unsuccessful|answered|certified reported_count?:count reference?:url \
                         effective_on?:day
signature.recorded.v1    signature:uuid signer_ref:base64x16 pii_commit:base64x32 confirmed:bool \
                         channel:site|paper|import kind:person|organisation name?:headline reference?:headline \
                         text_version:ordinal at_known:bool country?:country region?:region answers?:answers
signature.confirmed.v1   signature:uuid at_known?:false
signature.amended.v1     signature:uuid pii_commit:base64x32
signature.withdrawn.v1   signature:uuid at_known?:false
signature.invalidated.v1 signature:uuid correction:uuid reason:reason at_known?:false
signature.reinstated.v1  signature:uuid correction:uuid lifts:uuid reason:reason at_known?:false
correction.opened.v1     correction:uuid kind:invalidate|reinstate reason:reason conditions:words matched:count \
                         digest:hex32 approval:not-required|required|exempt notice_sha256?:hex32 lifts?:uuid \
                         reverses?:uuid
correction.approved.v1   correction:uuid digest:hex32
correction.completed.v1  correction:uuid applied:count skipped:count
correction.cancelled.v1  correction:uuid applied:count skipped:count
count.observed.v1        count:count claim:milestone|status|page reference?:url at_known:bool
count.published.v1       count:count position:count
signer.erased.v1         signature:uuid mode:withdrawn|kept
log.continued.v1         old_origin:title old_size:count old_root:base64x32 reason:reason
""".strip().split("\n")
}


def read_event(leaf: bytes) -> Json:
    """The event in a leaf, every rule of its form checked. Raises Refused.

    Canonical means: rendered again by RFC 8785 it is the same bytes, which leaves no room for white space, another
    order, a key twice, another escape. That there are no floats, no NUL and no depth follows from the forms, for each
    value of the document is one that a form names.
    """
    if len(leaf) > LONGEST_LEAF:
        raise Refused("it is longer than an event may be")
    try:
        event = loads(leaf)
        canonical = render(event) == leaf
    except (ValueError, TypeError, RecursionError):
        raise Refused("it is not JSON") from None
    if type(event) is not dict or not canonical:
        raise Refused("it is not in canonical form")
    if not ENVELOPE.fits(event):
        raise Refused("its attributes are not those of an event")
    type_, data = event["type"], event["data"]
    if (event["version"] == 1) == ("prev" in event):
        raise Refused("every event but a petition's first names the leaf before it")
    if type_ not in DATA:
        raise Refused("it is of a type that this verifier does not know")
    if not DATA[type_].fits(data):
        raise Refused(f"its data are not those of a {type_}")
    if (type_ == "log.continued.v1") != (event["subject"] == "ledger"):
        raise Refused("the subject `ledger` is for what is said of the whole log, and only that")
    if type_ == "signature.recorded.v1":
        if (data["kind"] == "organisation") != ("name" in data) or ("reference" in data and "name" not in data):
            raise Refused("an organisation has a public name, a person none")
    elif type_ == "petition.opened.v1":
        if ("questions" in data) != ("answers" in data["public_fields"]):
            raise Refused("questions and the public field `answers` go together")
        if "opens_at" in data and "closes_at" in data and data["closes_at"] <= data["opens_at"]:
            raise Refused("a petition closes after it opens")
    return event


# -- 5. Rules ----------------------------------------------------------------------------------------------------------

CONFIRMED, WITHDRAWN, ERASED = 1, 2, 4
NEVER, FOREVER = -(2**62), 2**62  # before and after every time
ALONE: Final = 100  # how many signatures one principal may correct within a day
COLUMNS: Final = ("standing", "recorded", "confirmed", "withdrawn", "invalidated", "reinstated")
COUNTED: Final = {f"signature.{name}.v1": column for column, name in enumerate(COLUMNS) if column}
OF_SIGNATURES: Final = {*COUNTED, "signature.amended.v1", "signer.erased.v1"}
FIXED: Final = ("basis", "confirmation", "provenance", "questions", "public_fields")
REVISABLE: Final = tuple(DATA["petition.revised.v1"].members)
OPENED: Final = ("reason", "matched", "approval", "notice_sha256", "lifts", "reverses")


class Table:
    """Keys of one width, numbered from 0 as they come: some 30 bytes a key where a dict takes 150."""

    def __init__(self, width: int) -> None:
        self.size = 0
        self._width = width
        self._keys = bytearray()
        self._mask = 1023
        self._slots = array("i", [-1]) * 1024

    def find(self, key: bytes, add: bool = False) -> int:
        """The number of a key; -1 where it is not there, or the next number, where it is to be added then."""
        keys, slots, mask, width = self._keys, self._slots, self._mask, self._width
        slot = hash(key) & mask
        while (number := slots[slot]) >= 0:
            if keys[number * width : number * width + width] == key:
                return number
            slot = (slot + 1) & mask
        if add:
            slots[slot] = self.size
            keys += key
            self.size += 1
            if 2 * self.size > mask:
                self._grow()
            return self.size - 1
        return -1

    def key(self, number: int) -> bytes:
        return bytes(self._keys[number * self._width : (number + 1) * self._width])

    def _grow(self) -> None:
        self._mask = mask = 2 * self._mask + 1
        del self._slots  # the old one makes room before the new one takes it
        self._slots = slots = array("i", [-1]) * (mask + 1)
        for number in range(self.size):
            slot = hash(self.key(number)) & mask
            while slots[slot] >= 0:
                slot = (slot + 1) & mask
            slots[slot] = number


@dataclass(slots=True)
class Correction:
    """One decision over a frozen set: the signatures that it moved so far, by number, and what that added. When it has
    ended: how many they were, and their digest."""

    petition: str
    actor: str
    said: Json
    waits: bool
    running: bool = True
    net: int = 0
    acted: set[int] = field(default_factory=set)
    moved: tuple[int, str] = (0, "")


class Petition:
    """A petition so far. `row` is its row of the projection `petitions`: what it says of itself, and its count."""

    def __init__(self, id: str, number: int) -> None:
        self.id = id
        self.number = number.to_bytes(4, "big")
        self.row: Row = {"version": 0, "count": 0, "basis": "", "position": 0}
        self.leaf_hash = ""
        self.doubted = 0  # the position of an event that its next one does not name
        self.acceptance = "open"
        self.changes: list[tuple[int, int, str]] = []  # of acceptance: effective, position, to what
        self.opens_at, self.closes_at, self.observed_at = NEVER, FOREVER, NEVER
        self.lines: list[Row] = []  # of the timeline
        self.ladders: list[tuple[int, list[int]]] = []  # from which position, which milestones
        self.named: set[int] = set()  # rungs that the timeline has named
        self.observations: list[tuple[str, int, str, Json]] = []  # effective, position, recorded, what
        self.moved = array("q")  # the positions at which the count moved, and what it was then
        self.counts = array("q")
        self.published = (0, 0)  # the last published count, and as of where
        self.corrected: list[tuple[int, str, int]] = []  # within a day: when, by whom, how many

    def takes(self, words: tuple[str, ...], at: int, recorded: int, imported: bool) -> bool:
        """Whether it takes this: imported events are judged at their effective time, live ones at their position."""
        if not imported:
            return self.opens_at <= recorded and self.acceptance in words
        by_then = [change for change in self.changes if change[0] <= at]
        return (max(by_then)[2] if by_then else "closed" if at < self.opens_at else "open") in words

    def stamp(self, rung: int) -> str:
        """A rung is reached: for the first time, or again."""
        again = rung in self.named
        self.named.add(rung)
        return "reached-again" if again else "reached"


class Fold:
    """Takes the events in order of position, says which rules they break, and keeps what the projections are made of.

    `alone`: the events are those of one petition; nothing is said of what stands between them.
    """

    def __init__(self, report: Report, alone: bool) -> None:
        self.report = report
        self.alone = alone
        self.source = self.recorded = self.subject = ""
        self.position = self.events = self.published = 0
        self.petitions: dict[str, Petition] = {}
        self.corrections: dict[str, Correction] = {}
        self.keys: dict[tuple[Any, ...], int] = {}  # what is counted apart: petition, channel, kind, country, ...
        self.sums: list[list[int]] = []
        self.owners: list[str] = []
        self.signatures = Table(16)  # and of each: state, key, set of holds, effective time
        self._states = bytearray()
        self._keys = array("I")
        self._held = array("I")
        self._effective = array("q")
        self._holds: dict[tuple[str, ...], int] = {(): 0}  # sets of corrections, numbered
        self._sets: list[tuple[str, ...]] = [()]
        self._signers = Table(20)  # by petition and signer_ref: the latest signature
        self._latest = array("I")

    def breaks(self, kind: str, sentence: str, position: int | None = None) -> None:
        """The event should not have said this."""
        self.report.find(kind, position or self.position, f"petition {self.subject}", sentence)

    def take(self, position: int, event: Json, leaf_hash: bytes) -> None:
        """The next event. It has its form; all else about it may be wrong."""
        type_, data, subject, recordedtime = event["type"], event["data"], event["subject"], event["recordedtime"]
        self.position, self.subject = position, subject
        self.events += 1
        at, recorded = instant(event["time"]), instant(recordedtime)
        if int(event["id"]) != position:
            self.breaks("position", "the event does not name the position at which it stands")
        if recordedtime < self.recorded:
            self.breaks("recorded-order", "it was recorded before the event before it")
        if at > recorded + MINUTE:
            self.breaks("times", "it is effective more than 60 seconds after it was recorded")
        if at != recorded and data.get("at_known") is False:
            self.breaks("times", "its time is not known, and yet not that of its recording")
        if event["source"] != self.source and self.source and type_ != "log.continued.v1" and not self.alone:
            self.breaks("source", "the origin changes without a continuation of the log")
        self.source, self.recorded = event["source"], recordedtime
        petition = self.petitions.get(subject)
        if petition is None:
            if type_ not in ("petition.opened.v1", "log.continued.v1"):
                self.breaks("first-event", "it is the first event of a petition, and does not open it")
                return
            petition = self.petitions[subject] = Petition(subject, len(self.petitions))
        elif type_ == "petition.opened.v1":
            self.breaks("first-event", "a petition is opened that is open already")
            type_ = ""
        row = petition.row
        self._chain(petition, event, leaf_hash)
        if petition.closes_at <= recorded and recordedtime != row["recorded"]:
            self._close(petition, event, data)
        delta, of_a_signature = 0, type_ in OF_SIGNATURES
        if of_a_signature:
            delta = self._signature(petition, type_, event, data, at, recorded)
        elif type_ == "count.observed.v1":
            delta = self._observe(petition, event, data, at)
        row["version"], row["position"], row["recorded"] = event["version"], position, recordedtime
        if delta:
            row["count"] = count = row["count"] + delta
            petition.moved.append(position)
            petition.counts.append(count)
            if count < 0:
                self.breaks("count", "the count is negative")
            if of_a_signature and petition.ladders:
                self._cross(petition, event, count - delta, count)
        if not of_a_signature:
            self._declare(petition, type_, event, data, at, recorded)

    def _cross(self, petition: Petition, event: Json, before: int, after: int) -> None:
        """In an itemised petition each event moves the count by one: a rung is crossed at one event."""
        rung = max(before, after)
        if rung in petition.ladders[-1][1]:
            crossing = petition.stamp(rung) if after > before else "fell-below"
            petition.named.add(rung)
            known = event["data"].get("at_known", True)
            self._line(petition, event, "milestone", {}, rung=rung, crossing=crossing, at_known=known)

    def _chain(self, petition: Petition, event: Json, leaf_hash: bytes) -> None:
        """Versions are dense, and each event names the leaf before it. Where it does not, one of the two was changed:
        the earlier one if the next link holds, else the later one, whose own hash is then another as well."""
        before, version = petition.row["position"], petition.row["version"]
        holds = event.get("prev", "") == petition.leaf_hash
        if event["version"] != version + 1:
            self.breaks("version", f"version {version} of the petition is followed by {event['version']}")
        elif not holds and not petition.doubted:
            petition.doubted = before
            before = 0
        if petition.doubted and before:
            self.breaks("chain", BROKEN, petition.doubted if holds else before)
            petition.doubted = 0
        petition.leaf_hash = to_base64(leaf_hash)

    def _close(self, petition: Petition, event: Json, data: Json) -> None:
        """Where the closing time has passed, and nobody has decided since, the first event of a batch, which is told by
        its recorded time, is the closing: effective then, by `system`."""
        decided = petition.changes[-1][0] if petition.changes else NEVER
        if decided < petition.closes_at and petition.acceptance in ("open", "paused"):
            closes = event["type"] == "acceptance.changed.v1" and data["acceptance"] == "closed"
            if not closes or instant(event["time"]) != petition.closes_at or event["actor"] != "system":
                self.breaks("closing", "the petition's closing time has passed, and it was not closed first")

    def end(self) -> None:
        """No event follows: where the last link of a chain is broken, it is told at the last event."""
        for petition in self.petitions.values():
            if petition.doubted:
                self.subject = petition.id
                self.breaks("chain", BROKEN, petition.row["position"])

    def _line(
        self, petition: Petition, event: Json, kind: str, detail: Json, *, count: int | None = None,
        rung: int | None = None, crossing: str | None = None, correction: str | None = None, at_known: bool = True,
    ) -> None:  # fmt: skip
        """A line of the timeline, at the position of this event."""
        petition.lines.append(
            {
                "petition": petition.id, "position": self.position, "ordinal": 0, "kind": kind,
                "at": event["time"] if at_known else None, "recorded_at": event["recordedtime"],
                "count": petition.row["count"] if count is None else count, "rung": rung, "crossing": crossing,
                "correction": correction, "detail": detail,
            }
        )  # fmt: skip

    # -- signatures

    def _signature(self, petition: Petition, type_: str, event: Json, data: Json, at: int, recorded: int) -> int:
        """What an event of a signature adds to the count: 1 where it now stands and did not, -1 the other way."""
        imported = event["actor"].startswith("import:")
        if petition.row["basis"] != "itemised":
            self.breaks("basis", "an event of a signature stands in an observed petition")
        id = bytes.fromhex(data["signature"].replace("-", ""))
        if type_ == "signature.recorded.v1":
            if not petition.takes(("open",), at, recorded, imported):
                self.breaks("acceptance", "the petition does not take signatures then")
            return self._record(petition, id, data, at)
        number = self.signatures.find(id)
        if number < 0 or self.owners[self._keys[number]] != petition.id:
            self.breaks("transition", "the petition has no such signature")
            return 0
        state, holds, does = self._states[number], self._sets[self._held[number]], ""
        stood = state & (CONFIRMED | WITHDRAWN) == CONFIRMED and not holds
        if state & ERASED and type_ not in ("signature.invalidated.v1", "signature.reinstated.v1"):
            self.breaks("transition", "something happens to a signature whose signer was erased")
        if type_ == "signature.confirmed.v1":
            if state & (CONFIRMED | WITHDRAWN):
                self.breaks("transition", "a signature is confirmed that is confirmed or withdrawn already")
            if not petition.takes(("open",), at, recorded, imported):
                self.breaks("acceptance", "the petition takes no confirmation then")
            state |= CONFIRMED
        elif type_ == "signature.withdrawn.v1":
            if state & WITHDRAWN:
                self.breaks("transition", "a signature is withdrawn twice")
            if not petition.takes(("open", "paused"), at, recorded, imported):
                self.breaks("acceptance", "the petition takes no withdrawal then")
            state |= WITHDRAWN
        elif type_ == "signature.invalidated.v1":
            does = "invalidate"
            if data["correction"] in holds:
                self.breaks("compensation", "a correction holds a signature that it holds already")
            holds = (*(hold for hold in holds if hold != data["correction"]), data["correction"])
        elif type_ == "signature.reinstated.v1":
            does = "reinstate"
            if data["lifts"] not in holds:
                self.breaks("compensation", "a hold is lifted that is not on the signature")
            holds = tuple(hold for hold in holds if hold != data["lifts"])
        elif type_ == "signer.erased.v1":
            if data["mode"] == "withdrawn" and not state & WITHDRAWN:
                self.breaks("transition", "a signer was erased as withdrawn who had not withdrawn")
            if data["mode"] == "kept" and petition.takes(("open", "paused"), at, recorded, imported):
                self.breaks("transition", "a signer was erased as kept while the petition took withdrawals")
            state |= ERASED
        if data.get("at_known", True):
            if at < self._effective[number]:
                self.breaks("times", "it is effective before the event of its signature that it follows")
            self._effective[number] = at
        if holds not in self._holds:
            self._holds[holds] = len(self._sets)
            self._sets.append(holds)
        self._states[number], self._held[number] = state, self._holds[holds]
        delta = int(state & (CONFIRMED | WITHDRAWN) == CONFIRMED and not holds) - stood
        sums = self.sums[self._keys[number]]
        sums[0] += delta
        if type_ in COUNTED:
            sums[COUNTED[type_]] += 1
        if does:
            self._act(petition, data, number, does, delta)
        return delta

    def _record(self, petition: Petition, id: bytes, data: Json, at: int) -> int:
        number = self.signatures.find(id, add=True)
        if number < len(self._states):
            self.breaks("transition", "a signature is recorded twice")
            return 0
        signer = self._signers.find(petition.number + a2b_base64(data["signer_ref"]), add=True)
        if signer == len(self._latest):
            self._latest.append(number)
        else:
            latest = self._latest[signer]
            if not self._states[latest] & ERASED and (not self._states[latest] & WITHDRAWN or self._held[latest]):
                self.breaks("signer-once", "a signer signs whose latest signature was not withdrawn, or is held")
            self._latest[signer] = number
        if data["text_version"] > petition.row.get("text_version", 0):
            self.breaks("public-fields", "it signs a text that the petition does not have yet")
        answers = data["answers"].items() if "answers" in data else ()
        key = (petition.id, data["channel"], data["kind"], data.get("country"), data.get("region"), *answers)
        key_number = self.keys.get(key, -1)
        if key_number < 0:
            key_number = self._new_key(petition, data, key)
        confirmed = int(data["confirmed"])
        self._states.append(confirmed)
        self._keys.append(key_number)
        self._held.append(0)
        self._effective.append(at if data["at_known"] else NEVER)
        sums = self.sums[key_number]
        sums[0] += confirmed
        sums[1] += 1
        sums[2] += confirmed
        return confirmed

    def _new_key(self, petition: Petition, data: Json, key: tuple[Any, ...]) -> int:
        """A combination of what signatures state that was not there yet: of public fields, and answers asked for."""
        for name in ("country", "region", "answers"):
            if name in data and name not in petition.row.get("public_fields", ()):
                self.breaks("public-fields", "it states a field that the petition does not publish")
        for question, choice in data.get("answers", {}).items():
            if choice not in (petition.row.get("questions") or {}).get(question, ()):
                self.breaks("public-fields", "it answers what the petition does not ask")
        self.keys[key] = len(self.keys)
        self.sums.append([0] * len(COLUMNS))
        self.owners.append(petition.id)
        return self.keys[key]

    # -- corrections

    def _act(self, petition: Petition, data: Json, number: int, does: str, delta: int) -> None:
        """A correction moves a signature: it must be open, of this kind and reason, and approved where it has to be."""
        correction = self.corrections.get(data["correction"])
        if correction is None or correction.petition != petition.id or not correction.running:
            self.breaks("compensation", "it is said to be of a correction that is not under way")
            return
        said = correction.said
        lifts = said.get("lifts", data.get("lifts"))
        if (said["kind"], said["reason"], lifts) != (does, data["reason"], data.get("lifts")):
            self.breaks("compensation", "the correction does not do this: another kind, reason or hold")
        if correction.waits:
            self.breaks("approval", "a correction acts before a second principal approved it")
        if self._states[number] & ERASED:
            self.breaks("compensation", "a correction moves a signature whose signer was erased")
        correction.acted.add(number)
        correction.net += delta

    def _open_correction(self, petition: Petition, event: Json, data: Json, recorded: int) -> None:
        actor, approval = event["actor"], data["approval"]
        if data["correction"] in self.corrections:
            self.breaks("correction", "a correction is opened twice")
        if (approval == "exempt") != actor.startswith("import:"):
            self.breaks("approval", "imports are exempt from approval, and nothing else is")
        for name in ("lifts", "reverses"):
            if name in data:
                other = self.corrections.get(data[name])
                if other is None or other.petition != petition.id or other.said["kind"] == data["kind"]:
                    self.breaks("correction", f"what it {name} is no correction of the petition of the other kind")
                elif name == "reverses" and (data["matched"], data["digest"]) != other.moved:
                    self.breaks("correction", "it is not over exactly what the reversed correction moved")
        petition.corrected = [each for each in petition.corrected if each[0] > recorded - DAY]
        petition.corrected.append((recorded, actor, data["matched"]))
        if approval == "not-required" and sum(many for _, by, many in petition.corrected if by == actor) > ALONE:
            self.breaks("approval", f"one principal corrects more than {ALONE} signatures within a day")
        self.corrections[data["correction"]] = Correction(petition.id, actor, data, approval == "required")
        detail = {"state": "opened", "correction_kind": data["kind"], **pick(data, OPENED)}
        self._line(petition, event, "correction", detail, correction=data["correction"])

    def _move_correction(self, petition: Petition, type_: str, event: Json, data: Json) -> None:
        """An approval, or an end with its numbers. Where nothing was skipped, the digest binds the very set."""
        correction = self.corrections.get(data["correction"])
        if correction is None or correction.petition != petition.id or not correction.running:
            self.breaks("correction", "there is no such correction under way")
            return
        said = correction.said
        detail: Json = {"state": type_.split(".")[1]}
        if type_ == "correction.approved.v1":
            if not correction.waits or data["digest"] != said["digest"] or event["actor"] == correction.actor:
                self.breaks("approval", "it is not a second principal's approval of the frozen set")
            correction.waits = False
        else:
            applied, skipped, matched = data["applied"], data["skipped"], said["matched"]
            correction.moved = len(correction.acted), self._digest(correction.acted)
            if applied != len(correction.acted) or applied + skipped > matched:
                self.breaks("correction", "its numbers are not those of its set and of its events")
            elif type_ == "correction.completed.v1" and applied + skipped != matched:
                self.breaks("correction", "it is completed, and its set was not gone through")
            elif applied == matched and correction.moved[1] != said["digest"]:
                self.breaks("correction", "the signatures that it moved are not the set that was frozen")
            correction.running, correction.acted = False, set()
            detail |= {"correction_kind": said["kind"], "reason": said["reason"], **pick(data, ("applied", "skipped"))}
            detail["net"] = correction.net
        self._line(petition, event, "correction", detail, correction=data["correction"])

    def _digest(self, numbers: Iterable[int]) -> str:
        """SHA-256 over the ids in ascending order, each as text and a newline."""
        digest = sha256()
        for id in sorted(self.signatures.key(number).hex() for number in numbers):
            digest.update(f"{id[:8]}-{id[8:12]}-{id[12:16]}-{id[16:20]}-{id[20:]}\n".encode())
        return digest.hexdigest()

    # -- what is said of the petition

    def _observe(self, petition: Petition, event: Json, data: Json, at: int) -> int:
        """An observation moves the count by the difference to it, unless it is of an earlier time than the latest."""
        if petition.row["basis"] != "observed":
            self.breaks("basis", "a count is observed of a petition that is itemised")
        petition.observations.append((event["time"], self.position, event["recordedtime"], data))
        if at < petition.observed_at:
            return 0
        petition.observed_at = at
        return int(data["count"]) - int(petition.row["count"])

    def _declare(self, petition: Petition, type_: str, event: Json, data: Json, at: int, recorded: int) -> None:
        """What an event that is about no signature says of the petition, and its line of the timeline."""
        row, about = petition.row, type_.partition(".")[0]
        if about == "correction":
            if type_ == "correction.opened.v1":
                self._open_correction(petition, event, data, recorded)
            else:
                self._move_correction(petition, type_, event, data)
        elif type_ == "count.published.v1":
            self._publish(petition, event, data)
        elif type_ == "count.observed.v1":
            if data["claim"] == "milestone" and petition.ladders and data["count"] in petition.ladders[-1][1]:
                crossing, detail = petition.stamp(data["count"]), {"claimed": True, **pick(data, ("reference",))}
                self._line(
                    petition, event, "milestone", detail, count=data["count"], rung=data["count"], crossing=crossing,
                    at_known=data["at_known"],
                )  # fmt: skip
        elif about in ("petition", "update", "acceptance", "status"):
            row["updated_at"] = event["recordedtime"]
            if type_ == "petition.opened.v1":
                row |= {name: data.get(name) for name in (*FIXED, *REVISABLE)} | {"text_version": 1, "closed_at": None}
                row |= {"id": petition.id, "first_position": self.position, "acceptance": "open", "status": None}
                row |= {"opened_at": event["time"], "created_at": event["recordedtime"]}
                self._line(petition, event, "opened", {"title": data["title"]})
            elif type_ == "petition.revised.v1":
                row |= data
                changed = sorted(data.keys() - {"text_version"})
                self._line(petition, event, "revised", {"text_version": data["text_version"], "changed": changed})
            elif type_ == "acceptance.changed.v1":
                petition.acceptance = data["acceptance"]
                petition.changes.append((at, self.position, data["acceptance"]))
                shut = data["acceptance"] in ("closed", "rejected")
                row |= {"acceptance": data["acceptance"], "closed_at": event["time"] if shut else None}
                self._line(petition, event, "acceptance", data)
            elif type_ == "status.declared.v1":
                row["status"] = data["status"]
                reported = data.get("reported_count") if row["basis"] == "observed" else None
                self._line(petition, event, "status", data, count=reported)
            else:
                self._line(petition, event, "update", data)
            petition.opens_at = instant(data["opens_at"]) if "opens_at" in data else petition.opens_at
            petition.closes_at = instant(data["closes_at"]) if "closes_at" in data else petition.closes_at
            if "milestones" in data:
                petition.ladders.append((self.position, data["milestones"]))

    def _publish(self, petition: Petition, event: Json, data: Json) -> None:
        """A number that the ledger says it served must have been the count then; and it is stated only as news."""
        self.published += 1
        stated, as_of, (last, last_as_of) = data["count"], data["position"], petition.published
        before = bisect_right(petition.moved, as_of)
        counted = petition.counts[before - 1] if before else 0
        if not max(last_as_of + 1, petition.row.get("first_position", 1)) <= as_of < self.position:
            self.breaks("published", "a count was published of a position that was not there, or is no news")
        elif stated != counted:
            sentence = f"{stated} was published as of position {as_of}, where the count was {counted}"
            self.breaks("published", sentence)
        elif stated == last or event["actor"] != "system":
            self.breaks("published", "a count was published that is no news, or by somebody else than the ledger")
        petition.published = (stated, max(as_of, last_as_of))
        self._line(petition, event, "published", {"as_of_position": as_of}, count=stated)


BROKEN: Final = "the chain of the petition breaks at this event: it is not the one that its neighbours name"


def pick(data: Json, names: Iterable[str]) -> Json:
    """Those of the members that are there."""
    return {name: data[name] for name in names if name in data}


# -- 6. Projections ----------------------------------------------------------------------------------------------------

ROW_KEYS: Final[dict[str, dict[str, type]]] = {
    "petitions": {"id": str},
    "tally": {"petition": str, "dimension": str, "value": str},
    "timeline": {"petition": str, "position": int, "ordinal": int},
}


def fold_rows(fold: Fold) -> dict[str, list[Row]]:
    """The rows that the projections must have, in order of their keys."""
    petitions = [petition for _, petition in sorted(fold.petitions.items()) if "id" in petition.row]
    return {
        "petitions": [petition.row for petition in petitions],
        "tally": tally_rows(fold, petitions),
        "timeline": [line for petition in petitions for line in timeline_rows(petition)],
    }


def tally_rows(fold: Fold, petitions: Sequence[Petition]) -> list[Row]:
    """Sums over the events of a petition: in all, by each field that a signature may state, and by each answer."""
    table: dict[tuple[str, str, str], list[int]] = {}
    questions: dict[str, Iterable[str]] = {}
    for petition in petitions:
        questions[petition.id] = petition.row["questions"] or ()
        observed = petition.row["count"] if petition.row["basis"] == "observed" else 0
        table[petition.id, "total", ""] = [observed, 0, 0, 0, 0, 0]
    for (id, channel, kind, country, region, *answers), number in fold.keys.items():
        said = dict(answers)
        counted = {"total": "", "country": country, "region": region, "channel": channel, "kind": kind}
        counted |= {f"answer:{question}": said.get(question) for question in questions[id]}
        for dimension, value in counted.items():
            row = table.setdefault((id, dimension, "unknown" if value is None else value), [0] * len(COLUMNS))
            row[:] = map(sum, zip(row, fold.sums[number], strict=True))
    return [
        {"petition": id, "dimension": dimension, "value": value, **dict(zip(COLUMNS, sums, strict=True))}
        for (id, dimension, value), sums in sorted(table.items())
    ]


def timeline_rows(petition: Petition) -> list[Row]:
    """The lines that events made, and in an observed petition those inferred: the rungs passed between two observations
    that follow each other in time, by the ladder that stood when the second of them became known."""
    seen = [each for each in petition.observations if each[3]["at_known"]] or petition.observations
    lines = list(petition.lines)
    for before, after in pairwise(sorted(seen, key=lambda each: each[:2])):
        low, high = before[3]["count"], after[3]["count"]
        known = max(before[1], after[1])
        ladder = next((ladder for since, ladder in reversed(petition.ladders) if since < known), [])
        passed = [rung for rung in ladder if min(low, high) < rung <= max(low, high)]
        if high > low:
            claimed = high if after[3]["claim"] == "milestone" else None
            passed = [rung for rung in reversed(passed) if rung != claimed]  # the last crossed comes first
        at, since = (each[0] if each[3]["at_known"] else None for each in (after, before))
        detail = {"from": since, "to": at, "from_position": before[1], "from_count": low}
        crossing = "reached" if high > low else "fell-below"
        for ordinal, rung in enumerate(passed, start=1):
            lines.append(
                {
                    "petition": petition.id, "position": after[1], "ordinal": ordinal, "kind": "inferred", "at": at,
                    "recorded_at": after[2], "count": high, "rung": rung, "crossing": crossing, "correction": None,
                    "detail": detail,
                }
            )  # fmt: skip
    return sorted(lines, key=lambda line: (line["position"], line["ordinal"]))


def compare_rows(report: Report, name: str, data: bytes, expected: list[Row], head: Head, only: str | None) -> int:
    """Hold a file of rows against the rows that were folded, value by value; how many agree. `only`: one petition's."""
    where, columns = f"projections/{name}.json", ROW_KEYS[name]
    wanted = {tuple(row[column] for column in columns): row for row in expected}
    try:
        document = loads(data)
        canonical = render(document) + b"\n" == data
        rows = document.pop("rows")
        found = {tuple(row[column] for column in columns): (row, render(row)) for row in rows}
        typed = all(type(row[column]) is type_ for row in rows for column, type_ in columns.items())
        if not canonical or not typed or len(found) != len(rows):
            raise ValueError
        stated = render(document)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        report.find("projection", None, where, "it is no canonical document of rows, or names one twice")
        return 0
    if stated != render({"projection": name, "version": 1, "as_of_position": head.size, "root": to_base64(head.root)}):
        report.find("projection", None, where, "it is not the projection at the newest head")
    order = [key for key in found if only in (None, key[0])]
    agree = 0
    for key in sorted({*wanted, *order}):
        row, rendered = found.get(key, ({}, b""))
        right = wanted.get(key, {})
        if rendered == (render(right) if right else None):
            agree += 1
            continue
        sentence = "the row is missing" if not row else "the events make no such row"
        if row and right:
            pairs = [(column, row.get(column), right.get(column)) for column in sorted({*row, *right})]
            other = [column for column, *both in pairs if len(set(map(render, both))) > 1]  # 1 is not 1.0, nor true
            sentence = f"the events make other values of {', '.join(other)}"
        position = (right or row).get("position")
        position = position if type(position) is int else None
        report.find(f"row of {name}", position, f"{where}: {' '.join(map(str, key))}", sentence)
    if agree == len(wanted) == len(order) and order != list(wanted):
        report.find("projection", None, where, "its rows are not in order")
    return agree


# -- 7. The audit ------------------------------------------------------------------------------------------------------

Progress = Callable[[int, int], None]
"""Told, now and then, how many events were read, and of how many."""

ALWAYS: Final = (
    "that everything that happened was recorded: what was left out before it was recorded leaves no trace in a log",
    "that behind each signature stands the person whom its commitment means: identities are not in the log",
    "that times are true: effective times are what sites and files said, recorded ones the ledger's own clock",
    "by which rule a correction chose its set, and which members of a set were skipped",
)
ONLY_IN_FULL: Final = (
    "that the log holds no event of this petition after position {}, and no second chain under its name, and that the"
    " rest of the log is sound: only a full audit shows that"
)
CONTINUES: Final = "that the log of {} says where it continues that of {}, which the petition's last event names"
NOT_ITS_HEAD: Final = "it is not the head of the first {} events: their root or their origin is another"
REPLACED: Final = "that the first {} events are those that {} showed: it names another head"
UNREAD: Final = (
    "the rows of the projections, which were not compared: the event at position {} could not be read",
    "anything from position {} on, nor the rows of the projections: the entries could not be read further",
)
COMPARE: Final = (
    "that everybody was shown this log: give --since a head that you kept, or --witness the key of somebody who watches"
)


class Audit:
    """One audit of a directory."""

    def __init__(
        self, directory: Path, keys: Sequence[Key], witnesses: Sequence[Key], progress: Progress, alone: bool
    ) -> None:
        self.directory = directory
        self.keys = (*keys, *witnesses)
        self.witnesses = witnesses
        self.progress = progress
        self.report = Report()
        self.fold = Fold(self.report, alone)
        self.tree = Tree()
        self.leaf_hash = b""  # of the leaf that was read last
        self.shown_heads = self.published_heads()
        self.pending: tuple[str, Head] | None = None  # the next head of `checkpoints`, and where it stands
        self.kept: Head | None = None  # the head that the auditor kept, until it is found to hold
        self.last_note = b""
        self.published = 0  # the size of the newest published head so far of this origin that holds
        self.origins: set[str] = set()  # those that the log had
        self.unread = 0  # the first event that could not be read
        self.ended = False  # whether that was because the entries end there
        self.openings: list[int] = []
        self.bytes = self.heads = self.opened = 0

    def read(self, name: str, most: int) -> bytes | None:
        """A plain file, of which at most so much is looked at, and one byte more; None where there is none."""
        path = self.directory / name
        try:
            if path.is_file():
                with path.open("rb") as file:
                    return file.read(min(most, os.fstat(file.fileno()).st_size) + 1)
        except OSError:
            pass  # it cannot be read, which is as if it were not there
        return None

    def listed(self, name: str) -> Iterator[tuple[str, bool]]:
        """The paths of everything below a directory, and whether each is a plain file; of a directory below it that
        cannot be read, its own."""
        waiting = [name]
        while waiting:  # and no recursion, because whoever made the bundle chose how deep it is
            under = waiting.pop()
            try:
                entries = sorted(os.scandir(self.directory / under), key=lambda entry: entry.name)
            except OSError:
                if under != name:
                    yield under, False
                continue
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(f"{under}/{entry.name}")
                else:
                    yield f"{under}/{entry.name}", entry.is_file(follow_symlinks=False)

    # -- heads

    def newest_head(self) -> Head | None:
        """The head in `checkpoint`. Where nobody vouches for that, the last in `checkpoints`, to go on with."""
        note = self.read("checkpoint", LONGEST_NOTE)
        head: Head | None = None
        try:
            head = open_head(note or b"", self.keys)
        except Refused as refused:
            self.report.find("head", None, "checkpoint", "it is missing" if note is None else str(refused))
            for _, _, other in self.published_heads():
                head = other or head
        if head is not None:
            self.trust(head, "checkpoint")
        return head

    def trust(self, head: Head, where: str) -> None:
        """Everything is held against this head, which every witness must have seen that the auditor trusts."""
        self.report.head = head
        self.report.proved["cosignatures"] = len(head.cosigned)
        for witness in self.witnesses:
            if witness not in (key for key, _ in head.cosigned):
                self.report.find("witness", head.size, where, f"the witness {witness.name} has not cosigned this head")
        if head.unlisted:
            self.report.not_proved.append(f"what {head.unlisted} lines of keys that you did not list say of the head")

    def published_heads(self) -> Iterator[tuple[str, bytes, Head | None]]:
        """The notes of `checkpoints`: where each stands, its bytes, and its head where somebody vouches for it."""
        try:
            path = self.directory / "checkpoints"
            if not path.is_file():  # one that is a pipe, or a device, would never end
                raise FileNotFoundError
            with path.open("rb") as file:
                for nth, note in enumerate(read_notes(iter(lambda: file.readline(LONGEST_NOTE), b"")), start=1):
                    where, head = f"checkpoints, note {nth}", None
                    try:
                        head = open_head(note, self.keys)
                    except Refused as refused:
                        self.report.find("heads", None, where, str(refused))
                    yield where, note, head
        except OSError:
            self.report.find("heads", None, "checkpoints", "it is missing")

    def next_head(self) -> None:
        """Turn to the next head of `checkpoints` for which somebody vouches."""
        self.pending = None
        for where, note, head in self.shown_heads:
            self.last_note = note
            if head is not None:
                self.pending = (where, head)
                return

    def hold_heads(self) -> None:
        """Hold the heads of this size against the tree. `checkpoints` lists them as they were shown, so they rise."""
        while self.pending is not None and self.pending[1].size <= self.tree.size:
            where, head = self.pending
            if head.size < self.tree.size:
                self.report.find("heads", head.size, where, "the heads do not rise")
            else:
                self.hold(where, head)
            self.next_head()
        if self.kept is not None and self.kept.size == self.tree.size and self.holds(self.kept):
            self.kept = None

    def holds(self, head: Head) -> bool:
        """Whether a head is that of the leaves so far: then it is consistent with every other one that is."""
        self.heads += 1
        return head.root == self.tree.root() and self.fold.source in ("", head.origin)

    def hold(self, where: str, head: Head) -> None:
        """A head of this size must be that of the leaves."""
        if self.holds(head):
            self.published = head.size
        else:
            self.report.find("root", head.size, where, NOT_ITS_HEAD.format(head.size))

    def continue_log(self, position: int, event: Json) -> None:
        """After a lost tail the log goes on under a new origin, and names the newest head of the old one that is known.

        What that head covered is lost, and so not proved; of the heads beyond the leaves that are left it is the only
        one that may be shown. Where it is not larger than the log, other events stand where the lost ones stood.
        """
        data, where = event["data"], "petition ledger"
        old = Head(data["old_origin"], data["old_size"], a2b_base64(data["old_root"]))
        self.origins.add(self.fold.source)
        if old.origin != self.fold.source or event["source"] in self.origins:
            self.report.find("continuation", position, where, "the log is not continued under a new origin")
        if old.size < self.published:
            self.report.find("continuation", position, where, "a newer head was published than the one that it names")
        if old.size >= position:
            self.report.not_proved.append(f"what events {position} to {old.size} of {old.origin} were: they are lost")
        elif self.root_of(old.size) != old.root:
            self.report.not_proved.append(REPLACED.format(old.size, old.origin))
        while self.pending is not None and self.pending[1].origin == old.origin:
            self.hold_lost(*self.pending, old)
            self.next_head()
        kept = self.kept
        if kept is not None and kept.origin == old.origin and (kept.size >= position or kept[:3] == old[:3]):
            self.hold_lost("the kept head", kept, old)
            self.kept = None
        self.published = 0

    def hold_lost(self, where: str, head: Head, named: Head) -> None:
        """A head beyond the leaves that are left must be the one that the continuation names."""
        self.heads += 1
        if head[:3] != named[:3]:
            sentence = "it covers events that the log says it lost, and is not the head that the continuation names"
            self.report.find("continuation", head.size, where, sentence)

    def end_heads(self, head: Head) -> None:
        """What is left of `checkpoints`, and of the head that the auditor kept."""
        beyond = f"it covers more events than the newest head, which is of {head.size}"
        while self.pending is not None:
            if not self.ended:
                self.report.find("newest", head.size + 1, self.pending[0], beyond)
            self.next_head()
        if self.last_note != self.read("checkpoint", LONGEST_NOTE):
            self.report.find("newest", None, "checkpoint", "it is not the last note of `checkpoints`")
        if self.kept is not None and self.kept.size > head.size:
            self.report.find("root", head.size + 1, "the kept head", beyond)
        elif self.kept is not None and not self.ended:
            self.report.find("root", self.kept.size, "the kept head", NOT_ITS_HEAD.format(self.kept.size))

    # -- a whole bundle

    def whole(self, since: bytes | None) -> None:
        """Every file of the bundle, every event, every head and every row."""
        report, fold = self.report, self.fold
        head = self.newest_head()
        if since is not None:
            try:
                self.kept = open_head(since, self.keys)
            except Refused as refused:
                report.find("head", None, "the kept head", str(refused))
        if head is None:
            return
        self.openings = self.find_openings()
        self.next_head()
        self.hold_heads()
        self.read_leaves(head.size)
        for level, row in enumerate(self.tree.tiles):
            if row:
                self.check_tile(level, row, head.size)
        fold.end()
        if not self.ended:
            self.hold("checkpoint", head)
            for index in self.openings:
                report.find("opening", None, f"openings/{index}.json", "the log has no such event")
        if self.unread:
            report.not_proved.append(UNREAD[self.ended].format(self.unread))
        else:
            self.compare(head, None)
        self.end_heads(head)
        files = 0
        for name, is_file in self.listed("tile"):
            files += 1
            wrong = tile_place(name, head.size) if is_file else "it is no plain file"
            if wrong is not None:
                report.find("stray", None, name, wrong)
        report.not_proved += ALWAYS if since is not None or self.witnesses else (*ALWAYS, COMPARE)
        report.proved |= {
            "events": fold.events, "bytes": self.bytes, "files": files, "heads": self.heads,
            "petitions": sum("id" in petition.row for petition in fold.petitions.values()),
            "signatures": fold.signatures.size, "corrections": len(fold.corrections),
            "published counts": fold.published, "openings": self.opened,
        }  # fmt: skip

    def entries(self, start: int, size: int) -> tuple[str, list[bytes], bool]:
        """The bundle of entries that begins at this leaf: its path, its leaves, and whether they are all there."""
        width = min(WIDTH, size - start)
        name = tile_name("entries", start // WIDTH, width)
        data = self.read(name, width * (2 + 0xFFFF))
        leaves, is_whole = split_entries(data or b"", width)
        if not is_whole:
            sentence = "it is missing" if data is None else "it does not hold the entries that its name says"
            self.report.find("entries", min(start + len(leaves) + 1, start + width), name, sentence)
        self.progress(start + width, size)
        return name, leaves, is_whole or len(leaves) == width

    def read_leaves(self, size: int) -> None:
        """Every entry up to this size: hashed, read, folded; every tile that is full on the way."""
        for start in range(0, size, WIDTH):
            name, leaves, are_all = self.entries(start, size)
            for leaf in leaves:
                self.take(leaf, name)
            if not are_all:
                self.unread, self.ended = self.unread or start + len(leaves) + 1, True
                return
            for level, row in enumerate(self.tree.tiles):
                if len(row) == WIDTH:
                    self.check_tile(level, row, size)
                    row.clear()

    def take(self, leaf: bytes, name: str) -> None:
        """The next leaf."""
        position = self.tree.size + 1
        leaf_hash = sha256(b"\x00" + leaf).digest()  # RFC 6962 section 2.1
        self.bytes += len(leaf)
        event: Json | None = None
        try:
            event = read_event(leaf)
        except Refused as refused:
            self.report.find("form", position, name, str(refused))
            self.unread = self.unread or position
        if event is not None and event["type"] == "log.continued.v1":
            self.continue_log(position, event)
        self.tree.append(leaf_hash)
        if event is not None:
            self.fold.take(position, event, leaf_hash)
        if self.openings and self.openings[-1] == position - 1:
            self.check_opening(self.openings.pop(), event)
        self.hold_heads()

    def check_tile(self, level: int, row: Sequence[bytes], size: int) -> None:
        """Hold a tile against the hashes of the leaves. The row is shorter only where the entries ended early."""
        index = ((self.tree.size >> 8 * level) - 1) // WIDTH
        width = min(WIDTH, (size >> 8 * level) - index * WIDTH)
        name = tile_name(level, index, width)
        data = self.read(name, 32 * width)
        for number, node in enumerate(row):
            if data is None or data[32 * number : 32 * number + 32] != node:
                last = index * WIDTH + number + 1 << 8 * level
                sentence = f"its hash {number + 1} is not that of the entries up to this one"
                self.report.find("tile", last, name, "it is missing" if data is None else sentence)
                return
        if data is not None and len(data) != 32 * width:
            self.report.find("tile", None, name, "it is not as long as its name says")

    def compare(self, head: Head, only: str | None) -> None:
        """Hold the files of projections against the rows that were folded."""
        expected, agree = fold_rows(self.fold), 0
        for name, rows in expected.items():
            data = self.read(f"projections/{name}.json", LONGEST_CLAIM)
            if data is None or len(data) > LONGEST_CLAIM:
                sentence = "it is missing" if data is None else "it is longer than any that is looked at"
                self.report.find("projection", None, f"projections/{name}.json", sentence)
            else:
                agree += compare_rows(self.report, name, data, rows, head, only)
        for path, _ in self.listed("projections"):
            if path not in {f"projections/{name}.json" for name in expected}:
                self.report.find("projection", None, path, "it is a projection that this verifier does not know")
        self.report.proved["rows"] = agree

    def find_openings(self) -> list[int]:
        """The leaf indexes of the openings, the last first."""
        found = []
        for path, is_file in self.listed("openings"):
            index = path.removeprefix("openings/").removesuffix(".json")
            if is_file and path == f"openings/{index}.json" and digits(index):
                found.append(int(index))
            else:
                self.report.find("opening", None, path, "its name is not that of an opening")
        return sorted(found, reverse=True)

    def check_opening(self, index: int, event: Json | None) -> None:
        """What opens a leaf's commitment: HMAC-SHA256 under the nonce, over a label and the identity."""
        name = f"openings/{index}.json"
        nonce = identity = None
        try:
            opening = loads(self.read(name, LONGEST_NOTE) or b"")
            nonce, identity = (from_base64(opening.pop(member)) for member in ("nonce", "identity"))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            opening = None
        if opening != {} or nonce is None or identity is None or len(nonce) != 32:
            self.report.find("opening", index + 1, name, "it is not a nonce of 32 bytes and an identity, in base64")
            return
        commitment = hmac.digest(nonce, b"petition-ledger/pii-commit/v1\x00" + identity, "sha256")
        if event is None or event["data"].get("pii_commit") != to_base64(commitment):
            self.report.find("opening", index + 1, name, "it does not open the commitment of this event")
        self.opened += 1

    # -- one petition alone

    def alone(self, id: str) -> None:
        """One petition of a bundle: its events, its chain, and one proof that the last of them is in the tree."""
        head = self.newest_head()
        if head is None:
            return
        words = f'"subject":"{id}"'.encode()
        for start in range(0, head.size, WIDTH):
            _, leaves, _ = self.entries(start, head.size)
            for position, leaf in enumerate(leaves, start=start + 1):
                if words in leaf:
                    self.take_alone(position, leaf, id)
        root = None
        try:
            root = self.root_with(max(self.fold.position - 1, 0), 0, head.size)
        except Refused as refused:
            self.report.find("tile", self.fold.position, str(refused), "it is missing or cut, and the proof needs it")
        self.end_alone(id, head, root)
        self.compare(head, id)

    def handed(self, id: str) -> None:
        """One petition from what its routes answer: its events, a line each, and the receipt of the last of them."""
        name, index, root, head = "proof.tlog-proof", -1, None, None
        with (self.directory / "events.ndjson").open("rb") as file:
            for line in iter(lambda: file.readline(LONGEST_LEAF + 2), b""):
                self.take_alone(None, line.removesuffix(b"\n"), id)
        try:
            index, proof, note = read_proof(self.read(name, 2 * LONGEST_NOTE) or b"")
            head = open_head(note, self.keys)
            self.trust(head, name)
            root = inclusion_root(index, head.size, self.leaf_hash, proof)
        except Refused as refused:
            self.report.find("proof", None, name, str(refused))
        if head is not None and index != self.fold.position - 1:
            sentence = f"it is the proof of position {index + 1}, not of the last event that was handed over"
            self.report.find("proof", self.fold.position, name, sentence)
        self.end_alone(id, head, root)

    def take_alone(self, position: int | None, leaf: bytes, id: str) -> None:
        """An event of the one petition, at the position at which it stands, or that it names."""
        try:
            event = read_event(leaf)
            if event["subject"] != id:
                raise Refused("it is no event of this petition")
        except Refused as refused:
            self.report.find("form", position, f"petition {id}", str(refused))
            return
        self.leaf_hash = sha256(b"\x00" + leaf).digest()
        self.bytes += len(leaf)
        named = int(event["id"]) if position is None else position
        if named <= self.fold.position:
            self.report.find("position", named, f"petition {id}", "its events are not in order of position")
        self.fold.take(named, event, self.leaf_hash)

    def end_alone(self, id: str, head: Head | None, root: bytes | None) -> None:
        """What the last event proves."""
        fold, report = self.fold, self.report
        if not fold.events and not report.total:
            raise WrongCall("there is no event of this petition")
        fold.end()
        # After a continuation a petition that nobody signs any more still ends under the origin before.
        origins = {key.name for key in self.keys if key.algorithm == SEAL}
        if head is not None and (root != head.root or fold.source not in origins):
            report.find(
                "proof", fold.position, f"petition {id}", "its last event is not shown to be in the signed tree"
            )
        elif head is not None and fold.source != head.origin:
            report.not_proved.append(CONTINUES.format(head.origin, fold.source))
        report.proved |= {"events": fold.events, "bytes": self.bytes, "signatures": fold.signatures.size}
        report.not_proved += (ONLY_IN_FULL.format(fold.position), *ALWAYS)

    def root_of(self, size: int) -> bytes | None:
        """The root of the first so many leaves, as the tiles have it; None where they do not."""
        try:
            return self.root_with(-1, 0, size) if size else sha256(b"").digest()
        except Refused:
            return None

    def root_with(self, index: int, start: int, end: int) -> bytes:
        """The root of the leaves from `start` to `end`: of the one at `index` by its entry, of all others by tiles.

        RFC 6962 section 2.1.1: at each section the other half is one hash of the proof. Raises Refused, with a path.
        """
        size = end - start
        if size == 1 and start == index:
            return self.leaf_hash
        level = size.bit_length() - 1 >> 3
        if size == 1 << 8 * level and not start <= index < end:
            return self.hash_of_tile(level, start >> 8 * level)
        half = 1 << (size - 1).bit_length() - 1
        return node_hash(self.root_with(index, start, start + half), self.root_with(index, start + half, end))

    def hash_of_tile(self, level: int, number: int) -> bytes:
        assert self.report.head is not None
        index, at = divmod(number, WIDTH)
        width = min(WIDTH, (self.report.head.size >> 8 * level) - index * WIDTH)
        data = self.read(tile_name(level, index, width), 32 * width)
        if data is None or len(data) != 32 * width:
            raise Refused(tile_name(level, index, width))
        return data[32 * at : 32 * at + 32]


def read_proof(data: bytes) -> tuple[int, list[bytes], bytes]:
    """Index, hashes and note of a receipt (C2SP tlog-proof). Raises Refused."""
    header, _, note = data.partition(b"\n\n")
    first, *lines = header.decode("ascii", "replace").split("\n")
    if lines and lines[0].startswith("extra "):
        del lines[0]  # signed by nobody
    hashes = [each for each in map(from_base64, lines[1:]) if each is not None and len(each) == 32]
    index = lines[0].removeprefix("index ") if lines and lines[0].startswith("index ") else ""
    if first != "c2sp.org/tlog-proof@v1" or not digits(index) or len(hashes) != len(lines) - 1:
        raise Refused("it is no proof of the form c2sp.org/tlog-proof@v1")
    return int(index), hashes, note


# -- 8. The call -------------------------------------------------------------------------------------------------------


def verify(
    directory: Path,
    vkeys: Sequence[str],
    *,
    petition: str | None = None,
    since: bytes | None = None,
    witnesses: Sequence[str] = (),
    progress: Progress = lambda done, of: None,
) -> Report:
    """What a bundle proves, and what is wrong with it.

    `vkeys` and `witnesses` are vkeys, or names of files that hold some, one a line; `since` is a note that was kept.
    With `petition` only that one is looked at: in a bundle, or in a directory with its `events.ndjson` and the
    `proof.tlog-proof` of the last of them. Raises WrongCall where there is nothing to look at.
    """
    keys, watching = read_keys(vkeys), read_keys(witnesses)
    if not any(key.algorithm == SEAL for key in keys):
        raise WrongCall("a vkey of the ledger is needed: without one, nobody vouches for a head")
    if any(key.algorithm != COSIGNATURE for key in watching):
        raise WrongCall("the key of a witness is one of cosignatures")
    if not directory.is_dir():
        raise WrongCall("there is no such directory")
    if petition is not None and (since is not None or not petition_id(petition)):
        raise WrongCall("one petition alone is named by its id, and is not held against a kept head")
    audit = Audit(directory, keys, watching, progress, alone=petition is not None)
    if petition is None:
        audit.whole(since)
    elif (directory / "events.ndjson").is_file():
        audit.handed(petition)
    else:
        audit.alone(petition)
    audit.report.findings.sort(key=lambda found: (found.position is None, found.position or 0))
    return audit.report


def tell(report: Report) -> Iterator[str]:
    """The report in lines."""
    if report.head is not None:
        head = report.head
        yield f"head: {printable(head.origin)}, {head.size} events, root {to_base64(head.root)}"
        for key, time in head.cosigned:
            yield f"seen by {printable(key.name)} at {datetime.fromtimestamp(min(time, 2**37), UTC):%Y-%m-%dT%H:%M:%SZ}"
    yield "checked: " + ", ".join(f"{number} {name}" for name, number in report.proved.items())
    yield "not proved:"
    yield from (f"  {printable(sentence)}" for sentence in report.not_proved)
    if report.total == 0:
        yield "nothing is wrong"
        return
    yield f"{report.total} findings" + ("" if report.first is None else f", the first at position {report.first}") + ":"
    for position, where, sentence in report.findings:
        yield f"  {'' if position is None else f'position {position}, '}{where}: {sentence}"
    if (more := report.total - len(report.findings)) > 0:
        yield f"  and {more} more of these kinds"


def main(argv: Sequence[str] | None = None) -> int:
    """Exit 0 where nothing is wrong, 1 on any finding, 2 for a wrong call."""
    parser = argparse.ArgumentParser(prog="ledger.verify", description="Checks an audit bundle of a signature ledger.")
    parser.add_argument("directory", type=Path, metavar="DIR")
    parser.add_argument("--vkey", action="append", required=True, metavar="FILE|STRING", help="of the ledger")
    parser.add_argument("--petition", metavar="ID", help="look at this petition alone")
    parser.add_argument("--since", type=Path, metavar="NOTE", help="a head that you kept: the log must continue it")
    parser.add_argument("--witness", action="append", default=[], metavar="VKEY", help="must have cosigned the head")
    given = parser.parse_args(argv)
    try:
        since = None if given.since is None else given.since.read_bytes()
        report = verify(given.directory, given.vkey, petition=given.petition, since=since, witnesses=given.witness)
    except (WrongCall, OSError) as wrong:
        print(f"ledger.verify: {printable(str(wrong))}", file=sys.stderr)
        return 2
    for line in tell(report):
        print(line)
    return 1 if report.total else 0


if __name__ == "__main__":
    sys.exit(main())
