"""As corrected: the history as it would read without what is held now."""

from hypothesis import given
from hypothesis import strategies as st

from projections.as_corrected import as_corrected, held
from projections.replay import replay
from schemas.commands import DeclareStatus, WithdrawSignature
from tests.histories import History, correcting, fixed_uuid, histories, opening, signing, token_of


def test_milestones_move_and_statuses_freeze_other_numbers() -> None:
    """If signatures turn out to be of bots, then the rung was reached later, and the status stood at fewer."""
    history = History()
    history.settle(opening("p", milestones=(2,)), *(signing("p", str(n)) for n in range(2)))
    history.settle(DeclareStatus("p", "successful"), *(signing("p", str(n)) for n in range(2, 4)))
    history.settle(correcting("p", "invalidate", ["1", "2"], "bots", reason="bot"))
    told = as_corrected(lambda: history.leaves, "p")
    assert told is not None
    assert [(r["position"], r["crossing"]) for r in told["timeline"] if r["kind"] == "milestone"] == [(6, "reached")]
    assert [row["count"] for row in told["timeline"] if row["kind"] == "status"] == [1]
    assert [row["detail"]["net"] for row in told["timeline"] if "net" in row["detail"]] == [-2]
    assert (told["count"], told["as_of_position"]) == (2, history.size)


def test_a_signature_whose_hold_was_lifted_stays_as_recorded_and_so_does_a_withdrawal() -> None:
    """If a hold was lifted, then the fall and the rise stay in the history; a withdrawn signature counts until then."""
    history = History()
    history.settle(opening("p", milestones=(2,)), signing("p", "1"), signing("p", "2"))
    history.settle(correcting("p", "invalidate", ["1"], "one"))
    assert held(history.leaves) == {fixed_uuid("p/1/0").bytes}
    assert held(history.leaves, as_of=3) == frozenset()
    history.settle(correcting("p", "reinstate", ["1"], "two"), WithdrawSignature("p", None, token_of("p", "2"), True))
    assert held(history.leaves) == frozenset()
    told = as_corrected(lambda: history.leaves, "p")
    assert told is not None
    crossings = [(r["position"], r["crossing"]) for r in told["timeline"] if r["kind"] == "milestone"]
    assert crossings == [(3, "reached"), (5, "fell-below"), (8, "reached-again"), (10, "fell-below")]


@given(histories(), st.data())
def test_the_count_as_corrected_is_the_count_as_recorded(history: History, data: st.DataObject) -> None:
    """If what is held does not count now, then leaving it out of the past changes no present count, at any position."""
    as_of = data.draw(st.integers(0, history.size))
    rows = {row["id"]: row for row in replay(history.leaves, as_of)["projections"]["petitions"]}
    for id in history.known.petitions:
        told = as_corrected(lambda: history.leaves, id, as_of)
        assert (None if told is None else told["count"]) == (rows[id]["count"] if id in rows else None)


@given(histories())
def test_without_any_hold_both_histories_are_one(history: History) -> None:
    """If nothing is held, then as corrected is as recorded, entry by entry."""
    for id in history.known.petitions:
        if not held(history.leaves, None, id):
            told = as_corrected(lambda: history.leaves, id)
            assert told is not None
            assert told["timeline"] == replay(history.leaves, None, id)["projections"]["timeline"]
