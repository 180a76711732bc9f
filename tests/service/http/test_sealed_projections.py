"""What this ledger claims at a head: rows folded exactly up to it, all of one head, and nothing between two heads."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from projections.claimed import claim
from projections.projector import NAMES
from projections.replay import replay
from projections.sealed import advance
from schemas.log_views import ProjectionView
from service.http import reading, sealed_projections
from tests.conftest import LedgerDatabase
from tests.filling import LIBRARY
from tests.histories import signing
from tests.ledger.sealed_logs import shown
from tests.service.http.porch import PATIENCE, Porch, served, until


@pytest.fixture
async def porch(filled_database: LedgerDatabase, tmp_path: Path) -> AsyncIterator[Porch]:
    """Three petitions, folded and served."""
    async with served(filled_database, tmp_path, acquire_timeout=10) as porch:
        await porch.project()
        yield porch


async def publish(porch: Porch, more: int = 0) -> int:
    """So many more signatures; then all is folded, sealed and published, and so are the claims. The head's size."""
    size = porch.snapshots.position + more
    taken = f"{size}-{more}"
    await porch.record(*[signing(LIBRARY, f"{taken}/{number}", imported=False) for number in range(more)])
    await porch.project()
    await fold(porch, size)
    await shown(porch.database, porch.context.settings.home)
    return size


async def fold(porch: Porch, size: int) -> None:
    """Bring the sealed builds to a size, as the sealer does before it publishes."""
    await advance(await porch.database.connect("ledger_projector"), size)


async def claims(porch: Porch, size: int) -> Mapping[str, bytes]:
    """What the ledger must claim at a size: its leaves, replayed."""
    rows = await porch.database.superuser.fetch("SELECT leaf FROM ledger.events ORDER BY position LIMIT $1", size)
    root = await porch.database.superuser.fetchval("SELECT root FROM ledger.tree_heads WHERE size = $1", size)
    folded = replay(row["leaf"] for row in rows)["projections"]
    return {name: claim(name, size, root, folded[name]) for name in NAMES}


async def test_the_claims_are_the_replay_of_the_leaves_that_the_head_covers(porch: Porch) -> None:
    """If a projection is asked for, then it is byte for byte what a replay of the head's leaves gives, under the head's
    size and root, whatever was recorded and folded since.
    """
    size = await publish(porch)
    await porch.record(signing(LIBRARY, "late", imported=False))
    await porch.project()
    expected = await claims(porch, size)
    for name in NAMES:
        answer = await porch.get(f"/projections/{name}.json")
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.body == expected[name]
        ProjectionView.model_validate_json(answer.body)
        assert (await porch.get(f"/projections/{name}.json?size={size}")).body == answer.body
        assert (await porch.get(f"/projections/{name}.json", If_None_Match=answer.headers["ETag"])).status == 304


async def test_all_projections_are_of_one_head_though_others_are_published(porch: Porch) -> None:
    """If the next heads are published while somebody takes one projection after the other, then all are of the head of
    the first, and are read once; whoever names no size gets the newest.
    """
    first = await publish(porch)
    expected = await claims(porch, first)
    assert (await porch.get("/projections/tally.json")).body == expected["tally"]
    asked = porch.asked
    sizes = [await publish(porch, 2), await publish(porch, 3)]
    for name in ("timeline", "petitions", "tally"):
        assert (await porch.get(f"/projections/{name}.json?size={first}")).body == expected[name]
    assert porch.asked == asked
    assert (await porch.get("/projections/tally.json")).document["as_of_position"] == sizes[-1]
    answer = await porch.get(f"/projections/tally.json?size={sizes[0]}")
    assert (answer.status, answer.problem) == (404, "position-not-reached")  # nobody took it while it was the newest


async def test_many_who_ask_at_once_are_answered_by_one_reading(porch: Porch) -> None:
    """If all projections are asked for at once by many, then they are read from the database once, in one snapshot."""
    size = await publish(porch)
    asked = porch.asked
    async with porch.another_client(connections=12) as crowd:
        answers = await asyncio.gather(*[crowd.get(f"/projections/{name}.json") for name in NAMES for _ in range(4)])
    assert {answer.document["as_of_position"] for answer in answers} == {size}
    assert porch.asked == asked + len(answers) + 1  # each asks which head is the newest


async def test_what_is_claimed_at_a_head_is_not_shown_before_the_head_is(
    porch: Porch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the claims are of a head that is about to be published, then whoever asks waits until it is, and gets them."""
    monkeypatch.setattr(sealed_projections, "WAIT", PATIENCE)
    await publish(porch)
    await porch.record(signing(LIBRARY, "late", imported=False))
    size = await porch.project()
    await fold(porch, size)
    async with porch.another_client() as waiting:
        request = asyncio.create_task(waiting.get("/projections/tally.json"))
        asked = porch.asked
        await until(lambda: porch.asked > asked + 2)
        assert not request.done()
        await shown(porch.database, porch.context.settings.home)
        answer = await request
    assert (answer.status, answer.document["as_of_position"]) == (200, size)


async def test_a_head_that_stays_between_is_told_in_time(porch: Porch, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the claims do not come to the newest published head, because its sealer died or they were never folded, then
    that is a 503 with a time to come back, within a bound.
    """
    monkeypatch.setattr(sealed_projections, "WAIT", 0.2)
    await shown(porch.database, porch.context.settings.home)
    for _ in range(2):
        answer = await porch.get("/projections/tally.json")
        assert (answer.status, answer.problem, answer.headers["Retry-After"]) == (503, "unavailable", "1")
        await fold(porch, porch.snapshots.position - 1)
    await fold(porch, porch.snapshots.position)
    assert (await porch.get("/projections/tally.json")).status == 200


async def test_claims_do_not_run_ahead_of_what_the_worker_serves(porch: Porch, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the worker has not come up to the head yet, then whoever gets the claims sees no older count afterwards."""
    monkeypatch.setattr(reading, "WAIT", PATIENCE)
    await porch.record(signing(LIBRARY, "late", imported=False))
    size = porch.snapshots.position + 1
    await fold(porch, size)
    await shown(porch.database, porch.context.settings.home)
    request = asyncio.create_task(porch.get("/projections/tally.json"))
    await until(lambda: porch.snapshots.is_awaited)
    await porch.project()
    assert (await request).document["as_of_position"] == size
    count = await porch.get(f"/petitions/{LIBRARY}/count.json")
    assert int(count.headers["Ledger-Position"]) >= size


async def test_another_size_is_not_reached(porch: Porch) -> None:
    """If a size is asked for that is not that of the newest published head, or is none, then the problem says so."""
    answer = await porch.get("/projections/tally.json")
    assert (answer.status, answer.problem) == (404, "not-yet-sealed")
    size = await publish(porch)
    for other in (1, size - 1, size + 1, 2**53 - 1):
        answer = await porch.get(f"/projections/tally.json?size={other}")
        assert (answer.status, answer.problem) == (404, "position-not-reached"), other
    for none in ("0", "-1", "x", str(2**53), "%D9%A1", ""):
        answer = await porch.get(f"/projections/tally.json?size={none}")
        assert (answer.status, answer.problem) == (422, "validation-failed"), none
    for name in ("signatures", "Tally", "tally%00", "..", "%2e%2e%2fvault", "vault"):
        answer = await porch.get(f"/projections/{name}.json")
        assert (answer.status, answer.problem) == (404, "not-found"), name
