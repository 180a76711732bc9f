"""Sealing beside a witness: heads go out with its line, or without it; and a log that went back is found out by it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

import service.witness
from ledger.log_reading import Published
from ledger.sealing import SealingRefused
from service.sealing import opened, seal_and_publish
from service.serving import sealing
from service.serving.waiting import cancelled
from service.witness import witness
from tests.conftest import FreshDatabase, LedgerDatabase
from tests.histories import SOURCE
from tests.service.witnessed_logs import Place, WitnessedLog, place
from tests.service.witnesses import Cosigner, WitnessDouble, witnessing

PATIENCE = 20.0


@pytest.fixture
async def double() -> AsyncIterator[WitnessDouble]:
    async with witnessing(WitnessDouble([], Cosigner())) as listening:
        yield listening


@pytest.fixture
def log(ledger_database: LedgerDatabase, tmp_path: Path, double: WitnessDouble) -> WitnessedLog:
    """A ledger that the witness knows by its key."""
    log = WitnessedLog(ledger_database, tmp_path, double.url, double.cosigner.verifier)
    double.log_keys = [log.key]
    return log


@pytest.fixture
async def empty(fresh_database: FreshDatabase, tmp_path: Path) -> AsyncIterator[Place]:
    """Where a backup is put back."""
    async with place(fresh_database, tmp_path / "backup") as empty:
        yield empty


@asynccontextmanager
async def sealer(log: WitnessedLog) -> AsyncIterator[list[Any]]:
    """A service's sealer, and what it logs."""
    with capture_logs() as said:
        task = asyncio.create_task(sealing.seal_the_log(log.ledger, log.settings))
        try:
            yield said
            assert not task.done()
        finally:
            await cancelled(task)


async def until(condition: Callable[[], Awaitable[Any]]) -> Any:
    """Wait until it is something, and give it."""
    async with asyncio.timeout(PATIENCE):
        while not (found := await condition()):  # noqa: ASYNC110 -- nobody announces it
            await asyncio.sleep(0.01)
    return found


async def until_shown(log: WitnessedLog, *, cosigned: bool = False) -> Published:
    """The newest published head, when it covers all that is committed, and if told so, bears the witness's line."""

    async def shown() -> Published | None:
        newest = await log.newest()
        if newest is None or newest.size < log.history.size or (cosigned and not log.witnesses_of(newest.note)):
            return None
        return newest

    head: Published = await until(shown)
    return head


def events(said: list[Any]) -> list[str]:
    return [line["event"] for line in said]


async def test_every_head_goes_out_with_its_line(log: WitnessedLog, double: WitnessDouble) -> None:
    """If the log grows and the witness is there, then each head bears its line, and each is proven from the last."""
    async with sealer(log) as said:
        for by in (1, 300, 1, 260):
            await log.grow(by)
            assert log.witnesses_of((await until_shown(log)).note) == [log.witness]
    assert double.signed is not None
    assert double.signed.size == log.history.size
    assert events(said) == ["witness.has_signed_nothing_yet"]


async def test_a_head_that_went_out_without_the_line_is_shown_again_with_it(
    log: WitnessedLog, double: WitnessDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the witness was away when a quiet log was sealed, then its head is published again once the witness signs."""
    monkeypatch.setattr(service.witness, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(service.witness, "LONGEST_PAUSE", 0.05)
    double.answering = _busy
    async with sealer(log):
        await log.grow(5)
        assert log.witnesses_of((await until_shown(log)).note) == []
        double.answering = None
        head = await until_shown(log, cosigned=True)
    assert (head.size, head.nth) == (log.history.size, 2)


async def test_a_restored_backup_is_not_sealed(log: WitnessedLog, empty: Place, double: WitnessDouble) -> None:
    """If a database and its copy were both put back, then the witness's view shows it: nothing is sealed, and that is
    told again and again; nothing else stops."""
    await log.grow(5)
    await seal_and_publish(log.ledger, log.settings)
    backup = await log.backed_up(*empty)
    await log.grow(5)
    await seal_and_publish(log.ledger, log.settings)

    await backup.grow(1, "somebody else")
    asked = len(double.asked)
    with pytest.raises(SealingRefused, match="What a witness has seen"):
        await seal_and_publish(backup.ledger, backup.settings)
    async with sealer(backup) as said:

        async def refused() -> bool:
            return "sealer.refused" in events(said)

        await until(refused)
    newest = await backup.newest()
    assert newest is not None
    assert newest.size == backup.history.size - 1
    assert len(double.asked) == asked, "the fork was not even shown to the witness"


async def test_a_fork_that_the_witness_refuses_is_not_published(log: WitnessedLog, empty: Place) -> None:
    """If two ledgers seal under one key, both past their guard, then the one whose head the witness refuses looks at
    the witness's view again, and does not publish that head."""
    await log.grow(5)
    await seal_and_publish(log.ledger, log.settings)
    backup = await log.backed_up(*empty)
    async with witness(backup.settings, SOURCE) as cosigner, opened(backup.ledger, cosigner=cosigner) as sealing_it:
        await log.grow(5)
        await seal_and_publish(log.ledger, log.settings)
        await backup.grow(1, "somebody else")
        with pytest.raises(SealingRefused, match="What a witness has seen"):
            await sealing_it.once()
    newest = await backup.newest()
    assert newest is not None
    assert newest.size == backup.history.size - 1


@pytest.mark.parametrize("more", [1, 9])
async def test_without_a_view_a_fork_goes_out_without_a_line(
    log: WitnessedLog, empty: Place, double: WitnessDouble, more: int
) -> None:
    """If a restored backup can see no view, then its copy alone is the guard, and says so; of its other history,
    shorter or longer than what was signed, no head gets a line: an error in the log, and sealing goes on."""
    await log.grow(5)
    await seal_and_publish(log.ledger, log.settings)
    backup = await log.backed_up(*empty)
    await log.grow(5)
    await seal_and_publish(log.ledger, log.settings)

    backup.monitor = f"{double.url}/nowhere/at/all"
    async with sealer(backup) as said:
        await backup.grow(more, "somebody else")
        assert backup.witnesses_of((await until_shown(backup)).note) == []
        await backup.grow(1)
        assert backup.witnesses_of((await until_shown(backup)).note) == []
    refused = [line for line in said if line["event"] == "witness.did_not_sign"]
    assert [(line["log_level"], line["status"]) for line in refused] == [("error", 409 if more == 1 else 422)]
    assert all(line["guarded_by"] for line in said if line["event"] == "witness.no_view")
    assert double.signed is not None
    assert double.signed.size == log.history.size


async def test_a_witness_that_is_away_at_the_start_does_not_stop_sealing(log: WitnessedLog) -> None:
    """If the witness cannot be reached when a sealer starts, then the copy alone is the guard, which is told, and heads
    go out."""
    log.witness_url = await _address_of_nobody()
    async with sealer(log) as said:
        await log.grow(5)
        assert log.witnesses_of((await until_shown(log)).note) == []
    assert events(said)[:1] == ["witness.no_view"]
    assert said[0]["guarded_by"] == "the copy of the newest head alone"


async def _busy(_: web.Request) -> web.StreamResponse:
    return web.Response(status=503)


async def _address_of_nobody() -> str:
    double = WitnessDouble([], Cosigner())
    async with witnessing(double):
        pass
    return double.url
