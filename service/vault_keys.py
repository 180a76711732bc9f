"""Rotating the vault's epochs: makes the next one, wraps every row's key for it, and destroys the old ones.

Whoever holds an old dump can then open nothing of what it holds of signers, with all the keys that are left. A rotation
that was cut off goes on where it was when it is asked for again. A service seals under the new epoch within a second of
its being published; what it had sealed before and not yet written may come in late, so that an old epoch is retired
only after that has had its time, and what comes later still is refused as not recorded.

This module must never destroy a key that a row may name, and never show one.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from ledger.connecting import Connection
from ledger.epochs import LOOK, Epochs
from ledger.keys import KeyUnavailable
from ledger.rewrapping import PAGE, Stated, Unreadable, begin_epoch, rewrap_rows, stated_epochs
from ledger.vault import Epoch
from service.database import Ledger, Unavailable, drafting

Say = Callable[[str], None]

ON_ITS_WAY: Final = 35.0
"""Seconds in which whatever was sealed has been written or given up: the longest patience of a writer of ours, and what
a service takes to see a new epoch."""
TOLD: Final = 20 * PAGE
"""After how many rows the progress is told."""
assert ON_ITS_WAY > 30 + LOOK

_OTHERS: Final = (
    "SELECT EXISTS (SELECT FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid NOT IN (pg_backend_pid(), $1))"
)


class RotatedVault(NamedTuple):
    """The epoch under which everything is sealed now, for how many rows a key was wrapped, and which key files are
    gone."""

    epoch: int
    rewrapped: int
    destroyed: list[Path]


async def rotate_vault(
    ledger: Ledger,
    say: Say = lambda _: None,
    *,
    prepare: bool = False,
    on_its_way: float = ON_ITS_WAY,
) -> RotatedVault:
    """Rotate the vault's epochs, or finish a rotation that was begun. `prepare`: only make the next one. Raises
    Unavailable."""
    epochs = ledger.epochs()
    admin = await ledger.connect("ledger_admin")
    try:
        privacy = await ledger.connect("ledger_privacy")
        try:
            new = await _begun(admin, epochs)
            say(f"Epoch {new.number} of the vault: {epochs.path(new.number)}")
            if prepare:
                return RotatedVault(new.number, 0, [])
            return await _finished(privacy, admin.get_server_pid(), epochs, new, say, on_its_way)
        finally:
            await privacy.close()
    except KeyUnavailable as error:
        raise Unavailable(f"{error}.") from None
    except Unreadable as error:
        raise Unavailable(f"{error} `ledger fsck --deep` says which rows are wrong.") from None
    finally:
        await admin.close()


async def _begun(admin: Connection, epochs: Epochs) -> Epoch:
    """The epoch to wrap for: the next one, or the one that a rotation which was cut off began."""
    stated = await stated_epochs(admin)
    open_ones = [each for each in stated if not each.is_retired]
    if len(open_ones) > 1:
        return epochs.of(open_ones[-1].number)
    last = stated[-1].number if stated else 0
    return await begin_epoch(admin, epochs, last + 1, drafting(epochs))


async def _finished(
    privacy: Connection, beside: int, epochs: Epochs, new: Epoch, say: Say, on_its_way: float
) -> RotatedVault:
    """Wrap everything for this epoch, retire those before it, and destroy their keys. `beside` is the server's process
    of our other connection."""
    rewrapped = 0

    def tell(done: int) -> None:
        if done % TOLD < PAGE:
            say(f"{done:,} keys wrapped anew")

    async def wrap() -> None:
        nonlocal rewrapped
        before = rewrapped
        rewrapped += await rewrap_rows(privacy, epochs, new, lambda done: tell(before + done))

    await wrap()
    if on_its_way and await privacy.fetchval(_OTHERS, beside):
        say(f"Waiting {on_its_way:.0f} s for what was sealed before and is on its way ...")
        await asyncio.sleep(on_its_way)
        await wrap()
    while not await privacy.fetchval("SELECT ledger.retire_epochs($1)", new.number):
        await wrap()
    # Retired. From here nothing is sealed under them any more, and a crash leaves files that the next rotation takes.
    return RotatedVault(new.number, rewrapped, _destroyed(epochs, await stated_epochs(privacy)))


def _destroyed(epochs: Epochs, stated: list[Stated]) -> list[Path]:
    """Destroy the keys of the epochs that are retired, also those that an earlier rotation left."""
    retired = {each.number for each in stated if each.is_retired}
    gone = [number for number in epochs.numbers() if number in retired]
    for number in gone:
        epochs.destroy(number)
    return [epochs.path(number) for number in gone]
