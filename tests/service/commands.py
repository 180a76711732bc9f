"""Running `ledger` as a person does: a process of its own, with a LEDGER_HOME of its own."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = "from service.cli import main; main()"
BOUND = 120  # seconds; a command that takes longer hangs


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
    """Run one command to its end."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        env=environment(home, **more),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)
