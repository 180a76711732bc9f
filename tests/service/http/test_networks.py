"""Limits by network: who is counted as one, how much each may ask, and that a limit keeps its word."""

import math
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from service.http.networks import Networks, Rates, forwarded_network, network_of, peer_network
from service.http.protocol import Limits
from service.rates import Bucket, Shares, per_second
from service.settings import Settings
from tests.service.http.conftest import Reply, Serve, request

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
RATE = st.builds("{}/{}".format, st.integers(1, 600), st.sampled_from(["s", "min", "h"]))


@dataclass
class Clock:
    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


def told(wait: float) -> int:
    """What Retry-After says of a wait."""
    return max(1, math.ceil(wait))


# -- who is one --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("peer", "network"),
    [
        (("192.0.2.7", 1234), "192.0.2.7"),
        (("2001:db8:1:2:3:4:5:6", 1234, 0, 0), "2001:db8:1:2::/64"),
        (("fe80::1%eth0", 1234, 0, 2), "fe80::/64"),
        (("::ffff:192.0.2.7", 1234, 0, 0), "192.0.2.7"),
        (("10.1.2.3", 1234), None),
        (("::ffff:10.1.2.3", 1234, 0, 0), None),
        (("fd00::1", 1234, 0, 0), None),
        ("/run/ledger.sock", None),
    ],
)
def test_a_peer_is_counted_by_its_address_or_its_64(peer: object, network: str | None) -> None:
    """If a peer is not trusted, then it is counted by what one subscriber gets, however its address is written."""
    assert peer_network(peer, TRUSTED) == network


@pytest.mark.parametrize(
    ("forwarded", "network"),
    [
        ([], None),
        ([""], None),
        (["192.0.2.7"], "192.0.2.7"),
        (["198.51.100.1, 192.0.2.7"], "192.0.2.7"),
        (["198.51.100.1", "192.0.2.7"], "192.0.2.7"),
        (["192.0.2.7, 10.9.9.9"], "192.0.2.7"),
        (["198.51.100.1, 192.0.2.7, 10.9.9.9, fd00::5"], "192.0.2.7"),
        (["10.9.9.9"], None),
        (["198.51.100.1, 192.0.2.7:4711"], "192.0.2.7"),
        (["[2001:db8:1:2::9]:4711"], "2001:db8:1:2::/64"),
        (["2001:db8:1:2::9"], "2001:db8:1:2::/64"),
        (["::ffff:192.0.2.7"], "192.0.2.7"),
        (["192.0.2.7, unknown"], None),
        (["192.0.2.7, "], None),
        (["192.0.2.7, 10.9.9.9, for=192.0.2.8"], None),
        (["192.0.2.7" + ", 10.9.9.9" * 8], None),
        (["198.51.100.1," * 5000 + "192.0.2.7"], "192.0.2.7"),
        (["999.0.2.7"], None),
        (["192.0.2.7:999999"], None),
        (["\u0661.0.0.1"], None),
    ],
)
def test_a_trusted_proxy_says_for_whom_it_asks(forwarded: list[str], network: str | None) -> None:
    """If a trusted proxy forwards, then the last hop that is not trusted counts; what stands before it does not."""
    assert forwarded_network(forwarded, TRUSTED) == network


@given(st.text(max_size=80))
def test_no_forwarded_text_is_a_fault(text: str) -> None:
    """If X-Forwarded-For holds anything at all, then it names a network or none."""
    forwarded_network([text], TRUSTED)


@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1))
def test_one_64_is_one_network(address: IPv6Address, host: int) -> None:
    """If two addresses share a /64, then they share their limit; an IPv4 address never does with one of IPv6."""
    other = IPv6Address((int(address) >> 64 << 64) | host)
    if address.ipv4_mapped is None and other.ipv4_mapped is None:
        assert network_of(address) == network_of(other) != network_of(IPv4Address(host & 0xFFFFFFFF))


# -- how much ----------------------------------------------------------------------------------------------------------


@given(
    RATE,
    RATE,
    st.lists(
        st.tuples(st.floats(0, 40), st.sampled_from(["a", "b"]), st.booleans(), st.booleans()), min_size=1, max_size=80
    ),
)
def test_whoever_waits_as_long_as_told_is_let_in(
    reads: str, audit: str, asked: list[tuple[float, str, bool, bool]]
) -> None:
    """If a network is turned away, then it is let in after exactly the seconds that it was told, whatever others ask
    meanwhile; and no network gets more than its shares and what flowed since."""
    clock = Clock()
    networks, began = Networks(Rates(reads, audit), clock=clock), clock.seconds
    given_out = {("a", False): 0, ("a", True): 0, ("b", False): 0, ("b", True): 0}
    for pause, network, is_audit, waits in asked:
        clock.seconds += pause
        wait = networks.ask(network, audit=is_audit)
        if wait and waits:
            clock.seconds += told(wait)
            networks.ask({"a": "b", "b": "a"}[network], audit=is_audit)
            wait = networks.ask(network, audit=is_audit)
            assert wait == 0
            given_out[network, is_audit] += 1
        elif not wait:
            given_out[network, is_audit] += 1
    gone = clock.seconds - began
    most = {rate: int(rate.partition("/")[0]) + gone * per_second(rate) + 1e-6 for rate in (reads, audit)}
    for network in ("a", "b"):
        assert given_out[network, False] <= most[reads] + 1e-6
        assert given_out[network, False] + given_out[network, True] <= most[reads] + most[audit] + 2


@given(
    st.integers(1, 50),
    st.sampled_from(["s", "min", "h"]),
    st.lists(st.floats(0, 100, allow_nan=False), min_size=1, max_size=60),
)
def test_a_bucket_gives_no_more_than_its_rate_and_keeps_its_word(count: int, unit: str, steps: list[float]) -> None:
    """If a client asks at any times, then it gets at most one unit's worth and what flows since; and whoever waits as
    long as told is let in."""
    seconds = {"s": 1, "min": 60, "h": 3600}[unit]
    bucket, now, given_out = Bucket(f"{count}/{unit}", 0.0), 0.0, 0
    for step in steps:
        now += step
        wait = bucket.take(now)
        given_out += wait == 0
        assert given_out <= count + now * count / seconds + 1e-6
        if wait:
            now += max(1, math.ceil(wait))
            assert bucket.take(now) == 0
            given_out += 1


@given(RATE, st.integers(0, 700))
def test_a_bucket_keeps_its_word_to_the_second(rate: str, before: int) -> None:
    """If somebody asks as much as there is, and then each time at the very second told, then each time is let in."""
    bucket, now = Bucket(rate, 0.0), 0.0
    for _ in range(before):
        bucket.take(now)
    for _ in range(30):
        wait = bucket.take(now)
        if wait:
            now += told(wait)
            assert bucket.take(now) == 0


def test_audit_reads_are_not_starved_by_the_crowd_of_the_same_network() -> None:
    """If a network has used up what it may read, then what auditors read is let in at a rate of its own; and an auditor
    takes from the others only what is beyond that."""
    clock = Clock()
    networks = Networks(Rates("2/h", "5/s"), clock=clock)
    assert [networks.ask("a", audit=False) == 0 for _ in range(4)] == [True, True, False, False]
    assert [networks.ask("a", audit=True) == 0 for _ in range(6)] == [True] * 5 + [False]
    clock.seconds += 1
    assert [networks.ask("a", audit=True) == 0 for _ in range(6)] == [True] * 5 + [False]
    assert [networks.ask("b", audit=True) == 0 for _ in range(8)] == [True] * 7 + [False]
    assert networks.ask("b", audit=False) > 0


def test_an_auditor_can_always_catch_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """If limits are set, then an auditor reads faster than the log grows at ten times the busiest hour that was seen
    (330 events a second; 256 leaves are two reads); a setting under which that would not be so is refused."""
    assert per_second(Settings().network_audit_rate) / 2 * 256 >= 4 * 330
    for rate, good in (("5/s", True), ("300/min", True), ("18000/h", True), ("4/s", False), ("299/min", False)):
        monkeypatch.setenv("LEDGER_NETWORK_AUDIT_RATE", rate)
        if good:
            assert per_second(Settings().network_audit_rate) / 2 * 256 >= 1.9 * 330
        else:
            with pytest.raises(ValidationError):
                Settings()


@pytest.mark.parametrize("rate", ["", "fast", "0/s", "5", "5/d", "-1/s", "1.5/s", "5/s\n", "1234567/s", "\u0665/s"])
def test_what_is_no_rate_is_refused(rate: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a rate cannot be meant, then nothing starts with it; an empty one is none."""
    monkeypatch.setenv("LEDGER_NETWORK_RATE", rate)
    if not rate:
        assert Settings().network_rate is None
    else:
        with pytest.raises(ValidationError):
            Settings()


# -- how many ----------------------------------------------------------------------------------------------------------


def test_any_number_of_addresses_take_a_bounded_memory() -> None:
    """If a hundred thousand addresses ask at once, and a hundredth may be remembered, then it is no more, and whoever
    floods still is not let in."""
    shares, flooder = Shares("5/min", most=1_000), 0.0
    for number in range(100_000):
        shares.take(number, 0.0)
        if number % 100 == 0:
            flooder = shares.take("flooder", 0.0)
    assert len(shares) == 1_000
    assert flooder > 0


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(0, 30), st.integers(0, 20)), max_size=200))
def test_what_is_forgotten_was_full(asked: list[tuple[float, int]]) -> None:
    """If idle shares are forgotten, then nobody can tell: the answers are those of a memory that forgets nothing."""
    shares, now = Shares("3/min", most=1000), 0.0
    kept: dict[int, Bucket] = {}
    for pause, who in asked:
        now += pause
        assert shares.take(who, now) == pytest.approx(kept.setdefault(who, Bucket("3/min", 0.0)).take(now))
    shares.take("another", now + 60)
    shares.take("another", now + 120)
    assert len(shares) <= max(len(kept) - 3, 1)


# -- over HTTP ---------------------------------------------------------------------------------------------------------


async def test_a_network_that_asked_enough_is_told_when_to_come_back(serve: Serve) -> None:
    """If a network has read as much as it may, then it is 429 with the time, as a read that any page may see; what
    needs a credential is not counted."""
    served = await serve(Limits(rates=Rates("3/h", "5/s")))
    first = await served.get("/petitions/a.json", "X-Forwarded-For: 192.0.2.1")
    assert first.status == 200
    assert (await served.get("/petitions/a.json", method="HEAD")).status == 200
    assert (await served.get("/petitions/a.json", method="OPTIONS")).status == 204
    for method in ("GET", "HEAD", "OPTIONS"):
        refused = await served.get("/petitions/a.json?unknown=1", "X-Forwarded-For: 192.0.2.2", method=method)
        assert refused.status == 429
        assert 1190 <= int(refused.headers["retry-after"]) <= 1200
    turned_away = await served.get("/petitions/a.json")
    assert turned_away.problem == "rate-limited"
    assert turned_away.headers["access-control-allow-origin"] == "*"
    assert turned_away.headers["cache-control"] == "no-store"
    assert "127.0.0.1" not in repr(turned_away)
    assert (await served.post("/petitions/a/signatures", b"{}")).status == 422
    assert (await served.get("/signals")).status == 200


async def test_a_proxy_s_clients_are_counted_each(serve: Serve) -> None:
    """If a trusted proxy forwards, then each of its clients has a share; what a client wrote before is worth nothing,
    and the proxy itself is not counted."""
    served = await serve(Limits(rates=Rates("2/h", "5/s"), trusted=(ip_network("127.0.0.0/8"),)))

    async def ask(*forwarded: str) -> Reply:
        return await served.ask(
            request("GET", "/petitions/a.json", *[f"X-Forwarded-For: {each}" for each in forwarded])
        )

    seen = [(await ask(f"198.51.100.{number}, 192.0.2.1")).status for number in range(3)]
    assert seen == [200, 200, 429]
    assert (await ask("192.0.2.1", "192.0.2.9")).status == 200
    assert [(await ask()).status for _ in range(3)] == [200] * 3
    assert [(await ask(f"2001:db8::{number}")).status for number in range(3)] == [200, 200, 429]
