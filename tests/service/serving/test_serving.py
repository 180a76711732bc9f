"""A service in one process: how it begins, what it refuses, how it stops."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from service.embedded.place import Place
from service.embedded.postmaster import read_record
from service.settings import variables
from tests.service.commands import PROGRAM, ROOT, Ended, environment, interpreted, ledger
from tests.service.serving.conftest import PETITION, Kept
from tests.service.serving.services import STOPPED, alive, eventually, free_port, postmaster_of, serving

pytestmark = pytest.mark.database


def test_it_listens_when_the_projections_have_reached_the_head(own: Kept) -> None:
    """If a service says that it listens, then its first answer counts all that was recorded before it started."""
    log = own.home / "log.csv"
    log.write_text("at,kind,signer\n" + "".join(f"2024-05-01T10:{n:02}:00Z,recorded,s{n}\n" for n in range(40)))
    imported = ledger(own.home, "import", "events", str(log), "--petition", "imported")
    assert imported.code == 0, imported.err
    with serving(own.home) as service:
        answer = service.get("/petitions/imported/count.json")
        assert answer.json()["signature_count"] == 40
        code, took = service.stop()
        assert (code, took < STOPPED) == (0, True), service.log


def test_it_says_one_line_and_logs_beside_it(kept: Kept) -> None:
    """If a service runs, then standard output holds nothing but where it listens, and the log is JSON without paths."""
    with serving(kept.home) as service:
        assert service.get(f"/petitions/{PETITION}/count.json").status == 200
        assert eventually(lambda: bool(service.lines("request")))
        assert service.lines("request")[0]["route"] == "/petitions/{id}/count.json"
        service.stop()
        assert service.process.stdout is not None
        assert service.process.stdout.read() == ""
        assert PETITION not in service.log


def test_a_taken_port_is_told_with_the_arguments_to_use_instead(kept: Kept) -> None:
    """If something listens on the port, or another service has it, then the command exits 3 and names arguments."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        ended = ledger(kept.home, "serve", "--port", str(other.getsockname()[1]))
        assert ended.code == 3
        assert "--port" in ended.err
        assert ended.out == ""
    with serving(kept.home, "--workers", "2") as service:
        for workers in ("1", "2"):
            ended = ledger(kept.home, "serve", "--port", str(service.port), "--workers", workers)
            assert (ended.code, ended.out) == (3, "")


def test_a_port_can_be_taken_again_at_once(kept: Kept) -> None:
    """If a service has stopped with connections still waiting out their time, then the next one gets the port."""
    port = str(free_port())
    for workers in ("1", "2", "1"):
        with serving(kept.home, "--port", port, "--workers", workers) as service:
            assert service.get(f"/petitions/{PETITION}/count.json").status == 200
            assert service.stop()[0] == 0


def test_two_services_share_one_embedded_server(own: Kept) -> None:
    """If two services run on one home, then one server carries both, until the last of them has left."""
    with serving(own.home) as first, serving(own.home) as second:
        postmaster = postmaster_of(own.home)
        answers = {service.get(f"/petitions/{PETITION}/count.json").body for service in (first, second)}
        assert len(answers) == 1
        assert first.stop()[0] == 0
        assert alive(postmaster)
        assert second.get(f"/petitions/{PETITION}/timeline.json").status == 200
        assert second.stop()[0] == 0
    assert not Place(own.home).is_alive()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_well_before_it_serves_too(own: Kept, number: signal.Signals) -> None:
    """If it is told to stop while it starts, then it exits 0, and its server is gone with it."""
    with serving(own.home, listen=False) as service:
        # As soon as its server starts. (A look at the server's lock would be in its way.)
        assert eventually(lambda: read_record(Place(own.home).data) is not None)
        code, took = service.stop(number)
        assert (code, took < STOPPED) == (0, True), service.log
    assert not Place(own.home).is_alive()


def test_a_lost_postmaster_is_started_again(own: Kept) -> None:
    """If the embedded server is killed under a service, then it comes back, and counts were answered all the time."""
    with serving(own.home) as service:
        count = service.get(f"/petitions/{PETITION}/count.json")
        for _ in range(2):
            killed = postmaster_of(own.home)
            signal_at = time.monotonic()
            os.kill(killed, signal.SIGKILL)
            while service.get("/health/ready").status != 503 and time.monotonic() - signal_at < 5:
                assert service.get(f"/petitions/{PETITION}/count.json").body == count.body
            assert eventually(lambda: service.get("/health/ready").status == 200)
            assert service.get(f"/petitions/{PETITION}/timeline.json").status == 200
            assert postmaster_of(own.home) != killed
        assert service.stop()[0] == 0
    assert not Place(own.home).is_alive()


def test_debug_mode_is_refused(kept: Kept) -> None:
    """If asyncio is in debug mode, which tells clients of faults, then the service does not start."""
    ended: Ended = interpreted(kept.home, "serve", "--port", "0", PYTHONASYNCIODEBUG="1")
    assert ended.code == 3
    assert "debug" in ended.err


def test_an_unknown_role_is_a_wrong_call(kept: Kept) -> None:
    """If a role is asked for that there is none of, then the command exits 2."""
    assert ledger(kept.home, "serve", "--role", "everything").code == 2


def test_the_public_role_serves_no_admin(kept: Kept) -> None:
    """If a service has the role `public`, then it knows no admin route and no metrics; `admin` knows both."""
    with serving(kept.home, "--role", "public") as public, serving(kept.home, "--role", "admin") as admin:
        assert public.get("/metrics").status == 404
        assert public.post("/petitions", {}).status in (404, 405)
        assert admin.get("/metrics").status == 200
        assert admin.post("/petitions", {}).status == 401
        for service in (public, admin):
            assert service.get(f"/petitions/{PETITION}/count.json").status == 200


def test_help_lists_every_setting() -> None:
    """If somebody asks for help, then every environment variable is named."""
    shown = subprocess.run(
        [sys.executable, "-c", PROGRAM, "serve", "--help"],
        env=environment(Path("unused"), COLUMNS="200"), cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert [name for name, _, _ in variables() if name not in shown] == []
