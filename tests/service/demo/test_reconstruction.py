"""The reconstruction passes through every published number, and is a history that people could have made."""

import csv
import os
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Literal, assert_never
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.demo.reconstruction import (
    OPENED_AT,
    SEED,
    Act,
    Anchor,
    Declaration,
    Reported,
    Unreachable,
    reconstruct,
)

ROOT = Path(__file__).parents[3]
LONDON = ZoneInfo("Europe/London")
SEEDS = (SEED, 1, 2, 3, 38)
LADDER = (10, 25, 50, 100, 500, 1000, 5000, 10000)
REASONS = {"duplicate", "bot", "disposable-address", "false-identity", "mistake", "test-entry"}

History = Sequence[Act | Declaration]


@cache
def published() -> tuple[Anchor, ...]:
    """The published page, oldest first."""
    kinds: dict[str, Literal["milestone", "status"]] = {"milestone": "milestone", "status": "status"}
    with (ROOT / "service/demo/page.csv").open(encoding="utf-8", newline="") as page:
        rows = [
            Anchor(datetime.strptime(row["at"], "%Y-%m-%d %H:%M:%S %z"), kinds[row["kind"]], int(row["count"]))
            for row in csv.DictReader(page)
        ]
    return tuple(reversed(rows))


@cache
def history_of(seed: int) -> tuple[Act | Declaration, ...]:
    return tuple(reconstruct(published(), seed))


def recount(history: History) -> Iterator[tuple[int, Act | Declaration]]:
    """The count after each entry, from who stands. Fails where an act could not have happened."""
    standing: set[str] = set()
    held: set[str] = set()
    for entry in history:
        if isinstance(entry, Act):
            match entry.kind:
                case "recorded":
                    assert entry.signer not in standing
                    assert entry.signer not in held
                    standing.add(entry.signer)
                case "withdrawn":
                    standing.remove(entry.signer)
                case "invalidated":
                    standing.remove(entry.signer)
                    held.add(entry.signer)
                case _:
                    assert_never(entry.kind)
        yield len(standing), entry


def acts_of(history: History) -> list[Act]:
    return [entry for entry in history if isinstance(entry, Act)]


def assert_passes_through(anchors: Sequence[Anchor], history: History) -> None:
    """Everything that `reconstruct` promises of any anchors."""
    counted = list(recount(history))
    declared = [(entry.at, count) for count, entry in counted if isinstance(entry, Declaration)]
    assert declared == [(anchor.at, anchor.count) for anchor in anchors if anchor.kind == "status"]
    assert all(entry.reported_count == count for count, entry in counted if isinstance(entry, Declaration))

    for rung in (anchor for anchor in anchors if anchor.kind == "milestone"):
        first = next(index for index, (count, _) in enumerate(counted) if count >= rung.count)
        count, entry = counted[first]
        assert (count, entry.at) == (rung.count, rung.at)
        assert isinstance(entry, Act)
        assert entry.kind == "recorded"
        assert min(count for count, _ in counted[first:]) == rung.count

    for index, anchor in enumerate(anchors):
        in_that_second = [act for act in acts_of(history) if anchor.at <= act.at < anchor.at + timedelta(seconds=1)]
        assert len(in_that_second) == (1 if anchor.kind == "milestone" else 0)
        if all(anchor.count < later.count for later in anchors[index + 1 :]):
            afterwards = [count for count, entry in counted if isinstance(entry, Act) and entry.at > anchor.at]
            assert anchor.count not in afterwards

    for earlier, later in pairwise(anchors):
        if later.count < earlier.count:
            between = {act.kind for act in acts_of(history) if earlier.at < act.at < later.at}
            assert between == {"recorded", "withdrawn", "invalidated"}

    for (_, before), (_, after) in pairwise(counted):
        assert before.at <= after.at
        if before.at == after.at:
            assert isinstance(before, Act)
            assert isinstance(after, Act)
            assert (before.kind, after.kind) == ("invalidated", "invalidated")
            assert before.reason == after.reason

    assert not history or (counted[-1][0], history[-1].at) == (anchors[-1].count, anchors[-1].at)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_recount_of_the_acts_equals_the_published_page(seed: int) -> None:
    """If the acts are recounted one by one, then all 19 entries come out, to the second and to the signature."""
    history = history_of(seed)
    assert_passes_through(published(), history)
    reached: dict[int, datetime] = {}
    for count, entry in recount(history):
        if count in LADDER:
            reached.setdefault(count, entry.at)
    assert reached == {anchor.count: anchor.at for anchor in published() if anchor.kind == "milestone"}
    assert tuple(reached) == LADDER


@pytest.mark.parametrize("seed", SEEDS)
def test_after_the_last_declaration_of_13163_nothing_happens(seed: int) -> None:
    """If the page ends with 13,163 on 31 January 2018, then so does its reconstruction."""
    last = history_of(seed)[-1]
    assert last == Declaration(datetime(2018, 1, 31, 9, 56, 46, tzinfo=UTC), "successful", 13163)


@pytest.mark.parametrize("seed", SEEDS)
def test_it_opens_in_the_evening_before_the_first_milestone(seed: int) -> None:
    """If ten had signed by 02:11:09 on 17 May, then the first signed after the opening, a good while before."""
    first = history_of(seed)[0]
    assert OPENED_AT < first.at < published()[0].at - timedelta(minutes=30)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_claims_of_the_article_of_19_may_are_true(seed: int) -> None:
    """If an article of 19 May 2014 said "8,363 within 72 hours" and "more than 8,000", then both hold, below 10,000."""
    history = history_of(seed)
    within_72_hours = [count for count, entry in recount(history) if entry.at <= history[0].at + timedelta(hours=72)]
    assert 8363 <= max(within_72_hours) < 10000
    end_of_the_day = datetime(2014, 5, 20, tzinfo=LONDON)
    on_19_may = [count for count, entry in recount(history) if entry.at < end_of_the_day]
    assert 8000 < on_19_may[-1] < 10000


@pytest.mark.parametrize("seed", SEEDS)
def test_the_walk_from_13158_to_13163_is_itemised_and_never_returns_to_13158(seed: int) -> None:
    """If drift is asked from 13,158 to 13,163, then each step has a handful of causes, and each fall both kinds."""
    start, end = datetime(2016, 11, 18, 10, 42, 40, tzinfo=UTC), published()[-1].at
    walk = [(count, entry) for count, entry in recount(history_of(seed)) if start < entry.at <= end]
    assert 13158 not in {count for count, _ in walk}
    legs: list[Counter[str]] = [Counter()]
    for _, entry in walk:
        if isinstance(entry, Declaration):
            legs.append(Counter())
        else:
            legs[-1][entry.kind] += 1
    to_13162, to_13161, to_13160, to_13163, nothing = legs
    assert not nothing
    for leg, net in ((to_13162, 4), (to_13161, -1), (to_13160, -1), (to_13163, 3)):
        assert leg["recorded"] - leg["withdrawn"] - leg["invalidated"] == net
        assert 2 <= leg.total() <= 9
    for fall in (to_13161, to_13160):
        assert fall["withdrawn"] >= 1
        assert fall["invalidated"] >= 1


@pytest.mark.parametrize("seed", SEEDS)
def test_about_one_act_in_a_hundred_removes_a_signature(seed: int) -> None:
    """If 13,163 stand at the end, then about 13,300 signed, and removals are spread over the whole history."""
    acts = acts_of(history_of(seed))
    kinds = Counter(act.kind for act in acts)
    assert 13260 <= kinds["recorded"] <= 13360
    assert kinds["withdrawn"] >= 30
    assert kinds["invalidated"] >= 30
    assert kinds["recorded"] - kinds["withdrawn"] - kinds["invalidated"] == 13163
    months = {act.at.strftime("%Y-%m") for act in acts if act.kind != "recorded"}
    assert len(months) >= 6
    assert {act.reason for act in acts if act.kind == "invalidated"} <= REASONS
    assert {act.reason for act in acts if act.kind != "invalidated"} == {None}


@pytest.mark.parametrize("seed", SEEDS)
def test_some_invalidations_come_in_groups_of_one_instant_and_reason(seed: int) -> None:
    """If several signatures fall by one decision, then they share its instant and reason: one correction."""
    groups: defaultdict[datetime, list[Act]] = defaultdict(list)
    for act in acts_of(history_of(seed)):
        if act.kind == "invalidated":
            groups[act.at].append(act)
    assert all(len({act.reason for act in group}) == 1 for group in groups.values())
    sizes = [len(group) for group in groups.values()]
    assert sum(size > 1 for size in sizes) >= 3
    assert sizes.count(1) >= 3


@pytest.mark.parametrize("seed", SEEDS)
def test_a_few_who_withdrew_sign_again_as_the_same_signer(seed: int) -> None:
    """If somebody signs a second time, then she withdrew before (the recount refuses any other), and a few do."""
    signings = Counter(act.signer for act in acts_of(history_of(seed)) if act.kind == "recorded")
    assert 3 <= sum(times > 1 for times in signings.values()) <= 30


@pytest.mark.parametrize("seed", SEEDS)
def test_signers_are_numbered_and_mostly_british(seed: int) -> None:
    """If a signer is named, then by the ordinal of the first signature; the country stands with recordings alone."""
    acts = acts_of(history_of(seed))
    signers = list(dict.fromkeys(act.signer for act in acts))
    assert signers == [f"SIM-{ordinal:05d}" for ordinal in range(1, len(signers) + 1)]
    countries = Counter(act.country for act in acts if act.kind == "recorded")
    assert set(countries) == {"GB", "IE", "FR", "DE", "US", "ES", None}
    assert 0.85 < countries["GB"] / countries.total() < 0.98
    assert {act.country for act in acts if act.kind != "recorded"} == {None}
    assert len({(act.signer, act.country) for act in acts if act.kind == "recorded"}) == len(signers)


@pytest.mark.parametrize("seed", SEEDS)
def test_nights_are_quiet_and_days_differ(seed: int) -> None:
    """If it is between 1 and 6 in London, then hardly anybody signs; and days of June 2014 are not all alike."""
    local = [act.at.astimezone(LONDON) for act in acts_of(history_of(seed))]
    assert sum(1 <= at.hour < 6 for at in local) / len(local) < 0.03
    june = Counter(at.date() for at in local if (at.year, at.month) == (2014, 6))
    assert max(june.values()) > 2 * sorted(june.values())[len(june) // 2]


def test_one_seed_is_one_history_under_any_hash_seed() -> None:
    """If the interpreter hashes differently, or the anchors come newest first, then not a microsecond changes."""
    program = (
        "import datetime; from service.demo.reconstruction import Anchor, reconstruct;"
        f"print(reconstruct({published()!r}))"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for hash_seed in ("0", "1", "4711")
    }
    assert printed == {f"{list(history_of(SEED))}\n"}
    assert tuple(reconstruct(published()[::-1])) == history_of(SEED)
    assert history_of(SEED) != history_of(1)


def test_the_whole_history_is_made_in_half_a_second() -> None:
    """If the demonstration needs the history, then it takes less than 0.5 s of processor time (best of three)."""
    spent = []
    for _ in range(3):
        start = time.process_time()
        reconstruct(published())
        spent.append(time.process_time() - start)
    assert min(spent) < 0.5


@st.composite
def plausible_pages(draw: st.DrawFn) -> tuple[Anchor, ...]:
    """Anchors that a page could show: rungs in order, statuses between the last rung and the next, up to 90 days."""
    ladder = [10, 25, 50, 100, 500]
    anchors: list[Anchor] = []
    at, floor = OPENED_AT, 0
    gaps = st.one_of(st.integers(2, 90), st.integers(3600, 86400), st.sampled_from((9 * 86400, 20 * 86400)))
    for gap, crosses in draw(st.lists(st.tuples(gaps, st.booleans()), max_size=10)):
        at += timedelta(seconds=gap)
        if ladder and crosses:
            floor = ladder.pop(0)
            anchors.append(Anchor(at, "milestone", floor))
        else:
            highest = ladder[0] - 1 if ladder else floor + 300
            anchors.append(Anchor(at, "status", draw(st.integers(floor, highest))))
    return tuple(anchors)


@given(anchors=plausible_pages(), seed=st.integers(0, 2**32))
@settings(max_examples=150, deadline=None)
def test_any_plausible_page_is_reconstructed(anchors: tuple[Anchor, ...], seed: int) -> None:
    """If a page could have been counted by people, then some people are simulated who make its numbers."""
    assert_passes_through(anchors, reconstruct(anchors, seed, reported=()))


@given(anchors=plausible_pages(), data=st.data())
@settings(max_examples=50, deadline=None)
def test_a_reported_number_is_met_at_its_instant(anchors: tuple[Anchor, ...], data: st.DataObject) -> None:
    """If somebody read a possible number off the page, then it stands at that instant, and the page is unchanged."""
    end = Anchor((anchors[-1].at if anchors else OPENED_AT) + timedelta(days=2), "status", 900)
    highest = max((anchor.count for anchor in anchors), default=0)
    report = Reported(end.at - timedelta(days=1), data.draw(st.integers(highest + 1, 900)))
    page = (*anchors, end)
    history = reconstruct(page, reported=[report])
    assert_passes_through(page, history)
    assert [count for count, entry in recount(history) if entry.at <= report.at][-1] == report.count


AT = OPENED_AT + timedelta(hours=1)
LATER = AT + timedelta(hours=1)


@pytest.mark.parametrize(
    "anchors",
    [
        pytest.param([Anchor(AT, "milestone", 25), Anchor(LATER, "milestone", 10)], id="rungs-fall"),
        pytest.param([Anchor(AT, "milestone", 10), Anchor(LATER, "milestone", 10)], id="a-rung-twice"),
        pytest.param([Anchor(AT, "status", 10), Anchor(LATER, "milestone", 10)], id="a-status-at-the-next-rung"),
        pytest.param([Anchor(AT, "milestone", 10), Anchor(LATER, "status", 9)], id="a-status-below-the-last-rung"),
        pytest.param([Anchor(AT, "status", -1)], id="less-than-nobody"),
        pytest.param([Anchor(AT, "milestone", 10), Anchor(AT, "status", 10)], id="two-in-one-second"),
        pytest.param([Anchor(OPENED_AT, "milestone", 10)], id="at-the-opening"),
        pytest.param([Anchor(AT, "status", 1), Anchor(AT + timedelta(seconds=1), "status", 2)], id="no-time"),
        pytest.param([Anchor(AT, "status", 1), Anchor(AT + timedelta(seconds=2), "status", 1500)], id="too-many"),
        pytest.param([Anchor(AT.replace(tzinfo=None), "status", 1)], id="a-naive-time"),
    ],
)
def test_a_page_that_nobody_could_have_counted_is_refused(anchors: list[Anchor]) -> None:
    """If no history passes through the anchors, then that is said, and none is made up."""
    with pytest.raises(Unreachable):
        reconstruct(anchors, reported=())


def test_a_number_reported_after_the_last_anchor_is_refused() -> None:
    """If a number is reported after the page ends, then it is refused: the reconstruction ends with the page."""
    with pytest.raises(Unreachable):
        reconstruct([Anchor(AT, "status", 1)], reported=[Reported(LATER, 2)])
