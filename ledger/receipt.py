"""Receipts: one leaf of the log with its proof, in one text that can be checked offline (C2SP tlog-proof).

A receipt holds the leaf's index, its inclusion proof and a signed head; not the leaf, which whoever checks it has
already. It shows that the leaf is in the log; not whose signature the leaf is, which takes the opening.

Pure. It is read strictly, in its one spelling, and never repaired; `extra` is opaque, signed by nobody, and never to be
believed.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from ledger.merkle import HASH_BYTES, ProofRefused, check_inclusion
from ledger.tree_head import LARGEST_NOTE, NoteRefused, Opened, VerifierKey, open_note, read_head
from schemas.canonical import from_base64, to_base64
from schemas.ids import read_position

LARGEST_RECEIPT: Final = 2 * LARGEST_NOTE
"""Bytes: a note of any length, and about as much for what was added."""

_FIRST_LINE: Final = "c2sp.org/tlog-proof@v1"
_MOST_HASHES: Final = 53  # an index has at most 53 bits, and a proof at most a hash for each


class ReceiptRefused(ValueError):
    """This is no receipt of the one form, or it does not show what it should. The message does not repeat it."""


class Receipt(NamedTuple):
    """A leaf's index, the 32-byte hashes of its proof, its sibling first, the note verbatim, and what was added."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody asks for
    proof: tuple[bytes, ...]
    note: bytes
    extra: bytes | None


def write_receipt(index: int, proof: Sequence[bytes], note: bytes, extra: bytes | None = None) -> bytes:
    """The receipt as bytes. Raises ReceiptRefused where it has no such form; whether it holds is not looked at."""
    lines = [_FIRST_LINE]
    if extra is not None:
        lines.append(f"extra {to_base64(extra)}")
    lines += [f"index {index}", *map(to_base64, proof), "", ""]
    data = "\n".join(lines).encode() + note
    written = read_receipt(data)
    assert written == Receipt(index, tuple(proof), note, extra)
    return data


def read_receipt(data: bytes) -> Receipt:
    """The parts of a receipt: its form alone, believed by nobody. Raises ReceiptRefused.

    C2SP tlog-proof, "Format".
    """
    if len(data) > LARGEST_RECEIPT:
        raise ReceiptRefused("the receipt is too long")
    header, blank, note = data.partition(b"\n\n")
    if not blank or not header.isascii():
        raise ReceiptRefused("a receipt is a proof, a blank line and a note")
    first, *lines = header.decode("ascii").split("\n")
    if first != _FIRST_LINE:
        raise ReceiptRefused("a receipt begins with the name of its form")
    extra = None
    if lines and lines[0].startswith("extra "):
        extra = _bytes_of(lines.pop(0).removeprefix("extra "))
        if not extra:
            raise ReceiptRefused("a receipt to which nothing was added has no line for it")
    index = read_position(lines[0].removeprefix("index ")) if lines and lines[0].startswith("index ") else None
    if index is None:
        raise ReceiptRefused("a receipt has an index, in digits")
    if len(lines) > 1 + _MOST_HASHES:
        raise ReceiptRefused("no proof is as long as this")
    proof = tuple(_bytes_of(line) for line in lines[1:])
    if any(len(given) != HASH_BYTES for given in proof):
        raise ReceiptRefused("a hash has 32 bytes")
    try:
        read_head(note)
    except NoteRefused as refused:
        raise ReceiptRefused(str(refused)) from None
    return Receipt(index, proof, note, extra)


def check_receipt(receipt: Receipt, leaf_hash: bytes, keys: Sequence[VerifierKey]) -> Opened:
    """The head in which this leaf stands, as the listed keys vouch for it. Raises ReceiptRefused."""
    try:
        opened = open_note(receipt.note, keys)
        check_inclusion(receipt.index, opened.head.size, leaf_hash, receipt.proof, opened.head.root)
    except (NoteRefused, ProofRefused) as refused:
        raise ReceiptRefused(str(refused)) from None
    return opened


def _bytes_of(text: str) -> bytes:
    try:
        return from_base64(text)
    except ValueError:
        raise ReceiptRefused("a text is not canonical padded base64") from None
