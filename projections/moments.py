"""Moments: how people name a point of a petition's history, and what is refused of it.

A moment is a position (digits), a time with its offset, or `count:N`: the event by which the count last became N. An
event makes the count N where it changes it and leaves it at N. For the later end of a range it is looked for in the
whole history, for the earlier end before the later one: "from 13,158 to 13,163" is the last way from the one to the
other.

As of a time is as of the last position recorded by then. A time is never compared with positions in any other way: the
clock orders nothing.

Pure. This module must never look anything up; `projections.asking.moments` does.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final

from schemas.ids import LARGEST_POSITION, Position, read_position
from schemas.instants import InstantRefused, read_instant
from schemas.problems import Problem

_COUNT: Final = re.compile(r"count:(0|[1-9][0-9]{0,15})", re.ASCII)


class QueryRefused(ValueError):
    """A question about the log that has no answer. The message is a sentence for who asked; it never echoes them.

    QueryRefused
    |-- MomentRefused          no moment, or none that this petition has
    |   `-- PositionNotReached the log is not that long yet
    |-- CursorRefused          `after` names no event of this answer
    `-- ClaimRefused           no claim (in `projections.claims`)
    """

    problem: ClassVar[Problem] = "validation-failed"


class MomentRefused(QueryRefused):
    """What was given is no moment, or none that this petition has."""


class PositionNotReached(MomentRefused):
    """The log is not that long yet."""

    problem: ClassVar[Problem] = "position-not-reached"

    def __init__(self, head: int) -> None:
        super().__init__(f"the ledger has not reached this position: its last event is at position {head}")
        self.head = head


class CursorRefused(QueryRefused):
    """The cursor names no event of this petition."""

    problem: ClassVar[Problem] = "cursor-invalid"

    def __init__(self) -> None:
        super().__init__("`after` is the position of an event of this petition")


@dataclass(frozen=True, slots=True)
class AtTime:
    """At a time (UTC): as recorded by then, or effective by then; the question says which."""

    time: datetime


@dataclass(frozen=True, slots=True)
class AtPosition:
    """Right after the event at this position; 0 is before the first one."""

    position: Position


@dataclass(frozen=True, slots=True)
class WhenCountBecame:
    """Right after the event by which the count last became this."""

    count: int


Moment = AtPosition | AtTime | WhenCountBecame
AsOf = AtPosition | AtTime


def read_moment(text: str) -> Moment:
    """The moment that a person means: `4711`, `2018-01-31T09:56:46Z` or `count:13163`. Raises MomentRefused."""
    if (counted := _COUNT.fullmatch(text)) is not None:
        count = int(counted[1])
        if count > LARGEST_POSITION:
            raise MomentRefused("a count is a whole number below 2^53")
        return WhenCountBecame(count)
    if text.startswith("count:"):
        raise MomentRefused("a count is written like count:13158, in digits alone")
    return read_as_of(text)


def read_as_of(text: str) -> AsOf:
    """The position or time that a person means by `as_of`. Raises MomentRefused."""
    position = read_position(text)
    if position is not None:
        return AtPosition(position)
    if re.fullmatch(r"[0-9]+", text, re.ASCII):
        raise MomentRefused("a position is a whole number below 2^53, without leading zeros")
    refusal: str
    try:
        return AtTime(read_instant(text))
    except InstantRefused as refused:
        refusal = str(refused)
    raise MomentRefused(f"a moment is a position or a time with its offset; {refusal}")


def never_became(before: bool) -> MomentRefused:
    """The refusal of a `count:N` that did not happen: at all, or before the other end."""
    if before:
        return MomentRefused("the count never became this number before the later end")
    return MomentRefused("the count never became this number")
