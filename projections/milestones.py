"""Milestones: which rungs a petition's count crossed, when that is known, and what follows where it is not.

In an itemised petition every event moves the count by at most one, so a rung is crossed at one event: `reached` where
the count first comes up to it, `fell-below` where it sinks to one less, `reached-again` where it comes back. A rung is
judged by the ladder as it stood at that position; one that is added below the count stamps nothing, then or later.
Once stamped, an entry never moves and never disappears, whatever happens to the signatures (rule 11 of the design).

In an observed petition nobody saw the crossing but who claims it: a rung is stamped by an observation that claims it,
and the first claim by position is `reached`, a later one `reached-again`. A rung that lies between two observations
that follow each other in time is *inferred* to have been crossed in that interval. Inferences are made anew from all
observations up to a position: a page found later can narrow an interval, or dissolve it.

Pure. This module must never read a count beside those it is given, and never stamp what was only inferred.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal, NamedTuple

from schemas.ladders import crossed

Crossing = Literal["reached", "fell-below", "reached-again"]

MILESTONE_CLAIM: Final = "milestone"


@dataclass(frozen=True, slots=True)
class Observation:
    """A number that an outside source showed. `at` is its effective time as the leaf writes it."""

    position: int
    at: str
    recorded: str
    count: int
    claim: str
    at_known: bool


class Inference(NamedTuple):
    """A rung crossed between two observations. `ordinal` counts those of one interval, the last crossed first."""

    before: Observation
    after: Observation
    ordinal: int
    rung: int
    crossing: Crossing


class Ladder:
    """One petition's rungs as they stood at each position, and which of them its timeline has named."""

    def __init__(self) -> None:
        self._spans: list[tuple[int, tuple[int, ...]]] = []
        self._now: frozenset[int] = frozenset()
        self._named: set[int] = set()

    def set(self, position: int, rungs: Sequence[int]) -> None:
        """From this position on the ladder has these rungs."""
        self._spans.append((position, tuple(rungs)))
        self._now = frozenset(rungs)

    def at(self, position: int) -> tuple[int, ...]:
        """The rungs as they stood at this position."""
        return next((rungs for since, rungs in reversed(self._spans) if since < position), ())

    def crossing(self, before: int, after: int) -> tuple[int, Crossing] | None:
        """The rung that a count moving by one has just crossed, if it did."""
        rung = max(before, after)
        if rung not in self._now:
            return None
        return rung, self._stamp(rung) if after > before else self._fall(rung)

    def claim(self, count: int) -> Crossing | None:
        """What an observation that claims this number as a milestone stamps: nothing where it is no rung."""
        return self._stamp(count) if count in self._now else None

    def _stamp(self, rung: int) -> Crossing:
        if rung in self._named:
            return "reached-again"
        self._named.add(rung)
        return "reached"

    def _fall(self, rung: int) -> Crossing:
        self._named.add(rung)
        return "fell-below"


def inferences(observations: Sequence[Observation], ladder: Ladder) -> list[Inference]:
    """The rungs passed between observations that follow each other in time, unless the later one claims the rung.

    Undated observations have no place in time and are left out, unless there are no others: then they are taken in
    order of position. The ladder of an interval is the one at the position where its second end became known.
    """
    dated = [seen for seen in observations if seen.at_known] or observations
    found: list[Inference] = []
    for before, after in pairwise(sorted(dated, key=lambda seen: (seen.at, seen.position))):
        rungs = ladder.at(max(before.position, after.position))
        passed = [
            (rung, direction)
            for rung, direction in crossed(before.count, after.count, rungs)
            if not (after.claim == MILESTONE_CLAIM and direction == "reached" and rung == after.count)
        ]
        for ordinal, (rung, direction) in enumerate(reversed(passed), start=1):
            found.append(Inference(before, after, ordinal, rung, "reached" if direction == "reached" else "fell-below"))
    return found
