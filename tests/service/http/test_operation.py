"""What operators read: alive, ready or not and why, the figures; and the icon."""

import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

import service.snapshots
from ledger.tree_head import SealingKey
from service import metrics
from service.http import operation
from tests.conftest import LedgerDatabase
from tests.filling import LIBRARY, fill
from tests.histories import SOURCE, signing
from tests.ledger.sealed_logs import shown
from tests.service.http.porch import Porch, served, until

SHARING = """
import sys
from service import metrics
if sys.argv[1] == "tell":
    print(metrics.exposition().decode())
elif sys.argv[1] == "forget":
    metrics.forget(int(sys.argv[2]))
else:
    metrics.answered("GET", "/events", 200, 0.003)
    metrics.HEAD.set(int(sys.argv[1]))
    import os
    print(os.getpid())
"""


@pytest.fixture
async def porch(ledger_database: LedgerDatabase, tmp_path: Path) -> AsyncIterator[Porch]:
    """A served ledger."""
    await fill(ledger_database)
    async with served(ledger_database, tmp_path) as porch:
        await porch.project()
        yield porch


def sample(text: str, name: str) -> float:
    """The value of a figure without labels."""
    for family in text_string_to_metric_families(text):
        for each in family.samples:
            if each.name == name:
                return each.value
    raise AssertionError(f"there is no {name}")


async def test_a_process_that_answers_is_live(porch: Porch) -> None:
    """If the process is asked whether it lives, then it says so, and no cache keeps it."""
    answer = await porch.get("/health/live")
    assert (answer.status, answer.document) == (200, {"status": "live"})
    assert answer.headers["Cache-Control"] == "no-store"


async def test_readiness_tells_the_lag_of_the_projections(porch: Porch) -> None:
    """If events are not folded yet, then readiness says how many and since when, and is ready all the same."""
    assert (await porch.get("/health/ready")).document["lag_positions"] == 0
    await porch.record(signing(LIBRARY, "a", imported=False), signing(LIBRARY, "b", imported=False))
    head = await porch.database.superuser.fetchval("SELECT position FROM ledger.head")
    await until(lambda: porch.snapshots.lag().head == head)
    answer = await porch.get("/health/ready")
    assert answer.status == 200
    told = answer.document
    assert (told["status"], told["head"], told["position"], told["lag_positions"]) == ("ready", head, head - 2, 2)
    assert 0 < told["lag_seconds"] < 60
    operation.Readiness.model_validate_json(answer.body)
    await porch.project()
    assert (await porch.get("/health/ready")).document["lag_seconds"] == 0


async def test_readiness_tells_how_far_the_log_is_sealed(
    porch: Porch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If nothing was sealed for long, then readiness says so and since when, and is ready all the same: signing goes
    on. Once a head covers every event, it tells its size and its age."""
    head = await porch.database.superuser.fetchval("SELECT position FROM ledger.head")
    told = (await porch.get("/health/ready")).document
    assert (told["sealing"], told["sealed_position"], told["seal_age_seconds"]) == ("current", 0, None)
    assert 0 < told["unsealed_seconds"] < 60
    monkeypatch.setattr(operation, "UNSEALED", -2.0)
    answer = await porch.get("/health/ready")
    assert (answer.status, answer.document["status"], answer.document["sealing"]) == (200, "ready", "behind")
    await shown(porch.database, tmp_path, [SealingKey(SOURCE, bytes(32))])
    await until(lambda: porch.snapshots.sealing().size == head)
    told = (await porch.get("/health/ready")).document
    assert (told["sealing"], told["sealed_position"], told["unsealed_seconds"]) == ("current", head, 0)
    assert 0 <= told["seal_age_seconds"] < 60
    figures = (await porch.get("/metrics")).body.decode()
    assert sample(figures, "ledger_sealed_position") == head
    assert sample(figures, "ledger_unsealed_seconds") == 0
    assert 0 <= sample(figures, "ledger_seal_age_seconds") < 60


async def test_a_worker_without_its_database_is_not_ready(porch: Porch, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the database was not polled for long, then readiness is 503 and says why; liveness is not concerned."""
    monkeypatch.setattr(service.snapshots, "FRESH", 0.0)
    monkeypatch.setattr(operation, "FRESH", 0.0)
    answer = await porch.get("/health/ready")
    assert (answer.status, answer.document["status"]) == (503, "database-away")
    assert answer.headers["Retry-After"] == "1"
    assert (await porch.get("/health/live")).status == 200


async def test_projections_behind_what_was_served_are_not_ready(porch: Porch) -> None:
    """If the projections went back, then readiness is 503 and says that they are behind."""
    await porch.database.superuser.execute("UPDATE projections.checkpoints SET position = position - 3")
    await until(lambda: porch.snapshots.lag().behind)
    answer = await porch.get("/health/ready")
    assert (answer.status, answer.document["status"]) == (503, "behind")


async def test_probes_ask_no_database(porch: Porch) -> None:
    """If probes come often, then none of them takes a connection from a reader."""
    before = porch.asked
    for path in ("/health/live", "/health/ready", "/metrics", "/favicon.ico"):
        assert (await porch.get(path)).status == 200
    assert porch.asked == before


async def test_figures_are_in_prometheus_text(porch: Porch) -> None:
    """If the figures are read, then they are in Prometheus' text format, and say where head and projections are."""
    metrics.answered("GET", "/petitions/{id}/count.json", 200, 0.002)
    answer = await porch.get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    text = answer.body.decode()
    assert sample(text, "ledger_head_position") == porch.snapshots.position
    assert sample(text, "ledger_checkpoint_position") == porch.snapshots.position
    assert sample(text, "ledger_petitions_held") == 3
    assert sample(text, "ledger_projection_lag_positions") == 0
    assert 'ledger_http_requests_total{method="GET",route="/petitions/{id}/count.json",status="200"}' in text
    assert not re.search(LIBRARY, text)


async def test_the_icon_is_an_icon(porch: Porch) -> None:
    """If a browser asks for the icon, then it gets one that it may keep."""
    answer = await porch.get("/favicon.ico")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/x-icon")
    assert answer.body[:6] == b"\x00\x00\x01\x00\x01\x00"
    size, offset = (int.from_bytes(answer.body[at : at + 4], "little") for at in (14, 18))
    assert offset + size == len(answer.body)


async def test_a_public_service_shows_no_figures(ledger_database: LedgerDatabase, tmp_path: Path) -> None:
    """If the role is `public`, then health and figures are not served; the icon is."""
    async with served(ledger_database, tmp_path, role="public") as porch:
        for path in ("/health/live", "/health/ready", "/metrics"):
            assert (await porch.get(path)).problem == "not-found"
        assert (await porch.get("/favicon.ico")).status == 200


def test_workers_that_share_a_directory_tell_the_figures_of_all(tmp_path: Path) -> None:
    """If two processes count, then a third tells the sum of both, and the gauges of those that still live."""
    environment = {**os.environ, metrics.DIRECTORY: str(tmp_path)}

    def run(*arguments: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", SHARING, *arguments], env=environment, capture_output=True, text=True, check=True
        ).stdout

    first, _ = run("5"), run("4")
    text = run("tell")
    assert 'ledger_http_requests_total{method="GET",route="/events",status="200"} 2.0' in text
    assert sample(text, "ledger_head_position") == 5
    run("forget", first.strip())
    text = run("tell")
    assert sample(text, "ledger_head_position") == 4
    assert 'ledger_http_requests_total{method="GET",route="/events",status="200"} 2.0' in text
