"""What is said to a witness, and what is taken from one, byte by byte."""

import hashlib

import pytest

from ledger.merkle import leaf_hash, root
from ledger.tree_head import SealingKey, TreeHead, open_note, seal_head
from ledger.witnessing import AnswerRefused, cosigned, monitoring_path, read_size, submission
from tests.service.witnesses import TIME, Cosigner

ORIGIN = "petitions.example/ledger"
KEY = SealingKey(ORIGIN, b"k" * 32)
NOTE = seal_head(TreeHead(ORIGIN, 3, root([leaf_hash(b"%d" % number) for number in range(3)])), [KEY])
FIRST, SECOND, OTHER = (Cosigner(f"witness.example/{seed.decode()}", seed * 32) for seed in (b"a", b"b", b"c"))


def test_a_submission_is_as_the_protocol_writes_it() -> None:
    """If a head is shown to a witness, then the old size comes first, then the proof, a blank line, and the note."""
    hashes = [bytes(32), b"\xff" * 32]
    assert submission(2, hashes, NOTE) == (
        b"old 2\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n//////////////////////////////////////////8=\n\n" + NOTE
    )
    assert submission(0, [], NOTE) == b"old 0\n\n" + NOTE


def test_the_lines_of_listed_witnesses_are_taken_over() -> None:
    """If a witness signs by several keys, then the lines of the listed ones stand behind the note, as it sent them."""
    answer = FIRST.line(NOTE) + OTHER.line(NOTE) + SECOND.line(NOTE, TIME + 1)
    witnesses = [SECOND.verifier, FIRST.verifier]
    shown = cosigned(NOTE, answer, [KEY.verifier], witnesses)
    assert shown == NOTE + FIRST.line(NOTE) + SECOND.line(NOTE, TIME + 1)
    assert open_note(shown, [KEY.verifier, *witnesses]).cosignatures == (
        (FIRST.verifier, TIME),
        (SECOND.verifier, TIME + 1),
    )


def test_any_bit_of_a_line_counts() -> None:
    """If one bit of an answer is another one, then nothing of it is taken over."""
    answer = FIRST.line(NOTE)
    for at in range(len(answer)):
        changed = answer[:at] + bytes([answer[at] ^ 1]) + answer[at + 1 :]
        with pytest.raises(AnswerRefused) as refused:
            cosigned(NOTE, changed, [KEY.verifier], [FIRST.verifier])
        assert FIRST.verifier.name not in str(refused.value)


def test_a_line_of_another_head_or_of_the_logs_own_key_is_refused() -> None:
    """If a line is of another head, or a seal in the place of a cosignature, then it is not taken over."""
    older = seal_head(TreeHead(ORIGIN, 1, leaf_hash(b"0")), [KEY])
    for answer in (FIRST.line(older), NOTE.partition(b"\n\n")[2], b"", b"\n", NOTE):
        with pytest.raises(AnswerRefused):
            cosigned(NOTE, answer, [KEY.verifier], [FIRST.verifier])


@pytest.mark.parametrize("body", [b"", b"\n", b"7", b"07\n", b"+7\n", b" 7\n", b"7\r\n", b"7\n\n", b"7.0\n", b"-1\n",
                                  b"9007199254740992\n", b"\xd9\xa7\n", b"7" * 5000 + b"\n"])  # fmt: skip
def test_a_size_has_one_spelling(body: bytes) -> None:
    """If a 409 tells a size in any other form than a plain decimal and a newline, then it tells none."""
    with pytest.raises(AnswerRefused):
        read_size(body)


def test_sizes_are_read() -> None:
    """If a 409 tells a size, then it is that one."""
    assert [read_size(b"0\n"), read_size(b"7\n"), read_size(b"9007199254740991\n")] == [0, 7, 2**53 - 1]


def test_a_log_is_shown_under_the_hash_of_its_origin() -> None:
    """If a witness is asked what it signed, then the log is named by SHA-256 of its origin, in hex."""
    assert monitoring_path(ORIGIN) == hashlib.sha256(b"petitions.example/ledger").hexdigest() + "/checkpoint"
