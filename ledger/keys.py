"""Key files: 32 random bytes in a file. The vault's root key, from which every petition's key is derived, and the keys
that seal (`ledger.seal_keys`), and those of the vault's epochs (`ledger.epochs`).

Whoever has the vault's key can test guesses at who signed; whoever loses it recognises no signer again. Whoever has a
sealing key can show another history in this ledger's name. So each lives in one file that only its owner can read,
apart from the database and its dumps, and it is made once: two processes that start at the same time end with the same
key, a crash in between leaves either no key or a whole one, and a key that was ever handed out is on the disk.

This module must never write a key over another, never repair a file that it does not like, and never put a key in a
message. It does name the file: the operator has to find it.
"""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from ledger.durable import sync

KEY_BYTES: Final = 32
ROOT: Final = "root"
"""What the vault's key is called in messages."""


class KeyUnavailable(Exception):
    """The key cannot be had. The message is a sentence for the operator, with the file's path and never its content.

    KeyUnavailable
    |-- KeyMissing   there is no such file
    `-- KeyRefused   there is one, and it is not to be trusted, or not to be read
    """


class KeyMissing(KeyUnavailable):
    """There is no key file at this path."""


class KeyRefused(KeyUnavailable):
    """There is a file, and it is no key file, or others than its owner may use it, or it cannot be read or written."""


def load_or_create_root_key(path: Path) -> bytes:
    """The root key in this file, which is made if it is missing (its directory must exist). Raises KeyRefused."""
    return load_or_create_key(path, ROOT)


def load_root_key(path: Path) -> bytes:
    """The 32 bytes of the root key in this file. Raises KeyMissing or KeyRefused."""
    return load_key(path, ROOT)


def load_or_create_key(path: Path, called: str) -> bytes:
    """The key in this file, which is made if it is missing (its directory must exist). Raises KeyRefused, and
    KeyMissing where somebody takes it away meanwhile.

    `called`: which key it is, for messages: the ... key file.
    """
    try:
        key = load_key(path, called)
        # Whoever made it may not have come as far as its own sync. Where a secret store keeps the directory to itself,
        # it also made the key.
        with suppress(OSError):
            sync(path.parent)
        return key
    except KeyMissing:
        pass  # the usual first start; whether another process is just as early is decided by the link
    try:
        with _draft(path) as draft:
            try:
                os.link(draft, path)
            except FileExistsError:
                pass  # another process was first: its key is the key
        sync(path.parent)
    except OSError as error:
        raise KeyRefused(f"the {called} key file {path} cannot be made: {error.strerror}") from error
    return load_key(path, called)  # read back from where every other process reads it, whoever made it


def retire_key(path: Path, retired: Path, called: str) -> bytes:
    """Put a new key in the place of this file, which stays beside it under another name; the new key.

    A crash in between leaves the old key in its place, and perhaps under the other name too. Raises KeyMissing and
    KeyRefused, also where there is another file of that name.
    """
    old = load_key(path, called)
    try:
        with suppress(FileExistsError):
            os.link(path, retired)
        if load_key(retired, called) != old:
            raise KeyRefused(f"there is another key in {retired}")
        sync(path.parent)
        with _draft(path) as draft:
            draft.replace(path)
            sync(path.parent)
    except OSError as error:
        raise KeyRefused(f"the {called} key file {path} cannot be replaced: {error.strerror}") from error
    return load_key(path, called)


def load_key(path: Path, called: str) -> bytes:
    """The 32 bytes of the key in this file. Raises KeyMissing or KeyRefused. `called`: as in `load_or_create_key`."""
    try:
        # Not to wait for a writer, should this be a pipe.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise KeyMissing(f"there is no {called} key file {path}") from None
    except OSError as error:
        raise KeyRefused(f"the {called} key file {path} cannot be read: {error.strerror}") from error
    try:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            raise KeyRefused(f"the {called} key file {path} is not a regular file")
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise KeyRefused(
                f"others than its owner may use the {called} key file {path} (mode {stat.S_IMODE(mode):04o}):"
                " chmod 600 it"
            )
        key = os.read(handle, KEY_BYTES + 1)
    except OSError as error:
        raise KeyRefused(f"the {called} key file {path} cannot be read: {error.strerror}") from error
    finally:
        os.close(handle)
    if len(key) != KEY_BYTES:
        raise KeyRefused(f"the {called} key file {path} does not hold exactly {KEY_BYTES} bytes")
    return key


@contextmanager
def _draft(path: Path) -> Iterator[Path]:
    """A new key, whole and on the disk, in a file beside this path, which is gone afterwards, unless it was renamed.

    It is written under a name of its own and then linked or renamed: a link fails where the name is taken, like O_EXCL,
    but shows others a finished file or none.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        yield draft
    finally:
        draft.unlink(missing_ok=True)
