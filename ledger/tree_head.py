"""Tree heads as signed notes: what a ledger's key, and a witness's, say about the log.

The one module that speaks the formats, in which a head is a "checkpoint": C2SP signed-note, tlog-checkpoint and
tlog-cosignature. A note has one spelling. What could be written in two ways is refused in all but one, extension lines
are refused, and nothing is ever repaired.

- A line of a key that is not listed is ignored. A line of a listed key that does not verify refuses the whole note, and
  so does a second line of that key.
- A head is believed only where a listed key whose name is the origin has sealed it. A cosignature alone says nothing
  about who keeps the log.

Pure: a witness's timestamp is returned, and held against no clock. This module must never put a key or a note into a
message, and no secret into a `repr`.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ledger.merkle import EMPTY_ROOT, HASH_BYTES
from schemas.canonical import from_base64, to_base64
from schemas.ids import LARGEST_POSITION, read_position

ED25519: Final = 0x01
"""C2SP signed-note, "Signature types": Ed25519 over the text. What a ledger's key makes: a seal."""
COSIGNATURE: Final = 0x04
"""C2SP tlog-cosignature: Ed25519 over a time and the text. What a witness's key makes."""

LARGEST_NOTE: Final = 128 * 1024
"""Bytes: sixteen signatures of the longest kind find room (C2SP signed-note, "Format")."""
MOST_LINES: Final = 32

_LINE: Final = "— "  # U+2014, U+0020
_KEY_ID_BYTES: Final = 4
_KEY_BYTES: Final = 32  # RFC 8032 section 5.1.5
_SIGNATURE_BYTES: Final = 64  # RFC 8032 section 5.1.6
_TIME_BYTES: Final = 8
_LATEST: Final = 2**63 - 1  # tlog-cosignature, "Format"
# signed-note, "Format": below U+0020 nothing but newlines; and a name is one word, without a plus.
_CONTROL: Final = re.compile("[\x00-\x09\x0b-\x1f]")
_NAME: Final = re.compile("[^\\s+\x00-\x1f\ud800-\udfff]+")

# RFC 8032 section 5.1: the field, and the y of every point whose order divides 8. With such a key some signatures hold
# for many texts. The two last ones are of the points of order 8: the roots of d y^4 + 2 y^2 - 1.
_P: Final = 2**255 - 19
_Y_OF_ORDER_8: Final = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL_ORDER: Final = frozenset({0, 1, _P - 1, _Y_OF_ORDER_8, _P - _Y_OF_ORDER_8})


class NoteRefused(ValueError):
    """This is no note, key or head of the one form, or nobody vouches for it. The message is a sentence that does not
    repeat it."""


class TreeHead(NamedTuple):
    """The log of this origin has this many leaves, and this 32-byte root."""

    origin: str
    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with the name that it goes by and what it is for: ED25519 seals, COSIGNATURE cosigns.

    Raises NoteRefused where the name is empty, or has a space or a plus (C2SP signed-note, "Format"), and where the key
    has not 32 bytes, or lies outside the field, or is a point of small order (RFC 8032 section 5.1).
    """

    name: str
    algorithm: int
    public: bytes
    key_id: bytes = field(init=False)
    """SHA-256(name || 0x0A || algorithm || public)[:4] (C2SP signed-note, "Signatures")."""

    def __post_init__(self) -> None:
        _require_name(self.name)
        if self.algorithm not in (ED25519, COSIGNATURE):
            raise NoteRefused("a key seals (0x01) or cosigns (0x04)")
        _require_strong(self.public)
        digest = sha256(self.name.encode() + b"\n" + bytes([self.algorithm]) + self.public).digest()
        object.__setattr__(self, "key_id", digest[:_KEY_ID_BYTES])

    @property
    def vkey(self) -> str:
        """The key as text: `name+id+base64(algorithm || key)` (C2SP signed-note, "Verifier keys")."""
        return f"{self.name}+{self.key_id.hex()}+{to_base64(bytes([self.algorithm]) + self.public)}"


class SealingKey:
    """A private key of a ledger, with the origin as its name. Nothing shows its seed, the 32 bytes that it is made of.

    Raises NoteRefused where the name is none, and ValueError where the seed has not 32 bytes.
    """

    __slots__ = ("_private", "verifier")

    def __init__(self, name: str, seed: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = VerifierKey(name, ED25519, self._private.public_key().public_bytes_raw())

    def sign(self, text: bytes) -> bytes:
        """The 64 bytes of the Ed25519 signature over this text (RFC 8032 section 5.1.6)."""
        return self._private.sign(text)

    def __repr__(self) -> str:
        return f"SealingKey({self.verifier.vkey!r})"


class Opened(NamedTuple):
    """A head, the listed keys of its origin that sealed it, and the listed witnesses with their POSIX times."""

    head: TreeHead
    seals: tuple[VerifierKey, ...]
    cosignatures: tuple[tuple[VerifierKey, int], ...]


class Signed(NamedTuple):
    """The text of a note, and the listed keys that signed it, in the order of their lines."""

    text: bytes
    seals: tuple[VerifierKey, ...]
    cosignatures: tuple[tuple[VerifierKey, int], ...]


def parse_vkey(text: str) -> VerifierKey:
    """The key that this text writes, in the one form that `VerifierKey.vkey` gives. Raises NoteRefused."""
    name, _, rest = text.partition("+")
    _, _, encoded = rest.partition("+")
    material = _bytes_of(encoded)
    if len(material) != 1 + _KEY_BYTES:
        raise NoteRefused("a vkey is a name, a key id and the base64 of an algorithm and a key of 32 bytes")
    key = VerifierKey(name, material[0], material[1:])
    if key.vkey != text:
        raise NoteRefused("the vkey is not written as it should be, or its key id is of another key")
    return key


def head_text(head: TreeHead) -> bytes:
    """The three lines that are sealed (C2SP tlog-checkpoint, "Note text").

    Raises NoteRefused where the head has no such form.
    """
    text = f"{head.origin}\n{head.size}\n{to_base64(head.root)}\n".encode("utf-8", "surrogatepass")
    written = _head_of(_decode(text))
    assert written == head
    return text


def read_head(note: bytes) -> TreeHead:
    """The head that a note is about: its form alone, believed by nobody. Raises NoteRefused."""
    text, _ = _split(note)
    return _head_of(text)


def seal_head(head: TreeHead, keys: Sequence[SealingKey]) -> bytes:
    """The note of a head, signed by each of these keys in turn; all bear the origin as their name.

    Raises NoteRefused where they do not, or there is none, or one occurs twice.
    """
    text = head_text(head)
    if not keys or any(key.verifier.name != head.origin for key in keys):
        raise NoteRefused("a head is sealed by keys that bear its origin as their name")
    note = text + b"\n" + b"".join(_line(key.verifier, key.sign(text)) for key in keys)
    _require_one_line_each(note)
    return note


def with_lines(note: bytes, lines: bytes) -> bytes:
    """The note with these signature lines behind its own: a witness's answer. The caller opens it, to believe them.

    Raises NoteRefused where the result is no note, or a key of one name and id has two lines in it.
    """
    if not lines or _split(note + lines)[0] != _split(note)[0]:  # a blank line in them would make the note a text
        raise NoteRefused("there is no line to add, or more than lines")
    _require_one_line_each(note + lines)
    return note + lines


def open_note(note: bytes, keys: Sequence[VerifierKey]) -> Opened:
    """The head of a note that a listed key with the origin as its name has sealed, and who else signed it.

    Raises NoteRefused: no such seal, or anything that `open_text` refuses.
    """
    signed = open_text(note, keys)
    head = read_head(note)
    seals = tuple(key for key in signed.seals if key.name == head.origin)
    if not seals:
        raise NoteRefused("no listed key of this origin has sealed the note")
    return Opened(head, seals, signed.cosignatures)


def open_text(note: bytes, keys: Sequence[VerifierKey]) -> Signed:
    """Any signed note, of whatever text (C2SP signed-note): who of the listed keys signed it. Raises NoteRefused."""
    listed = {(key.name, key.key_id): key for key in keys}
    if len(listed) != len(set(keys)):
        raise NoteRefused("two listed keys have one name and one id")
    decoded, signatures = _split(note)
    text = decoded.encode()
    seals: list[VerifierKey] = []
    cosignatures: list[tuple[VerifierKey, int]] = []
    for name, signature in signatures:
        key = listed.get((name, signature[:_KEY_ID_BYTES]))
        if key is None:
            continue
        if key in seals or any(key == witness for witness, _ in cosignatures):
            raise NoteRefused("a listed key has two lines in this note")
        if key.algorithm == ED25519:
            _verify(key, signature[_KEY_ID_BYTES:], text)
            seals.append(key)
        else:
            cosignatures.append((key, _verify_cosignature(key, signature[_KEY_ID_BYTES:], text)))
    if not seals and not cosignatures:
        raise NoteRefused("no listed key has signed the note")
    return Signed(text, tuple(seals), tuple(cosignatures))


def cosigned_text(timestamp: int, text: bytes) -> bytes:
    """What a witness signs: that it saw this head at this time (C2SP tlog-cosignature, "Ed25519 signed message")."""
    return b"cosignature/v1\ntime %d\n" % timestamp + text


def _verify_cosignature(key: VerifierKey, signature: bytes, text: bytes) -> int:
    """The timestamp of a cosignature: a big-endian u64 before the 64 bytes (C2SP tlog-cosignature, "Format")."""
    timestamp = int.from_bytes(signature[:_TIME_BYTES], "big")
    if timestamp > _LATEST:
        raise NoteRefused("a cosignature is of no time")
    _verify(key, signature[_TIME_BYTES:], cosigned_text(timestamp, text))
    return timestamp


def _verify(key: VerifierKey, signature: bytes, text: bytes) -> None:
    try:
        if len(signature) == _SIGNATURE_BYTES:
            Ed25519PublicKey.from_public_bytes(key.public).verify(signature, text)
            return
    except InvalidSignature:
        pass
    raise NoteRefused("the signature of a listed key does not hold")


def _split(note: bytes) -> tuple[str, list[tuple[str, bytes]]]:
    """The text of a note, its last newline included, and its lines: name, and key id with signature.

    C2SP signed-note, "Format": the last blank line divides them.
    """
    if len(note) > LARGEST_NOTE:
        raise NoteRefused("the note is too long")
    text, blank, lines = _decode(note).rpartition("\n\n")
    if not blank or not lines.endswith("\n"):
        raise NoteRefused("a note is a text, a blank line and lines of signatures")
    return text + "\n", list(_lines(lines))


def _lines(lines: str) -> Iterator[tuple[str, bytes]]:
    rows = lines[:-1].split("\n", MOST_LINES)
    if len(rows) > MOST_LINES:
        raise NoteRefused(f"a note has at most {MOST_LINES} lines of signatures")
    for row in rows:
        name, _, encoded = row.removeprefix(_LINE).partition(" ")
        signature = _bytes_of(encoded)
        if not row.startswith(_LINE) or len(signature) <= _KEY_ID_BYTES:
            raise NoteRefused("a line of a signature is a dash, a name and the base64 of a key id and a signature")
        _require_name(name)
        yield name, signature


def _require_one_line_each(note: bytes) -> None:
    _, signatures = _split(note)
    if len({(name, signature[:_KEY_ID_BYTES]) for name, signature in signatures}) != len(signatures):
        raise NoteRefused("a key has two lines in this note")


def _line(key: VerifierKey, signature: bytes) -> bytes:
    return f"{_LINE}{key.name} {to_base64(key.key_id + signature)}\n".encode()


def _head_of(text: str) -> TreeHead:
    """C2SP tlog-checkpoint, "Note text"; of its extension lines, which are not recommended, there may be none."""
    lines = text.split("\n", 4)
    if len(lines) != 4 or not lines[0] or lines[3]:
        raise NoteRefused("a tree head has three lines: origin, size and root")
    size, root = read_position(lines[1]), _bytes_of(lines[2])
    if size is None or len(root) != HASH_BYTES:
        raise NoteRefused(f"a tree head has a size, in digits, of at most {LARGEST_POSITION}, and a root of 32 bytes")
    if size == 0 and root != EMPTY_ROOT:
        raise NoteRefused("the tree without leaves has another root")
    return TreeHead(lines[0], size, root)


def _decode(note: bytes) -> str:
    try:
        text = note.decode()
    except UnicodeDecodeError:
        text = "\0"
    if _CONTROL.search(text):
        raise NoteRefused("a note is UTF-8 without control characters")
    return text


def _bytes_of(text: str) -> bytes:
    try:
        return from_base64(text)
    except ValueError:
        raise NoteRefused("a text is not canonical padded base64") from None


def _require_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise NoteRefused("a key's name is not empty, and has no space and no plus")


def _require_strong(public: bytes) -> None:
    if len(public) != _KEY_BYTES:
        raise NoteRefused("a key has 32 bytes")
    y = int.from_bytes(public, "little") & (2**255 - 1)  # the highest bit is the sign of x (RFC 8032 section 5.1.2)
    if y >= _P or y in _SMALL_ORDER:
        raise NoteRefused("the key lies outside the field, or is a point of small order")
