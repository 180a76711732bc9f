"""Rates: how much somebody may ask, and how long they are told to wait.

A rate is `N/s`, `N/min` or `N/h`. Whoever waits as long as told is let in, if nobody else asks out of the same share
meanwhile. Times are of a monotonic clock, in seconds. Each worker process counts for itself. This module must never
look at a clock, and never hold more than it was told to, however many ask.
"""

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from typing import Final

MOST: Final = 50_000
"""Shares of one rate that are remembered: under 20 MB."""

_UNITS: Final[Mapping[str, float]] = {"s": 1.0, "min": 60.0, "h": 3600.0}
_ROUNDING: Final = 1e-9
"""What sums of floats may lack of one, so that nobody is refused who waited exactly as long as told."""


def per_second(rate: str) -> float:
    """How much a rate lets through in a second."""
    count, _, unit = rate.partition("/")
    return float(count) / _UNITS[unit]


class Bucket:
    """What one share still holds: it fills evenly, up to what may be asked in one unit of its rate."""

    __slots__ = ("_at", "_each", "_left", "_most", "rate")

    def __init__(self, rate: str, now: float) -> None:
        self.rate = rate
        self._most = float(rate.partition("/")[0])
        self._each = per_second(rate)
        self._left = self._most
        self._at = now

    def take(self, now: float) -> float:
        """Take one; 0 where there was one, else the seconds until there will be."""
        self._left = self._held(now)
        self._at = now
        if self._left >= 1 - _ROUNDING:
            self._left = max(self._left - 1, 0.0)
            return 0.0
        return (1 - self._left) / self._each

    def is_full(self, now: float) -> bool:
        """Whether nothing would change if it were forgotten: a new one holds as much."""
        return self._held(now) >= self._most

    def _held(self, now: float) -> float:
        return min(self._most, self._left + (now - self._at) * self._each)


class Shares:
    """A bucket of one rate for everybody who asks, by what they are told apart.

    At most `most` are remembered. Those that are full again are forgotten as others are asked; beyond `most` the one
    that was not asked for longest is, which lets somebody in too early and turns nobody away.
    """

    def __init__(self, rate: str, *, most: int = MOST) -> None:
        self.rate = rate
        self._most = most
        self._held: OrderedDict[Hashable, Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def take(self, who: Hashable, now: float) -> float:
        """Take one out of this one's share; 0 where there was one, else the seconds until there will be."""
        bucket = self._held.get(who)
        if bucket is None:
            bucket = self._held[who] = Bucket(self.rate, now)
        else:
            self._held.move_to_end(who)
        wait = bucket.take(now)
        self._forget(now)
        return wait

    def _forget(self, now: float) -> None:
        """Forget at most two, so that there are ever fewer where most are full and no request pays for many."""
        for _ in range(2):
            oldest = next(iter(self._held))
            if len(self._held) <= self._most and not self._held[oldest].is_full(now):
                return
            del self._held[oldest]
            if not self._held:
                return
