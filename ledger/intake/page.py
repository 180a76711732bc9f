"""The timeline that a petition's page shows, read as a table or from the page's pasted text.

Source of the rules: `ledger import timeline` in section 2 of the interface; observed petitions in section 4 of the
design. A page proves numbers at instants, not who signed: its rows become observations, declarations and updates, never
signatures. The two forms of one page mean the same, so a row has one identity in both, and a page that is imported as a
table and then pasted adds nothing: a text that only says in words what kind, status and count say already is no part of
a row.

This module must never read a clock or a file, and never take a day for an instant.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Final, Literal, NamedTuple, TypeGuard, get_args
from zoneinfo import ZoneInfo

from ledger.intake.refusals import Because, FileRefused, Refused, is_day, is_one_line, read_at
from ledger.intake.tabular import NOT_UTF8, Row, read_rows
from schemas.events import Status
from schemas.ids import LARGEST_POSITION

PageKind = Literal["milestone", "status", "update", "count"]
PAGE_COLUMNS: Final = ("at", "kind", "count", "text", "effective_on")
LONGEST_HEADLINE: Final = 200

_KINDS: Final[tuple[PageKind, ...]] = get_args(PageKind)
_STATUSES: Final[tuple[Status, ...]] = get_args(Status)
_STAMP: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2} [+-][0-9]{4})(?:[ ]*\t[ ]*(\S[^\t]*))?"
)
_NUMBER: Final = r"([0-9]{1,3}(?:,[0-9]{3}){1,5}|[0-9]{1,16})"
_COUNT: Final = re.compile(_NUMBER)
_MILESTONE_LINE: Final = re.compile(rf"{_NUMBER} signatures? reached")
_STATUS_LINE: Final = re.compile(rf"Petition is ({'|'.join(_STATUSES)})(?: with {_NUMBER} signatures?)?")
_WORD: Final = re.compile(r"[a-z]+")


@dataclass(frozen=True, slots=True)
class PageRow:
    """One entry of a page.

    `line` counts from 1. `at` is in UTC, None where the page has no time. `text` is None where the page says no more
    than kind, status and count do; of an update it is the headline. `status` is set for that kind alone. `ordinal`
    counts from 1 among rows that are alike in at, kind, count, text and status.
    """

    line: int
    at: datetime | None
    kind: PageKind
    count: int | None
    text: str | None
    status: Status | None
    effective_on: date | None
    ordinal: int


class PageReading(NamedTuple):
    """The rows of a page in the order in which they are appended, and those that were refused, in the file's order."""

    rows: list[PageRow]
    refused: list[Refused]


def detect(text: str) -> Literal["csv", "page"]:
    """Which form a timeline has: pasted text has a line that is a time and nothing else; a table has none."""
    lines = text.removeprefix("\ufeff").splitlines()
    header = next((line for line in lines if line.strip()), "")
    if {"at", "kind"} <= {name.strip(' \t"') for name in header.split(",")}:
        return "csv"
    return "page" if any(_STAMP.fullmatch(line.strip()) for line in lines) else "csv"


def read_csv(
    lines: Iterable[str], mapping: Mapping[str, str], all_kind: str | None = None, zone: ZoneInfo | None = None
) -> PageReading:
    """The rows of a table `at,kind,count[,text][,effective_on]` (CSV or JSON lines).

    `mapping` says, ours to theirs, what the table calls its columns; with `all_kind` every row is of that kind and the
    table needs no column for it; `zone` is that of times without an offset, which are refused without it. Raises
    FileRefused for a table that lacks a column, and for an `all_kind` that is none.
    """
    if all_kind is not None and not _is_kind(all_kind):
        raise FileRefused(f"every row can be taken as one of {', '.join(_KINDS)}, and as nothing else")
    needed = {"at", "text" if all_kind == "update" else "count"} | ({"kind"} if all_kind is None else set())
    rows: list[PageRow] = []
    refused: list[Refused] = []
    for row in read_rows(lines, columns=PAGE_COLUMNS, needed=needed, mapping=mapping):
        read = row if isinstance(row, Refused) else _table_row(row, all_kind, zone)
        (refused if isinstance(read, Refused) else rows).append(read)  # type: ignore[arg-type]
    return PageReading(_in_order(rows), refused)


def read_pasted_page(text: str) -> PageReading:
    """The entries of a page's pasted text, wherever they stand: a line that is a time, then the next line with text.

    The text may also stand behind a tab on the line of the time, as `ledger timeline --format text` prints it.
    `10,000 signatures reached` is a milestone, `Petition is successful with 13,163 signatures` a status (or another
    status of ours), anything else the headline of an update. What stands before, between and after is not read.
    """
    rows: list[PageRow] = []
    refused: list[Refused] = []
    stamp: tuple[int, str] | None = None

    def entry(line: int, at: str, entry_text: str) -> None:
        read = _pasted_row(line, at, entry_text)
        (refused if isinstance(read, Refused) else rows).append(read)  # type: ignore[arg-type]

    for number, line in enumerate(re.split("\r\n|\r|\n", text.removeprefix("\ufeff")), start=1):
        content = line.strip()
        if not content:
            continue
        found = _STAMP.fullmatch(content)
        if stamp is not None:
            entry(*stamp, "" if found else content)
            stamp = None
        if found and found[2]:
            entry(number, found[1], found[2])
        elif found:
            stamp = (number, found[1])
    if stamp is not None:
        entry(*stamp, "")
    return PageReading(_in_order(rows), refused)


def row_identity(row: PageRow) -> bytes:
    """By what an entry is known when it is imported again: at, kind, count, text, status, ordinal.

    Fields are parted by NUL, which none of them holds, so that no two rows share one. The status stands here because
    of it `text` keeps nothing when the entry only names it. Whoever stores this keys it first.
    """
    at = "" if row.at is None else row.at.isoformat(timespec="microseconds")
    count = "" if row.count is None else str(row.count)
    return "\0".join(("page", at, row.kind, count, row.text or "", row.status or "", str(row.ordinal))).encode()


def _is_kind(text: str) -> TypeGuard[PageKind]:
    return text in _KINDS


def _table_row(row: Row, all_kind: PageKind | None, zone: ZoneInfo | None) -> PageRow | Refused:
    cells = row.cells
    at = read_at(cells["at"], zone)
    if isinstance(at, Because):
        return Refused(row.line, at)
    kind = all_kind or cells["kind"]
    if not _is_kind(kind):
        return Refused(row.line, Because.unknown_kind)
    count: int | None = None
    if cells["count"] and kind != "update":  # an update says nothing of a number: a page shows it without one
        count = _count(cells["count"])
        if count is None:
            return Refused(row.line, Because.count_invalid)
    day: date | None = None
    if cells["effective_on"] and kind in ("status", "update"):
        if not is_day(cells["effective_on"]):
            return Refused(row.line, Because.effective_on_invalid)
        day = date.fromisoformat(cells["effective_on"])
    return _page_row(row.line, at, kind, count, cells["text"], day)


def _pasted_row(line: int, stamp: str, text: str) -> PageRow | Refused:
    at = read_at(stamp, None)
    if isinstance(at, Because):
        return Refused(line, at)
    words = _collapsed(text)
    kind: PageKind = "update"
    if _MILESTONE_LINE.fullmatch(words):
        kind = "milestone"
    elif _STATUS_LINE.fullmatch(words):
        kind = "status"
    return _page_row(line, at, kind, None, words, None)


def _page_row(
    line: int, at: datetime | None, kind: PageKind, count: int | None, text: str, effective_on: date | None
) -> PageRow | Refused:
    words = _collapsed(text)
    if words == NOT_UTF8:
        return Refused(line, Because.not_utf8)
    if words and not is_one_line(words, len(words)):
        return Refused(line, Because.text_invalid)
    status: Status | None = None
    said: str | None = None  # the number that the text names
    rest: str | None = words or None  # what the text says beyond kind, status and count
    match kind:
        case "milestone":
            if standard := _MILESTONE_LINE.fullmatch(words):
                said, rest = standard[1], None
        case "status":
            status = _named_status(words)
            if standard := _STATUS_LINE.fullmatch(words):
                said, rest = standard[2], None
            elif words in _STATUSES:
                rest = None
        case "update" | "count":
            pass
    if said is not None:
        number = _count(said)
        if number is None:
            return Refused(line, Because.count_invalid)
        if count is not None and count != number:
            return Refused(line, Because.count_contradicts_text)
        count = number
    if kind == "update" and rest is None:
        return Refused(line, Because.text_missing)
    if kind in ("milestone", "count") and count is None:
        return Refused(line, Because.count_missing)
    if rest is not None and len(rest) > LONGEST_HEADLINE:
        return Refused(line, Because.headline_too_long if kind == "update" else Because.text_invalid)
    return PageRow(line, at, kind, count, rest, status, effective_on, 1)


def _collapsed(text: str) -> str:
    """Pasted text has spaces of many kinds where a table has one."""
    return " ".join(text.split())


def _named_status(words: str) -> Status:
    """`successful` unless the text names another."""
    named = set(_WORD.findall(words.lower()))
    for status in _STATUSES:
        if status in named and status != "successful":
            return status
    return "successful"


def _count(text: str) -> int | None:
    if not _COUNT.fullmatch(text):
        return None
    number = int(text.replace(",", ""))
    return number if number <= LARGEST_POSITION else None


def _in_order(rows: list[PageRow]) -> list[PageRow]:
    """By time; rows of one time the last first, as pages show the newest first; undated ones last, as they stand."""
    dated = sorted((row for row in reversed(rows) if row.at is not None), key=_time)
    alike: Counter[tuple[object, ...]] = Counter()
    ordered: list[PageRow] = []
    for row in dated + [row for row in rows if row.at is None]:
        fields = (row.at, row.kind, row.count, row.text, row.status)
        alike[fields] += 1
        ordered.append(row if alike[fields] == 1 else replace(row, ordinal=alike[fields]))
    return ordered


def _time(row: PageRow) -> datetime:
    assert row.at is not None
    return row.at
