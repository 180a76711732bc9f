"""Erasing, step by step: wherever it is cut off, whoever comes next does the rest; and a backup that is put back brings
nobody back."""

from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from ledger.connecting import Connection, connect
from ledger.erasure_journal import Erased, Journal, JournalRefused
from ledger.fsck import fsck
from ledger.writer import Writer
from schemas.commands import Accepted, EraseSigner
from service.database import Ledger, Unavailable
from service.erasing import Settled, erase, look, settle
from tests.conftest import LedgerDatabase
from tests.ledger.submissions import (
    PETITION,
    SOURCE,
    accepting,
    by_admin,
    by_site,
    opening,
    recording,
    some_id,
    some_instant,
    withdrawing,
)
from tests.ledger.writing import ERASE, RUN, writer

OFFICER = "privacy:0d15ea"
HELD = (
    "SELECT (SELECT count(*) FROM vault.identities) + (SELECT count(*) FROM vault.signers)"
    " + (SELECT count(*) FROM vault.comments) + (SELECT count(*) FROM vault.answers)"
    " + (SELECT count(*) FROM vault.erasing)"
)
TYPES = "SELECT type::text FROM ledger.events WHERE signature = $1 ORDER BY position"


def her(n: int = 1) -> UUID:
    return some_id(f"{PETITION}/jane/{n}")


@pytest.fixture
async def ledger(ledger_database: LedgerDatabase, tmp_path: Path) -> Ledger:
    """A petition that jane signed, withdrew from, and signed again."""
    async with writer(ledger_database, RUN) as admin, writer(ledger_database) as site:
        assert isinstance(await admin.submit(by_admin(opening())), Accepted)
        await site.submit(by_site(recording("jane", comment="Mine."), key="key"))
        await site.submit(by_site(withdrawing("jane")))
        await site.submit(by_site(recording("jane", 2)))
    return Ledger(ledger_database.url, SOURCE, tmp_path / "unused", erasure_journal=tmp_path / "journal")


async def erased(ledger: Ledger) -> Any:
    """Jane's erasure, as it is asked for."""
    assert ledger.erasure_journal is not None
    privacy = await ledger.connect(ERASE)
    try:
        async with Writer(partial(connect, ledger.dsn, ERASE), ERASE, SOURCE) as privacy_writer:
            journal = Journal(ledger.erasure_journal)
            return await erase(privacy, privacy_writer, journal, EraseSigner(PETITION, her()), OFFICER)
    finally:
        privacy.terminate()


async def is_done(ledger: Ledger, database: LedgerDatabase) -> bool:
    """Whether nothing is held of her, the journal names each of her signatures once, and the ledger is sound."""
    assert ledger.erasure_journal is not None
    assert await database.superuser.fetchval(HELD) == 0
    lines = ledger.erasure_journal.read_bytes().splitlines()
    assert len(lines) == 2
    assert Journal(ledger.erasure_journal).signatures() == [her(), her(2)]
    assert [row["type"] for row in await database.superuser.fetch(TYPES, her())] == [
        "signature.recorded.v1", "signature.withdrawn.v1", "signer.erased.v1"
    ]  # fmt: skip
    return list(await fsck(await database.connect("ledger_backup"), deep=True)) == []


async def test_an_erasure_is_answered_the_same_twice(ledger: Ledger, ledger_database: LedgerDatabase) -> None:
    """If a signer is erased, then nothing is held of her when it is answered; asked again, the answer is the same, and
    neither log nor journal grows."""
    first, again = await erased(ledger), await erased(ledger)
    assert first.answer == again.answer == {
        "petition": PETITION, "mode": "withdrawn", "signatures": [str(her()), str(her(2))], "position": 7, "version": 7
    }  # fmt: skip
    assert (first.repeated, again.repeated) == (False, True)
    assert await is_done(ledger, ledger_database)
    assert await settle(ledger) == Settled(0, 0, 0)


class Cut(Exception):
    """The process ends here."""


@pytest.mark.parametrize("step", ["the commit", "the journal", "half a line", "the destruction"])
async def test_what_was_cut_off_is_finished_by_the_next_start(
    ledger: Ledger, ledger_database: LedgerDatabase, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """If whoever erases dies after the commit, in the middle of the journal, after it, or within the destruction, then
    the next start does the rest, once."""
    write, execute = Journal.write, Connection.execute

    def written(self: Journal, lines: list[Erased]) -> None:
        if lines and step == "half a line":
            self.path.write_bytes(lines[0].line()[:30])
        if lines and step == "the journal":
            write(self, lines)
        if lines and step != "the destruction":
            raise Cut
        write(self, lines)

    async def executed(self: Any, statement: str, *arguments: Any, **more: Any) -> Any:
        if "destroy_erased" in statement and step == "the destruction":
            await execute(self, "BEGIN")
            await execute(self, statement, *arguments)
            self.terminate()  # within the transaction
            raise Cut
        return await execute(self, statement, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "write", written)
        patch.setattr(Connection, "execute", executed)
        with pytest.raises(Cut):
            await erased(ledger)
    assert await ledger_database.superuser.fetchval(HELD) > 0
    assert await settle(ledger) == Settled(2, 0, 0)
    assert await is_done(ledger, ledger_database)


async def test_the_next_erasure_finishes_what_was_cut_off(
    ledger: Ledger, ledger_database: LedgerDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If an erasure was cut off after its commit, then the next one finishes it before its own."""
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "write", lambda self, lines: (_ for _ in ()).throw(JournalRefused("no")) if lines else 0)
        with pytest.raises(JournalRefused):
            await erased(ledger)
    await erased(ledger)
    assert await is_done(ledger, ledger_database)


async def test_a_lost_journal_is_written_anew(ledger: Ledger, ledger_database: LedgerDatabase) -> None:
    """If the journal is gone, or lacks a line, then the start writes what the log says."""
    await erased(ledger)
    assert ledger.erasure_journal is not None
    lines = ledger.erasure_journal.read_bytes().splitlines(keepends=True)
    for left in ([], lines[:1]):
        ledger.erasure_journal.write_bytes(b"".join(left))
        assert await settle(ledger) == Settled(0, 0, 2 - len(left))
        assert await is_done(ledger, ledger_database)


async def test_whoever_a_restored_backup_brings_back_is_erased_anew(
    ledger: Ledger, ledger_database: LedgerDatabase
) -> None:
    """If a backup from before an erasure is put back, then a public service refuses to start, and one that erases does
    it anew at its start, as the petition has it now; a signature that the backup does not know is nothing to do."""
    assert ledger.erasure_journal is not None
    lines = [Erased(PETITION, each, 99, some_instant(0)) for each in (her(), some_id("a later one"))]
    Journal(ledger.erasure_journal).write(lines)
    async with writer(ledger_database, RUN) as admin:
        await admin.submit(by_admin(accepting("closed")))
    with pytest.raises(Unavailable, match="1 signatures that were erased stand in this database again"):
        await look(ledger)
    assert await settle(ledger) == Settled(2, 1, 0)
    await look(ledger)
    assert await ledger_database.superuser.fetchval(HELD) == 0
    leaves = await ledger_database.superuser.fetch(
        "SELECT convert_from(leaf, 'UTF8')::jsonb AS said FROM ledger.events WHERE type = 'signer.erased.v1'"
    )
    assert len(leaves) == 2
    assert all('"actor": "system"' in row["said"] and '"mode": "kept"' in row["said"] for row in leaves)
    assert list(await fsck(await ledger_database.connect("ledger_backup"), deep=True)) == []
    assert set(Journal(ledger.erasure_journal).signatures()) == {her(), her(2), some_id("a later one")}


async def test_a_vault_that_alone_was_put_back_is_cleared(ledger: Ledger, ledger_database: LedgerDatabase) -> None:
    """If rows of somebody who was erased come back, with nothing that notes it, then fsck finds them and the next start
    destroys them."""
    await erased(ledger)
    await ledger_database.superuser.execute(
        "INSERT INTO vault.comments (signature, comment, recorded) VALUES ($1, 'Mine.', now())", her()
    )
    (found,) = await fsck(await ledger_database.connect("ledger_backup"), deep=False)
    assert (found.rule, found.position) == ("erased-remains", 2)
    assert await settle(ledger) == Settled(1, 0, 0)
    assert await is_done(ledger, ledger_database)


async def test_a_start_that_cannot_settle_is_refused(ledger: Ledger, ledger_database: LedgerDatabase) -> None:
    """If the journal cannot be read, or the database does not let anybody be erased, then the start is refused, with a
    sentence."""
    assert ledger.erasure_journal is not None
    ledger.erasure_journal.write_bytes(b"{}\n")
    for start in (settle, look):
        with pytest.raises(Unavailable, match="has a line that is none"):
            await start(ledger)
    ledger.erasure_journal.write_bytes(Erased(PETITION, her(), 2, some_instant(0)).line())
    await ledger_database.superuser.execute("REVOKE EXECUTE ON FUNCTION ledger.append_privacy FROM ledger_privacy")
    with pytest.raises(Unavailable, match=r"1 signatures .* could not be erased anew; it is not served"):
        await settle(ledger)
    with pytest.raises(Unavailable, match="LEDGER_ERASURE_JOURNAL"):
        await settle(Ledger(ledger.dsn, SOURCE, Path("unused")))
