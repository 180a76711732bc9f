"""`ledger erase`: a signer is erased from the command line, and a service that starts looks first."""

import json
from pathlib import Path

import pytest

from tests.service.backups import back_up, put_back
from tests.service.commands import Ended, ledger
from tests.service.serving.services import serving

pytestmark = pytest.mark.database
LOG = "at,kind,signer,email\n2020-01-01T00:00:00Z,recorded,s1,jane@ex.org\n2020-01-01T00:00:01Z,recorded,s2,\n"


def test_a_signer_is_erased_by_command(home: Path, tmp_path: Path) -> None:
    """If a privacy officer's token erases by an address, then the journal names the signature, the count falls, fsck is
    clean, and the same file records her anew; without the token, or with another one, nothing is done; where somebody
    meddled with the journal, no service starts."""
    log, address = tmp_path / "log.csv", tmp_path / "address"
    log.write_text(LOG, encoding="utf-8")
    address.write_text(" jane@ex.org\n", encoding="utf-8")
    assert ledger(home, "import", "events", str(log), "--petition", "p").code == 0
    officer, admin = (
        ledger(home, "token", "create", "--role", role, "--name", role).out.strip() for role in ("privacy", "admin")
    )

    def erase(*arguments: str, token: str = officer) -> Ended:
        return ledger(home, "erase", "p", *arguments, LEDGER_TOKEN=token)

    by_address = ("--email-file", str(address))
    for token in ("", "slt_nonsense", admin):
        assert erase(*by_address, token=token).code == 2
    for wrong in ((), ("nonsense",), ("--email-file", str(tmp_path / "nowhere"))):
        assert erase(*wrong).code == 2
    done = erase(*by_address, "--json")
    assert done.code == 0, done.err
    answer = json.loads(done.out)
    assert answer["mode"] == "withdrawn"
    line = json.loads((home / "erasures.journal").read_text())
    assert (line["signature"], line["position"]) == (answer["signatures"][0], answer["position"])
    again = erase(*answer["signatures"])
    assert (again.code, again.lines) == (0, [f"{answer['signatures'][0]}  erased (withdrawn)"])
    assert erase(*by_address).code == 2
    assert json.loads(ledger(home, "count", "p", "--json").out)["signature_count"] == 1
    assert ledger(home, "fsck", "--deep").code == 0
    assert ledger(home, "import", "events", str(log), "--petition", "p").code == 0
    assert json.loads(ledger(home, "count", "p", "--json").out)["signature_count"] == 2
    (home / "erasures.journal").write_text("{}\n")
    refused = ledger(home, "serve", "--port", "0")
    assert (refused.code, "has a line that is none" in refused.err) == (3, True)


def test_a_service_erases_anew_whom_a_restored_backup_brings_back(home: Path, tmp_path: Path) -> None:
    """If the database is put back to before an erasure, then whoever was erased is erased before anything is served."""
    log, address = tmp_path / "log.csv", tmp_path / "address"
    log.write_text(LOG, encoding="utf-8")
    address.write_text("jane@ex.org\n", encoding="utf-8")
    assert ledger(home, "import", "events", str(log), "--petition", "p").code == 0
    token = ledger(home, "token", "create", "--role", "privacy", "--name", "officer").out.strip()
    back_up(home, tmp_path / "backup")
    assert ledger(home, "erase", "p", "--email-file", str(address), LEDGER_TOKEN=token).code == 0
    journal = (home / "erasures.journal").read_bytes()
    put_back(home, tmp_path / "backup")
    with serving(home) as service:
        assert json.loads(service.read("/petitions/p/count.json").body)["signature_count"] == 1
        assert service.stop()[0] == 0
    assert (home / "erasures.journal").read_bytes() == journal
    assert ledger(home, "erase", "p", "--email-file", str(address), LEDGER_TOKEN=token).code == 2, "she is not known"
    assert ledger(home, "fsck", "--deep").lines == ["no findings"]
