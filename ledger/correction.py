"""A correction: one decision that holds, or reinstates, a frozen set of signatures, by compensating events.

It is opened over exactly the set that was chosen, bound by its digest. Above `ALONE` signatures, summed per admin and
petition over a day, it waits as proposed until a second principal approves exactly that set. It is applied member by
member, in chunks, each chunk in one transaction with what it changes; so it can be stopped and taken up anywhere. A
member that is no longer eligible when its turn comes is skipped, and counted as skipped. What matches later needs a new
correction.

Pure. This module must never choose a set, and never touch a signature outside it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final, cast
from uuid import UUID

from ledger.drafts import (
    ANOTHER_SET,
    CORRECTION_EXISTS,
    ENDED,
    HOLDS_NOTHING,
    NO_SUCH_CORRECTION,
    NOT_ENDED,
    NOT_PROPOSED,
    NOTHING_MATCHES,
    OBSERVED,
    OF_A_FILE,
    OWN_CORRECTION,
    REVERSED_ALREADY,
    Decision,
    Draft,
    draft,
)
from ledger.signature import invalidate, reinstate
from ledger.state import CorrectionState, Known, Member, PetitionState, SignatureState
from schemas.commands import OpenCorrection, Refused
from schemas.events import (
    Approval,
    CorrectionApproved,
    CorrectionCancelled,
    CorrectionCompleted,
    CorrectionKind,
    CorrectionOpened,
    Reason,
)

CHUNK: Final = 1000
"""How many members one transaction applies: the head is locked for as long as that takes."""

ALONE: Final = 100
"""How many signatures of one petition one principal may correct within `WINDOW` without a second one."""
WINDOW: Final = timedelta(hours=24)

IMPORTED: Final = "import"
"""The condition by which an imported correction chose its set: a file named the signers one by one."""


@dataclass(frozen=True, slots=True)
class Frozen:
    """A correction at its opening: its state, its set in order, and the event that says so."""

    correction: CorrectionState
    signatures: Sequence[UUID]
    opened: Draft

    def members(self) -> list[Member]:
        """The members of the set, none of them settled."""
        named = self.correction.correction
        return [Member(named, ordinal, signature) for ordinal, signature in enumerate(self.signatures, start=1)]


def digest(signatures: Iterable[UUID]) -> str:
    """What binds a frozen set: SHA-256, in hex, over its signature ids in ascending order, each as text and a
    newline."""
    return sha256("".join(sorted([f"{signature}\n" for signature in signatures])).encode("ascii")).hexdigest()


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
    now: datetime,
    of_digest: str | None = None,
    rule: str | None = None,
    lifts: UUID | None = None,
    reverses: UUID | None = None,
) -> Frozen:
    """Open a correction over exactly these signatures, in this order. None of them may occur twice. `of_digest` is
    theirs, where it is known already."""
    opened = CorrectionOpened(
        correction=correction,
        kind=cast(CorrectionKind, kind),
        reason=cast(Reason, reason),
        conditions=conditions,
        matched=len(signatures),
        digest=of_digest or digest(signatures),
        approval=approval,
        notice_sha256=None if rule is None else sha256(rule.encode()).hexdigest(),
        lifts=lifts,
        reverses=reverses,
    )
    state = CorrectionState(
        correction=correction,
        petition=petition,
        kind=kind,
        reason=reason,
        actor=actor,
        state="proposed" if approval == "required" else "running",
        effective=at,
        lifts=lifts,
        matched=len(signatures),
        applied=0,
        skipped=0,
        digest=opened.digest,
        approval=approval,
        reverses=reverses,
        opened=now,
    )
    return Frozen(state, signatures, draft(opened, at))


def open_correction(
    petition: PetitionState, command: OpenCorrection, known: Known, actor: str, now: datetime
) -> Frozen | Refused:
    """Open what an admin decided: as proposed, where a second principal has to approve it, else as running."""
    if petition.basis != "itemised":
        return OBSERVED
    if command.correction in known.corrections:
        return CORRECTION_EXISTS
    if (refusal := _misdirected(petition, command, known)) is not None:
        return refusal
    if command.expected not in (None, command.digest):
        return ANOTHER_SET
    if not command.signatures:
        return NOTHING_MATCHES
    earlier = known.opened_lately.get((petition.id, actor), ())
    together = len(command.signatures) + sum(matched for opened, matched in earlier if opened > now - WINDOW)
    return freeze(
        petition=petition.petition,
        correction=command.correction,
        kind=command.kind,
        reason=command.reason,
        actor=actor,
        signatures=command.signatures,
        conditions=command.conditions,
        approval="required" if together > ALONE else "not-required",
        at=None,
        now=now,
        of_digest=command.digest,
        rule=command.rule,
        lifts=command.lifts,
        reverses=command.reverses,
    )


def approve(correction: CorrectionState, of_digest: str, actor: str) -> Draft | Refused:
    """A second principal approves: not the one that opened it, and exactly the frozen set."""
    if correction.state != "proposed":
        return NOT_PROPOSED
    if correction.actor == actor:
        return OWN_CORRECTION
    if correction.digest != of_digest:
        return ANOTHER_SET
    return draft(CorrectionApproved(correction=correction.correction, digest=of_digest))


def cancel(correction: CorrectionState) -> Draft | Refused:
    """It stops where it is, with its numbers."""
    if correction.state not in ("proposed", "running"):
        return ENDED
    if correction.approval == "exempt":
        return OF_A_FILE
    numbers = {"applied": correction.applied, "skipped": correction.skipped}
    return draft(CorrectionCancelled(correction=correction.correction, **numbers))


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


def _misdirected(petition: PetitionState, command: OpenCorrection, known: Known) -> Refused | None:
    """Whether what it lifts is no correction that holds, or what it reverses none that can be."""
    for named in (command.lifts, command.reverses):
        if named is not None:
            other = known.corrections.get(named)
            if other is None or other.petition != petition.petition:
                return NO_SUCH_CORRECTION
    if command.lifts is not None and (
        command.kind != "reinstate" or known.corrections[command.lifts].kind != "invalidate"
    ):
        return HOLDS_NOTHING
    if command.reverses is not None:
        if known.corrections[command.reverses].state not in ("completed", "cancelled"):
            return NOT_ENDED
        if any(
            other.reverses == command.reverses and other.state != "cancelled" for other in known.corrections.values()
        ):
            return REVERSED_ALREADY
    return None
