"""A live `aics-witness` beside the sealer itself: it signs one history, whatever is put back."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ledger.seal_keys import make_sealing_key
from ledger.sealing import SealingRefused
from ledger.tree_head import parse_vkey
from service.sealing import seal_and_publish
from tests.conftest import FreshDatabase, LedgerDatabase
from tests.histories import SOURCE
from tests.interop.clients import Clients, LiveWitness, live_witness
from tests.service.witnessed_logs import WitnessedLog, place

pytestmark = pytest.mark.database


@pytest.fixture
def live(clients: Clients, tmp_path: Path) -> Iterator[LiveWitness]:
    """A witness that knows the key of the log whose directory this is."""
    key = make_sealing_key(tmp_path / "seal.key", SOURCE).verifier
    with live_witness(clients, {SOURCE: key.vkey}) as witness, witness.running():
        yield witness


async def test_it_signs_one_history(
    ledger_database: LedgerDatabase, fresh_database: FreshDatabase, live: LiveWitness, tmp_path: Path
) -> None:
    """If a backup is put back with its copy, then the live witness's view keeps it from being sealed; where nobody
    looks at the view, the other history gets no line, its proof stays with the witness, and the ledger goes on."""
    log = WitnessedLog(ledger_database, tmp_path, live.url, parse_vkey(live.vkey))
    await log.grow(5)
    await seal_and_publish(log.ledger, log.settings)
    async with place(fresh_database, tmp_path / "backup") as empty:
        backup = await log.backed_up(*empty)
        await log.grow(5)
        await seal_and_publish(log.ledger, log.settings)
        newest = await log.newest()
        assert newest is not None
        assert log.witnesses_of(newest.note) == [log.witness]
        assert live.remembers(SOURCE)["size"] == log.history.size

        await backup.grow(9, "somebody else")
        with pytest.raises(SealingRefused, match="What a witness has seen"):
            await seal_and_publish(backup.ledger, backup.settings)

        backup.monitor = f"{live.url}/nowhere"
        with capture_logs() as said:
            forked = await seal_and_publish(backup.ledger, backup.settings)
        assert forked is not None
        assert (forked.size, backup.witnesses_of(forked.note)) == (backup.history.size, [])
        assert ("witness.did_not_sign", "error") in [(line["event"], line["log_level"]) for line in said]
    remembered = live.remembers(SOURCE)
    assert (remembered["size"], remembered["evidence"]) == (log.history.size, 1)
