"""The writer: group commit. What queued while the last commit ran is the next batch.

One pass: BEGIN; lock the head; only then drain the queue; read, in a second statement, the clock and what the batch
names; decide each in order; append; COMMIT; answer everyone. Locking before draining lets several processes batch
well without a leader, and there is no window of artificial waiting.

No exception is allowed to end the loop, and none is taken to mean "not recorded":
  - before the append was sent nothing was stored: the same submissions are tried again until their deadline;
  - refused for what it says: the batch is halved until only the culprit is refused; refused for the server's own
    reasons (a full disk), it is tried again until its deadline;
  - unknown: on a new connection the head is locked, which proves that the old transaction has ended, and the log says
    whether the batch is in it; if not, it is tried again in halves, and alone a few times more. Only when the deadline
    passes before the log can be asked is the outcome `Unknown`.

This module must never answer before the commit, and never answer `Accepted` for a batch that it has not seen committed.
"""

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import structlog

from ledger.batch import Batch
from ledger.connecting import Connection, Role
from ledger.known import READ_STATE, known, wanted
from ledger.outcomes import blames_the_batch, judge, says_clock_is_behind
from schemas.commands import Outcome, Refused, Submission, Unknown

APPEND: Final[dict[str, str]] = {
    "ledger_signing": "SELECT ledger.append_signing($1, $2, $3, $4)",
    "ledger_admin": "SELECT ledger.append_admin($1, $2, $3, $4)",
    "ledger_privacy": "SELECT ledger.append_privacy($1, $2, $3, $4)",
}
KEEP_BESIDE: Final = "SELECT ledger.keep_beside($1, $2, $3, $4, $5, $6, $7)"
KEEP_CORRECTION: Final = "SELECT ledger.keep_correction($1, $2, $3, $4)"
KEEP_AMENDED: Final = "SELECT ledger.keep_amended($1, $2, $3, $4, $5, $6, $7)"
KEEP_TEXTS: Final = "SELECT ledger.keep_texts($1, $2, $3)"
BEGIN: Final = "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE"
LOCK_HEAD: Final = "SELECT position, recorded, origin FROM ledger.lock_head()"
WAS_APPENDED: Final = "SELECT ledger.was_appended($1, $2)"
BOUND: Final = 256
"""Submissions in one batch: bounds the time for which the head is locked."""
PATIENCE: Final = 10.0
"""Seconds until a submission that cannot be written is given up."""
PAUSE: Final = 0.1
"""Seconds until the next attempt to reach a database that is not there. Doubled with each, up to LONGEST_PAUSE."""
LONGEST_PAUSE: Final = 2.0
ATTEMPTS: Final = 5
"""How often a submission that was lost on its own is tried before it is given up: others wait behind it."""

UNAVAILABLE: Final = Refused("unavailable", "unavailable", "Not recorded: the ledger cannot write now.")
CLOCK_BEHIND: Final = Refused(
    "unavailable",
    "clock-behind",
    "Not recorded: the database's clock is more than 60 s behind the time of the last event; nothing is recorded until"
    " it has caught up.",
)
BUSY: Final = Refused("unavailable", "queue-full", "Not recorded: too much is waiting to be written.")
JUDGED_INVALID: Final = Refused("validation-failed", "refused", "Not recorded: the ledger refused it.")

log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class _Waiting:
    submission: Submission
    answer: "asyncio.Future[Outcome]"
    deadline: float
    lost: int = 0


@dataclass(slots=True)
class _Sent:
    """A batch whose append was sent: its first position and the hashes of its leaves, by which the log can tell whether
    it was stored, and the outcomes if it was."""

    position: int
    leaf_hashes: list[bytes]
    outcomes: list[Outcome]


class _Undecidable(Exception):
    """Deciding a batch raised (its cause): a submission in it is not what a command may be."""


@contextlib.contextmanager
def _deciding() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise _Undecidable from error


class Writer:
    """Appends for one role. Use as an async context manager; leaving it writes what is queued, then stops.

    `connect` makes a connection in `role`; `source` is the log's origin; `bound` the submissions a batch may have;
    `patience` seconds a submission may wait; `capacity` how many may queue before more are refused as `unavailable`.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        role: Role,
        source: str,
        *,
        bound: int = BOUND,
        patience: float = PATIENCE,
        capacity: int = 20_000,
    ) -> None:
        self._connect = connect
        self._append = APPEND[role]
        self._source = source
        self._bound = bound
        self._patience = patience
        self._capacity = capacity
        self._queue: deque[_Waiting] = deque()
        # Parts of a batch that was refused or lost: they go first, each on its own, so that order among them is kept.
        self._again: deque[list[_Waiting]] = deque()
        self._arrived = asyncio.Event()
        self._closing = False
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self._pause = PAUSE
        self._trouble: tuple[object, ...] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="ledger-writer")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closing = True
        self._arrived.set()
        if self._task is not None:
            await self._task
        await self._disconnect()

    async def submit(self, submission: Submission) -> Outcome:
        """Ask for one thing. The answer comes after the commit. A caller that is cancelled does not take it back."""
        return await asyncio.shield(self._enqueue(submission))

    async def submit_all(self, submissions: Sequence[Submission]) -> list[Outcome]:
        """Ask for many, answered in order. They are judged in this order, in as many batches as it takes."""
        return list(await asyncio.gather(*[self._enqueue(submission) for submission in submissions]))

    def _enqueue(self, submission: Submission) -> "asyncio.Future[Outcome]":
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Outcome] = loop.create_future()
        if self._closing:
            answer.set_result(UNAVAILABLE)
        elif len(self._queue) >= self._capacity:
            answer.set_result(BUSY)
        else:
            self._queue.append(_Waiting(submission, answer, loop.time() + self._patience))
            self._arrived.set()
        return answer

    # -- the loop ------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            if not self._queue and not self._again:
                if self._closing:
                    return
                self._arrived.clear()
                continue
            try:
                await self._write_once()
            except Exception as error:  # the loop outlives whatever a driver can think of
                self._trouble_is("writer.failed", error=type(error).__name__)
                await self._disconnect()
                self._expire(UNAVAILABLE)
                await self._rest()

    async def _write_once(self) -> None:
        """One pass. Whatever it took from the queue is answered, or stands in `_again`, when it ends."""
        taken: list[_Waiting] = []
        sent: _Sent | None = None
        try:
            connection = await self._connected()
            await connection.execute(BEGIN)
            head = await connection.fetchrow(LOCK_HEAD)
            assert head is not None
            taken = self._take()
            if not taken:
                await connection.execute("ROLLBACK")
                return
            with _deciding():
                asked = wanted(each.submission for each in taken)
            row = await connection.fetchrow(READ_STATE, *asked)
            assert row is not None
            with _deciding():
                batch = Batch(known(row), head["position"], row["now"], self._source)
                batch.close_due_petitions()
                outcomes = [batch.settle(each.submission) for each in taken]
            if batch.is_empty:
                await connection.execute("ROLLBACK")
            else:
                sent = _Sent(head["position"] + 1, [event[-1] for event in batch.events], outcomes)
                await connection.execute(self._append, head["position"], row["now"], self._source, batch.rows())
                if beside := batch.beside():
                    await connection.execute(KEEP_BESIDE, *beside)
                if texts := batch.texts():
                    await connection.execute(KEEP_TEXTS, *texts)
                for amended in batch.amended():
                    await connection.execute(KEEP_AMENDED, *amended)
                for kept in batch.kept_corrections():
                    await connection.execute(KEEP_CORRECTION, *kept)
                committed = await connection.execute("COMMIT")
                assert committed == "COMMIT"
            # Committed. From here a crash loses nothing.
            self._answer(taken, outcomes)
            self._trouble_is_over()
        except Exception as error:
            await self._after(error, taken, sent)

    async def _after(self, error: Exception, taken: list[_Waiting], sent: _Sent | None) -> None:
        undecidable = isinstance(error, _Undecidable)
        verdict = "refused" if undecidable else judge(error, sent=sent is not None)
        about = {
            "verdict": verdict,
            "error": type(error.__cause__ if undecidable else error).__name__,
            "code": getattr(error, "sqlstate", None),
        }
        if sent is None and says_clock_is_behind(error):
            self._trouble_is("writer.clock_behind")
            if not await self._rolled_back():
                await self._disconnect()
            self._answer(taken, [CLOCK_BEHIND] * len(taken))
            return
        if verdict == "refused" and blames_the_batch(error):
            log.warning("writer.refused", **about, size=len(taken))
        else:
            self._trouble_is("writer.interrupted", **about)
        if verdict != "refused" or not await self._rolled_back():
            await self._disconnect()
        match verdict:
            case "refused" if taken and blames_the_batch(error):
                self._halve(taken)
            case "refused" | "not-sent":
                if taken:
                    self._again.appendleft(taken)
                self._expire(UNAVAILABLE)
                await self._rest()
            case "unknown":
                assert sent is not None
                await self._resolve(taken, sent)

    async def _resolve(self, taken: list[_Waiting], sent: _Sent) -> None:
        """Learn from the log, under the head lock, whether the batch is in it. A batch without an event left nothing
        that has to be found: it is judged again, by the keys that it may have stored."""
        deadline = max(each.deadline for each in taken)
        loop = asyncio.get_running_loop()
        stored: bool | None = None
        while stored is None:
            try:
                connection = await self._connected()
                await connection.execute(BEGIN)
                await connection.fetchrow(LOCK_HEAD)
                stored = bool(sent.leaf_hashes) and await connection.fetchval(
                    WAS_APPENDED, sent.position, sent.leaf_hashes
                )
                await connection.execute("ROLLBACK")
            except Exception as error:
                self._trouble_is("writer.unresolved", error=type(error).__name__)
                stored = None
                await self._disconnect()
                if loop.time() >= deadline:
                    self._answer(taken, [Unknown()] * len(taken))
                    return
                await self._rest(deadline)
        if stored:
            self._answer(taken, sent.outcomes)
            return
        # In halves, in case that something in it makes the server fail.
        middle = len(taken) // 2
        self._again.extendleft(part for part in (taken[middle:], taken[:middle]) if part)
        if len(taken) == 1:
            taken[0].lost += 1
            if taken[0].lost >= ATTEMPTS:
                taken[0].deadline = loop.time()
            else:
                await asyncio.sleep(PAUSE)
        self._expire(UNAVAILABLE)

    # -- trouble -------------------------------------------------------------------------------------------------------

    def _trouble_is(self, event: str, **about: object) -> None:
        """Log what keeps the writer from writing: once, until it is something else, or over."""
        if (event, about) != self._trouble:
            self._trouble = (event, about)
            (log.warning if event == "writer.interrupted" else log.error)(event, **about)

    def _trouble_is_over(self) -> None:
        if self._trouble is not None:
            log.info("writer.recovered")
        self._trouble, self._pause = None, PAUSE

    async def _rest(self, deadline: float = math.inf) -> None:
        """Wait before the next attempt, each time longer, but not beyond when somebody has waited for long enough; and
        not where nobody waits: whoever comes next is tried for at once."""
        waiting = [each.deadline for group in (*self._again, self._queue) for each in group]
        first = min([deadline, *waiting])
        if first < math.inf:
            await asyncio.sleep(max(min(self._pause, first - asyncio.get_running_loop().time()), 0.01))
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

    # -- the queue -----------------------------------------------------------------------------------------------------

    def _take(self) -> list[_Waiting]:
        if self._again:
            return self._again.popleft()
        return [self._queue.popleft() for _ in range(min(self._bound, len(self._queue)))]

    def _halve(self, taken: list[_Waiting]) -> None:
        """Try the halves of a refused batch on their own; alone, a submission is the culprit."""
        if len(taken) == 1:
            self._answer(taken, [JUDGED_INVALID])
            return
        middle = len(taken) // 2
        self._again.extendleft([taken[middle:], taken[:middle]])

    def _expire(self, outcome: Outcome) -> None:
        """Answer whoever has waited too long for something that was never sent."""
        now = asyncio.get_running_loop().time()
        groups = [*self._again, list(self._queue)]
        self._again.clear()
        self._queue.clear()
        for group in groups:
            for each in group:
                if each.deadline <= now and not each.answer.done():
                    each.answer.set_result(outcome)
        *again, queued = [[each for each in group if not each.answer.done()] for group in groups]
        self._again.extend(group for group in again if group)
        self._queue.extend(queued)

    @staticmethod
    def _answer(taken: list[_Waiting], outcomes: Sequence[Outcome]) -> None:
        for each, outcome in zip(taken, outcomes, strict=True):
            if not each.answer.done():
                each.answer.set_result(outcome)

    # -- the connection ------------------------------------------------------------------------------------------------

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._connect()
        return self._connection

    async def _rolled_back(self) -> bool:
        try:
            assert self._connection is not None
            await self._connection.execute("ROLLBACK")
        except Exception:
            return False
        return True

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.terminate()
