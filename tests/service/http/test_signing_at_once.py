"""Signing over HTTP, many at once: batches, races, clients that leave, and a ledger that cannot write."""

import asyncio
import collections
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from ledger.connecting import Role, connect
from ledger.writer import Writer
from schemas.commands import Outcome, Submission, Unknown
from tests.conftest import LedgerDatabase
from tests.ledger.submissions import SOURCE
from tests.service.http.conftest import CANARY
from tests.service.http.counter import JANE, PETITION, Counter, Reply, counter, until

SIGNATURES = f"/petitions/{PETITION}/signatures"
RECORDED = "signature.recorded.v1"


@pytest.fixture
async def served(ledger_database: LedgerDatabase, tmp_path: Path) -> AsyncIterator[Counter]:
    async with counter(ledger_database, tmp_path) as made:
        await made.open()
        yield made


def by_email(name: str) -> dict[str, Any]:
    return {"signer": {"email": f"{name}@ex.org"}}


async def batch(counter: Counter, lines: list[bytes], media: str = "application/x-ndjson") -> Reply:
    headers = {"Authorization": f"Bearer {counter.site}", "Content-Type": media}
    return await counter.send("POST", f"{SIGNATURES}/batch", b"\n".join(lines), headers)


# -- many at once ------------------------------------------------------------------------------------------------------


async def test_a_batch_is_answered_line_by_line(served: Counter) -> None:
    """If some lines of a batch are bad, then each has its own answer, in order, and none refuses another."""
    earlier = (await served.sign("earlier", by_email("earlier"))).document
    lines: list[Any] = [
        {**by_email("a"), "idempotency_key": "a"},
        {**by_email("a"), "idempotency_key": "a"},
        {**by_email("b"), "idempotency_key": "a"},
        {**by_email("A"), "idempotency_key": "b"},
        {**by_email("earlier"), "idempotency_key": "earlier"},
        b"{",
        b"",
        b"[1]",
        by_email("c"),
        {**by_email("c"), "idempotency_key": "not one"},
        {"signer": {"email": f"{CANARY} <c@ex.org>"}, "idempotency_key": "c"},
        {**by_email("c"), "idempotency_key": "c", CANARY: 1},
        {**by_email("d"), "idempotency_key": "d", "signed_at": "2090-01-01T00:00:00Z"},
        {**by_email("e"), "idempotency_key": "e", "comment": "e", "evidence": {"ip": "192.0.2.9"}},
    ]
    reply = await batch(served, [line if isinstance(line, bytes) else orjson.dumps(line) for line in lines])
    results = reply.lines
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/x-ndjson")
    assert [each["status"] for each in results] == [
        201,
        201,
        422,
        200,
        201,
        400,
        400,
        400,
        400,
        400,
        422,
        422,
        422,
        201,
    ]
    assert [each["idempotency_key"] for each in results] == [
        *("a", "a", "a", "b", "earlier", None, None, None, None, None, "c", "c", "d", "e")
    ]
    assert "opening" in results[0]
    assert {name: value for name, value in results[0].items() if name != "opening"} == results[1]
    assert results[3]["duplicate"] is True
    assert results[4]["signature"] == earlier["signature"]
    assert [each["type"].removeprefix("/problems/") for each in results if "type" in each] == [
        "idempotency-key-reused",
        *["malformed-request"] * 3,
        "idempotency-key-missing",
        "idempotency-key-invalid",
        *["validation-failed"] * 3,
    ]
    assert [results[at]["errors"][0]["pointer"] for at in (10, 11, 12)] == ["/signer/email", "", "/signed_at"]
    assert CANARY.encode() not in reply.body
    assert len(await served.events(RECORDED)) == 3
    assert [row["comment"] for row in await served.rows("vault.comments")] == ["e"]


async def test_a_line_and_a_request_of_its_own_are_the_same(served: Counter) -> None:
    """If a line of a batch is sent again alone, or a signature again in a batch, then it gets its stored answer."""
    line = orjson.dumps({**JANE, "idempotency_key": "k1"})
    (first,) = (await batch(served, [line])).lines
    alone = await served.sign("k1")
    (again,) = (await batch(served, [line, b""])).lines[:1]
    del first["opening"]
    assert first == again == {**alone.document, "idempotency_key": "k1", "status": 201}


async def test_a_batch_has_its_bounds(served: Counter) -> None:
    """If a batch is not NDJSON, empty, over its lines or for no petition, then it is refused as a whole."""
    line = orjson.dumps({**JANE, "idempotency_key": "k1"})
    assert (await batch(served, [line], "application/json")).problem == "unsupported-media-type"
    assert (await batch(served, [])).problem == "malformed-request"
    assert (await batch(served, [line] * 1001)).problem == "payload-too-large"
    (long,) = (await batch(served, [line + b" " * 16_384])).lines
    assert (long["status"], long["type"]) == (413, "/problems/payload-too-large")
    assert await served.events(RECORDED) == []


async def test_a_full_batch_is_recorded_in_order(served: Counter) -> None:
    """If a thousand lines are sent, then a thousand signatures stand, in the order of the lines."""
    lines = [orjson.dumps({"signer": {"ref": str(n)}, "idempotency_key": str(n)}) for n in range(1000)]
    results = (await batch(served, [*lines, b""])).lines
    assert [each["position"] for each in results] == list(range(2, 1002))
    assert [each["idempotency_key"] for each in results] == [str(n) for n in range(1000)]
    assert await served.database.superuser.fetchval("SELECT count FROM ledger.petitions") == 1000


# -- at the same time --------------------------------------------------------------------------------------------------


async def test_fifty_sends_of_one_key_are_one_signature(served: Counter) -> None:
    """If one request is sent fifty times at once, then there is one event, and every answer is the same."""
    replies = await asyncio.gather(*[served.sign("k1") for _ in range(50)])
    documents = [each.document for each in replies]
    assert {each.status for each in replies} == {201}
    assert sum("opening" in document for document in documents) == 1
    assert len({orjson.dumps({n: v for n, v in each.items() if n != "opening"}) for each in documents}) == 1
    assert len(await served.events(RECORDED)) == 1


async def test_fifty_sends_of_one_key_with_two_bodies_are_one_signature(served: Counter) -> None:
    """If a key is sent with two bodies at once, then one of them is recorded and the other is told of its reuse."""
    replies = await asyncio.gather(*[served.sign("k1", by_email("ab"[n % 2])) for n in range(50)])
    assert collections.Counter(each.status for each in replies) == {201: 25, 422: 25}
    assert len(await served.events(RECORDED)) == 1


async def test_sixty_four_clients_race_for_twenty_signers(served: Counter) -> None:
    """If 64 clients each sign for 20 people at once, then 20 signatures stand, and everyone was told of the same."""
    asked = [(client, signer) for signer in range(20) for client in range(64)]
    replies = await asyncio.gather(
        *[served.sign(f"{client}-{signer}", by_email(f"s{signer}")) for client, signer in asked]
    )
    told: dict[int, set[str]] = {}
    for (_, signer), reply in zip(asked, replies, strict=True):
        told.setdefault(signer, set()).add(reply.document["signature"])
    assert collections.Counter(each.status for each in replies) == {201: 20, 200: 20 * 63}
    assert all(len(signatures) == 1 for signatures in told.values())
    recorded = {event["data"]["signature"] for event in await served.events(RECORDED)}
    assert recorded == set().union(*told.values())
    assert await served.database.superuser.fetchval("SELECT count FROM ledger.petitions") == 20


async def test_a_client_that_leaves_does_not_take_its_signature_back(served: Counter) -> None:
    """If the client goes away while its signature is being written, then it is recorded once, and a retry finds it."""
    async with served.database.superuser.transaction():
        await served.database.superuser.execute("SELECT FROM ledger.head FOR UPDATE")
        sending = asyncio.create_task(served.sign("k1"))

        async def waits() -> bool:
            return bool(await served.database.superuser.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))

        await until(waits)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending

    async def recorded() -> bool:
        return len(await served.events(RECORDED)) == 1

    await until(recorded)
    assert (await served.sign("k1")).status == 201
    assert len(await served.events(RECORDED)) == 1


async def test_what_cannot_be_written_is_said_to_be_not_recorded(
    ledger_database: LedgerDatabase, tmp_path: Path
) -> None:
    """If the database does not take appends, then it is 503 `unavailable` with when to ask again, line by line too."""

    async def nowhere() -> Any:
        raise ConnectionRefusedError

    def made(role: Role) -> Writer:
        reach = nowhere if role == "ledger_signing" else lambda: connect(ledger_database.url, role)
        return Writer(reach, role, SOURCE, patience=0.2)

    async with counter(ledger_database, tmp_path, writer=made) as served:
        await served.open()
        reply = await served.sign("k1")
        (line,) = (await batch(served, [orjson.dumps({**JANE, "idempotency_key": "k1"})])).lines
        assert (reply.status, reply.problem) == (503, "unavailable")
        assert int(reply.headers["Retry-After"]) >= 1
        assert (line["status"], line["type"]) == (503, "/problems/unavailable")
        assert await served.events(RECORDED) == []


async def test_what_is_not_known_is_said_to_be_unknown(ledger_database: LedgerDatabase, tmp_path: Path) -> None:
    """If the writer could not learn what became of it, then it is 503 `outcome-unknown`, never a refusal."""

    class Forgetful(Writer):
        async def submit(self, submission: Submission) -> Outcome:
            await super().submit(submission)
            return Unknown()

    def made(role: Role) -> Writer:
        kind = Forgetful if role == "ledger_signing" else Writer
        return kind(lambda: connect(ledger_database.url, role), role, SOURCE)

    async with counter(ledger_database, tmp_path, writer=made) as served:
        await served.open()
        reply = await served.sign("k1")
        assert (reply.status, reply.problem) == (503, "outcome-unknown")
        assert "Retry-After" in reply.headers
        object.__setattr__(served.context, "signing", served.context.admin)
        assert (await served.sign("k1")).status == 201
        assert len(await served.events(RECORDED)) == 1
