"""What lies where under a LEDGER_HOME, and the three locks that say who is at home.

`door` is held, alone, by whoever starts or stops the server. `users` is held, shared, by each command that uses it: the
last one out is the one who can take it alone. `alive` is held by the server's own processes, which inherit it: as long
as one of them lives it cannot be taken, whatever postmaster.pid may say after a crash.

Must never unlock by `LOCK_UN`: a lock belongs to everybody who inherited it, and goes when the last of them closes it.
"""

import fcntl
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from ledger.durable import sync
from service.embedded import accounts
from service.embedded.server import EmbeddedUnavailable

POLL = 0.02  # seconds between two looks at a condition that nobody can notify us of


class Lock:
    """A flock on a file of its own; closed, it is released unless somebody inherited it."""

    def __init__(self, path: Path) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)  # not inherited, unless a child is given it by number

    def take(self, *, shared: bool = False) -> bool:
        """Takes the lock, or changes it between alone and shared; False if somebody else's is in the way."""
        try:
            fcntl.flock(self.fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True)
class Place:
    """The part of a LEDGER_HOME that is ours: the directory `postgres` in it."""

    home: Path
    """Absolute; a link in it is left as it is, since this is how the processes are found by their environment."""

    @property
    def directory(self) -> Path:
        return self.home / "postgres"

    @property
    def data(self) -> Path:
        """The cluster: here, or where root had to lay it for `nobody`."""
        elsewhere = self.elsewhere()
        return (elsewhere if elsewhere is not None else self.directory) / "data"

    @property
    def log(self) -> Path:
        return self.directory / "server.log"

    @property
    def pointer(self) -> Path:
        return self.directory / "data-lies-at"

    def elsewhere(self) -> Path | None:
        """The directory that the pointer names, if there is one."""
        try:
            return Path(os.fsdecode(self.pointer.read_bytes()).strip())
        except FileNotFoundError:
            return None

    def door(self) -> Lock:
        return Lock(self.directory / "door.lock")

    def users(self) -> Lock:
        return Lock(self.directory / "users.lock")

    def alive(self) -> Lock:
        return Lock(self.directory / "alive.lock")

    def is_alive(self) -> bool:
        """Whether any process of a server lives. The caller holds the door: a look takes the lock for an instant."""
        with self.alive() as probe:
            return not probe.take()

    def wait_until_gone(self, seconds: float) -> bool:
        """Waits until no process of a server lives; False if one still does."""
        until = time.monotonic() + seconds
        while self.is_alive():
            if time.monotonic() > until:
                return False
            time.sleep(POLL)
        return True

    def mark(self) -> str:
        """Random, made once: a home that was deleted and made anew never meets the sockets of its forerunner."""
        path = self.directory / "mark"
        try:
            return path.read_text().strip()
        except FileNotFoundError:
            write_whole(path, secrets.token_hex(8).encode())
            return path.read_text().strip()


def open_place(home: Path) -> Place:
    """The place in this home, made if it is missing, for the caller alone to enter. Raises EmbeddedUnavailable."""
    place = Place(Path(os.path.abspath(home)))  # noqa: PTH100 - resolve() would follow links
    try:
        place.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        place.directory.mkdir(mode=0o700, exist_ok=True)
        place.door().close()
        place.users().close()
        place.alive().close()
    except OSError as error:
        raise EmbeddedUnavailable(
            f"{place.home} cannot be used to keep a database in: {error.strerror}{_owner(place.home)}. "
            "Set LEDGER_HOME to a directory of your own."
        ) from error
    return place


def _owner(path: Path) -> str:
    """Whose it is, where that is somebody else; a person who sees only "Permission denied" looks in the wrong place."""
    try:
        uid = path.stat().st_uid
    except OSError:
        return ""
    return f"; it belongs to {accounts.name_of(uid)}" if uid != os.geteuid() else ""


def write_whole(path: Path, content: bytes) -> None:
    """Writes a small file so that after a crash it is there whole or not at all."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    sync(path.parent)
