"""The rules of the log, each broken once by an operator who hashes and seals all of it again: each is named."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.ledger.verifying.bundles import Json, renumbered
from tests.ledger.verifying.story import (
    BRIDGE,
    LIBRARY,
    POLL,
    audited,
    edited,
    events,
    position,
    positions,
    says,
    sealed_again,
)

Lie = Callable[[Json], None]
NOBODY: Final = "00000000-0000-7000-8000-000000000000"
MIDDLE: Final = 150


def is_(**attributes: object) -> Lie:
    """The event has these attributes instead."""
    return lambda event: event.update(attributes)


def both(*lies: Lie) -> Lie:
    def lie(event: Json) -> None:
        for each in lies:
            each(event)

    return lie


def lacks(*members: str) -> Lie:
    def lie(event: Json) -> None:
        for member in members:
            del event["data"][member]

    return lie


def of(type: str, data: Json, **attributes: object) -> Lie:
    """The event is of another type."""
    return is_(type=type, data=data, **attributes)


SIGNED = position("signature.recorded.v1", nth=100)
ITS_BATCH = next(
    int(event["id"]) for event in events() if event["recordedtime"] == events()[SIGNED - 1]["recordedtime"]
)
ANOTHER = events()[SIGNED - 1]["data"] | {"signature": NOBODY}
FIRST_SIGNATURE = events()[position("signature.recorded.v1") - 1]["data"]["signature"]
ANSWERED = position("signature.recorded.v1", POLL)
WITHDRAWN = position("signature.withdrawn.v1")
CONFIRMED = position("signature.confirmed.v1")
HELD = position("signature.invalidated.v1")
LIFTED = position("correction.opened.v1", nth=1)
BY_ADMINS = position("correction.opened.v1", nth=2)
ACTED = position("signature.invalidated.v1", nth=3)
APPROVED = position("correction.approved.v1")
ENDED = position("correction.completed.v1", nth=2)
REVISED = position("petition.revised.v1")
PUBLISHED = positions("count.published.v1")
ERASED = position("signer.erased.v1")
CLOSED = position("acceptance.changed.v1")
LAST = len(events())

LIES: Final[dict[str, tuple[int, Lie, str]]] = {
    # envelope
    "another position": (SIGNED, is_(id=f"{SIGNED + 1:020d}"), "does not name the position"),
    "another origin": (SIGNED, is_(source="elsewhere.example/ledger"), "the origin changes"),
    "a time ahead": (SIGNED, is_(time="2026-01-01T00:10:00.000000Z"), "more than 60 seconds after"),
    "a version too high": (SIGNED, is_(version=1000), "of the petition is followed by 1000"),
    "a first event that opens nothing": (3, of("update.posted.v1", {"headline": "h"}), "does not open it"),
    "undated, and of another time": (
        HELD,
        both(says(at_known=False), is_(time="2026-01-01T00:00:00.000000Z")),
        "and yet not that of its recording",
    ),
    "opened twice": (SIGNED, of("petition.opened.v1", events()[0]["data"]), "open already"),
    # what a signature states
    "a field that is not public": (SIGNED, says(region="W7"), "does not publish"),
    "an answer that is not asked": (ANSWERED, says(answers={"ban": "perhaps"}), "not ask"),
    "a question that is not asked": (ANSWERED, says(answers={"tax": "yes"}), "not ask"),
    "a text that is not there yet": (SIGNED, says(text_version=2), "does not have yet"),
    "a signature recorded twice": (SIGNED, says(signature=FIRST_SIGNATURE), "recorded twice"),
    "a signature in an observed petition": (
        position("count.observed.v1", BRIDGE),
        of("signature.recorded.v1", ANOTHER),
        "stands in an observed petition",
    ),
    "an observation of an itemised petition": (
        PUBLISHED[0], of("count.observed.v1", {"count": 7, "claim": "page", "at_known": True}), "that is itemised",
    ),
    # transitions
    "no such signature": (WITHDRAWN, says(signature=NOBODY), "no such signature"),
    "withdrawn twice": (WITHDRAWN + 1, says(signature=events()[WITHDRAWN - 1]["data"]["signature"]), "withdrawn twice"),
    "confirmed twice": (CONFIRMED, says(signature=FIRST_SIGNATURE), "confirmed or withdrawn already"),
    "before what it follows": (WITHDRAWN, is_(time="2025-01-01T00:00:00.000000Z"), "that it follows"),
    "erased, and not withdrawn": (ERASED, says(signature=FIRST_SIGNATURE), "who had not withdrawn"),
    # what the petition takes
    "closed too late": (1, says(closes_at=events()[SIGNED - 1]["recordedtime"]), "it was not closed first"),
    "not open yet": (1, says(opens_at="2026-01-01T00:01:00.000000Z"), "does not take signatures then"),
    # corrections
    "opened twice (correction)": (
        BY_ADMINS, says(correction=events()[HELD - 2]["data"]["correction"]), "a correction is opened twice",
    ),
    "an exemption for an admin": (BY_ADMINS, says(approval="exempt"), "and nothing else is"),
    "no exemption for an import": (HELD - 1, says(approval="required"), "and nothing else is"),
    "more than one may alone": (BY_ADMINS, says(approval="not-required", matched=101), "within a day"),
    "approved by who opened it": (APPROVED, is_(actor="admin:7f3a21"), "not a second principal's approval"),
    "approved another set": (APPROVED, says(digest="0" * 64), "not a second principal's approval"),
    "acts before it is approved": (APPROVED, of("update.posted.v1", {"headline": "h"}), "before a second principal"),
    "a lift of nothing": (BY_ADMINS, says(lifts=NOBODY), "what it lifts is no correction"),
    "a reversal of nothing": (BY_ADMINS, says(reverses=NOBODY), "what it reverses is no correction"),
    "a reversal of another set": (
        LIFTED, says(reverses=events()[BY_ADMINS - 1]["data"]["correction"]), "no correction of the petition",
    ),
    "a reversal of more than was moved": (
        LIFTED, says(reverses=events()[HELD - 2]["data"]["correction"]), "not over exactly what",
    ),
    "another reason": (ACTED, says(reason="bot"), "another kind, reason or hold"),
    "another kind": (BY_ADMINS, says(kind="reinstate"), "another kind, reason or hold"),
    "held twice": (ACTED + 1, says(signature=events()[ACTED - 1]["data"]["signature"]), "holds already"),
    "more applied than was": (ENDED, says(applied=3), "its numbers are not those"),
    "more skipped than there are": (ENDED, says(skipped=1), "its numbers are not those"),
    "ended before its time": (ENDED, says(applied=1), "its numbers are not those"),
    "another set": (BY_ADMINS, says(digest="0" * 64), "approval of the frozen set"),
    "no such correction": (ENDED, says(correction=NOBODY), "no such correction under way"),
    # published counts
    "a position that is not there yet": (PUBLISHED[0], says(position=PUBLISHED[0]), "was not there, or is no news"),
    "a position before the petition": (PUBLISHED[0], says(position=0), "was not there, or is no news"),
    "a position before the last": (PUBLISHED[1], says(position=4), "was not there, or is no news"),
    "a count that is no news": (PUBLISHED[0], says(count=0, position=3), "no news"),
    "by somebody else": (PUBLISHED[0], is_(actor="admin:7f3a21"), "by somebody else than the ledger"),
}  # fmt: skip
ELSEWHERE: Final = {
    "closed too late": ITS_BATCH,
    "not open yet": position("signature.recorded.v1"),
    "acts before it is approved": APPROVED + 1,
    "another kind": ACTED,
    "another set": APPROVED,
}
"""Lies that come out at a later event, which would have been right."""


@pytest.mark.parametrize("name", LIES)
def test_a_broken_rule_is_named_where_it_is_broken(name: str, tmp_path: Path) -> None:
    """If one event says what it may not, then it is named, with the rule; or the first that the lie makes wrong."""
    where, lie, sentence = LIES[name]
    report = audited(tmp_path, sealed_again(edited(where, lie)).files())
    told = [found for found in report.findings if found.where.startswith(("petition ", "checkpoint"))]
    assert told[0].position == ELSEWHERE.get(name, where), told
    assert any(at == told[0].position and sentence in said for at, _, said in told), told


@pytest.mark.parametrize(
    ("type", "data", "sentence"),
    [
        ("signature.recorded.v1", ANOTHER, "does not take signatures then"),
        ("signature.confirmed.v1", {"signature": FIRST_SIGNATURE}, "takes no confirmation then"),
        ("signature.withdrawn.v1", {"signature": FIRST_SIGNATURE}, "takes no withdrawal then"),
    ],
)
def test_what_a_closed_petition_takes(type: str, data: Json, sentence: str, tmp_path: Path) -> None:
    """If a live event comes after the closing, then it is named; an import that was effective before it is taken."""
    live = {**events()[SIGNED - 1], "type": type, "data": data, "recordedtime": events()[-1]["recordedtime"]}
    live["time"] = live["recordedtime"]
    report = audited(tmp_path / "a", sealed_again(renumbered([*events(), live])).files())
    assert (LAST + 1, sentence) in {(at, said.removeprefix("the petition ")) for at, _, said in report.findings}
    imported = {**live, "actor": "import:1", "time": events()[SIGNED - 1]["time"]}
    report = audited(tmp_path / "b", sealed_again(renumbered([*events(), imported])).files())
    assert not any(found.sentence.endswith(sentence) for found in report.findings)


def test_a_gap_in_the_versions_is_told_once(tmp_path: Path) -> None:
    """If an event is left out of one petition and the others are renumbered, then the rule is named once."""
    some = renumbered(events())
    for event in some[SIGNED - 1 :]:
        event["version"] += event["subject"] == LIBRARY
    report = audited(tmp_path, sealed_again(some).files())
    assert report.kinds["version"] == 1
    assert report.first == SIGNED


def test_of_many_findings_of_one_kind_the_first_are_told_and_all_are_counted(tmp_path: Path) -> None:
    """If a rule is broken a hundred times, then ten are told, and the total says how bad it is."""
    some = [{**event, "actor": "import:1"} if event["type"] == "signature.recorded.v1" else event for event in events()]
    for event in some:
        if event["type"] == "signature.recorded.v1" and event["subject"] == LIBRARY:
            event["data"] = {**event["data"], "text_version": 9}
    report = audited(tmp_path, sealed_again(some).files())
    assert report.kinds["public-fields"] == 282
    assert sum("does not have yet" in found.sentence for found in report.findings) == 10
    assert report.total == 282
