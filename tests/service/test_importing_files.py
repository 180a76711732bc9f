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
from tests.service.test_importing import LOG, PAGE, ledger, written

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


BAD = "at,kind,signer,count\nnever,recorded,A,5\nnever,recorded,B,6\n"


@pytest.mark.parametrize("kind", ["events", "timeline"])
@pytest.mark.parametrize("how", ["same", "symbolic link", "hard link", "another way"])
def test_a_report_never_takes_the_place_of_its_input(run: Run, tmp_path: Path, kind: str, how: str) -> None:
    """If the report is to be written over the file that is imported, by whatever name, then that is a wrong call, and
    the file is whole."""
    path = written(tmp_path / "log.csv", BAD)
    report = tmp_path / "report.csv"
    match how:
        case "same":
            report = path
        case "symbolic link":
            report.symlink_to(path)
        case "hard link":
            report.hardlink_to(path)
        case _:
            report = tmp_path / ".." / tmp_path.name / "log.csv"
    ended = run(kind, path, "--report", str(report))
    assert (ended.code, path.read_text(encoding="utf-8")) == (2, BAD)
    assert "--report" in ended.err


@pytest.mark.parametrize("kind", ["events", "timeline"])
def test_a_report_takes_its_place_when_it_is_whole(run: Run, tmp_path: Path, kind: str) -> None:
    """If a report stood there before, then the new one takes its place at the end, and nothing else is left."""
    folder = tmp_path / "reports"
    folder.mkdir()
    report = written(folder / "report.csv", "of yesterday")
    ended = run(kind, written(tmp_path / "log.csv", BAD), "--report", str(report))
    assert ended.code == 1
    assert report.read_text(encoding="utf-8").splitlines() == ["line,reason", "2,at-invalid", "3,at-invalid"]
    assert list(folder.iterdir()) == [report]


def test_a_report_is_written_where_the_import_stops_early(run: Run, tmp_path: Path) -> None:
    """If the petition turns out not to take such a file, then the report is there all the same, without a part file."""
    page, log = written(tmp_path / "page.csv", PAGE), written(tmp_path / "log.csv", LOG)
    assert run("timeline", page).code == 0
    folder = tmp_path / "reports"
    folder.mkdir()
    ended = run("events", log, "--report", str(folder / "report.csv"), "--petition", "timeline")
    assert ended.code == 2
    assert [path.name for path in folder.iterdir()] == ["report.csv"]


def test_a_report_may_go_to_a_pipe(run: Run, tmp_path: Path) -> None:
    """If the report's place is no regular file, then it is written to as it is, and not replaced."""
    ended = run("events", written(tmp_path / "log.csv", BAD), "--report", "/dev/stderr")
    assert ended.code == 1
    assert "2,at-invalid" in ended.err
    assert Path("/dev/stderr").is_symlink() or not Path("/dev/stderr").is_file()


@pytest.mark.parametrize(
    "options",
    [("--map", "at=a", "--map", "at=b"), ("--kind", "in=recorded", "--kind", "in =withdrawn")],
)
def test_a_name_that_is_given_two_meanings_is_a_wrong_call(run: Run, tmp_path: Path, options: tuple[str, ...]) -> None:
    """If --map or --kind names one thing twice, then neither is taken silently."""
    ended = run("events", written(tmp_path / "log.csv", LOG), *options)
    assert (ended.code, ended.out) == (2, "")
    assert options[0] in ended.err
