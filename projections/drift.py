"""Drift: why two counts that people can see differ, event by event, over the events' plain values.

Between positions the range holds the events above the first and at or below the second: the drift as recorded. Between
times it holds those effective after the first and at or before the second, as known at the head. Either way every event
in it is listed, oldest first, and those whose time is not known last; what moved the count is summed by cause.

Pure. This module states the meaning; the queries of `sql/queries/drift.sql` are held against it. It must never explain
a difference away: what it cannot name is an error, and causes that do not sum to the net change are shown as they are.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from projections.counting import Entry, count_as_of, running
from projections.moments import MomentRefused
from schemas.ids import Position, event_id
from schemas.views import DriftCauses, DriftCorrection, DriftEvent, DriftPublished

CAUSES: Final[Mapping[str, str]] = {
    "signature.recorded.v1": "signed",
    "signature.confirmed.v1": "confirmed",
    "signature.withdrawn.v1": "withdrawn",
    "signature.invalidated.v1": "invalidated",
    "signature.reinstated.v1": "reinstated",
    "count.observed.v1": "unitemised",
}
"""What a type does to a count, in the words of the answer. All other types add 0."""

_KINDS: Final[Mapping[str, Literal["invalidate", "reinstate"]]] = {
    "signature.invalidated.v1": "invalidate",
    "signature.reinstated.v1": "reinstate",
}


@dataclass(frozen=True, slots=True)
class Span:
    """The range of a drift: positions in (after, upto] and, where times bound it, effective times in (since, until].

    Between positions `since` and `until` are None. Between times `after` is 0 and `upto` the head.
    """

    after: int
    upto: int
    since: datetime | None = None
    until: datetime | None = None

    @property
    def by_time(self) -> bool:
        """Whether effective times bound it, so that effective order is its order."""
        return self.until is not None

    def holds(self, entry: Entry) -> bool:
        """Whether an event lies in the range."""
        return (
            self.after < entry.position <= self.upto
            and (self.since is None or self.since < entry.effective)
            and (self.until is None or entry.effective <= self.until)
        )


def span_of_positions(start: int, end: int) -> Span:
    """The range between two positions. Raises MomentRefused where they are the wrong way round."""
    if start > end:
        raise MomentRefused("`from` lies after `to`: a drift is told forwards")
    return Span(start, end)


def span_of_times(start: datetime, end: datetime, head: int) -> Span:
    """The range between two effective times, as known at the head. Raises MomentRefused likewise."""
    if start > end:
        raise MomentRefused("`from` lies after `to`: a drift is told forwards")
    return Span(0, head, start, end)


def causes(moved: Mapping[str, int]) -> DriftCauses:
    """The causes, from the sum of deltas of each event type in the range."""
    sums = dict.fromkeys(CAUSES.values(), 0)
    for type, delta in moved.items():
        if delta:
            sums[CAUSES[type]] += delta
    return DriftCauses(**sums)


def moved_by_type(entries: Iterable[Entry], span: Span) -> dict[str, int]:
    """The sum of deltas in the range, by event type."""
    moved: dict[str, int] = {}
    for entry in entries:
        if span.holds(entry) and entry.delta:
            moved[entry.type] = moved.get(entry.type, 0) + entry.delta
    return moved


def listed(entries: Sequence[Entry], span: Span) -> list[DriftEvent]:
    """Every event in the range, in the order of the answer, with the count right after each."""
    in_range = [entry for entry in entries if span.holds(entry)]
    if span.by_time:
        after = {entry.position: count for entry, count in running(e for e in entries if e.position <= span.upto)}
        in_range.sort(key=lambda entry: (not entry.at_known, entry.effective, entry.position))
    else:
        after = {entry.position: count_as_of(entries, entry.position) for entry in in_range}
        in_range.sort(key=lambda entry: (not entry.at_known, entry.position))
    return [
        drift_event(
            entry.position,
            entry.type,
            entry.effective if entry.at_known else None,
            entry.recorded,
            entry.delta,
            after[entry.position],
        )
        for entry in in_range
    ]


def corrections(entries: Iterable[Entry], span: Span) -> list[DriftCorrection]:
    """Each correction that was opened or acted in the range, by its first event there."""
    found: dict[str, tuple[Any, Any, int, int]] = {}
    for entry in sorted(entries, key=lambda entry: entry.position):
        if not span.holds(entry) or not (entry.type in _KINDS or entry.type == "correction.opened.v1"):
            continue
        id, reason = entry.data["correction"], entry.data["reason"]
        acted = entry.type in _KINDS
        kind = _KINDS[entry.type] if acted else entry.data["kind"]
        _, _, net, events = found.get(id, (kind, reason, 0, 0))
        found[id] = (kind, reason, net + entry.delta, events + acted)
    return [
        DriftCorrection(id=UUID(id), kind=kind, reason=reason, net=net, events=events)
        for id, (kind, reason, net, events) in found.items()
    ]


def published(entries: Sequence[Entry], span: Span) -> list[DriftPublished]:
    """Each number that this ledger said to have served, by the position of its saying, held against the replay."""
    return [
        held_against(entry.data["position"], entry.data["count"], count_as_of(entries, entry.data["position"]))
        for entry in sorted(entries, key=lambda entry: entry.position)
        if span.holds(entry) and entry.type == "count.published.v1"
    ]


def held_against(position: int, count: int, replayed: int) -> DriftPublished:
    """A published number beside the count as of the position that it named."""
    return DriftPublished(position=position, count=count, replayed=replayed, agrees=count == replayed)


def drift_event(
    position: int, type: str, at: datetime | None, recorded: datetime, delta: int, count: int
) -> DriftEvent:
    """One line of the list. `at` is None where the source does not date it."""
    return DriftEvent(
        position=position,
        event=event_id(Position(position)),
        type=type,
        at=at,
        recorded_at=recorded,
        delta=delta,
        count=count,
    )
