"""The keys of the vault's epochs, each in a file beside the vault's root key: `vault.epoch.1`, `vault.epoch.2`, ...

Identities are sealed under keys that the newest epoch wraps. A key begins as a draft (`vault.epoch.2.next`), which
nobody seals with: only when the database has stated it does the file get its name. Whoever seals looks once a second
whether there is a newer one. The file of an epoch that was retired is destroyed: what only old dumps still hold of that
epoch cannot be opened by anybody, unless somebody kept a copy of the file.

This module must never write a key over another, never put one in a message, and never destroy the newest.
"""

import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from ledger.durable import sync
from ledger.keys import KEY_BYTES, KeyMissing, KeyRefused, KeyUnavailable, load_key, load_or_create_key
from ledger.vault import Epoch

LOOK: Final = 1.0
"""Seconds after which whoever seals looks for a newer epoch."""
TRIES: Final = 10
"""How often a draft is made that somebody else takes away."""
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)


class Epochs:
    """The epochs whose keys lie beside a vault key. Keys that were read are kept in memory."""

    def __init__(self, vault_key: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._vault_key = vault_key
        self._clock = clock
        self._read: dict[int, Epoch] = {}
        self._newest: Epoch | None = None
        self._looked = 0.0

    def path(self, number: int) -> Path:
        """Where the key of this epoch lies."""
        return self._vault_key.with_name(f"{self._vault_key.stem}.epoch.{number}")

    def draft_path(self, number: int) -> Path:
        """Where the key of an epoch lies that is not stated yet."""
        return self._vault_key.with_name(f"{self._vault_key.stem}.epoch.{number}.next")

    def newest(self) -> Epoch:
        """The epoch to seal under. Raises KeyMissing where there is none, and KeyRefused.

        Where a newer one cannot be read, it goes on with the one before: that is valid until it is retired.
        """
        now = self._clock()
        if self._newest is None:
            numbers = self.numbers()
            if not numbers:
                raise KeyMissing(f"there is no key file of an epoch of the vault, such as {self.path(1)}")
            self._newest, self._looked = self.of(numbers[-1]), now
        elif now - self._looked >= LOOK:
            self._looked = now
            for number in reversed(self.numbers()):
                if number <= self._newest.number:
                    break
                with suppress(KeyUnavailable):
                    self._newest = self.of(number)
                    break
        return self._newest

    def of(self, number: int) -> Epoch:
        """The epoch of this number. Raises KeyMissing and KeyRefused."""
        if (kept := self._read.get(number)) is not None:
            return kept
        epoch = Epoch(number, load_key(self.path(number), _called(number)))
        self._read[number] = epoch
        return epoch

    def numbers(self) -> list[int]:
        """Of which epochs there is a file, the oldest first. Raises KeyRefused."""
        prefix = f"{self._vault_key.stem}.epoch."
        try:
            found = [
                entry.name.removeprefix(prefix)
                for entry in self._vault_key.parent.iterdir()
                if entry.name.startswith(prefix)
            ]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise KeyRefused(f"it cannot be seen which keys lie beside {self._vault_key}: {error.strerror}") from error
        return sorted(int(number) for number in found if _NUMBER.fullmatch(number))

    def draft(self, number: int) -> Epoch:
        """A key for this epoch, which nobody seals with yet: made where there is none. Raises KeyRefused."""
        path = self.draft_path(number)
        for _ in range(TRIES):
            # Whoever publishes or discards a draft takes it away, perhaps between our making it and reading it back.
            # Then this makes another one, of which the database says that it came too late.
            with suppress(KeyMissing):
                return Epoch(number, load_or_create_key(path, _called(number)))
        raise KeyRefused(f"the {_called(number)} key file {path} cannot be made: what is made there is not found there")

    def drafted(self, number: int) -> Epoch | None:
        """The draft of this epoch, where there is one. Raises KeyRefused."""
        try:
            return Epoch(number, load_key(self.draft_path(number), _called(number)))
        except KeyMissing:
            return None

    def publish(self, number: int) -> Epoch:
        """Let everybody seal with the draft of this epoch. Once more where that was cut off. Raises KeyMissing and
        KeyRefused."""
        draft, path = self.draft_path(number), self.path(number)
        try:
            with suppress(FileNotFoundError, FileExistsError):
                os.link(draft, path)
            sync(path.parent)
            epoch = self.of(number)
            draft.unlink(missing_ok=True)
        except OSError as error:
            raise KeyRefused(f"the {_called(number)} key file {path} cannot be made: {error.strerror}") from error
        return epoch

    def discard(self, number: int) -> None:
        """Take the draft of this epoch away: another key was stated for it."""
        with suppress(OSError):
            self.draft_path(number).unlink()

    def destroy(self, number: int) -> None:
        """Destroy the key of this epoch, which is retired. Raises KeyRefused.

        It is overwritten before its name is taken away, which is worth something on some disks: an epoch is gone for
        sure only where no copy was kept and the disk forgets.
        """
        if number >= max(self.numbers(), default=0):
            raise KeyRefused(f"the {_called(number)} is the newest, and is not destroyed")
        path = self.path(number)
        self._read.pop(number, None)
        try:
            with suppress(PermissionError), path.open("r+b") as file:
                file.write(bytes(KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
            path.unlink(missing_ok=True)
            sync(path.parent)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise KeyRefused(f"{path} cannot be destroyed: {error.strerror}") from error


def _called(number: int) -> str:
    return f"vault's epoch {number}"
