"""Credentials: who a token is, held against what the database lists, and how much each has asked.

Tokens are read into memory every second, so that a request waits for no database, and a revoked one is good for no
longer than that. One that is not known yet is looked for once more before it is refused: it may have been made a moment
ago. Where the list cannot be read for a minute, nobody is let in.

This module must never log, return or keep a token: what it knows of one is its SHA-256.
"""

import asyncio
import contextlib
import hmac
import math
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from types import TracebackType
from typing import Final, Self

import structlog

from ledger.access import TokenRole
from ledger.connecting import Connection
from service.rates import Bucket

CURRENT_TOKENS: Final = "SELECT sha256, actor, role, name, petition, rate, expires FROM access.current_tokens()"
NOTE_USE: Final = "SELECT access.note_use($1)"

INTERVAL: Final = 1.0
"""Seconds between two readings of the list."""
GAP: Final = 0.05
"""Seconds at least between two readings, however many unknown tokens ask for one."""
NOTED_EVERY: Final = 5.0
"""Seconds between two notes of which tokens were used."""
STALE: Final = 60.0
"""Seconds for which a list that cannot be read anew is believed."""
LOOKED_FOR: Final = 3.0
"""Seconds for which a request with an unknown token waits for the list."""

_NOBODY: Final = secrets.token_bytes(32)

log = structlog.get_logger(__name__)


class CredentialRefused(Exception):
    """The token lets nobody in now.

    CredentialRefused
    |-- NotListed    there is no such token that is good
    |-- AskedTooMuch its rate is used up; `wait` is the seconds until it may ask again
    `-- NotChecked   the list cannot be read
    """


class NotListed(CredentialRefused):
    """There is no such token, or it was revoked, or its time is over."""


class NotChecked(CredentialRefused):
    """The list of tokens cannot be read."""


class AskedTooMuch(CredentialRefused):
    """The token's rate is used up."""

    def __init__(self, wait: float) -> None:
        super().__init__()
        self.wait = wait


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. `actor` stands in events; `petition` is the only one that the credential is for, None: all; `rate` its
    limit as the operator wrote it, None: none."""

    actor: str
    role: TokenRole
    name: str
    petition: str | None
    rate: str | None


@dataclass(frozen=True, slots=True)
class _Listed:
    sha256: bytes
    principal: Principal
    expires: datetime | None


class Tokens:
    """The credentials that are good now, and how much each has asked. Use as an async context manager.

    `connect` makes a connection in a role that may read the list (`ledger_signing`, `ledger_admin`). Times in seconds.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        *,
        interval: float = INTERVAL,
        noted_every: float = NOTED_EVERY,
        stale: float = STALE,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._connect = connect
        self._interval = interval
        self._noted_every = noted_every
        self._stale = stale
        self._clock = clock
        self._now = now
        self._listed: dict[bytes, _Listed] = {}
        self._buckets: dict[bytes, Bucket] = {}
        self._used: set[bytes] = set()
        self._read_at = -math.inf
        self._noted_at = clock()
        self._asked = asyncio.Event()
        self._looking: list[asyncio.Future[bool]] = []
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._attempt()
        self._task = asyncio.create_task(self._run(), name="tokens")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        with contextlib.suppress(Exception):
            async with asyncio.timeout(1):
                await self._note(await self._connected())
        self._disconnect()
        self._tell(self._looking, found=False)

    async def principal(self, token: str) -> Principal:
        """Whose token this is, within their rate. Raises CredentialRefused."""
        digest = sha256(token.encode()).digest()
        listed = self._find(digest)
        if listed is None:
            if not await self._look_again():
                raise NotChecked
            listed = self._find(digest)
        if self._clock() - self._read_at > self._stale:
            raise NotChecked
        if listed is None:
            raise NotListed
        self._used.add(digest)
        self._charge(listed)
        return listed.principal

    def _find(self, digest: bytes) -> _Listed | None:
        listed = self._listed.get(digest)
        # The same work for a token that is listed and for one that is not.
        known = hmac.compare_digest(digest, _NOBODY if listed is None else listed.sha256)
        if listed is None or not known or (listed.expires is not None and listed.expires <= self._now()):
            return None
        return listed

    def _charge(self, listed: _Listed) -> None:
        rate, now = listed.principal.rate, self._clock()
        if rate is None:
            return
        bucket = self._buckets.get(listed.sha256)
        if bucket is None or bucket.rate != rate:
            bucket = self._buckets[listed.sha256] = Bucket(rate, now)
        if wait := bucket.take(now):
            raise AskedTooMuch(wait)

    # -- reading the list ----------------------------------------------------------------------------------------------

    async def _look_again(self) -> bool:
        """Wait until the list was read once more, from after this moment. Whether it could be."""
        looking: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._looking.append(looking)
        self._asked.set()
        try:
            async with asyncio.timeout(LOOKED_FOR):
                return await looking
        except TimeoutError:
            return False

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._interval):
                    await self._asked.wait()
            self._asked.clear()
            await self._attempt()
            await asyncio.sleep(GAP)

    async def _attempt(self) -> None:
        """Read the list, whatever happens. A failed attempt leaves the old one in force."""
        looking, self._looking = self._looking, []
        found = False
        try:
            async with asyncio.timeout(LOOKED_FOR):
                connection = await self._connected()
                await self._read(connection)
                found = True
                if self._clock() - self._noted_at >= self._noted_every:
                    await self._note(connection)
        except Exception as error:  # the list outlives whatever a driver can think of
            log.warning("tokens.not_read", error=type(error).__name__, code=getattr(error, "sqlstate", None))
            self._disconnect()
        finally:
            self._tell(looking, found=found)

    async def _read(self, connection: Connection) -> None:
        begun = self._clock()
        rows = await connection.fetch(CURRENT_TOKENS)
        self._listed = {
            row["sha256"]: _Listed(
                row["sha256"],
                Principal(row["actor"], row["role"], row["name"], row["petition"], row["rate"]),
                row["expires"],
            )
            for row in rows
        }
        self._buckets = {digest: bucket for digest, bucket in self._buckets.items() if digest in self._listed}
        self._read_at = begun

    async def _note(self, connection: Connection) -> None:
        used, self._used = self._used, set()
        self._noted_at = self._clock()
        if used:
            try:
                await connection.execute(NOTE_USE, sorted(used))
            except Exception:
                self._used |= used
                raise

    @staticmethod
    def _tell(looking: list["asyncio.Future[bool]"], *, found: bool) -> None:
        for each in looking:
            if not each.done():
                each.set_result(found)

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._connect()
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.terminate()
