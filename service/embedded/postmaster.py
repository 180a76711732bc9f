"""The server's process: started, found again, stopped.

Started directly as a child, in a session of its own, so that a Ctrl-C or a signal to the command's group does not reach
it, and without a parent-death signal: others may be using it. It holds nothing of the command's but the `alive` lock.

Must never signal a process that is not this cluster's, and never wait without a bound.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from service.embedded import sockets
from service.embedded.cluster import Cluster, environment
from service.embedded.place import POLL, Place
from service.embedded.server import PORT, EmbeddedUnavailable, Say, Server

RECOVERY = 300.0  # seconds; replaying after a crash takes as long as there is log to replay
FAST, IMMEDIATE, KILLED = 60.0, 10.0, 10.0  # seconds given to each way of stopping, in this order
LARGEST_LOG = 4 * 1024 * 1024  # bytes; a longer one is put aside, once, at the next start

SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "timezone": "UTC",
    # Acknowledged means durable, here as in production.
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    # The log holds no parameter, no statement and no row: any of them may be personal.
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_timezone": "UTC",
    "log_destination": "stderr",
    "logging_collector": "off",
}

_children: list[subprocess.Popen[bytes]] = []
"""Servers started by this process, which may outlive our use of them: kept, so that ended ones can be reaped."""


@dataclass(frozen=True)
class Record:
    """What a postmaster says of itself in postmaster.pid; it may be long dead."""

    pid: int
    port: int
    socket_dir: Path
    status: str

    @property
    def server(self) -> Server:
        return Server(self.socket_dir, self.port)


def read_record(data: Path) -> Record | None:
    """The record in the data directory; None if there is none, or one half-written."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        return Record(int(lines[0]), int(lines[3]), Path(lines[4]), lines[7].strip())
    except (OSError, ValueError, IndexError):
        return None


def start(place: Place, cluster: Cluster, say: Say) -> Server:
    """Starts the server and waits until it takes connections. The caller holds the door, and no server is alive."""
    directory = sockets.directory_for(place, cluster.account)
    sockets.prepare(directory, cluster.account)
    _refuse_a_stranger(cluster.data)
    # No process of ours lives, so what these name is dead, even if its number has been given to another process since.
    (cluster.data / "postmaster.pid").unlink(missing_ok=True)
    sockets.clear_stale(directory)

    options = {**SETTINGS, "unix_socket_directories": str(directory)}
    command: list[str | Path] = [cluster.programs.directory / "postgres", "-D", cluster.data]
    command += [argument for name, value in options.items() for argument in ("-c", f"{name}={value}")]
    with place.alive() as alive, _open_log(place.log) as log:
        if not alive.take():
            raise EmbeddedUnavailable(f"a database server of {place.home} is still ending; try again")
        begins = log.tell()
        process = subprocess.Popen(
            cluster.account.command(command),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=environment(place, cluster.programs),
            start_new_session=True,
            pass_fds=(alive.fd,),
            **cluster.account.process_options(),
        )
        _children.append(process)
    try:
        return _wait_until_ready(process, place, cluster.data, begins, say)
    except BaseException:
        end(place, cluster.data, say, gently=False)
        raise


def find(place: Place, data: Path, say: Say) -> Server | None:
    """The server that is alive here, once it takes connections; None if none is, or one that cannot be reached."""
    reap()
    began = time.monotonic()
    told = False
    while place.is_alive():
        record = read_record(data)
        if record is not None and record.status == "ready" and sockets.accepts(record.socket_dir, record.port):
            return record.server
        waited = time.monotonic() - began
        # It starts or stops, and may take its time at it; anything else passes at once, or never.
        if waited > (RECOVERY if record is not None and record.status in {"starting", "stopping"} else FAST / 4):
            return None
        if waited > 1 and not told:
            say("waiting for the database server that is starting or stopping ...")
            told = True
        time.sleep(POLL)
    return None


def is_running(data: Path) -> bool:
    """Whether the postmaster that the record names lives and works in this data directory."""
    record = read_record(data)
    return record is not None and _lives(record, data)


def end(place: Place, data: Path, say: Say, *, gently: bool = True) -> None:
    """Stops the server and waits until all of it is gone; a tardy one is told, not raised. The caller holds the door.

    Gently is a fast shutdown: transactions are rolled back, everything is written. Else it recovers at the next start.
    """
    record = read_record(data)
    ways = ((signal.SIGINT, FAST), (signal.SIGQUIT, IMMEDIATE)) if gently else ((signal.SIGQUIT, IMMEDIATE),)
    for way, seconds in ways:
        if record is not None and place.is_alive() and _lives(record, data):
            _signal(record.pid, way)
            place.wait_until_gone(seconds)
    if place.is_alive():
        for pid in _processes_in(data):
            _signal(pid, signal.SIGKILL)
        if not place.wait_until_gone(KILLED):
            say(f"a process of the database in {data} does not end; the next command will try again")
            return
    if record is not None:
        sockets.remove(record.socket_dir)
    reap()


def reap() -> None:
    """Takes ended servers that this process started from the kernel's table."""
    _children[:] = [child for child in _children if child.poll() is None]


def _wait_until_ready(process: subprocess.Popen[bytes], place: Place, data: Path, begins: int, say: Say) -> Server:
    began = time.monotonic()
    told = False
    while time.monotonic() - began < RECOVERY:
        if process.poll() is not None:
            raise EmbeddedUnavailable(f"PostgreSQL did not start: {_last_words(place.log, begins)} (see {place.log})")
        record = read_record(data)
        if record is not None and record.pid == process.pid and record.status == "ready":
            return record.server
        if time.monotonic() - began > 2 and not told:
            say("the database server is recovering ...")
            told = True
        time.sleep(POLL / 2)
    raise EmbeddedUnavailable(f"PostgreSQL was not ready after {RECOVERY:.0f} s (see {place.log})")


def _refuse_a_stranger(data: Path) -> None:
    """A server that was started by hand on our data holds no lock of ours, and must not get company."""
    record = read_record(data)
    if record is not None and _lives(record, data):
        raise EmbeddedUnavailable(
            f"a PostgreSQL (process {record.pid}) that this program did not start runs on {data}. Stop it first."
        )


def _lives(record: Record, data: Path) -> bool:
    """Whether the postmaster of this record lives: by its working directory, else by its socket."""
    works = _works_in(record.pid, data)
    return sockets.accepts(record.socket_dir, record.port) if works is None else works


def _works_in(pid: int, data: Path) -> bool | None:
    """Whether the process lives and has the data directory as its own; None where the system does not tell."""
    try:
        return Path(f"/proc/{pid}/cwd").samefile(data)
    except PermissionError:
        return None
    except OSError:
        return None if not Path("/proc/self").exists() else False


def _processes_in(data: Path) -> Iterator[int]:
    """All processes of a server on this data directory: each of them has it as its working directory."""
    with contextlib.suppress(OSError):
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and _works_in(int(entry.name), data):
                yield int(entry.name)


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


@contextlib.contextmanager
def _open_log(path: Path) -> Iterator[BinaryIO]:
    """The server's log, for its owner to read, positioned at its end."""
    if path.exists() and path.stat().st_size > LARGEST_LOG:
        path.replace(path.with_name(path.name + ".1"))
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as log:
        log.seek(0, os.SEEK_END)
        yield log


def _last_words(log: Path, begins: int) -> str:
    """The server's own reason, from what it wrote since `begins`."""
    with log.open("rb") as file:
        file.seek(begins)
        lines = file.read(64 * 1024).decode("utf-8", "replace").splitlines()
    fatal = [line for line in lines if "FATAL:" in line or "PANIC:" in line or "ERROR:" in line]
    reason = (fatal or lines or ["it said nothing"])[-1]
    return reason.partition(": ")[2].strip() if fatal else reason.strip()
