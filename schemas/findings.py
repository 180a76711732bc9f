"""Findings: what an audit says is wrong, as values.

An audit never raises on bad data: whatever it cannot read is one more finding. It may meet millions of them, so that a
gatherer keeps the first of each rule and counts the rest.

Pure. A finding must never hold personal data, nor repeat what it found in a leaf: it names a rule, a place and, at
most, numbers.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

KEPT: Final = 20
"""How many findings of one rule are kept: the first of them says where to look, the rest how bad it is."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: the rule that does not hold, and where.

    `position` is that of the event concerned, or of the place where one is missing; None where there is no such place.
    """

    rule: str
    position: int | None
    petition: str | None
    message: str


class Findings:
    """Findings gathered: of every rule the first `bound` that were added, and how many there were in all.

    What was found twice, in the same words at the same place, counts once as far as it is kept.
    """

    def __init__(self, bound: int = KEPT) -> None:
        self._bound = bound
        self._kept: dict[str, dict[Finding, None]] = {}
        self._counts: Counter[str] = Counter()

    def add(self, rule: str, position: int | None, petition: str | None, message: str) -> None:
        """One more."""
        finding = Finding(rule, position, petition, message)
        kept = self._kept.setdefault(rule, {})
        if finding in kept:
            return
        self._counts[rule] += 1
        if len(kept) < self._bound:
            kept[finding] = None

    def __iter__(self) -> Iterator[Finding]:
        """Those that were kept: by rule, in the order in which the rules were first broken."""
        for kept in self._kept.values():
            yield from kept

    def __bool__(self) -> bool:
        return bool(self._counts)

    @property
    def total(self) -> int:
        """How many there were, kept or not."""
        return self._counts.total()

    @property
    def by_rule(self) -> dict[str, int]:
        """How many there were of each rule."""
        return dict(self._counts)

    def first(self, rule: str) -> Finding | None:
        """The first finding of a rule."""
        return next(iter(self._kept.get(rule, ())), None)
