"""Ladders: which rung is the goal, and which were crossed on the way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.ladders import (
    GOALS,
    MAX_RUNG,
    MILESTONES,
    Crossing,
    LadderKind,
    LadderRefused,
    checked_ladder,
    crossed,
    goal,
    read_ladder,
    remaining,
)

LADDERS = st.sets(st.integers(1, 60), min_size=1, max_size=12).map(lambda rungs: tuple(sorted(rungs)))
COUNTS = st.integers(0, 65)


def test_the_built_in_milestones_are_those_of_the_design() -> None:
    """If milestones are asked for by name, then they are the announced ones."""
    assert read_ladder("38degrees", "milestones") == (
        *(10, 25, 50, 100, 500, 1000, 5000, 10000),
        *(25000, 50000, 100000, 250000, 500000, 1000000),
    )
    assert read_ladder("uk-parliament", "milestones") == read_ladder("uk-parliament", "goals") == (10000, 100000)


def test_the_built_in_goals_are_those_of_the_design() -> None:
    """If goals are asked for by name, then they climb as the design says and end at ten million."""
    goals = read_ladder("38degrees", "goals")
    assert goals[:8] == (100, 200, 300, 400, 500, 600, 800, 1000)
    assert goals[7:17] == tuple(range(1000, 11000, 1000))
    assert goals[17:27] == (15000, 20000, 25000, 30000, 35000, 40000, 45000, 50000, 75000, 100000)
    assert goals[26:] == tuple(range(100000, 10000001, 100000))


@pytest.mark.parametrize("ladder", [*GOALS.values(), *MILESTONES.values()])
def test_every_built_in_ladder_is_a_ladder(ladder: tuple[int, ...]) -> None:
    """If a ladder is built in, then it passes the check that others must, also when written out as numbers."""
    assert checked_ladder(ladder) == ladder
    assert read_ladder(",".join(map(str, ladder)), "goals") == ladder


def test_the_goal_lies_strictly_above_the_count() -> None:
    """If 367 have signed, then 33 are missing until 400; if exactly 400 have, then the goal is 500."""
    goals = GOALS["38degrees"]
    assert (goal(367, goals), remaining(367, goals)) == (400, 33)
    assert (goal(400, goals), remaining(400, goals)) == (500, 100)
    assert (goal(0, goals), remaining(0, goals)) == (100, 100)
    assert (goal(10_000_000, goals), remaining(10_000_000, goals)) == (None, None)


@given(COUNTS, LADDERS)
def test_the_goal_is_the_lowest_rung_above(count: int, rungs: tuple[int, ...]) -> None:
    """If any count meets any ladder, then the goal is the minimum of the rungs above it."""
    above = [rung for rung in rungs if rung > count]
    assert goal(count, rungs) == min(above, default=None)
    assert remaining(count, rungs) == (min(above) - count if above else None)


def one_by_one(before: int, after: int, rungs: tuple[int, ...]) -> list[tuple[int, Crossing]]:
    seen: list[tuple[int, Crossing]] = []
    count = before
    while count < after:
        count += 1
        seen += [(rung, "reached") for rung in rungs if rung == count]
    while count > after:
        count -= 1
        seen += [(rung, "fell") for rung in rungs if rung == count + 1]
    return seen


@given(COUNTS, COUNTS, LADDERS)
def test_a_jump_crosses_what_single_steps_cross(before: int, after: int, rungs: tuple[int, ...]) -> None:
    """If a count jumps, then it crosses the same rungs in the same order as if it had moved by ones."""
    assert crossed(before, after, rungs) == one_by_one(before, after, rungs)


def test_a_fall_takes_rungs_from_above() -> None:
    """If a count falls from 60 to 9, then it falls below 50, 25 and 10, in this order; at exactly 10 it has not."""
    ladder = MILESTONES["38degrees"]
    assert crossed(60, 9, ladder) == [(50, "fell"), (25, "fell"), (10, "fell")]
    assert crossed(60, 10, ladder) == [(50, "fell"), (25, "fell")]
    assert crossed(9, 10, ladder) == [(10, "reached")]
    assert crossed(10, 10, ladder) == []


@pytest.mark.parametrize(
    ("text", "rungs"), [("10", (10,)), ("1,2,3", (1, 2, 3)), ("10, 25", (10, 25)), (str(MAX_RUNG), (MAX_RUNG,))]
)
def test_numbers_with_commas_make_a_ladder(text: str, rungs: tuple[int, ...]) -> None:
    """If rungs are written out, then they are read in order."""
    assert read_ladder(text, "milestones") == rungs


@pytest.mark.parametrize("kind", ["goals", "milestones"])
@pytest.mark.parametrize(
    "text",
    [
        *("", ",", "1,", ",1", "a", "38Degrees", "-1", "0", "0,1", "2,1", "1,1", "1.5", "1e3", "0x10", "1_000", "+1"),
        *("10 25", "١٢", "1\n", str(MAX_RUNG + 1), "9" * 5000, ",".join(map(str, range(1, 202)))),
    ],
)
def test_what_is_no_ladder_is_refused(text: str, kind: LadderKind) -> None:
    """If a text is no name and no strictly increasing list of positive numbers, then it is refused, unrepeated."""
    with pytest.raises(LadderRefused) as refusal:
        read_ladder(text, kind)
    assert len(text) < 5 or text not in str(refusal.value)
