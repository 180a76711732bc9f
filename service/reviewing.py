"""Reviewing: asks the ledger for a petition's figures, and tells reviewers what in them is unlike the petition itself.

The same for HTTP and for the command line. All figures are of one moment. This module must never tell anybody but
admins, and never do anything about what it finds.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from ledger import signals
from ledger.connecting import Connection
from ledger.email_policy import STANDARD_1, EmailRefused
from ledger.signals import Known, Late, Origin, Signal, Slice
from ledger.sql_files import queries
from schemas.instants import format_instant
from service.region_names import Names

PATIENCE: Final = 130.0
"""Seconds that each of the figures may take; the server gives up a little before."""

SQL: Final = queries("service", "sql/reviewing.sql")


class DomainsRefused(ValueError):
    """The file of disposable domains cannot be used. The text is a sentence for a person."""


async def look(admin: Connection, petition: str, names: Names, disposable: Sequence[str]) -> tuple[Signal, ...]:
    """The petition's signals, the greatest excess first; none where there is no such petition. The connection is in the
    role `ledger_admin`."""
    regions = list(names.populations)
    async with admin.transaction(isolation="repeatable_read", readonly=True):
        await admin.execute(SQL["patience"])
        sliced = await admin.fetch(SQL["rhythm"], petition, timeout=PATIENCE)
        if not sliced:
            return ()
        rhythm = [_slice(row) for row in sliced]
        rows = await admin.fetch(
            SQL["origins"],
            petition,
            signals.spans(rhythm),
            list(disposable),
            regions,
            [names.populations[region] for region in regions],
            signals.LEAST,
            signals.RANKED,
            timeout=PATIENCE,
        )
        late = [
            Late(_slice(row), row["confirmed"], row["earliest_signed"], row["latest_signed"])
            for row in await admin.fetch(SQL["late"], petition, timeout=PATIENCE)
        ]
    total = sum(each.matched for each in rhythm)
    return signals.in_order(
        signals.bursts(rhythm, sliced[0]["width"]),
        signals.networks(_of("network", rows), _known("network", rows)),
        signals.domains(_of("email-domain", rows), _known("email-domain", rows)),
        signals.disposable(_of("disposable-domain", rows), total),
        signals.areas(_of("area", rows), total, names.regions, names.populations),
        signals.stored_up(late),
    )


def told(petition: str, found: Sequence[Signal]) -> dict[str, Any]:
    """What the route and the command answer."""
    return {"petition": petition, "signals": [_told(each) for each in found]}


@cache
def disposable_domains(file: Path | None) -> tuple[str, ...]:
    """The domains of throw-away addresses, in the form in which evidence has them: one a line, `#` begins a remark.
    Read once a process. Raises DomainsRefused."""
    try:
        where = files("service").joinpath("disposable_domains.txt") if file is None else file
        lines = where.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise DomainsRefused("The file of LEDGER_DISPOSABLE_DOMAINS_FILE cannot be read as UTF-8.") from None
    said = [line.partition("#")[0].strip() for line in lines]
    try:
        return tuple(sorted({STANDARD_1.mailbox_key(f"x@{domain}").rpartition("@")[2] for domain in said if domain}))
    except EmailRefused:
        raise DomainsRefused("The file of LEDGER_DISPOSABLE_DOMAINS_FILE has a line that is no domain.") from None


def _slice(row: Mapping[str, Any]) -> Slice:
    return Slice(row["slice"], row["count"], row["matched"], row["earliest"], row["latest"])


def _of(about: str, rows: Sequence[Mapping[str, Any]]) -> list[Origin]:
    return [
        Origin(row["key"], row["span"] or 0, row["count"], row["matched"], row["earliest"], row["latest"])
        for row in rows
        if row["about"] == about and row["key"] is not None
    ]


def _known(about: str, rows: Sequence[Mapping[str, Any]]) -> Known:
    """Of how many the origin is known, and how many origins there are: the rows without a key."""
    totals = {row["span"]: row["count"] for row in rows if row["about"] == about and row["key"] is None}
    return Known({span: count for span, count in totals.items() if span is not None}, totals.get(None, 0))


def _told(signal: Signal) -> dict[str, Any]:
    return {
        "kind": signal.kind,
        "sentence": signal.sentence,
        "count": signal.count,
        "of": signal.of,
        "share": round(signal.count / signal.of, 4) if signal.of else 0.0,
        "expected": signal.expected,
        "window": [format_instant(signal.earliest), format_instant(signal.latest)],
        "reason": signal.reason,
        "rule": signal.rule,
        "where": dict(signal.where),
        "matched": signal.matched,
    }
