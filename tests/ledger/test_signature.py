"""One signature: every order of its events, held against the oracle; and the rules that have a number of their own."""

import copy
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest

from ledger.signature import MAX_AHEAD
from ledger.state import SignatureState
from schemas.commands import Accepted, Outcome, Refused
from schemas.envelope import read_event
from schemas.events import Acceptance, SignatureRecorded
from tests.ledger.desk import Desk
from tests.ledger.model import Petition, Said
from tests.ledger.submissions import (
    PETITION,
    accepting,
    by_admin,
    by_site,
    confirming,
    imported,
    opening,
    recording,
    some_bytes,
    some_id,
    some_instant,
    withdrawing,
)

HOLDS = {"A": some_id("correction A"), "B": some_id("correction B")}
STEPS = ("sign", "confirm", "withdraw", "hold A", "hold B", "lift A", "lift B", "lift all", "open", "paused", "closed")


def take(desk: Desk, model: Petition, step: str, signer: str, nth: int) -> int:
    """One step on both; the number of the signer's latest signature after it."""
    latest = some_id(f"{PETITION}/{signer}/{nth}")
    now = desk.now + timedelta(seconds=1)
    said: Said
    match step.split():
        case ["open" | "paused" | "closed" as what]:
            (outcome,) = desk.ask(by_admin(accepting(cast(Acceptance, what))))
            said = model.accept(what, now)
        case ["sign"]:
            (outcome,) = desk.ask(by_site(recording(signer, nth + 1)))
            said = model.sign(signer, some_id(f"{PETITION}/{signer}/{nth + 1}"), None, None, now, False)
            nth += said.verdict == "taken"
        case ["confirm"]:
            (outcome,) = desk.ask(by_site(confirming(signer, nth)))
            said = model.confirm(latest, None, now, False)
        case ["withdraw"]:
            (outcome,) = desk.ask(by_site(withdrawing(signer, nth)))
            said = model.withdraw(latest, None, now, False)
        case ["hold", which]:
            outcome = desk.correct("invalidate", HOLDS[which], None, latest)
            said = model.hold(latest, HOLDS[which], None, now, False)
        case ["lift", "all"]:
            outcome = desk.correct("reinstate", some_id("lifting"), None, latest)
            said = model.lift(latest, None, None, now, False)
        case ["lift", which]:
            outcome = desk.correct("reinstate", some_id("lifting"), HOLDS[which], latest)
            said = model.lift(latest, HOLDS[which], None, now, False)
        case _:
            raise AssertionError(step)
    if said.state is not None and "hold" not in step and "lift" not in step:
        assert isinstance(outcome, Accepted)
        assert outcome.answer["state"] == said.state
        assert outcome.repeated == (said.verdict == "as-is")
    elif isinstance(outcome, Refused):
        assert outcome.reason == said.verdict
    return nth


def where(desk: Desk, model: Petition, nth: int) -> tuple[Any, ...]:
    """All that the next step can depend on."""
    signatures = tuple((s.confirmed, s.withdrawn, frozenset(s.holds)) for s in desk.known.signatures.values())
    theirs = tuple((s.confirmed, s.withdrawn, frozenset(s.holds)) for s in model.signatures.values())
    return signatures, theirs, nth, desk.known.petitions[PETITION].acceptance, model.takes


@pytest.mark.parametrize("confirmation", ["none", "required"])
def test_every_sequence_of_six_signature_events_ends_as_the_oracle_says(confirmation: str) -> None:
    """If the events of a signer, two corrections and what the petition takes come in any order, then each is taken,
    left as it is or refused as the oracle says, and adds to the count what it changed about who stands."""
    desk, model = Desk(confirmation=confirmation), Petition(confirmation=confirmation)
    model.opened()
    reached = {where(desk, model, 0): (desk, model, 0)}
    everywhere = dict(reached)
    for _ in range(6):
        # What two sequences have made alike goes on alike: only one of them has to be followed.
        after = {}
        for desk, model, nth in reached.values():
            for step in STEPS if nth else ("sign", "open", "paused", "closed"):
                here, oracle = copy.deepcopy((desk, model))
                there = take(here, oracle, step, "she", nth)
                assert here.happened() == oracle.events
                petition = here.known.petitions[PETITION]
                assert petition.count == oracle.count == sum(delta for _, delta in here.happened())
                assert sum(s.standing for s in here.known.signatures.values()) == oracle.count <= 1
                after[where(here, oracle, there)] = (here, oracle, there)
        reached = {key: value for key, value in after.items() if key not in everywhere}
        everywhere |= reached
    assert len(everywhere) > 50


def signature(desk: Desk, signer: str = "she", n: int = 1) -> SignatureState:
    return desk.known.signatures[some_id(f"{PETITION}/{signer}/{n}")]


def refusal(outcome: Outcome) -> str | None:
    return outcome.reason if isinstance(outcome, Refused) else None


def test_a_live_event_is_never_effective_before_the_one_it_follows() -> None:
    """If a site's clock is ahead of ours, then what follows at once is effective no earlier, and nobody has to wait."""
    desk = Desk(confirmation="required")
    ahead = desk.now + timedelta(seconds=50)
    outcomes = desk.ask(by_site(recording("she", at=ahead)), by_site(confirming("she")), by_site(withdrawing("she")))
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    assert desk.effective()[1:] == [ahead, ahead, ahead]


def test_an_imported_event_may_not_be_effective_before_a_live_one() -> None:
    """If a signature was confirmed live, then a file's withdrawal of an earlier time is refused."""
    desk = Desk(confirmation="required")
    desk.ask(by_site(recording("she", at=some_instant(10))))
    desk.ask(by_site(confirming("she")))
    withdrawal = replace(withdrawing("she", at=some_instant(20)), imported=True)
    (outcome,) = desk.ask(imported(withdrawal, "row"))
    assert refusal(outcome) == "before-its-predecessor"


@pytest.mark.parametrize(("ahead", "expected"), [(MAX_AHEAD, None), (MAX_AHEAD * 1.0001, "in-the-future")])
def test_an_effective_time_lies_at_most_a_minute_ahead(ahead: timedelta, expected: str | None) -> None:
    """If a time is 60 s ahead, then it is taken; beyond that it is refused."""
    desk = Desk()
    (outcome,) = desk.ask(by_site(recording("she", at=desk.now + timedelta(seconds=1) + ahead)))
    assert refusal(outcome) == expected


@pytest.mark.parametrize(("at", "expected"), [(999, None), (1000, "petition-closed")])
def test_imported_rows_are_held_against_the_closing_time_live_ones_against_the_position(
    at: int, expected: str | None
) -> None:
    """If a petition closed at a time, then a file's earlier rows are taken and others not, and no live one is."""
    desk = Desk(closes_at=some_instant(1000))
    (row,) = desk.ask(imported(recording("she", imported=True, at=some_instant(at)), "row"))
    assert refusal(row) == expected
    (live,) = desk.ask(by_site(recording("he", at=some_instant(at))))
    assert refusal(live) == "petition-closed"


@pytest.mark.parametrize("text_version", [0, -1, 2])
def test_a_text_that_the_petition_never_had_cannot_be_signed(text_version: int) -> None:
    """If a signature names a version of the text that does not exist, then it is refused."""
    desk = Desk()
    assert refusal(desk.ask(by_site(recording("she", text_version=text_version)))[0]) == "unknown-text-version"


def test_no_answers_at_all_are_left_out_of_the_leaf() -> None:
    """If a signature comes with an empty set of answers, then its leaf is still one that the catalogue reads."""
    desk = Desk(questions={"q": ("yes", "no")}, public_fields=("answers",))
    desk.ask(by_site(recording("she", answers={})))
    fact = read_event(desk.events[-1][15]).fact
    assert isinstance(fact, SignatureRecorded)
    assert fact.answers is None


@pytest.mark.parametrize(("takes", "sign", "confirm", "withdraw"), [
    ("open", None, None, None),
    ("paused", "petition-closed", "petition-closed", None),
    ("closed", "petition-closed", "petition-closed", "petition-closed"),
    ("rejected", "petition-closed", "petition-closed", "petition-closed"),
])  # fmt: skip
def test_what_a_petition_takes_decides_over_live_events(
    takes: Any, sign: str | None, confirm: str | None, withdraw: str | None
) -> None:
    """If a petition is paused, it takes withdrawals alone; closed or rejected, none; corrections always go on."""
    desk = Desk(confirmation="required")
    desk.ask(by_site(recording("she")), by_site(recording("he")), by_admin(accepting(takes)))
    asked = by_site(recording("they")), by_site(confirming("she")), by_site(withdrawing("he"))
    assert [refusal(outcome) for outcome in desk.ask(*asked)] == [sign, confirm, withdraw]
    assert refusal(desk.correct("invalidate", HOLDS["A"], None, signature(desk).signature)) is None
    assert signature(desk).holds == (HOLDS["A"],)


def test_a_signer_keeps_her_reference_when_she_signs_again() -> None:
    """If a signer withdrew and signs again, then the log knows her by the same reference, under a new signature."""
    desk = Desk()
    desk.ask(by_site(recording("she")), by_site(withdrawing("she")), by_site(recording("she", 2)))
    facts = [read_event(event[15]).fact for event in desk.events]
    recorded = [fact for fact in facts if isinstance(fact, SignatureRecorded)]
    assert len({fact.signature for fact in recorded}) == 2
    assert {fact.signer_ref for fact in recorded} == {some_bytes(f"ref/{PETITION}/she/1", 16)}


def test_a_signature_of_another_petition_is_not_found() -> None:
    """If a signature is named in a petition that it is not in, then it is not found there."""
    desk = Desk()
    desk.ask(by_admin(opening("other")), by_site(recording("she", petition="other")))
    named = desk.known.signatures[some_id("other/she/1")].signature
    (outcome,) = desk.ask(by_site(replace(withdrawing("she"), signature=named)))
    assert refusal(outcome) == "unknown-signature"


@pytest.mark.parametrize(
    "wrong",
    [{"country": "gb"}, {"country": "England"}, {"region": "a region"}, {"kind": "organisation"}, {"reference": "R 9"}],
    ids=str,
)
def test_what_may_not_be_public_is_refused_before_it_is_a_leaf(wrong: dict[str, Any]) -> None:
    """If a public field of a command has a wrong form, then it is refused: its leaf would stop every fold for ever."""
    desk = Desk()
    (outcome,) = desk.ask(by_site(recording("a", 1, **wrong)))
    assert isinstance(outcome, Refused)
    assert outcome.reason == "public-form"
