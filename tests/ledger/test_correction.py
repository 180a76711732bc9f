"""A correction: exactly its frozen set, once, in chunks that may stop anywhere; and several on one signature."""

from hashlib import sha256
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from ledger.correction import CHUNK, digest
from ledger.state import SignatureState
from schemas.commands import Accepted, ContinueCorrection, CorrectImported, Outcome, Refused, Submission
from schemas.envelope import read_event
from schemas.events import CorrectionCompleted, CorrectionOpened, SignatureInvalidated, SignatureReinstated
from tests.ledger.desk import Desk
from tests.ledger.submissions import (
    IMPORT,
    PETITION,
    by_admin,
    by_site,
    confirming,
    recording,
    some_bytes,
    some_id,
    some_instant,
    withdrawing,
)


def correcting(name: str, kind: str, signers: list[str], at: int | None = None) -> Submission:
    """A correction that a file states."""
    rows = tuple(
        (some_bytes(f"{PETITION}/{signer}", 16), some_bytes(f"{name}/{nth}", 16)) for nth, signer in enumerate(signers)
    )
    time = None if at is None else some_instant(at)
    return Submission(CorrectImported(PETITION, some_id(name), kind, "bot", rows, time), IMPORT)


def answer(outcome: Outcome) -> dict[str, Any]:
    assert isinstance(outcome, Accepted), outcome
    return outcome.answer


def signature(desk: Desk, signer: str = "she", n: int = 1) -> SignatureState:
    return desk.known.signatures[some_id(f"{PETITION}/{signer}/{n}")]


def facts(desk: Desk) -> list[Any]:
    return [read_event(event[15]).fact for event in desk.events]


@given(st.lists(st.uuids(), unique=True))
def test_the_digest_binds_the_set_and_not_its_order(ids: list[UUID]) -> None:
    """If two people list the same signatures in another order, then they get one digest: that of the sorted ids, each
    with a newline."""
    written = "".join(sorted(f"{each}\n" for each in ids)).encode()
    assert digest(ids) == digest(reversed(ids)) == sha256(written).hexdigest()


def test_every_row_is_told_what_became_of_it() -> None:
    """If a correction names signers that are new, named twice, imported before or unknown, then each row is told so,
    and the set that is frozen holds each signature once."""
    desk = Desk()
    desk.ask(*[by_site(recording(each)) for each in ("she", "he", "they")])
    (first,) = desk.ask(correcting("k1", "invalidate", ["she"]))
    assert answer(first)["rows"] == ["appended"]
    again = correcting("k1", "invalidate", ["she", "he", "he", "nobody"])
    assert isinstance(again.command, CorrectImported)
    renamed = Submission(
        CorrectImported(PETITION, some_id("k2"), "invalidate", "bot", again.command.rows, None), IMPORT
    )
    (second,) = desk.ask(renamed)
    assert answer(second)["rows"] == ["already-there", "appended", "duplicate", "unknown-signer"]
    opened = [fact for fact in facts(desk) if isinstance(fact, CorrectionOpened)]
    assert [fact.matched for fact in opened] == [1, 1]
    assert opened[1].digest == digest([signature(desk, "he").signature])


def test_a_correction_of_nothing_is_not_opened() -> None:
    """If no row is left to correct, then nothing is appended."""
    desk = Desk()
    before = len(desk.events)
    (outcome,) = desk.ask(correcting("k1", "invalidate", ["nobody"]))
    assert answer(outcome)["rows"] == ["unknown-signer"]
    assert len(desk.events) == before


def test_a_correction_of_an_id_that_is_taken_is_refused() -> None:
    """If another set comes under the id of a correction that is there, then it is refused, and the same rows again are
    already there."""
    desk = Desk()
    desk.ask(by_site(recording("she")), by_site(recording("he")))
    first, other = correcting("k1", "invalidate", ["she"]), correcting("k1", "invalidate", ["he", "he"])
    desk.ask(first)
    (refused,) = desk.ask(Submission(
        CorrectImported(PETITION, some_id("k1"), "invalidate", "bot", other.command.rows[1:], None), IMPORT  # type: ignore[union-attr]
    ))  # fmt: skip
    assert isinstance(refused, Refused)
    assert refused.reason == "correction-exists"
    assert answer(desk.ask(first)[0])["rows"] == ["already-there"]
    assert signature(desk, "he").holds == ()


def test_overlapping_corrections_let_it_stand_when_the_last_hold_is_lifted() -> None:
    """If three corrections hold one signature, then only the first changes the count; lifting them is an event a
    hold, of which only the last one changes it."""
    desk = Desk()
    desk.ask(by_site(recording("she")))
    desk.ask(*[correcting(name, "invalidate", ["she"]) for name in ("k1", "k2", "k3")])
    desk.ask(correcting("k4", "reinstate", ["she"]))
    put = [(fact.correction, event[6]) for fact, event in zip(facts(desk), desk.events, strict=True)
           if isinstance(fact, SignatureInvalidated)]  # fmt: skip
    lifted = [(fact.lifts, event[6]) for fact, event in zip(facts(desk), desk.events, strict=True)
              if isinstance(fact, SignatureReinstated)]  # fmt: skip
    assert put == [(some_id("k1"), -1), (some_id("k2"), 0), (some_id("k3"), 0)]
    assert lifted == [(some_id("k1"), 0), (some_id("k2"), 0), (some_id("k3"), 1)]
    assert desk.known.petitions[PETITION].count == 1


def test_a_held_signature_can_be_withdrawn_and_confirmed_without_counting() -> None:
    """If a signature is held, then confirming and withdrawing it go on, with delta 0, and lifting does what is left."""
    desk = Desk(confirmation="required")
    desk.ask(by_site(recording("she")), by_site(recording("he")))
    desk.ask(correcting("k1", "invalidate", ["she", "he"]))
    desk.ask(by_site(confirming("she")), by_site(confirming("he")), by_site(withdrawing("he")))
    desk.ask(correcting("k2", "reinstate", ["she", "he"]))
    deltas = {(event[3], event[8]): event[6] for event in desk.events if event[8] is not None}
    she, he = signature(desk, "she").signature, signature(desk, "he").signature
    assert deltas["signature.confirmed.v1", she] == deltas["signature.withdrawn.v1", he] == 0
    assert (deltas["signature.reinstated.v1", she], deltas["signature.reinstated.v1", he]) == (1, 0)


def test_a_signer_whose_latest_signature_is_held_cannot_sign_again_withdrawn_or_not() -> None:
    """If her latest signature is held, then signing again gives her that one, also after she withdrew it; once the
    hold is lifted she can, if she withdrew."""
    desk = Desk()
    desk.ask(by_site(recording("she")))
    desk.ask(correcting("k1", "invalidate", ["she"]))
    assert answer(desk.ask(by_site(recording("she", 2)))[0])["state"] == "invalidated"
    desk.ask(by_site(withdrawing("she")))
    assert answer(desk.ask(by_site(recording("she", 2)))[0])["duplicate"]
    desk.ask(correcting("k2", "reinstate", ["she"]))
    assert answer(desk.ask(by_site(recording("she", 2)))[0])["state"] == "standing"


def test_a_correction_runs_in_chunks_to_its_end_and_no_further() -> None:
    """If a set is larger than a chunk, then each continuation applies one more, the last one completes it with exact
    counts, and a further one is refused."""
    desk = Desk()
    signers = [f"s{n}" for n in range(CHUNK + 5)]
    desk.ask(*[by_site(recording(each)) for each in signers])
    (opened,) = desk.ask(correcting("k1", "invalidate", signers))
    assert answer(opened)["remaining"] == 5
    assert desk.known.petitions[PETITION].count == 5
    on = by_admin(ContinueCorrection(PETITION, some_id("k1")))
    assert answer(desk.ask(on)[0])["remaining"] == 0
    assert desk.known.petitions[PETITION].count == 0
    (further,) = desk.ask(on)
    assert isinstance(further, Refused)
    assert further.reason == "unknown-correction"
    completed = facts(desk)[-1]
    assert completed == CorrectionCompleted(correction=some_id("k1"), applied=CHUNK + 5, skipped=0)


def test_a_correction_belongs_to_its_petition() -> None:
    """If a correction is continued under another petition, then it is not found there."""
    desk = Desk()
    desk.ask(by_site(recording("she")))
    desk.ask(correcting("k1", "invalidate", ["she"]))
    (outcome,) = desk.ask(by_admin(ContinueCorrection("other", some_id("k1"))))
    assert isinstance(outcome, Refused)
    assert outcome.reason == "unknown-petition"


def test_members_of_an_imported_correction_are_judged_by_its_time() -> None:
    """If a file's correction is of a time before a signature was made, then that row is refused, and the others go
    on."""
    desk = Desk()
    desk.ask(*[by_site(recording(f"s{at}", at=some_instant(at))) for at in (10, 20, 30)])
    (outcome,) = desk.ask(correcting("k1", "invalidate", ["s10", "s20", "s30"], at=20))
    assert answer(outcome)["rows"] == ["appended", "appended", "before-its-predecessor"]
    assert desk.effective()[-4:] == [some_instant(20)] * 4
