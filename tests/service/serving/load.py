"""Campaign sites at work: clients that sign, and send again with the same key until they know what became of it."""

import json
import threading
import time
from collections.abc import Callable
from typing import Any

from tests.service.serving.conftest import PETITION, Kept
from tests.service.serving.services import Served, Service, eventually

RETRIED: float = 60.0  # seconds until a client that never gets an answer fails the test
SOONEST, LATEST = 0.02, 0.5  # seconds between two attempts


class Load:
    """Clients, each in a thread of its own, signing for new signers until the block ends."""

    def __init__(self, kept: Kept, service: Callable[[], Service | None], clients: int = 4) -> None:
        self._kept = kept
        self._service = service
        self._ending = threading.Event()
        self.answers: dict[str, dict[str, Any]] = {}
        """By key: what the client was told in the end."""
        self.statuses: dict[int, int] = {}
        self.stuck: list[str] = []
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._client, args=(nth,)) for nth in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Let every client finish what it began."""
        self._ending.set()
        for thread in self._threads:
            thread.join(RETRIED + 20)
        assert not any(thread.is_alive() for thread in self._threads)
        assert self.stuck == []

    def wait_for(self, more: int) -> None:
        """Wait until so many more were answered."""
        enough = len(self.answers) + more
        assert eventually(lambda: len(self.answers) >= enough), (self.statuses, self.stuck)

    def _client(self, nth: int) -> None:
        signer = 0
        while not self._ending.is_set():
            signer += 1
            self._sign(f"{nth}-{signer}")

    def _sign(self, key: str) -> None:
        until, pause = time.monotonic() + RETRIED, SOONEST
        while time.monotonic() < until:
            service = self._service()
            answer = Served(0, b"") if service is None else sign(service, self._kept, key)
            with self._lock:
                self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
            if answer.status in (200, 201):
                with self._lock:
                    self.answers[key] = answer.json()
                return
            if answer.status not in (0, 503):
                self.stuck.append(f"{answer.status} {answer.body!r}")
                return
            time.sleep(pause)
            pause = min(2 * pause, LATEST)  # what starts or stops needs the processor more than its clients do
        self.stuck.append("no answer")


def sign(service: Service, kept: Kept, key: str) -> Served:
    """Sign once, as the signer that belongs to the key."""
    body = {"signer": {"email": f"signer-{key}@example.org"}, "area": {"country": "GB"}}
    return service.post(f"/petitions/{PETITION}/signatures", body, kept.signed(key))


def check(load: Load, service: Service, kept: Kept) -> None:
    """Every acknowledged signature is there once, at the position that was answered, and nothing else is."""
    assert load.answers
    told = {answer["position"]: answer["signature"] for answer in load.answers.values()}
    assert len(told) == len(load.answers)
    counted = service.read(f"/petitions/{PETITION}/count.json?min_position={max(told)}")
    assert counted.json()["signature_count"] == len(load.answers)
    assert recorded(service) == told
    some = sorted(load.answers)[:: max(len(load.answers) // 40, 1)]
    for key in some:
        again = sign(service, kept, key).json()
        assert (again["signature"], again["position"]) == (
            load.answers[key]["signature"],
            load.answers[key]["position"],
        )


def recorded(service: Service) -> dict[int, str]:
    """The signatures that the log has, by position."""
    found: dict[int, str] = {}
    after = 0
    while lines := service.read(f"/petitions/{PETITION}/events?after={after}&limit=1000").body.splitlines():
        for event in map(json.loads, lines):
            after = int(event["id"])
            if event["type"] == "signature.recorded.v1":
                found[after] = event["data"]["signature"]
    return found
