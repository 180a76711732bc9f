"""How a timeline reads: the one catalogue of its texts, and its forms for a page, for JSON and for a feed reader.

Everything here takes rows of `projections.timeline`, already in the order in which they are shown. Pure. This module
must never decide what is in a timeline, and never write a text that is not in the catalogue below.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, Final
from xml.sax.saxutils import escape, quoteattr
from zoneinfo import ZoneInfo

from projections.timeline import Row
from schemas.ids import Position, event_id
from schemas.instants import local_text, parse_instant

UNDATED: Final = "undated"

_ACCEPTANCE: Final = {
    "open": "Open for signatures",
    "paused": "Signing is paused",
    "closed": "Closed for signatures",
    "rejected": "Petition is rejected",
}


def signatures(count: int) -> str:
    """A number of signatures in words: `1 signature`, `13,163 signatures`."""
    return f"{count:,} signature{'' if count == 1 else 's'}"


def text(row: Row) -> str:
    """The line that says what an entry is."""
    detail = row["detail"]
    match row["kind"]:
        case "opened":
            return f"Petition opened: {detail['title']}"
        case "revised":
            return f"Petition revised, text version {detail['text_version']}"
        case "update":
            return str(detail["headline"])
        case "acceptance":
            return _ACCEPTANCE[detail["acceptance"]]
        case "status":
            return f"Petition is {detail['status']} with {signatures(row['count'])}"
        case "milestone":
            return _milestone(row)
        case "inferred":
            return _inferred(row)
        case "published":
            return f"{signatures(row['count'])} published"
        case "correction":
            return _correction(detail)
        case unknown:
            raise ValueError(f"the catalogue has no text for an entry of kind {unknown}")


def _milestone(row: Row) -> str:
    match row["crossing"]:
        case "reached":
            return f"{signatures(row['rung'])} reached"
        case "reached-again":
            return f"{signatures(row['rung'])} reached again"
        case _:
            return f"Fell below {signatures(row['rung'])}"


def _inferred(row: Row) -> str:
    if row["crossing"] == "reached":
        return f"{signatures(row['rung'])} reached by then, seen first at {row['count']:,}"
    return f"Fell below {signatures(row['rung'])} by then, seen first at {row['count']:,}"


def _correction(detail: dict[str, Any]) -> str:
    match detail["state"]:
        case "opened":
            act = "invalidate" if detail["correction_kind"] == "invalidate" else "reinstate"
            return f"Correction opened to {act} {signatures(detail['matched'])}: {detail['reason']}"
        case "approved":
            return "Correction approved"
        case state:
            act = "invalidated" if detail["correction_kind"] == "invalidate" else "reinstated"
            return f"Correction {state}: {signatures(detail['applied'])} {act}, net {detail['net']:+,}"


def entry(row: Row) -> dict[str, Any]:
    """An entry of `timeline.json`: its kind, times, position, event, count and text, then what its kind has beside."""
    shown: dict[str, Any] = {
        "kind": row["kind"],
        "at": row["at"],
        "recorded_at": row["recorded_at"],
        "position": row["position"],
        "event": event_id(Position(row["position"])),
        "count": row["count"],
        "text": text(row),
    }
    for name in ("rung", "crossing", "correction"):
        if row[name] is not None:
            shown[name] = row[name]
    return {**shown, **row["detail"]}


def entries(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """The entries of `timeline.json`, in the order of the rows."""
    return [entry(row) for row in rows]


def is_on_the_page(row: Row) -> bool:
    """Whether the page announces it: a status, a milestone that was claimed, or one crossed for the first time."""
    if row["kind"] == "milestone":
        return bool(row["crossing"] == "reached" or "claimed" in row["detail"])
    return bool(row["kind"] == "status")


def page_lines(rows: Iterable[Row], timezone: str) -> list[str]:
    """The lines of the text form: `YYYY-MM-DD HH:MM:SS +ZZZZ`, a tab, the text; times in the petition's IANA zone."""
    zone = ZoneInfo(timezone)
    return [
        f"{UNDATED if row['at'] is None else local_text(parse_instant(row['at']), zone)}\t{text(row)}"
        for row in rows
        if is_on_the_page(row)
    ]


def atom(rows: Sequence[Row], *, title: str, author: str, url: str) -> str:
    """The timeline as an Atom feed (RFC 4287). `url` is where the feed is served, and begins the ids of its entries.

    An entry is `published` when it was effective, where that is known, and `updated` when the ledger learned it.
    """
    updated = max((row["recorded_at"] for row in rows), default=_date(2000, 1, 1))
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        '<feed xmlns="http://www.w3.org/2005/Atom">',
        f"  <id>{escape(url)}</id>",
        f"  <title>{escape(title)}</title>",
        f"  <updated>{updated}</updated>",
        f"  <author><name>{escape(author)}</name></author>",
        f'  <link rel="self" href={quoteattr(url)}/>',
    ]
    for row in rows:
        published = "" if row["at"] is None else f"<published>{row['at']}</published>"
        lines += [
            "  <entry>",
            f"    <id>{escape(url)}#{row['position']}-{row['ordinal']}</id>",
            f"    <title>{escape(text(row))}</title>",
            f"    <updated>{row['recorded_at']}</updated>{published}",
            f'    <category term="{row["kind"]}"/>',
            f"    <content>{escape(text(row))}</content>",
            "  </entry>",
        ]
    return "\n".join([*lines, "</feed>", ""])


def _date(year: int, month: int, day: int) -> str:
    return f"{date(year, month, day).isoformat()}T00:00:00.000000Z"
