"""Corrections, folded: each is opened once, approved where it must be, acts while it runs, and ends with its numbers.

What was skipped leaves no event: the log states how many, when the correction ends. Which signatures were in the set,
the log states by the set's digest alone.

Pure. This module must never refuse an event: what is wrong with it is named, and what it says is taken.
"""

from datetime import timedelta
from hashlib import sha256
from typing import Final, assert_never
from uuid import UUID

from ledger.folding.state import Fold, FoldedCorrection, FoldedPetition, FoldedSignature, is_imported
from schemas.envelope import Event
from schemas.events import CorrectionApproved, CorrectionCancelled, CorrectionCompleted, CorrectionOpened

ALONE: Final = 100
"""How many signatures of a petition one principal may correct within a day without a second one."""
_DAY: Final = timedelta(days=1)


def open_correction(fold: Fold, petition: FoldedPetition, event: Event, fact: CorrectionOpened) -> None:
    """Fold the opening."""
    if fact.correction in fold.corrections:
        fold.breaks("correction", event, "a correction is opened twice")
    if (fact.approval == "exempt") != is_imported(event):
        fold.breaks("correction", event, "imports are exempt from approval, and nothing else is")
    petition.corrected = [each for each in petition.corrected if each[0] > event.recorded - _DAY]
    petition.corrected.append((event.recorded, event.actor, fact.matched))
    by_actor = sum(matched for _, actor, matched in petition.corrected if actor == event.actor)
    if by_actor > ALONE and fact.approval == "not-required":
        sentence = f"corrections of more than {ALONE} signatures within a day need a second principal"
        fold.breaks("correction", event, sentence)
    if fact.lifts is not None and (fact.kind != "reinstate" or not _is_of(fold, petition, fact.lifts)):
        fold.breaks("correction", event, "what it lifts is no correction that holds")
    if fact.reverses is not None:
        _judge_reversal(fold, petition, event, fact, fold.corrections.get(fact.reverses))
    fold.corrections[fact.correction] = FoldedCorrection(
        id=fact.correction,
        petition=petition,
        position=event.position,
        kind=fact.kind,
        reason=fact.reason,
        actor=event.actor,
        effective=None if event.time == event.recorded else event.time,
        lifts=fact.lifts,
        matched=fact.matched,
        digest=fact.digest,
        approval=fact.approval,
        reverses=fact.reverses,
        opened=event.recorded,
    )


def move_correction(
    fold: Fold,
    petition: FoldedPetition,
    event: Event,
    fact: CorrectionApproved | CorrectionCompleted | CorrectionCancelled,
) -> None:
    """Fold an approval or an end."""
    correction = fold.corrections.get(fact.correction)
    if correction is None or correction.petition is not petition or correction.state != "running":
        fold.breaks("correction", event, "there is no such correction under way")
        return
    match fact:
        case CorrectionApproved(digest=digest):
            if not correction.waits or digest != correction.digest or event.actor == correction.actor:
                fold.breaks("correction", event, "it is not a second principal's approval of the frozen set")
            correction.approver = event.actor
        case CorrectionCompleted(applied=applied, skipped=skipped):
            if applied != len(correction.acted) or applied + skipped != correction.matched:
                fold.breaks("correction", event, "its numbers are not those of its set and of its events")
            correction.state, correction.skipped = "completed", skipped
        case CorrectionCancelled(applied=applied, skipped=skipped):
            if applied != len(correction.acted) or applied + skipped > correction.matched:
                fold.breaks("correction", event, "its numbers are not those of its set and of its events")
            correction.state, correction.skipped = "cancelled", skipped
        case _:
            assert_never(fact)


def _is_of(fold: Fold, petition: FoldedPetition, correction: UUID) -> bool:
    known = fold.corrections.get(correction)
    return known is not None and known.petition is petition


def _judge_reversal(
    fold: Fold, petition: FoldedPetition, event: Event, fact: CorrectionOpened, other: FoldedCorrection | None
) -> None:
    """Exactly what was applied by a correction of the opposite kind that has ended is undone."""
    if other is None or other.petition is not petition or other.kind == fact.kind or other.state == "running":
        fold.breaks("correction", event, "what it reverses is no correction that could be")
    elif fact.matched != len(other.acted) or fact.digest != _digest(other.acted):
        fold.breaks("correction", event, "it is not over exactly what the reversed correction applied")


def _digest(signatures: set[bytes]) -> str:
    """SHA-256 over the ids in ascending order, each as text and a newline."""
    return sha256("".join(f"{UUID(bytes=each)}\n" for each in sorted(signatures)).encode("ascii")).hexdigest()


def act(
    fold: Fold,
    event: Event,
    signature: FoldedSignature,
    correction: UUID,
    does: tuple[str, str],
    lifts: UUID | None = None,
) -> None:
    """Fold that a correction moved a signature. `does` are the kind and the reason that the event states."""
    known = fold.corrections.get(correction)
    if known is None or known.petition is not signature.petition or known.state != "running":
        fold.breaks("correction", event, "there is no such correction under way")
        return
    if (known.kind, known.reason) != does or known.waits or (lifts and known.lifts not in (None, lifts)):
        fold.breaks("correction", event, "the correction does not do this, or not yet")
    if signature.erased:
        fold.breaks("transition", event, "a correction moves a signature whose signer was erased")
    known.acted.add(signature.id)
