"""A ledger in memory, for tests of what is decided: no database, and a clock that goes by the second."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from ledger.batch import Batch
from ledger.state import CorrectionState, Known, Member
from schemas.commands import ContinueCorrection, Outcome, Submission
from tests.ledger.submissions import PETITION, SOURCE, by_admin, opening, some_instant

NOW = some_instant(100_000)


class Desk:
    """A ledger in memory: every asking is a batch of its own, a second after the one before."""

    def __init__(self, **said: Any) -> None:
        self.known = Known()
        self.now = NOW
        self.events: list[tuple[Any, ...]] = []
        self.ask(by_admin(opening(**said)))

    def ask(self, *submissions: Submission) -> list[Outcome]:
        self.now += timedelta(seconds=1)
        batch = Batch(self.known, len(self.events), self.now, SOURCE)
        batch.close_due_petitions()
        outcomes = [batch.settle(each) for each in submissions]
        self.events += batch.events
        return outcomes

    def correct(self, kind: str, correction: UUID, lifts: UUID | None, signature: UUID) -> Outcome:
        """Apply a correction of one member."""
        petition = self.known.petitions[PETITION].petition
        self.known.corrections[correction] = CorrectionState(
            correction, petition, kind, "bot", "admin:7f3a21", "running", None, lifts, 1, 0, 0
        )
        self.known.members[correction] = [Member(correction, 1, signature)]
        return self.ask(by_admin(ContinueCorrection(PETITION, correction)))[0]

    def happened(self) -> list[tuple[str, int]]:
        """Type and delta of each event, but for those that are about a correction as a whole."""
        return [(event[3], event[6]) for event in self.events if not event[3].startswith("correction.")]

    def effective(self) -> list[datetime]:
        return [event[4] for event in self.events]
