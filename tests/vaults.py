"""The vault of the tests: every migrated database that they are given knows one epoch, whose key is this one."""

from pathlib import Path
from typing import Final

from ledger.epochs import Epochs
from ledger.keys import load_or_create_root_key
from ledger.vault import Epoch
from schemas.sealed import SealedIdentity

_KEY: Final = bytes(range(100, 132))
EPOCH: Final = Epoch(1, _KEY)
SEALED: Final = SealedIdentity(1, bytes(60), bytes(61))
"""What has the form of a sealed identity and opens to nothing: for tests that never look into the vault."""


def lay_keys(vault_key: Path) -> Path:
    """A vault key in this file, made if there is none, with the epoch's beside it."""
    load_or_create_root_key(vault_key)
    path = Epochs(vault_key).path(EPOCH.number)
    path.write_bytes(_KEY)
    path.chmod(0o600)
    return vault_key
