"""Commands as tests start them: processes that enter `shared`, say so, and stay until they leave or are killed."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import asyncpg

from service.embedded.place import Place
from service.embedded.postmaster import read_record

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0  # seconds; a bound for what takes well under one

STAYS = """
import signal, sys
from pathlib import Path
from service.embedded.server import EmbeddedUnavailable
from service.embedded.sharing import shared
# As from a terminal: whoever runs the suite in the background of a shell has it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
home, programs = Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None
try:
    with shared(home, programs=programs) as server:
        print("in", server.socket_dir, flush=True)
        sys.stdin.read()
except EmbeddedUnavailable as refusal:
    print("refused", refusal, flush=True)
    sys.exit(3)
"""


class Command:
    """A process that uses the server under `home`. It is killed, if nothing else, when the test ends."""

    def __init__(
        self,
        home: Path,
        *,
        python: str = sys.executable,
        programs: Path | None = None,
        environment: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        arguments = [str(home)] if programs is None else [str(home), str(programs)]
        self.process = subprocess.Popen(
            [python, "-c", STAYS, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **(environment or {})},
            **options,
        )

    def answer(self) -> str:
        """The first line that it says: `in DIRECTORY` or `refused SENTENCE`."""
        assert self.process.stdout is not None
        return str(self.process.stdout.readline()).strip()

    def leave(self) -> int:
        """Lets it end by itself; its exit code."""
        self.process.communicate(timeout=PATIENCE)
        return self.process.returncode

    def kill(self) -> None:
        """Ends it, if it has not ended, and closes what connected us."""
        self.process.kill()
        self.process.wait(PATIENCE)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> "Command":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


async def run(dsn: str, statement: str) -> Any:
    """The first value that a statement answers."""
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def eventually(holds: Callable[[], bool]) -> bool:
    """Waits for a condition; False if it does not come to hold."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if holds():
            return True
        time.sleep(0.01)
    return holds()


def postmaster_of(home: Path) -> int:
    """The process number of the server under this home."""
    record = read_record(Place(home).data)
    assert record is not None
    return record.pid


def python_for(uid: int, gid: int) -> str | None:
    """A Python that this account can run our code with; None if there is none. Ours may lie where only root may go."""
    for python in (sys.executable, shutil.which("python3", path="/usr/local/bin:/usr/bin:/bin")):
        if python is None:
            continue
        try:
            tried = subprocess.run(
                [python, "-c", "import sys, service.embedded.sharing; assert sys.version_info >= (3, 11)"],
                cwd="/",
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
                capture_output=True,
                user=uid,
                group=gid,
                extra_groups=[],
                timeout=PATIENCE,
                check=False,
            )
        except OSError:
            continue
        if tried.returncode == 0:
            return python
    return None
