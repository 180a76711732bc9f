"""Erasing and amending over HTTP: who may, what is answered, and what nobody is told."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from schemas.answers import AmendmentAnswer, ErasureAnswer
from schemas.canonical import from_base64
from service.opening import opening
from tests.conftest import LedgerDatabase
from tests.service.http.conftest import CANARY
from tests.service.http.counter import JANE, PETITION, Counter, Reply, counter

SIGNATURES = f"/petitions/{PETITION}/signatures"
JOHN = {"signer": {"email": "john@ex.org", "name": "John"}}


@pytest.fixture
async def served(ledger_database: LedgerDatabase, tmp_path: Path) -> AsyncIterator[Counter]:
    async with counter(ledger_database, tmp_path) as made:
        await made.done(opening(PETITION))
        yield made


async def erase(
    served: Counter, said: dict[str, Any], petition: str = PETITION, within: str | None = None
) -> Reply:  # fmt: skip
    """Ask as a privacy officer, of all petitions or of one."""
    token = await served.token("privacy", "an officer", petition=within)
    return await served.post("/erasures", {"petition": petition, **said}, token=token)


async def test_a_signer_is_erased_by_a_signature_or_an_address(served: Counter, tmp_path: Path) -> None:
    """If an officer names one of her signatures, or her address in any spelling, then all her signatures end, nothing
    is held, and the same signature gives the same answer again; by her address nobody is known any more."""
    first = (await served.sign("a", JANE)).document["signature"]
    await served.post(f"{SIGNATURES}/{first}/withdrawal")
    second = (await served.sign("b", JANE)).document["signature"]
    john = (await served.sign("c", JOHN)).document["signature"]
    replies = [await erase(served, {"signature": first}), await erase(served, {"signature": second})]
    ErasureAnswer.model_validate_json(replies[0].body)
    assert [reply.status for reply in replies] == [200, 200]
    assert replies[0].document == replies[1].document
    assert replies[0].document["signatures"] == [first, second]
    assert replies[0].document["mode"] == "withdrawn"
    assert (await erase(served, {"email": " JOHN@EX.org"})).document["signatures"] == [john]
    gone = await erase(served, {"email": "john@ex.org"})
    assert (gone.status, gone.problem) == (404, "not-found")
    for table in ("identities", "signers", "answers", "evidence", "erasing"):
        assert await served.rows(f"vault.{table}") == []
    assert len((tmp_path / "journal").read_bytes().splitlines()) == 3


async def test_whoever_was_erased_signs_as_a_stranger(served: Counter) -> None:
    """If her site sends the same request with the same key after the erasure, then she is recorded anew."""
    first = (await served.sign("a", JANE)).document
    await erase(served, {"signature": first["signature"]})
    again = await served.sign("a", JANE)
    assert again.status == 201
    assert again.document["signature"] != first["signature"]
    late = await served.post(f"{SIGNATURES}/{first['signature']}/withdrawal")
    assert (late.status, late.problem) == (409, "invalid-transition")


async def test_an_erasure_that_cannot_be_carried_out_is_refused_and_tells_nothing(
    served: Counter, tmp_path: Path
) -> None:
    """If the petition or the signature is unknown, the address is none, or the body names two, then it is refused; if
    the journal cannot be written, it is 503, the next one finishes it, and nobody's address is told."""
    for said, status in (
        ({"signature": str(uuid4())}, 404),
        ({"email": f"{CANARY}@ex.org"}, 404),
        ({"email": f"{CANARY}@localhost"}, 422),
        ({"email": f"{CANARY}@ex.org", "signature": str(uuid4())}, 422),
        ({}, 422),
    ):
        reply = await erase(served, said)
        assert (reply.status, CANARY in reply.body.decode()) == (status, False)
    assert (await erase(served, {"email": "jane@ex.org"}, "no-such-petition")).status == 404
    assert (await erase(served, {"email": "jane@ex.org"}, within="another")).status == 403
    signature = (await served.sign("a", JANE)).document["signature"]
    (tmp_path / "journal").mkdir()
    reply = await erase(served, {"signature": signature})
    assert (reply.status, reply.problem) == (503, "unavailable")
    assert len(await served.rows("vault.identities")) == 1
    waiting = await served.sign("b", JANE)
    assert (waiting.status, waiting.problem) == (503, "unavailable")
    (tmp_path / "journal").rmdir()
    assert (await erase(served, {"signature": signature})).status == 200
    assert await served.rows("vault.identities") == []


async def test_sixteen_at_once_erase_once(served: Counter) -> None:
    """If sixteen ask at once to erase the same two signers, then each is erased once, and each answer is the same."""
    signed = [(await served.sign(key, who)).document["signature"] for key, who in (("a", JANE), ("b", JOHN))]
    token = await served.token("privacy", "an officer")
    replies = await asyncio.gather(
        *[
            served.post("/erasures", {"petition": PETITION, "signature": signed[n % 2]}, token=token)
            for n in range(16)
        ]
    )  # fmt: skip
    assert {reply.status for reply in replies} == {200}
    assert len({reply.body for reply in replies}) == 2
    assert len(await served.events("signer.erased.v1")) == 2


# -- amending ----------------------------------------------------------------------------------------------------------


async def test_a_signature_is_amended_by_an_admin(served: Counter) -> None:
    """If an admin says who it really was, then the log commits to that, the signer is known by it, and by a key the
    answer is the same again; what it was before is free."""
    signature = (await served.sign("a", JANE)).document["signature"]
    path = f"{SIGNATURES}/{signature}/amendment"
    replies = [await served.post(path, JOHN, token=served.admin, key="k") for _ in range(2)]
    AmendmentAnswer.model_validate_json(replies[0].body)
    assert [reply.status for reply in replies] == [200, 200]
    assert replies[0].document == replies[1].document
    recorded, amended = [
        (await served.events(type))[0]["data"]["pii_commit"]
        for type in ("signature.recorded.v1", "signature.amended.v1")
    ]  # fmt: skip
    assert recorded != amended
    assert len(from_base64(amended)) == 32
    assert (await served.sign("b", JOHN)).document["signature"] == signature
    assert (await served.sign("c", JANE)).status == 201
    again = await served.post(path, JANE, token=served.admin)
    assert (again.status, again.problem) == (409, "invalid-transition")


async def test_an_amendment_that_cannot_be_is_refused_and_tells_nothing(served: Counter) -> None:
    """If the signature is unknown or erased, an organisation's, or the address is none, then nothing is amended, and
    nothing of the body is repeated."""
    union = (await served.sign("a", {"organisation": {"name": "Union"}})).document["signature"]
    jane = (await served.sign("b", JANE)).document["signature"]
    await erase(served, {"signature": jane})
    named = {"signer": {"email": f"{CANARY}@ex.org", "name": CANARY}}
    for signature, body, status in (
        (str(uuid4()), named, 404),
        (union, named, 409),
        (jane, named, 409),
        (union, {"signer": {"email": f"{CANARY}@localhost"}}, 422),
        (union, {"signer": {"ref": CANARY}}, 422),
        (union, {"signer": {}}, 422),
    ):
        reply = await served.post(f"{SIGNATURES}/{signature}/amendment", body, token=served.admin)
        assert (reply.status, CANARY in reply.body.decode()) == (status, False)
    assert await served.events("signature.amended.v1") == []
