"""An error does not mean "not recorded": what became of a batch is looked up in the log, never guessed."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import asyncpg
import pytest

from ledger.connecting import Connection, connect
from ledger.outcomes import Verdict, blames_the_batch, judge
from ledger.writer import Writer
from schemas.commands import Accepted, Unknown
from tests.conftest import LedgerDatabase
from tests.ledger.relaying import SOCKET, relay, socket_of, through
from tests.ledger.submissions import PETITION, SOURCE, by_site, confirming, recording, some_id, withdrawing
from tests.ledger.writing import SIGN, reasons, stored, writer


class Answered(Exception):
    """An error as the server sends it."""

    def __init__(self, sqlstate: str) -> None:
        self.sqlstate = sqlstate


@pytest.mark.parametrize(("error", "before", "after"), [
    (Answered("22021"), "refused", "refused"),  # a text that the server cannot read
    (Answered("54000"), "refused", "refused"),
    (Answered("23505"), "not-sent", "refused"),
    (Answered("P0001"), "not-sent", "refused"),  # raised by our own functions
    (Answered("42501"), "not-sent", "refused"),
    (Answered("42883"), "not-sent", "refused"),
    (Answered("40001"), "not-sent", "refused"),
    (Answered("40P01"), "not-sent", "refused"),
    (Answered("40003"), "not-sent", "unknown"),  # statement completion unknown
    (Answered("53100"), "not-sent", "refused"),  # disk full
    (Answered("08006"), "not-sent", "unknown"),
    (Answered("25P03"), "not-sent", "unknown"),  # idle in transaction: the writer was frozen
    (Answered("25006"), "not-sent", "unknown"),  # read only, after a failover
    (Answered("55000"), "not-sent", "unknown"),
    (Answered("57014"), "not-sent", "unknown"),
    (Answered("57P01"), "not-sent", "unknown"),
    (Answered("XX000"), "not-sent", "unknown"),
    (asyncpg.InterfaceError(""), "not-sent", "unknown"),
    (asyncpg.InternalClientError(""), "not-sent", "unknown"),
    (asyncpg.ConnectionDoesNotExistError(""), "not-sent", "unknown"),
    (ConnectionResetError(), "not-sent", "unknown"),
    (TimeoutError(), "not-sent", "unknown"),
    (asyncio.CancelledError(), "not-sent", "unknown"),
    (AssertionError(), "not-sent", "unknown"),
])  # fmt: skip
def test_only_an_answer_of_the_server_proves_that_nothing_was_stored(
    error: BaseException, before: Verdict, after: Verdict
) -> None:
    """If the append was sent, then only a refusal by the server tells that it is not stored; before, nothing can be."""
    assert judge(error, sent=False) == before
    assert judge(error, sent=True) == after


def test_the_driver_refuses_what_it_cannot_encode_with_a_code_of_class_22() -> None:
    """If the driver cannot send an argument, then it says so with the code by which that is judged a refusal."""
    assert asyncpg.DataError.sqlstate == "22000"


@pytest.mark.parametrize(("sqlstate", "blames"), [
    ("22000", True), ("23505", True), ("54000", True), ("P0001", True), ("42501", True),
    ("40001", False), ("40P01", False), ("42883", False), ("53100", False), ("53200", False),
])  # fmt: skip
def test_a_refusal_for_the_servers_own_reasons_blames_nobody(sqlstate: str, blames: bool) -> None:
    """If the server rolls back, is full or lacks the function, then no submission is called invalid for it."""
    assert blames_the_batch(Answered(sqlstate)) == blames


@dataclass
class Wire:
    """A proxy before the server's socket that ends a connection at COMMIT, as often as it is told."""

    directory: Path
    upstream: str
    lost_answers: int = 0
    lost_commits: int = 0

    def dsn(self, url: str) -> str:
        return through(self.directory, url)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        unheard = False

        def passes(data: bytes) -> bool:
            nonlocal unheard
            # asyncpg sends a statement without arguments as one simple query.
            if data.startswith(b"Q") and data[5:].startswith(b"COMMIT"):
                if self.lost_commits:
                    self.lost_commits -= 1
                    return False
                if self.lost_answers:
                    self.lost_answers -= 1
                    unheard = True
            return True

        # Where the answer is lost, the server has answered, so it has committed; nobody will hear of it.
        await relay(reader, writer, self.upstream, passes=passes, answers=lambda: not unheard)


@pytest.fixture
async def wire(petition: LedgerDatabase, tmp_path: Path) -> AsyncIterator[Wire]:
    """A wire to the server of this ledger."""
    proxy = Wire(tmp_path, socket_of(petition.url))
    server = await asyncio.start_unix_server(proxy.serve, tmp_path / SOCKET)
    async with server:
        yield proxy


@pytest.mark.parametrize(("lost", "times"), [("lost_answers", 1), ("lost_commits", 1), ("lost_commits", 3)])
async def test_a_connection_cut_at_commit_changes_no_answer(
    petition: LedgerDatabase, wire: Wire, lost: str, times: int
) -> None:
    """If the answer to COMMIT is lost, or COMMIT itself, then everybody is still told what is in the log, and nothing
    is in it twice."""
    asked = [by_site(recording(f"s{n}"), key=f"k{n}") for n in range(20)]
    asked += [by_site(recording("s0", 2)), by_site(withdrawing("s1")), by_site(confirming("nobody"))]
    setattr(wire, lost, times)
    async with Writer(partial(connect, wire.dsn(petition.url), SIGN), SIGN, SOURCE) as site:
        outcomes = await site.submit_all(asked)
        repeats = await site.submit_all(asked[:20])
    assert (wire.lost_answers, wire.lost_commits) == (0, 0)
    assert reasons(outcomes) == {22: "unknown-signature"}
    # What was stored the first time is answered as the first time, and not as a repeat: only s0's second asking is one.
    assert [n for n, each in enumerate(outcomes) if isinstance(each, Accepted) and each.repeated] == [20]
    log = await stored(petition)
    assert [signature for _, signature, _ in log] == [some_id(f"{PETITION}/s{n}/1") for n in [*range(20), 1]]
    for outcome, repeat, (position, signature, _) in zip(outcomes, repeats, log, strict=False):
        assert isinstance(outcome, Accepted)
        assert outcome.answer["position"] == position
        assert outcome.answer["signature"] == str(signature)
        assert isinstance(repeat, Accepted)
        assert repeat.repeated
        assert repeat.answer == outcome.answer


async def test_a_lost_batch_without_an_event_is_judged_again(petition: LedgerDatabase, wire: Wire) -> None:
    """If the answer to a batch that stored only answers is lost, then the repeat gives the same answers."""
    async with Writer(partial(connect, wire.dsn(petition.url), SIGN), SIGN, SOURCE) as site:
        await site.submit(by_site(recording("she")))
        wire.lost_answers = 1
        outcome = await site.submit(by_site(recording("she", 2), key="k"))
    assert isinstance(outcome, Accepted)
    assert outcome.answer["duplicate"]
    assert outcome.answer["signature"] == str(some_id(f"{PETITION}/she/1"))
    assert len(await stored(petition)) == 1


async def test_what_cannot_be_learned_by_the_deadline_is_unknown(petition: LedgerDatabase, wire: Wire) -> None:
    """If the answer is lost and the server is gone until the deadline, then the outcome is unknown; and the same key
    asked later gives the answer, which is recorded once."""
    asked = by_site(recording("she"), key="k")
    calls = 0

    async def once() -> Connection:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise ConnectionRefusedError
        return await connect(wire.dsn(petition.url), SIGN)

    wire.lost_answers = 1
    async with Writer(once, SIGN, SOURCE, patience=0.5) as site:
        assert isinstance(await site.submit(asked), Unknown)
    async with writer(petition) as site:
        outcome = await site.submit(asked)
    assert isinstance(outcome, Accepted)
    assert outcome.repeated
    assert [(outcome.answer["position"], outcome.answer["signature"])] == [
        (position, str(signature)) for position, signature, _ in await stored(petition)
    ]


async def test_without_a_server_everything_is_refused_as_unavailable(petition: LedgerDatabase) -> None:
    """If there is no server, then askings wait until their deadline and are refused; and when it is back they are
    not."""
    there = False

    async def sometimes() -> Connection:
        if not there:
            raise FileNotFoundError
        return await connect(petition.url, SIGN)

    async with Writer(sometimes, SIGN, SOURCE, patience=0.3) as site:
        outcomes = await site.submit_all([by_site(recording(f"s{n}")) for n in range(3)])
        assert set(reasons(outcomes).values()) == {"unavailable"}
        there = True
        assert isinstance(await site.submit(by_site(recording("s0"))), Accepted)
