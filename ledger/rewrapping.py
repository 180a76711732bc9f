"""The vault's rows and its epochs: states epochs, seals what earlier releases kept plain, and wraps keys anew.

All of it goes by pages, each a transaction of its own in which every row is replaced only where it is still what was
read: it can be cut off at any point and begun again, by several processes at once, beside writers.

An epoch goes this way: its key is drafted, stated, published; rows are sealed under it; a later epoch is published; the
rows are wrapped for that one; the old epoch is retired, under the head lock; its key is destroyed.

This module must never hold more than a page of plain rows, never log what it holds, and never judge by itself that no
row names an epoch: the database does, under its lock.
"""

import secrets
from collections.abc import Callable
from typing import Final, NamedTuple
from uuid import UUID

from ledger.connecting import Connection
from ledger.epochs import Epochs
from ledger.keys import KeyMissing, KeyRefused
from ledger.vault import IV_BYTES, RANDOM_BYTES, CannotOpen, Epoch, Opened, rewrap, seal_identity

PAGE: Final = 1000
"""Rows in one transaction."""
_BEGINNING: Final = UUID(int=0)

Progress = Callable[[int], None]
"""Is told how many rows are done."""


class Unreadable(Exception):
    """A row does not open under the epoch that it names. The text is a sentence for the operator."""


class Stated(NamedTuple):
    """An epoch as the database knows it."""

    number: int
    check: bytes
    is_retired: bool
    is_named: bool


async def stated_epochs(connection: Connection) -> list[Stated]:
    """The epochs that the database knows, the oldest first. The role is `ledger_signing`, `_admin` or `_privacy`."""
    rows = await connection.fetch("SELECT epoch, key_check, is_retired, is_named FROM ledger.stated_epochs()")
    return [Stated(*row) for row in rows]


async def begin_epoch(connection: Connection, epochs: Epochs, number: int, draft: Callable[[int], Epoch]) -> Epoch:
    """Draft, state and publish the next epoch, or the one that somebody else states meanwhile. The role is
    `ledger_admin`. `draft` makes the draft. Raises KeyMissing and KeyRefused."""
    check = draft(number).check
    stated = await connection.fetchval("SELECT ledger.state_epoch($1, $2)", number, check)
    if stated != check:  # somebody was quicker, here or elsewhere
        epochs.discard(number)
        if stated is None or epochs.of(number).check != stated:
            raise KeyRefused(f"{epochs.path(number)} is not the key of this epoch that the ledger knows")
    return epochs.publish(number)


async def settle_epochs(connection: Connection, epochs: Epochs, draft: Callable[[int], Epoch]) -> Epoch:
    """See that the key of every epoch that a row names is here; the first is made where none is stated. The epoch to
    seal under. The role is `ledger_admin`. Raises KeyMissing and KeyRefused."""
    stated = await stated_epochs(connection)
    if not stated:
        return await begin_epoch(connection, epochs, 1, draft)
    newest = stated[-1]
    if (drafted := epochs.drafted(newest.number)) is not None and drafted.check == newest.check:
        epochs.publish(newest.number)  # whoever stated it was cut off, or is about to do the same
    if (wrong := wrong_epoch(epochs, stated)) is not None:
        raise wrong
    return epochs.of(newest.number)


def wrong_epoch(epochs: Epochs, stated: list[Stated]) -> KeyMissing | KeyRefused | None:
    """What is wrong with the keys of these epochs: one is missing that a row names or that is the newest, or is another
    one than the database knows."""
    for each in stated:
        if each.is_retired or not (each.is_named or each is stated[-1]):
            continue
        try:
            if epochs.of(each.number).check != each.check:
                return KeyRefused(f"{epochs.path(each.number)} is not the key of this epoch that the ledger knows")
        except (KeyMissing, KeyRefused) as error:
            return error
    return None


async def seal_plain(connection: Connection, epoch: Epoch, progress: Progress = lambda done: None) -> int:
    """Seal the rows that earlier releases kept plain; how many this was done for. The role is `ledger_admin`."""
    done, after = 0, _BEGINNING
    while page := await connection.fetch("SELECT * FROM ledger.plain_identities($1, $2)", after, PAGE):
        sealed = [
            seal_identity(epoch, row["signature"], Opened(row["nonce"], row["pii"]), secrets.token_bytes(RANDOM_BYTES))
            for row in page
        ]
        done += await connection.fetchval(
            "SELECT ledger.seal_identities($1, $2, $3, $4)",
            [row["signature"] for row in page],
            epoch.number,
            [each.wrapped_key for each in sealed],
            [each.sealed for each in sealed],
        )
        after = page[-1]["signature"]
        progress(done)
    await connection.execute("SELECT ledger.only_sealed()")
    return done


async def rewrap_rows(
    connection: Connection, epochs: Epochs, new: Epoch, progress: Progress = lambda done: None
) -> int:
    """Wrap for this epoch what earlier ones wrapped; for how many rows. The role is `ledger_privacy`.

    Raises KeyMissing and KeyRefused where an earlier one's key is not here, and Unreadable.
    """
    done, after_epoch, after = 0, 0, _BEGINNING
    while page := await connection.fetch(
        "SELECT * FROM ledger.wrapped_keys($1, $2, $3, $4)", new.number, after_epoch, after, PAGE
    ):
        done += await connection.fetchval(
            "SELECT ledger.rewrap($1, $2, $3, $4)",
            new.number,
            [row["signature"] for row in page],
            [row["wrapped_key"] for row in page],
            [_rewrapped(epochs.of(row["epoch"]), new, row["signature"], row["wrapped_key"]) for row in page],
        )
        after_epoch, after = page[-1]["epoch"], page[-1]["signature"]
        progress(done)
    return done


def _rewrapped(old: Epoch, new: Epoch, signature: UUID, wrapped: bytes) -> bytes:
    try:
        return rewrap(old, new, signature, wrapped, secrets.token_bytes(IV_BYTES))
    except CannotOpen:
        pass  # raised below, outside the handler
    raise Unreadable(f"The key of the signature {signature} does not open under epoch {old.number} of the vault.")
