"""A petition's own events, folded: its beginning, what it takes, what is declared and observed of it.

The closing: the first event of a petition in a batch whose time has passed `closes_at` is its closing, effective then,
by `system`. A batch is told by its recorded time; two of them may share one, and then the second is not held to it.

Pure. This module must never refuse an event: what is wrong with it is named, and what it says is taken.
"""

from typing import assert_never

from ledger.folding.corrections import move_correction, open_correction
from ledger.folding.state import Fold, FoldedPetition
from schemas.envelope import LEDGER_SUBJECT, Event
from schemas.events import (
    AcceptanceChanged,
    CorrectionApproved,
    CorrectionCancelled,
    CorrectionCompleted,
    CorrectionOpened,
    CountObserved,
    CountPublished,
    LogContinued,
    PetitionOpened,
    PetitionRevised,
    StatusDeclared,
    UpdatePosted,
)

DeclaringFact = (
    PetitionOpened
    | PetitionRevised
    | UpdatePosted
    | AcceptanceChanged
    | StatusDeclared
    | CorrectionOpened
    | CorrectionApproved
    | CorrectionCompleted
    | CorrectionCancelled
    | CountPublished
    | LogContinued
)


def begin(fold: Fold, event: Event) -> FoldedPetition | None:
    """The petition (or the ledger's own stream) that begins with this event; None where it begins none."""
    fact = event.fact
    if isinstance(fact, PetitionOpened):
        petition = FoldedPetition(
            position=event.position,
            id=event.subject,
            basis=fact.basis,
            confirmation=fact.confirmation,
            identity_policy=f"{fact.identity_policy.name}/{fact.identity_policy.version}",
            public_fields=fact.public_fields,
            questions=fact.questions,
            opens_at=fact.opens_at,
            closes_at=fact.closes_at,
            acceptances=[(event.position, event.time, "open")],
        )
    elif isinstance(fact, LogContinued):
        petition = FoldedPetition(event.position, LEDGER_SUBJECT, "", "", "", (), None, None, None, [])
    else:
        fold.breaks("first-event", event, "it is the first event of a petition that it does not open")
        return None
    fold.petitions[event.subject] = petition
    return petition


def close_first(fold: Fold, petition: FoldedPetition, event: Event) -> None:
    """Where the closing time has passed by the beginning of a batch, its first event is the closing."""
    if petition.last_recorded in (None, event.recorded) or not petition.must_close(event.recorded):
        return  # the petition or the batch does not begin before it
    fact = event.fact
    if not (
        isinstance(fact, AcceptanceChanged)
        and fact.acceptance == "closed"
        and event.time == petition.closes_at
        and event.actor == "system"
    ):
        fold.breaks("closing", event, "the petition's closing time has passed, and it was not closed first")


def observe(fold: Fold, petition: FoldedPetition, event: Event, fact: CountObserved) -> int:
    """What an observation adds to the count: the difference to the latest one, unless it is older than that."""
    if petition.basis != "observed":
        fold.breaks("basis", event, "a count was observed of an itemised petition")
    if petition.observed_at is not None and event.time < petition.observed_at:
        return 0
    petition.observed_at = event.time
    return fact.count - petition.count


def declare(fold: Fold, petition: FoldedPetition, event: Event, fact: DeclaringFact) -> None:
    """Fold an event that adds nothing to the count."""
    match fact:
        case AcceptanceChanged(acceptance=acceptance):
            petition.acceptances.append((event.position, event.time, acceptance))
        case PetitionRevised():
            petition.text_version = fact.text_version
            petition.opens_at = petition.opens_at if fact.opens_at is None else fact.opens_at
            petition.closes_at = petition.closes_at if fact.closes_at is None else fact.closes_at
        case CountPublished():
            _publish(fold, petition, event, fact)
        case CorrectionOpened():
            open_correction(fold, petition, event, fact)
        case CorrectionApproved() | CorrectionCompleted() | CorrectionCancelled():
            move_correction(fold, petition, event, fact)
        case PetitionOpened() | UpdatePosted() | StatusDeclared() | LogContinued():
            pass  # says nothing that a rule asks for
        case _:
            assert_never(fact)


def _publish(fold: Fold, petition: FoldedPetition, event: Event, fact: CountPublished) -> None:
    """Hold a published count against the petition's own: it was that then, and it is news."""
    wrong = None
    if fact.position >= event.position:
        wrong = "a count was published that was not there yet"
    elif fact.position < petition.position or fact.position <= petition.published_as_of:
        wrong = "a count was published that is older than the petition, or than the last published one"
    elif fact.count != (count := petition.count_at(fact.position)):
        wrong = f"{fact.count} was published as of position {fact.position}, where the count was {count}"
    elif fact.count == petition.published:
        wrong = "a count was published that is the last published one"
    elif event.actor != "system":
        wrong = "a count was published by somebody else than the service"
    if wrong is not None:
        fold.breaks("published-count", event, wrong)
    if petition.published_as_of < fact.position < event.position:
        petition.publish(fact.count, fact.position)
