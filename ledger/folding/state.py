"""What folding the log gives: the state that the leaves alone make, held lean, for an audit to compare with.

These are not the classes of `ledger.state`, on purpose: an audit shares no code with what it audits. `row()` gives
each in the order of its table's columns. Pure. This module must never hold more of a signature than the rules ask for.
"""

from array import array
from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from schemas.envelope import Event
from schemas.events import Acceptance
from schemas.instants import format_instant


class Columns(NamedTuple):
    """What the columns of an event's row must be, as far as leaves make them. In the order of the query `leaves`."""

    petition: int
    version: int
    type: str
    effective: datetime
    recorded: datetime
    delta: int
    count_after: int
    signature: UUID | None = None
    hold: UUID | None = None
    channel: str | None = None
    kind: str | None = None
    country: str | None = None
    region: str | None = None
    answers: dict[str, str] | None = None


@dataclass(slots=True)
class FoldedPetition:
    """A petition after its last event so far."""

    position: int
    id: str
    basis: str
    confirmation: str
    identity_policy: str
    public_fields: tuple[str, ...]
    questions: dict[str, tuple[str, ...]] | None
    opens_at: datetime | None
    closes_at: datetime | None
    acceptances: list[tuple[int, datetime, Acceptance]]
    version: int = 0
    count: int = 0
    declarations: int = 0
    text_version: int = 1
    observed_at: datetime | None = None
    last_position: int = 0
    last_leaf_hash: bytes = b""
    last_recorded: datetime | None = None
    lost: bool = False
    """Whether a leaf of it could not be read: what it is from there on, nobody can say."""
    signers: "dict[bytes, FoldedSignature]" = field(default_factory=dict)
    """The latest signature of each signer, by `signer_ref`."""
    corrected: list[tuple[datetime, str, int]] = field(default_factory=list)
    """The corrections that were opened within the last day: when, by whom, over how many."""
    published: int = 0
    """The last count that was published, 0 before the first; `published_as_of` is the position at which it was true."""
    published_as_of: int = 0
    moves: "array[int]" = field(default_factory=lambda: array("q"))
    """The positions at which the count moved, and in `counts` what it was then: from the one before the last published
    count on, for the next count to be published can only be a later one."""
    counts: "array[int]" = field(default_factory=lambda: array("q"))

    def count_at(self, position: int) -> int:
        """What its count was as of a position that is not below that of the last published count."""
        before = bisect_right(self.moves, position)
        return self.counts[before - 1] if before else 0

    def add(self, delta: int, position: int) -> None:
        """Move the count, at an event."""
        self.count += delta
        if delta:
            self.moves.append(position)
            self.counts.append(self.count)

    def publish(self, count: int, as_of: int) -> None:
        """A count was published: nothing before it will be asked for again."""
        self.published, self.published_as_of = count, as_of
        spent = max(bisect_right(self.moves, as_of) - 1, 0)
        del self.moves[:spent], self.counts[:spent]

    def row(self) -> tuple[Any, ...]:
        """What its row of `ledger.petitions` must be, in the order of the query `petition_rows`."""
        return (
            self.position,
            self.id,
            self.version,
            self.count,
            self.last_leaf_hash,
            self.declarations,
            self.basis,
            self.confirmation,
            self.identity_policy,
            list(self.public_fields),
            None if self.questions is None else {key: list(choices) for key, choices in self.questions.items()},
            self.text_version,
            self.opens_at,
            self.closes_at,
            [[position, format_instant(at), acceptance] for position, at, acceptance in self.acceptances],
            self.observed_at,
        )

    @property
    def acceptance(self) -> Acceptance:
        """What it takes now."""
        return self.acceptances[-1][2]

    def acceptance_at(self, at: datetime) -> Acceptance:
        """What it took at an effective time, by all that is known so far.

        The changes are gone through in the order of their effective times, and of their positions where these are
        equal. Before the first of them it is open, but closed until it opens.
        """
        acceptance: Acceptance = "closed" if self.opens_at is not None and at < self.opens_at else "open"
        for _, changed_at, changed in sorted(self.acceptances[1:], key=lambda change: (change[1], change[0])):
            if changed_at <= at:
                acceptance = changed
        return acceptance

    def must_close(self, now: datetime) -> bool:
        """Whether its closing time has passed at the beginning of a batch, and nobody has decided since."""
        if self.closes_at is None or self.closes_at > now or self.acceptance not in ("open", "paused"):
            return False
        decided = self.acceptances[1:]
        return not decided or decided[-1][1] < self.closes_at


@dataclass(slots=True)
class FoldedSignature:
    """A signature after its last event so far. There may be millions: texts in it are shared."""

    id: bytes
    petition: FoldedPetition
    position: int
    version: int
    confirmed: bool
    effective: datetime | None
    channel: str
    kind: str
    country: str | None
    region: str | None
    answers: dict[str, str] | None
    withdrawn: bool = False
    erased: bool = False
    holds: tuple[UUID, ...] = ()
    previous: bytes | None = None
    """The signature before this one of the same signer."""

    @property
    def stands(self) -> bool:
        """Whether it counts: confirmed, not withdrawn, and with no hold."""
        return self.confirmed and not self.withdrawn and not self.holds

    def row(self) -> tuple[Any, ...]:
        """What its row of `ledger.signatures` must be, in the order of the query `signature_rows`."""
        return (
            UUID(bytes=self.id),
            self.petition.position,
            self.position,
            self.version,
            self.confirmed,
            self.withdrawn,
            self.erased,
            list(self.holds),
            self.effective,
            self.channel,
            self.kind,
            self.country,
            self.region,
            self.answers,
            None if self.previous is None else UUID(bytes=self.previous),
        )


@dataclass(slots=True)
class FoldedCorrection:
    """A correction after its last event so far. `acted` are the signatures that it moved."""

    id: UUID
    petition: FoldedPetition
    position: int
    kind: str
    reason: str
    actor: str
    effective: datetime | None
    lifts: UUID | None
    matched: int
    digest: str
    approval: str
    reverses: UUID | None
    opened: datetime
    approver: str | None = None
    state: str = "running"
    skipped: int | None = None
    """How many members were skipped; the log says so only when the correction ends."""
    acted: set[bytes] = field(default_factory=set)

    def row(self, skipped: int) -> tuple[Any, ...]:
        """What its row of `ledger.corrections` must be, in the order of the query `correction_rows`.

        `skipped` is how many of its members are marked so, which is all there is to compare with while it runs.
        """
        return (
            self.id,
            self.petition.position,
            self.kind,
            self.reason,
            self.actor,
            "proposed" if self.waits else self.state,
            self.effective,
            self.lifts,
            self.matched,
            len(self.acted),
            skipped if self.skipped is None else self.skipped,
            self.digest,
            self.approval,
            self.approver,
            self.reverses,
            self.opened,
        )

    @property
    def waits(self) -> bool:
        """Whether it may not act before a second principal has approved it."""
        return self.approval == "required" and self.approver is None and self.state == "running"


Broken = tuple[str, int, str]
"""A rule that does not hold, the position, and a sentence."""


@dataclass(slots=True)
class Fold:
    """All that was folded so far, and what the present event breaks."""

    petitions: dict[str, FoldedPetition] = field(default_factory=dict)
    signatures: dict[bytes, FoldedSignature] = field(default_factory=dict)
    corrections: dict[UUID, FoldedCorrection] = field(default_factory=dict)
    broken: list[Broken] = field(default_factory=list)

    def breaks(self, rule: str, event: Event, sentence: str) -> None:
        """The event should not have said this."""
        self.broken.append((rule, event.position, sentence))


def is_imported(event: Event) -> bool:
    """Whether it is judged by its effective time: who acted says so."""
    return event.actor.startswith("import:")


def known_time(event: Event) -> datetime | None:
    """Its effective time, None where the source was undated."""
    return None if getattr(event.fact, "at_known", None) is False else event.time
