"""What is said to a witness and what it answers: the bodies of C2SP tlog-witness, made and read.

A witness signs a head after it has seen that the head continues the last one that it signed. So whoever fakes two
histories needs the witness too, and whoever shows a head with its line shows when it existed, by a clock that is not
ours.

Pure. This module must never take a line that it has not verified, never one of a key that was not chosen beforehand,
and never repeat what a witness sent in a message of its own.
"""

import hashlib
import re
from base64 import b64decode
from collections.abc import Iterator, Sequence
from typing import Final

from ledger.tree_head import NoteRefused, VerifierKey, open_note, with_lines
from schemas.canonical import to_base64
from schemas.ids import read_position

SIZE_TYPE: Final = "text/x.tlog.size"
"""The media type of a 409's body: the size of the last head that the witness signed."""
MOST_HASHES: Final = 63
"""The longest proof that may be sent: that of 2^63 leaves."""
# One line of a signature: an em dash, a name without spaces, base64 (C2SP signed-note).
_LINE: Final = re.compile("— ([^\\s+]{1,255}) ([A-Za-z0-9+/]{8,}={0,2})".encode())


class AnswerRefused(ValueError):
    """A witness's answer is not what the protocol says, or proves nothing. The text says what is wrong, in words."""


def submission(old: int, proof: Sequence[bytes], note: bytes) -> bytes:
    """The body of `add-checkpoint`: `old` is the size of the last head that the witness signed (0: none yet).

    `proof` is the consistency proof from there to the head of the note; empty where `old` is 0 or the same size.
    """
    assert old >= 0
    assert len(proof) <= MOST_HASHES
    assert all(len(each) == 32 for each in proof)
    return "\n".join([f"old {old}", *map(to_base64, proof), "", ""]).encode() + note


def read_size(body: bytes) -> int:
    """The size that a 409 tells: a decimal and a newline. Raises AnswerRefused."""
    size = read_position(body[:-1].decode("latin-1")) if body.endswith(b"\n") else None
    if size is None:
        raise AnswerRefused("the size that it has is no number")
    return size


def cosigned(note: bytes, answer: bytes, keys: Sequence[VerifierKey], witnesses: Sequence[VerifierKey]) -> bytes:
    """The note with the lines that these witnesses signed it by. Raises AnswerRefused where there is none.

    `keys` are the log's. Lines of other keys are left out, as the protocol says; a bad one of a listed key spoils the
    answer, and so does a second one.
    """
    lines = b"".join(_lines_of(answer, witnesses))
    if not lines:
        raise AnswerRefused("it holds no line of the witness's key")
    try:
        shown = with_lines(note, lines)
        open_note(shown, [*keys, *witnesses])
    except NoteRefused:
        raise AnswerRefused("its line does not verify") from None
    return shown


def monitoring_path(origin: str) -> str:
    """Where a witness shows the last head of a log that it signed, below its monitoring prefix."""
    return f"{hashlib.sha256(origin.encode()).hexdigest()}/checkpoint"


def _lines_of(answer: bytes, witnesses: Sequence[VerifierKey]) -> Iterator[bytes]:
    """The lines of these keys, each with its newline, whatever else the answer holds."""
    named = {(key.name.encode(), key.key_id) for key in witnesses}
    if not answer.endswith(b"\n"):
        raise AnswerRefused("it does not end with a newline")
    for line in answer[:-1].split(b"\n"):
        read = _LINE.fullmatch(line)
        if read is None:
            raise AnswerRefused("it is no sequence of lines of signatures")
        # The key id is the first four bytes, and the first eight characters hold six.
        if (read[1], b64decode(read[2][:8])[:4]) in named:
            yield line + b"\n"
