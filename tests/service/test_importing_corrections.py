"""Corrections that a file states, larger than one transaction: what stands behind them in a file comes after them."""

import asyncio
import sys
from pathlib import Path

import pytest

from ledger.correction import CHUNK
from ledger.fsck import fsck
from service.database import Ledger
from tests.conftest import LedgerDatabase
from tests.service.test_importing import WORKER, imported, ledger, written

__all__ = ["ledger"]

HEADER = "at,kind,signer,reason"


def log(signers: int, *days: str) -> str:
    """Every signer signs on the first day, and then every one of them is meant by each of these kinds, a day apart."""
    rows = [f"2024-01-01T10:00:00Z,recorded,S{number}," for number in range(signers)]
    for day, kind in enumerate(days, start=2):
        reason = {"invalidated": "bot", "reinstated": "mistake"}.get(kind, "")
        rows += [f"2024-01-{day:02}T10:00:00Z,{kind},S{number},{reason}" for number in range(signers)]
    return "\n".join([HEADER, *rows])


async def test_a_large_correction_is_finished_before_what_stands_behind_it(
    ledger: Ledger, ledger_database: LedgerDatabase, tmp_path: Path
) -> None:
    """If a file invalidates and then reinstates more signatures than one transaction holds, then no row is refused, and
    all stand at the end."""
    signers = CHUNK + CHUNK // 2
    report = await imported(ledger, written(tmp_path / "log.csv", log(signers, "invalidated", "reinstated")))
    assert (report.appended, dict(report.refused)) == (3 * signers, {})
    assert await ledger_database.superuser.fetchval("SELECT count FROM ledger.petitions") == signers


@pytest.fixture
def in_chunks_of_three(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("correction", "known"):
        monkeypatch.setattr(f"ledger.{module}.CHUNK", 3)


class Killed(Exception):
    """Stands for the end of the process."""


async def left_running(ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Import a file, and let the process end after the first chunk of a correction."""

    async def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("ledger.intake.importing.Importer._continue", killed)
        with pytest.raises(Killed):
            await imported(ledger, path)


@pytest.mark.usefixtures("in_chunks_of_three")
@pytest.mark.parametrize(
    ("kinds", "standing"),
    [(["reinstated"], 8), (["withdrawn"], 0), (["recorded"], 0), (["reinstated", "withdrawn", "recorded"], 8)],
)
async def test_rows_of_another_import_are_judged_after_a_running_correction(
    ledger: Ledger,
    ledger_database: LedgerDatabase,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kinds: list[str],
    standing: int,
) -> None:
    """If a correction runs in one import while rows of another name its signers, then each row is judged as if the
    correction had been applied to its signer, and the correction ends with every member applied."""
    path = written(tmp_path / "log.csv", log(8, "invalidated"))
    await left_running(ledger, path, monkeypatch)
    connection = ledger_database.superuser
    assert await connection.fetchval("SELECT applied FROM ledger.corrections") == 3
    # Another import, which began before the correction was opened: it found nothing to take up.
    monkeypatch.setattr("service.importing.running_corrections", nothing_runs)
    report = await imported(ledger, written(tmp_path / "more.csv", log(8, "invalidated", *kinds)))
    assert dict(report.refused) == {}
    first = await connection.fetchrow("SELECT * FROM ledger.corrections ORDER BY correction LIMIT 1")
    assert first is not None
    assert (first["state"], first["applied"]) == ("completed", 8)
    assert await connection.fetchval("SELECT count FROM ledger.petitions") == standing
    assert list(await fsck(await ledger_database.connect("ledger_backup"), deep=True)) == []


async def nothing_runs(*_: object) -> list[object]:
    return []


@pytest.mark.usefixtures("in_chunks_of_three")
async def test_a_row_refused_behind_a_running_correction_does_not_undo_it(
    ledger: Ledger, ledger_database: LedgerDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a row that names a signer of a running correction is refused, then the correction has come to her all the
    same, once."""
    await left_running(ledger, written(tmp_path / "log.csv", log(5, "invalidated")), monkeypatch)
    monkeypatch.setattr("service.importing.running_corrections", nothing_runs)
    rows = [f"2023-01-01T10:00:00Z,withdrawn,S{number}," for number in range(5)]
    report = await imported(ledger, written(tmp_path / "early.csv", "\n".join([HEADER, *rows])))
    assert dict(report.refused) == {"before-its-predecessor": 5}
    connection = ledger_database.superuser
    row = await connection.fetchrow("SELECT state, applied, skipped FROM ledger.corrections")
    assert row is not None
    assert tuple(row) == ("completed", 5, 0)
    invalidated = "SELECT count(*) FROM ledger.events WHERE type = 'signature.invalidated.v1'"
    assert await connection.fetchval(invalidated) == 5


async def test_two_processes_importing_a_large_correction_refuse_nothing(
    ledger: Ledger, ledger_database: LedgerDatabase, tmp_path: Path
) -> None:
    """If two processes import one file with large corrections at once, then each row is there once, and none was judged
    against half a correction."""
    signers = 2 * CHUNK + 100
    path = written(tmp_path / "log.csv", log(signers, "invalidated", "reinstated"))
    ledger.petition_key("p")
    script = written(tmp_path / "worker.py", WORKER)
    workers = [
        await asyncio.create_subprocess_exec(
            sys.executable, script, ledger.dsn, ledger.key_file, path, f"import:{number}",
            stdout=asyncio.subprocess.PIPE, env={"PYTHONPATH": str(Path(__file__).parents[2])},
        )
        for number in range(2)
    ]  # fmt: skip
    said = [(await worker.communicate())[0].decode().split() for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert [clean for _, clean in said] == ["True", "True"]
    assert sum(int(appended) for appended, _ in said) == 3 * signers
    assert await ledger_database.superuser.fetchval("SELECT count FROM ledger.petitions") == signers
