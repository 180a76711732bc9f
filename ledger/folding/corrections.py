"""Corrections, folded: each is opened once, approved where it must be, acts while it runs, and ends with its numbers.

What was skipped leaves no event: the log states how many, when the correction ends. Which signatures were in the set,
the log states by the set's digest alone.

Pure. This module must never refuse an event: what is wrong with it is named, and what it says is taken.
"""

from typing import Final, assert_never
from uuid import UUID

from ledger.folding.state import Fold, FoldedCorrection, FoldedPetition, FoldedSignature, is_imported
from schemas.envelope import Event
from schemas.events import CorrectionApproved, CorrectionCancelled, CorrectionCompleted, CorrectionOpened

ALONE: Final = 100
"""How many signatures one principal may correct without a second one."""


def open_correction(fold: Fold, petition: FoldedPetition, event: Event, fact: CorrectionOpened) -> None:
    """Fold the opening."""
    if fact.correction in fold.corrections:
        fold.breaks("correction", event, "a correction is opened twice")
    if (fact.approval == "exempt") != is_imported(event):
        fold.breaks("correction", event, "imports are exempt from approval, and nothing else is")
    if fact.matched > ALONE and fact.approval == "not-required":
        fold.breaks("correction", event, f"a correction of more than {ALONE} signatures needs a second principal")
    if fact.lifts is not None and (fact.kind != "reinstate" or fact.lifts not in fold.corrections):
        fold.breaks("correction", event, "what it lifts is no correction that holds")
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
        needs_approval=fact.approval == "required",
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
            if not correction.needs_approval or digest != correction.digest or event.actor == correction.actor:
                fold.breaks("correction", event, "it is not a second principal's approval of the frozen set")
            correction.needs_approval = False
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
    if (known.kind, known.reason) != does or known.needs_approval or (lifts and known.lifts not in (None, lifts)):
        fold.breaks("correction", event, "the correction does not do this, or not yet")
    if signature.erased:
        fold.breaks("transition", event, "a correction moves a signature whose signer was erased")
    known.acted.add(signature.id)
