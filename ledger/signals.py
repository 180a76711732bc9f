"""Signals: what in a petition's figures is unlike the petition itself, for reviewers to look at first.

A signal says where to look, and by which condition a correction would find exactly that; a person decides. Usual is
what this petition shows by itself: its own rhythm over time, the share that a domain or a network has in most of its
history, how many signatures its other networks brought. Honest people make signals too: a campus, a newsletter, a
reminder that was mailed.

Pure: from figures that the database counted (0018_signals.sql) to sentences. This module must never drop, refuse or
move a signature, and what it says is for admins alone: addresses and domains are in it.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from math import sqrt
from typing import Any, Final, Literal

from schemas.answers import SignalKind
from schemas.events import Reason
from schemas.instants import format_instant

LEAST: Final = 20
"""Fewer signatures than this make no signal, but for addresses that are made to be thrown away."""
SHOWN: Final = 20
"""Signals of a kind that are shown, the greatest excess first."""
RANKED: Final = 100
"""Networks, and domains, that are looked at: the most frequent ones, and those that are it within one span."""
SPANS: Final = 50
"""Into how many spans, about, a petition's signatures are divided to see what share is usual."""
SPAN: Final = 100
"""Signatures of a span at least: the share in fewer says little."""
NEIGHBOURS: Final = 12
"""Slices on each side of one that its rhythm is taken from: of hours, a whole day."""
BURST: Final = 8
"""How many times the usual number makes a burst."""
TREND: Final = 3
"""How many times its usual share makes a trend."""
CROWD: Final = 10
"""How many times the number of the petition's other networks makes a crowd, from CROWDED of all on."""
CROWDED: Final = 0.05
DEVIATIONS: Final = 6
"""And the excess must be beyond so many standard deviations of what comes by chance."""
NEARLY_ALL: Final = 0.9
"""Where so much of a key came within a trend, its condition needs no window."""


@dataclass(frozen=True, slots=True)
class Slice:
    """What was recorded within a stretch of time: `count` without what is held, `matched` with it; the first and last
    of `matched`."""

    start: datetime
    count: int
    matched: int
    earliest: datetime
    latest: datetime


@dataclass(frozen=True, slots=True)
class Origin:
    """What came from one network or domain within one span, or from one disposable domain or area in all."""

    key: str
    span: int
    count: int
    matched: int
    earliest: datetime
    latest: datetime


@dataclass(frozen=True, slots=True)
class Known:
    """Of how many signatures a kind of origin is known, by span; and how many different ones there are."""

    by_span: Mapping[int, int]
    keys: int


@dataclass(frozen=True, slots=True)
class Late:
    """Confirmations within an hour of what was signed more than a day before it, among all `confirmed` in that hour."""

    slice: Slice
    confirmed: int
    earliest_signed: datetime
    latest_signed: datetime


@dataclass(frozen=True, slots=True)
class Signal:
    """One thing to look at. `of` is what `count` is a part of, `expected` what would be usual; `where` is the condition
    of a correction, as a request has it, which finds `matched`; `reason` and `rule` complete the body of a preview."""

    kind: SignalKind
    sentence: str
    count: int
    of: int
    expected: int
    earliest: datetime
    latest: datetime
    where: Mapping[str, Any]
    matched: int
    reason: Reason
    rule: str

    @property
    def excess(self) -> int:
        return self.count - self.expected


def spans(rhythm: Sequence[Slice]) -> list[datetime]:
    """Where the spans begin into which shares are counted: about SPANS of them, none of fewer than SPAN signatures but
    perhaps the last."""
    enough = max(SPAN, sum(each.matched for each in rhythm) // SPANS)
    bounds: list[datetime] = []
    held = enough
    for each in rhythm:
        if held >= enough:
            bounds.append(each.start)
            held = 0
        held += each.matched
    return bounds


def bursts(rhythm: Sequence[Slice], width: timedelta) -> list[Signal]:
    """Stretches in which far more signed than around them, and than is usual in all."""
    found = []
    total = sum(each.count for each in rhythm)
    for run in _runs([(each, usual) for each, usual in _beyond(rhythm, width, BURST) if usual is not None], width):
        first, last = run[0][0], run[-1][0]
        count = sum(each.count for each, _ in run)
        expected = round(sum(usual for _, usual in run))
        found.append(
            Signal(
                "burst",
                f"{count:,} signed within {_long(last.latest - first.earliest)}, where about {expected:,} would be"
                " usual.",
                count,
                total,
                expected,
                first.earliest,
                last.latest,
                {"recorded_between": _between(first.earliest, last.latest)},
                sum(each.matched for each, _ in run),
                "bot",
                "Signatures recorded within one burst, many times as many as around it.",
            )
        )
    return _greatest(found)


def networks(origins: Iterable[Origin], known: Known) -> list[Signal]:
    """Networks with far more than their usual share, or than the petition's other networks brought."""
    return _origins("network", origins, known)


def domains(origins: Iterable[Origin], known: Known) -> list[Signal]:
    """Domains of e-mail addresses with far more than their usual share."""
    return _origins("email-domain", origins, known)


def disposable(origins: Iterable[Origin], total: int) -> list[Signal]:
    """Domains whose addresses are made to be thrown away."""
    return _greatest(
        Signal(
            "disposable-domain",
            f"{each.count:,} signed by addresses at {each.key}, which are made to be thrown away.",
            each.count,
            total,
            0,
            each.earliest,
            each.latest,
            {"email_domain": each.key},
            each.matched,
            "disposable-address",
            "Signatures by addresses of a provider of throw-away addresses.",
        )
        for each in origins
    )


def areas(origins: Iterable[Origin], total: int, names: Mapping[str, str], people: Mapping[str, int]) -> list[Signal]:
    """Areas with more signatures than people. Their keys are `COUNTRY/REGION`; the mappings are by region."""
    found = []
    for each in origins:
        country, _, region = each.key.partition("/")
        found.append(
            Signal(
                "area",
                f"{each.count:,} signed from {names.get(region, region)}, where {people[region]:,} people live.",
                each.count,
                total,
                people[region],
                each.earliest,
                each.latest,
                {"area": {"country": country, "region": region}},
                each.matched,
                "false-identity",
                "Signatures from an area that has fewer people.",
            )
        )
    return _greatest(found)


def stored_up(late: Sequence[Late]) -> list[Signal]:
    """Hours in which many confirmed at once what they had signed long before."""
    by_start = {each.slice.start: each for each in late}
    found = []
    for slice, usual in _beyond([each.slice for each in late], timedelta(hours=1), BURST):
        each, expected = by_start[slice.start], round(usual or 0)
        found.append(
            Signal(
                "stored-up-confirmations",
                f"{slice.count:,} that had been signed more than a day before were confirmed within"
                f" {_long(slice.latest - slice.earliest)}, where about {expected:,} would be usual.",
                slice.count,
                each.confirmed,
                expected,
                slice.earliest,
                slice.latest,
                {
                    "recorded_between": _between(each.earliest_signed, each.latest_signed),
                    "confirmed_between": _between(slice.earliest, slice.latest),
                },
                slice.matched,
                "bot",
                "Signatures that were confirmed together, long after they had been recorded.",
            )
        )
    return _greatest(found)


def in_order(*found: Sequence[Signal]) -> tuple[Signal, ...]:
    """All signals, the greatest excess first."""
    return tuple(sorted(chain(*found), key=_rank))


def _origins(kind: Literal["network", "email-domain"], origins: Iterable[Origin], known: Known) -> list[Signal]:
    by_key: dict[str, list[Origin]] = {}
    for each in origins:
        by_key.setdefault(each.key, []).append(each)
    found = []
    for rows in by_key.values():
        judged = [_trend(kind, rows, known)]
        if kind == "network":
            judged.append(_crowd(rows, known))
        signals = [each for each in judged if each is not None]
        if signals:
            found.append(min(signals, key=_rank))
    return _greatest(found)


def _trend(kind: Literal["network", "email-domain"], rows: Sequence[Origin], known: Known) -> Signal | None:
    """Whether a key had far more than its usual share within some spans; from the first of them to the last. Usual is
    the share that it has in most spans; in one span alone there is none."""
    counts = {row.span: row.count for row in rows}
    telling = [span for span, of in known.by_span.items() if of >= LEAST]
    if len(telling) < 2:
        return None
    usual = _middle([counts.get(span, 0) / known.by_span[span] for span in telling])
    beyond = [s for s in telling if _is_beyond(counts.get(s, 0), usual * known.by_span[s], TREND)]
    if not beyond:
        return None
    within = [row for row in rows if min(beyond) <= row.span <= max(beyond)]
    count = sum(row.count for row in within)
    windowed = count < NEARLY_ALL * sum(counts.values())
    told = within if windowed else rows
    between = {each.span for each in told}
    return _origin(kind, told, sum(known.by_span[span] for span in between), usual, windowed=windowed)


def _crowd(rows: Sequence[Origin], known: Known) -> Signal | None:
    """Whether a network brought far more than the petition's other networks do, all in all."""
    count, of = sum(row.count for row in rows), sum(known.by_span.values())
    others = known.keys - 1
    if others < 1 or count < CROWDED * of or not _is_beyond(count, (of - count) / others, CROWD):
        return None
    return _origin("network", rows, of, (of - count) / others / of, windowed=False)


def _origin(
    kind: Literal["network", "email-domain"], rows: Sequence[Origin], of: int, usual: float, *, windowed: bool
) -> Signal:
    key, count, expected = rows[0].key, sum(row.count for row in rows), round(usual * of)
    earliest, latest = min(row.earliest for row in rows), max(row.latest for row in rows)
    window = {"recorded_between": _between(earliest, latest)} if windowed else {}
    place = f"from {key}" if kind == "network" else f"by addresses at {key}"
    said = "Signatures from one network" if kind == "network" else "Signatures by addresses of one domain"
    return Signal(
        kind,
        f"{count:,} of {of:,} signed {place} within {_long(latest - earliest)}, where about {expected:,} would be"
        " usual.",
        count,
        of,
        expected,
        earliest,
        latest,
        {"network" if kind == "network" else "email_domain": key, **window},
        sum(row.matched for row in rows),
        "bot",
        f"{said}, far more than is usual in this petition.",
    )


def _beyond(slices: Sequence[Slice], width: timedelta, times: int) -> list[tuple[Slice, float | None]]:
    """The slices that are beyond what is usual around them and in all, each with that; None where the petition is too
    young to have a rhythm. A slice that is not there is one of nothing."""
    if not slices:
        return []
    counts = {each.start: each.count for each in slices}
    first, last = slices[0].start, slices[-1].start
    in_all = _middle(counts.values())
    found: list[tuple[Slice, float | None]] = []
    for each in slices:
        if each.count < LEAST:
            continue
        around = [each.start + step * width for step in range(-NEIGHBOURS, NEIGHBOURS + 1) if step]
        lived = [counts.get(start, 0) for start in around if first <= start <= last]
        usual = max(in_all, _middle(lived)) if len(lived) >= NEIGHBOURS else None
        if _is_beyond(each.count, usual or 0.0, times):
            found.append((each, usual))
    return found


def _runs(found: Sequence[tuple[Slice, float]], width: timedelta) -> list[list[tuple[Slice, float]]]:
    """Slices that follow each other, together."""
    runs: list[list[tuple[Slice, float]]] = []
    for each in found:
        if runs and each[0].start - runs[-1][-1][0].start <= width:
            runs[-1].append(each)
        else:
            runs.append([each])
    return runs


def _is_beyond(count: int, usual: float, times: int) -> bool:
    """Whether so many are so many times what is usual, and beyond what comes by chance."""
    return count >= LEAST and count >= times * usual and count - usual >= DEVIATIONS * sqrt(max(usual, 1.0))


def _middle(values: Iterable[float]) -> float:
    """The median, of an even number the lower of the two."""
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 2]


def _greatest(found: Iterable[Signal]) -> list[Signal]:
    return sorted(found, key=_rank)[:SHOWN]


def _rank(signal: Signal) -> tuple[Any, ...]:
    return -signal.excess, signal.kind, signal.earliest, str(signal.where)


def _between(earliest: datetime, latest: datetime) -> list[str]:
    """A window as a request has it, both ends inclusive."""
    return [format_instant(earliest), format_instant(latest)]


def _long(span: timedelta) -> str:
    """How long, in the words of a person, rounded up."""
    seconds = max(int(span.total_seconds()), 1)
    units = (("second", 1), ("minute", 60), ("hour", 3600), ("day", 86_400))
    name, size = units[max(bisect_right([120, 7_200, 172_800], seconds - 1), 0)]
    number = -(-seconds // size)
    return f"{number:,} {name}{'' if number == 1 else 's'}"
