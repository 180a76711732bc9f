"""The log of single signatures that somebody kept, read into rows; and the plan by which its rows become decisions.

Source of the rules: `ledger import events` in section 2 of the interface, the vocabularies in section 4 of the design.
A file may have millions of rows, and they go by one at a time: microseconds a row, no model, no pattern a cell.

This module must never decide whether a signature counts, never change the order of one signer's rows, and never repeat
a signer, an address or any other cell in a refusal. What a row holds is personal: it goes to the vault or is forgotten.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from itertools import chain
from typing import Final, Literal, NamedTuple, get_args
from zoneinfo import ZoneInfo

from ledger.intake.refusals import Because, FileRefused, Refused, is_one_line, read_at
from ledger.intake.tabular import Row, read_rows
from schemas.events import Channel, CorrectionKind, Reason

LogKind = Literal["recorded", "confirmed", "withdrawn", "invalidated", "reinstated"]
LOG_COLUMNS: Final = (
    "at",
    "kind",
    "signer",
    "email",
    "source_id",
    "reason",
    "country",
    "region",
    "channel",
    "answers",
    "organisation",
    "reference",
)

_KINDS: Final[dict[str, LogKind]] = {kind: kind for kind in get_args(LogKind)}
_REASONS: Final[dict[str, Reason]] = {reason: reason for reason in get_args(Reason)}
_CHANNELS: Final[dict[str, Channel]] = {channel: channel for channel in get_args(Channel)}
_SKIP: Final = "skip"
_KEY: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_REGION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_MOST_ANSWERS: Final = 20
_LONGEST_ANSWERS: Final = _MOST_ANSWERS * 82


@dataclass(slots=True, frozen=True)
class LogRow:
    """One row of a signature log, checked by itself: whether it is lawful is decided against its petition.

    `at` is in UTC, None where the source is undated. `signer` and `source_id` are opaque; `email` is for the vault
    alone. `reason` is set for `invalidated` and `reinstated` (`mistake` where a source gives none for the latter) and
    for no other kind: elsewhere a column of that name is somebody's reason for signing. `organisation` is the public
    name where an organisation signs. `ordinal` counts from 1 among rows alike in at, kind and signer that have no
    `source_id`, and is 1 for those that have one. `line` counts from 1.
    """

    at: datetime | None
    kind: LogKind
    signer: str
    email: str | None
    source_id: str | None
    reason: Reason | None
    country: str | None
    region: str | None
    channel: Channel | None
    answers: dict[str, str] | None
    organisation: str | None
    reference: str | None
    ordinal: int
    line: int


class Skipped(NamedTuple):
    """A row of a kind that the caller said to skip."""

    line: int


class Single(NamedTuple):
    """A row that is a decision of its own."""

    row: LogRow


class Correction(NamedTuple):
    """Rows of one kind, time and reason, in the file's order: one decision over several signatures."""

    kind: CorrectionKind
    at: datetime | None
    reason: Reason
    rows: tuple[LogRow, ...]


Step = Single | Correction


def read_log(
    lines: Iterable[str],
    mapping: Mapping[str, str],
    kinds: Mapping[str, str],
    zone: ZoneInfo | None = None,
) -> Iterator[LogRow | Refused | Skipped]:
    """The rows of a signature log, CSV or JSON lines, in the order of the file, one at a time.

    `mapping` says, ours to theirs, what the file calls its columns (`at`, `kind` and `signer` must be there); `kinds`
    says, theirs to ours, what its kinds mean, `skip` among ours; our own kinds are known without it. `zone` is that of
    times without an offset, which are refused without it. Raises FileRefused, at the first step, for a mapping or a
    file that can't be used.
    """
    meanings: dict[str, str] = dict(_KINDS) | {_SKIP: _SKIP}
    for theirs, ours in kinds.items():
        if ours not in _KINDS and ours != _SKIP:
            raise FileRefused(f"a kind can mean {', '.join(_KINDS)} or {_SKIP}, and nothing else")
        meanings[theirs.strip()] = ours
    ordinal = _Ordinals()
    for row in read_rows(
        lines, columns=LOG_COLUMNS, needed=("at", "kind", "signer"), mapping=mapping, objects=("answers",)
    ):
        if isinstance(row, Refused):
            yield row
            continue
        meaning = meanings.get(row.cells["kind"])
        if meaning == _SKIP:
            yield Skipped(row.line)
        elif meaning is None:
            yield Refused(row.line, Because.unknown_kind)
        else:
            read = _log_row(row, _KINDS[meaning], zone, ordinal)
            yield Refused(row.line, read) if isinstance(read, Because) else read


def sift(
    readings: Iterable[LogRow | Refused | Skipped], aside: Callable[[Refused | Skipped], None]
) -> Iterator[LogRow]:
    """The rows alone, as `plan` takes them; each refused or skipped one is given to `aside` as it goes by."""
    for reading in readings:
        if isinstance(reading, LogRow):
            yield reading
        else:
            aside(reading)


def row_identity(row: LogRow) -> bytes:
    """By what a row is known when it is imported again: its `source_id`, else at, kind, signer and ordinal.

    Fields are parted by NUL, which none of them holds. Whoever stores this keys it first: it names a signer.
    """
    if row.source_id is not None:
        return b"source\0" + row.source_id.encode()
    return b"row\0" + _alike(row.at, row.kind, row.signer) + b"\0%d" % row.ordinal


def plan(rows: Iterable[LogRow], reread: Callable[[], Iterable[LogRow]] | None = None) -> Iterator[Step]:
    """The decisions of a log, in the order in which they are appended.

    Rows `invalidated` (or `reinstated`) of one time and reason are one correction wherever they stand, which stands
    where the last of them does; everything else stays where it is. A correction is cut in two where one of its signers
    has another row in between: no signer's rows change their order.

    Where a correction ends can't be known before all rows were seen. `reread` gives the same rows from the first again
    and is called once, at the first row that belongs to a correction; then only the rows of open corrections are held.
    Without it, all rows from there on are. A log without such rows streams either way.
    """
    incoming = iter(rows)
    for row in incoming:
        if row.kind in _CORRECTIONS:
            break
        yield Single(row)
    else:
        return
    if reread is None:
        held = [row, *incoming]
        yield from _joined(held, _last_lines(held))
    else:
        yield from _joined(chain((row,), incoming), _last_lines(reread()))


_CORRECTIONS: Final[dict[LogKind, CorrectionKind]] = {"invalidated": "invalidate", "reinstated": "reinstate"}
_Group = tuple[CorrectionKind, datetime | None, Reason]


def _group(row: LogRow) -> _Group | None:
    kind = _CORRECTIONS.get(row.kind)
    if kind is None:
        return None
    assert row.reason is not None  # a row of these kinds was refused without one
    return kind, row.at, row.reason


def _last_lines(rows: Iterable[LogRow]) -> set[int]:
    """The lines at which a correction ends: of its last row, or of the last before a signer of it has another row."""
    open_groups: dict[_Group, tuple[int, set[str]]] = {}  # last line so far, signers
    groups_of: dict[str, set[_Group]] = {}  # by signer, the open ones
    ends: set[int] = set()
    for row in rows:
        group = _group(row)
        for other in [other for other in groups_of.get(row.signer, ()) if other != group]:
            line, signers = open_groups.pop(other)
            ends.add(line)
            for signer in signers:
                groups_of[signer].discard(other)
                if not groups_of[signer]:
                    del groups_of[signer]
        if group is not None:
            signers = open_groups[group][1] if group in open_groups else set()
            signers.add(row.signer)
            open_groups[group] = (row.line, signers)
            groups_of.setdefault(row.signer, set()).add(group)
    return ends | {line for line, _ in open_groups.values()}


def _joined(rows: Iterable[LogRow], last_lines: set[int]) -> Iterator[Step]:
    open_groups: dict[_Group, list[LogRow]] = {}
    for row in rows:
        group = _group(row)
        if group is None:
            yield Single(row)
            continue
        open_groups.setdefault(group, []).append(row)
        if row.line in last_lines:
            yield Correction(*group, tuple(open_groups.pop(group)))
    # Rows are left only where the file was cut between the two readings.
    for group, members in open_groups.items():
        yield Correction(*group, tuple(members))


class _Ordinals:
    """Counts rows that are alike: 16 bytes for each, and a number only for those that come again."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()
        self._again: dict[bytes, int] = {}

    def next(self, at: datetime | None, kind: LogKind, signer: str) -> int:
        digest = blake2b(_alike(at, kind, signer), digest_size=16).digest()
        if digest not in self._seen:
            self._seen.add(digest)
            return 1
        ordinal = self._again.get(digest, 1) + 1
        self._again[digest] = ordinal
        return ordinal


def _alike(at: datetime | None, kind: LogKind, signer: str) -> bytes:
    when = "" if at is None else at.isoformat(timespec="microseconds")
    return f"{when}\0{kind}\0{signer}".encode()


def _log_row(row: Row, kind: LogKind, zone: ZoneInfo | None, ordinals: _Ordinals) -> LogRow | Because:
    at_text, _, signer, email, source_id, reason, country, region, channel, answers, organisation, reference = (
        row.cells.values()
    )
    at = read_at(at_text, zone)
    if isinstance(at, Because):
        return at
    if not signer:
        return Because.signer_missing
    if len(signer) > 255 or not signer.isprintable():
        return Because.signer_invalid
    if source_id and (len(source_id) > 255 or not source_id.isprintable()):
        return Because.source_id_invalid
    # Counted before the rest is checked: a refused row keeps its number, and when it is mended takes no other row's.
    ordinal = 1 if source_id else ordinals.next(at, kind, signer)
    if email and (len(email) > 320 or "@" not in email or not email.isprintable()):
        return Because.email_invalid
    why: Reason | None = None
    if kind in _CORRECTIONS:
        # A reinstatement undoes; where the source does not say why, what it undoes was a mistake.
        why = _REASONS.get(reason or ("mistake" if kind == "reinstated" else ""))
        if why is None:
            return Because.reason_unknown if reason else Because.reason_missing
    if country and not (len(country) == 2 and country.isascii() and country.isalpha() and country.isupper()):
        return Because.country_invalid
    if region and not _is_region(region):
        return Because.region_invalid
    if channel and channel not in _CHANNELS:
        return Because.channel_unknown
    chosen = row.objects.get("answers") or None
    if answers:
        chosen = _read_answers(answers)
        if chosen is None:
            return Because.answers_invalid
    elif chosen is not None and not _are_answers(chosen):
        return Because.answers_invalid
    if organisation and not is_one_line(organisation, 200):
        return Because.organisation_invalid
    if reference and not is_one_line(reference, 200):
        return Because.reference_invalid
    return LogRow(
        at,
        kind,
        signer,
        email or None,
        source_id or None,
        why,
        country or None,
        region or None,
        _CHANNELS[channel] if channel else None,
        chosen,
        organisation or None,
        reference or None,
        ordinal,
        row.line,
    )


def _is_region(text: str) -> bool:
    return len(text) <= 40 and _REGION.fullmatch(text) is not None


def _read_answers(text: str) -> dict[str, str] | None:
    """`key=choice;key=choice`, None where it has another form."""
    pairs = _answer_pairs(text) if len(text) <= _LONGEST_ANSWERS else None
    return None if pairs is None else dict(pairs)


@lru_cache(maxsize=1024)  # of short texts only: a few answers stand in thousands of rows
def _answer_pairs(text: str) -> tuple[tuple[str, str], ...] | None:
    pairs = [part.strip(" ").partition("=") for part in text.split(";")]
    answers = {key: choice for key, _, choice in pairs}
    return tuple(answers.items()) if len(answers) == len(pairs) and _are_answers(answers) else None


def _are_answers(answers: Mapping[str, str]) -> bool:
    return len(answers) <= _MOST_ANSWERS and all(_is_key(key) and _is_key(choice) for key, choice in answers.items())


def _is_key(text: str) -> bool:
    return len(text) <= 40 and _KEY.fullmatch(text) is not None
