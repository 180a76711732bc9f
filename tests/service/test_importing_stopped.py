"""Imports that cannot go on: what they appended is told, and the rest is not tried a patience at a time."""

import json
from collections.abc import Iterator
from functools import partialmethod
from pathlib import Path

import pytest

from ledger.intake.report import Report
from service.database import Ledger
from service.importing import import_log
from service.opening import opening
from tests.conftest import LedgerDatabase
from tests.service.commands import ledger as command
from tests.service.test_importing import imported, ledger, written

__all__ = ["ledger"]

HEADER = "at,kind,signer\n"


def signing(signers: int) -> str:
    return HEADER + "".join(f"2024-01-01T10:00:00Z,recorded,S{number}\n" for number in range(signers))


async def break_down_at(database: LedgerDatabase, position: int) -> None:
    """From this position on the disk is full."""
    await database.superuser.execute(
        """
        CREATE FUNCTION ledger.fail() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          RAISE EXCEPTION 'full' USING ERRCODE = 'disk_full';
        END $$
        """
    )
    await database.superuser.execute(
        f"CREATE TRIGGER fail BEFORE INSERT ON ledger.events FOR EACH ROW"
        f" WHEN (NEW.position >= {position}) EXECUTE FUNCTION ledger.fail()"
    )


async def test_an_import_stops_where_the_ledger_cannot_write(
    ledger: Ledger, ledger_database: LedgerDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the database cannot write any more, then the rows of one attempt are told as not recorded, those behind them
    are not tried, and importing again adds what is missing."""
    path = written(tmp_path / "log.csv", signing(4500))
    await break_down_at(ledger_database, 1500)
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "writer", partialmethod(Ledger.writer, patience=1.0))
        report = await imported(ledger, path)
    assert (report.read, report.appended, dict(report.refused)) == (2000, 1000, {"unavailable": 1000})
    assert report.stopped == "Not recorded: the ledger cannot write now."
    await ledger_database.superuser.execute("DROP TRIGGER fail ON ledger.events")
    again = await imported(ledger, path)
    assert (again.appended, again.already_there, again.stopped) == (3500, 1000, None)


async def test_a_command_that_stopped_exits_3_with_its_report(
    ledger: Ledger, ledger_database: LedgerDatabase, tmp_path: Path
) -> None:
    """If the ledger cannot write, then `ledger import` says what was appended and why it stopped, and exits 3."""
    path = written(tmp_path / "log.csv", signing(3))
    await imported(ledger, written(tmp_path / "part.csv", signing(2)))
    await ledger_database.superuser.execute("UPDATE ledger.head SET recorded = clock_timestamp() + interval '90 s'")
    ended = command(
        tmp_path, "import", "events", str(path), "--petition", "p", "--json",
        DATABASE_URL=ledger_database.url, LEDGER_VAULT_KEY_FILE=str(ledger.key_file), LEDGER_ORIGIN=ledger.origin,
    )  # fmt: skip
    assert ended.code == 3
    assert "clock" in ended.err
    said = json.loads(ended.out)
    assert (said["read"], said["appended"], said["already_there"]) == (3, 0, 0)
    assert "clock" in said["stopped"]


async def test_an_import_whose_file_breaks_off_tells_what_it_appended(
    ledger: Ledger, ledger_database: LedgerDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the file cannot be read to its end, then the report counts exactly the rows that were appended before."""
    path = written(tmp_path / "log.csv", signing(3000))
    whole = path.read_bytes()

    def torn(_: int) -> Iterator[bytes]:
        yield whole[:80_000]
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("service.rereading._blocks", torn)
    report = Report()
    with pytest.raises(OSError, match="Input"):
        await import_log(
            ledger, opening("p"), path, mapping={}, kinds={}, zone=None, actor="import:test", report=report
        )
    recorded = "SELECT count(*) FROM ledger.events WHERE type = 'signature.recorded.v1'"
    assert report.appended == await ledger_database.superuser.fetchval(recorded) > 0
