"""How a table of text becomes rows: what is wrong with one row costs one row, what is wrong with the file is told."""

import csv
import io
import json
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.intake.refusals import LONGEST_LINE, Because, FileRefused, Refused
from ledger.intake.tabular import MOST_LINES_OF_A_RECORD, NOT_UTF8, Row, decode_lines, read_rows

COLUMNS = ("at", "kind", "note")


def read(text: str, mapping: dict[str, str] | None = None, objects: tuple[str, ...] = ()) -> list[Row | Refused]:
    lines = text.split("\n")
    return list(read_rows(lines, columns=COLUMNS, needed=("at", "kind"), mapping=mapping or {}, objects=objects))


def cells(text: str, mapping: dict[str, str] | None = None) -> list[list[str]]:
    return [list(row.cells.values()) for row in read(text, mapping) if isinstance(row, Row)]


def refused(text: str) -> list[tuple[int, str]]:
    return [(row.line, row.reason.value) for row in read(text) if isinstance(row, Refused)]


def test_columns_are_found_by_name_and_others_ignored() -> None:
    """If a table has more columns, in another order, and lacks an optional one, then ours are read, the rest not."""
    assert cells("seq,kind,at\n1,signed,now\n") == [["now", "signed", ""]]


def test_a_mapped_column_stands_for_ours_even_where_the_file_has_one_of_our_name() -> None:
    """If `at` is mapped to another column, then the file's own `at` is not read."""
    assert cells("at,kind,recorded_at\nwrong,k,right", {"at": "recorded_at"}) == [["right", "k", ""]]


def test_a_byte_order_mark_blank_lines_and_space_around_cells_do_not_matter() -> None:
    """If a spreadsheet wrote the file, then its mark, blank lines and padding are not part of any cell."""
    rows = read("\ufeff\n\nat, kind\r\n\r\n a ,\tb\r\n   \nc,d")
    assert [(row.line, list(row.cells.values())) for row in rows if isinstance(row, Row)] == [
        (5, ["a", "b", ""]),
        (7, ["c", "d", ""]),
    ]


@pytest.mark.parametrize(
    ("text", "mapping", "told"),
    [
        ("", {}, "empty"),
        ("\n \n", {}, "empty"),
        ("at;kind\n1;2", {}, "Columns found: 1"),
        ("kind,when\n", {}, "at. Columns found: 'kind', 'when'"),
        ("at,kind\n", {"at": "recorded_at"}, "at (as 'recorded_at'). Columns found: 'at', 'kind'"),
        ("at,kind\n", {"note": "remark"}, "note (as 'remark')"),
        ("at,kind\n", {"when": "at"}, "ours are: at, kind, note"),
        ("at,kind,at\n", {}, "'at' more than once"),
        ('"at,kind\n', {}, "header"),
        ('{"kind":1,"when":2}', {}, "at. Columns found: 'kind', 'when'"),
        ('{"at":1,"kind":2}', {"note": "remark"}, "note (as 'remark')"),
    ],
)
def test_a_file_without_the_columns_that_it_must_have_is_refused_once(
    text: str, mapping: dict[str, str], told: str
) -> None:
    """If a needed or a mapped column is absent, then one sentence says which, and what columns were found."""
    with pytest.raises(FileRefused) as refusal:
        read(text, mapping)
    assert told in str(refusal.value)


@pytest.mark.parametrize("text", ["Mary Smith,London,yes\n", '{"Mary Smith":1,"London":2,"x":3}'])
def test_a_first_row_of_data_is_not_repeated_as_if_it_were_a_header(text: str) -> None:
    """If a file has no header, then the message of its missing columns shows nothing of what stands there."""
    with pytest.raises(FileRefused) as refusal:
        read(text)
    assert str(refusal.value) == "the file lacks these columns: at, kind. Columns found: 3"


def test_of_a_header_only_what_looks_like_a_name_is_shown() -> None:
    """If a header has cells that do not look like names, then the message shows their place instead."""
    with pytest.raises(FileRefused) as refusal:
        read("at,ann@example.org,\x1b[2J,Zoë,signed on," + "x" * 70)
    assert str(refusal.value).endswith(
        "Columns found: 'at', (column 2), (column 3), (column 4), 'signed on', (column 6)"
    )


@given(
    st.lists(
        st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=8), min_size=3, max_size=3),
        max_size=6,
    )
)
def test_whatever_a_csv_writer_wrote_is_read_back(table: list[list[str]]) -> None:
    """If cells hold commas, quotes and line ends, then RFC 4180's quoting carries them, and only space around goes."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerows([COLUMNS, *table])
    assert cells(buffer.getvalue()) == [[cell.strip(" \t") for cell in row] for row in table]


@given(st.text(st.sampled_from('",\n x\r\0{}:'), max_size=60))
def test_no_text_stops_the_reading(text: str) -> None:
    """If rows are any mess of quotes, commas and line ends, then each is a row or refused, the last is read."""
    rows = read("at,kind\n" + text + '\n\n"' + '"\nlast,row')
    assert isinstance(rows[-1], Row)
    assert list(rows[-1].cells.values()) == ["last", "row", ""]
    assert [row.line for row in rows] == sorted({row.line for row in rows})


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('"open,b', "unclosed-quote"),
        ('"a"b,c', "not-csv"),
        ("a", "number-of-cells"),
        ("a,b,c", "number-of-cells"),
        ("x" * (LONGEST_LINE + 1), "line-too-long"),
        ('"' + "x" * 1_000_000 + '",b', "line-too-long"),
    ],
)
def test_a_broken_line_costs_one_row(line: str, reason: str) -> None:
    """If a line is broken, then it is refused with its number, and every line after it is a row."""
    text = "at,kind\n" + line + "\n" + "a,b\n" * (MOST_LINES_OF_A_RECORD + 50)
    assert refused(text) == [(2, reason)]
    assert len(cells(text)) == MOST_LINES_OF_A_RECORD + 50


def test_a_quoted_cell_may_span_lines_and_rows_keep_the_number_of_their_first() -> None:
    """If a remark of several lines stands in a row, then it is one cell, and the next row's line is counted on."""
    rows = read('at,kind,note\na,b,"one\n\ntwo, ""three"""\nc,d,e')
    assert rows == [
        Row(2, {"at": "a", "kind": "b", "note": 'one\n\ntwo, "three"'}, {}),
        Row(5, {"at": "c", "kind": "d", "note": "e"}, {}),
    ]


def test_no_more_than_one_record_is_read_ahead() -> None:
    """If the source never ends, then rows come as they are read."""

    def endless() -> Iterator[str]:
        yield "at,kind"
        while True:
            yield "a,b"

    rows = read_rows(endless(), columns=COLUMNS, needed=("at",), mapping={})
    assert [next(rows).line for _ in range(3)] == [2, 3, 4]


def test_json_lines_and_csv_of_the_same_table_are_the_same_rows() -> None:
    """If a table is written as JSON lines, with numbers, nulls and booleans, then its cells are those of the CSV."""
    as_json = '{"at":17,"kind":true,"note":null,"other":[1.5]}\n\n{"at":" 1e400","kind":"b"}'
    assert cells(as_json) == cells("at,kind,note\n17,true,\n\n1e400,b,")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not-json"),
        ('{"at":1,"kind":2}{}', "not-json"),
        ('{"at":NaN,"kind":2}', "not-json"),
        ('{"at":"a\0b","kind":2}', "not-json"),
        ("[" * 30_000, "not-json"),
        ("[]", "not-an-object"),
        ("17", "not-an-object"),
        ("null", "not-an-object"),
        ('{"at":1,"kind":2,"at":3}', "duplicate-key"),
        ('{"at":1,"kind":2,"x":{"y":1,"y":2}}', "duplicate-key"),
        ('{"at":[1],"kind":2}', "cell-type"),
        ('{"at":{},"kind":2}', "cell-type"),
        ('{"at":1}', "column-missing"),
        ('{"at":1,"kind":2,"note":"' + "x" * LONGEST_LINE + '"}', "line-too-long"),
    ],
)
def test_a_broken_json_line_costs_one_row(line: str, reason: str) -> None:
    """If a line is not one object with each key once and scalars in it, then it is refused, and the next is read."""
    good = '{"at":"a","kind":"b"}'
    assert refused(f"{good}\n{line}\n{good}") == [(2, reason)]
    assert len(cells(f"{good}\n{line}\n{good}")) == 2


def test_a_number_of_5000_digits_is_only_text() -> None:
    """If a JSON number is too long to reckon with, then nothing reckons with it."""
    assert cells('{"at":' + "9" * 5000 + ',"kind":1}') == [["9" * 5000, "1", ""]]


def test_objects_are_taken_only_in_the_columns_that_may_hold_them() -> None:
    """If `note` may hold an object, then its scalars are text, and a list in it refuses the row."""
    rows = read('{"at":1,"kind":2,"note":{"a":"yes","b":1}}\n{"at":1,"kind":2,"note":{"a":[]}}', objects=("note",))
    assert rows == [
        Row(1, {"at": "1", "kind": "2", "note": ""}, {"note": {"a": "yes", "b": "1"}}),
        Refused(2, Because.cell_type),
    ]


@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=6), min_size=1, max_size=8),
    st.lists(st.integers(0, 60), max_size=6),
    st.sampled_from(["\n", "\r\n"]),
)
def test_lines_do_not_depend_on_where_the_bytes_are_cut(lines: list[str], cuts: list[int], end: str) -> None:
    """If bytes arrive in pieces of any size, even within a character, then the lines are the same."""
    data = end.join(lines).encode() + end.encode()
    borders = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    chunks = [data[start:stop] for start, stop in pairwise(borders)]
    assert list(decode_lines(chunks)) == lines


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ([b"\xff\xfea\0"], [NOT_UTF8]),
        ([b"a\nb\nc\xe9d\ne\n"], ["a", "b", NOT_UTF8, "e"]),
        ([b"a\nb\nc\n", b"d", b"\xc3", b"\n"], ["a", "b", "c", NOT_UTF8]),
        ([b"a\n\xed\xa0\x80\nz\r\n"], ["a", NOT_UTF8, "z"]),
        ([b"a\nb\n\xc3"], ["a", "b", NOT_UTF8]),
        ([b"a\n\xed\xb3\xbf\n"], ["a", NOT_UTF8]),
    ],
)
def test_bytes_that_are_not_utf8_cost_their_line(chunks: list[bytes], lines: list[str]) -> None:
    """If a line is UTF-16, Latin-1, cut within a character or a lone surrogate, then it alone cannot be read."""
    assert list(decode_lines(chunks)) == lines


@pytest.mark.parametrize(
    ("data", "rows", "lost"),
    [
        (b"at,kind\na,b\nc\xe9,d\ne,f\n", 2, [(3, "not-utf-8")]),
        (b'at,kind\na,"b\n\xe9\nc"\ne,f\n', 1, [(2, "not-utf-8")]),
        (b'{"at":1,"kind":2}\n{"at":1,"kind":"\xe9"}\n{"at":1,"kind":2}', 2, [(2, "not-utf-8")]),
        (b'\n{"at":1,"kind":2}\n\xe9\n', 1, [(3, "not-utf-8")]),
    ],
)
def test_a_line_that_is_not_utf8_costs_one_row(data: bytes, rows: int, lost: list[tuple[int, str]]) -> None:
    """If a line of a table is not UTF-8, then the row that it stands in is refused, and every other is a row."""
    text = "\n".join(decode_lines([data]))
    assert (len(cells(text)), refused(text)) == (rows, lost)


def test_a_header_that_is_not_utf8_refuses_the_file() -> None:
    """If a file is Latin-1 or UTF-16 from its first line on, then it is refused as a whole, and nothing of it shown."""
    with pytest.raises(FileRefused) as refusal:
        read("\n".join(decode_lines(["at,kind,signé\na,b,c\n".encode("utf-16")])))
    assert str(refusal.value) == "the header of the file, on line 1, can't be read: the line is not UTF-8"


def test_a_line_without_an_end_holds_no_more_memory_than_its_refusal_needs() -> None:
    """If 20 MB come without a line end, then one cut line comes of it, too long to be a row, and the next is read."""
    chunks = [b"at,kind\n", b"a\xc3", *([b"\xa9\xc3" * 50_000] * 200), b"\xa9\nb,c\n"]
    lines = list(decode_lines(chunks))
    assert [LONGEST_LINE < len(line) < 5 * LONGEST_LINE for line in lines] == [False, True, False]
    assert refused("\n".join(lines)) == [(2, "line-too-long")]
    assert cells("\n".join(lines)) == [["b", "c", ""]]


def test_lines_that_open_a_quote_again_and_again_are_not_read_without_end() -> None:
    """If every line closes and opens a quote, then no line is looked at more often than a record may have lines."""
    reads = 0

    class Counted(str):
        __slots__ = ()

        def __add__(self, other: str) -> str:
            nonlocal reads
            reads += 1
            return str(self) + other

        def rstrip(self, *_: object) -> "Counted":
            return self

    lines = [Counted("at,kind"), *(Counted('x","') for _ in range(1000))]
    rows = list(read_rows(lines, columns=COLUMNS, needed=("at",), mapping={}))
    assert all(isinstance(row, Refused) for row in rows)
    assert reads <= 1000 * MOST_LINES_OF_A_RECORD


@pytest.mark.parametrize("reason", list(Because))
def test_every_reason_has_a_sentence(reason: Because) -> None:
    """If a row is refused, then a person can be told why."""
    assert reason.sentence
    assert json.dumps(reason) == f'"{reason.value}"'
