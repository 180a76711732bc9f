"""Which database: the one that DATABASE_URL names, or the embedded one of LEDGER_HOME, brought up to date on demand.

`place` settles it for the length of a command; inside, `Place.ledger()` gives connections in the ledger's roles. The
embedded server's superuser is used to make the database and to migrate it, and by nothing else: work is done by a
login of its own that may take the ledger's roles and owns nothing.

This module must never create anything for a command that only reads, and never print a database URL: it may hold a
password.
"""

import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar, get_args
from uuid import UUID

import asyncpg

from ledger.connecting import Connection, Role, connect
from ledger.epochs import Epochs
from ledger.identity import key_check, petition_key
from ledger.keys import KeyUnavailable, load_or_create_root_key, load_root_key
from ledger.migrations import LEDGER, MigrationRefused, is_current, migrate
from ledger.rewrapping import PAGE, seal_plain, settle_epochs
from ledger.vault import Epoch
from ledger.writer import BOUND, Writer
from schemas.envelope import is_source
from service.embedded import place as embedded
from service.embedded.server import EmbeddedUnavailable
from service.embedded.sharing import shared
from service.settings import Settings

PROJECTIONS: Final = "projections.sql.migrations"
MIGRATIONS: Final = (LEDGER, PROJECTIONS)
"""The packages whose migrations make up the schema, in order."""

DATABASE: Final = "ledger"
LOGIN: Final = "ledger_login"
DEFAULT_ORIGIN: Final = "localhost/ledger"

Say = Callable[[str], None]
Made = TypeVar("Made")


class Unavailable(Exception):
    """The database or a key is not to be had. The text is a sentence for a person; the command line exits 3."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """An open ledger: its database, its origin, and where its keys and the copy of its newest head lie. Connections are
    the caller's to close."""

    dsn: str
    origin: str
    key_file: Path
    """The vault's."""
    seal_key_file: Path | None = None
    """The present key that seals; None where nobody seals."""
    head_copy: Path | None = None
    erasure_journal: Path | None = None
    """Which signatures were erased; None where nobody erases."""

    async def connect(self, role: Role) -> Connection:
        """A connection in one role. Raises Unavailable."""
        try:
            return await connect(self.dsn, role)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
            raise Unavailable(f"The database cannot be reached as {role} ({type(error).__name__}).") from None

    def writer(self, role: Role, *, bound: int = BOUND, patience: float = 30.0) -> Writer:
        """A writer in one role. See `ledger.writer.Writer`."""
        return Writer(lambda: connect(self.dsn, role), role, self.origin, bound=bound, patience=patience)

    def petition_key(self, petition: str) -> bytes:
        """The petition's own key, for tokens of signers and of files' rows. Raises Unavailable."""
        try:
            return petition_key(load_root_key(self.key_file), petition)
        except KeyUnavailable as error:
            raise Unavailable(f"{error}.") from None

    def petition_keys(self, petitions: Iterable[str]) -> list[bytes]:
        """The keys of these petitions, in order. Raises Unavailable."""
        try:
            root = load_root_key(self.key_file)
        except KeyUnavailable as error:
            raise Unavailable(f"{error}.") from None
        return [petition_key(root, petition) for petition in petitions]

    def epochs(self) -> Epochs:
        """The keys of the vault's epochs, beside the vault's key. Read when they are asked for."""
        return Epochs(self.key_file)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a command works: the address of a server that runs for as long as the command does."""

    settings: Settings
    dsn: str
    administrator: Callable[[str], str] | None
    """In embedded mode: the superuser's address of a database. Else None."""
    may_create: bool

    @contextlib.asynccontextmanager
    async def ledger(self, say: Say = lambda _: None, *, origin: str | None = None) -> AsyncIterator[Ledger]:
        """The ledger of this place, migrated where this command may. `origin` is used where none is set or fixed.

        Raises Unavailable.
        """
        home = self.settings.home
        key_file = self.settings.vault_key_file or home / "keys" / "vault.key"
        seal_key_file = self.settings.seal_key_file or home / "keys" / "seal.key"
        head_copy = self.settings.head_copy or home / "head" / "checkpoint"
        erasure_journal = self.settings.erasure_journal or home / "erasures.journal"
        try:
            if self.administrator is not None:
                await self._prepare_embedded(say)
            else:
                await self._prepare_given(say)
            fixed = await self._fixed_origin()
            if self.may_create:
                await self._settle_keys(key_file, say)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
            raise Unavailable(f"The database cannot be used ({type(error).__name__}).") from None
        except MigrationRefused as refusal:
            raise Unavailable(str(refusal)) from None
        chosen = self.settings.origin or fixed or origin or DEFAULT_ORIGIN
        if not is_source(chosen):
            raise Unavailable("LEDGER_ORIGIN is printable ASCII without spaces and without `+`.")
        if fixed is not None and chosen != fixed:
            raise Unavailable(f"LEDGER_ORIGIN names another ledger: this one is {fixed}, for ever.")
        yield Ledger(self.dsn, chosen, key_file, seal_key_file, head_copy, erasure_journal)

    async def _prepare_embedded(self, say: Say) -> None:
        assert self.administrator is not None
        administrator = await asyncpg.connect(self.administrator("postgres"))
        try:
            if not await administrator.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
                with contextlib.suppress(asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
                    await administrator.execute("CREATE DATABASE ledger TEMPLATE template0")
        finally:
            await administrator.close()
        owner = await asyncpg.connect(self.administrator(DATABASE))
        try:
            if not await is_current(owner, MIGRATIONS):
                await migrate(owner, MIGRATIONS, say)
            if not await owner.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", LOGIN):
                with contextlib.suppress(asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
                    await owner.execute("CREATE ROLE ledger_login LOGIN NOINHERIT")
            await _grant_roles(owner)
        finally:
            await owner.close()

    async def _prepare_given(self, say: Say) -> None:
        """The login owns nothing, so that it looks as a reader; it migrates only where it may."""
        with contextlib.suppress(asyncpg.PostgresError):  # no such role yet, or not for this login
            reader = await connect(self.dsn, "ledger_reader")
            try:
                if await is_current(reader, MIGRATIONS):
                    return
            finally:
                await reader.close()
        if not self.may_create:
            raise Unavailable("The database's schema is not up to date; run `ledger migrate` as a login that owns it.")
        migrator = await asyncpg.connect(self.dsn)
        try:
            await migrate(migrator, MIGRATIONS, say)
        finally:
            await migrator.close()

    async def _settle_keys(self, path: Path, say: Say) -> None:
        """See that the vault's keys are those that this ledger was made with; the first ones are made and stated. What
        an earlier release kept plain is sealed."""
        admin = await connect(self.dsn, "ledger_admin")
        try:
            await self._settle_root_key(admin, path)
            try:
                epoch = await settle_epochs(admin, epochs := Epochs(path), drafting(epochs))
            except (KeyUnavailable, OSError) as error:
                raise Unavailable(f"{error}. Without it what the vault holds of signers cannot be read.") from None
            # Told only where there is much of it.
            await seal_plain(admin, epoch, lambda done: say(f"sealing the vault: {done:,}") if done >= PAGE else None)
        finally:
            await admin.close()

    @staticmethod
    async def _settle_root_key(admin: Connection, path: Path) -> None:
        stated: bytes | None = await admin.fetchval("SELECT ledger.stated_key()")
        try:
            if stated is None:
                key = made(path, load_or_create_root_key)
                stated = await admin.fetchval("SELECT ledger.state_key($1)", key_check(key))
            else:
                key = load_root_key(path)
        except (KeyUnavailable, OSError) as error:
            raise Unavailable(f"{error}. Without its vault key this ledger would count everybody twice.") from None
        if key_check(key) != stated:
            raise Unavailable(f"{path} is not the vault key that this ledger was made with.")

    async def _fixed_origin(self) -> str | None:
        reader = await connect(self.dsn, "ledger_reader")
        try:
            origin: str | None = await reader.fetchval("SELECT origin FROM ledger.head")
            return origin
        finally:
            await reader.close()


@contextlib.contextmanager
def place(settings: Settings, say: Say = lambda _: None, *, create: bool) -> Iterator[Place]:
    """Settle where a command works. `create`: it may make LEDGER_HOME, keys and schema. Raises Unavailable."""
    if settings.database_url is not None:
        yield Place(settings, settings.database_url, None, create)
        return
    home = settings.home.absolute()
    with contextlib.ExitStack() as stack:
        try:
            if create:
                home.mkdir(mode=0o700, parents=True, exist_ok=True)
            elif not embedded.Place(home).data.is_dir():
                raise Unavailable(f"There is no ledger at {home}. Set LEDGER_HOME to where one is.")
            server = stack.enter_context(shared(home, say, programs=settings.postgres_bin))
        except EmbeddedUnavailable as error:
            raise Unavailable(str(error)) from None
        except OSError as error:
            raise Unavailable(f"{home} cannot be used ({error.strerror or type(error).__name__}).") from None
        placed = settings.model_copy(update={"home": home})
        yield Place(placed, server.dsn(DATABASE, LOGIN), server.dsn, create)


def made(path: Path, make: Callable[[Path], Made]) -> Made:
    """What `make` gives, which makes the key in this file. What root makes belongs to whom the directory belongs."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = make(path)
    if os.geteuid() == 0:
        owner = path.parent.parent.stat()
        for new in (path.parent, path):
            with contextlib.suppress(FileNotFoundError):  # a draft that somebody else has published already
                os.chown(new, owner.st_uid, owner.st_gid)
    return key


def drafting(epochs: Epochs) -> Callable[[int], Epoch]:
    """What makes the draft of an epoch's key, as `made` makes a key."""
    return lambda number: made(epochs.draft_path(number), lambda _: epochs.draft(number))


async def running_corrections(connection: Connection, petition: str) -> list[UUID]:
    """Corrections of a petition that were opened and not finished. The connection is in the role `ledger_admin`."""
    rows = await connection.fetch("SELECT * FROM ledger.running_corrections($1) AS correction", petition)
    return [row["correction"] for row in rows]


async def petition_exists(connection: Connection, petition: str) -> bool:
    """Whether there is a petition of this id. The connection is in the role `ledger_admin`."""
    return await connection.fetchval("SELECT basis FROM ledger.petition_rules($1)", petition) is not None


async def _grant_roles(owner: "asyncpg.Connection[Any]") -> None:
    taken = "SELECT bool_and(pg_has_role($1, role, 'MEMBER')) FROM unnest($2::text[]) AS role"
    if not await owner.fetchval(taken, LOGIN, get_args(Role)):
        # Another ledger on this server may grant at this moment: then it is granted.
        with contextlib.suppress(asyncpg.UniqueViolationError, asyncpg.InternalServerError):
            await owner.execute(
                "GRANT ledger_signing, ledger_admin, ledger_privacy, ledger_projector, ledger_reader, ledger_backup,"
                " ledger_sealer TO ledger_login"
            )
