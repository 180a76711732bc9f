"""Histories of signing with evidence, as figures and as rows: ordinary ones by a seed, and what is planted in them.

`seen` counts by hand what the database counts in SQL (0018_signals.sql): two ways to one answer. `plant` writes the
rows themselves, past the append, because no writer can record anything at another time than now.
"""

import hashlib
import random
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address, ip_network
from math import cos, exp, pi
from typing import Any

from ledger import signals
from ledger.signals import Known, Late, Origin, Signal, Slice
from tests.conftest import LedgerDatabase
from tests.ledger.submissions import some_id

START = datetime(2024, 3, 1, 9, 30, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
EVENTS = (
    "position petition version type effective recorded delta count_after signature hold channel kind country region"
    " answers leaf leaf_hash"
)
SIGNATURES = (
    "signature petition position version confirmed withdrawn erased holds effective channel kind country region answers"
)
EVIDENCE = "signature ip user_agent recorded email_domain name_token"
ORDINARY_DOMAINS = ("gmail.com", "hotmail.com", "outlook.com", "icloud.com", "yahoo.com", "gmx.de", "proton.me")


@dataclass(frozen=True, slots=True)
class Signed:
    """One signature, as reviewers' figures know it."""

    at: datetime
    ip: str | None = None
    domain: str | None = None
    country: str | None = None
    region: str | None = None
    channel: str = "site"
    confirmed_at: datetime | None = None
    is_held: bool = False
    is_withdrawn: bool = False
    is_erased: bool = False

    @property
    def network(self) -> str | None:
        return None if self.ip is None else _network(self.ip)


@cache
def _network(ip: str) -> str:
    return str(ip_network(f"{ip}/{24 if ip_address(ip).version == 4 else 48}", strict=False))


def ordinary(seed: int, many: int = 2_000, days: int = 10) -> list[Signed]:
    """People: most by day, more at the launch than later, by the usual providers, from everywhere, many by a few
    carriers of mobile telephones; who confirms does so within minutes, few only after days."""
    chance = random.Random(seed)
    fade = chance.uniform(0.0, 4.0)
    found: list[Signed] = []
    while len(found) < many:
        day = chance.random() * days
        if chance.random() > exp(-fade * day / days) * (1.1 - cos(2 * pi * day)) / 2.1:
            continue
        at = START + DAY * day
        provider = chance.random() < 0.8
        domain = chance.choices(ORDINARY_DOMAINS, (40, 15, 12, 8, 3, 1, 1))[0] if provider else f"d{len(found)}.org"
        block = chance.randrange(40) if chance.random() < 0.3 else chance.randrange(50_000)
        ip = f"10.{block >> 8}.{block & 255}.{chance.randrange(250)}"
        if chance.random() < 0.3:
            ip = f"2001:db8:{chance.randrange(65_536):x}::{chance.randrange(9)}"
        lag = chance.expovariate(1 / 600) if chance.random() < 0.97 else chance.expovariate(1 / 200_000)
        found.append(
            Signed(
                at,
                ip if chance.random() < 0.9 else None,
                domain if chance.random() < 0.95 else None,
                "GB",
                f"E{chance.randrange(60)}",
                confirmed_at=at + timedelta(seconds=1 + lag),
            )
        )
    return sorted(found, key=lambda each: each.at)


def planted(many: int, at: datetime, within: timedelta, **said: Any) -> list[Signed]:
    """So many more signatures, evenly within a time, from an address each of its own unless it is said."""
    return [
        Signed(
            **{
                "at": at + within * n / many,
                "ip": f"172.{16 + n % 16}.{n // 16 % 256}.9",
                "domain": f"p{n}.example.org",
                **said,
            }
        )
        for n in range(many)
    ]


def seen(
    rows: Iterable[Signed], *, disposable: Sequence[str] = (), people: Mapping[str, int] | None = None
) -> tuple[Signal, ...]:
    """The signals of a history, counted by hand."""
    told = sorted((row for row in rows if not row.is_withdrawn and not row.is_erased), key=lambda row: row.at)
    life = told[-1].at - START
    width = timedelta(minutes=1) if life <= 2 * DAY else HOUR
    rhythm = [
        Slice(start, sum(not r.is_held and r.channel != "import" for r in each), len(each), each[0].at, each[-1].at)
        for start, each in _by(told, lambda row: _floor(row.at, width))
    ]
    bounds = signals.spans(rhythm)

    def span(row: Signed) -> int:
        return bisect_right(bounds, row.at)

    def origins(key: Callable[[Signed], str | None], at_least: int = signals.LEAST) -> tuple[list[Origin], Known]:
        having = [row for row in told if key(row) is not None]
        known: dict[int, int] = defaultdict(int)
        for row in having:
            known[span(row)] += not row.is_held
        keys = [(name, of) for name, of in _by(having, key) if sum(not row.is_held for row in of) >= at_least]
        found = [_origin(str(name), nth, each) for name, of in keys for nth, each in _by(of, span)]
        return found, Known(known, len({key(row) for row in having if not row.is_held}))

    late = []
    confirmed = [row for row in told if row.confirmed_at is not None]
    for hour, of in _by(confirmed, lambda row: _floor(row.confirmed_at or row.at, HOUR)):
        each = [row for row in of if row.at < hour - DAY]
        if each:
            times = sorted(row.confirmed_at for row in each if row.confirmed_at is not None)
            slice = Slice(hour, sum(not row.is_held for row in each), len(each), times[0], times[-1])
            late.append(Late(slice, sum(not row.is_held for row in of), each[0].at, each[-1].at))
    total, populations = len(told), people or {}
    thrown = [_origin(str(name), 0, of) for name, of in _by(told, lambda row: row.domain) if name in disposable]
    areas = [
        _origin(str(name), 0, of)
        for name, of in _by(told, lambda row: f"{row.country}/{row.region}")
        if sum(not row.is_held for row in of) > populations.get(of[0].region or "", total)
    ]
    return signals.in_order(
        signals.bursts(rhythm, width),
        signals.networks(*origins(lambda row: row.network)),
        signals.domains(*origins(lambda row: row.domain)),
        signals.disposable([each for each in thrown if each.count], total),
        signals.areas(areas, total, {}, populations),
        signals.stored_up(late),
    )


async def plant(database: LedgerDatabase, petition: str, rows: Sequence[Signed]) -> None:
    """Write the rows of a petition with this history, in a ledger that has none."""
    number, events, signatures, evidence = 1, [], [], []
    events.append(_event(1, "petition.opened.v1", START, None))
    ordered = sorted(rows, key=lambda row: row.at)
    happened = [(row.at, "signature.recorded.v1", n, row) for n, row in enumerate(ordered)]
    happened += [
        (row.confirmed_at, "signature.confirmed.v1", n, row)
        for n, row in enumerate(ordered)
        if row.confirmed_at is not None
    ]
    for position, (at, type, n, row) in enumerate(sorted(happened, key=lambda each: (each[0], each[2])), 2):
        signature = some_id(f"{petition}/planted/{n}")
        events.append(_event(position, type, at, signature))
        if type == "signature.recorded.v1":
            holds = [some_id("a correction")] if row.is_held else []
            state = (row.confirmed_at is not None, row.is_withdrawn, row.is_erased, holds, None)
            public = (row.channel, "person", row.country, row.region, None)
            signatures.append((signature, number, position, position, *state, *public))
            if row.ip is not None or row.domain is not None:
                evidence.append((signature, row.ip, None, at, row.domain, None))
    admin = database.superuser
    await admin.execute(
        "INSERT INTO ledger.petitions VALUES (1, $1, $2, 0, decode(repeat('00', 32), 'hex'), 1, 'itemised', 'required',"
        " 'standard/1', '{country}', NULL, 1, NULL, NULL, '[]', NULL)",
        petition,
        len(events),
    )
    for schema, table, columns, records in (
        ("ledger", "events", EVENTS, events),
        ("ledger", "signatures", SIGNATURES, signatures),
        ("vault", "evidence", EVIDENCE, evidence),
    ):
        await admin.copy_records_to_table(table, schema_name=schema, columns=columns.split(), records=records)


def _event(position: int, type: str, at: datetime, signature: Any) -> tuple[Any, ...]:
    leaf = b"%020d" % position
    about = (None, None) if signature is None else ("site", "person")
    return (
        *(position, 1, position, type, at, at, 0, 0, signature, None, *about, None, None, None),
        *(leaf, hashlib.sha256(b"\0" + leaf).digest()),
    )


def _floor(at: datetime, width: timedelta) -> datetime:
    return at - (at - datetime(2000, 1, 1, tzinfo=UTC)) % width


def _by(rows: Iterable[Signed], key: Callable[[Signed], Any]) -> Iterator[tuple[Any, list[Signed]]]:
    """Rows by a key, in the order of the keys."""
    found: dict[Any, list[Signed]] = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    yield from sorted(found.items(), key=lambda each: str(each[0]))


def _origin(key: str, span: int, rows: Sequence[Signed]) -> Origin:
    return Origin(key, span, sum(not row.is_held for row in rows), len(rows), rows[0].at, rows[-1].at)


def held(rows: Iterable[Signed], those: Callable[[Signed], bool]) -> list[Signed]:
    """The same history, after a correction of those."""
    return [replace(row, is_held=True) if those(row) else row for row in rows]
