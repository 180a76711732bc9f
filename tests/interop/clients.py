"""Other people's verifier and witness, as processes: `aics-tlog` and `aics-witness`, from an environment of their own.

Nothing of ours runs in them, and they know of us only what an auditor would: files, addresses and keys.
"""

import contextlib
import json
import os
import queue
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
MADE_HERE = ROOT / ".venv-interop" / "bin" / "python"
WITH_BOTH = "import aics_tlog, aics_witness"
BOUND = 120.0  # seconds; what takes longer hangs


@dataclass(frozen=True)
class Ended:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one document that each command of aics-tlog prints."""
        found: dict[str, Any] = json.loads(self.out)
        return found


@dataclass(frozen=True)
class Clients:
    """The environment in which they are installed."""

    python: Path

    def tlog(self, *arguments: str | Path) -> Ended:
        return self.run("-m", "aics_tlog", *arguments)

    def witness(self, *arguments: str | Path) -> Ended:
        return self.run("-m", "aics_witness", *arguments)

    def run(self, *arguments: str | Path, cwd: Path = ROOT) -> Ended:
        done = subprocess.run(
            [self.python, *arguments], env=environment(), cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=BOUND, check=False,
        )  # fmt: skip
        return Ended(done.returncode, done.stdout, done.stderr)

    def commands(self, directory: Path) -> Path:
        """A directory for a PATH, in which they are commands by their names, and their Python is."""
        directory.mkdir(exist_ok=True)
        for name, arguments in (
            ("aics-tlog", " -m aics_tlog"),
            ("aics-witness", " -m aics_witness"),
            ("python3.12", ""),
        ):
            command = directory / name
            command.write_text(f'#!/bin/sh\nunset PYTHONPATH\nexec "{self.python}"{arguments} "$@"\n')
            command.chmod(0o755)
        return directory


def environment() -> dict[str, str]:
    """Nothing of ours, and no other Python's."""
    ours = ("LEDGER_", "DATABASE_", "PYTHON", "VIRTUAL_ENV", "AICS_", "WITNESS_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def why_not(python: Path) -> str | None:
    """Why the tests cannot run with this interpreter; None where they can."""
    try:
        asked = subprocess.run(
            [python, "-c", WITH_BOTH], env=environment(), capture_output=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{python} does not run ({type(error).__name__})"
    return f"{python} has no aics-tlog and aics-witness" if asked.returncode else None


class LiveWitness:
    """One `aics-witness`, with its key and its memory in a directory of its own, on a free port of the loopback."""

    def __init__(self, clients: Clients, directory: Path) -> None:
        self._clients = clients
        self._config = directory / "witness.json"
        self.url = ""
        self.vkey = self._tell("init", "--name", "witness.example/w1").strip()

    def trust(self, logs: Mapping[str, str]) -> None:
        """Name logs by origin, each with a key; a witness that runs hears of it when it is started again."""
        written = json.loads(self._config.read_text())
        written["logs"] += [{"origin": origin, "vkeys": [vkey]} for origin, vkey in logs.items()]
        self._config.write_text(json.dumps(written))

    def remembers(self, origin: str) -> dict[str, Any]:
        """What it knows of a log: `size`, and how much `evidence` against it."""
        logs = json.loads(self._tell("status", "--json"))["logs"]
        return next(log for log in logs if log["origin"] == origin)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """It serves while the block runs."""
        process = subprocess.Popen(
            [self._clients.python, "-m", "aics_witness", "serve", "--config", self._config, "--listen", "127.0.0.1:0"],
            env=environment(), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        stderr = process.stderr
        assert stderr is not None
        heard: queue.Queue[str | None] = queue.Queue()

        def listen() -> None:
            for line in stderr:
                if listening := re.search(r"listening on (http://\S+)", line):
                    heard.put(listening[1])
            heard.put(None)

        reading = threading.Thread(target=listen)
        reading.start()
        try:
            url = heard.get(timeout=BOUND)
            assert url is not None, "the witness ended before it listened"
            self.url = url
            yield
        finally:
            process.terminate()
            process.wait(BOUND)
            reading.join()
            stderr.close()

    def _tell(self, command: str, *arguments: str) -> str:
        done = self._clients.witness(command, "--config", self._config, *arguments)
        assert done.code == 0, done.err
        return done.out


@contextlib.contextmanager
def live_witness(clients: Clients, logs: Mapping[str, str]) -> Iterator[LiveWitness]:
    """A witness that knows these logs, by origin, each with its key; made anew, and not yet running."""
    directory = Path(tempfile.mkdtemp(prefix="ledger-witness-"))
    try:
        witness = LiveWitness(clients, directory)
        witness.trust(logs)
        yield witness
    finally:
        shutil.rmtree(directory, ignore_errors=True)
