"""Who is let in where: every route with every kind of credential, held against a table in this repository.

`access_matrix.txt` has a line for each route that there is. A new route shows up here as a difference: read whom it
lets in, and put the line into the file, or put the check into the route.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest
from aiohttp import web

from ledger.connecting import Connection, connect
from ledger.connecting import Role as DatabaseRole
from ledger.writer import Writer
from service.database import Ledger
from service.http.app import build, collected
from service.http.protocol import Limits, Runner
from service.http.routes import SERVED
from service.serving.orders import Service
from service.serving.worker import _opened
from service.settings import Settings
from tests.conftest import LedgerDatabase
from tests.ledger.submissions import SOURCE
from tests.service.http.counter import PATIENCE, PETITION
from tests.service.http.listeners import LISTENERS, Listeners, credentials, lines, listeners
from tests.vaults import lay_keys

TABLE = Path(__file__).with_name("access_matrix.txt")


@pytest.fixture
async def served(ledger_database: LedgerDatabase, tmp_path: Path) -> AsyncIterator[Listeners]:
    async with listeners(ledger_database, tmp_path) as made:
        yield made


async def test_every_route_lets_in_exactly_whom_the_table_says(served: Listeners, tmp_path: Path) -> None:
    """If anybody asks for anything, then they are let in where the table says so, and nothing is recorded by asking."""
    before = len(await served.counter.events())
    found = await lines(served, await credentials(served.counter))
    (tmp_path / TABLE.name).write_text("\n".join(found) + "\n", encoding="utf-8")  # to read, and perhaps to take
    expected = TABLE.read_text(encoding="utf-8").splitlines()
    wanted, is_so = set(expected), set(found)
    surprises = sorted([f"no longer: {each}" for each in wanted - is_so] + [f"new: {each}" for each in is_so - wanted])
    assert surprises == [], f"what is so stands in {tmp_path / TABLE.name}"
    assert expected == sorted(wanted)
    assert len(await served.counter.events()) == before


async def test_the_table_says_what_the_interface_does() -> None:
    """If a route needs a role, then that role alone is let in, by its token or by one for this very petition; if it
    needs none, then everybody is, whatever they send along."""
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        path, method, rest = line.split(" ", 2)
        (route,) = [each for each in collected() if (each.template, each.method) == (path, method)]
        where, told = rest.removeprefix(" on ").split("  ")
        assert where.split() == [role for role in LISTENERS if route.need in SERVED[role]], line
        parts = [part.split(": ") for part in told.split("; ")]
        cells = {name: cell for cell, names in parts for name in names.split()}
        if route.need in ("public", "operation"):
            assert cells == {"everybody": "in"}, line
            continue
        roles = {"site", "admin", "auditor", "privacy"}
        assert {name for name in roles if cells[name] == "in"} == {route.need}, line
        assert {cells[name] for name in roles - {route.need}} == {"403"}, line
        assert cells["here"] == "in", line
        assert cells["elsewhere"] == ("403" if "{id}" in path else "in"), line
        nobody = "nobody expired revoked unknown malformed another-scheme twice cookie body"
        assert {cells[name] for name in nobody.split()} == {"401"}, line
        assert cells["query"] in ("401", "422"), line
        assert cells["lower-case"] == "in", line


async def test_a_public_service_cannot_write_as_an_admin(ledger_database: LedgerDatabase, tmp_path: Path) -> None:
    """If a service has the role `public`, then it opens no writer of admins; the pools of reads are apart in each."""
    ledger = Ledger(ledger_database.url, SOURCE, lay_keys(tmp_path / "vault.key"))
    for role in LISTENERS:
        async with _opened(Service(ledger, Settings(home=tmp_path), role, "127.0.0.1", 0, 1)) as context:
            assert (context.admin is None) == (role == "public")
            assert (context.desk is None) == (role == "public")
            assert len({id(pool) for pool in (context.public, context.audit, context.desk)}) == 3


async def test_readers_do_not_hold_up_admins(ledger_database: LedgerDatabase, tmp_path: Path) -> None:
    """If every connection of the audit reads is in use, then those hear 503 with a time, and admins and sites go on."""
    async with listeners(ledger_database, tmp_path) as served:
        context = served.counter.context
        async with asyncpg.create_pool(ledger_database.url, min_size=0, max_size=1) as narrow, narrow.acquire():
            held = replace(context, audit=narrow, settings=Settings(acquire_timeout=0.05))
            runner = Runner(build(held, "all"), Limits())
            await runner.setup()
            try:
                await web.TCPSite(runner, "127.0.0.1", 0).start()
                url = f"http://127.0.0.1:{runner.addresses[0][1]}"
                crowded = replace(served.counter, url=url)
                refused = await crowded.send("GET", "/events")
                assert (refused.status, refused.problem, refused.headers["Retry-After"]) == (503, "unavailable", "1")
                token = {"Authorization": f"Bearer {crowded.admin}"}
                assert (await crowded.send("GET", f"/petitions/{PETITION}/declarations", headers=token)).status == 200
                assert (await crowded.sign("k")).status == 201
            finally:
                await runner.cleanup()


async def test_signing_is_shed_before_audit_reads(ledger_database: LedgerDatabase, tmp_path: Path) -> None:
    """If the writer is stuck and its queue full, then whoever signs hears 503 with a time at once, and is not recorded;
    everything that is read is answered meanwhile. When the writer goes on, who waited is recorded, each once; and who
    was turned away may send again with the same key."""
    gate = asyncio.Event()

    def writer(role: DatabaseRole) -> Writer:
        async def when_let() -> Connection:
            if role == "ledger_signing":
                await gate.wait()
            return await connect(ledger_database.url, role)

        return Writer(when_let, role, SOURCE, capacity=20, patience=60)

    reads = [route for route in collected() if route.need == "public"]
    async with listeners(ledger_database, tmp_path, writer=writer) as served:
        counter = served.counter
        asked = {
            f"k{number}": asyncio.create_task(counter.sign(f"k{number}", {"signer": {"ref": str(number)}}))
            for number in range(50)
        }
        async with asyncio.timeout(PATIENCE):
            while sum(task.done() for task in asked.values()) < 30:  # noqa: ASYNC110 - nothing announces it
                await asyncio.sleep(0.01)
        turned_away = {key: task.result() for key, task in asked.items() if task.done()}
        assert {(each.status, each.problem) for each in turned_away.values()} == {(503, "unavailable")}
        assert all(int(each.headers["Retry-After"]) >= 1 for each in turned_away.values())
        for route in reads:
            assert await served.ask(route) < 500
        assert await counter.events("signature.recorded.v1") == []
        gate.set()
        recorded = [await task for key, task in asked.items() if key not in turned_away]
        assert [each.status for each in recorded] == [201] * 20
        for key in turned_away:
            assert (await counter.sign(key, {"signer": {"ref": key.removeprefix("k")}})).status == 201
        assert len(await counter.events("signature.recorded.v1")) == 50
