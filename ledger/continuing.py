"""Continuing: a log whose tail was lost goes on under a new origin, and says so.

A database that was put back to an older state holds the first events of a log that was shown to others with more. Those
events stay as they are; what is appended next would stand at positions that others know with other events in them. So
the log is not patched: its next event, `log.continued.v1`, names the newest head of the old origin that is known, and
from there on every event, and every head, bears the new origin. Verifiers accept a change of origin only here.

This module must never take an event away, and never continue a log of which nothing was lost.
"""

from datetime import datetime
from typing import Final

from ledger.connecting import Connection
from ledger.merkle import HASH_BYTES, Frontier
from ledger.sql_files import queries
from ledger.tree_head import NoteRefused, TreeHead, VerifierKey, open_note
from schemas.envelope import LEDGER_SUBJECT, is_source, leaf_bytes
from schemas.events import LogContinued, Reason
from schemas.ids import Position
from schemas.instants import format_instant

SYSTEM: Final = "system"
PAGE: Final = 8_192
"""Leaf hashes that are read at once."""

_ASKED: Final = queries("ledger", "sql/queries/continuing.sql")


class ContinuingRefused(Exception):
    """The log is not continued. The text is a sentence for the operator."""


async def lost_head(connection: Connection, note: bytes, keys: list[VerifierKey]) -> TreeHead:
    """The head in this note, of which the database does not hold every event. The role is `ledger_sealer`.

    Raises ContinuingRefused where the note is not sealed by one of `keys` under the log's present origin, or where
    nothing was lost: where the first events here are those that it covers.
    """
    row = await connection.fetchrow(_ASKED["head"])
    if row is None or row["position"] == 0:
        raise ContinuingRefused("The log here is empty: there is nothing to continue.")
    try:
        head = open_note(note, keys).head
    except NoteRefused as refusal:
        raise ContinuingRefused(f"The old head is not one of this ledger: {refusal}.") from None
    if head.origin != row["origin"]:
        raise ContinuingRefused(f"The old head is of {head.origin}, and the log here is {row['origin']}.")
    if head.size <= row["position"] and await _root_of(connection, head.size) == head.root:
        raise ContinuingRefused(
            f"Nothing was lost: the first {head.size:,} events here are those that the old head covers."
        )
    return head


async def continue_log(connection: Connection, origin: str, old: TreeHead, reason: Reason) -> Position:
    """Append the continuation from this old head under a new origin; its position. The role is `ledger_admin`.

    One transaction. Raises ContinuingRefused for an origin that is none, or that the log has or had, and what asyncpg
    raises: then ask again, nothing was changed or it says so the next time.
    """
    if not is_source(origin):
        raise ContinuingRefused("An origin is printable ASCII without spaces and without `+`.")
    async with connection.transaction(isolation="read_committed"):
        head = await connection.fetchrow(_ASKED["lock_head"])
        assert head is not None
        if head["origin"] != old.origin or origin == old.origin:
            raise ContinuingRefused(f"The log is {head['origin']}: name a new origin, and a head of the present one.")
        now: datetime = await connection.fetchval(_ASKED["now"], head["recorded"])  # later than the wait for the lock
        before = await connection.fetchrow(_ASKED["last_continuation"])
        position = Position(head["position"] + 1)
        fact = LogContinued(old_origin=old.origin, old_size=old.size, old_root=old.root, reason=reason)
        leaf = leaf_bytes(
            position=position,
            source=origin,
            type=fact.type,
            subject=LEDGER_SUBJECT,
            time=now,
            recorded=format_instant(now),
            version=1 if before is None else before["version"] + 1,
            prev=None if before is None else before["leaf_hash"],
            actor=SYSTEM,
            data=fact.data(),
        )
        await connection.execute(_ASKED["continue"], head["position"], now, origin, leaf)
    return position


async def _root_of(connection: Connection, size: int) -> bytes:
    """The root of the first `size` events here, sealed or not, from their leaf hashes alone."""
    frontier = Frontier()
    for first in range(0, size, PAGE):
        hashes: bytes = await connection.fetchval(_ASKED["leaf_hashes"], first, min(first + PAGE, size))
        frontier.extend([hashes[start : start + HASH_BYTES] for start in range(0, len(hashes), HASH_BYTES)])
    return frontier.root()
