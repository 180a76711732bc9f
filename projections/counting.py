"""The count: what it is as of a position, and what was effective by a time, over an event's plain values.

As of P, the count is the sum of the deltas of the petition's events at or below P. Effective at T as known at P, it is
the sum of those among them whose effective time is at or before T: an invalidation takes effect when it was decided,
not when the signature was made.

Pure. This module states the meaning; the queries of `sql/queries/counting.sql` are held against it. It must never read
`count_after`: that is what it would have to prove.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from schemas.envelope import Event
from schemas.ladders import goal, remaining
from schemas.views import CountView


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of a petition, as far as counting goes: where and when it stands, what it says, what it adds."""

    position: int
    type: str
    effective: datetime
    recorded: datetime
    delta: int
    data: Mapping[str, Any]

    @property
    def at_known(self) -> bool:
        """Whether its source dates it. Where not, its effective time is that of recording, and proves nothing."""
        return self.data.get("at_known") is not False


def entry_of(event: Event, delta: int) -> Entry:
    """The entry of an event that was read from its leaf, and what a fold says that it adds."""
    return Entry(event.position, event.type, event.time, event.recorded, delta, event.fact.data())


def up_to(entries: Iterable[Entry], position: int) -> list[Entry]:
    """The entries at or below this position, by position."""
    return sorted((entry for entry in entries if entry.position <= position), key=lambda entry: entry.position)


def in_effective_order(entries: Iterable[Entry]) -> list[Entry]:
    """By effective time; those of one instant by position."""
    return sorted(entries, key=lambda entry: (entry.effective, entry.position))


def count_as_of(entries: Iterable[Entry], position: int) -> int:
    """The count right after the event at this position."""
    return sum(entry.delta for entry in entries if entry.position <= position)


def count_effective(entries: Iterable[Entry], time: datetime, position: int) -> int:
    """The count at this time, as known at this position. May be negative where a log's times contradict its order."""
    return sum(entry.delta for entry in entries if entry.position <= position and entry.effective <= time)


def running(entries: Iterable[Entry]) -> Iterator[tuple[Entry, int]]:
    """Each entry in effective order, with the count right after it."""
    count = 0
    for entry in in_effective_order(entries):
        count += entry.delta
        yield entry, count


def goals_as_of(entries: Iterable[Entry], position: int) -> Sequence[int]:
    """The ladder of goals as it stood at this position; none before the petition's first event."""
    said: Sequence[int] = ()
    for entry in up_to(entries, position):
        said = entry.data.get("goals", said)
    return said


def count_view(count: int, position: int, recorded: datetime | None, goals: Sequence[int]) -> CountView:
    """The document of a count. `position` and `recorded` are those of the petition's last event known then, if any."""
    # What a petition's signers made cannot be below nothing, whatever the times of an imported log say.
    count = max(count, 0)
    return CountView(
        signature_count=count,
        as_of_position=position,
        as_of=recorded,
        goal=goal(count, goals),
        remaining=remaining(count, goals),
    )
