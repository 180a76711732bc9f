"""The journal of erasures: one file of lines that are whole and on the disk, or are not there."""

import stat
from pathlib import Path

import orjson
import pytest

from ledger.erasure_journal import Erased, Journal, JournalRefused
from tests.ledger.submissions import some_id, some_instant


def erased(n: int) -> Erased:
    return Erased("keep-the-library", some_id(f"s{n}"), n, some_instant(n))


def test_lines_are_added_and_read_in_order(tmp_path: Path) -> None:
    """If erasures are written one after the other, then the journal names them in order, each once, in a file that is
    private, with nothing in a line but where the log says it."""
    journal = Journal(tmp_path / "keys" / "journal")
    assert journal.signatures() == []
    journal.write([])
    assert not journal.path.exists()
    journal.write([erased(1), erased(2)])
    journal.write([erased(3), erased(1)])
    assert journal.signatures() == [some_id("s1"), some_id("s2"), some_id("s3")]
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600
    assert orjson.loads(journal.path.read_bytes().splitlines()[0]) == {
        "petition": "keep-the-library",
        "signature": str(some_id("s1")),
        "position": 1,
        "recorded": "2023-11-14T22:13:21.000000Z",
    }


def test_a_torn_last_line_says_nothing_and_is_taken_away_by_the_next(tmp_path: Path) -> None:
    """If the last line was cut off anywhere, then the lines before it are read, and the next line stands whole behind
    them."""
    journal = Journal(tmp_path / "journal")
    journal.write([erased(1)])
    whole = journal.path.read_bytes()
    for cut in range(1, len(erased(2).line())):
        journal.path.write_bytes(whole + erased(2).line()[:cut])
        assert journal.signatures() == [some_id("s1")]
        journal.write([erased(3)])
        assert journal.path.read_bytes() == whole + erased(3).line()
    journal.path.write_bytes(b"{" * 200_000)
    assert journal.signatures() == []
    journal.write([erased(3)])
    assert journal.path.read_bytes() == erased(3).line()


@pytest.mark.parametrize("line", [b"\n", b"{}\n", b"[]\n", b'{"signature":"x"}\n', b'{"signature":1}\n', b"\xff\n"])
def test_a_line_that_is_none_is_refused_and_not_told(tmp_path: Path, line: bytes) -> None:
    """If a whole line is none, then the journal is refused, by the name of its file: somebody meddled with it."""
    journal = Journal(tmp_path / "journal")
    journal.path.write_bytes(erased(1).line() + line + erased(2).line())
    with pytest.raises(JournalRefused, match="has a line that is none") as raised:
        journal.signatures()
    assert raised.value.__context__ is None


def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    """If the journal's path is a directory, or lies below a file, then reading and writing it are refused."""
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "journal"):
        with pytest.raises(JournalRefused, match="cannot be written"):
            Journal(path).write([erased(1)])
        with pytest.raises(JournalRefused, match="cannot be read"):
            Journal(path).signatures()
