"""Ledgers that are sealed beside a witness, as real ones are, and backups of them."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path

import asyncpg

from ledger.log_reading import Published, newest_published
from ledger.migrations import migrate
from ledger.seal_keys import make_sealing_key
from ledger.tree_head import VerifierKey, open_note
from service.database import MIGRATIONS, Ledger
from service.sealing import seal_and_publish
from service.settings import Settings
from tests.conftest import FreshDatabase, LedgerDatabase
from tests.histories import SOURCE, History, opening, signing, store

Place = tuple[LedgerDatabase, Path]
"""An empty database, and an empty directory."""


@asynccontextmanager
async def place(fresh_database: FreshDatabase, directory: Path) -> AsyncIterator[Place]:
    """One more ledger's place: a database that is migrated, and a directory that is made."""
    url = await fresh_database()
    superuser = await asyncpg.connect(url)
    try:
        await migrate(superuser, MIGRATIONS)
        directory.mkdir()  # noqa: ASYNC240 -- a moment
        yield LedgerDatabase(url, superuser, []), directory
    finally:
        superuser.terminate()


@dataclass
class WitnessedLog:
    """A ledger in a database and a directory of its own."""

    database: LedgerDatabase
    directory: Path
    witness_url: str
    witness: VerifierKey
    history: History = field(default_factory=History)
    monitor: str | None = None

    @property
    def ledger(self) -> Ledger:
        keys, copy = self.directory / "seal.key", self.directory / "checkpoint"
        return Ledger(self.database.url, SOURCE, Path("unused"), keys, copy)

    @property
    def settings(self) -> Settings:
        return Settings(
            witness_url=self.witness_url,
            witness_monitor=self.monitor,
            witness_vkey=(self.witness.vkey,),
            witness_timeout=10,
            seal_interval=0.01,
        )

    @property
    def key(self) -> VerifierKey:
        return make_sealing_key(self.directory / "seal.key", SOURCE).verifier

    async def grow(self, by: int = 1, word: str = "signer") -> None:
        """Commit some more events."""
        before = self.history.size
        if before == 0:
            self.history.settle(opening("p"))
        self.history.settle(*(signing("p", f"{word} {before}/{nth}") for nth in range(by)))
        await store(self.database.superuser, self.history, before)

    async def newest(self) -> Published | None:
        return await newest_published(self.database.superuser)

    def witnesses_of(self, note: bytes) -> list[VerifierKey]:
        """Those of a note, whose seal is ours."""
        return [key for key, _ in open_note(note, [self.key, self.witness]).cosignatures]

    async def backed_up(self, database: LedgerDatabase, directory: Path) -> "WitnessedLog":
        """The same ledger as it is now, with its key and its copy, in an empty database and an empty directory: what a
        backup gives back that was made now. No witness sees how it is made."""
        shutil.copy2(self.directory / "seal.key", directory)
        backup = replace(self, database=database, directory=directory, history=deepcopy(self.history))
        await store(database.superuser, backup.history)
        sealed = await seal_and_publish(backup.ledger, Settings())
        assert sealed is not None
        assert (directory / "checkpoint").read_bytes() == sealed.note == (self.directory / "checkpoint").read_bytes()
        return backup
