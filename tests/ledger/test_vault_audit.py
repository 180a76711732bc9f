"""`fsck --deep` with the keys of the vault: every row opens, and is what its leaf commits to."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ledger.epochs import Epochs
from ledger.fsck import fsck
from ledger.identity import pii_commit
from ledger.rewrapping import begin_epoch, rewrap_rows
from ledger.vault import Opened, seal_identity
from ledger.vault_audit import ANOTHER, UNOPENED, Looked
from schemas.findings import Findings
from tests.conftest import LedgerDatabase
from tests.ledger.submissions import PETITION, by_site, recording, some_bytes
from tests.ledger.writing import writer
from tests.vaults import EPOCH, lay_keys


@pytest.fixture
def epochs(tmp_path: Path) -> Epochs:
    return Epochs(lay_keys(tmp_path / "vault.key"))


@pytest.fixture
async def filled(petition: LedgerDatabase) -> LedgerDatabase:
    """Three signatures of people, at positions 2 to 4."""
    async with writer(petition) as site:
        for n in range(3):
            await site.submit(by_site(signed(n)))
    return petition


def signed(n: int) -> Any:
    command = recording(f"s{n}")
    opened = Opened(some_bytes(f"nonce {n}", 32), f'{{"email":"canary{n}@ex.org"}}'.encode())
    random = some_bytes(f"key {n}", 32) + some_bytes(f"iv {n}", 24)
    commitment = pii_commit(opened.nonce, opened.pii)
    sealed = seal_identity(EPOCH, command.signature, opened, random)
    return replace(command, identity=sealed, pii_commit=commitment)


async def audited(database: LedgerDatabase, epochs: Epochs) -> tuple[Findings, Looked]:
    looked: list[Looked] = []
    connection = await database.connect("ledger_backup")
    findings = await fsck(connection, deep=True, epochs=epochs, looked=looked.append)
    return findings, looked[0]


async def test_a_sound_vault_has_no_findings_before_and_after_a_rotation(
    filled: LedgerDatabase, epochs: Epochs
) -> None:
    """If nobody meddled, then every row opens to what its leaf says, under whichever epoch it is."""
    findings, looked = await audited(filled, epochs)
    assert (list(findings), looked) == ([], Looked(3, 0))
    new = await begin_epoch(await filled.connect("ledger_admin"), epochs, 2, epochs.draft)
    await rewrap_rows(await filled.connect("ledger_privacy"), epochs, new)
    findings, looked = await audited(filled, epochs)
    assert (list(findings), looked) == ([], Looked(3, 0))


async def test_without_the_key_it_says_that_it_did_not_look(filled: LedgerDatabase, tmp_path: Path) -> None:
    """If the key is not here, then that is no finding: how many rows were not opened is said, and no key is made."""
    findings, looked = await audited(filled, Epochs(tmp_path / "elsewhere.key"))
    assert (list(findings), looked) == ([], Looked(0, 3))
    assert not Epochs(tmp_path / "elsewhere.key").numbers()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE vault.identities SET sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1) WHERE signature = $1",
        "UPDATE vault.identities SET wrapped_key = substr(wrapped_key, 2) || '\\x00' WHERE signature = $1",
    ],
)
async def test_a_row_that_was_changed_is_found(filled: LedgerDatabase, epochs: Epochs, statement: str) -> None:
    """If a byte of a row was changed, then the row does not open, and the finding names its event and nobody."""
    await filled.superuser.execute(statement, signed(1).signature)
    findings, looked = await audited(filled, epochs)
    (found,) = findings
    assert (found.rule, found.position, found.petition, found.message) == ("vault-row", 3, PETITION, UNOPENED)
    assert looked == Looked(2, 0)
    assert "canary" not in repr(found)


async def test_an_identity_that_was_put_in_anothers_place_is_found(filled: LedgerDatabase, epochs: Epochs) -> None:
    """If whoever holds the epoch's key seals another identity for a signature, then the leaf betrays it."""
    command = signed(2)
    forged = seal_identity(EPOCH, command.signature, Opened(bytes(32), b'{"email":"canary9@ex.org"}'), bytes(56))
    await filled.superuser.execute(
        "UPDATE vault.identities SET wrapped_key = $2, sealed = $3 WHERE signature = $1",
        command.signature, forged.wrapped_key, forged.sealed,
    )  # fmt: skip
    findings, _ = await audited(filled, epochs)
    assert [(each.position, each.message) for each in findings] == [(4, ANOTHER)]
