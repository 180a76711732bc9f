"""The vault's audit: with the keys of its epochs, whether each row opens, and to what its leaf commits to.

It is for whoever holds the keys, and it is the only audit that looks at identities: one at a time, in memory. Without
the keys it looks at nothing, and says so: the rest of the audit needs none.

This module must never put what it opened into a finding, a log or an error, and never make a key.
"""

from typing import Final, NamedTuple

import asyncpg
import orjson

from ledger.audit_rows import asking, rows
from ledger.connecting import Connection
from ledger.epochs import Epochs
from ledger.identity import NONCE_BYTES, pii_commit
from ledger.keys import KeyUnavailable
from ledger.sql_files import queries
from ledger.vault import CannotOpen, Opened, open_identity
from schemas.canonical import to_base64
from schemas.findings import Findings
from schemas.sealed import SealedIdentity

UNOPENED: Final = "the vault's row does not open under the epoch that it names"
ANOTHER: Final = "the vault's row is not what the leaf commits to"


class Looked(NamedTuple):
    """How many rows were opened, and how many were not because the key of their epoch is not here."""

    opened: int
    unopened: int


async def audit_vault(connection: Connection, findings: Findings, epochs: Epochs) -> Looked:
    """Open every row whose epoch's key is here, and hold it against its leaf. The connection is in a transaction of
    `ledger_backup`."""
    opened = unopened = 0
    missing: set[int] = set()
    async with asking(connection, findings, "vault-row"):
        async for row in rows(connection, queries("ledger", "sql/queries/vault.sql")["identities"]):
            if row["epoch"] in missing:
                unopened += 1
                continue
            try:
                found = _opened(row, epochs)
            except KeyUnavailable:
                missing.add(row["epoch"])
                unopened += 1
                continue
            except CannotOpen:
                findings.add("vault-row", row["position"], row["petition"], UNOPENED)
                continue
            opened += 1
            if _commitment(row["leaf"]) != to_base64(pii_commit(found.nonce, found.pii)):
                findings.add("vault-row", row["position"], row["petition"], ANOTHER)
    return Looked(opened, unopened)


def _opened(row: asyncpg.Record, epochs: Epochs) -> Opened:
    """What the row holds, also where an earlier release kept it plain. Raises CannotOpen and KeyUnavailable."""
    if row["sealed"] is None:
        if row["nonce"] is None or len(row["nonce"]) != NONCE_BYTES or row["pii"] is None:
            raise CannotOpen
        return Opened(row["nonce"], row["pii"])
    identity = SealedIdentity(row["epoch"], row["wrapped_key"], row["sealed"])
    return open_identity(epochs.of(row["epoch"]), row["signature"], identity)


def _commitment(leaf: bytes | None) -> object:
    """What the leaf commits to, in base64; None where that cannot be read, which is a finding of others too."""
    try:
        return orjson.loads(leaf or b"")["data"]["pii_commit"]
    except (ValueError, KeyError, TypeError):
        return None
