"""The timeline: milestones that survive falls, statuses with the count frozen, inferences, and how it all reads."""

import json
import xml.etree.ElementTree as ElementTree
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.drafts import draft
from projections.replay import replay
from projections.timeline import Row, newest_first
from projections.timeline_text import atom, entries, page_lines, text
from schemas.commands import ChangeAcceptance, DeclareStatus, ObserveCount, RevisePetition, WithdrawSignature
from schemas.events import Claim, CountPublished, PetitionRevised
from schemas.instants import format_instant, parse_instant
from tests.histories import History, correcting, histories, opening, signing, token_of


def timeline(history: History, as_of: int | None = None, id: str = "p") -> list[Row]:
    """The rows of one petition, by position."""
    rows: list[Row] = replay(history.leaves, as_of, id)["projections"]["timeline"]
    return rows


def milestones(history: History) -> list[tuple[Any, ...]]:
    return [(row["position"], row["rung"], row["crossing"]) for row in timeline(history) if row["rung"] is not None]


def observed(history: History, *seen: tuple[str | None, int, Claim]) -> None:
    """Observations as (day of May 2014 and perhaps a time, count, claim)."""
    for day, count, claim in seen:
        at = None if day is None else datetime.fromisoformat(f"2014-05-{day}").replace(tzinfo=UTC)
        history.settle(ObserveCount("p", count, claim, at))


def an_observed_petition(**given: Any) -> History:
    history = History()
    history.settle(opening("p", basis="observed", milestones=(10, 50, 100), **given))
    return history


def test_a_rung_is_reached_fallen_below_and_reached_again() -> None:
    """If the count comes up to a rung, sinks and comes back, then there are three entries, each where it happened."""
    history = History()
    history.settle(opening("p", milestones=(2, 3)))
    history.settle(signing("p", "1"), signing("p", "2"), WithdrawSignature("p", None, token_of("p", "1"), True))
    history.settle(signing("p", "3"), signing("p", "4"))
    assert milestones(history) == [(3, 2, "reached"), (4, 2, "fell-below"), (5, 2, "reached-again"), (6, 3, "reached")]


@given(histories(), st.data())
def test_a_first_crossing_never_moves_and_never_disappears(history: History, data: st.DataObject) -> None:
    """If the history grows, by falls, corrections and new ladders too, then every entry but an inference stays."""
    early = data.draw(st.integers(0, history.size))
    for id in history.known.petitions:
        before = [row for row in timeline(history, early, id) if row["kind"] != "inferred"]
        after = [row for row in timeline(history, None, id) if row["kind"] != "inferred"]
        assert after[: len(before)] == before
        first = [row["rung"] for row in after if row["crossing"] == "reached"]
        assert len(first) == len(set(first))


@given(histories())
def test_crossings_are_those_of_the_count_before_and_after(history: History) -> None:
    """If a signature event moves the count over a rung of the ladder of its time, then it has the one entry for it."""
    ladders: dict[int, set[int]] = {}
    expected = []
    for row in history.events:
        data = json.loads(row[15])["data"]
        if row[3] in ("petition.opened.v1", "petition.revised.v1") and "milestones" in data:
            ladders[row[1]] = set(data["milestones"])
        if row[8] is not None and row[6] and max(row[7], row[7] - row[6]) in ladders[row[1]]:
            expected.append((row[0], max(row[7], row[7] - row[6]), row[6] > 0))
    rows = [row for row in replay(history.leaves)["projections"]["timeline"] if row["kind"] == "milestone"]
    itemised = [row for row in rows if history.known.petitions[row["petition"]].basis == "itemised"]
    found = [(row["position"], row["rung"], row["crossing"] != "fell-below") for row in itemised]
    assert sorted(found) == expected


def test_a_rung_added_below_the_count_stamps_nothing() -> None:
    """If the ladder gains a rung that the count is already above, then no entry appears; a fall below it is one."""
    history = History()
    history.settle(opening("p", milestones=(5,)), *(signing("p", str(n)) for n in range(3)))
    history.settle(RevisePetition("p", PetitionRevised(milestones=(2, 4), text_version=1)))
    assert milestones(history) == []
    history.settle(*(WithdrawSignature("p", None, token_of("p", str(n)), True) for n in range(2)))
    history.settle(*(signing("p", str(n)) for n in range(4, 9)))
    assert milestones(history) == [(7, 2, "fell-below"), (8, 2, "reached-again"), (10, 4, "reached")]


def test_a_status_freezes_the_count_at_its_position_and_keeps_what_was_reported_beside() -> None:
    """If an itemised petition is declared successful with another number reported, then the count is its own."""
    history = History()
    history.settle(opening("p"), signing("p", "1"), DeclareStatus("p", "successful", 13), signing("p", "2"))
    (row,) = [row for row in timeline(history) if row["kind"] == "status"]
    assert (row["count"], row["detail"]) == (1, {"status": "successful", "reported_count": 13})


def test_a_correction_shows_what_it_did() -> None:
    """If corrections overlap, then each one's net is what its own events moved: nothing where another held first."""
    history = History()
    history.settle(opening("p"), *(signing("p", str(n)) for n in range(3)))
    history.settle(correcting("p", "invalidate", ["0", "1"], "one", reason="bot"))
    history.settle(correcting("p", "invalidate", ["1", "2"], "two"))
    history.settle(correcting("p", "reinstate", ["0", "1"], "three", reason="mistake"))
    rows = [row["detail"] for row in timeline(history) if row["kind"] == "correction"]
    assert [row["state"] for row in rows] == ["opened", "completed"] * 3
    assert [(row["matched"], row["reason"]) for row in rows[::2]] == [(2, "bot"), (2, "duplicate"), (2, "mistake")]
    assert [row["net"] for row in rows[1::2]] == [-2, -1, 2]


def test_an_observed_rung_is_stamped_only_by_whoever_claims_it() -> None:
    """If pages show numbers, then only a milestone claimed at exactly a rung stamps it, the first one for good."""
    history = an_observed_petition()
    observed(history, ("01", 10, "page"), ("02", 10, "milestone"), ("03", 12, "milestone"), ("04", 10, "milestone"))
    stamped = [
        (row["position"], row["rung"], row["crossing"]) for row in timeline(history) if row["kind"] == "milestone"
    ]
    assert stamped == [(3, 10, "reached"), (5, 10, "reached-again")]


def test_a_rung_passed_between_two_observations_is_inferred_with_its_interval() -> None:
    """If numbers jump over rungs, up or down, then each rung has an inferred entry between the two times."""
    history = an_observed_petition()
    observed(history, ("01", 5, "page"), ("03", 100, "milestone"), ("05", 49, "page"))
    inferred = [row for row in timeline(history) if row["kind"] == "inferred"]
    assert [(row["position"], row["ordinal"], row["rung"], row["crossing"]) for row in inferred] == [
        (3, 1, 50, "reached"),
        (3, 2, 10, "reached"),
        (4, 1, 50, "fell-below"),
        (4, 2, 100, "fell-below"),
    ]
    assert inferred[0]["detail"] == {
        "from": "2014-05-01T00:00:00.000000Z",
        "to": "2014-05-03T00:00:00.000000Z",
        "from_position": 2,
        "from_count": 5,
    }


def test_an_observation_found_later_narrows_an_inference() -> None:
    """If a page between two others turns up, then the interval is narrowed; as of before, it is what was known then."""
    history = an_observed_petition()
    observed(history, ("01", 5, "page"), ("09", 20, "page"), ("05", 15, "page"))
    intervals = [
        [(row["detail"]["from"][8:10], row["detail"]["to"][8:10]) for row in timeline(history, as_of) if row["ordinal"]]
        for as_of in (3, 4)
    ]
    assert intervals == [[("01", "09")], [("01", "05")]]


def test_undated_observations_have_no_place_in_time_unless_there_are_no_others() -> None:
    """If nothing is dated, then order of recording stands in, without times; one dated observation dissolves that."""
    history = an_observed_petition()
    observed(history, (None, 5, "page"), (None, 11, "page"))
    (row,) = [row for row in timeline(history) if row["ordinal"]]
    assert (row["rung"], row["at"], row["detail"]["from"], row["detail"]["to"]) == (10, None, None, None)
    observed(history, ("01", 70, "page"))
    assert [row for row in timeline(history) if row["ordinal"]] == []


def test_an_observed_timeline_is_shown_by_time_and_an_itemised_one_by_position() -> None:
    """If rows were recorded out of time order, then basis decides in which order they are shown; undated ones last."""
    history = an_observed_petition(at=datetime(2014, 4, 1, tzinfo=UTC))
    observed(history, ("09", 50, "milestone"), (None, 100, "milestone"), ("02", 10, "milestone"))
    rows = [row for row in timeline(history) if not row["ordinal"]]
    assert [row["rung"] for row in newest_first(rows, "observed")] == [50, 10, None, 100]
    assert [row["rung"] for row in newest_first(rows, "itemised")] == [10, 100, 50, None]


def test_the_page_text_is_that_of_the_page() -> None:
    """If claims and statuses are printed, then newest first: local time and offset, a tab, the line."""
    history = History()
    history.settle(opening("p", basis="observed", milestones=(10, 10_000), at=datetime(2014, 5, 1, tzinfo=UTC)))
    for at, count, claim, status in [
        ("2014-05-17T01:11:09", 10, "milestone", None),
        ("2014-05-21T18:08:40", 10_000, "milestone", None),
        ("2016-11-17T20:41:23", 13_159, "status", "successful"),
        ("2018-01-31T09:56:46", 13_163, "status", "successful"),
    ]:
        instant = datetime.fromisoformat(at).replace(tzinfo=UTC)
        history.settle(ObserveCount("p", count, claim, instant, status=status))  # type: ignore[arg-type]
    assert page_lines(newest_first(timeline(history), "observed"), "Europe/London") == [
        "2018-01-31 09:56:46 +0000\tPetition is successful with 13,163 signatures",
        "2016-11-17 20:41:23 +0000\tPetition is successful with 13,159 signatures",
        "2014-05-21 19:08:40 +0100\t10,000 signatures reached",
        "2014-05-17 02:11:09 +0100\t10 signatures reached",
    ]


def test_the_page_text_leaves_out_what_is_inferred_or_reached_again() -> None:
    """If a rung of an itemised petition is crossed again, or an observed one is only inferred, then no line says so."""
    history = an_observed_petition()
    observed(history, ("01", 5, "page"), ("02", 51, "page"), (None, 10, "milestone"))
    assert page_lines(newest_first(timeline(history), "observed"), "UTC") == ["undated\t10 signatures reached"]
    history = History()
    history.settle(opening("p", milestones=(1,)), signing("p", "1"))
    history.settle(WithdrawSignature("p", None, token_of("p", "1"), True), signing("p", "2"))
    lines = page_lines(newest_first(timeline(history), "itemised"), "Europe/London")
    assert [line.partition("\t")[2] for line in lines] == ["1 signature reached"]


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (ChangeAcceptance("p", "closed"), "Closed for signatures"),
        (DeclareStatus("p", "certified"), "Petition is certified with 1 signature"),
        (RevisePetition("p", PetitionRevised(text_version=2)), "Petition revised, text version 2"),
    ],
)
def test_each_kind_has_its_line(command: Any, line: str) -> None:
    """If something is declared of a petition, then its entry reads so."""
    history = History()
    history.settle(opening("p"), signing("p", "1"), command)
    assert text(timeline(history)[-1]) == line


def test_a_published_count_is_an_entry_with_the_position_it_was_true_at() -> None:
    """If the service published a number, then the entry has that number, whatever the count is now."""
    history = History()
    history.settle(opening("p"), signing("p", "1"), signing("p", "2"))
    history.evolve("p", draft(CountPublished(count=1, position=2)))
    row = timeline(history)[-1]
    assert (row["kind"], row["count"], row["detail"]) == ("published", 1, {"as_of_position": 2})


@given(histories())
def test_every_entry_has_a_text_an_event_and_times(history: History) -> None:
    """If any history is shown, then each entry has what the interface promises, and the feed is well-formed XML."""
    rows = newest_first(replay(history.leaves)["projections"]["timeline"], "itemised")
    for row, entry in zip(rows, entries(rows), strict=True):
        assert entry["event"] == f"{row['position']:020d}"
        assert entry["text"]
        assert {"kind", "at", "recorded_at", "position", "count"} <= entry.keys()
        assert format_instant(parse_instant(entry["recorded_at"])) == entry["recorded_at"]
    feed = ElementTree.fromstring(atom(rows, title="Ban <it> & more", author='The "Council"', url="https://x/?a=1&b"))
    assert len(feed.findall("{http://www.w3.org/2005/Atom}entry")) == len(rows)
    assert feed.findtext("{http://www.w3.org/2005/Atom}title") == "Ban <it> & more"
