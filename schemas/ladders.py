"""Ladders: the rungs at which a petition sets its next goal, and those whose crossing its timeline announces.

A ladder is data of the petition: the event that opens it carries the rungs themselves, never a name, so that what a
name means may change without changing any petition. For the same reason a ladder is finite: the built-in goals of
38 Degrees go on "by 100,000", here up to 10,000,000 (126 rungs, about a kilobyte in the leaf), which is beyond the
largest petition on record; above its last rung a petition has no goal.

This module must never know a petition or an event: counts and rungs go in, counts and rungs come out.
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Final, Literal

LadderKind = Literal["goals", "milestones"]
Crossing = Literal["reached", "fell"]

MAX_RUNGS: Final = 200
MAX_RUNG: Final = 2**53 - 1
DEFAULT_LADDER: Final = "38degrees"

_UK_PARLIAMENT: Final = (10_000, 100_000)

MILESTONES: Final = MappingProxyType(
    {
        # Those above 10,000 are ours: no source shows them.
        "38degrees": (
            *(10, 25, 50, 100, 500, 1_000, 5_000, 10_000),
            *(25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000),
        ),
        "uk-parliament": _UK_PARLIAMENT,
    }
)

GOALS: Final = MappingProxyType(
    {
        "38degrees": (
            *range(100, 601, 100),
            800,
            *range(1_000, 10_001, 1_000),
            *range(15_000, 50_001, 5_000),
            75_000,
            *range(100_000, 10_000_001, 100_000),
        ),
        "uk-parliament": _UK_PARLIAMENT,
    }
)

# At most 16 digits: a longer number is above MAX_RUNG anyway, and is never turned into an integer.
_RUNGS: Final = re.compile(r"[ ]*[0-9]{1,16}[ ]*(?:,[ ]*[0-9]{1,16}[ ]*)*")


class LadderRefused(ValueError):
    """What was given is no ladder. The message is a sentence that does not repeat it."""


def read_ladder(text: str, kind: LadderKind) -> tuple[int, ...]:
    """The rungs that a person means by a built-in ladder's name, or by `100,200,...`. Raises LadderRefused."""
    builtin = (GOALS if kind == "goals" else MILESTONES).get(text)
    if builtin is not None:
        return builtin
    if not _RUNGS.fullmatch(text):
        raise LadderRefused("a ladder is `38degrees`, `uk-parliament`, or whole numbers with commas between them")
    return checked_ladder([int(rung) for rung in text.split(",")])


def checked_ladder(rungs: Sequence[int]) -> tuple[int, ...]:
    """These rungs, if they make a ladder: 1 to 200 of them, positive, strictly increasing. Raises LadderRefused."""
    if not 1 <= len(rungs) <= MAX_RUNGS:
        raise LadderRefused(f"a ladder has 1 to {MAX_RUNGS} rungs")
    if rungs[0] < 1 or rungs[-1] > MAX_RUNG:
        raise LadderRefused("a rung is a count between 1 and 2^53-1")
    if any(upper <= lower for lower, upper in pairwise(rungs)):
        raise LadderRefused("each rung of a ladder is higher than the one before it")
    return tuple(rungs)


def goal(count: int, rungs: Sequence[int]) -> int | None:
    """The first rung strictly above the count ("33 signatures until 400"; at exactly 400 it is 500); None above all."""
    above = bisect_right(rungs, count)
    return rungs[above] if above < len(rungs) else None


def remaining(count: int, rungs: Sequence[int]) -> int | None:
    """How many signatures are missing until the goal, at least 1; None above the last rung."""
    target = goal(count, rungs)
    return None if target is None else target - count


def crossed(before: int, after: int, rungs: Sequence[int]) -> list[tuple[int, Crossing]]:
    """The rungs crossed between two counts, in the order in which a count moving by ones would cross them.

    A rung is reached at exactly its number, and fallen below at one less.
    """
    if after > before:
        return [(rung, "reached") for rung in rungs[bisect_right(rungs, before) : bisect_right(rungs, after)]]
    return [(rung, "fell") for rung in reversed(rungs[bisect_right(rungs, after) : bisect_right(rungs, before)])]
