"""Continuing a log whose tail was lost, wired: the old head, from its copy or from whoever kept it; the keys; the log.

This module must never continue a log without a head that shows what was lost, and never take that head away.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from ledger.continuing import ContinuingRefused, continue_log, lost_head
from ledger.head_copy import HeadCopy
from ledger.keys import KeyMissing, KeyUnavailable
from ledger.seal_keys import sealing_keys
from ledger.sealing import every_stated_key
from ledger.tree_head import NoteRefused, TreeHead, VerifierKey, open_note
from schemas.events import Reason
from schemas.ids import Position
from service.database import Ledger, Unavailable

REASON: Final[Reason] = "operator-error"
"""Whoever loses a tail has kept too few copies, whatever else happened."""


class Continued(NamedTuple):
    """Where the continuation stands, the head that it names, and where that head's note is kept from now on."""

    position: Position
    old: TreeHead
    kept: Path


async def continue_under(ledger: Ledger, origin: str, old_head: Path | None) -> Continued:
    """Continue the log under a new origin from the newest known head of the present one: the note in `old_head`, by
    default the copy that the ledger keeps of it. Raises ContinuingRefused and Unavailable.
    """
    if ledger.head_copy is None or ledger.seal_key_file is None:
        raise Unavailable("No key file and no copy of the newest tree head are set.")
    note = _read(ledger.head_copy if old_head is None else old_head)
    sealer = await ledger.connect("ledger_sealer")
    try:
        keys = [*_own_keys(ledger), *await every_stated_key(sealer)]
        listed = list(dict.fromkeys(keys))
        old = await lost_head(sealer, note, listed)
        _require_newest(ledger.head_copy, old, listed)
        kept = ledger.head_copy.with_name(f"{ledger.head_copy.name}.lost-{old.size}-{old.root.hex()[:8]}")
    finally:
        await sealer.close()
    # Both before the event: the guard takes, from then on, only the head that the log names.
    HeadCopy(kept).write(note)
    HeadCopy(ledger.head_copy).write(note)
    admin = await ledger.connect("ledger_admin")
    try:
        return Continued(await continue_log(admin, origin, old, REASON), old, kept)
    finally:
        await admin.close()


def _read(path: Path) -> bytes:
    try:
        note = HeadCopy(path).read()
    except OSError as error:
        raise ContinuingRefused(f"The old head, {path}, cannot be read ({error.strerror}).") from None
    if note is None:
        raise ContinuingRefused(
            f"There is no old head at {path}. Give the newest `checkpoint` of a mirror, an export or a witness."
        )
    return note


def _require_newest(copy: Path, old: TreeHead, keys: Sequence[VerifierKey]) -> None:
    """The copy is about to be written over: refuse where it shows that more was lost than this head says."""
    try:
        held = open_note(HeadCopy(copy).read() or b"", keys).head
    except (OSError, NoteRefused):
        return  # there is none, or none of this ledger's: the head that was given is all that is known
    if held.origin == old.origin and held.size > old.size:
        raise ContinuingRefused(
            f"The copy of the newest tree head, {copy}, is of {held.size:,} events, and the old head that was given of"
            f" {old.size:,}: the log is continued from the newest one that is known."
        )


def _own_keys(ledger: Ledger) -> list[VerifierKey]:
    """The keys here, under the present origin: a database that went back may not state the youngest."""
    assert ledger.seal_key_file is not None
    try:
        return [key.verifier for key in sealing_keys(ledger.seal_key_file, ledger.origin)]
    except KeyMissing:
        return []
    except KeyUnavailable as error:
        raise Unavailable(f"{error}.") from None
