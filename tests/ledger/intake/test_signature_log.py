"""How a signature log becomes rows: checked one by one, refused by reason, known again by their identity."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.intake.refusals import Because, FileRefused, Refused, is_one_line
from ledger.intake.signature_log import LOG_COLUMNS, LogRow, Skipped, read_log, row_identity, sift

AT = "2023-08-15T16:29:54Z"
WHOLE = {
    "at": AT,
    "kind": "recorded",
    "signer": "S00001",
    "email": "",
    "source_id": "",
    "reason": "",
    "country": "",
    "region": "",
    "channel": "",
    "answers": "",
    "organisation": "",
    "reference": "",
}


def read(*rows: Mapping[str, object], kinds: dict[str, str] | None = None) -> list[LogRow | Refused | Skipped]:
    """Rows as JSON lines, each with every column."""
    return list(read_log([json.dumps({**WHOLE, **row}) for row in rows], {}, kinds or {}))


def one(**cells: object) -> LogRow:
    (row,) = read(cells)
    assert isinstance(row, LogRow)
    return row


def refusal(**cells: object) -> str:
    (row,) = read(cells)
    assert isinstance(row, Refused)
    return row.reason.value


def test_a_row_with_everything_is_read_whole() -> None:
    """If every column is given, then the row has it, typed, with the instant in UTC."""
    (row,) = read_log(
        [
            ",".join(LOG_COLUMNS),
            "2023-08-15 17:29:54 +0100,recorded,S1,ann@example.org,17,,GB,E14000001,paper,plans=yes;hubs=no,GFTU,R. 9",
        ],
        {},
        {},
    )
    assert row == LogRow(
        at=datetime(2023, 8, 15, 16, 29, 54, tzinfo=UTC),
        kind="recorded",
        signer="S1",
        email="ann@example.org",
        source_id="17",
        reason=None,
        country="GB",
        region="E14000001",
        channel="paper",
        answers={"plans": "yes", "hubs": "no"},
        organisation="GFTU",
        reference="R. 9",
        ordinal=1,
        line=2,
    )


def test_kinds_are_translated_skipped_and_refused_where_unknown() -> None:
    """If kinds are named theirs to ours, then rows carry ours, skipped ones are counted, unknown ones refused."""
    lines = [
        "seq,kind,signer,recorded_at",
        f"1,signed,S1,{AT}",
        f"2,amended,S1,{AT}",
        f"3,re-signed,S1,{AT}",
        f"4,removed,S1,{AT}",
        f"5,withdrawn,S1,{AT}",
    ]
    aside: list[Refused | Skipped] = []
    kinds = {"signed": "recorded", "removed": "withdrawn", "amended": "skip"}
    rows = list(sift(read_log(lines, {"at": "recorded_at"}, kinds), aside.append))
    assert [(row.line, row.kind) for row in rows] == [(2, "recorded"), (5, "withdrawn"), (6, "withdrawn")]
    assert aside == [Skipped(3), Refused(4, Because.unknown_kind)]


def test_a_kind_of_ours_that_does_not_exist_is_a_wrong_call() -> None:
    """If `--kind` gives a meaning that is none, then the file is not read at all."""
    with pytest.raises(FileRefused):
        next(read_log(["at,kind,signer", f"{AT},signed,S1"], {}, {"signed": "signature"}))


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"at": "2023-08-15T16:29:54"}, "at-missing-offset"),
        ({"at": "2023-08-15"}, "at-only-a-day"),
        ({"at": "1692116994"}, "at-invalid"),
        ({"at": "2023-08-15T24:00:00Z"}, "at-invalid"),
        ({"kind": "Recorded"}, "unknown-kind"),
        ({"kind": ""}, "unknown-kind"),
        ({"signer": ""}, "signer-missing"),
        ({"signer": " \t"}, "signer-missing"),
        ({"signer": None}, "signer-missing"),
        ({"signer": "x" * 256}, "signer-invalid"),
        ({"signer": "a\0b"}, "signer-invalid"),
        ({"signer": "a\u202eb"}, "signer-invalid"),
        ({"signer": "a\u200bb"}, "signer-invalid"),
        ({"signer": "\ud800"}, "signer-invalid"),
        ({"signer": "a\x85"}, "signer-invalid"),
        ({"source_id": "a\nb"}, "source-id-invalid"),
        ({"source_id": "x" * 256}, "source-id-invalid"),
        ({"email": "nobody"}, "email-invalid"),
        ({"email": "a@b\nBcc: c"}, "email-invalid"),
        ({"email": "a@" + "b" * 320}, "email-invalid"),
        ({"kind": "invalidated"}, "reason-missing"),
        ({"kind": "invalidated", "reason": "fraud"}, "reason-unknown"),
        ({"kind": "reinstated", "reason": "sorry"}, "reason-unknown"),
        ({"country": "gb"}, "country-invalid"),
        ({"country": "GBR"}, "country-invalid"),
        ({"country": "ÄÖ"}, "country-invalid"),
        ({"region": "a b"}, "region-invalid"),
        ({"region": "x" * 41}, "region-invalid"),
        ({"channel": "web"}, "channel-unknown"),
        ({"answers": "plans"}, "answers-invalid"),
        ({"answers": "plans=yes;"}, "answers-invalid"),
        ({"answers": "plans=yes;plans=no"}, "answers-invalid"),
        ({"answers": "plans=yes=no"}, "answers-invalid"),
        ({"answers": "=yes"}, "answers-invalid"),
        ({"answers": "x" * 5000}, "answers-invalid"),
        ({"answers": {"Plans": "yes"}}, "answers-invalid"),
        ({"answers": {f"q{n}": "yes" for n in range(21)}}, "answers-invalid"),
        ({"answers": {"plans": ["yes"]}}, "cell-type"),
        ({"answers": ["yes"]}, "cell-type"),
        ({"organisation": "x" * 201}, "organisation-invalid"),
        ({"organisation": "a\u2028b"}, "organisation-invalid"),
        ({"reference": "\x1b[2J"}, "reference-invalid"),
    ],
)
def test_a_row_that_breaks_a_rule_is_refused_by_it(cells: dict[str, object], reason: str) -> None:
    """If one cell is wrong, then the row is refused by the reason of that cell."""
    assert refusal(**cells) == reason


@pytest.mark.parametrize(
    "signer", ["=cmd|' /C calc'!A0", "'; DROP TABLE events;--", "{0.__class__}", "Ångström ß", "x" * 255]
)
def test_a_signer_is_opaque(signer: str) -> None:
    """If a signer looks like a formula, a statement or a template, then it is text, kept as it is."""
    assert one(signer=signer).signer == signer


def test_a_reinstatement_without_a_reason_undid_a_mistake() -> None:
    """If the source does not say why it reinstated, then the reason is `mistake`."""
    assert one(kind="reinstated").reason == "mistake"
    assert one(kind="reinstated", reason="court-order").reason == "court-order"
    assert one(kind="invalidated", reason="bot").reason == "bot"


def test_what_a_signer_gave_as_a_reason_goes_nowhere() -> None:
    """If a file has a column `reason` with what signers wrote, then no row that is not a correction carries it."""
    assert one(reason="My daughter was in care").reason is None


def test_answers_are_the_same_written_either_way() -> None:
    """If answers stand as text or as an object, in any order, then they are equal."""
    assert one(answers={"hubs": "no", "plans": "yes"}).answers == one(answers="plans=yes; hubs=no").answers
    assert one(answers={}).answers is None


def test_one_rows_answers_are_not_anothers() -> None:
    """If somebody changes the answers of one row, then a row that said the same still says it."""
    first, second = read({"answers": "plans=yes"}, {"answers": "plans=yes"})
    assert isinstance(first, LogRow)
    assert isinstance(second, LogRow)
    assert first.answers is not None
    first.answers.clear()
    assert second.answers == {"plans": "yes"}


def test_undated_rows_and_local_times_are_read() -> None:
    """If `at` is empty the row is undated; if it has no offset, the zone's rules decide."""
    lines = ["at,kind,signer", ",recorded,S1", "2023-08-15 17:29:54,recorded,S2"]
    rows = list(sift(read_log(lines, {}, {}, ZoneInfo("Europe/London")), print))
    assert [row.at for row in rows] == [None, datetime(2023, 8, 15, 16, 29, 54, tzinfo=UTC)]


def test_rows_alike_are_counted_and_a_source_id_is_enough() -> None:
    """If rows are alike in time, kind and signer, then ordinals part them, unless the source names them."""
    rows = read(
        {}, {"email": "a@b.c"}, {"signer": "S2"}, {}, {"source_id": "7"}, {"source_id": "7", "signer": "S3"}, {}
    )
    read_rows = [row for row in rows if isinstance(row, LogRow)]
    assert [row.ordinal for row in read_rows] == [1, 2, 1, 3, 1, 1, 4]
    identities = [row_identity(row) for row in read_rows]
    assert identities[4] == identities[5]
    assert len(set(identities)) == 6


def test_a_refused_row_keeps_its_number() -> None:
    """If a refused row is mended and the file imported again, then every row alike has the identity that it had."""
    broken = [row_identity(row) for row in read({"country": "?"}, {}) if isinstance(row, LogRow)]
    mended = [row_identity(row) for row in read({"country": "GB"}, {}) if isinstance(row, LogRow)]
    assert broken == mended[1:]


def test_the_same_instant_is_the_same_row_in_any_offset_and_any_form() -> None:
    """If the same log comes again with other offsets, in CSV instead of JSON lines, then its rows are already there."""
    (row,) = read_log(["at,kind,signer", "2023-08-15 18:29:54 +0200,signed,S00001"], {}, {"signed": "recorded"})
    assert isinstance(row, LogRow)
    assert row_identity(row) == row_identity(one())


TEXT = st.text(st.sampled_from("ab01 ;=\x1f"), max_size=3)


@given(st.lists(st.tuples(st.sampled_from(["", AT]), TEXT, TEXT), min_size=1, max_size=12))
def test_no_two_rows_share_an_identity_unless_the_source_says_so(rows: list[tuple[str, str, str]]) -> None:
    """If rows of any signers and source_ids are read, then only rows with one source_id share an identity."""
    taken = [
        row
        for row in read(*[dict(zip(("at", "signer", "source_id"), cells, strict=True)) for cells in rows])
        if isinstance(row, LogRow)
    ]
    shared = Counter(row_identity(row) for row in taken)
    assert sum(shared.values()) - len(shared) == sum(
        count - 1 for count in Counter(row.source_id for row in taken if row.source_id is not None).values()
    )


@given(st.dictionaries(st.sampled_from(LOG_COLUMNS), st.text(max_size=12), min_size=1))
def test_no_cell_can_stop_a_log_or_leave_it_with_a_control_character(cells: dict[str, str]) -> None:
    """If cells hold anything at all, then the row is read, refused or skipped, and what was read can be stored."""
    (row,) = read(cells)
    if isinstance(row, LogRow):
        texts = [value for value in asdict(row).values() if isinstance(value, str)]
        assert all(is_one_line(text, 320) for text in texts)
        assert row.signer.encode() in row_identity(row) or row.source_id is not None
