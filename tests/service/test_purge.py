"""The replay of the real purge, small: `bench.purge` is the same at its size."""

from pathlib import Path

from bench.purge import purge
from ledger.fsck import fsck
from service.database import Ledger
from tests.conftest import LedgerDatabase
from tests.ledger.submissions import SOURCE
from tests.vaults import lay_keys


async def test_a_purge_falls_in_the_open_and_its_reversal_brings_the_count_back(
    ledger_database: LedgerDatabase, tmp_path: Path
) -> None:
    """If three eighths of a petition's signatures came from one network, then its signal comes first and fills in the
    preview; they are approved, held and explained, and the signal is gone; reversed, the count is as before and the
    history longer; and the ledger is sound."""
    ledger = Ledger(ledger_database.url, SOURCE, lay_keys(tmp_path / "vault.key"))
    done = await purge(ledger, 2_000, 752)
    assert done.numbers["count after"] == 1_248
    assert done.numbers["count as before"] == 2_000
    assert list(await fsck(await ledger_database.connect("ledger_backup"), deep=True)) == []
