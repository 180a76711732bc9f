"""A service of several processes: any of them may die, and nothing that was answered is lost.

STOPS is how often each kind of service is stopped under load: a few times by default, 20 with `make stops`.
"""

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import asyncpg
import pytest

from service.embedded.place import Place
from service.embedded.postmaster import read_record
from tests.service.commands import ledger
from tests.service.serving.conftest import PETITION, Kept
from tests.service.serving.load import Load, check, sign
from tests.service.serving.services import (
    STOPPED,
    Clock,
    Service,
    alive,
    eventually,
    postmaster_of,
    serving,
    wait_for,
)

pytestmark = pytest.mark.database

REPLACED = 1.0  # seconds: what the interface promises
ALL = 5  # two workers, the projector, and two that wait
STOPS = int(os.environ.get("STOPS", "3"))


@contextmanager
def probed(service: Service) -> Iterator[list[tuple[float, int]]]:
    """Asks for a count again and again, each time on a new connection; when, by a clock that is fair to the asking and
    to both workers, and the status."""
    seen: list[tuple[float, int]] = []
    ending = threading.Event()

    def probe() -> None:
        clock = Clock(threading.get_native_id())
        while not ending.wait(0.005):
            clock.follow(service.child("worker-1"), service.child("worker-2"))
            answer = service.get(f"/petitions/{PETITION}/count.json", timeout=3)
            seen.append((clock(), answer.status))

    thread = threading.Thread(target=probe)
    thread.start()
    try:
        yield seen
    finally:
        ending.set()
        thread.join(10)


def replace(service: Service, name: str) -> float:
    """Kill a child, not before another one waits; how long it takes until another one does its work, in seconds."""
    assert eventually(lambda: bool(waiting(service)))
    killed = service.child(name)
    accepting = len(service.lines("worker.accepting"))
    clock = Clock(service.pid, threading.get_native_id(), *waiting(service))
    os.kill(killed, signal.SIGKILL)

    def done() -> bool:
        if service.child(name) == killed:
            return False
        return name == "projector" or len(service.lines("worker.accepting")) > accepting

    return wait_for(done, REPLACED, clock)


def waiting(service: Service) -> set[int]:
    """Children that have loaded everything and wait."""
    return {line["child_pid"] for line in service.lines("supervisor.spare_waits")} - {
        line["child_pid"] for line in service.lines("supervisor.started")
    }


def test_a_dead_child_is_replaced_within_a_second(kept: Kept) -> None:
    """If workers and the projector are killed, one after the other, then each is replaced within a second, the port
    goes on answering, and what is signed meanwhile is counted."""
    with serving(kept.home, "--workers", "2") as service, probed(service) as seen:
        for turn, name in enumerate(("worker-1", "projector", "worker-2", "worker-1", "projector")):
            replace(service, name)
            signed = sign(service, kept, f"replaced-{turn}")
            while signed.status == 0:  # by the one that was killed
                signed = sign(service, kept, f"replaced-{turn}")
            position = signed.json()["position"]
            assert service.get(f"/petitions/{PETITION}/count.json?min_position={position}").status == 200
        assert service.process.poll() is None
        code, took = service.stop()
        assert (code, took < STOPPED) == (0, True), service.log
    answered = [at for at, status in seen if status == 200]
    assert {status for _, status in seen} <= {200, 0}
    assert max(later - earlier for earlier, later in pairwise(answered)) < REPLACED


def test_a_dead_spare_is_replaced(kept: Kept) -> None:
    """If a child that only waits dies, then another one waits in its place."""
    with serving(kept.home, "--workers", "2") as service:
        at_work = {service.child(name) for name in ("worker-1", "worker-2", "projector")}
        assert eventually(lambda: len(service.children()) == ALL)
        spare = min(service.children() - at_work)
        os.kill(spare, signal.SIGKILL)
        assert eventually(lambda: len(service.children() - {spare}) == ALL)
        assert {service.child(name) for name in ("worker-1", "worker-2", "projector")} == at_work
        replace(service, "worker-1")


def test_children_do_not_outlive_the_supervisor(own: Kept) -> None:
    """If the supervisor is killed, then its children stop by themselves within seconds, and the port is free."""
    with serving(own.home, "--workers", "2") as service:
        children = service.children()
        assert len(children) >= 3
        told = Path(f"/proc/{service.child('worker-1')}/environ").read_bytes().split(b"\0")
        (figures,) = [
            Path(os.fsdecode(each.split(b"=", 1)[1])).parent for each in told if each.startswith(b"PROMETHEUS")
        ]
        assert figures.is_dir()
        service.process.kill()
        service.process.wait(STOPPED)
        wait_for(lambda: not any(alive(pid) for pid in children), STOPPED)
        assert not figures.exists()
        with serving(own.home, "--port", str(service.port)) as next_one:
            assert next_one.get(f"/petitions/{PETITION}/count.json").status == 200
    assert eventually(lambda: not Place(own.home).is_alive())


@pytest.mark.parametrize("workers", [1, 2])
def test_stopping_under_load_loses_nothing(own: Kept, workers: int) -> None:
    """If a service is told to stop under load, again and again, then it exits 0 within ten seconds each time, leaves no
    process, and every signature that was acknowledged is there once, at the position that was answered."""
    running: list[Service | None] = [None]
    stops: list[float] = []
    with Load(own, lambda: running[0], clients=16) as load:
        for _ in range(STOPS):
            with serving(own.home, "--workers", str(workers)) as service:
                running[0] = service
                load.wait_for(100)
                children = service.children()
                code, took = service.stop()
                running[0] = None
                assert (code, took < STOPPED) == (0, True), service.log
                assert not any(alive(pid) for pid in children)
                stops.append(took)
        with serving(own.home) as service:
            running[0] = service
            load.wait_for(5)
            load.end()
            check(load, service, own)
    checked = ledger(own.home, "fsck", "--deep")
    assert (checked.code, checked.out) == (0, "no findings\n")
    print(
        f"{workers} workers, {STOPS} stops: {len(load.answers):,} acknowledged, none lost; answers {load.statuses};"
        f" a stop took {min(stops):.2f} to {max(stops):.2f} s; fsck --deep: {checked.out.strip()}"
    )


def test_killing_anything_under_load_loses_nothing(own: Kept) -> None:
    """If workers, the projector, a backend and the postmaster are killed while clients sign and send again, then every
    acknowledged signature is there once, at the position that was answered."""
    with serving(own.home, "--workers", "2") as service, Load(own, lambda: service) as load:
        for what in ("worker-1", "backend", "projector", "postmaster", "worker-2", "backend", "worker-1", "postmaster"):
            load.wait_for(10)
            if what == "postmaster":
                os.kill(postmaster_of(own.home), signal.SIGKILL)
            elif what == "backend":
                os.kill(asyncio.run(a_writing_backend(own.home)), signal.SIGKILL)
            else:
                os.kill(service.child(what), signal.SIGKILL)
        load.wait_for(10)
        load.end()
        assert service.process.poll() is None
        check(load, service, own)
        code, took = service.stop()
        assert (code, took < STOPPED) == (0, True), service.log
    checked = ledger(own.home, "fsck", "--deep")
    assert (checked.code, checked.out) == (0, "no findings\n")
    assert not Place(own.home).is_alive()


async def a_writing_backend(home: Path) -> int:
    """The process number of a backend that serves a writer."""
    while True:
        record = read_record(Place(home).data)
        try:
            assert record is not None
            connection = await asyncpg.connect(record.server.dsn("ledger"))
        except (AssertionError, OSError, asyncpg.PostgresError):
            continue
        try:
            pid = await connection.fetchval(
                "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
                " ORDER BY query LIKE '%append_signing%' OR query = 'COMMIT' DESC LIMIT 1"
            )
            if pid is not None:
                return int(pid)
        finally:
            await connection.close()
