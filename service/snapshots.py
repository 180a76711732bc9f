"""Snapshots: what a worker holds in memory of every petition, so that a public count asks no database.

A poller asks one cheap question again and again: which petitions moved since the position that is held. What comes
back replaces what was held, petition by petition, between two awaits: a request sees the old answer or the new one,
ready bytes with their ETag, never a part. Per petition there is only what its count needs; every other document is
made on demand and kept in a bounded memory of its own (`service.documents`).

Positions never go back. A build that was swapped in is read whole beside what is held and replaces it at once, if it
has come as far; while the projections are behind what was served (a log that lost its tail), what was served stays and
`is_ready` says no. So it is while the database is away: stale and true at the position that it names beats nothing.

This module must never fold, never answer a number without its position, and never let an error end the poller.
"""

import asyncio
import contextlib
import time
from bisect import bisect_left, insort
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Final, Self

import orjson
import structlog

from ledger.connecting import Connection
from projections.asking.serving import Changes, Moved, changes
from projections.counting import count_view
from service import metrics
from service.documents import Documents, Memory, Together, strong_etag

INTERVAL: Final = 0.05
"""Seconds between polls."""
HASTE: Final = 0.01
"""Seconds between polls while somebody waits for a position."""
PAUSE: Final = 0.1
"""Seconds between attempts to reach a database that is not there."""
PATIENCE: Final = 5.0
"""Seconds after which a poll has failed."""
FRESH: Final = 2.0
"""Seconds for which what was polled counts as the present."""
BATCH: Final = 1000
"""Petitions taken in between two awaits: about ten milliseconds of work."""
DOCUMENTS: Final = 64 << 20
"""Bytes of documents kept that were made on demand."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Held:
    """One petition in memory: its number, its shown state, and its count document at `position`, ready to be sent."""

    number: int
    state: str
    count: int
    position: int
    body: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class Lag:
    """Where this worker is. `age`: seconds since the last poll that was answered; `seconds`: for how long the oldest
    event that is not folded had been recorded then; `behind`: the projections are behind what was served."""

    position: int
    head: int
    seconds: float
    age: float
    behind: bool

    @property
    def positions(self) -> int:
        """How many events are not folded."""
        return max(self.head - self.position, 0)


@dataclass(frozen=True, slots=True)
class Sealing:
    """How far the log was sealed and shown when this worker last looked. `size`: of the newest published head, 0 where
    there is none; `age`: for how many seconds it was the newest, None likewise; `unsealed`: for how long the oldest
    event that no published head covers had been recorded, 0 where all are covered."""

    size: int
    age: float | None
    unsealed: float


def shown_state(acceptance: str) -> str:
    """Whether a petition takes signatures, in the words of petition JSON: a paused one shows `closed`."""
    return "closed" if acceptance == "paused" else acceptance


class _Petitions:
    """A whole build's petitions: by id, and their numbers in order, all of them and by state."""

    def __init__(self) -> None:
        self.by_id: dict[str, Held] = {}
        self.ids: dict[int, str] = {}
        self.numbers: dict[str | None, list[int]] = {None: []}

    def put(self, moved: Moved) -> None:
        before = self.by_id.get(moved.id)
        state = shown_state(moved.acceptance)
        if before is None:
            self.ids[moved.number] = moved.id
            insort(self.numbers[None], moved.number)
        if before is None or before.state != state:
            if before is not None:
                numbers = self.numbers[before.state]
                del numbers[bisect_left(numbers, moved.number)]
            insort(self.numbers.setdefault(state, []), moved.number)
        view = count_view(moved.count, moved.position, moved.recorded, moved.goals)
        # Copied, because what orjson returns keeps the four kilobytes that it was written into.
        body = bytes(memoryview(orjson.dumps(view.body())))
        self.by_id[moved.id] = Held(moved.number, state, moved.count, moved.position, body, strong_etag(body))


class Snapshots:
    """The memory and its poller. Use as an async context manager; leaving it stops the poller.

    `connect` makes a connection in the role `ledger_reader`; `interval` is in seconds; `documents` is the memory for
    everything but counts, in bytes, and that for what is claimed at a tree head is as large.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        *,
        interval: float = INTERVAL,
        documents: int = DOCUMENTS,
    ) -> None:
        self.documents: Final = Documents(documents)
        self.claims: Final = Memory[Together](documents, documents)
        self._connect = connect
        self._interval = interval
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()
        self._waiting: set[tuple[int, asyncio.Future[None]]] = set()

        self._petitions = _Petitions()
        self._position = 0  # the checkpoint up to which everything is served
        self._build: int | None = None
        self._loading: _Petitions | None = None  # a build that is being read, until all of it is there
        self._loading_build: int | None = None
        self._cursor = 0  # how far the build that is being read, or else is held, has been read
        self._generation = 0

        self._head = 0
        self._behind_by = 0.0
        self._behind = False
        self._sealing = Sealing(0, None, 0.0)
        self._polled: float | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="snapshots")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._disconnect()

    # -- what is held --------------------------------------------------------------------------------------------------

    @property
    def position(self) -> int:
        """The checkpoint of the projections that every answer has come up to."""
        return self._position

    @property
    def generation(self) -> int:
        """Which reading of a whole build this is: what was made of another one may differ at the same position."""
        return self._generation

    @property
    def is_loaded(self) -> bool:
        """Whether every petition has been read."""
        return self._build is not None

    def count(self, id: str) -> Held | None:
        """The petition's count document, or None where there is no such petition by `position`. No database."""
        return self._petitions.by_id.get(id)

    def page(self, state: str | None, before: int | None, limit: int) -> list[tuple[str, Held]]:
        """The newest petitions in this state (None: in any) that began before this position, newest first."""
        numbers = self._petitions.numbers.get(state, [])
        end = len(numbers) if before is None else bisect_left(numbers, before)
        ids = [self._petitions.ids[number] for number in reversed(numbers[max(end - limit, 0) : end])]
        return [(id, self._petitions.by_id[id]) for id in ids]

    async def wait_for(self, position: int, patience: float) -> bool:
        """Whether everything up to this position is held, at the latest after so many seconds."""
        if self._position >= position and self.is_loaded:
            return True
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = (position, reached)
        self._waiting.add(waiter)
        self._wanted.set()
        try:
            async with asyncio.timeout(patience):
                await reached
        except TimeoutError:
            return False
        else:
            return True
        finally:
            self._waiting.discard(waiter)

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for a position."""
        return bool(self._waiting)

    def lag(self) -> Lag:
        """Where this worker is, from what it knows: no database."""
        age = float("inf") if self._polled is None else time.monotonic() - self._polled
        return Lag(self._position, self._head, self._behind_by, age, self._behind)

    def sealing(self) -> Sealing:
        """How far the log is sealed, from what this worker knows: no database."""
        return self._sealing

    @property
    def is_ready(self) -> bool:
        """Whether what is held is the present: everything was read, the database answers, nothing went back."""
        return self.is_loaded and not self._behind and self.lag().age < FRESH

    # -- the poller ----------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        lost = False
        while True:
            try:
                connection = await self._connected()
                whole = self._take(await changes(connection, self._cursor, BATCH, patience=PATIENCE))
                if lost:
                    log.info("snapshots.found_again", position=self._position)
                    lost = False
            except Exception as error:  # whatever a driver can think of: what is held is still served
                metrics.POLLS_FAILED.inc()
                if not lost:
                    log.warning("snapshots.lost", error=type(error).__name__, position=self._position)
                    lost = True
                self._disconnect()
                await asyncio.sleep(PAUSE)
                continue
            if whole:
                await self._pause()

    async def _pause(self) -> None:
        """Until the next poll is due: sooner where somebody waits for a position."""
        self._wanted.clear()
        await asyncio.sleep(min(HASTE, self._interval))
        if not self.is_awaited and self._interval > HASTE:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._interval - HASTE):
                    await self._wanted.wait()

    def _take(self, found: Changes) -> bool:
        """Take in what a poll found; whether that was all there was. No await: requests see all of it or nothing."""
        self._polled = time.monotonic()
        self._head = found.head
        self._behind_by = _seconds(found.behind_since, found.now) or 0.0
        self._sealing = Sealing(
            found.sealed, _seconds(found.sealed_at, found.now), _seconds(found.unsealed_since, found.now) or 0.0
        )
        reading = self._build if self._loading is None else self._loading_build
        if found.build != reading or found.checkpoint < self._cursor:
            # Not what was asked about: another build, or one that went back. It is read from its beginning.
            self._loading, self._loading_build, self._cursor = _Petitions(), found.build, 0
            return False
        # In order of position, so that all there is up to the checkpoint may be here although the batch is full.
        whole = len(found.moved) < BATCH or found.moved[-1].position >= found.checkpoint
        target = self._petitions if self._loading is None else self._loading
        for moved in found.moved:
            target.put(moved)
        self._cursor = found.checkpoint if whole else found.moved[-1].position
        if whole:
            self._reach(found)
        self._measure()
        return whole

    def _reach(self, found: Changes) -> None:
        """Everything up to the checkpoint is here: serve it, unless it is behind what was served."""
        if found.checkpoint < self._position:
            if not self._behind:
                log.error("snapshots.behind", served=self._position, checkpoint=found.checkpoint)
            self._behind = True
            return
        self._behind = False
        if self._loading is not None:
            self._petitions, self._build, self._loading = self._loading, self._loading_build, None
            self._generation += 1
        self._position = found.checkpoint
        for position, reached in self._waiting:
            if position <= self._position and not reached.done():
                reached.set_result(None)

    def _measure(self) -> None:
        metrics.HEAD.set(self._head)
        metrics.CHECKPOINT.set(self._position)
        metrics.LAG_POSITIONS.set(max(self._head - self._position, 0))
        metrics.LAG_SECONDS.set(self._behind_by)
        metrics.SEALED.set(self._sealing.size)
        metrics.SEAL_AGE.set(self._sealing.age or 0.0)
        metrics.UNSEALED.set(self._sealing.unsealed)
        metrics.PETITIONS.set(len(self._petitions.by_id))
        metrics.POLLED.set_to_current_time()

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._connect()
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.terminate()


def _seconds(since: datetime | None, now: datetime) -> float | None:
    return None if since is None else max((now - since).total_seconds(), 0.0)
