"""Corrections that admins decide: alone up to 100 signatures a day, beyond that as a second principal approved them."""

from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.correction import ALONE, digest
from ledger.state import CorrectionState, Member
from schemas.commands import (
    Accepted,
    ApproveCorrection,
    CancelCorrection,
    Command,
    ContinueCorrection,
    OpenCorrection,
    Outcome,
    Refused,
    Submission,
)
from schemas.envelope import read_event
from schemas.events import CorrectionCancelled, CorrectionOpened
from tests.ledger.desk import Desk
from tests.ledger.submissions import ADMIN, PETITION, by_site, opening, recording, some_id, withdrawing

SECOND = "admin:0b5e11"
RULE = "Signatures from one network within a minute."


def ids(*signers: str) -> tuple[UUID, ...]:
    return tuple(some_id(f"{PETITION}/{signer}/1") for signer in signers)


def correcting(name: str, signatures: tuple[UUID, ...], **said: Any) -> OpenCorrection:
    """A correction that invalidates these, unless the test says otherwise."""
    command = OpenCorrection(
        petition=PETITION,
        correction=some_id(name),
        kind="invalidate",
        reason="bot",
        rule=RULE,
        signatures=signatures,
        digest=digest(signatures),
        conditions=("network",),
    )
    return replace(command, **said)


def reversing(name: str, of: str, signatures: tuple[UUID, ...], **said: Any) -> OpenCorrection:
    """A reversal of a correction that invalidated these."""
    given = {"kind": "reinstate", "reason": "mistake", "lifts": some_id(of), "reverses": some_id(of), **said}
    return correcting(name, signatures, conditions=("reversal",), **given)


def signed(many: int, **said: Any) -> tuple[Desk, tuple[UUID, ...]]:
    """A petition with so many signatures."""
    desk, signers = Desk(**said), [f"s{n}" for n in range(many)]
    desk.ask(*[by_site(recording(each)) for each in signers])
    return desk, ids(*signers)


def ask(desk: Desk, command: Command, actor: str = ADMIN) -> Outcome:
    return desk.ask(Submission(command, actor))[0]


def told(outcome: Outcome) -> dict[str, Any]:
    assert isinstance(outcome, Accepted), outcome
    return outcome.answer


def refused(outcome: Outcome) -> tuple[str, str]:
    assert isinstance(outcome, Refused), outcome
    return outcome.problem, outcome.reason


def count(desk: Desk) -> int:
    return desk.known.petitions[PETITION].count


def correction(desk: Desk, name: str) -> CorrectionState:
    return desk.known.corrections[some_id(name)]


def run(desk: Desk, name: str, at_most: int = 1000) -> int:
    """Run a correction to its end; how many chunks it took."""
    chunks = 0
    while isinstance(ask(desk, ContinueCorrection(PETITION, some_id(name), at_most), "system"), Accepted):
        chunks += 1
    return chunks


def test_a_small_correction_is_opened_and_applied_in_one_step() -> None:
    """If one principal corrects no more than 100 signatures, then they are held at once, and the log says the rule's
    SHA-256."""
    desk, signatures = signed(3)
    answer = told(ask(desk, correcting("k1", signatures[:2], told={"effect": "as seen"})))
    assert (answer["state"], answer["approval"], answer["applied"]) == ("completed", "not-required", 2)
    assert (answer["digest"], answer["effect"]) == (digest(signatures[:2]), "as seen")
    assert count(desk) == 1
    fact = next(fact for fact in (read_event(e[15]).fact for e in desk.events) if isinstance(fact, CorrectionOpened))
    assert fact.notice_sha256 == sha256(RULE.encode()).hexdigest()
    assert fact.conditions == ("network",)


def test_a_large_correction_waits_for_a_second_principal() -> None:
    """If one principal corrects more than 100 signatures, then nothing is held before another has approved exactly the
    frozen set: not the one that opened it, not by another digest, and not twice."""
    desk, signatures = signed(ALONE + 1)
    answer = told(ask(desk, correcting("k1", signatures)))
    assert (answer["state"], answer["approval"], answer["applied"]) == ("proposed", "required", 0)
    assert refused(ask(desk, ContinueCorrection(PETITION, some_id("k1")), "system"))[1] == "unknown-correction"
    approval = ApproveCorrection(PETITION, some_id("k1"), digest(signatures))
    assert refused(ask(desk, approval)) == ("forbidden", "own-correction")
    wrong = replace(approval, digest=digest(signatures[1:]))
    assert refused(ask(desk, wrong, SECOND)) == ("digest-mismatch", "digest-mismatch")
    assert refused(ask(desk, replace(approval, correction=some_id("k9")), SECOND))[0] == "not-found"
    assert count(desk) == ALONE + 1
    assert told(ask(desk, approval, SECOND))["state"] == "running"
    assert correction(desk, "k1").approver == SECOND
    assert refused(ask(desk, approval, SECOND)) == ("invalid-transition", "not-proposed")
    desk.known.members[some_id("k1")] = members_of("k1", signatures)
    run(desk, "k1", at_most=40)
    assert (count(desk), correction(desk, "k1").state) == (0, "completed")
    assert {actor_of(event) for event in desk.events if event[3] == "signature.invalidated.v1"} == {ADMIN}


def members_of(name: str, signatures: tuple[UUID, ...]) -> list[Member]:
    """What the database reads of a set that was frozen."""
    return [Member(some_id(name), nth, each) for nth, each in enumerate(signatures, 1)]


def actor_of(event: tuple[Any, ...]) -> str:
    return read_event(event[15]).actor


def test_a_purge_in_pieces_of_100_is_one_purge() -> None:
    """If one principal splits a purge, then the pieces of a day are summed, whatever became of them; those of another
    principal and of another day are not."""
    desk, signatures = signed(250)
    assert told(ask(desk, correcting("k1", signatures[:60])))["approval"] == "not-required"
    assert told(ask(desk, correcting("k2", signatures[60:100])))["approval"] == "not-required"
    assert told(ask(desk, correcting("k3", signatures[100:101])))["approval"] == "required"
    assert told(ask(desk, correcting("k4", signatures[100:200]), SECOND))["approval"] == "not-required"
    told(ask(desk, CancelCorrection(PETITION, some_id("k3"))))
    assert told(ask(desk, correcting("k5", signatures[101:102])))["approval"] == "required"
    desk.now += timedelta(hours=24)
    assert told(ask(desk, correcting("k6", signatures[100:200])))["approval"] == "not-required"


def test_the_pieces_of_one_batch_are_summed_too() -> None:
    """If two pieces come so close that one transaction takes both, then the second knows of the first."""
    desk, signatures = signed(150)
    first, second = desk.ask(
        Submission(correcting("k1", signatures[:100]), ADMIN), Submission(correcting("k2", signatures[100:]), ADMIN)
    )
    assert (told(first)["approval"], told(second)["approval"]) == ("not-required", "required")


def test_a_set_that_is_not_the_previewed_one_is_refused() -> None:
    """If an opening names the digest of another set, then nothing is recorded."""
    desk, signatures = signed(3)
    before = len(desk.events)
    stale = correcting("k1", signatures, expected=digest(signatures[:2]))
    assert refused(ask(desk, stale)) == ("digest-mismatch", "digest-mismatch")
    assert refused(ask(desk, correcting("k1", ()))) == ("invalid-transition", "nothing-matches")
    assert len(desk.events) == before
    assert told(ask(desk, correcting("k1", signatures, expected=digest(signatures))))["applied"] == 3


def test_an_observed_petition_is_not_corrected() -> None:
    """If nobody signs here, then there is nothing to correct."""
    desk = Desk()
    desk.ask(Submission(opening("watched", basis="observed", provenance="observed"), ADMIN))
    command = replace(correcting("k1", ids("she")), petition="watched")
    assert refused(ask(desk, command)) == ("invalid-transition", "observed-petition")


@pytest.mark.parametrize("chunks", [0, 1, 2])
def test_cancelling_stops_a_correction_exactly_where_it_is(chunks: int) -> None:
    """If a correction is cancelled, proposed or after any chunk, then what was applied stays so, nothing more is, and
    the log has its numbers."""
    desk, signatures = signed(120)
    told(ask(desk, correcting("k1", signatures)))
    if chunks:
        told(ask(desk, ApproveCorrection(PETITION, some_id("k1"), digest(signatures)), SECOND))
        desk.known.members[some_id("k1")] = members_of("k1", signatures)
    for _ in range(chunks):
        told(ask(desk, ContinueCorrection(PETITION, some_id("k1"), 50), "system"))
    answer = told(ask(desk, CancelCorrection(PETITION, some_id("k1")), SECOND))
    assert (answer["state"], answer["applied"], count(desk)) == ("cancelled", 50 * chunks, 120 - 50 * chunks)
    assert run(desk, "k1") == 0
    fact = read_event(desk.events[-1][15]).fact
    assert fact == CorrectionCancelled(correction=some_id("k1"), applied=50 * chunks, skipped=0)
    assert refused(ask(desk, CancelCorrection(PETITION, some_id("k1")))) == ("invalid-transition", "ended")
    late = ApproveCorrection(PETITION, some_id("k1"), digest(signatures))
    assert refused(ask(desk, late, SECOND)) == ("invalid-transition", "not-proposed")


def test_a_reversal_is_over_what_was_applied_and_happens_once() -> None:
    """If a correction that has ended is reversed, then the count is as before and the history longer; it is not
    reversed again, but its reversal may be."""
    desk, signatures = signed(5)
    told(ask(desk, correcting("k1", signatures[:3])))
    told(ask(desk, reversing("r1", "k1", signatures[:3])))
    assert count(desk) == 5
    assert refused(ask(desk, reversing("r2", "k1", signatures[:3]))) == ("invalid-transition", "reversed-already")
    again = reversing("r3", "r1", signatures[:3], kind="invalidate", lifts=None)
    told(ask(desk, again))
    assert count(desk) == 2
    assert refused(ask(desk, reversing("r4", "k9", ()))) == ("not-found", "unknown-correction")


def test_what_runs_is_not_reversed_and_what_reinstates_holds_nothing() -> None:
    """If a correction has not ended, then it cannot be reversed; and a hold is lifted of a correction that holds."""
    desk, signatures = signed(ALONE + 1)
    told(ask(desk, correcting("k1", signatures)))
    assert refused(ask(desk, reversing("r1", "k1", signatures))) == ("invalid-transition", "not-ended")
    desk, signatures = signed(2)
    told(ask(desk, correcting("k1", signatures)))
    told(ask(desk, reversing("r1", "k1", signatures)))
    lifting = correcting("k2", signatures, kind="reinstate", lifts=some_id("r1"))
    assert refused(ask(desk, lifting)) == ("invalid-transition", "holds-nothing")


def test_who_is_no_longer_eligible_is_skipped_and_counted() -> None:
    """If a member is not held any more when its turn comes, then it is skipped, and the numbers say so."""
    desk, signatures = signed(3)
    told(ask(desk, correcting("k1", signatures)))
    told(ask(desk, correcting("l1", signatures[:1], kind="reinstate", lifts=some_id("k1"))))
    answer = told(ask(desk, reversing("r1", "k1", signatures)))
    assert (answer["applied"], answer["skipped"], answer["state"]) == (2, 1, "completed")
    assert count(desk) == 3


@given(st.permutations(["k1", "k2", "k3"]), st.booleans())
def test_several_corrections_on_one_signature_are_lifted_in_any_order(order: list[str], withdraws: bool) -> None:
    """If three corrections hold one signature and are reversed in any order, then it stands again with the last, unless
    its signer withdrew meanwhile."""
    desk, signatures = signed(1)
    for name in ("k1", "k2", "k3"):
        told(ask(desk, correcting(name, signatures)))
    if withdraws:
        desk.ask(by_site(withdrawing("s0")))
    counts = []
    for name in order:
        told(ask(desk, reversing(f"r{name}", name, signatures)))
        counts.append(count(desk))
    assert counts == [0, 0, int(not withdraws)]
