"""Running `ledger` as a person does: a process of its own, with a LEDGER_HOME of its own."""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from service.cli import main

ROOT = Path(__file__).parents[2]
PROGRAM = "from service.cli import main; main()"
BOUND = 120  # seconds; a command that takes longer hangs

_FORKING = multiprocessing.get_context("forkserver")
# Most of what a command takes is importing what it needs: done once, in the process that each is forked from.
_FORKING.set_forkserver_preload(
    [
        "tests.service.commands",
        "service.opening",
        "service.importing",
        "service.exporting",
        "service.reviewing",
        "service.demo",
    ]
)


@dataclass(frozen=True)
class Ended:
    """What a command left: its exit code and what it said."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


def environment(home: Path, **more: str) -> dict[str, str]:
    """Nothing of ours but what a test sets."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LEDGER_", "DATABASE_"))}
    return {**kept, "LEDGER_HOME": str(home), "PYTHONPATH": str(ROOT), **more}


def ledger(home: Path, *arguments: str, cwd: Path = ROOT, **more: str) -> Ended:
    """Run one command to its end. Variables for the interpreter itself come too late here: see `interpreted`."""
    with tempfile.TemporaryDirectory(prefix="ledger-test-") as told:
        out, err = Path(told, "out"), Path(told, "err")
        command = _FORKING.Process(target=_run, args=(arguments, environment(home, **more), cwd, out, err))
        command.start()
        try:
            command.join(BOUND)
            if command.exitcode is None:
                raise subprocess.TimeoutExpired(arguments, BOUND)
            return Ended(command.exitcode, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8"))
        finally:
            command.kill()
            command.join()
            command.close()


def interpreted(home: Path, *arguments: str, **more: str) -> Ended:
    """Run one command to its end, in an interpreter that was started for it, as a shell does."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        env=environment(home, **more),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def _run(arguments: tuple[str, ...], environment: dict[str, str], cwd: Path, out: Path, err: Path) -> None:
    """In the command's process: what the shell and the interpreter would do, and then the console script."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    for number, name, file, mode in (
        (0, "stdin", Path(os.devnull), "r"),
        (1, "stdout", out, "w"),
        (2, "stderr", err, "w"),
    ):
        with file.open(mode) as opened:
            os.dup2(opened.fileno(), number)
        setattr(sys, name, open(number, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - as long as the process
    sys.argv = ["ledger", *arguments]
    main()
