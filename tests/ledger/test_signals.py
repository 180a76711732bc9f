"""Signals: what is planted in an ordinary history is found, and an ordinary history is left alone."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.signals import SHOWN, Signal
from tests.ledger.planting import DAY, HOUR, START, Signed, held, ordinary, planted, seen

ORDINARY = ordinary(7)


def found(kind: str, rows: list[Signed], **said: object) -> list[Signal]:
    """The signals of a kind."""
    return [each for each in seen(rows, **said) if each.kind == kind]  # type: ignore[arg-type]  # as `seen` takes it


@settings(max_examples=15)
@given(st.integers(0, 2**32), st.integers(1, 40))
def test_an_ordinary_history_gives_no_signal(seed: int, days: int) -> None:
    """If people sign as people do, by day and by night, more at the launch than later, then nothing is pointed at."""
    assert seen(ordinary(seed, many=1_000, days=days)) == ()


def test_a_network_that_the_whole_history_is_full_of_is_found() -> None:
    """If three eighths of all come from one network, spread evenly, then it is the first signal, and its condition is
    the network alone."""
    fraud = planted(1_200, START, 10 * DAY, ip="203.0.113.7", domain="gmail.com")
    first, *_ = seen(ORDINARY + fraud)
    assert (first.kind, first.count, first.matched) == ("network", 1_200, 1_200)
    assert first.where == {"network": "203.0.113.0/24"}
    assert "203.0.113.0/24" not in first.rule
    assert first.expected < 10


def test_a_network_of_the_sixth_version_is_one_of_48_bits() -> None:
    """If fraud changes its address within a /48, then the /48 is found."""
    fraud = [Signed(each.at, f"2001:db9:1:{n:x}::1") for n, each in enumerate(planted(300, START + 3 * DAY, DAY))]
    (signal,) = found("network", ORDINARY + fraud)
    assert signal.where["network"] == "2001:db9:1::/48"


def test_a_domain_is_found_by_what_it_usually_is_here() -> None:
    """If a provider that half of all people use stays so, then it is no signal; if a domain comes up within a day, then
    it is; and if a usual domain has far more than its share within a day, then its condition is that day."""
    fraud = planted(300, START + 4 * DAY, DAY / 4, domain="bots.example.org")
    (signal,) = found("email-domain", ORDINARY + fraud)
    assert signal.where == {"email_domain": "bots.example.org"}
    assert (signal.count, signal.matched, signal.expected) == (300, 300, 0)
    fraud = planted(900, START + 4 * DAY, DAY / 4, domain="gmx.de")
    fraud += planted(200, START, 10 * DAY, domain="gmx.de")
    (signal,) = found("email-domain", ORDINARY + fraud)
    assert set(signal.where) == {"email_domain", "recorded_between"}
    assert signal.where["email_domain"] == "gmx.de"
    assert 900 <= signal.count < 1_100 - 50


@pytest.mark.parametrize(("days", "within"), [(10, HOUR), (1, timedelta(minutes=3))])
def test_a_burst_is_found_against_the_rhythm_around_it(days: int, within: timedelta) -> None:
    """If many sign within an hour of a history of days, or within minutes of one of hours, then that stretch is found,
    exactly from its first to its last."""
    rows = ordinary(11, days=days)
    fraud = planted(400, START + DAY * days / 2, within)
    (signal,) = found("burst", rows + fraud)
    assert signal.count >= 400
    assert signal.matched == signal.count
    earliest, latest = signal.where["recorded_between"]
    assert signal.earliest <= fraud[0].at <= fraud[-1].at <= signal.latest <= fraud[-1].at + HOUR
    assert (earliest < latest, set(signal.where)) == (True, {"recorded_between"})


def test_what_a_file_brought_is_no_burst() -> None:
    """If an import records a thousand at once, then the rhythm does not know of them."""
    assert found("burst", ORDINARY + planted(1_000, START + 5 * DAY, HOUR, channel="import")) == []


def test_a_petition_too_young_to_have_a_rhythm_has_no_bursts() -> None:
    """If all signed within a few minutes, then nothing is said of what would be usual."""
    assert found("burst", planted(500, START, timedelta(minutes=5))) == []


def test_addresses_that_are_thrown_away_are_a_signal_from_the_first_on() -> None:
    """If somebody signs by a disposable address, then the domain is named, and how many did."""
    rows = ORDINARY + planted(3, START + DAY, HOUR, domain="mailinator.com")
    (signal,) = found("disposable-domain", rows, disposable=("mailinator.com", "yopmail.com"))
    assert (signal.where, signal.matched) == ({"email_domain": "mailinator.com"}, 3)
    assert signal.reason == "disposable-address"
    assert found("disposable-domain", ORDINARY, disposable=("mailinator.com",)) == []


def test_an_area_with_more_signatures_than_people_is_found() -> None:
    """If more signed from a region than live there, then it is a signal; at exactly as many, and where nobody knows how
    many people there are, it is none."""
    rows = ORDINARY + planted(50, START + DAY, 9 * DAY, country="GB", region="W1")
    (signal,) = found("area", rows, people={"W1": 49, "E1": 100_000})
    assert (signal.where, signal.matched) == ({"area": {"country": "GB", "region": "W1"}}, 50)
    assert found("area", rows, people={"W1": 50}) == found("area", rows) == []


def test_confirmations_that_were_stored_up_are_found() -> None:
    """If many that were recorded over days are confirmed within minutes, long afterwards, then the hour is found, and
    its condition is when they were recorded and when they were confirmed."""
    moment = START + 8 * DAY
    fraud = [
        Signed(each.at, each.ip, each.domain, confirmed_at=moment + timedelta(seconds=n))
        for n, each in enumerate(planted(120, START + DAY, 4 * DAY))
    ]
    (signal,) = found("stored-up-confirmations", ORDINARY + fraud)
    assert set(signal.where) == {"recorded_between", "confirmed_between"}
    assert 120 <= signal.count == signal.matched <= 130
    prompt = planted(120, moment - HOUR, HOUR / 2, confirmed_at=moment)
    assert found("stored-up-confirmations", ORDINARY + prompt) == []


def test_what_was_corrected_is_no_signal_any_more() -> None:
    """If a correction holds the fraud, then its signal is gone; where only a part is held, the rest is told, and all
    that the condition would find."""
    rows = ORDINARY + planted(1_200, START, 10 * DAY, ip="203.0.113.7", domain="gmail.com")
    assert found("network", held(rows, lambda row: row.ip == "203.0.113.7")) == []
    (signal,) = found("network", held(rows, lambda row: row.ip == "203.0.113.7" and row.at < START + 5 * DAY))
    assert (signal.count, signal.matched, set(signal.where)) == (600, 1_200, {"network"})


def test_signals_are_bounded() -> None:
    """If there are more signals of a kind than anybody reads, then the greatest are told."""
    rows = list(ORDINARY)
    for n in range(SHOWN + 5):
        rows += planted(40 + n, START + DAY * (1 + n / 4), HOUR, domain=f"b{n}.example.org")
    signals = found("email-domain", rows)
    assert len(signals) == SHOWN
    assert [each.excess for each in signals] == sorted((each.excess for each in signals), reverse=True)


def test_no_evidence_gives_no_signal_of_it() -> None:
    """If sites send neither addresses nor networks, then the history's rhythm alone is looked at."""
    assert seen([Signed(each.at) for each in ORDINARY]) == ()
