"""Folds the leaves of the log, one after the other, into what every column and every row of state must be.

It shares no code with what decides and evolves: an error there does not excuse itself here. Each event is taken as it
is stated, legal or not; what it should not have said is named, and the fold goes on from what it did say, so that one
wrong event is found once.

Source: sections 4 and 5 of the design. Pure: it never sees a database, and must never read a column.
"""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from ledger.folding.petitions import begin, close_first, declare, observe
from ledger.folding.signatures import SignatureFact, move
from ledger.folding.state import Broken, Columns, Fold, FoldedPetition, FoldedSignature
from schemas.envelope import LEDGER_SUBJECT, Event
from schemas.events import (
    AcceptanceChanged,
    CountObserved,
    LogContinued,
    PetitionOpened,
    PetitionRevised,
    SignatureInvalidated,
    SignatureReinstated,
    StatusDeclared,
    UpdatePosted,
)

AHEAD: Final = timedelta(seconds=60)
"""How far ahead of its recording an event may be effective."""

_DECLARATIONS: Final = (PetitionOpened, PetitionRevised, UpdatePosted, AcceptanceChanged, StatusDeclared)


class Folding:
    """A fold in progress. `step` takes the events in order of position."""

    def __init__(self) -> None:
        self.fold = Fold()
        self.source: str | None = None
        self._recorded: datetime | None = None

    def step(self, event: Event, leaf_hash: bytes) -> tuple[Columns | None, list[Broken]]:
        """Fold one event: what its columns must be, and what it breaks.

        The columns are None where they cannot be said: the petition or the signature is not known, or was lost.
        """
        fold, fact = self.fold, event.fact
        fold.broken = []
        self._envelope(event)
        petition = fold.petitions.get(event.subject)
        if petition is None:
            petition = begin(fold, event)
        elif isinstance(fact, PetitionOpened):
            fold.breaks("first-event", event, "a petition is opened that is open already")
        if petition is None or petition.lost:
            return None, fold.broken
        self._chain(petition, event)
        close_first(fold, petition, event)
        signature: FoldedSignature | None = None
        delta = 0
        if isinstance(fact, SignatureFact):
            signature, delta = move(fold, petition, event, fact)
        elif isinstance(fact, CountObserved):
            delta = observe(fold, petition, event, fact)
        else:
            declare(fold, petition, event, fact)
        petition.version = event.version
        petition.add(delta, event.position)
        petition.last_leaf_hash, petition.last_position = leaf_hash, event.position
        petition.last_recorded = event.recorded
        petition.declarations += isinstance(fact, _DECLARATIONS)
        if petition.count < 0:
            fold.breaks("count-negative", event, "the count is negative")
        if isinstance(fact, SignatureFact) and signature is None:
            return None, fold.broken
        return _columns(petition, event, delta, signature), fold.broken

    def lose(self, subject: str) -> None:
        """A leaf of this petition could not be read: nothing that follows in it can be judged."""
        petition = self.fold.petitions.get(subject)
        if petition is not None:
            petition.lost = True

    def _envelope(self, event: Event) -> None:
        fold, fact = self.fold, event.fact
        if isinstance(fact, LogContinued):
            if fact.old_origin != self.source or event.source == self.source:
                fold.breaks("source", event, "the log is not continued from where it ended, under a new origin")
        elif self.source is not None and event.source != self.source:
            fold.breaks("source", event, "the source changes without a continuation of the log")
        self.source = event.source
        if isinstance(fact, LogContinued) != (event.subject == LEDGER_SUBJECT):
            fold.breaks("source", event, "the subject `ledger` is for continuations of the log, and they for it")
        if self._recorded is not None and event.recorded < self._recorded:
            fold.breaks("recorded-order", event, "it was recorded before the event before it")
        self._recorded = event.recorded
        if event.time > event.recorded + AHEAD:
            fold.breaks("times", event, "it is effective more than 60 seconds after it was recorded")
        if getattr(fact, "at_known", None) is False and event.time != event.recorded:
            fold.breaks("times", event, "its time is not known, and yet not that of its recording")

    def _chain(self, petition: FoldedPetition, event: Event) -> None:
        if event.version != petition.version + 1:
            sentence = (
                f"the petition's versions are not dense from 1: {petition.version} is followed by {event.version}"
            )
            self.fold.breaks("versions-dense", event, sentence)
        elif event.version > 1 and event.prev != petition.last_leaf_hash:
            # The earlier leaf is the likelier one to have changed: a changed `prev` would break the next link as well.
            sentence = f"the petition's next event, at {event.position}, names another leaf hash than this one has"
            self.fold.broken.append(("chain", petition.last_position, sentence))


def _columns(petition: FoldedPetition, event: Event, delta: int, signature: FoldedSignature | None) -> Columns:
    columns = Columns(
        petition=petition.position,
        version=event.version,
        type=event.type,
        effective=event.time,
        recorded=event.recorded,
        delta=delta,
        count_after=petition.count,
    )
    if signature is None:
        return columns
    fact = event.fact
    return columns._replace(
        signature=UUID(bytes=signature.id),
        hold=_hold(fact) if isinstance(fact, SignatureInvalidated | SignatureReinstated) else None,
        channel=signature.channel,
        kind=signature.kind,
        country=signature.country,
        region=signature.region,
        answers=signature.answers,
    )


def _hold(fact: SignatureInvalidated | SignatureReinstated) -> UUID:
    return fact.correction if isinstance(fact, SignatureInvalidated) else fact.lifts
