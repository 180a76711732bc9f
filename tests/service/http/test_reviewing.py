"""Signals over HTTP: admins of the petition see what is unlike it, and preview just that."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas.answers import SignalsView
from tests.conftest import LedgerDatabase
from tests.service.http.counter import PETITION, Counter, counter
from tests.service.http.test_corrections import FEW, sign

PATH = f"/petitions/{PETITION}/signals"


@pytest.fixture
async def served(ledger_database: LedgerDatabase, tmp_path: Path) -> AsyncIterator[Counter]:
    """A petition that nobody has signed."""
    async with counter(ledger_database, tmp_path) as served:
        await served.open()
        yield served


async def test_a_signal_is_the_body_of_a_preview(served: Counter) -> None:
    """If fraud came from one network, then an admin sees it first, what she sees fills in a preview as it stands, and
    nothing was recorded or refused because of it; corrected, it is no signal any more."""
    await sign(served, 60, "honest", "198.51.*.9")
    await sign(served, 40, "robot", "203.0.113.*")
    await sign(served, FEW, "more", "203.0.114.*")
    before = len(await served.events())
    reply = await served.get(PATH, served.admin)
    assert (reply.status, reply.headers["Cache-Control"]) == (200, "private, no-cache")
    SignalsView.model_validate_json(reply.body)
    (signal,) = reply.document["signals"]
    assert (signal["kind"], signal["count"], signal["of"]) == ("network", 40, 105)
    body = {name: signal[name] for name in ("reason", "rule", "where")}
    previewed = await served.post(f"/petitions/{PETITION}/corrections/preview", body, token=served.admin)
    assert (previewed.status, previewed.document["matched"]) == (200, signal["matched"])
    assert len(await served.events()) == before
    opened = await served.post(f"/petitions/{PETITION}/corrections", body, token=served.admin)
    assert (opened.status, opened.document["applied"]) == (201, 40)
    assert (await served.get(PATH, served.admin)).document == {"petition": PETITION, "signals": []}


async def test_signals_are_for_admins_of_the_petition(served: Counter) -> None:
    """If somebody else asks, then it is forbidden; and there are no signals of what there is not."""
    await served.open("another")
    elsewhere = await served.token("admin", "of another", petition="another")
    for token in (served.site, elsewhere):
        refused = await served.get(PATH, token)
        assert (refused.status, refused.problem) == (403, "forbidden")
    missing = await served.get("/petitions/nobody-opened-this/signals", served.admin)
    assert (missing.status, missing.problem) == (404, "not-found")
    assert (await served.get(PATH, served.admin)).document["signals"] == []
