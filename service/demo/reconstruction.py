"""The synthetic reconstruction: single acts that a published timeline could have come from.

A page proves numbers at instants. This module simulates signatures, withdrawals and invalidations whose naive recount
gives exactly those numbers: each milestone is reached by one signature at its very second, each status finds its count.
It shows what an itemised history explains that a page cannot.

It must never pass for history: its signers are numbers, and whoever appends its acts labels them `synthetic`. It must
never read a clock or a file of its own; all chance comes from the seed, in whole numbers only, so that one seed gives
one history on every machine and under every hash seed.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate, pairwise
from random import Random
from typing import Final, Literal, assert_never
from zoneinfo import ZoneInfo

ActKind = Literal["recorded", "withdrawn", "invalidated"]


class Unreachable(ValueError):
    """No history that keeps the rules of `reconstruct` passes through these anchors; the message says where."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """A published number: `milestone` is a rung first reached at that second, `status` the count frozen then."""

    at: datetime
    kind: Literal["milestone", "status"]
    count: int


@dataclass(frozen=True, slots=True)
class Reported:
    """A number that somebody else read off the page at that instant. It is met, and leaves no trace of its own."""

    at: datetime
    count: int


@dataclass(frozen=True, slots=True)
class Act:
    """One simulated row: `at` in UTC, `reason` on invalidations only, `country` on recordings only (None: unknown)."""

    at: datetime
    kind: ActKind
    signer: str
    reason: str | None
    country: str | None


@dataclass(frozen=True, slots=True)
class Declaration:
    """A published status, directly after the acts that it counts; `at` in UTC."""

    at: datetime
    status: Literal["successful"]
    reported_count: int


SEED: Final = 20140517

# Ours: no source says when the petition opened, only that ten people had signed by 02:11:09 +0100.
OPENED_AT: Final = datetime(2014, 5, 16, 22, 12, tzinfo=UTC)

# The article of 19 May 2014: "signed by 8,363 people within 72 hours". The hour is ours; number and day are its own.
ARTICLE: Final = (Reported(datetime(2014, 5, 19, 17, 0, tzinfo=UTC), 8363),)

_LONDON: Final = ZoneInfo("Europe/London")
_HOUR: Final = timedelta(hours=1)
_SECOND: Final = timedelta(seconds=1)
_MICROSECOND: Final = timedelta(microseconds=1)
_MOVES_PER_SECOND: Final = 1000
_NO_CEILING: Final = 2**53 - 1

# Relative pace of each hour of the day in London: asleep by three, lively at lunch, liveliest in the evening.
_PACE_BY_HOUR: Final = (20, 9, 4, 2, 2, 4, 14, 34, 50, 56, 58, 60, 66, 60, 56, 56, 60, 64, 72, 84, 92, 88, 68, 40)
# Relative pace of a whole day: most are ordinary, now and then somebody with an audience shares the page.
_PACE_BY_DAY: Final = (2, 3, 3, 4, 4, 4, 5, 6, 9, 16)

_QUIET_LEG: Final = timedelta(days=14)
_GROUP_SIZES: Final = (1, 1, 1, 1, 2, 2, 3, 5)
_REASONS_OF_ONE: Final = (
    *("duplicate",) * 5,
    *("false-identity",) * 3,
    *("disposable-address",) * 2,
    *("mistake",) * 2,
    *("test-entry",) * 2,
    "bot",
)
_REASONS_OF_A_GROUP: Final = ("bot", "bot", "disposable-address", "disposable-address", "duplicate")
_COUNTRIES: Final = (*("GB",) * 188, *("IE",) * 2, *("FR",) * 2, "DE", "US", *("ES",) * 2, *(None,) * 4)


def reconstruct(
    anchors: Sequence[Anchor],
    seed: int = SEED,
    *,
    opened_at: datetime = OPENED_AT,
    reported: Sequence[Reported] = ARTICLE,
) -> list[Act | Declaration]:
    """A history through `anchors` (aware times at whole seconds, in any order), oldest first; one history for one seed.

    - A milestone is first reached by a `recorded` act at exactly its time, alone in that second; the count is never
      below it again. The milestones among the anchors are the whole ladder.
    - At a status the count of all acts so far is the published one; its `Declaration` follows them directly.
    - A number that every later one exceeds is never returned to once it is left.
    - Where the count falls between two anchors, somebody withdraws, and somebody is invalidated, and somebody signs.
    - Invalidations at one instant have one reason: one correction. No other two acts share an instant.
    - Whoever withdrew may sign again as the same signer; whoever was invalidated does not.

    Raises `Unreachable` where that cannot be: unordered rungs, a status above the next rung or below the last, no time.
    """
    rng = Random(seed)
    pace = _Pace(rng, opened_at)
    people = _People(rng)
    history: list[Act | Declaration] = []
    for before, stop in pairwise(_stops(anchors, reported, opened_at)):
        # The crossing of a rung is the stop's own act; the walk ends one below it.
        target = stop.count - 1 if stop.kind == "milestone" else stop.count
        moves = list(_walk(rng, before, target, stop))
        # Nothing else happens within a published second: it would be before or after it by the page's reckoning, and
        # nobody could say which.
        instants = pace.instants(before.at + _SECOND, stop.at, len(moves))
        for at, move in zip(instants, moves, strict=True):
            history.extend(people.acts(at, move))
        match stop.kind:
            case "milestone":
                history.extend(people.acts(stop.at, _Move("recorded", 1)))
            case "status":
                history.append(Declaration(stop.at, "successful", stop.count))
            case "opening" | "reported":
                pass
            case _:
                assert_never(stop.kind)
    return history


@dataclass(frozen=True, slots=True)
class _Stop:
    """A number to be met, and the bounds (both inclusive) of every count on the way to it after the first act."""

    at: datetime
    kind: Literal["opening", "milestone", "status", "reported"]
    count: int
    floor: int
    ceiling: int


@dataclass(frozen=True, slots=True)
class _Move:
    """What happens at one instant: one signature, one withdrawal, or `size` invalidations that form one correction."""

    kind: ActKind
    size: int


def _stops(anchors: Sequence[Anchor], reported: Sequence[Reported], opened_at: datetime) -> list[_Stop]:
    """Opening, anchors and reported numbers in order of time, each with its bounds. Raises `Unreachable`."""
    given = [_Stop(_utc(anchor.at), anchor.kind, anchor.count, 0, _NO_CEILING) for anchor in anchors]
    given += [_Stop(_utc(report.at), "reported", report.count, 0, _NO_CEILING) for report in reported]
    given.sort(key=lambda stop: stop.at)
    if given and given[-1].kind == "reported":
        raise Unreachable(f"the number reported at {given[-1].at} lies after the last anchor")
    line = [_Stop(_utc(opened_at), "opening", 0, 0, _NO_CEILING), *given]

    lowest_from = list(accumulate((stop.count for stop in reversed(line)), min))[::-1]
    ceilings: list[int] = []
    ceiling = _NO_CEILING
    for stop in reversed(line):
        if stop.kind == "milestone":
            ceiling = stop.count - 1
        ceilings.append(ceiling)
    ceilings.reverse()

    bounded = line[:1]
    floor = 0
    for index in range(1, len(line)):
        before, stop = line[index - 1], line[index]
        if stop.at <= before.at:
            raise Unreachable(f"two numbers at {stop.at}, or one before the opening")
        if before.count < lowest_from[index]:
            floor = max(floor, before.count + 1)  # Left for good: nobody asks later which of two returns was meant.
        elif before.kind == "milestone":
            floor = max(floor, before.count)
        crosses = stop.kind == "milestone"
        lowest, highest = (before.count + 1, stop.count) if crosses else (floor, ceilings[index])
        if not lowest <= stop.count <= highest:
            raise Unreachable(
                f"{stop.count} at {stop.at} lies outside {lowest} to {highest}, as its neighbours have it"
            )
        bounded.append(_Stop(stop.at, stop.kind, stop.count, floor, ceilings[index]))
    return bounded


def _utc(at: datetime) -> datetime:
    if at.utcoffset() is None:
        raise Unreachable(f"{at} names no offset from UTC")
    return at.astimezone(UTC)


def _walk(rng: Random, before: _Stop, target: int, stop: _Stop) -> Iterator[_Move]:
    """Moves from `before.count` to `target` within the bounds of `stop`.

    It is never stuck: at the floor a signature is left, or the rest could only end below it; at the ceiling a removal.
    """
    count = before.count
    falls = count > target
    removals = _removals(rng, before, target, stop)
    signatures = target - count + removals
    next_removal: ActKind = rng.choice(("withdrawn", "invalidated"))
    while signatures or removals:
        removing = rng.randrange(signatures + removals) < removals
        if count - 1 < stop.floor:
            removing = False
        elif count + 1 > stop.ceiling:
            removing = True
        if not removing:
            signatures -= 1
            count += 1
            yield _Move("recorded", 1)
            continue
        if not falls:
            next_removal = rng.choice(("withdrawn", "withdrawn", "invalidated"))
        size = 1
        if next_removal == "invalidated" and not falls:
            size = min(rng.choice(_GROUP_SIZES), removals, count - stop.floor)
        removals -= size
        count -= size
        yield _Move(next_removal, size)
        # A fall that readers ask about shows both of its causes.
        next_removal = "invalidated" if next_removal == "withdrawn" else "withdrawn"


def _removals(rng: Random, before: _Stop, target: int, stop: _Stop) -> int:
    """How many signatures go on the way: about one in a hundred gained, and at least one in a long quiet stretch."""
    if target < stop.floor or stop.floor == stop.ceiling:
        return 0  # No room to move: the number is left by the stop's own act, or only one number is allowed.
    gained = target - before.count
    if gained < 0:
        return 1 - gained
    whole, rest = divmod(gained, 100)
    removals = whole + (rng.randrange(100) < rest)
    return max(removals, 1) if stop.at - before.at >= _QUIET_LEG else removals


class _Pace:
    """When people act: by the hour in London, in bursts by day, and less with every day since the opening."""

    def __init__(self, rng: Random, opened_at: datetime) -> None:
        self._rng = rng
        self._opened_at = opened_at.astimezone(UTC)
        self._bursts: dict[date, int] = {}

    def instants(self, start: datetime, end: datetime, size: int) -> list[datetime]:
        """`size` different instants in `start` <= t < `end`, oldest first. Raises `Unreachable` if they do not fit."""
        if not size:
            return []
        if (end - start) * _MOVES_PER_SECOND < size * _SECOND:
            raise Unreachable(f"{size} acts do not fit between {start} and {end}")
        slots = list(_hours(start, end))
        cumulative = list(accumulate(self._weight(low, high) for low, high in slots))
        chosen: set[datetime] = set()
        while len(chosen) < size:
            low, high = slots[bisect_right(cumulative, self._rng.randrange(cumulative[-1]))]
            chosen.add(low + self._rng.randrange((high - low) // _MICROSECOND) * _MICROSECOND)
        return sorted(chosen)

    def _weight(self, low: datetime, high: datetime) -> int:
        local = low.astimezone(_LONDON)
        day = local.date()
        if day not in self._bursts:
            self._bursts[day] = self._rng.choice(_PACE_BY_DAY)
        pace = _PACE_BY_HOUR[local.hour] * self._bursts[day] * ((high - low) // _MICROSECOND)
        return max(1, pace * 1000 // (1 + (low - self._opened_at).days))


def _hours(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The hours of `start` to `end`, cut at full hours. London's offset is whole hours, so they are full there too."""
    low = start
    while low < end:
        high = min(low.replace(minute=0, second=0, microsecond=0) + _HOUR, end)
        yield low, high
        low = high


class _People:
    """Who acts. Signers are numbered in the order of their first signature, from 1."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._countries: list[str | None] = []
        self._standing: list[bool] = []
        self._withdrawals = 0
        self._regretting: list[int] = []  # Withdrew, and will sign again. Never invalidated: they do not stand.

    def acts(self, at: datetime, move: _Move) -> list[Act]:
        """The rows of one move; the caller's bounds see to it that enough people stand."""
        match move.kind:
            case "recorded":
                index = self._sign()
                return [Act(at, "recorded", _name(index), None, self._countries[index])]
            case "withdrawn":
                [index] = self._remove(1)
                self._withdrawals += 1
                if self._withdrawals % 8 == 2:
                    self._regretting.append(index)
                return [Act(at, "withdrawn", _name(index), None, None)]
            case "invalidated":
                reason = self._rng.choice(_REASONS_OF_ONE if move.size == 1 else _REASONS_OF_A_GROUP)
                removed = self._remove(move.size)
                return [Act(at, "invalidated", _name(index), reason, None) for index in removed]
            case _:
                assert_never(move.kind)

    def _sign(self) -> int:
        if self._regretting and self._rng.randrange(40) == 0:
            index = self._regretting.pop(0)
            self._standing[index] = True
            return index
        self._standing.append(True)
        self._countries.append(self._rng.choice(_COUNTRIES))
        return len(self._standing) - 1

    def _remove(self, size: int) -> list[int]:
        """The next `size` who stand, from anywhere: what is removed together had mostly come together."""
        index = self._rng.randrange(len(self._standing))
        removed: list[int] = []
        while len(removed) < size:
            if self._standing[index]:
                self._standing[index] = False
                removed.append(index)
            index = (index + 1) % len(self._standing)
        return removed


def _name(index: int) -> str:
    return f"SIM-{index + 1:05d}"
