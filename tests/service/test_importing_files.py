"""What `ledger import` reads and writes: pipes as well as files, a report that never harms its input, clear options."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from service.database import Ledger
from service.rereading import rereadable
from tests.conftest import LedgerDatabase
from tests.service.commands import BOUND, PROGRAM, ROOT, Ended, environment
from tests.service.test_importing import LOG, PAGE, ledger

__all__ = ["ledger"]


@pytest.fixture
def run(ledger: Ledger, ledger_database: LedgerDatabase, tmp_path: Path) -> "Run":
    return Run(ledger, ledger_database.url, tmp_path)


class Run:
    """`ledger import KIND FILE ...` on the test's own database."""

    def __init__(self, ledger: Ledger, url: str, home: Path) -> None:
        self.environment = environment(
            home, DATABASE_URL=url, LEDGER_VAULT_KEY_FILE=str(ledger.key_file), LEDGER_ORIGIN=ledger.origin
        )

    def __call__(self, kind: str, file: Path | str, *arguments: str, given: bytes | None = None) -> Ended:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, "import", kind, str(file), "--petition", kind, "--json", *arguments],
            env=self.environment, cwd=ROOT, input=given or b"", capture_output=True, timeout=BOUND, check=False,
        )  # fmt: skip
        return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


@contextmanager
def pipe(path: Path, data: bytes) -> Iterator[Path]:
    """A pipe with a name, which somebody fills."""
    os.mkfifo(path)
    filling = Thread(target=path.write_bytes, args=(data,))
    filling.start()
    yield path
    filling.join()


def test_what_comes_through_a_pipe_is_read_as_often_as_a_file(tmp_path: Path) -> None:
    """If a file is a pipe, then its bytes can be read again, and by two readings beside one another."""
    data = b"0123456789" * 300_000
    with pipe(tmp_path / "pipe", data) as path, rereadable(path) as blocks:
        one, other = blocks(), blocks()
        first = next(one)
        assert b"".join(other) == first + b"".join(one) == data


@pytest.mark.parametrize(("kind", "text", "appended"), [("events", LOG, 8), ("timeline", PAGE, 3)])
def test_an_import_takes_pipes_and_standard_input(
    run: Run, tmp_path: Path, kind: str, text: str, appended: int
) -> None:
    """If a file comes through a pipe or on standard input, then its rows are imported as from a file."""
    with pipe(tmp_path / "pipe", text.encode()) as path:
        piped = run(kind, path)
    assert (piped.code, json.loads(piped.out)["appended"]) == (0, appended), piped.err
    again = run(kind, "/dev/stdin", given=text.encode())
    assert (again.code, json.loads(again.out)["already_there"]) == (0, json.loads(again.out)["read"]), again.err
