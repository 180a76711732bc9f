"""The supervisor: of a service with several workers, the process that was started. It only looks after the others.

It holds the port and the embedded server's place; its children, the workers and one projector, do the work. A child
that dies is replaced at once by a spare, which has loaded everything already and only waits to be told what to do; one
that dies before it begins, again and again, is replaced more and more slowly. Children end when they are told to
(SIGTERM), and also when the supervisor is gone, however it went: they see the end of the pipe that it told them by.

This module must never leave a child behind, and never answer a request itself.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog
from prometheus_client import multiprocess

from service.database import Unavailable
from service.serving.orders import FIGURES, WAITING, Orders, Service, Work
from service.serving.waiting import first

LOADED: Final = b"loaded\n"
"""What a child says when it could do any work at once."""
READY: Final = b"ready\n"
"""What a child says when it does its work."""
SPARES: Final = 2
"""Children that wait: a second death while the first one's replacement is still loading must not take longer."""
FORGIVEN: Final = 3
"""Children in a row that ended before they did any work, after which another is tried more and more slowly."""
HOPELESS: Final = 8
"""Children that ended before any of them did any work, after which the service gives up: the installation is broken."""
SLOWEST: Final = 30.0
"""The longest pause before another attempt, in seconds."""
KILLED: Final = 1.2
"""Seconds beyond the workers' grace, after which they are killed."""

log = structlog.get_logger(__name__)


@dataclass(eq=False, slots=True)
class _Child:
    """One process: first a spare, then what its orders make of it."""

    process: Process
    taken: asyncio.Event = field(default_factory=asyncio.Event)
    loaded: asyncio.Event = field(default_factory=asyncio.Event)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def tell(self, orders: Orders) -> None:
        """Give it its orders. One that has died meanwhile does not hear them: whoever waits for its end sees it."""
        assert self.process.stdin is not None
        with contextlib.suppress(ConnectionError, RuntimeError):
            self.process.stdin.write(orders.line())
            await self.process.stdin.drain()

    async def watch(self) -> None:
        """Hear what it says, to its end."""
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            if line == LOADED:
                self.loaded.set()
            elif line == READY:
                self.ready.set()
        await self.process.wait()
        self.ended.set()

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)


class Supervisor:
    """The children of one service. Made by `supervising`."""

    def __init__(self, service: Service, figures: Path) -> None:
        self._service = service
        self._figures = figures
        self._begun = asyncio.Event()
        self._spares: deque[_Child] = deque()
        self._reared = asyncio.Condition()
        self._children: set[_Child] = set()
        self._watches: set[asyncio.Task[None]] = set()
        self._at_work = {"projector": asyncio.Event()}
        self._at_work |= {f"worker-{nth}": asyncio.Event() for nth in range(1, service.workers + 1)}
        self._spare_loaded = asyncio.Event()
        self._hopeless = asyncio.Event()
        self._ended_at_once = 0
        self._keepers: list[asyncio.Task[None]] = []

    def rear(self) -> None:
        """Start children, which load what they need and wait."""
        self._keepers = [asyncio.create_task(self._rear(), name=f"rearing-{nth}") for nth in range(SPARES)]
        self._keepers += [
            asyncio.create_task(self._keep(name, at_work), name=f"keeping-{name}")
            for name, at_work in self._at_work.items()
        ]

    def begin(self) -> None:
        """Let them do their work."""
        self._begun.set()

    async def accepting(self) -> None:
        """Wait until every worker has accepted connections once, and a spare could take its place.

        Raises Unavailable where none of them can begin.
        """
        for name, at_work in self._at_work.items():
            if name != "projector":
                await first(at_work, self._hopeless)
        await first(self._spare_loaded, self._hopeless)
        if self._hopeless.is_set():
            raise Unavailable("The processes of the service end before they begin; the log says why.")

    async def projected(self) -> None:
        """Wait until the projector has reached the head once."""
        await self._at_work["projector"].wait()

    async def stop(self) -> None:
        """End every child: gracefully, then for certain; all of them are reaped when it returns."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for child in tuple(self._children):
            child.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(self._service.settings.stop_grace + KILLED):
                await self._all_ended()
        except TimeoutError:
            for child in tuple(self._children):
                log.warning("supervisor.killing", pid=child.process.pid)
                child.signal(signal.SIGKILL)
            await self._all_ended()

    # -- children ------------------------------------------------------------------------------------------------------

    async def _keep(self, name: str, at_work: asyncio.Event) -> None:
        """See to it that somebody does this work."""
        work: Work = "projector" if name == "projector" else "worker"
        false_starts = 0
        while True:
            child = await self._take_spare()
            pid = child.process.pid
            await first(self._begun, child.ended)
            began = time.monotonic()
            await child.tell(Orders(work, self._service, self._figures))
            log.info("supervisor.started", child=name, child_pid=pid)
            await first(child.ready, child.ended)
            if child.ready.is_set():
                at_work.set()
            await child.ended.wait()
            lived = time.monotonic() - began
            code = child.process.returncode
            log.warning("supervisor.replacing", child=name, child_pid=pid, code=code, lived=round(lived, 3))
            false_starts = 0 if child.ready.is_set() else false_starts + 1
            if false_starts > FORGIVEN:
                await asyncio.sleep(min(0.25 * 2.0 ** (false_starts - FORGIVEN), SLOWEST))

    async def _take_spare(self) -> _Child:
        async with self._reared:
            await self._reared.wait_for(lambda: self._spares)
            child = self._spares.popleft()
        child.taken.set()
        return child

    async def _rear(self) -> None:
        """Keep one spare waiting, until it is taken or dies; then another."""
        pause = 0.0
        while True:
            try:
                child = await self._spawn()
            except OSError as error:  # no process, or no memory for one, is to be had now
                log.error("supervisor.no_child", error=type(error).__name__)
                pause = min(max(2 * pause, 0.25), SLOWEST)
                await asyncio.sleep(pause)
                continue
            async with self._reared:
                self._spares.append(child)
                self._reared.notify()
            await first(child.taken, child.loaded, child.ended)
            if child.loaded.is_set() and not child.taken.is_set():
                log.info("supervisor.spare_waits", child_pid=child.process.pid)
                self._spare_loaded.set()
            await first(child.taken, child.ended)
            if child.taken.is_set():
                pause = 0.0
                continue
            self._spares.remove(child)
            log.warning("supervisor.spare_died", child_pid=child.process.pid, code=child.process.returncode)
            pause = min(max(2 * pause, 0.25), SLOWEST)
            await asyncio.sleep(pause)

    async def _spawn(self) -> _Child:
        # -P: what is imported is what is installed, not what lies in the directory that the command was called from.
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "service.serving.child",
            stdin=PIPE,
            stdout=PIPE,
            env={**os.environ, FIGURES: str(self._figures / WAITING)},
        )
        child = _Child(process)
        self._children.add(child)
        watching = asyncio.create_task(child.watch(), name=f"watching-{process.pid}")
        self._watches.add(watching)
        watching.add_done_callback(lambda watched: self._forget(child, watched))
        return child

    def _forget(self, child: _Child, watched: "asyncio.Task[None]") -> None:
        self._children.discard(child)
        self._watches.discard(watched)
        if not any(at_work.is_set() for at_work in self._at_work.values()):
            self._ended_at_once += 1
            if self._ended_at_once >= HOPELESS:
                self._hopeless.set()
        multiprocess.mark_process_dead(child.process.pid, str(self._figures))  # type: ignore[no-untyped-call]

    async def _all_ended(self) -> None:
        for child in tuple(self._children):
            await child.ended.wait()


@contextlib.asynccontextmanager
async def supervising(service: Service, figures: Path) -> AsyncIterator[Supervisor]:
    """Children that serve while the block runs. `figures` is an empty directory for their metrics."""
    (figures / WAITING).mkdir()
    supervisor = Supervisor(service, figures)
    supervisor.rear()
    try:
        yield supervisor
    finally:
        await supervisor.stop()
