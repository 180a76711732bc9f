"""Many at once: tasks, processes, killed backends, a frozen writer. Position decides, and nothing is lost or
doubled."""

import asyncio
import json
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ledger.writer import APPEND, LOCK_HEAD
from schemas.commands import Accepted, Outcome, Refused
from tests.conftest import LedgerDatabase
from tests.ledger.checking import whole_log
from tests.ledger.submissions import (
    PETITION,
    accepting,
    by_admin,
    by_site,
    confirming,
    recording,
    some_id,
    withdrawing,
)
from tests.ledger.writing import RUN, reasons, stored, writer
from tests.vaults import SEALED

REPOSITORY = Path(__file__).parents[2]


@asynccontextmanager
async def process(database: LedgerDatabase, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A writer in a process of its own, gone when the block ends."""
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.ledger.appending", database.url, *arguments,
        cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield running
    finally:
        if running.returncode is None:
            running.kill()
        await running.wait()


async def lines(running: asyncio.subprocess.Process) -> list[list[Any]]:
    """Everything that it said, when it has ended well."""
    assert running.stdout is not None
    async with asyncio.timeout(60):
        said = [json.loads(line) async for line in running.stdout]
        assert await running.wait() == 0
    return said


async def test_sixteen_racing_for_one_signer_make_one_signature(petition: LedgerDatabase) -> None:
    """If sixteen ask at once for the same signer, through two writers, then one signature stands, and the others are
    told of it; after a withdrawal, the same again."""
    async with writer(petition) as one, writer(petition) as other:
        for round_ in (1, 2):
            asked = [by_site(recording("she", round_ * 100 + n)) for n in range(16)]
            outcomes = await asyncio.gather(*[(one, other)[n % 2].submit(each) for n, each in enumerate(asked)])
            answers = [each.answer["signature"] for each in outcomes if isinstance(each, Accepted)]
            assert len(answers) == 16
            assert len(set(answers)) == 1
            assert Counter(each.repeated for each in outcomes if isinstance(each, Accepted)) == {False: 1, True: 15}
            (won,) = [n for n in range(16) if str(some_id(f"{PETITION}/she/{round_ * 100 + n}")) == answers[0]]
            await one.submit(by_site(withdrawing("she", round_ * 100 + won)))
    assert [type for _, _, type in await stored(petition)] == ["signature.recorded.v1", "signature.withdrawn.v1"] * 2
    await whole_log(petition)


async def test_signers_racing_a_close_are_divided_by_position(petition: LedgerDatabase) -> None:
    """If signers, confirmations and withdrawals race a close through another writer, then exactly those before its
    position are recorded, and every other one is refused."""
    async with writer(petition, bound=4) as site, writer(petition, RUN) as admin:
        await site.submit_all([by_site(recording(f"p{n}", confirmed=False)) for n in range(20)])
        asked = [by_site(recording(f"s{n}")) for n in range(60)]
        asked += [by_site(confirming(f"p{n}")) for n in range(10)] + [by_site(withdrawing(f"p{n}")) for n in range(20)]
        asking = [asyncio.create_task(site.submit(each)) for each in asked]
        await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        closed = await admin.submit(by_admin(accepting("closed")))
        outcomes = await asyncio.gather(*asking)
        late = await site.submit(by_site(recording("late")))
    assert isinstance(closed, Accepted)
    assert reasons([late]) == {0: "petition-closed"}
    refused = reasons(outcomes)
    assert set(refused.values()) <= {"petition-closed"}
    positions = [each.answer["position"] for each in outcomes if isinstance(each, Accepted)]
    assert len(positions) + len(refused) == len(asked)
    log = await whole_log(petition)
    assert [row["position"] for row in log if row["type"] == "acceptance.changed.v1"] == [closed.answer["position"]]
    assert closed.answer["position"] == len(log)
    assert positions == [row["position"] for row in log[21:-1]]


async def test_two_processes_lose_and_double_nothing(petition: LedgerDatabase) -> None:
    """If two processes append at once, partly for the same signers, then positions are dense, every acknowledged
    signature is stored once at the position answered, and nothing else is."""
    count = 150
    async with process(petition, "one", str(count)) as one, process(petition, "two", str(count)) as two:
        said = await asyncio.gather(lines(one), lines(two))
    log = await whole_log(petition)
    at = {row["position"]: str(row["signature"]) for row in log if row["signature"] is not None}
    new = {}
    for outcomes in said:
        assert len(outcomes) == count
        for n, kind, repeated, *about in outcomes:
            assert kind == ("Refused" if n % 7 == 6 else "Accepted")
            if about:
                position, signature = about
                assert at[position] == signature
                if not repeated:
                    assert position not in new
                    new[position] = signature
    assert new == at


async def test_a_backend_killed_again_and_again_loses_nothing(petition: LedgerDatabase) -> None:
    """If the writer's backend is terminated many times under load, then every acknowledged submission is stored once
    at the position answered, and nothing that was refused is stored."""
    outcomes: dict[str, Outcome] = {}
    done = False

    async def load(task: int) -> None:
        n = 0
        while not done:
            name = f"s{task}-{n}"
            outcomes[name] = await site.submit(by_site(recording(name), key=name))
            n += 1

    async def kill() -> None:
        nonlocal done
        for _ in range(25):
            before = len(outcomes)
            while len(outcomes) < before + 20:  # noqa: ASYNC110 -- the load tells nobody how far it is
                await asyncio.sleep(0.001)
            await petition.superuser.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'ledger'"
            )
        done = True

    async with writer(petition, bound=8) as site:
        await asyncio.gather(kill(), *[load(task) for task in range(12)])
    log = await whole_log(petition)
    at = {row["signature"]: row["position"] for row in log if row["signature"] is not None}
    assert len(at) == len(log) - 1
    for name, outcome in outcomes.items():
        signature = some_id(f"{PETITION}/{name}/1")
        if isinstance(outcome, Accepted):
            assert at.pop(signature) == outcome.answer["position"]
        elif isinstance(outcome, Refused):
            assert signature not in at
        else:
            at.pop(signature, None)
    assert at == {}
    assert sum(isinstance(each, Accepted) for each in outcomes.values()) > 100


@pytest.mark.parametrize("after", [LOCK_HEAD, APPEND["ledger_signing"]], ids=["the lock", "the append"])
async def test_a_frozen_writer_frees_the_ledger_in_seconds_and_thaws_unharmed(
    petition: LedgerDatabase, after: str
) -> None:
    """If a writer freezes while it holds the head, then others append again within seconds; and when it thaws, what
    it was asked is recorded, once."""
    count = 20
    loop = asyncio.get_running_loop()
    async with process(petition, "frozen", str(count), after) as frozen:
        assert frozen.stdout is not None
        async with asyncio.timeout(30):
            assert json.loads(await frozen.stdout.readline()) == ["frozen"]
        began = loop.time()
        async with writer(petition) as site:
            assert isinstance(await site.submit(by_site(recording("meanwhile"))), Accepted)
        assert loop.time() - began < 8
        frozen.send_signal(signal.SIGCONT)
        said = await lines(frozen)
    at = {row["position"]: str(row["signature"]) for row in await whole_log(petition) if row["signature"] is not None}
    answered = {position: signature for _, kind, _, position, signature in filter(lambda each: each[3:], said)}
    assert Counter(kind for _, kind, *_ in said) == {"Accepted": count - count // 7, "Refused": count // 7}
    assert len(answered) == len(at) - 1
    assert answered.items() <= at.items()


async def test_a_tailer_skips_nothing(petition: LedgerDatabase) -> None:
    """If a reader asks every millisecond for what is above the last position that it has seen, while writers append
    and are refused and rolled back, then it sees every position, in order."""
    reader = await petition.connect("ledger_reader")
    seen = await reader.fetchval("SELECT max(position) FROM ledger.events")
    done = False

    async def tail() -> None:
        nonlocal seen
        while True:
            ended = done
            rows = await reader.fetch("SELECT position FROM ledger.events WHERE position > $1 ORDER BY position", seen)
            assert [row["position"] for row in rows] == list(range(seen + 1, seen + 1 + len(rows)))
            seen += len(rows)
            if ended:
                return
            await asyncio.sleep(0.001)

    async def write(name: str) -> None:
        async with writer(petition, bound=4) as site:
            broken = replace(SEALED, wrapped_key=b"short")
            # A batch with a row that the database refuses is rolled back after positions were taken.
            asked = [by_site(recording(f"{name} {n}", identity=broken if n % 10 == 9 else SEALED)) for n in range(200)]
            outcomes = await site.submit_all(asked)
        assert set(reasons(outcomes)) == set(range(9, 200, 10))

    async def writing() -> None:
        nonlocal done
        try:
            await asyncio.gather(*[write(name) for name in ("one", "two", "three")])
        finally:
            done = True

    await asyncio.gather(tail(), writing())
    assert seen == len(await whole_log(petition)) == 1 + 3 * 180
