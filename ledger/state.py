"""Write-side state: what deciding needs to know of the past, as the rows that the database keeps.

Each class mirrors one table of `sql/migrations/0003_state.sql` or `0004_vault.sql`, column by column; `row()` gives
it back in column order. They are mutable on purpose: a batch evolves its own copies, event by event, and hands the
end to the database, which judges it again. This module is pure, and must never hold an identity: only its token.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Self
from uuid import UUID

import orjson

from schemas.events import Acceptance, Approval
from schemas.instants import format_instant, parse_instant


@dataclass(slots=True)
class PetitionState:
    """One petition: its counters, what it takes, and what never changes about it."""

    petition: int
    id: str
    version: int
    count: int
    last_leaf_hash: bytes
    declarations: int
    basis: str
    confirmation: str
    identity_policy: str
    public_fields: tuple[str, ...]
    questions: dict[str, list[str]] | None
    text_version: int
    opens_at: datetime | None
    closes_at: datetime | None
    acceptances: list[tuple[int, datetime, Acceptance]]
    observed_at: datetime | None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """The state that a row of `ledger.petitions` holds."""
        return cls(
            petition=row["petition"],
            id=row["id"],
            version=row["version"],
            count=row["count"],
            last_leaf_hash=row["last_leaf_hash"],
            declarations=row["declarations"],
            basis=row["basis"],
            confirmation=row["confirmation"],
            identity_policy=row["identity_policy"],
            public_fields=tuple(row["public_fields"]),
            questions=None if row["questions"] is None else orjson.loads(row["questions"]),
            text_version=row["text_version"],
            opens_at=row["opens_at"],
            closes_at=row["closes_at"],
            acceptances=[(p, parse_instant(at), state) for p, at, state in orjson.loads(row["acceptances"])],
            observed_at=row["observed_at"],
        )

    def row(self) -> tuple[Any, ...]:
        """The values of a row of `ledger.petitions`, in the order of its columns."""
        return (
            self.petition,
            self.id,
            self.version,
            self.count,
            self.last_leaf_hash,
            self.declarations,
            self.basis,
            self.confirmation,
            self.identity_policy,
            list(self.public_fields),
            None if self.questions is None else orjson.dumps(self.questions).decode(),
            self.text_version,
            self.opens_at,
            self.closes_at,
            orjson.dumps([(p, format_instant(at), state) for p, at, state in self.acceptances]).decode(),
            self.observed_at,
        )

    @property
    def acceptance(self) -> Acceptance:
        """What the petition takes at the present position."""
        return self.acceptances[-1][2]

    def acceptance_at(self, at: datetime) -> Acceptance:
        """What the petition took at this effective time, as now known: the last change effective by then.

        Before its first change a petition is open, unless it says when it opens.
        """
        by_then = [entry for entry in self.acceptances[1:] if entry[1] <= at]
        if by_then:
            return max(by_then, key=lambda entry: (entry[1], entry[0]))[2]
        return "closed" if self.opens_at is not None and at < self.opens_at else "open"

    def closing_due(self, now: datetime) -> bool:
        """Whether the closing time has passed, and nobody has decided since what the petition takes."""
        _, decided_at, acceptance = self.acceptances[-1]
        return (
            self.closes_at is not None
            and self.closes_at <= now
            and acceptance in ("open", "paused")
            and (len(self.acceptances) == 1 or decided_at < self.closes_at)
        )


@dataclass(slots=True)
class SignatureState:
    """One signature: its part of the rules, and the tally keys that its later events repeat."""

    signature: UUID
    petition: int
    position: int
    version: int
    confirmed: bool
    withdrawn: bool
    erased: bool
    holds: tuple[UUID, ...]
    effective: datetime | None
    channel: str
    kind: str
    country: str | None
    region: str | None
    answers: str | None
    previous: UUID | None = None
    """The signature before this one of the same signer."""

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """The state that a row of `ledger.signatures` holds."""
        values = dict(row.items())
        values["holds"] = tuple(values["holds"])
        return cls(**values)

    def row(self) -> tuple[Any, ...]:
        """The values of a row of `ledger.signatures`, in the order of its columns."""
        return (
            self.signature,
            self.petition,
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
            self.previous,
        )

    @property
    def standing(self) -> bool:
        """Whether it counts: confirmed, not withdrawn, and with no hold."""
        return self.confirmed and not self.withdrawn and not self.holds

    @property
    def bars_signing(self) -> bool:
        """Whether its signer cannot sign anew (rule 5): it stands, or may again, or is held."""
        return bool(self.holds) or not self.withdrawn

    @property
    def name(self) -> str:
        """Its state in the words of the public surface. A withdrawal is the signer's own and outlasts every hold."""
        if self.withdrawn:
            return "withdrawn"
        if self.holds:
            return "invalidated"
        return "standing" if self.confirmed else "pending"


@dataclass(slots=True)
class SignerState:
    """Which signature is a signer's latest."""

    petition: int
    token: bytes
    signer_ref: bytes
    signature: UUID

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """The state that a row of `vault.signers` holds."""
        return cls(row["petition"], row["token"], row["signer_ref"], row["signature"])

    def row(self) -> tuple[Any, ...]:
        """The values of a row of `vault.signers`, in the order of its columns."""
        return (self.petition, self.token, self.signer_ref, self.signature)


@dataclass(slots=True)
class CorrectionState:
    """One correction and how far it has come. `opened` is when its opening was recorded."""

    correction: UUID
    petition: int
    kind: str
    reason: str
    actor: str
    state: str
    effective: datetime | None
    lifts: UUID | None
    matched: int
    applied: int
    skipped: int
    digest: str = ""
    approval: Approval = "exempt"
    approver: str | None = None
    reverses: UUID | None = None
    opened: datetime | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """The state that a row of `ledger.corrections` holds."""
        return cls(**dict(row.items()))

    def row(self) -> tuple[Any, ...]:
        """The values of a row of `ledger.corrections`, in the order of its columns."""
        return (
            self.correction,
            self.petition,
            self.kind,
            self.reason,
            self.actor,
            self.state,
            self.effective,
            self.lifts,
            self.matched,
            self.applied,
            self.skipped,
            self.digest,
            self.approval,
            self.approver,
            self.reverses,
            self.opened,
        )

    @property
    def is_imported(self) -> bool:
        """Whether a file states it."""
        return self.actor.startswith("import:")


@dataclass(slots=True)
class Member:
    """One signature in the frozen set of a correction. `outcome` is None until it was applied or skipped."""

    correction: UUID
    ordinal: int
    signature: UUID
    outcome: str | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """The state that a row of `ledger.correction_members` holds."""
        return cls(row["correction"], row["ordinal"], row["signature"], row["outcome"])

    def row(self) -> tuple[Any, ...]:
        """The values of a row of `ledger.correction_members`, in the order of its columns."""
        return (self.correction, self.ordinal, self.signature, self.outcome)


@dataclass(frozen=True, slots=True)
class PublishedState:
    """The last number that was stated of a petition as served: where that stands, 0 for nowhere, the number, and the
    position at which it was true."""

    position: int
    count: int
    as_of: int


NEVER_PUBLISHED: Final = PublishedState(0, 0, 0)


@dataclass(slots=True)
class Known:
    """What of the past bears on one batch: everything that its commands name, read in one query under the head lock."""

    petitions: dict[str, PetitionState] = field(default_factory=dict)
    signatures: dict[UUID, SignatureState] = field(default_factory=dict)
    signers: dict[tuple[int, bytes], SignerState] = field(default_factory=dict)
    aliases: dict[tuple[int, bytes], bytes] = field(default_factory=dict)
    import_keys: set[tuple[int, bytes]] = field(default_factory=set)
    answers: dict[tuple[str, str, bytes], tuple[bytes, str]] = field(default_factory=dict)
    corrections: dict[UUID, CorrectionState] = field(default_factory=dict)
    members: dict[UUID, list[Member]] = field(default_factory=dict)
    unsettled: dict[UUID, list[Member]] = field(default_factory=dict)
    """By signature: what running imported corrections have still to do to it, the oldest correction first."""
    opened_lately: dict[tuple[str, str], list[tuple[datetime, int]]] = field(default_factory=dict)
    """By petition's id and actor: when this actor opened corrections there within the last day, and
    over how many signatures."""
    published: dict[str, PublishedState] = field(default_factory=dict)
    """Of petitions of which a count is to be published: the last one that was, if any."""
    retired_epoch: int = 0
    """The last epoch of the vault under which nothing is sealed any more; 0 for none."""
    counts: dict[tuple[str, int], int] = field(default_factory=dict)
    """Of each petition and position that a count is to be published of: what the count was."""
