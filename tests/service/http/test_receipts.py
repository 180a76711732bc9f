"""Receipts: whoever signed can hold the log to it, with nothing but the receipt and the ledger's public key."""

from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest

from ledger.merkle import leaf_hash
from ledger.receipt import ReceiptRefused, check_receipt, read_receipt
from ledger.tree_head import VerifierKey, parse_vkey
from schemas.canonical import to_base64
from service.signing import receipt_path
from tests.conftest import LedgerDatabase
from tests.filling import BRIDGE, LIBRARY, PAGE, SIGNED
from tests.histories import fixed_uuid, opening, signing
from tests.ledger.sealed_logs import shown
from tests.service.http.porch import Porch, served


@pytest.fixture
async def porch(filled_database: LedgerDatabase, tmp_path: Path) -> AsyncIterator[Porch]:
    """Three petitions, folded, served and published."""
    async with served(filled_database, tmp_path, acquire_timeout=10) as porch:
        await porch.project()
        await publish(porch)
        yield porch


async def publish(porch: Porch) -> bytes:
    """Seal, copy and publish what was recorded; the note."""
    return await shown(porch.database, porch.context.settings.home)


async def stored(porch: Porch) -> list[bytes]:
    """The leaves as the database has them."""
    rows = await porch.database.superuser.fetch("SELECT leaf FROM ledger.events ORDER BY position")
    return [row["leaf"] for row in rows]


async def keys(porch: Porch) -> list[VerifierKey]:
    return [parse_vkey(line) for line in (await porch.get("/vkey")).body.decode().splitlines()]


async def test_every_signature_has_a_receipt_that_holds(porch: Porch) -> None:
    """If a receipt is asked for at the URL that the signing answer gave, then it shows that the very event is in the
    log of the newest published head; of another event it shows nothing.
    """
    leaves, listed = await stored(porch), await keys(porch)
    checkpoint = (await porch.get("/checkpoint")).body
    found = 0
    for index, leaf in enumerate(leaves):
        event: dict[str, Any] = orjson.loads(leaf)
        if event["type"] != SIGNED:
            continue
        answer = await porch.get(receipt_path(event["subject"], event["data"]["signature"]))
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
        receipt = read_receipt(answer.body)
        assert (receipt.index, receipt.note) == (index, checkpoint)
        assert check_receipt(receipt, leaf_hash(leaf), listed).head.size == len(leaves)
        with pytest.raises(ReceiptRefused):
            check_receipt(receipt, leaf_hash(leaves[index - 1]), listed)
        found += 1
    assert found > 10


async def test_a_receipt_outlives_the_head_that_it_was_made_for(porch: Porch) -> None:
    """If the log grows, then a receipt that was given before holds as it did, and a new one is for the new head."""
    path = receipt_path(LIBRARY, str(fixed_uuid(f"{LIBRARY}/0/0")))
    before = await porch.get(path)
    await porch.record(*[signing(LIBRARY, f"more-{number}", imported=False) for number in range(5)])
    assert (await porch.get(path, If_None_Match=before.headers["ETag"])).status == 304
    note = await publish(porch)
    after = await porch.get(path, If_None_Match=before.headers["ETag"])
    assert (after.status, read_receipt(after.body).note) == (200, note)
    leaves, listed = await stored(porch), await keys(porch)
    for answer, size in ((before, len(leaves) - 5), (after, len(leaves))):
        receipt = read_receipt(answer.body)
        assert check_receipt(receipt, leaf_hash(leaves[receipt.index]), listed).head.size == size


async def test_who_signed_a_moment_ago_is_asked_to_come_again(porch: Porch) -> None:
    """If no published head covers a signature yet, then its receipt is a 404 with a time to come back, and that is kept
    for a moment only; once one does, it is there.
    """
    await porch.record(signing(LIBRARY, "late", imported=False))
    path = receipt_path(LIBRARY, str(fixed_uuid(f"{LIBRARY}/late/0")))
    for _ in range(2):
        answer = await porch.get(path)
        assert (answer.status, answer.problem) == (404, "not-yet-sealed")
        assert (answer.headers["Retry-After"], answer.headers["Cache-Control"]) == ("1", "public, max-age=1")
        await porch.project()
    await publish(porch)
    assert (await porch.get(path)).status == 200


async def test_what_never_signed_has_no_receipt(porch: Porch) -> None:
    """If a petition has no such signature, or there is no such petition, then there is nothing; which petition another
    signature is of is not told.
    """
    signature = str(fixed_uuid(f"{LIBRARY}/0/0"))
    for path in (
        receipt_path(LIBRARY, str(fixed_uuid("nobody"))),
        receipt_path(BRIDGE, signature),
        receipt_path(PAGE, signature),
        receipt_path("nobody-opened-this", signature),
        receipt_path(LIBRARY, signature.upper()),
        receipt_path(LIBRARY, signature.replace("-", "")),
        receipt_path(LIBRARY, f"{signature}%00"),
        "/petitions/nobody-opened-this/receipt",
        "/petitions/%2e%2e/receipt",
    ):
        answer = await porch.get(path)
        assert (answer.status, answer.problem) == (404, "not-found"), path


async def test_a_petitions_receipt_is_of_its_last_event(porch: Porch) -> None:
    """If a petition's receipt is asked for, then it shows the last event that the head covers; the petition's own
    events lead to it by their chain, so that they are all there are up to it.
    """
    await porch.record(signing(LIBRARY, "late", imported=False))
    leaves, listed = await stored(porch), await keys(porch)
    for id in (LIBRARY, BRIDGE, PAGE):
        receipt = read_receipt((await porch.get(f"/petitions/{id}/receipt")).body)
        own = [leaf for leaf in leaves[:-1] if orjson.loads(leaf)["subject"] == id]
        assert leaves[receipt.index] == own[-1]
        assert check_receipt(receipt, leaf_hash(own[-1]), listed).head.size == len(leaves) - 1
        assert "prev" not in orjson.loads(own[0])
        for before, event in pairwise(own):
            assert orjson.loads(event)["prev"] == to_base64(leaf_hash(before))


async def test_a_petition_that_no_head_covers_has_no_receipt_yet(porch: Porch) -> None:
    """If a petition was opened after the newest head, then its receipt is not sealed yet; then it is."""
    await porch.declare(opening("opened-a-moment-ago"))
    path = "/petitions/opened-a-moment-ago/receipt"
    answer = await porch.get(path)
    assert (answer.status, answer.problem, answer.headers["Retry-After"]) == (404, "not-yet-sealed", "1")
    await publish(porch)
    assert read_receipt((await porch.get(path)).body).index == len(await stored(porch)) - 1
