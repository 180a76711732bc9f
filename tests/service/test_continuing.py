"""The recovery after a lost tail, as an operator carries it out: an older database comes back, and the log goes on."""

from pathlib import Path

from ledger.seal_keys import sealing_keys
from ledger.tree_head import TreeHead, read_head, seal_head
from tests.service.backups import back_up, put_back
from tests.service.commands import Ended, ledger

SECOND = "petitions.example/ledger-2"
PLACE = "head/checkpoint"


def opened(home: Path, *petitions: str) -> None:
    for petition in petitions:
        assert ledger(home, "petition", "open", petition).code == 0


def vkeys(home: Path) -> str:
    shown = ledger(home, "keys", "show")
    assert shown.code == 0, shown.err
    return shown.out


def refused(ended: Ended, code: int, sentence: str) -> None:
    assert (ended.code, ended.out) == (code, "")
    assert sentence in ended.err


def test_a_log_that_lost_its_tail_goes_on_under_a_new_origin(home: Path, tmp_path: Path) -> None:
    """If a backup comes back after more was shown, then nothing is sealed until the log is continued; afterwards an
    export holds both origins, verifies, and says what was lost. An older head than the copy is not taken, and not laid
    in its place."""
    bundle = tmp_path / "bundle"
    opened(home, "one", "two")
    refused(ledger(home, "continue", "--origin", SECOND), 2, "There is no old head")
    first = ledger(home, "export", str(tmp_path / "first"))
    assert first.code == 0, first.err
    refused(ledger(home, "continue", "--origin", SECOND), 2, "Nothing was lost")
    old_keys = vkeys(home)
    back_up(home, tmp_path / "backup")
    opened(home, "three")
    assert ledger(home, "export", str(tmp_path / "newer")).code == 0
    newest = (home / PLACE).read_bytes()

    put_back(home, tmp_path / "backup")
    refused(ledger(home, "export", str(bundle)), 1, "put back to an older state")
    refused(ledger(home, "continue", "--origin", "two words"), 2, "printable ASCII")
    older, origin = tmp_path / "older", read_head(newest).origin
    older.write_bytes(seal_head(TreeHead(origin, 1, bytes(32)), sealing_keys(home / "keys/seal.key", origin)))
    refused(ledger(home, "continue", "--origin", SECOND, "--old-head", str(older)), 2, "the newest one that is known")
    assert (home / PLACE).read_bytes() == newest
    went_on = ledger(home, "continue", "--origin", SECOND)
    assert went_on.code == 0, went_on.err
    assert went_on.out == f"position 3: the log goes on as {SECOND}, from the head of 3 events\n"
    (kept,) = (home / "head").glob("checkpoint.lost-3-*")
    assert kept.read_bytes() == newest
    refused(ledger(home, "continue", "--origin", "petitions.example/other"), 2, "and the log here is")

    opened(home, "four")
    exported = ledger(home, "export", str(bundle))
    assert exported.code == 0, exported.err
    both = tmp_path / "vkeys"
    both.write_text(vkeys(home) + old_keys)
    verified = ledger(home, "verify", str(bundle), "--vkey", str(both))
    assert verified.code == 0, verified.out
    assert "they are lost" in verified.out
    kept = tmp_path / "kept"
    kept.write_bytes(newest)
    assert ledger(home, "verify", str(bundle), "--vkey", str(both), "--since", str(kept)).code == 0
    assert ledger(home, "fsck", "--deep").code == 0
