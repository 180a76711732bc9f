"""Replay: every projection from nothing but leaves, as of any position, the same under any hash seed and time zone."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.replay import Replay, canonical_rows, replay
from schemas.canonical import canonical
from tests.histories import BEGINNING, History, correcting, histories, opening, signing


@given(histories(), st.data())
def test_as_of_a_position_is_the_replay_of_the_leaves_up_to_it(history: History, data: st.DataObject) -> None:
    """If a history is replayed as of a position, then what came later leaves no trace."""
    as_of = data.draw(st.integers(0, history.size))
    assert replay(history.leaves, as_of) == replay(history.leaves[:as_of])
    assert replay(history.leaves, as_of)["as_of_position"] == as_of


@given(histories())
def test_a_petition_alone_has_the_rows_that_it_has_among_others(history: History) -> None:
    """If only one petition is replayed, then its rows are those of the whole replay."""
    whole = replay(history.leaves)["projections"]
    for id in history.known.petitions:
        alone = replay(history.leaves, petition=id)["projections"]
        for name, rows in whole.items():
            assert alone[name] == [row for row in rows if row.get("petition", row.get("id")) == id]


def test_as_of_a_time_takes_what_was_recorded_by_then() -> None:
    """If a time is given, then the last position recorded by then, inclusive, is the last one folded."""
    history = History()
    history.settle(opening("p"))
    history.settle(signing("p", "1"), signing("p", "2"), seconds=10)
    history.settle(signing("p", "3"), seconds=10)
    seconds = [(0, 0), (1, 1), (10, 1), (11, 3), (20, 3), (21, 4)]
    for second, position in seconds:
        assert replay(history.leaves, BEGINNING + timedelta(seconds=second))["as_of_position"] == position


@given(histories())
def test_rows_are_canonical_values(history: History) -> None:
    """If rows are rendered, then every one is within the profile of canonical JSON."""
    for rows in replay(history.leaves)["projections"].values():
        assert canonical_rows(rows) == b"".join(canonical(row) + b"\n" for row in rows)


def a_history() -> History:
    """One with many keys of each kind, in an order that is not theirs."""
    history = History()
    history.settle(opening("zebra", public_fields=("region", "country")), opening("ant", basis="observed"))
    for number in range(60):
        country = ("GB", "DE", "FR", None)[number % 4]
        history.settle(signing("zebra", str(number), country=country, region=f"W{number % 11}", at=None))
    history.settle(correcting("zebra", "invalidate", [str(n) for n in range(7)], "one"))
    return history


@pytest.mark.parametrize(("seed", "zone", "locale"), [("1", "UTC", "C"), ("99", "Asia/Kathmandu", "C.UTF-8")])
def test_any_hash_seed_time_zone_and_locale_give_the_same_bytes(
    seed: str, zone: str, locale: str, tmp_path: Path
) -> None:
    """If another interpreter replays under another hash seed, time zone and locale, then its bytes are ours."""
    history = a_history()
    leaves = tmp_path / "leaves"
    leaves.write_bytes(b"\n".join(history.leaves))
    program = (
        "import sys, pathlib\n"
        "from projections.replay import replay, canonical_rows\n"
        "rows = replay(pathlib.Path(sys.argv[1]).read_bytes().split(b'\\n'))['projections']\n"
        "sys.stdout.buffer.write(b''.join(canonical_rows(rows[name]) for name in sorted(rows)))\n"
    )
    environment = {**os.environ, "PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": locale}
    told = subprocess.run(
        [sys.executable, "-c", program, str(leaves)], env=environment, capture_output=True, check=True
    )
    ours = replay(history.leaves)["projections"]
    assert told.stdout == b"".join(canonical_rows(ours[name]) for name in sorted(ours))


def test_a_log_that_goes_on_after_a_lost_tail_is_folded_on() -> None:
    """If the log states that it continues under a new origin, then no row comes of it."""
    history = History()
    history.settle(opening("p"))
    continued = {
        "id": f"{2:020d}",
        "type": "log.continued.v1",
        "subject": "ledger",
        "time": "2026-01-01T00:00:02.000000Z",
        "recordedtime": "2026-01-01T00:00:02.000000Z",
        "version": 1,
        "data": {"old_origin": "petitions.example/old", "old_size": 9, "reason": "operator-error"},
    }
    fold, alone = Replay(), Replay()
    for leaf in (history.leaves[0], orjson.dumps(continued)):
        fold.apply(leaf)
    alone.apply(history.leaves[0])
    assert fold.rows() == alone.rows()
    assert fold.steps.position == 2


def test_leaves_are_read_one_by_one() -> None:
    """If leaves come from a stream, then none is asked for before the one before it was folded."""
    history = a_history()
    fold = Replay()
    for position, leaf in enumerate(history.leaves, start=1):
        fold.apply(leaf)
        assert fold.steps.position == position == int(orjson.loads(leaf)["id"])
