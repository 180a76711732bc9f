"""The oracle: what a ledger must do, said as plainly as can be and as slowly as it likes.

It keeps people and lists, counts by counting, and knows no positions, hashes or databases. A delta is the difference
of two counts. It imports nothing of `ledger`: what both say was written twice.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

Time = datetime | None
"""None: not stated. Live, it is then when it is recorded; imported, it is not known."""


@dataclass
class Signature:
    id: Any
    confirmed: bool
    last_effective: Time
    withdrawn: bool = False
    erased: bool = False
    holds: set[Any] = field(default_factory=set)

    @property
    def stands(self) -> bool:
        return self.confirmed and not self.withdrawn and not self.holds

    @property
    def state(self) -> str:
        if self.withdrawn:
            return "withdrawn"
        if self.holds:
            return "invalidated"
        return "standing" if self.confirmed else "pending"


@dataclass
class Said:
    """What became of one asking: `taken`, `as-is` or why it was refused, and the state of the signature, if any."""

    verdict: str
    state: str | None = None


@dataclass
class Petition:
    basis: str = "itemised"
    confirmation: str = "none"
    closes_at: Time = None
    changes: list[tuple[datetime, str]] = field(default_factory=list)
    signatures: dict[Any, Signature] = field(default_factory=dict)
    of_signer: dict[Any, list[Any]] = field(default_factory=dict)
    forgotten: list[list[Any]] = field(default_factory=list)
    observed: list[tuple[datetime, int]] = field(default_factory=list)
    events: list[tuple[str, int]] = field(default_factory=list)
    shown: int = 0

    @property
    def count(self) -> int:
        if self.basis == "observed":
            return self.observed[-1][1] if self.observed else 0
        return sum(signature.stands for signature in self.signatures.values())

    def _happened(self, type: str) -> None:
        self.events.append((type, self.count - self.shown))
        self.shown = self.count

    # -- what it takes -------------------------------------------------------------------------------------------------

    @property
    def takes(self) -> str:
        return self.changes[-1][1] if self.changes else "open"

    def took(self, at: datetime) -> str:
        """What it took at this time, as now known. Of two changes at one time, the later one said."""
        answer, newest = "open", datetime.min.replace(tzinfo=UTC)
        for effective, what in self.changes:
            if newest <= effective <= at:
                answer, newest = what, effective
        return answer

    def opened(self) -> None:
        self._happened("petition.opened.v1")

    def pass_time(self, now: datetime) -> None:
        """Close, if it is time and nobody has decided otherwise since."""
        if self.closes_at is None or self.closes_at > now or self.takes not in ("open", "paused"):
            return
        if not self.changes or self.changes[-1][0] < self.closes_at:
            self.changes.append((self.closes_at, "closed"))
            self._happened("acceptance.changed.v1")

    def accept(self, what: str, at: datetime) -> Said:
        if self.takes == what:
            return Said("as-is")
        self.changes.append((at, what))
        self._happened("acceptance.changed.v1")
        return Said("taken")

    def revise(self, closes_at: datetime) -> Said:
        self.closes_at = closes_at
        self._happened("petition.revised.v1")
        return Said("taken")

    def observe(self, count: int, at: Time, now: datetime) -> Said:
        if self.basis != "observed":
            return Said("itemised-petition")
        when = at or now
        if not self.observed or when >= self.observed[-1][0]:
            self.observed.append((when, count))
        self._happened("count.observed.v1")
        return Said("taken")

    # -- signatures ----------------------------------------------------------------------------------------------------

    def sign(self, signer: Any, id: Any, confirmed: bool | None, at: Time, now: datetime, imported: bool) -> Said:
        if self.basis != "itemised":
            return Said("observed-petition")
        for earlier in self.of_signer.get(signer, [])[-1:]:
            latest = self.signatures[earlier]
            if latest.holds or not latest.withdrawn:
                return Said("as-is", latest.state)
        if not self._may(("open",), at, now, imported):
            return Said("petition-closed")
        if id in self.signatures:
            return Said("refused")
        counts = self.confirmation == "none" if confirmed is None else confirmed
        signature = Signature(id, counts, at or (None if imported else now))
        self.signatures[id] = signature
        self.of_signer.setdefault(signer, []).append(id)
        self._happened("signature.recorded.v1")
        return Said("taken", signature.state)

    def confirm(self, id: Any, at: Time, now: datetime, imported: bool) -> Said:
        signature = self.signatures.get(id)
        if signature is None:
            return Said("unknown-signature")
        if signature.erased:
            return Said("erased")
        if signature.withdrawn:
            return Said("already-withdrawn")
        if signature.confirmed:
            return Said("holds-already") if imported else Said("as-is", signature.state)
        if refusal := self._untimely(signature, ("open",), at, now, imported):
            return Said(refusal)
        signature.confirmed = True
        return self._moved(signature, "signature.confirmed.v1", at, now, imported)

    def withdraw(self, id: Any, at: Time, now: datetime, imported: bool) -> Said:
        signature = self.signatures.get(id)
        if signature is None:
            return Said("unknown-signature")
        if signature.erased:
            return Said("erased")
        if signature.withdrawn:
            return Said("holds-already") if imported else Said("as-is", signature.state)
        if refusal := self._untimely(signature, ("open", "paused"), at, now, imported):
            return Said(refusal)
        signature.withdrawn = True
        return self._moved(signature, "signature.withdrawn.v1", at, now, imported)

    def erase(self, id: Any, now: datetime) -> list[Any]:
        """Erase the signer of this signature, and forget who it was. All her signatures, the oldest first."""
        self.pass_time(now)
        (hers,) = [ids for ids in (*self.of_signer.values(), *self.forgotten) if id in ids]
        for each in [self.signatures[one] for one in hers if not self.signatures[one].erased]:
            each.last_effective = max(now, each.last_effective or now)
            if self.takes in ("open", "paused") and not each.withdrawn:
                each.withdrawn = True
                self._happened("signature.withdrawn.v1")
            each.erased = True
            self._happened("signer.erased.v1")
        if hers not in self.forgotten:
            self.forgotten.append(hers)
            self.of_signer = {signer: ids for signer, ids in self.of_signer.items() if ids is not hers}
        return hers

    def hold(self, id: Any, correction: Any, at: Time, now: datetime, imported: bool) -> Said:
        signature = self.signatures[id]
        if correction in signature.holds:
            return Said("as-is")
        if refusal := self._untimely(signature, None, at, now, imported):
            return Said(refusal)
        signature.holds.add(correction)
        return self._moved(signature, "signature.invalidated.v1", at, now, imported)

    def lift(self, id: Any, correction: Any, at: Time, now: datetime, imported: bool) -> Said:
        """Lift the hold of this correction, or every one where it is None."""
        signature = self.signatures[id]
        lifted = set(signature.holds) if correction is None else signature.holds & {correction}
        if not lifted:
            return Said("not-held")
        if refusal := self._untimely(signature, None, at, now, imported):
            return Said(refusal)
        said = Said("taken")
        for hold in lifted:
            signature.holds.remove(hold)
            said = self._moved(signature, "signature.reinstated.v1", at, now, imported)
        return said

    def correct(
        self, kind: str, correction: Any, signers: list[Any], at: Time, now: datetime, imported: bool
    ) -> list[str]:
        """One correction that names signers: what became of each."""
        rows: list[str] = []
        chosen: list[Any] = []
        for signer in signers:
            ids = self.of_signer.get(signer)
            if not ids:
                rows.append("unknown-signer")
            elif ids[-1] in chosen:
                rows.append("duplicate")
            elif kind == "reinstate" and not self.signatures[ids[-1]].holds:
                rows.append("not-held")
            elif refusal := self._untimely(self.signatures[ids[-1]], None, at, now, imported):
                rows.append(refusal)
            else:
                chosen.append(ids[-1])
                rows.append("appended")
        if chosen:
            self._happened("correction.opened.v1")
            for id in chosen:
                if kind == "invalidate":
                    self.hold(id, correction, at, now, imported)
                else:
                    self.lift(id, None, at, now, imported)
            self._happened("correction.completed.v1")
        return rows

    def _may(self, taken: tuple[str, ...], at: Time, now: datetime, imported: bool) -> bool:
        return (self.took(at or now) if imported else self.takes) in taken

    def _untimely(
        self, signature: Signature, taken: tuple[str, ...] | None, at: Time, now: datetime, imported: bool
    ) -> str | None:
        if at is not None and at > now + timedelta(seconds=60):
            return "in-the-future"
        if at is not None and signature.last_effective is not None and at < signature.last_effective:
            return "before-its-predecessor"
        if taken is not None and not self._may(taken, at, now, imported):
            return "petition-closed"
        return None

    def _moved(self, signature: Signature, type: str, at: Time, now: datetime, imported: bool) -> Said:
        if at is not None or not imported:
            signature.last_effective = max(at or now, signature.last_effective or at or now)
        self._happened(type)
        return Said("taken", signature.state)
