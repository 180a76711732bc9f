"""Claims: "8,363 within 72 hours" held against the log, over the events' plain values.

A claim is that a count was at least, or exactly, N: at an instant; as the highest count in a window that begins when
the petition opens (`opens_at`, else its first counted event) and includes its end; or as now known. The answer is an
interval in which the true number lies, and the events that prove its ends; the verdict follows from it alone.

What an **itemised** petition proves. Its events make the count at every instant, so the interval is one number, but for
events whose source does not date them: those happened at the latest when they were recorded, and before that they may
have happened or not. A dated event is taken at its word.

What an **observed** petition proves. A page shows a number at an instant, and says nothing of the instants between two
numbers: signatures come and go there (the count of a real page fell three times). So
  * at an instant where numbers stand, they are the interval, and at any other the lower end is 0;
  * in a window, the highest number that stands in it is the lower end;
  * a rung that the page says was *reached* only later had not been reached before: the smallest such rung, less one, is
    the upper end. Each rung proves this by its first claim alone, and only where it lies above every number seen by
    then and has no claim without a date, which might be the earlier one;
  * an undated number proves nothing about a time; as now known it is a number like any other.

Of a time that has not passed nothing is proved but what was reached so far.

Pure. This module states the meaning; the queries of `sql/queries/claims.sql` are held against it. It must never guess
between two numbers.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from projections.counting import Entry, in_effective_order
from projections.moments import QueryRefused
from schemas.ids import LARGEST_POSITION, Position, event_id
from schemas.instants import InstantRefused, format_instant, read_duration, read_instant
from schemas.views import ClaimView, Evidence, Verdict

ClaimKind = Literal["at_least", "exactly"]


class ClaimRefused(QueryRefused):
    """What was asked is no claim."""


@dataclass(frozen=True, slots=True)
class Claim:
    """That the count was at least, or exactly, this: at an instant, within a duration, or (neither) as now known."""

    kind: ClaimKind
    count: int
    at: datetime | None = None
    within: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """What a claim is about. `start` None: the instant `end` alone; `end` None: as now known."""

    start: datetime | None
    end: datetime | None


AS_NOW_KNOWN = Window(None, None)


@dataclass(frozen=True, slots=True)
class Proof:
    """An event, and the number that it shows or made. `at` is None where its source does not date it."""

    position: int
    effective: datetime
    at_known: bool
    count: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """The interval of the true number (`upper` None: no end), the events that prove it, and the one that first surely
    had the number of the claim, where one can be named.
    """

    lower: int
    upper: int | None
    lower_by: Proof | None = None
    upper_by: Proof | None = None
    reached_by: Proof | None = None


NOTHING_PROVED = Bounds(0, None)


def read_claim(at_least: int | None, exactly: int | None, at: str | None = None, within: str | None = None) -> Claim:
    """The claim that a person means. Raises ClaimRefused with a sentence for them."""
    if (at_least is None) == (exactly is None):
        raise ClaimRefused("a claim is either that the count was at least a number, or exactly one")
    if at is not None and within is not None:
        raise ClaimRefused("a claim is about an instant or about a window, not both")
    kind: ClaimKind = "exactly" if at_least is None else "at_least"
    count = exactly if at_least is None else at_least
    if count is None or not 0 <= count <= LARGEST_POSITION:
        raise ClaimRefused("a count is a whole number below 2^53")
    refusal: str
    try:
        return Claim(
            kind,
            count,
            at=None if at is None else read_instant(at),
            within=None if within is None else read_duration(within),
        )
    except InstantRefused as refused:
        refusal = str(refused)
    raise ClaimRefused(refusal)


def window_of(claim: Claim, opens_at: datetime | None, first_counted: datetime | None) -> Window | None:
    """What the claim is about; None where a window has no beginning yet."""
    if claim.within is None:
        return Window(None, claim.at)
    start = opens_at if opens_at is not None else first_counted
    return None if start is None else Window(start, start + claim.within)


def first_counted(entries: Iterable[Entry]) -> datetime | None:
    """The effective time of the first event that is dated and moved the count."""
    return min((entry.effective for entry in entries if entry.delta and entry.at_known), default=None)


def itemised_bounds(entries: Iterable[Entry], count: int, window: Window, now: datetime) -> Bounds:
    """What the events of an itemised petition prove. `count` is the claim's; `now` what has passed.

    Beside the count run the least and the most that it can have been: for the one every undated loss came at the very
    beginning, for the other every undated gain.
    """
    counted = in_effective_order(entry for entry in entries if entry.delta)
    if window.end is None:
        last = max(counted, key=lambda entry: entry.position, default=None)
        made = sum(entry.delta for entry in counted)
        return itemised_now(None if last is None else Proof(last.position, last.effective, last.at_known, made))
    known, least, most = 0, 0, 0
    for entry in counted:
        if not entry.at_known:
            least, most = least + min(entry.delta, 0), most + max(entry.delta, 0)
    standing: tuple[int, int, Proof | None] = (least, most, None)
    inside: list[tuple[int, int, Proof | None]] = []
    for entry in counted:
        if entry.effective > window.end:
            break
        known += entry.delta
        least += entry.delta if entry.at_known else max(entry.delta, 0)
        most += entry.delta if entry.at_known else min(entry.delta, 0)
        step = (least, most, Proof(entry.position, entry.effective, entry.at_known, max(known, 0)))
        if window.start is None or entry.effective < window.start:
            standing = step
        else:
            inside.append(step)
    steps = [standing, *inside]
    lower, _, lower_by = max(steps, key=lambda step: step[0])
    _, upper, upper_by = max(steps, key=lambda step: step[1])
    reached_by = next((by for at_least, _, by in steps if at_least >= count), None)
    return passed(Bounds(max(lower, 0), max(upper, 0), lower_by, upper_by, reached_by), window, now)


def itemised_now(last: Proof | None) -> Bounds:
    """The bounds as now known: the count after the last event, by position, that moved it."""
    return Bounds(0, 0) if last is None else exactly_seen(last, last)


def passed(bounds: Bounds, window: Window, now: datetime) -> Bounds:
    """These bounds of an itemised petition, without what a time that has not passed may still change."""
    if window.end is None or window.end <= now:
        return bounds
    if window.start is None:
        return NOTHING_PROVED
    return Bounds(bounds.lower, None, bounds.lower_by, None, bounds.reached_by)


def observed_bounds(entries: Iterable[Entry], window: Window, now: datetime) -> Bounds:
    """What the observations of an observed petition prove. `now` is what has passed."""
    seen = in_effective_order(entry for entry in entries if entry.type == "count.observed.v1")
    if window.end is None:
        return NOTHING_PROVED if not seen else exactly_seen(_shown(seen[-1]), _shown(seen[-1]))
    dated = [entry for entry in seen if entry.at_known]
    by_end = [entry for entry in dated if entry.effective <= window.end]
    start = window.end if window.start is None else window.start
    inside = [entry for entry in by_end if entry.effective >= start]
    highest = max(inside, key=_number, default=None)
    if window.start is None and highest is not None:
        return exactly_seen(_shown(min(inside, key=_number)), _shown(highest))
    rung = None
    if window.end <= now:
        undated = {_number(entry) for entry in seen if _is_milestone(entry) and not entry.at_known}
        first_claims: dict[int, Entry] = {}
        for entry in dated:
            if _is_milestone(entry):
                first_claims.setdefault(_number(entry), entry)
        above = max(map(_number, by_end), default=0)
        later = [
            first
            for number, first in first_claims.items()
            if first.effective > window.end and number > above and number not in undated
        ]
        rung = min(later, key=_number, default=None)
    return seen_between(None if highest is None else _shown(highest), None if rung is None else _shown(rung))


def exactly_seen(least: Proof, most: Proof) -> Bounds:
    """The bounds where numbers stand at the very instant: almost always one; a page may show two."""
    return Bounds(least.count, most.count, least, most)


def seen_between(highest: Proof | None, rung: Proof | None) -> Bounds:
    """The bounds from the highest number seen, and from the smallest rung that was not reached yet."""
    lower = 0 if highest is None else highest.count
    return Bounds(lower, None if rung is None else rung.count - 1, highest, rung)


def verdict(claim: Claim, bounds: Bounds) -> Verdict:
    """What follows for the claim from an interval that holds the true number."""
    lower, upper = bounds.lower, bounds.upper
    if claim.kind == "at_least":
        if lower >= claim.count:
            return "true"
        return "false" if upper is not None and upper < claim.count else "undetermined"
    if lower > claim.count or (upper is not None and upper < claim.count):
        return "false"
    return "true" if lower == upper else "undetermined"


def claim_view(petition: str, claim: Claim, window: Window | None, bounds: Bounds) -> ClaimView:
    """The answer: verdict, interval, and as evidence what proves them, in effective order."""
    judged = verdict(claim, bounds)
    proofs: Sequence[Proof | None] = (bounds.lower_by, bounds.upper_by)
    if claim.kind == "at_least" and judged == "true" and bounds.reached_by is not None:
        proofs = (bounds.reached_by,)
    given = sorted({proof for proof in proofs if proof is not None}, key=lambda by: (by.effective, by.position))
    return ClaimView(
        petition=petition,
        claim=_words(claim, window),
        verdict=judged,
        lower=bounds.lower,
        upper=bounds.upper,
        evidence=tuple(
            Evidence(
                position=proof.position,
                event=event_id(Position(proof.position)),
                at=proof.effective if proof.at_known else None,
                count=proof.count,
            )
            for proof in given
        ),
    )


def duration_text(duration: timedelta) -> str:
    """A duration of whole seconds in hours, minutes and seconds: `72h`, `1h30m`, `45s`."""
    minutes, seconds = divmod(int(duration.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "m"), (seconds, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number)


def _words(claim: Claim, window: Window | None) -> dict[str, int | str]:
    words: dict[str, int | str] = {claim.kind: claim.count}
    if claim.at is not None:
        words["at"] = format_instant(claim.at)
    if claim.within is not None:
        words["within"] = duration_text(claim.within)
        if window is not None and window.start is not None and window.end is not None:
            words |= {"from": format_instant(window.start), "to": format_instant(window.end)}
    return words


def _number(entry: Entry) -> int:
    count = entry.data["count"]
    assert isinstance(count, int)
    return count


def _is_milestone(entry: Entry) -> bool:
    return bool(entry.data["claim"] == "milestone")


def _shown(entry: Entry) -> Proof:
    return Proof(entry.position, entry.effective, entry.at_known, _number(entry))
