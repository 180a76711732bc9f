"""A sealer that is killed at a point of its way, to be run as a module: `URL KEY COPY`.

For every line on its standard input, which names a point, it forks; the child seals and publishes once and kills itself
there (SIGKILL: nothing is rolled back, closed or cleaned up by us). How the child ended is a line on standard output: 9
where it was killed, 0 where the point did not come. An empty point lets it through.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn

import structlog

import ledger.sealing
import projections.sealed
import service.sealing
from ledger.head_copy import HeadCopy
from service.database import Ledger
from service.settings import Settings
from tests.histories import SOURCE

POINTS: Final = (
    "before sealing",
    "sealed, not committed",
    "sealed",
    "before the copy",
    "the copy written, not on the disk",
    "the copy on the disk, not renamed",
    "the copy renamed, its name not on the disk",
    "copied",
    "within the sealed builds",
    "the sealed builds moved",
    "published, not committed",
    "published",
)


def die(*_: object) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def dying(owner: Any, name: str, *, after: bool, nth: int = 1) -> None:
    """Die before or after the nth call of this function."""
    function: Callable[..., Any] = getattr(owner, name)
    calls = 0

    def called(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls != nth:
            return function(*arguments, **named)
        if not after:
            die()
        done = function(*arguments, **named)
        if not asyncio.iscoroutine(done):
            die()

        async def awaited() -> None:
            await done
            die()

        return awaited()

    setattr(owner, name, called)


def prepare(point: str) -> None:
    match point:
        case "before sealing":
            dying(ledger.sealing, "_seal", after=False)
        case "sealed, not committed":
            dying(ledger.sealing, "_seal", after=True)
        case "sealed":
            dying(service.sealing, "seal", after=True)
        case "before the copy":
            dying(HeadCopy, "write", after=False)
        case "the copy written, not on the disk":
            dying(os, "fsync", after=False)
        case "the copy on the disk, not renamed":
            dying(Path, "replace", after=False)
        case "the copy renamed, its name not on the disk":
            dying(Path, "replace", after=True)
        case "copied":
            dying(HeadCopy, "write", after=True)
        case "within the sealed builds":
            dying(projections.sealed, "apply", after=True, nth=2)
        case "the sealed builds moved":
            dying(projections.sealed, "advance", after=True)
        case "published, not committed":
            dying(service.sealing, "publish", after=True)
        case "published":
            dying(service.sealing.Sealer, "_show", after=True)
        case "":
            pass
        case _:
            raise ValueError(point)


def main(url: str, key: str, copy: str) -> None:
    opened = Ledger(url, SOURCE, Path("unused"), Path(key), Path(copy))
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            prepare(line.strip())
            asyncio.run(service.sealing.seal_and_publish(opened, Settings()))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status), flush=True)


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    main(*sys.argv[1:])
