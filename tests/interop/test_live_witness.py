"""A live `aics-witness` cosigns a log that grows, and nothing else."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from ledger.tree_head import SealingKey, open_note, parse_vkey
from service.settings import Settings
from service.witness import Witness, witness
from tests.interop.clients import Clients, LiveWitness, live_witness
from tests.service.witnesses import Log

NAMES = [f"petitions.example/ledger-{number}" for number in range(6)]
KEYS = {name: SealingKey(name, b"k" * 32) for name in NAMES}


@pytest.fixture(scope="module")
def live(clients: Clients) -> Iterator[LiveWitness]:
    """One witness for all tests: starting one takes longer than they do."""
    with live_witness(clients, {name: key.verifier.vkey for name, key in KEYS.items()}) as one, one.running():
        yield one


@pytest.fixture(scope="module")
def origins() -> Iterator[str]:
    return iter(NAMES)


@pytest.fixture
def key(origins: Iterator[str]) -> SealingKey:
    """That of a log which the witness has not seen."""
    return KEYS[next(origins)]


@pytest.fixture
def log(key: SealingKey) -> Log:
    return Log(key, (f"leaf {number}" for number in range(700)))


@pytest.fixture
def fork(key: SealingKey) -> Log:
    """The same until 511."""
    return Log(key, (f"leaf {number}" if number < 511 else f"another leaf {number}" for number in range(700)))


@asynccontextmanager
async def asking(live: LiveWitness, key: SealingKey) -> AsyncIterator[Witness]:
    settings = Settings(witness_url=live.url, witness_vkey=(live.vkey,), witness_timeout=10)
    async with witness(settings, key.verifier.name) as ours:
        assert ours is not None
        yield ours


def witnesses_of(note: bytes, key: SealingKey, live: LiveWitness) -> list[str]:
    return [signed.vkey for signed, _ in open_note(note, [key.verifier, parse_vkey(live.vkey)]).cosignatures]


async def test_it_cosigns_a_growing_log(live: LiveWitness, key: SealingKey, log: Log) -> None:
    """If the log only grows, then each head gets a line that verifies, also across tiles and for one size twice."""
    async with asking(live, key) as ours:
        for size in (1, 2, 3, 255, 256, 257, 511, 511, 512, 513, 700):
            assert witnesses_of(await log.shown(ours, size), key, live) == [live.vkey]
    assert live.remembers(key.verifier.name)["size"] == 700


async def test_it_says_from_where_to_prove(live: LiveWitness, key: SealingKey, log: Log) -> None:
    """If we do not know what it signed last, then its 409 tells us, and the second request gets the line."""
    async with asking(live, key) as ours:
        await log.shown(ours, 300)
    async with asking(live, key) as restarted:
        assert witnesses_of(await log.shown(restarted, 700), key, live) == [live.vkey]


async def test_it_refuses_a_fork_and_keeps_it_as_evidence(
    live: LiveWitness, key: SealingKey, log: Log, fork: Log
) -> None:
    """If a head does not continue what it signed, then there is no line, we say so, and the witness has the proof."""
    async with asking(live, key) as ours:
        await log.shown(ours, 512)
        with capture_logs() as said:
            assert await fork.shown(ours, 700) == fork.note(700)
        assert ours.contradicts
    assert [(line["event"], line["log_level"]) for line in said] == [("witness.did_not_sign", "error")]
    remembered = live.remembers(key.verifier.name)
    assert (remembered["size"], remembered["evidence"]) == (512, 1)


async def test_it_refuses_a_second_head_of_one_size(live: LiveWitness, key: SealingKey, log: Log, fork: Log) -> None:
    """If one size has two roots, then the second gets no line."""
    async with asking(live, key) as ours:
        await log.shown(ours, 700)
        assert await fork.shown(ours, 700) == fork.note(700)
        assert ours.contradicts


async def test_it_signs_for_no_key_but_the_logs(live: LiveWitness, key: SealingKey, log: Log) -> None:
    """If another key seals under our name, then it gets no line; beside ours it does no harm."""
    other = SealingKey(key.verifier.name, b"o" * 32)
    async with asking(live, key) as ours:
        assert await log.shown(ours, 300, other) == log.note(300, other)
    async with asking(live, key) as again:
        assert witnesses_of(await log.shown(again, 301, other, key), key, live) == [live.vkey]


async def test_its_view_is_the_note_that_it_signed(live: LiveWitness, key: SealingKey, log: Log) -> None:
    """If it is asked what it signed last, then it shows nothing at first, and then that note."""
    async with asking(live, key) as ours:
        assert await ours.view([key.verifier]) is None
        shown = await log.shown(ours, 512)
        assert await ours.view([key.verifier]) == shown
