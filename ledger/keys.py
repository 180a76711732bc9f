"""The vault's root key: 32 random bytes in a file, from which every petition's key is derived.

Whoever has it can test guesses at who signed; whoever loses it recognises no signer again. So it lives in one file that
only its owner can read, apart from the database and its dumps, and it is made once: two processes that start at the
same time end with the same key, a crash in between leaves either no key or a whole one, and a key that was ever handed
out is on the disk.

This module must never write a key over another, never repair a file that it does not like, and never put a key in a
message. It does name the file: the operator has to find it.
"""

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

ROOT_KEY_BYTES: Final = 32


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
    try:
        key = load_root_key(path)
        # Whoever made it may not have come as far as its own sync. Where a secret store keeps the directory to itself,
        # it also made the key.
        with suppress(OSError):
            _sync_directory(path.parent)
        return key
    except KeyMissing:
        pass  # the usual first start; whether another process is just as early is decided by the link
    try:
        _create(path, secrets.token_bytes(ROOT_KEY_BYTES))
    except OSError as error:
        raise KeyRefused(f"the root key file {path} cannot be made: {error.strerror}") from error
    return load_root_key(path)  # read back from where every other process reads it, whoever made it


def load_root_key(path: Path) -> bytes:
    """The 32 bytes of the root key in this file. Raises KeyMissing or KeyRefused."""
    try:
        # Not to wait for a writer, should this be a pipe.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise KeyMissing(f"there is no root key file {path}") from None
    except OSError as error:
        raise KeyRefused(f"the root key file {path} cannot be read: {error.strerror}") from error
    try:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            raise KeyRefused(f"the root key file {path} is not a regular file")
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise KeyRefused(
                f"others than its owner may use the root key file {path} (mode {stat.S_IMODE(mode):04o}): chmod 600 it"
            )
        key = os.read(handle, ROOT_KEY_BYTES + 1)
    except OSError as error:
        raise KeyRefused(f"the root key file {path} cannot be read: {error.strerror}") from error
    finally:
        os.close(handle)
    if len(key) != ROOT_KEY_BYTES:
        raise KeyRefused(f"the root key file {path} does not hold exactly {ROOT_KEY_BYTES} bytes")
    return key


def _create(path: Path, key: bytes) -> None:
    """Puts a whole, durable key file at this path, unless there is one already.

    It is written under a name of its own and then linked: a link fails where the name is taken, like O_EXCL, but shows
    others a finished file or none.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass  # another process was first: its key is the key
    finally:
        draft.unlink()
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)  # From here a crash loses nothing: the name is on the disk too.
    finally:
        os.close(handle)
