"""The verifier on random histories: it takes all that the ledger writes, and folds it as the projections do."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.verify import Report, verify
from projections.replay import Replay
from tests.histories import History, histories
from tests.ledger.verifying.bundles import OPERATOR, WITNESS, Bundle, lay


def bundle_of(history: History, heads: list[int]) -> Bundle:
    replay = Replay()
    for leaf in history.leaves[: heads[-1]]:
        replay.apply(leaf)
    return Bundle(history.leaves, heads, replay.rows(), (OPERATOR, WITNESS))


def audited(files: dict[str, bytes], since: bytes | None = None, petition: str | None = None) -> Report:
    with TemporaryDirectory() as directory:
        lay(Path(directory), files)
        return verify(Path(directory), [OPERATOR.vkey], since=since, witnesses=[WITNESS.vkey], petition=petition)


@given(histories(), st.data())
@settings(max_examples=200)
def test_a_random_history_verifies_clean(history: History, data: st.DataObject) -> None:
    """If a ledger wrote it, then nothing is found, at any head, and an older head that was kept is continued."""
    size = history.size
    heads = sorted(data.draw(st.sets(st.integers(1, size), min_size=1, max_size=5))) if size else [0]
    bundle = bundle_of(history, heads)
    report = audited(bundle.files(), since=bundle.note(heads[0]))
    assert report.findings == [], history
