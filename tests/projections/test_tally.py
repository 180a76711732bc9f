"""The tally: sums by area, channel, kind and answer, of what counts and of what became of the rest."""

from collections import Counter
from typing import Any

from hypothesis import given

from projections.replay import replay
from projections.tally import COLUMNS
from schemas.commands import WithdrawSignature
from tests.histories import History, correcting, histories, opening, signing, token_of


def tally(history: History) -> dict[tuple[str, str, str], dict[str, int]]:
    """Rows by key."""
    rows = replay(history.leaves)["projections"]["tally"]
    keyed = {(row["petition"], row["dimension"], row["value"]): {name: row[name] for name in COLUMNS} for row in rows}
    assert len(keyed) == len(rows)
    return keyed


@given(histories())
def test_in_an_itemised_petition_every_dimension_sums_to_the_count(history: History) -> None:
    """If signatures come and go, then `standing` by country, region, channel, kind and each answer is the count."""
    sums: Counter[tuple[str, str]] = Counter()
    dimensions: dict[str, set[str]] = {}
    for (id, dimension, _), row in tally(history).items():
        sums[id, dimension] += row["standing"]
        dimensions.setdefault(id, set()).add(dimension)
        assert row["standing"] >= 0
    for petition in history.known.petitions.values():
        if petition.basis == "observed":
            assert dimensions[petition.id] == {"total"}
        for dimension in dimensions[petition.id]:
            assert sums[petition.id, dimension] == petition.count


@given(histories())
def test_each_column_is_a_sum_over_the_events(history: History) -> None:
    """If the events of a petition are counted by type, then that is what the row `total` says."""
    events: Counter[tuple[int, str]] = Counter((row[1], row[3]) for row in history.events)
    at_once = Counter(row[1] for row in history.events if row[3] == "signature.recorded.v1" and row[6] == 1)
    for (id, dimension, _), row in tally(history).items():
        if dimension == "total":
            petition = history.known.petitions[id].petition
            of = {name: events[petition, f"signature.{name}.v1"] for name in COLUMNS[1:]}
            assert row == {
                **of,
                "standing": history.known.petitions[id].count,
                "confirmed": of["confirmed"] + at_once[petition],
            }


def test_what_the_leaf_does_not_state_is_unknown() -> None:
    """If a signature has no country, no region and answers one question of two, then it counts as `unknown` there."""
    history = History()
    fields = ("country", "region", "answers")
    questions = {"ban": ("yes", "no"), "tax": ("yes", "no")}
    history.settle(opening("p", public_fields=fields, questions=questions))
    history.settle(
        signing("p", "1", country="GB", region="W7", answers={"ban": "no"}, kind="organisation", name="Branch 9"),
        signing("p", "2", channel="paper", confirmed=False),
    )
    rows = tally(history)
    standing = {key[1:]: row["standing"] for key, row in rows.items()}
    assert standing == {
        ("total", ""): 1,
        ("country", "GB"): 1,
        ("country", "unknown"): 0,
        ("region", "W7"): 1,
        ("region", "unknown"): 0,
        ("channel", "site"): 1,
        ("channel", "paper"): 0,
        ("kind", "organisation"): 1,
        ("kind", "person"): 0,
        ("answer:ban", "no"): 1,
        ("answer:ban", "unknown"): 0,
        ("answer:tax", "unknown"): 1,
    }
    assert rows["p", "channel", "paper"]["recorded"] == 1


def test_a_signature_under_two_corrections_is_invalidated_twice() -> None:
    """If two corrections hold one signature and one decision lifts both, then each hold is counted."""
    history = History()
    history.settle(opening("p"), signing("p", "1"), signing("p", "2"))
    history.settle(correcting("p", "invalidate", ["1"], "first"), correcting("p", "invalidate", ["1", "2"], "second"))
    total: dict[str, Any] = tally(history)["p", "total", ""]
    assert (total["standing"], total["invalidated"], total["reinstated"]) == (0, 3, 0)
    history.settle(correcting("p", "reinstate", ["1"], "third"), WithdrawSignature("p", None, token_of("p", "2"), True))
    total = tally(history)["p", "total", ""]
    assert (total["standing"], total["invalidated"], total["reinstated"], total["withdrawn"]) == (1, 3, 2, 1)
