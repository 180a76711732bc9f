"""The keys that seal, for whoever shows or rotates them: what the files hold, and what the log states.

This module must never put a key in the place of one that is there but is not this log's, and never show a key itself:
what it gives are verifier keys.
"""

from pathlib import Path
from typing import NamedTuple

from ledger.keys import KeyMissing, KeyUnavailable
from ledger.log_reading import stated_keys
from ledger.seal_keys import make_sealing_key, retired_path, rotate_sealing_key, sealing_keys
from ledger.sealing import state_key
from ledger.tree_head import SealingKey
from service.database import Ledger, Unavailable, made


class Rotated(NamedTuple):
    """The new key, and where the one before lies; None where there was none."""

    vkey: str
    retired: Path | None


async def verifier_keys(ledger: Ledger) -> list[str]:
    """The verifier keys that the log states, the newest first; those of the files, where it was never sealed.

    The first key is made where there is none. Raises Unavailable.
    """
    connection = await ledger.connect("ledger_reader")
    try:
        stated = await stated_keys(connection)
    finally:
        await connection.close()
    try:
        return stated or [key.verifier.vkey for key in _keys(ledger) or [_made(ledger)]]
    except KeyUnavailable as error:
        raise Unavailable(f"{error}.") from None


async def rotate_key(ledger: Ledger) -> Rotated:
    """Make a new present key, and state it where the log was sealed before; the old one is kept beside it.

    Raises Unavailable, also where the present key is none of those that sealed this log.
    """
    connection = await ledger.connect("ledger_sealer")
    try:
        stated = await stated_keys(connection)
        present = _keys(ledger)
        if stated and present and not any(key.verifier.vkey in stated for key in present):
            raise Unavailable(
                f"{_file(ledger)} is none of the keys that this log was sealed with, and is not replaced. Put the right"
                " one there, or none where it is lost."
            )
        new = made(_file(ledger), lambda path: rotate_sealing_key(path, ledger.origin)) if present else _made(ledger)
        if stated:
            await state_key(connection, new.verifier)
        return Rotated(new.verifier.vkey, retired_path(_file(ledger), present[0]) if present else None)
    except KeyUnavailable as error:
        raise Unavailable(f"{error}.") from None
    finally:
        await connection.close()


def _keys(ledger: Ledger) -> list[SealingKey]:
    """The keys of the files; none where the present one is missing."""
    try:
        return sealing_keys(_file(ledger), ledger.origin)
    except KeyMissing:
        return []


def _made(ledger: Ledger) -> SealingKey:
    return made(_file(ledger), lambda path: make_sealing_key(path, ledger.origin))


def _file(ledger: Ledger) -> Path:
    if ledger.seal_key_file is None:
        raise Unavailable("No file of a sealing key is set.")
    return ledger.seal_key_file
