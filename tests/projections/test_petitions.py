"""The petitions: what each says of itself, what it takes, and its count."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given

from ledger.drafts import draft
from projections.replay import replay
from schemas.commands import ChangeAcceptance, DeclareStatus, RevisePetition
from schemas.events import CountPublished, PetitionRevised
from schemas.instants import format_instant
from tests.histories import BEGINNING, History, histories, opening, signing


def petition(history: History, id: str = "p", as_of: int | None = None) -> dict[str, Any]:
    """The row of a petition."""
    (row,) = replay(history.leaves, as_of, id)["projections"]["petitions"]
    assert isinstance(row, dict)
    return row


@given(histories())
def test_the_row_agrees_with_what_the_write_side_knows(history: History) -> None:
    """If any history is folded, then count, version, acceptance and times are those by which the writer decides."""
    rows = {row["id"]: row for row in replay(history.leaves)["projections"]["petitions"]}
    assert rows.keys() == history.known.petitions.keys()
    last = {event[1]: event for event in history.events}
    for id, state in history.known.petitions.items():
        row, event = rows[id], last[state.petition]
        assert (row["count"], row["version"], row["acceptance"]) == (state.count, state.version, state.acceptance)
        assert (row["position"], row["recorded"]) == (event[0], format_instant(event[5]))
        assert row["closes_at"] == (state.closes_at and format_instant(state.closes_at))
        assert (row["text_version"], row["questions"]) == (state.text_version, state.questions)
        assert row["first_position"] == state.petition


def test_a_revision_changes_what_it_names_and_nothing_else() -> None:
    """If a revision names a title, then the addressee stays; the basis can't be named at all."""
    history = History()
    history.settle(opening("p", text_sha256="0" * 64))
    before = petition(history)
    history.settle(RevisePetition("p", PetitionRevised(title="New", goals=(7,), text_version=2)))
    after = petition(history)
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"title", "goals", "text_version", "updated_at", "position", "recorded", "version"}


def test_closed_at_is_the_time_of_the_closing_until_it_opens_again() -> None:
    """If a petition closes, is rejected and opens again, then `closed_at` is that of the last change, then none."""
    history = History()
    history.settle(opening("p"))
    seen = []
    for day, acceptance in [(1, "paused"), (2, "closed"), (3, "rejected"), (4, "open")]:
        at = datetime(2025, 5, day, tzinfo=UTC)
        history.settle(ChangeAcceptance("p", acceptance, at))  # type: ignore[arg-type]
        row = petition(history)
        seen.append((row["acceptance"], row["closed_at"] and row["closed_at"][:10]))
    assert seen == [("paused", None), ("closed", "2025-05-02"), ("rejected", "2025-05-03"), ("open", None)]


def test_signatures_and_published_counts_move_the_position_but_not_what_the_petition_says() -> None:
    """If a signature comes or a count is published, then the row is true at that event, and `updated_at` stays."""
    history = History()
    history.settle(opening("p", at=BEGINNING - timedelta(days=9)))
    opened = petition(history)
    assert opened["opened_at"] == "2025-12-23T00:00:00.000000Z"
    assert opened["created_at"] == opened["updated_at"] == "2026-01-01T00:00:01.000000Z"
    history.settle(signing("p", "1"))
    history.evolve("p", draft(CountPublished(count=1, position=2)))
    row = petition(history)
    assert (row["count"], row["position"], row["version"], row["recorded"]) == (1, 3, 3, "2026-01-01T00:00:03.000000Z")
    assert row["updated_at"] == opened["updated_at"]


def test_the_status_is_the_last_declared_and_leaves_the_petition_open() -> None:
    """If outcomes are declared, then the last one stands in the row, and the petition takes signatures as before."""
    history = History()
    history.settle(opening("p"), DeclareStatus("p", "answered"), DeclareStatus("p", "successful"))
    assert (petition(history)["status"], petition(history)["acceptance"]) == ("successful", "open")
    assert petition(history, as_of=2)["status"] == "answered"
    assert petition(history, as_of=1)["status"] is None
