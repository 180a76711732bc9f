"""The views: what the queries over the log answer, as frozen models whose body is exactly that of the public surface.

Source of the fields: the audit and campaign reads of the interface. `body()` is what HTTP serves and `--json` prints:
names in snake_case, times in the log's one form (RFC 3339, UTC, `Z`), nothing left out, so that a reader sees `null`
where there is no goal, no bound, no time.

This module must never compute: a view holds what a query found. It must never hold anything about a person.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.events import Count, Id, Instant, Reason

Verdict = Literal["true", "false", "undetermined"]
Interval = Literal["hour", "day", "event"]


class View(BaseModel):
    """What every view has in common."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    def body(self) -> dict[str, Any]:
        """The JSON values of the answer, in the order of its members."""
        return self.model_dump(mode="json", by_alias=True)


class CountView(View):
    """A count, and the position that it is true at: the petition's last event at or below what was asked.

    Before the petition's first event `as_of_position` is 0 and `as_of` null. `goal` and `remaining` are null there, and
    above the last rung.
    """

    signature_count: Count
    as_of_position: Count
    as_of: Instant | None
    goal: Count | None
    remaining: Count | None


class DriftEnd(View):
    """One end of a drift.

    `position` is the one asked for; where a time was asked, the last event by then. `at` is the time asked for; where a
    position was asked, the effective time of the petition's last event at or below it. Null before the first one, and
    where that event's time is not known. `count` is the bare sum of deltas, so that the causes lead from one end to the
    other: between times it is below 0 where a log dates a withdrawal and not the signature before it.
    """

    position: Count
    at: Instant | None
    count: int


class DriftCauses(View):
    """What made the net change, as signed sums of deltas by the kind of event. They sum to `net`."""

    signed: int
    confirmed: int
    withdrawn: int
    invalidated: int
    reinstated: int
    unitemised: int

    def total(self) -> int:
        """Their sum."""
        return self.signed + self.confirmed + self.withdrawn + self.invalidated + self.reinstated + self.unitemised


class DriftCorrection(View):
    """A correction that was opened or acted in the range: its net effect, and how many signature events it made."""

    id: Id
    kind: Literal["invalidate", "reinstate"]
    reason: Reason
    net: int
    events: Count


class DriftPublished(View):
    """A number that this ledger published in the range, held against the replay as of the position it named."""

    position: Count
    count: Count
    replayed: Count
    agrees: bool


class DriftEvent(View):
    """One event in the range. `event` is its CloudEvents id; `at` is null where its time is not known.

    `count` is the petition's count right after it: by position in a drift between positions, else in effective order.
    """

    position: Count
    event: str
    type: str
    at: Instant | None
    recorded_at: Instant
    delta: int
    count: int


class DriftView(View):
    """Why the number moved between two moments. `next` is the `after` of the following page, null on the last one."""

    petition: str
    start: DriftEnd = Field(serialization_alias="from")
    end: DriftEnd = Field(serialization_alias="to")
    net: int
    causes: DriftCauses
    corrections: tuple[DriftCorrection, ...]
    published: tuple[DriftPublished, ...]
    events: tuple[DriftEvent, ...]
    next: Count | None

    @property
    def is_finding(self) -> bool:
        """Whether something is wrong, not only different: `ledger drift` exits 1.

        That is where the causes do not sum to the net change, or a published number differs from the replay.
        Unitemised is an explanation.
        """
        return self.causes.total() != self.net or not all(each.agrees for each in self.published)


class Evidence(View):
    """An event that proves a bound. `count`: the number that it shows or made; `at` is null where it is not known."""

    position: Count
    event: str
    at: Instant | None
    count: Count


class ClaimView(View):
    """A claim and what the log proves of it: the count claimed about lies in [lower, upper]; null is no upper bound.

    `claim` repeats what was asked, in the query's own words, and with `within` the window itself as `from` and `to`.
    """

    petition: str
    claim: dict[str, int | str]
    verdict: Verdict
    lower: Count
    upper: Count | None
    evidence: tuple[Evidence, ...]


class HistoryPoint(View):
    """The count right after the event at `position`, effective at `at`."""

    at: Instant
    position: Count
    count: Count


class HistoryView(View):
    """The count over time, as now known. `next` is the `after` of the following page, null on the last one."""

    petition: str
    interval: Interval
    points: tuple[HistoryPoint, ...]
    next: Count | None
