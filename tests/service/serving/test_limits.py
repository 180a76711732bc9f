"""Limits by network, in a service that runs."""

from pathlib import Path

import pytest

from tests.embedded.commands import eventually
from tests.service.commands import ledger
from tests.service.serving.conftest import PETITION, Kept
from tests.service.serving.services import serving

pytestmark = pytest.mark.database


def test_an_auditor_mirrors_where_the_network_may_read_nothing_more(kept: Kept, tmp_path: Path) -> None:
    """If a network has used up what it may read, then the whole log is mirrored all the same; signing and probes are
    not counted."""
    with serving(kept.home, LEDGER_NETWORK_RATE="1/h", LEDGER_NETWORK_AUDIT_RATE="5/s") as service:
        statuses = [service.get(f"/petitions/{PETITION}/count.json").status for _ in range(3)]
        assert statuses == [200, 429, 429]
        assert eventually(lambda: service.get("/checkpoint").status == 200)
        mirrored = ledger(kept.home, "mirror", service.address, str(tmp_path / "mirror"))
        assert mirrored.code == 0, mirrored.err
        headers = kept.signed("limited")
        signed = service.post(f"/petitions/{PETITION}/signatures", {"signer": {"ref": "limited"}}, headers)
        assert signed.status in (200, 201)
        assert service.get("/health/ready").status == 200
        assert service.stop()[0] == 0
