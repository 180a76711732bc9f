"""Services as tests start them: `ledger serve` as a process of its own, asked over HTTP like any client would."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any

from tests.embedded.commands import eventually, postmaster_of
from tests.service.commands import PROGRAM, ROOT, environment

STARTED = 60.0  # seconds; a bound for what takes a few
STOPPED = 10.0  # seconds: what the interface promises

__all__ = ["Served", "Service", "eventually", "postmaster_of", "serving"]


@dataclass(frozen=True)
class Served:
    """An answer; status 0 where there was none, and `body` then says why."""

    status: int
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Service:
    """One `ledger serve`. `address` is what it said it listens on."""

    def __init__(self, process: "subprocess.Popen[str]", log: IO[bytes]) -> None:
        self.process = process
        self._log = log
        self._read = 0
        self._said: dict[str, list[dict[str, Any]]] = {}
        self._reading = threading.Lock()
        self.address = ""

    def wait_until_it_listens(self) -> None:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()  # bounded by the watchdog of `serving`
        said = re.fullmatch(r"listening on (http://\S+)\n", line)
        assert said is not None, f"{line!r}\n{self.log}"
        self.address = said[1]

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        # By the descriptor: the file has no name, and there may be no /proc to find it by.
        return os.pread(self._log.fileno(), os.fstat(self._log.fileno()).st_size, 0).decode()

    def lines(self, event: str) -> list[dict[str, Any]]:
        """Log lines of one kind, so far. Each line is read once: the log is long, and is looked at again and again."""
        with self._reading:  # a test may ask in a thread of its own, too
            new = os.pread(self._log.fileno(), os.fstat(self._log.fileno()).st_size - self._read, self._read)
            whole = new[: new.rfind(b"\n") + 1]
            self._read += len(whole)
            for line in whole.splitlines():
                with contextlib.suppress(ValueError):
                    read = json.loads(line)
                    if isinstance(read, dict):
                        self._said.setdefault(str(read.get("event")), []).append(read)
            return list(self._said.get(event, ()))

    def child(self, name: str) -> int:
        """The process number of the child that does this work now, and has done it for a moment."""
        alive = [line["child_pid"] for line in self.lines("supervisor.started") if line["child"] == name]
        return int(alive[-1])

    def get(self, path: str, timeout: float = 5.0) -> Served:
        return self.ask("GET", path, None, timeout, {})

    def read(self, path: str) -> Served:
        """Ask like a client that does what a 503 says: the same again, a little later. Anything but a 200 fails."""
        refused: list[Served] = []
        until = time.monotonic() + STARTED
        while (answer := self.get(path, timeout=30)).status in (0, 503) and time.monotonic() < until:
            refused.append(answer)
            time.sleep(0.1)
        assert answer.status == 200, (path, answer, refused)
        return answer

    def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Served:
        return self.ask("POST", path, json.dumps(body).encode(), 12.0, headers or {})

    def ask(self, method: str, path: str, body: bytes | None, timeout: float, headers: Mapping[str, str]) -> Served:
        request = urllib.request.Request(self.address + path, body, method=method)
        if body is not None:
            request.add_header("Content-Type", "application/json")
        for name, value in headers.items():
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return Served(answer.status, answer.read())
        except urllib.error.HTTPError as refused:
            with refused:
                return Served(refused.code, refused.read())
        except (OSError, HTTPException) as error:  # cut off: half an answer is none
            return Served(0, type(error).__name__.encode())

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Tell it to stop; its exit code and how long it took, in seconds."""
        began = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(STOPPED + 20)
        return code, time.monotonic() - began

    def children(self) -> set[int]:
        """The processes below it, but those of the embedded server."""
        return {pid for pid in _descendants(self.pid) if "postgres" not in _name(pid)}


@contextlib.contextmanager
def serving(home: Path, *arguments: str, listen: bool = True, **more: str) -> Iterator[Service]:
    """`ledger serve --port 0` in this home; when the block ends, nothing of it is left, whatever happened."""
    with tempfile.TemporaryFile() as log:
        options = [] if "--port" in arguments else ["--port", "0"]
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "serve", *options, *arguments],
            env=environment(home, **more), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
            text=True,
        )  # fmt: skip
        service = Service(process, log)
        watched = {process.pid}
        try:
            if listen:
                with _bounded(process):
                    service.wait_until_it_listens()
            watched |= service.children()
            yield service
        finally:
            watched |= service.children() if process.poll() is None else set()
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(STOPPED + 5)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(STOPPED)
            assert process.stdout is not None
            process.stdout.close()
            for pid in watched - {process.pid}:  # a failed test must not leave them either
                if "service.serving.child" in _arguments(pid):
                    os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def _bounded(process: "subprocess.Popen[str]") -> Iterator[None]:
    """Ends the process, and so the wait for what it says, if it takes too long."""
    timer = threading.Timer(STARTED, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def alive(pid: int) -> bool:
    """Whether the process lives; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Clock:
    """A clock that does not count what these threads had to wait for a processor while it ran.

    On a machine that is busy with other work, a bound of a second would judge that work. A thread's number is its
    process's, where it is the first one, which in a service does everything.
    """

    def __init__(self, *threads: int) -> None:
        self._from: dict[int, float] = {}
        self._until: dict[int, float] = {}
        self.follow(*threads)

    def follow(self, *threads: int) -> None:
        """From now on these as well."""
        for thread in threads:
            self._from.setdefault(thread, _waited(thread))

    def __call__(self) -> float:
        for thread, since in self._from.items():  # of one that has ended, what was seen last
            self._until[thread] = max(_waited(thread) - since, self._until.get(thread, 0.0))
        return time.monotonic() - sum(self._until.values())


def wait_for(holds: Callable[[], bool], seconds: float, clock: Callable[[], float] = time.monotonic) -> float:
    """How long it took until it held, in seconds of the clock. Fails if that is longer than it may be."""
    began = clock()
    assert eventually(holds)
    took = clock() - began
    assert took < seconds, f"took {took:.2f} s, and may take {seconds} s"
    return took


def _waited(thread: int) -> float:
    """Seconds for which this thread has been ready to run, and had to wait for a processor."""
    with contextlib.suppress(OSError, IndexError, ValueError):  # it has ended, or the kernel does not say
        return int(Path(f"/proc/{thread}/schedstat").read_text().split()[1]) / 1e9
    return 0.0


def _descendants(pid: int) -> set[int]:
    below: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                below.setdefault(parent, []).append(int(entry.name))
    found: set[int] = set()
    asked = [pid]
    while asked:
        children = below.get(asked.pop(), [])
        found.update(children)
        asked.extend(children)
    return found


def _name(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text()
    return ""


def _arguments(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""
