"""Tables of text, CSV (RFC 4180) or JSON lines, read into rows of named cells with the line that each stands on.

Source of the rules: `ledger import` in section 2 of the interface. What is wrong with the file as a whole (its
columns) raises `FileRefused`; what is wrong with one row is a `Refused` in its place, and reading goes on at the next
line, so that one lone quote can cost one row and never the rest of a file.

This module must never hold more than one record in memory, and never say what a row contains: a reason names a rule and
a line. Only names of columns are told, where a column is missing, and only as far as they look like names and stand in
what looks like a header.
"""

import csv
import json
import re
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter, methodcaller
from typing import Final, NamedTuple, NoReturn

from ledger.intake.refusals import LONGEST_LINE, Because, FileRefused, Refused

MOST_LINES_OF_A_RECORD: Final = 100
"""Lines that a quoted cell may span. It also bounds how often a line is read again after an unclosed quote."""

NOT_UTF8: Final = "\udcff"
"""Stands for a line whose bytes are not UTF-8: a lone surrogate, which no text in UTF-8 holds."""


class Row(NamedTuple):
    """A row: its first line, from 1; a text for every column of ours ("" where it has none); objects by column."""

    line: int
    cells: dict[str, str]
    objects: dict[str, dict[str, str]]


_NAME: Final = re.compile("[A-Za-z_][A-Za-z0-9_ -]{0,40}")
_NO_OBJECTS: Final[dict[str, dict[str, str]]] = {}


def decode_lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """The lines of UTF-8 bytes, cut anywhere, without their ends (LF or CR LF).

    A line too long for any row is yielded cut, just long enough to be refused, and holds no more memory than that. A
    line that is not UTF-8 is yielded as NOT_UTF8, and refused where a row is read from it.
    """
    most = 4 * LONGEST_LINE + 4  # bytes: four make at most one character
    tail = bytearray()
    for chunk in chunks:
        whole, newline, rest = chunk.rpartition(b"\n")
        if newline:
            head, _, more = whole.partition(b"\n")
            tail += head[: most - len(tail)]
            yield _line(tail, cut=len(tail) == most)
            if len(whole) > len(head):
                yield from _lines(more)
            tail = bytearray()
        tail += rest[: most - len(tail)]
    if tail:
        yield _line(tail, cut=len(tail) == most)


def _lines(data: bytes) -> list[str]:
    try:
        text = str(data, "utf-8")
    except UnicodeDecodeError:
        return [_line(part) for part in data.split(b"\n")]
    return [part.removesuffix("\r") for part in text.split("\n")]


def _line(data: bytes | bytearray, cut: bool = False) -> str:
    try:
        return str(data, "utf-8").removesuffix("\r")
    except UnicodeDecodeError as error:
        if cut and error.reason == "unexpected end of data":
            return str(data[: error.start], "utf-8")
        return NOT_UTF8


def read_rows(
    lines: Iterable[str],
    *,
    columns: Sequence[str],
    needed: Collection[str],
    mapping: Mapping[str, str],
    objects: Collection[str] = (),
) -> Iterator[Row | Refused]:
    """The rows of a table, in the order of the file; blank lines are passed over.

    A file whose first character is `{` is JSON lines, any other CSV with a header. `columns` are our names, of which
    `needed` must be there; `mapping` says, ours to theirs, what the file calls them; other columns are ignored. In JSON
    lines the first object plays the part of the header, scalars become text (null is ""), and only `objects` may hold
    an object. Space around a cell is not part of it.

    Raises FileRefused, at the first step, for a mapping or a file without the columns that it must have.
    """
    for ours in mapping:
        if ours not in columns:
            raise FileRefused(f"no column of ours is called {ours!r}; ours are: {', '.join(columns)}")
    numbered = _NumberedLines(lines)
    for first in numbered:
        start = first.removeprefix("\ufeff")
        if start.strip():
            numbered.hand_back([start])
            break
    else:
        raise FileRefused("the file is empty: it has no header and no rows")
    if start.lstrip().startswith("{"):
        yield from _read_json(numbered, columns, needed, mapping, objects)
    else:
        yield from _read_csv(numbered, columns, needed, mapping)


class _NumberedLines:
    """Lines without their ends, counted from 1, which can be handed back and are then counted again."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._back: deque[str] = deque()
        self.number = 0

    def __iter__(self) -> "_NumberedLines":
        return self

    def __next__(self) -> str:
        line = self._back.popleft() if self._back else next(self._lines).rstrip("\r\n")
        self.number += 1
        return line

    def hand_back(self, lines: Sequence[str]) -> None:
        self._back.extendleft(reversed(lines))
        self.number -= len(lines)


class _QuotedRecord:
    """The lines of one record with quotes, as the csv module asks for them: it asks on while a quote is open."""

    def __init__(self, first: str, rest: _NumberedLines) -> None:
        self._rest = rest
        self.lines = [first]
        self._given = 0
        self._length = len(first)
        self.open = False  # whether a quote was open at the end of the first line

    def __iter__(self) -> "_QuotedRecord":
        return self

    def __next__(self) -> str:
        if self._given == len(self.lines):
            self.open = True
            if len(self.lines) == MOST_LINES_OF_A_RECORD:
                raise StopIteration
            line = next(self._rest)
            self.lines.append(line)
            self._length += len(line) + 1
            if self._length > LONGEST_LINE:
                raise StopIteration
        self._given += 1
        return self.lines[self._given - 1] + "\n"


_trimmed: Final = methodcaller("strip", " \t")


def _records(lines: _NumberedLines) -> Iterator[tuple[int, list[str]] | Refused]:
    for text in lines:
        number = lines.number
        if len(text) > LONGEST_LINE:
            yield Refused(number, Because.line_too_long)
        elif text == NOT_UTF8:
            yield Refused(number, Because.not_utf8)
        elif '"' not in text:
            if text and not text.isspace():
                cells = text.split(",")
                # Most lines hold no space, and looking is quicker than trimming a dozen cells.
                yield number, list(map(_trimmed, cells)) if " " in text or "\t" in text else cells
        else:
            record = _QuotedRecord(text, lines)
            try:
                cells = next(csv.reader(record, strict=True))
                if NOT_UTF8 in record.lines:
                    yield Refused(number, Because.not_utf8)
                else:
                    yield number, list(map(_trimmed, cells))
            except csv.Error:
                # Only the first line is lost: the quote that swallowed the others may be the mistake.
                lines.hand_back(record.lines[1:])
                yield Refused(number, Because.unclosed_quote if record.open else Because.not_csv)


def _read_csv(
    lines: _NumberedLines, columns: Sequence[str], needed: Collection[str], mapping: Mapping[str, str]
) -> Iterator[Row | Refused]:
    records = _records(lines)
    header = next(records)
    if isinstance(header, Refused):
        raise FileRefused(f"the header of the file, on line {header.line}, can't be read: {header.reason.sentence}")
    names = header[1]
    width = len(names)
    for ours in _present(columns, needed, mapping, names):
        if names.count(mapping.get(ours, ours)) > 1:
            raise FileRefused(f"the file has the column {mapping.get(ours, ours)!r} more than once")
    # A column that the file lacks is read from the empty cell that is put at the end of every row.
    places = [names.index(theirs) if (theirs := mapping.get(ours, ours)) in names else width for ours in columns]
    pick = itemgetter(*places, width)  # never a single place: a single one would not give a tuple
    for record in records:
        if isinstance(record, Refused):
            yield record
            continue
        number, cells = record
        if len(cells) != width:
            yield Refused(number, Because.number_of_cells)
            continue
        cells.append("")
        yield Row(number, dict(zip(columns, pick(cells), strict=False)), _NO_OBJECTS)


class _DuplicateKey(ValueError):
    pass


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _DuplicateKey
    return found


def _not_a_number(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


# Numbers stay the text that they are: nothing here reckons with them, and 5,000 digits can do no harm.
_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_no_duplicates, parse_int=str, parse_float=str, parse_constant=_not_a_number
)


def _object_of(number: int, text: str) -> dict[str, object] | Refused:
    if text == NOT_UTF8:
        return Refused(number, Because.not_utf8)
    try:
        value: object = _DECODER.decode(text)
    except _DuplicateKey:
        return Refused(number, Because.duplicate_key)
    except (ValueError, RecursionError):
        return Refused(number, Because.not_json)
    return value if isinstance(value, dict) else Refused(number, Because.not_an_object)


def _scalar(value: object) -> str | None:
    """The text of a JSON scalar, None for a list or an object. Numbers arrive as the text that they are."""
    match value:
        case str():
            return value.strip(" \t")
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case _:
            return None


def _read_json(
    lines: _NumberedLines,
    columns: Sequence[str],
    needed: Collection[str],
    mapping: Mapping[str, str],
    objects: Collection[str],
) -> Iterator[Row | Refused]:
    theirs_of = [(ours, mapping.get(ours, ours)) for ours in columns]
    checked = False
    for text in lines:
        number = lines.number
        if not text or text.isspace():
            continue
        if len(text) > LONGEST_LINE:
            yield Refused(number, Because.line_too_long)
            continue
        members = _object_of(number, text)
        if isinstance(members, Refused):
            yield members
            continue
        if not checked:
            _present(columns, needed, mapping, list(members))
            checked = True
        yield _json_row(number, members, theirs_of, needed, objects)


def _json_row(
    number: int,
    members: dict[str, object],
    theirs_of: Sequence[tuple[str, str]],
    needed: Collection[str],
    objects: Collection[str],
) -> Row | Refused:
    cells: dict[str, str] = {}
    nested: dict[str, dict[str, str]] = {}
    for ours, theirs in theirs_of:
        value = members.get(theirs)
        if value is None and ours in needed and theirs not in members:
            return Refused(number, Because.column_missing)
        if isinstance(value, dict) and ours in objects:
            inner = {key: _scalar(member) for key, member in value.items()}
            if None in inner.values():
                return Refused(number, Because.cell_type)
            nested[ours] = {key: member for key, member in inner.items() if member is not None}
            cells[ours] = ""
            continue
        text = _scalar(value)
        if text is None:
            return Refused(number, Because.cell_type)
        cells[ours] = text
    return Row(number, cells, nested or _NO_OBJECTS)


def _present(
    columns: Sequence[str], needed: Collection[str], mapping: Mapping[str, str], found: Sequence[str]
) -> list[str]:
    """Our columns that the file has. Raises FileRefused where a needed or a mapped one is absent."""
    absent = [ours for ours in columns if (ours in needed or ours in mapping) and mapping.get(ours, ours) not in found]
    if absent:
        missing = ", ".join(ours if ours not in mapping else f"{ours} (as {mapping[ours]!r})" for ours in absent)
        # With none of the needed ones there, the first line is a row of data as likely as a header.
        is_header = any(mapping.get(ours, ours) in found for ours in needed)
        columns_found = _shown(found) if is_header else str(len(found))
        raise FileRefused(f"the file lacks these columns: {missing}. Columns found: {columns_found}")
    return [ours for ours in columns if mapping.get(ours, ours) in found]


def _shown(names: Sequence[str]) -> str:
    """Names of columns for a message. What does not look like a name may be a row of data, and is not repeated."""
    shown = [
        repr(name) if _NAME.fullmatch(name) else f"(column {number})" for number, name in enumerate(names[:40], start=1)
    ]
    return ", ".join(shown) + (f" and {len(names) - 40} more" if len(names) > 40 else "")
