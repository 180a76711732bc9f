"""A correction: one decision that holds, or reinstates, a frozen set of signatures, by compensating events.

It is opened over exactly the set that was chosen, bound by its digest, and applied member by member, in chunks, each
chunk in one transaction with what it changes; so it can be stopped and taken up anywhere. A member that is no longer
eligible when its turn comes is skipped, and counted as skipped. What matches later needs a new correction.

Pure. This module must never choose a set, and never touch a signature outside it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final, cast
from uuid import UUID

from ledger.drafts import Decision, Draft, draft
from ledger.signature import invalidate, reinstate
from ledger.state import CorrectionState, Member, SignatureState
from schemas.events import Approval, CorrectionCompleted, CorrectionKind, CorrectionOpened, Reason

CHUNK: Final = 1000
"""How many members one transaction applies: the head is locked for as long as that takes."""

IMPORTED: Final = "import"
"""The condition by which an imported correction chose its set: a file named the signers one by one."""


@dataclass(frozen=True, slots=True)
class Frozen:
    """A correction at its opening: its state, its members in order, and the event that says so."""

    correction: CorrectionState
    members: list[Member]
    opened: Draft


def digest(signatures: Iterable[UUID]) -> str:
    """What binds a frozen set: SHA-256, in hex, over its signature ids in ascending order, each as text and a
    newline."""
    return sha256("".join(f"{signature}\n" for signature in sorted(signatures)).encode("ascii")).hexdigest()


def freeze(
    *,
    petition: int,
    correction: UUID,
    kind: str,
    reason: str,
    actor: str,
    signatures: Sequence[UUID],
    conditions: tuple[str, ...],
    approval: Approval,
    at: datetime | None,
    lifts: UUID | None = None,
) -> Frozen:
    """Open a correction over exactly these signatures, in this order. None of them may occur twice."""
    opened = CorrectionOpened(
        correction=correction,
        kind=cast(CorrectionKind, kind),
        reason=cast(Reason, reason),
        conditions=conditions,
        matched=len(signatures),
        digest=digest(signatures),
        approval=approval,
        lifts=lifts,
    )
    state = CorrectionState(
        correction=correction,
        petition=petition,
        kind=kind,
        reason=reason,
        actor=actor,
        state="running",
        effective=at,
        lifts=lifts,
        matched=len(signatures),
        applied=0,
        skipped=0,
    )
    members = [Member(correction, ordinal, signature) for ordinal, signature in enumerate(signatures, start=1)]
    return Frozen(state, members, draft(opened, at))


def judge_member(correction: CorrectionState, state: SignatureState, now: datetime) -> Decision:
    """What applying the correction to one signature gives: its compensating events, or why it is skipped."""
    imported = correction.effective is not None or correction.is_imported
    at, reason = correction.effective, cast(Reason, correction.reason)
    if correction.kind == "invalidate":
        return invalidate(state, correction.correction, reason, at, now, imported)
    return reinstate(state, correction.correction, correction.lifts, reason, at, now, imported)


def complete_when_done(correction: CorrectionState) -> list[Draft]:
    """The event that ends it, once every member was applied or skipped."""
    if correction.state != "running" or correction.applied + correction.skipped < correction.matched:
        return []
    fact = CorrectionCompleted(correction=correction.correction, applied=correction.applied, skipped=correction.skipped)
    return [draft(fact, correction.effective)]
