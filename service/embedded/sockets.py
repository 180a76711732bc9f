"""The directory of the server's unix socket: the only way in, and so the whole of its protection.

Must never be a directory that somebody else owns or can enter; must never lie under the data, whose path may be long.
"""

import contextlib
import hashlib
import os
import socket
import stat
import struct
import tempfile
from pathlib import Path

from service.embedded import accounts
from service.embedded.accounts import Account
from service.embedded.place import Place
from service.embedded.server import PORT, EmbeddedUnavailable

SSL_REQUEST = struct.pack("!ii", 8, 80877103)
"""The smallest question of PostgreSQL's protocol (Message Formats, SSLRequest): one byte answers, before any login."""
PREFIX = "signature-ledger-"
LONGEST = 107  # bytes of sun_path on Linux, without its NUL; 103 elsewhere, which our names do not come near


def directory_for(place: Place, account: Account) -> Path:
    """Named by the account and a hash of the home, under the temporary directory: the same for every start."""
    named = hashlib.sha256(os.fsencode(os.path.realpath(place.home)) + place.mark().encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"{PREFIX}{account.uid}-{named}"


def prepare(directory: Path, account: Account) -> None:
    """Makes the directory for the account alone, or checks that it is so already. Raises EmbeddedUnavailable."""
    if len(os.fsencode(socket_path(directory))) + len(".lock") >= LONGEST:
        raise EmbeddedUnavailable(f"{directory} is too long a path for a unix socket; set TMPDIR to a shorter one")
    try:
        directory.mkdir(mode=0o700)
        if account.how == "switched":
            os.chown(directory, account.uid, account.gid, follow_symlinks=False)
    except FileExistsError:
        pass
    except OSError as error:
        raise EmbeddedUnavailable(f"{directory} cannot be made for the database's socket: {error.strerror}") from error
    entry = directory.lstat()
    if not stat.S_ISDIR(entry.st_mode) or entry.st_uid != account.uid or stat.S_IMODE(entry.st_mode) & 0o077:
        raise EmbeddedUnavailable(
            f"{directory}, where the database's socket belongs, is not a directory that only "
            f"{accounts.name_of(account.uid)} can enter (it is {accounts.name_of(entry.st_uid)}'s, "
            f"mode {stat.S_IMODE(entry.st_mode):o}). Remove it, or set TMPDIR to a directory of your own."
        )


def clear_stale(directory: Path) -> None:
    """Removes the socket of a server that is gone; its lock file may name a process number that lives again."""
    for name in (socket_path(directory), lock_path(directory)):
        name.unlink(missing_ok=True)


def remove(directory: Path) -> None:
    """Takes the directory of a server that has ended away, if it is one of ours: a stranger's may be anywhere."""
    if directory.name.startswith(PREFIX):
        with contextlib.suppress(OSError):
            clear_stale(directory)
            directory.rmdir()


def socket_path(directory: Path, port: int = PORT) -> Path:
    return directory / f".s.PGSQL.{port}"


def lock_path(directory: Path, port: int = PORT) -> Path:
    return directory / f".s.PGSQL.{port}.lock"


def accepts(directory: Path, port: int = PORT) -> bool:
    """Whether a server answers there. A process that is being killed still lets us connect, but answers no more."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(5)
        try:
            probe.connect(os.fspath(socket_path(directory, port)))
            probe.sendall(SSL_REQUEST)
            return probe.recv(1) in {b"S", b"N"}
        except OSError:
            return False
