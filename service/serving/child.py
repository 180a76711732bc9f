"""What each child of the supervisor runs: it loads what any of them needs, waits for its orders, and carries them out.

It ends when it is told to (SIGTERM) or when nobody is left to tell it anything (the end of its standard input), in both
cases gracefully. A Ctrl-C, which reaches every process of a terminal, is the supervisor's to hear.

This module must never open anything before it has its orders: most of a spare's life is waiting.
"""

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import NoReturn

import structlog
import uvloop

from service.http.app import collected
from service.logging import configure, places
from service.serving.following import following
from service.serving.listening import raise_descriptor_limit, share
from service.serving.orders import FIGURES, WAITING, Orders
from service.serving.supervisor import LOADED, READY
from service.serving.waiting import first
from service.serving.worker import working

log = structlog.get_logger(__name__)


def main() -> NoReturn:
    """Live, and exit 0 after a graceful stop, 1 after anything else."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise_descriptor_limit()
    collected()  # loads every route now, while nobody waits for them
    _say(LOADED)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code = runner.run(_live())
    sys.stderr.flush()
    # Not sys.exit: everything is closed, and the interpreter would take itself apart for a third of a second of a
    # processor, in every child at once, out of the few seconds that a stop may take.
    os._exit(code)


async def _live() -> int:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    told = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(told), os.fdopen(0, "rb", closefd=False))
    line = asyncio.create_task(told.readline())
    await asyncio.wait([line, waiting := asyncio.create_task(stopping.wait())], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if not line.done() or not line.result():
        line.cancel()
        return 0
    orders = Orders.read(line.result())
    configure(logging.getLevelName(orders.service.settings.log_level.upper()), process=orders.work)

    async def orphaned() -> None:
        await told.read()  # nothing more is said: it ends when the supervisor does
        stopping.set()

    watching = asyncio.create_task(orphaned())
    try:
        await _carry_out(orders, stopping)
    except Exception as error:
        log.error("child.failed", error=type(error).__name__, where=places(error.__traceback__))
        return 1
    finally:
        if told.at_eof():  # else the supervisor takes it away
            shutil.rmtree(orders.figures, ignore_errors=True)
        watching.cancel()
    return 0


async def _carry_out(orders: Orders, stopping: asyncio.Event) -> None:
    service = orders.service
    match orders.work:
        case "worker":
            _show_figures(orders.figures)
            async with working(service, lambda: share(service.host, service.port, service.settings.backlog)):
                _say(READY)
                await stopping.wait()
        case "projector":
            async with following(service) as reached:
                await first(reached, stopping)
                if reached.is_set():
                    _say(READY)
                await stopping.wait()


def _show_figures(figures: Path) -> None:
    """Move this process's metrics to where those of all workers are read. The files stay open as they are."""
    os.environ[FIGURES] = str(figures)
    for file in (figures / WAITING).glob(f"*_{os.getpid()}.db"):
        file.rename(figures / file.name)


def _say(what: bytes) -> None:
    with contextlib.suppress(BrokenPipeError):  # the supervisor is gone, and so is its end of the other pipe
        os.write(1, what)


if __name__ == "__main__":
    main()
