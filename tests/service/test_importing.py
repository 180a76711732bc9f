"""Importing files into a real database: again, in part, from several processes, with what cannot be taken."""

import asyncio
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ledger.connecting import Connection
from ledger.intake.report import Report
from service.database import Ledger
from service.importing import ImportRefused, import_log, import_page, read_page
from service.opening import opening
from tests.conftest import LedgerDatabase
from tests.vaults import lay_keys

LOG = """\
at,kind,signer,reason,country
2024-01-01T10:00:00Z,recorded,A,,GB
2024-01-01T11:00:00Z,recorded,B,,FR
2024-01-01T09:00:00Z,recorded,C,,
2024-01-01T12:00:00Z,recorded,A,,GB
2024-01-02T10:00:00Z,withdrawn,A,,
2024-01-02T11:00:00Z,recorded,A,,GB
2024-01-03T10:00:00Z,invalidated,B,bot,
2024-01-03T10:00:00Z,invalidated,C,bot,
2024-01-04T10:00:00Z,reinstated,C,mistake,
"""

PAGE = """\
at,kind,count
2024-03-03 10:00:00 +0000,status,130
2024-03-02 10:00:00 +0000,milestone,100
2024-03-01 10:00:00 +0000,milestone,50
"""

WORKER = """
import asyncio, sys
from pathlib import Path
from service.database import Ledger
from service.importing import import_log
from service.opening import opening

async def work():
    ledger = Ledger(sys.argv[1], "test.example/ledger", Path(sys.argv[2]))
    report = await import_log(
        ledger, opening("p"), Path(sys.argv[3]), mapping={}, kinds={}, zone=None, actor=sys.argv[4]
    )
    print(report.appended, report.is_clean)

asyncio.run(work())
"""


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.fixture
def ledger(ledger_database: LedgerDatabase, tmp_path: Path) -> Ledger:
    key_file = tmp_path / "vault.key"
    lay_keys(key_file)
    return Ledger(ledger_database.url, "test.example/ledger", key_file)


async def imported(ledger: Ledger, path: Path, petition: str = "p") -> Report:
    return await import_log(ledger, opening(petition), path, mapping={}, kinds={}, zone=None, actor="import:test")


async def facts(connection: Connection) -> list[tuple[str, str, int, int]]:
    rows = await connection.fetch(
        "SELECT type::text, to_char(effective AT TIME ZONE 'UTC', 'DD HH24') AS at, delta, count_after"
        " FROM ledger.events WHERE version > 1 ORDER BY position"
    )
    return [tuple(row) for row in rows]


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


async def test_rows_keep_the_order_of_the_file_and_their_own_times(
    ledger: Ledger, ledger_database: LedgerDatabase, tmp_path: Path
) -> None:
    """If rows are out of time order, then they are recorded in file order with their effective times."""
    report = await imported(ledger, written(tmp_path / "log.csv", LOG))
    assert report.document() == {
        "read": 9, "appended": 8, "already_there": 0, "duplicates": 1, "skipped": 0, "unknown": 0, "refused": {},
        "stopped": None,
    }  # fmt: skip
    assert await facts(ledger_database.superuser) == [
        ("signature.recorded.v1", "01 10", 1, 1),
        ("signature.recorded.v1", "01 11", 1, 2),
        ("signature.recorded.v1", "01 09", 1, 3),
        ("signature.withdrawn.v1", "02 10", -1, 2),
        ("signature.recorded.v1", "02 11", 1, 3),
        ("correction.opened.v1", "03 10", 0, 3),
        ("signature.invalidated.v1", "03 10", -1, 2),
        ("signature.invalidated.v1", "03 10", -1, 1),
        ("correction.completed.v1", "03 10", 0, 1),
        ("correction.opened.v1", "04 10", 0, 1),
        ("signature.reinstated.v1", "04 10", 1, 2),
        ("correction.completed.v1", "04 10", 0, 2),
    ]


async def test_importing_again_adds_nothing(ledger: Ledger, ledger_database: LedgerDatabase, tmp_path: Path) -> None:
    """If a file is imported again, whole or in part, then no event is added, also not for its duplicates."""
    path = written(tmp_path / "log.csv", LOG)
    await imported(ledger, path)
    before = await facts(ledger_database.superuser)
    again = await imported(ledger, path)
    part = await imported(ledger, written(tmp_path / "part.csv", "\n".join(LOG.splitlines()[:5])))
    assert (again.appended, again.already_there, part.appended, part.already_there) == (0, 9, 0, 4)
    assert await facts(ledger_database.superuser) == before


async def test_four_processes_importing_overlapping_parts_add_each_row_once(
    ledger: Ledger, ledger_database: LedgerDatabase, tmp_path: Path
) -> None:
    """If four processes import overlapping parts of one log at once, then every row is there once."""
    rows = [f"2024-01-01T10:00:00Z,recorded,S{number},,GB" for number in range(900)]
    header = "at,kind,signer,reason,country"
    parts = [rows[0:500], rows[200:700], rows[400:900], rows]
    ledger.petition_key("p")
    script = written(tmp_path / "worker.py", WORKER)
    workers = [
        await asyncio.create_subprocess_exec(
            sys.executable, script, ledger.dsn, ledger.key_file,
            written(tmp_path / f"{number}.csv", "\n".join([header, *part])), f"import:{number}",
            stdout=asyncio.subprocess.PIPE, env={"PYTHONPATH": str(Path(__file__).parents[2])},
        )
        for number, part in enumerate(parts)
    ]  # fmt: skip
    said = [(await worker.communicate())[0].decode().split() for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0, 0, 0]
    assert sum(int(appended) for appended, _ in said) == 900
    connection = ledger_database.superuser
    assert await connection.fetchval("SELECT count(*) FROM ledger.events WHERE type = 'signature.recorded.v1'") == 900
    assert await connection.fetchval("SELECT count FROM ledger.petitions WHERE id = 'p'") == 900


async def test_a_row_that_cannot_be_taken_costs_only_itself(ledger: Ledger, tmp_path: Path) -> None:
    """If rows are naive, unknown, impossible or out of place, then each is refused by its reason, and judged again."""
    bad = (
        "at,kind,signer,email,reason\n"
        "2024-01-01T10:00:00Z,recorded,A,,\n"
        "2024-01-01 11:00:00,recorded,B,,\n"
        "2024-01-01T10:00:00Z,withdrawn,nobody,,\n"
        "2023-01-01T10:00:00Z,withdrawn,A,,\n"
        "2024-01-01T10:00:00Z,recorded,D,not an address@,\n"
        "2024-01-02T10:00:00Z,withdrawn,A,,\n"
        "2024-01-03T10:00:00Z,withdrawn,A,,\n"
    )
    refused: list[tuple[int, str]] = []
    path = written(tmp_path / "bad.csv", bad)
    report = await import_log(
        ledger, opening("p"), path, mapping={}, kinds={}, zone=None, actor="import:test",
        refused=lambda line, reason: refused.append((line, reason)),
    )  # fmt: skip
    assert report.appended == 2
    assert sorted(line for line, _ in refused) == [3, 4, 5, 6, 8]
    assert dict(refused)[5] == "before-its-predecessor"
    assert dict(refused)[8] == "holds-already"
    again = await imported(ledger, path)
    assert (again.appended, again.already_there, again.refused.total()) == (0, 2, 5)


async def test_a_signer_is_found_by_reference_after_signing_by_address(
    ledger: Ledger, ledger_database: LedgerDatabase, tmp_path: Path
) -> None:
    """If a row names a signer by address and a later one by reference alone, then both mean one signer."""
    log = (
        "at,kind,signer,email\n"
        "2024-01-01T10:00:00Z,recorded,A,some.one@example.org\n"
        "2024-01-01T10:30:00Z,recorded,other,Some.One@EXAMPLE.org\n"
        "2024-01-01T11:00:00Z,withdrawn,A,\n"
        "2024-01-01T12:00:00Z,recorded,A,some.one@example.org\n"
    )
    report = await imported(ledger, written(tmp_path / "log.csv", log))
    assert (report.appended, report.duplicates, dict(report.refused)) == (3, 1, {})
    assert await ledger_database.superuser.fetchval("SELECT count FROM ledger.petitions") == 1
    leaves = await ledger_database.superuser.fetch("SELECT leaf FROM ledger.events")
    assert not any(b"example" in row["leaf"].replace(b"test.example", b"").lower() for row in leaves)


@pytest.mark.parametrize("order", [list, lambda lines: lines[::-1]], ids=["newest first", "oldest first"])
async def test_a_page_is_appended_in_order_of_time(
    ledger: Ledger,
    ledger_database: LedgerDatabase,
    tmp_path: Path,
    order: Callable[[list[str]], list[str]],
) -> None:
    """If a page lists its entries in either direction, then they are appended oldest first, and only once."""
    header, *lines = PAGE.splitlines()
    path = written(tmp_path / "page.csv", "\n".join([header, *order(lines)]))
    command = opening("p", basis="observed", provenance="observed")
    first = await import_page(ledger, command, read_page(path, {}, None, None), actor="import:a")
    again = await import_page(ledger, command, read_page(path, {}, None, None), actor="import:b")
    assert (first.appended, again.appended, again.already_there) == (3, 0, 3)
    assert await facts(ledger_database.superuser) == [
        ("count.observed.v1", "01 10", 50, 50),
        ("count.observed.v1", "02 10", 50, 100),
        ("count.observed.v1", "03 10", 30, 130),
        ("status.declared.v1", "03 10", 0, 130),
    ]


async def test_an_import_of_the_other_basis_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    """If a petition is observed, then a signature log is refused before any row, and the other way round."""
    page = written(tmp_path / "page.csv", PAGE)
    log = written(tmp_path / "log.csv", LOG)
    observed = opening("observed", basis="observed", provenance="observed")
    await import_page(ledger, observed, read_page(page, {}, None, None), actor="import:a")
    await imported(ledger, log, "itemised")
    with pytest.raises(ImportRefused):
        await imported(ledger, log, "observed")
    itemised = opening("itemised", basis="observed", provenance="observed")
    with pytest.raises(ImportRefused):
        await import_page(ledger, itemised, read_page(page, {}, None, None), actor="import:a")


async def test_a_correction_that_was_left_unfinished_is_finished_by_the_next_import(
    ledger: Ledger, ledger_database: LedgerDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If an import is killed between the chunks of a correction, then the next import applies the rest, once."""
    monkeypatch.setattr("ledger.correction.CHUNK", 3)
    monkeypatch.setattr("ledger.known.CHUNK", 3)
    rows = [f"2024-01-01T10:00:00Z,recorded,S{number}," for number in range(10)]
    fraud = [f"2024-01-02T10:00:00Z,invalidated,S{number},bot" for number in range(8)]
    path = written(tmp_path / "log.csv", "\n".join(["at,kind,signer,reason", *rows, *fraud]))

    async def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("ledger.intake.importing.Importer._continue", killed)
        with pytest.raises(Killed):
            await imported(ledger, path)
    connection = ledger_database.superuser
    assert await connection.fetchval("SELECT applied FROM ledger.corrections") == 3
    report = await imported(ledger, path)
    assert (report.appended, report.already_there) == (0, 18)
    row = await connection.fetchrow("SELECT state, applied, skipped FROM ledger.corrections")
    assert row is not None
    assert tuple(row) == (
        "completed", 8, 0,
    )  # fmt: skip
    assert await connection.fetchval("SELECT count FROM ledger.petitions") == 2


async def test_an_undated_number_is_the_count_until_something_later_is_observed(
    ledger: Ledger, ledger_database: LedgerDatabase, tmp_path: Path
) -> None:
    """If a number without a date is imported, then it is the count as of now: a number of the past that is imported
    after it changes nothing, and one that is observed later does."""
    command = opening("p", basis="observed", provenance="observed")
    counts = []
    later = datetime.now(UTC) + timedelta(seconds=30)
    for number, row in enumerate(["2020-01-01T00:00:00Z,count,20", ",count,367", "2020-02-01T00:00:00Z,count,5000",
                                  f"{later.isoformat()},count,400"]):  # fmt: skip
        path = written(tmp_path / f"{number}.csv", f"at,kind,count\n{row}\n")
        report = await import_page(ledger, command, read_page(path, {}, None, None), actor="import:test")
        assert (report.appended, report.is_clean) == (1, True)
        counts.append(await ledger_database.superuser.fetchval("SELECT count FROM ledger.petitions"))
    assert counts == [20, 367, 367, 400]
