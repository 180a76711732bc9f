"""The audit of a ledger's own database: every rule of the log, and of the state that is written with it.

`fsck` asks the rules by sets; with `deep` it also streams every leaf, reads it by the catalogue, folds it with
`ledger.folding`, which shares no code with what wrote it, and compares value by value: first each event's columns, then
each row of state, and the root of the leaves at every size that was sealed. It runs in one snapshot, needs no more than
SELECT, and may run beside writers.

What it cannot find, by its nature: a history that somebody with all rights rewrote to its end, consistently, with every
row of state and every seal. Only tree heads kept outside show that.

This module must never raise on bad data: what it cannot read is a finding. It must never write, and never put into a
finding what it read, but numbers.
"""

from collections.abc import Callable, Mapping
from typing import Final

from ledger.audit_rows import asking, rows
from ledger.connecting import Connection
from ledger.epochs import Epochs
from ledger.refolding import Progress, Refolding
from ledger.sql_files import queries
from ledger.vault_audit import Looked, audit_vault
from schemas.findings import Findings

RUNTIME_ROLES: Final = (
    "ledger_signing",
    "ledger_admin",
    "ledger_privacy",
    "ledger_projector",
    "ledger_reader",
    "ledger_backup",
    "ledger_sealer",
)
SHALLOW: Final = (
    "in_position_order",
    "in_petition_order",
    "each_event",
    "head",
    "petitions",
    "beyond_the_end",
    "signatures",
    "standing",
    "signers",
    "erased",
    "corrections",
    "notices",
    "seals",
    "triggers",
    "constraints",
    "grants",
)
"""The queries of `sql/queries/fsck.sql` that answer broken rules."""

SENTENCES: Final[Mapping[str, str]] = {
    "positions-dense": "positions are not dense from 1",
    "recorded-order": "it was recorded before the event before it",
    "versions-dense": "the petition's versions are not dense from 1",
    "running-count": "count_after is not the sum of the petition's deltas so far",
    "first-event": "a petition begins with its first event, and with no other",
    "leaf-hash": "the leaf's hash is not that of the leaf",
    "leaf-position": "the leaf does not name the position at which it stands",
    "count-negative": "the count is negative",
    "delta-of-type": "the delta is none that its type can have",
    "columns-of-type": "the columns that are set are not those of its type",
    "times": "it is effective more than 60 seconds after it was recorded",
    "head": "the head is not the last event",
    "petition-state": "the petition's state is not that after its last event",
    "state-beyond-the-log": "the log ends before events that its state remembers",
    "signature-state": "the signature's state is not what its events make of it",
    "standing-count": "the count is not the number of standing signatures",
    "signer-latest": "every standing signature is its signer's latest",
    "signer-once": "every signer has one row and one latest signature",
    "erased-remains": "of an erased signer something is still held, and no erasure is under way",
    "correction-counts": "the correction does not count its members as they are",
    "notice": "the public rule of the correction is not the one of which the log says the SHA-256",
    "sealed-beyond-the-log": "the log ends before events that were sealed",
    "head-note": "the tree head's note is not that of its size and root",
    "shown-head": "a tree head was not shown as it was sealed, in its turn",
    "subtrees-dense": "the stored subtrees are not those of the newest sealed size",
    "triggers": "a trigger that refuses changes is not in force",
    "constraints": "a constraint is not in force",
    "grants": "a role may do what only the append functions may",
}


async def fsck(
    connection: Connection,
    *,
    deep: bool,
    progress: Progress | None = None,
    epochs: Epochs | None = None,
    looked: Callable[[Looked], None] = lambda _: None,
) -> Findings:
    """What is wrong with the ledger in this database; nothing, where it is sound.

    The connection is one of `ledger_backup`. `deep` folds every leaf, and opens the vault's rows where `epochs` are
    given; `looked` is told of how many. Raises what asyncpg raises where the database is not to be had, or not that of
    a ledger.
    """
    findings = Findings()
    asked = queries("ledger", "sql/queries/fsck.sql")
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        for name in SHALLOW:
            arguments = (list(RUNTIME_ROLES),) if name == "grants" else ()
            async with asking(connection, findings, name.replace("_", "-")):
                async for row in rows(connection, asked[name], *arguments):
                    sentence = SENTENCES[row["rule"]]
                    message = f"{sentence}: {row['detail']}" if row["detail"] else sentence
                    findings.add(row["rule"], row["position"], row["petition"], message)
        if deep:
            await Refolding(connection, findings).run(progress)
            if epochs is not None:
                looked(await audit_vault(connection, findings, epochs))
    return findings
