"""How rows of a log become decisions: corrections gather their rows, and nobody's history is turned round."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.intake.signature_log import Correction, LogKind, LogRow, Single, Step, plan
from schemas.events import Reason

TIMES = {None: None, 1: datetime(2020, 1, 1, tzinfo=UTC), 2: datetime(2020, 1, 2, tzinfo=UTC)}


def log_row(
    line: int, kind: LogKind = "recorded", signer: str = "s", time: int | None = 1, reason: Reason | None = None
) -> LogRow:
    if kind in ("invalidated", "reinstated"):
        reason = reason or "bot"
    return LogRow(TIMES[time], kind, signer, None, None, reason, None, None, None, None, None, None, 1, line)


def log(text: str) -> list[LogRow]:
    """Words like `rA`, `iB`, `vC`: recorded, invalidated (as bots), reinstated; lines from 1. `dA` is a duplicate."""
    kinds: dict[str, tuple[LogKind, Reason | None]] = {
        "r": ("recorded", None),
        "i": ("invalidated", "bot"),
        "d": ("invalidated", "duplicate"),
        "v": ("reinstated", "bot"),
    }
    return [
        log_row(line, kinds[word[0]][0], word[1:], 1, kinds[word[0]][1]) for line, word in enumerate(text.split(), 1)
    ]


def told(steps: Iterable[Step]) -> list[str]:
    """`3` for a single row by its line, `i1,2` for a correction by its lines."""
    return [
        str(step.row.line)
        if isinstance(step, Single)
        else {"invalidate": "i", "reinstate": "v"}[step.kind] + ",".join(str(row.line) for row in step.rows)
        for step in steps
    ]


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("", []),
        ("rA rB", ["1", "2"]),
        ("rA iA iB iC rD", ["1", "i2,3,4", "5"]),
        ("iA rD iB rE", ["2", "i1,3", "4"]),
        ("iA dB iC dD", ["i1,3", "i2,4"]),
        ("iA vA iB", ["i1", "v2", "i3"]),
        ("iA rB rA iB", ["i1", "2", "3", "i4"]),
        ("iA iB rC rA iD rE", ["i1,2", "3", "4", "i5", "6"]),
        ("iA iA iB", ["i1,2,3"]),
        ("iA iB dA iC", ["i1,2", "i3", "i4"]),
        ("iA dB dA iB", ["i1", "i2,3", "i4"]),
    ],
)
def test_a_correction_gathers_its_rows_where_the_last_of_them_stands(text: str, steps: list[str]) -> None:
    """If rows of one time and reason stand apart, then they are one, unless a signer of them has a row in between."""
    assert told(plan(log(text))) == steps


def test_other_times_kinds_and_reasons_are_other_corrections() -> None:
    """If invalidations differ in time or reason, or one is a reinstatement, then each is a decision of its own."""
    rows = [
        log_row(1, "invalidated", "A", 1, "bot"),
        log_row(2, "invalidated", "B", 2, "bot"),
        log_row(3, "invalidated", "C", None, "bot"),
        log_row(4, "invalidated", "D", 1, "duplicate"),
        log_row(5, "reinstated", "E", 1, "bot"),
        log_row(6, "invalidated", "F", None, "bot"),
    ]
    steps = list(plan(rows))
    assert told(steps) == ["i1", "i2", "i4", "v5", "i3,6"]
    assert steps[-1] == Correction("invalidate", None, "bot", (rows[2], rows[5]))


ROWS = st.lists(
    st.builds(
        log_row,
        line=st.just(0),
        kind=st.sampled_from(["recorded", "withdrawn", "invalidated", "invalidated", "reinstated"]),
        signer=st.sampled_from("ABCDEF"),
        time=st.sampled_from([None, 1, 2]),
        reason=st.sampled_from(["bot", "mistake"]),
    ),
    max_size=25,
).map(
    lambda rows: [
        replace(row, line=line, reason=row.reason if row.kind in ("invalidated", "reinstated") else None)
        for line, row in enumerate(rows, 2)
    ]
)


def rows_of(steps: Iterable[Step]) -> list[LogRow]:
    return [row for step in steps for row in ((step.row,) if isinstance(step, Single) else step.rows)]


def key(row: LogRow) -> tuple[object, ...] | None:
    return (row.kind, row.at, row.reason) if row.kind in ("invalidated", "reinstated") else None


@given(ROWS)
def test_a_plan_holds_every_row_once_and_turns_no_signers_rows_round(rows: list[LogRow]) -> None:
    """If a log is planned, then its rows are the same, and each signer's stand in the order of the file."""
    planned = rows_of(plan(rows))
    assert Counter(row.line for row in planned) == Counter(row.line for row in rows)
    for signer in "ABCDEF":
        assert [row.line for row in planned if row.signer == signer] == [
            row.line for row in rows if row.signer == signer
        ]


@given(ROWS)
def test_steps_stand_in_the_order_of_their_last_rows(rows: list[LogRow]) -> None:
    """If a step is a row or a correction, then it stands where its last row stood, so that single rows never move."""
    lasts = [step.row.line if isinstance(step, Single) else step.rows[-1].line for step in plan(rows)]
    assert lasts == sorted(lasts)


@given(ROWS)
def test_a_correction_is_of_one_kind_time_and_reason_and_cut_only_where_it_must_be(rows: list[LogRow]) -> None:
    """If rows of a correction stand side by side they stay together; two of one key are parted by a row in between."""
    corrections = [step for step in plan(rows) if isinstance(step, Correction)]
    for step in corrections:
        assert {key(row) for row in step.rows} == {(step.kind + "d", step.at, step.reason)}
        assert [row.line for row in step.rows] == sorted(row.line for row in step.rows)
    of_line = {row.line: number for number, step in enumerate(corrections) for row in step.rows}
    for _, run in groupby(rows, key):
        lines = [row.line for row in run if key(row)]
        assert len({of_line[line] for line in lines}) <= 1
    for number, step in enumerate(corrections):
        later = [other for other in corrections[number + 1 :] if key(other.rows[0]) == key(step.rows[0])]
        if later:
            signers = {row.signer for row in step.rows}
            between = [row for row in rows if step.rows[0].line < row.line < later[0].rows[0].line]
            assert any(row.signer in signers and key(row) != key(step.rows[0]) for row in between)


@given(ROWS)
def test_reading_the_log_again_gives_the_same_plan_as_holding_it(rows: list[LogRow]) -> None:
    """If the rows can be read a second time, then the plan is the one that holding them makes."""
    assert list(plan(iter(rows), lambda: iter(rows))) == list(plan(iter(rows)))


def test_a_log_without_corrections_streams_and_is_read_once() -> None:
    """If no row belongs to a correction, then every row goes by as it comes, though the log never ends."""

    def endless() -> Iterator[LogRow]:
        line = 0
        while True:
            line += 1
            yield log_row(line)

    def never() -> Iterator[LogRow]:
        raise AssertionError("read again")

    steps = plan(endless(), never)
    assert [next(steps) for _ in range(3)] == [Single(log_row(line)) for line in (1, 2, 3)]


def test_a_log_that_can_be_read_again_streams_even_with_corrections() -> None:
    """If a correction spans a log, then with a second reading other rows are planned before the log is at its end."""
    rows = log("iA rB rC iD rE")
    drawn = 0

    def counted() -> Iterator[LogRow]:
        nonlocal drawn
        for row in rows:
            drawn += 1
            yield row

    steps = plan(counted(), lambda: rows)
    assert told([next(steps)]) == ["2"]
    assert drawn == 2
    assert told(steps) == ["3", "i1,4", "5"]


def test_rows_of_a_correction_are_not_lost_where_the_log_was_cut_between_its_readings() -> None:
    """If the first reading saw more rows than the second, then what is left of an open correction still is one."""
    rows = log("rA iB iC")
    assert told(plan(rows[:2], lambda: rows)) == ["1", "i2"]
