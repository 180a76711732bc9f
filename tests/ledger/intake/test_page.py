"""How a petition's page becomes observations, declarations and updates: the same from a table and from pasted text."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.intake.page import PageReading, PageRow, detect, read_csv, read_pasted_page, row_identity
from ledger.intake.refusals import FileRefused
from ledger.intake.tabular import decode_lines

DATA = Path(__file__).parents[2] / "data" / "intake"
TABLE = (DATA / "page.csv").read_text(encoding="utf-8")
PASTED = (DATA / "page.txt").read_text(encoding="utf-8")
STAMP = "2018-01-31 09:56:46 +0000"


def table(text: str, all_kind: str | None = None, zone: ZoneInfo | None = None) -> PageReading:
    return read_csv(text.splitlines(), {}, all_kind, zone)


def identities(reading: PageReading) -> list[bytes]:
    return [row_identity(row) for row in reading.rows]


def only(reading: PageReading) -> PageRow:
    assert reading.refused == []
    (row,) = reading.rows
    return row


def test_the_published_page_has_19_entries_oldest_first() -> None:
    """If the page's table is read, then its 8 milestones and 11 status entries stand as they happened."""
    rows, refused = table(TABLE)
    assert refused == []
    assert Counter(row.kind for row in rows) == {"milestone": 8, "status": 11}
    assert [row.at for row in rows] == sorted(row.at for row in rows if row.at)
    assert (rows[0].at, rows[0].count) == (datetime(2014, 5, 17, 1, 11, 9, tzinfo=UTC), 10)
    assert (rows[-1].at, rows[-1].count, rows[-1].status) == (
        datetime(2018, 1, 31, 9, 56, 46, tzinfo=UTC),
        13163,
        "successful",
    )


def test_the_pasted_page_is_the_same_page() -> None:
    """If the table was imported and the page is then pasted, then every row is already there."""
    assert identities(read_pasted_page(PASTED)) == identities(table(TABLE))
    assert read_pasted_page(PASTED).refused == []
    assert (detect(TABLE), detect(PASTED)) == ("csv", "page")


def test_a_table_that_repeats_the_lines_in_words_is_the_same_page() -> None:
    """If a table has a column with the page's own words, then they add nothing to a row's identity."""
    worded = ["at,kind,count,text"]
    for line in TABLE.splitlines()[1:]:
        at, kind, count = line.split(",")
        words = f"{int(count):,} signatures reached"
        worded.append(
            f'{at},{kind},"{int(count):,}","{words}"'
            if kind == "milestone"
            else f'{at},{kind},,"Petition is successful with {int(count):,} signatures"'
        )
    assert identities(table("\n".join(worded))) == identities(table(TABLE))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("blanks", [0, 1, 3])
def test_entries_are_found_wherever_they_stand(end: str, blanks: int) -> None:
    """If other text stands around, and lines are parted by more or fewer blank ones, then the entries are the same."""
    text = ["\ufeffHome", f"Posted {STAMP} by us", f"  {STAMP} ", *[" "] * blanks, "  1 signature   reached", "Footer"]
    row = only(read_pasted_page(end.join(text)))
    assert (row.line, row.kind, row.count, row.text) == (3, "milestone", 1, None)


def test_what_our_own_timeline_prints_can_be_pasted() -> None:
    """If `YYYY-MM-DD HH:MM:SS +ZZZZ<TAB>line` is pasted, then it is the entry of two lines."""
    assert identities(read_pasted_page(f"{STAMP}\t10 signatures reached")) == identities(
        read_pasted_page(f"{STAMP}\n\n10 signatures reached")
    )


@pytest.mark.parametrize("outcome", ["successful", "unsuccessful", "answered", "certified"])
def test_an_outcome_is_read_from_words_and_is_one_row_in_both_forms(outcome: str) -> None:
    """If the page or the table's text names an outcome, then the row declares it, and is known again in either form."""
    pasted = only(read_pasted_page(f"{STAMP}\n\nPetition is {outcome} with 13,163 signatures"))
    named = only(table(f"at,kind,count,text\n{STAMP},status,13163,{outcome}"))
    assert pasted.status == named.status == outcome
    assert pasted.count == named.count == 13163
    assert row_identity(pasted) == row_identity(named)


def test_a_status_is_successful_unless_the_text_names_another() -> None:
    """If the text says something else, then it is kept beside `successful`; a word within a word names no status."""
    row = only(table(f"at,kind,count,text\n{STAMP},status,1,They unanswered us"))
    assert (row.status, row.text) == ("successful", "They unanswered us")
    assert only(table(f"at,kind,count,text\n{STAMP},status,1,The minister ANSWERED.")).status == "answered"


def test_anything_else_is_an_update_in_either_form() -> None:
    """If an entry is neither a milestone nor an outcome, then its text is a headline."""
    pasted = only(read_pasted_page(f"{STAMP}\n\nThe proposals were\u00a0abandoned, 10 signatures reached"))
    listed = only(table(f'at,kind,count,text\n{STAMP},update,,"The proposals were abandoned, 10 signatures reached"'))
    assert (pasted.kind, pasted.count, pasted.status) == ("update", None, None)
    assert row_identity(pasted) == row_identity(listed)


def test_an_update_may_say_the_day_on_which_it_held() -> None:
    """If a table names the day of which an update tells, then the row has it, and is the same entry as without it."""
    dated = only(table(f"at,kind,count,text,effective_on\n{STAMP},update,,Abandoned,2014-06-20"))
    assert dated.effective_on == date(2014, 6, 20)
    assert row_identity(dated) == row_identity(only(table(f"at,kind,count,text\n{STAMP},update,,Abandoned")))


def test_rows_of_one_time_stand_in_reverse_and_undated_ones_last_as_they_stood() -> None:
    """If rows share a time, then the lower one on the page is the earlier; rows without a time keep their order."""
    rows, _ = table(f"at,kind,count\n,count,1\n{STAMP},count,2\n,count,3\n{STAMP},count,4\n2017-01-01T00:00Z,count,5")
    assert [row.count for row in rows] == [5, 4, 2, 1, 3]
    assert [row.at is None for row in rows] == [False, False, False, True, True]


def test_identical_rows_are_told_apart_by_their_ordinal() -> None:
    """If a page shows the same entry twice, then it is two rows; offsets that mean one instant are one time."""
    rows, _ = table("at,kind,count\n2014-05-17 02:11:09 +0100,count,7\n2014-05-17T01:11:09Z,count,7\n,count,7")
    assert [row.ordinal for row in rows] == [1, 2, 1]
    assert len({row_identity(row) for row in rows}) == 3


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("2014-06-20,update,,Abandoned", "at-only-a-day"),
        ("2014-06-20T10:00:00,count,1,", "at-missing-offset"),
        ("2014-02-30T10:00:00Z,count,1,", "at-invalid"),
        ("20/06/14,count,1,", "at-invalid"),
        ("1700000000,count,1,", "at-invalid"),
        ("x" * 60_000 + ",count,1,", "at-invalid"),
        (f"{STAMP},signed,1,", "unknown-kind"),
        (f"{STAMP},,1,", "unknown-kind"),
        (f"{STAMP},count,,", "count-missing"),
        (f"{STAMP},milestone,,We did it", "count-missing"),
        (f"{STAMP},count,-1,", "count-invalid"),
        (f"{STAMP},count,1.5,", "count-invalid"),
        (f"{STAMP},count,١٢,", "count-invalid"),
        (f"{STAMP},count,9007199254740992,", "count-invalid"),
        (f"{STAMP},count,{'9' * 5000},", "count-invalid"),
        (f'{STAMP},count,"13,16",', "count-invalid"),
        (f"{STAMP},milestone,12,10 signatures reached", "count-contradicts-text"),
        (f'{STAMP},status,12,"Petition is successful with 1,000 signatures"', "count-contradicts-text"),
        (f"{STAMP},update,,", "text-missing"),
        (f"{STAMP},update,,a\0b", "text-invalid"),
        (f"{STAMP},update,,a\u202eb", "text-invalid"),
        (f"{STAMP},update,,{'x' * 201}", "headline-too-long"),
    ],
)
def test_a_row_that_is_no_entry_is_refused_and_the_next_is_read(row: str, reason: str) -> None:
    """If a row can't be an entry, then it is refused by a reason that says why, and the row after it is taken."""
    rows, refused = read_csv(["at,kind,count,text", row, f"{STAMP},count,5,"], {})
    assert [(refusal.line, refusal.reason.value) for refusal in refused] == [(2, reason)]
    assert [row.count for row in rows] == [5]


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        (f"{STAMP}\n\n{STAMP}\n\n10 signatures reached", [(1, "text-missing")]),
        (f"10 signatures reached\n{STAMP}\n\n", [(2, "text-missing")]),
        ("2018-02-31 09:56:46 +0000\n\n10 signatures reached", [(1, "at-invalid")]),
        (f"{STAMP}\n\n{'x' * 201}", [(1, "headline-too-long")]),
        (f"{STAMP}\n\n9,007,199,254,740,992 signatures reached", [(1, "count-invalid")]),
    ],
)
def test_a_pasted_entry_that_can_not_be_taken_is_refused_by_its_line(text: str, reasons: list[tuple[int, str]]) -> None:
    """If an entry has no text, no possible time or too long a headline, then it is refused where its time stands."""
    assert [(refusal.line, refusal.reason.value) for refusal in read_pasted_page(text).refused] == reasons


def test_every_row_can_be_taken_as_one_kind() -> None:
    """If a poller's table has no kinds, then `all_kind` and a mapping read it, and a zone reads its local times."""
    lines = ["observed_at,signature_count", "2016-06-25 09:15:04,827789", ",367"]
    mapping = {"at": "observed_at", "count": "signature_count"}
    rows, refused = read_csv(lines, mapping, "count", ZoneInfo("Europe/London"))
    assert refused == []
    assert [(row.at, row.kind, row.count) for row in rows] == [
        (datetime(2016, 6, 25, 8, 15, 4, tzinfo=UTC), "count", 827789),
        (None, "count", 367),
    ]


@pytest.mark.parametrize(
    ("header", "all_kind"), [("at,count", None), ("at,kind", None), ("at,count", "update"), ("at,kind,count", "signed")]
)
def test_a_table_without_its_columns_or_a_kind_that_is_none_is_refused_as_a_whole(
    header: str, all_kind: str | None
) -> None:
    """If nothing of a table could be taken, then that is said once, not row by row."""
    with pytest.raises(FileRefused):
        read_csv([header], {}, all_kind)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("observed_at,observed_at_local,signature_count\n2016-06-25T08:15:04Z,,827789", "csv"),
        ('"at","kind","count","text"\n,update,,"' + f'\n{STAMP}\n"', "csv"),
        ("at\tcount\n" + f"{STAMP}\t12\tx", "csv"),
        (f"Home, about, sign in\n\n{STAMP}\n\n10 signatures reached", "page"),
        ("", "csv"),
    ],
)
def test_the_form_is_told_by_a_line_that_is_a_time_and_nothing_else(text: str, form: str) -> None:
    """If a text is a table, whatever its columns are called, then it is not taken for a page, and vice versa."""
    assert detect(text) == form


ENTRIES = st.lists(
    st.tuples(
        st.integers(0, 3).map(lambda minutes: datetime(2014, 5, 17, tzinfo=UTC) + timedelta(minutes=minutes)),
        st.sampled_from(["milestone", "status"]),
        st.sampled_from([0, 1, 10, 1000, 13163]),
    ),
    max_size=8,
)


@given(ENTRIES, st.booleans())
def test_both_forms_of_any_page_have_the_same_identities_and_no_two_rows_share_one(
    entries: list[tuple[datetime, str, int]], commas: bool
) -> None:
    """If a page of any entries is read as a table and as text, then the rows are equal and all distinct."""
    lines = ["at,kind,count"]
    text = []
    for at, kind, count in entries:
        lines.append(f"{at.isoformat()},{kind},{count}")
        number = f"{count:,}" if commas else str(count)
        said = (
            f"{number} signatures reached"
            if kind == "milestone"
            else f"Petition is successful with {number} signatures"
        )
        text += [at.strftime("%Y-%m-%d %H:%M:%S %z"), "", said, ""]
    from_table, from_text = read_csv(lines, {}), read_pasted_page("\n".join(text))
    assert identities(from_table) == identities(from_text)
    assert len(set(identities(from_table))) == len(entries)


def test_an_entry_that_is_not_utf8_costs_itself() -> None:
    """If the text of one entry of a pasted page is Latin-1, then it is refused, and every other entry is a row."""
    page = f"{STAMP}\n\nExpos\xe9\n\n{STAMP}\n\n100 signatures reached\n".encode("latin-1")
    reading = read_pasted_page("\n".join(decode_lines([page])))
    assert [(refused.line, refused.reason.value) for refused in reading.refused] == [(1, "not-utf-8")]
    assert only(PageReading(reading.rows, [])).count == 100
