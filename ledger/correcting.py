"""Correcting, within a batch: corrections are opened, approved, cancelled and applied, and the state moves with them.

Which of it may happen is decided in `ledger.correction`; here it happens. Compensating events are acted by whoever
opened the correction, whichever service applies them. Pure, like the batch that it is part of. This module must never
apply a member twice, or one of a correction that waits for its approval.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from ledger import correction as corrections
from ledger.drafts import NO_CORRECTION, NO_SUCH_CORRECTION, NOTHING_LEFT, AsIs
from ledger.evolution import Evolution
from ledger.state import CorrectionState, Member, PetitionState
from schemas.commands import (
    Accepted,
    ApproveCorrection,
    CancelCorrection,
    ContinueCorrection,
    OpenCorrection,
    Outcome,
    Refused,
)


class Correcting(Evolution):
    """What a batch does about corrections."""

    def _open_correction(self, petition: PetitionState, command: OpenCorrection, actor: str) -> Outcome:
        """Freeze the set; where no second principal is needed, apply it in the same transaction."""
        frozen = corrections.open_correction(petition, command, self.known, actor, self.now)
        if isinstance(frozen, Refused):
            return frozen
        correction = frozen.correction
        self._evolve(petition, frozen.opened, actor)
        self.known.corrections[correction.correction] = correction
        self._corrections[correction.correction] = correction
        self.known.opened_lately.setdefault((petition.id, actor), []).append((self.now, correction.matched))
        at_once = correction.state == "running"
        self._kept_corrections.append(
            (command.correction, None if at_once else list(command.signatures), command.rule, command.searched)
        )
        if at_once:
            members = self.known.members[correction.correction] = frozen.members()
            self._apply_members(petition, correction, members)
        return Accepted({**self._told(petition, correction), **(command.told or {})})

    def _approve(self, petition: PetitionState, command: ApproveCorrection, actor: str) -> Outcome:
        """From here on it runs."""
        correction = self._named_correction(petition, command.correction)
        if correction is None:
            return NO_SUCH_CORRECTION
        approved = corrections.approve(correction, command.digest, actor)
        if isinstance(approved, Refused):
            return approved
        self._evolve(petition, approved, actor)
        correction.state, correction.approver = "running", actor
        self._corrections[correction.correction] = correction
        return Accepted(self._told(petition, correction))

    def _cancel(self, petition: PetitionState, command: CancelCorrection, actor: str) -> Outcome:
        """It stops where it is; what it applied stays applied until it is reversed."""
        correction = self._named_correction(petition, command.correction)
        if correction is None:
            return NO_SUCH_CORRECTION
        cancelled = corrections.cancel(correction)
        if isinstance(cancelled, Refused):
            return cancelled
        self._evolve(petition, cancelled, actor)
        correction.state = "cancelled"
        self._corrections[correction.correction] = correction
        return Accepted(self._told(petition, correction))

    def _continue(self, petition: PetitionState, command: ContinueCorrection) -> Outcome:
        correction = self._named_correction(petition, command.correction)
        if correction is None or correction.state != "running":
            return NO_CORRECTION
        to_do = [m for m in self.known.members.get(command.correction, []) if m.outcome is None]
        if not to_do:
            return NOTHING_LEFT
        self._apply_members(petition, correction, to_do[: min(command.at_most, corrections.CHUNK)])
        remaining = correction.matched - correction.applied - correction.skipped
        return Accepted({"correction": str(command.correction), "remaining": remaining, "position": self.position})

    def _apply_members(self, petition: PetitionState, correction: CorrectionState, members: Sequence[Member]) -> None:
        for member in members:
            decision = corrections.judge_member(correction, self.known.signatures[member.signature], self.now)
            if isinstance(decision, AsIs | Refused):
                member.outcome = "skipped"
                correction.skipped += 1
            else:
                for each in decision:
                    self._evolve(petition, each, correction.actor)
                member.outcome = "applied"
                correction.applied += 1
            self._members[member.correction, member.ordinal] = member
        for done in corrections.complete_when_done(correction):
            self._evolve(petition, done, correction.actor)
            correction.state = "completed"
        self._corrections[correction.correction] = correction

    def _named_correction(self, petition: PetitionState, named: UUID) -> CorrectionState | None:
        correction = self.known.corrections.get(named)
        return None if correction is None or correction.petition != petition.petition else correction

    def _told(self, petition: PetitionState, correction: CorrectionState) -> dict[str, Any]:
        """What the asker is told of it."""
        return {
            "correction": str(correction.correction),
            "state": correction.state,
            "approval": correction.approval,
            "matched": correction.matched,
            "applied": correction.applied,
            "skipped": correction.skipped,
            "digest": correction.digest,
            "position": self.position,
            "version": petition.version,
        }
