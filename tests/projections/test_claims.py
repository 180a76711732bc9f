"""Claims: what a log proves of a number that somebody said, and what it leaves open."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from projections.asking.claims import judge
from projections.asking.petitions import head_of_log
from projections.claims import (
    AS_NOW_KNOWN,
    Bounds,
    Claim,
    ClaimRefused,
    Window,
    claim_view,
    duration_text,
    first_counted,
    itemised_bounds,
    observed_bounds,
    read_claim,
    verdict,
    window_of,
)
from projections.counting import Entry, count_as_of, count_effective
from schemas.commands import ObserveCount, WithdrawSignature
from schemas.instants import parse_instant, read_duration
from schemas.views import ClaimView
from tests.histories import BEGINNING, History, histories, opening, signing, token_of
from tests.projections.entries import NEAR, entries_of, on_a_database, petitions_of, stored, the_page

LATER = datetime(2099, 1, 1, tzinfo=UTC)
WITHIN = st.sampled_from([timedelta(seconds=1), timedelta(seconds=20), timedelta(days=10), timedelta(days=40)])
CLAIMS = st.builds(
    Claim,
    kind=st.sampled_from(["at_least", "exactly"]),
    count=st.integers(0, 8),
    at=st.none(),
    within=st.none(),
).flatmap(
    lambda claim: st.one_of(
        st.just(claim),
        NEAR.map(lambda at: Claim(claim.kind, claim.count, at=at)),
        WITHIN.map(lambda within: Claim(claim.kind, claim.count, within=within)),
    )
)


def _second(seconds: int) -> datetime:
    return BEGINNING + timedelta(seconds=seconds)


def _step(position: int, at: int, delta: int, *, dated: bool = True) -> Entry:
    data = {} if dated else {"at_known": False}
    return Entry(position, "signature.recorded.v1", _second(at), _second(1000 + position), delta, data)


@given(st.lists(st.tuples(st.integers(0, 20), st.sampled_from([1, 1, -1])), max_size=12), st.integers(0, 25))
def test_an_itemised_count_at_an_instant_is_one_number(steps: list[tuple[int, int]], at: int) -> None:
    """If every event is dated, then the interval at an instant is the count effective by it, and no more."""
    entries = [_step(position, time, delta) for position, (time, delta) in enumerate(steps, start=1)]
    bounds = itemised_bounds(entries, 1, Window(None, _second(at)), LATER)
    count = max(count_effective(entries, _second(at), len(entries)), 0)
    assert (bounds.lower, bounds.upper) == (count, count)


@given(
    st.lists(st.tuples(st.integers(0, 9), st.sampled_from([1, 1, -1]), st.booleans()), max_size=5),
    st.integers(0, 9),
    st.none() | st.integers(0, 9),
)
@settings(max_examples=60)
def test_the_interval_holds_the_truth_wherever_the_undated_events_happened(
    steps: list[tuple[int, int, bool]], end: int, length: int | None
) -> None:
    """If undated events are put at any time until they were recorded, then the interval still holds the true number."""
    entries = [
        _step(position, time, delta, dated=dated) for position, (time, delta, dated) in enumerate(steps, start=1)
    ]
    start = None if length is None else _second(max(end - length, 0))
    window = Window(start, _second(end))
    bounds = itemised_bounds(entries, 1, window, LATER)
    undated = [entry for entry in entries if not entry.at_known]
    # Between any two seconds nothing else happens; "before everything" stands for all earlier times.
    choices = [range(-1, int((entry.effective - BEGINNING).total_seconds()) + 1) for entry in undated]
    for chosen in itertools.islice(itertools.product(*choices), 300):
        times = {entry.position: _second(at) for entry, at in zip(undated, chosen, strict=True)}
        truth = [(times.get(entry.position, entry.effective), entry.delta) for entry in entries]
        instants = [end] if length is None else range(max(end - length, 0), end + 1)
        highest = max(sum(delta for at, delta in truth if at <= _second(instant)) for instant in instants)
        # Events of one second happen one after the other: the count enters the window with what stood before it, and
        # passes through each of its steps.
        first = _second(instants[0])
        through, count = highest, sum(delta for at, delta in truth if at < first)
        for _, delta in sorted((each for each in truth if first <= each[0] <= _second(end)), key=lambda each: each[0]):
            through = max(through, count)
            count += delta
        assert bounds.lower <= max(highest if length is None else max(through, count), 0)
        assert bounds.upper is not None
        # Several events of one second pass through counts between: the interval may hold those as well.
        assert highest <= bounds.upper


@given(histories(), st.integers(0, 8))
def test_as_now_known_a_claim_is_about_the_count(history: History, count: int) -> None:
    """If neither a time nor a window is named, then the interval is the count, dated or not, on either basis."""
    for petition in petitions_of(history):
        entries = entries_of(history, petition)
        if entries[0].data["basis"] == "itemised":
            bounds = itemised_bounds(entries, count, AS_NOW_KNOWN, LATER)
        elif any(entry.type == "count.observed.v1" for entry in entries):
            bounds = observed_bounds(entries, AS_NOW_KNOWN, LATER)
        else:
            continue
        now = count_as_of(entries, history.size)
        assert (bounds.lower, bounds.upper) == (now, now)
        assert (verdict(Claim("exactly", count), bounds) == "true") == (count == now)


@on_a_database
@given(history=histories(), data=st.data())
async def test_the_database_judges_as_the_plain_values_do(
    history: History, data: st.DataObject, ledger_database: Any
) -> None:
    """If a claim is judged in the database, then verdict, bounds and evidence are those of the plain values."""
    connection = ledger_database.superuser
    async with stored(connection, history):
        now = (await head_of_log(connection)).now
        for petition in petitions_of(history):
            entries = entries_of(history, petition)
            for _ in range(4):
                claim = data.draw(CLAIMS)
                assert await judge(connection, petition, claim) == _judged(history, petition, entries, claim, now)


def _judged(history: History, petition: int, entries: list[Entry], claim: Claim, now: datetime) -> ClaimView:
    opens_at = None
    for entry in entries:
        if "opens_at" in entry.data:
            opens_at = parse_instant(entry.data["opens_at"])
    window = window_of(claim, opens_at, first_counted(entries))
    if window is None:
        bounds = Bounds(0, None)
    elif entries[0].data["basis"] == "itemised":
        bounds = itemised_bounds(entries, claim.count, window, now)
    else:
        bounds = observed_bounds(entries, window, now)
    id = next(state.id for state in history.known.petitions.values() if state.petition == petition)
    return claim_view(id, claim, window, bounds)


# -- a real page -------------------------------------------------------------------------------------------------------


async def _on_the_page(ledger_database: Any, *claims: Claim) -> list[dict[str, Any]]:
    connection = ledger_database.superuser
    async with stored(connection, the_page()):
        return [(await judge(connection, 1, claim)).body() for claim in claims]


async def test_8363_within_72_hours_is_left_open_by_the_page(ledger_database: Any) -> None:
    """If an article says 8,363 within 72 hours, then the page proves 5,000 to 9,999, by two of its milestones."""
    (body,) = await _on_the_page(ledger_database, read_claim(8363, None, within="72h"))
    assert body == {
        "petition": "child-protection",
        "claim": {
            "at_least": 8363,
            "within": "72h",
            "from": "2014-05-17T01:11:09.000000Z",
            "to": "2014-05-20T01:11:09.000000Z",
        },
        "verdict": "undetermined",
        "lower": 5000,
        "upper": 9999,
        "evidence": [
            {"position": 8, "event": f"{8:020}", "at": "2014-05-18T06:37:17.000000Z", "count": 5000},
            {"position": 9, "event": f"{9:020}", "at": "2014-05-21T18:08:40.000000Z", "count": 10000},
        ],
    }


async def test_the_page_decides_what_its_numbers_decide(ledger_database: Any) -> None:
    """If a claim lies outside the interval, then it is decided; between two numbers an instant has no lower bound."""
    bodies = await _on_the_page(
        ledger_database,
        read_claim(5000, None, within="72h"),
        read_claim(10_000, None, within="72h"),
        read_claim(None, 10_000, within="72h"),
        read_claim(8001, None, at="2014-05-19T12:00:00+01:00"),
        read_claim(None, 13_159, at="2016-11-17 20:41:23 +0000"),
        read_claim(None, 13_158, at="2016-11-17 20:41:23 +0000"),
        read_claim(13_000, None, at="2016-12-01T00:00:00Z"),
        read_claim(None, 13_163),
        read_claim(13_164, None),
    )
    assert [(body["verdict"], body["lower"], body["upper"]) for body in bodies] == [
        ("true", 5000, 9999),
        ("false", 5000, 9999),
        ("false", 5000, 9999),
        ("undetermined", 0, 9999),
        ("true", 13_159, 13_159),
        ("false", 13_159, 13_159),
        ("undetermined", 0, None),
        ("true", 13_163, 13_163),
        ("false", 13_163, 13_163),
    ]
    assert [evidence["count"] for evidence in bodies[3]["evidence"]] == [10_000]


def test_a_rung_claimed_later_bounds_nothing_that_was_passed_before() -> None:
    """If a number above a rung was seen by the end, or the rung has an undated claim, then it is no upper bound."""
    history = History()
    history.settle(opening("p", basis="observed"))
    for count, claim, at in ((3, "page", 0), (12, "page", 5), (10, "milestone", 9), (20, "milestone", 10)):
        history.settle(ObserveCount("p", count, claim, _second(at - 100)))  # type: ignore[arg-type]
    entries = entries_of(history, 1)
    window = Window(_second(-100), _second(-92))
    assert observed_bounds(entries, window, LATER).upper == 19
    assert observed_bounds(entries, Window(None, _second(-98)), LATER).upper == 9
    history.settle(ObserveCount("p", 20, "milestone", None))
    assert observed_bounds(entries_of(history, 1), window, LATER).upper is None


def test_an_undated_number_proves_nothing_but_what_is_now_known() -> None:
    """If a page without dates shows 367, then 367 is what is now known, and no time has a number."""
    history = History()
    history.settle(opening("p", basis="observed"), ObserveCount("p", 367, "page", None))
    entries = entries_of(history, 1)
    known = observed_bounds(entries, AS_NOW_KNOWN, LATER)
    assert (known.lower, known.upper) == (367, 367)
    then = observed_bounds(entries, Window(None, entries[-1].effective), LATER)
    assert (then.lower, then.upper) == (0, None)
    assert window_of(read_claim(1, None, within="72h"), None, first_counted(entries)) is None


# -- itemised ----------------------------------------------------------------------------------------------------------


async def test_an_itemised_claim_is_decided_by_an_event(ledger_database: Any) -> None:
    """If the events are known, then a true claim names the first to reach the number, a false one the highest."""
    history = History()
    begin = BEGINNING - timedelta(days=30)
    history.settle(
        opening("bees"), *(signing("bees", str(hour), at=begin + timedelta(hours=hour)) for hour in range(4))
    )
    history.settle(WithdrawSignature("bees", None, token_of("bees", "0"), True, begin + timedelta(hours=5)))
    connection = ledger_database.superuser
    async with stored(connection, history):
        true = await judge(connection, 1, read_claim(2, None, within="2h"))
        edge = await judge(connection, 1, read_claim(3, None, within="1h59m59s"))
        highest = await judge(connection, 1, read_claim(None, 4, within="1w"))
        at = await judge(connection, 1, Claim("exactly", 3, at=begin + timedelta(hours=5)))
        now = await judge(connection, 1, read_claim(4, None))
    assert (true.verdict, true.lower, true.upper) == ("true", 3, 3)
    assert [(by.position, by.count) for by in true.evidence] == [(3, 2)]
    assert (edge.verdict, edge.lower, edge.upper) == ("false", 2, 2)
    assert [(by.position, by.count) for by in edge.evidence] == [(3, 2)]
    assert (highest.verdict, [by.position for by in highest.evidence]) == ("true", [5])
    assert (at.verdict, [by.position for by in at.evidence]) == ("true", [6])
    assert (now.verdict, now.lower, now.upper, [by.position for by in now.evidence]) == ("false", 3, 3, [6])


async def test_a_window_begins_when_the_petition_opens(ledger_database: Any) -> None:
    """If a petition says when it opens, then a window counts from there, not from the first signature."""
    history = History()
    opens = BEGINNING - timedelta(days=30)
    history.settle(opening("bees", opens_at=opens), signing("bees", "a", at=opens + timedelta(hours=2)))
    connection = ledger_database.superuser
    async with stored(connection, history):
        short = await judge(connection, 1, read_claim(1, None, within="1h"))
        long = await judge(connection, 1, read_claim(1, None, within="2h"))
    assert (short.verdict, short.lower, short.upper, short.evidence) == ("false", 0, 0, ())
    assert long.verdict == "true"


@pytest.mark.parametrize(("count", "expected"), [(1, "true"), (2, "undetermined")])
def test_a_time_that_has_not_passed_decides_only_what_was_reached(count: int, expected: str) -> None:
    """If a window is still open, then what was reached in it is true, and nothing is false yet."""
    entries = [_step(1, 0, 1)]
    claim = Claim("at_least", count, within=timedelta(hours=1))
    window = window_of(claim, None, first_counted(entries))
    assert window is not None
    assert verdict(claim, itemised_bounds(entries, count, window, _second(10))) == expected
    instant = itemised_bounds(entries, count, Window(None, _second(11)), _second(10))
    assert (instant.lower, instant.upper) == (0, None)


# -- words -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at_least", "exactly", "at", "within"),
    [
        (None, None, None, None),
        (1, 1, None, None),
        (-1, None, None, None),
        (None, 2**53, None, None),
        (1, None, "2014-05-19", None),
        (1, None, None, "72"),
        (1, None, "2014-05-19T00:00:00Z", "72h"),
    ],
)
def test_what_is_no_claim_is_refused(
    at_least: int | None, exactly: int | None, at: str | None, within: str | None
) -> None:
    """If a claim names no number or two, a bad time, or both a time and a window, then a sentence says so."""
    with pytest.raises(ClaimRefused) as refused:
        read_claim(at_least, exactly, at, within)
    assert refused.value.__context__ is None


@given(st.integers(1, 10**7))
def test_a_duration_is_written_so_that_it_is_read_again(seconds: int) -> None:
    """If a duration is told in an answer, then asking with that text means the same."""
    assert read_duration(duration_text(timedelta(seconds=seconds))) == timedelta(seconds=seconds)
