"""Sealing: signs how long the log is and what its root is, after the events were committed and never inside it.

One sealer at a time: every step that writes takes the row lock of sealing first. A head goes out in this order:

  1. `seal`: under the lock, the leaves since the newest head are hashed on, and the new head is committed. The database
     takes one root for a size, and none that is not committed.
  2. the copy outside the database (`ledger.head_copy`), on the disk before anybody is shown the head
  3. `publish`: only what was published is shown.

A sealer that dies in between did what it committed: the next one finds the head that was sealed and not published, and
goes on from there. `guard` comes before all of it: a database that was put back to an older state must not be sealed
again, or the log would fork.

This module must never repair the log or a copy, never sign what it did not hash, and never let a size have two roots.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg
import orjson

from ledger.connecting import Connection
from ledger.head_copy import HeadCopy
from ledger.log_reading import NotThere, reader
from ledger.merkle import HASH_BYTES, Frontier, Node, join, root_nodes
from ledger.sql_files import queries
from ledger.tree_head import (
    NoteRefused,
    SealingKey,
    TreeHead,
    VerifierKey,
    open_note,
    parse_vkey,
    read_head,
    seal_head,
)
from schemas.canonical import from_base64

PAGE: Final = 8_192
"""Leaf hashes that are read at once: a quarter of a MiB, hashed in some ten milliseconds."""
AT_ONCE: Final = 1 << 19
"""Leaves that one head adds: bounds what is held until it is committed, and for how long the lock is."""

_ASKED: Final = queries("ledger", "sql/queries/sealing.sql")


class SealingRefused(Exception):
    """Nothing may be sealed here. The text is a sentence for the operator; signing is not concerned."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A head that was sealed: its note by the ledger's own keys, and how many heads were published so far."""

    nth_published: int
    head: TreeHead
    note: bytes


async def lock(connection: Connection) -> None:
    """Wait for the turn to seal, which lasts until the caller's transaction ends. The role is `ledger_sealer`."""
    await connection.execute(_ASKED["lock"])


async def seal(
    connection: Connection,
    origin: str,
    keys: Sequence[SealingKey],
    *,
    upto: int | None = None,
    page: int = PAGE,
    at_once: int = AT_ONCE,
) -> Sealed | None:
    """Seal everything that is committed, or up to the position `upto`; the newest head after that.

    None where nothing was ever recorded. The keys sign in this order; those that are new are stated. A log that is far
    ahead of its seal is sealed in several transactions, in bounded memory. Raises SealingRefused, and what asyncpg
    raises; what was committed before stands.
    """
    while True:
        async with connection.transaction():
            await lock(connection)
            newest = await _newest(connection)
            if newest["position"] == 0:
                return None
            if newest["origin"] != origin:
                raise SealingRefused(f"This log is {newest['origin']}, and is not sealed as {origin}.")
            target = newest["position"] if upto is None else min(upto, newest["position"])
            if newest["sealed"] >= target:
                return _sealed(newest)
            await _state(connection, origin, keys)
            step = min(target, newest["sealed"] + at_once)
            # A head before the log's continuation would bear an origin that its events do not.
            if await connection.fetchval(_ASKED["continued_between"], step, target):
                step = target
            await _seal(connection, newest, step, keys, page)


async def due(connection: Connection) -> bool:
    """Whether something was committed that is not sealed, or sealed that is not published. Takes no lock."""
    newest = await _newest(connection)
    position, size, shown = newest["position"], newest["sealed"], newest["shown_size"]
    return bool(position > size or size > shown)


async def newest_sealed(connection: Connection) -> Sealed | None:
    """The newest head, published or not; None where there is none."""
    newest = await _newest(connection)
    return None if newest["sealed"] == 0 else _sealed(newest)


async def unpublished(connection: Connection) -> Sealed | None:
    """The newest sealed head, where it is larger than the newest published one; else None.

    A head of an origin that the log had before it was continued is none: it is not shown any more.
    """
    newest = await _newest(connection)
    if newest["sealed"] <= newest["shown_size"] or newest["sealed"] == 0:
        return None
    sealed = _sealed(newest)
    return sealed if sealed.head.origin == newest["origin"] else None


async def publish(connection: Connection, nth: int, size: int, note: bytes) -> None:
    """Show a sealed head, as the `nth` one, after it was copied. Raises what asyncpg raises, where it is not the turn
    of this one too.
    """
    await connection.execute(_ASKED["publish"], nth - 1, size, note)


async def state_key(connection: Connection, key: VerifierKey) -> None:
    """State a key that will seal; nothing where it is stated already."""
    await connection.execute(_ASKED["state_key"], key.vkey)


async def every_stated_key(connection: Connection) -> list[VerifierKey]:
    """The keys that ever sealed this log, under whatever origin, the last stated first."""
    return [parse_vkey(row["vkey"]) for row in await connection.fetch(_ASKED["stated_keys"])]


async def root_at(connection: Connection, size: int) -> bytes:
    """The root of the log's first `size` leaves, which were sealed, whether at this size or later. Raises NotThere."""
    nodes = root_nodes(size)
    subtree = await reader(connection, nodes, size)
    return join([subtree(node) for node in nodes])


# -- the guard against a log that went back ----------------------------------------------------------------------------


async def guard(
    connection: Connection, copy: HeadCopy, keys: Sequence[VerifierKey], views: Sequence[bytes] = ()
) -> None:
    """Return where this database is the log that was shown; else raise SealingRefused.

    The copy, and each note of `views` (what a witness showed of this log before), must be sealed by one of `keys` or of
    those that the log states, must not be larger than the newest sealed head, and must have the root that the log has
    at that size. A head of an origin before is taken only where the log's continuation names it. The role is
    `ledger_sealer`.
    """
    async with connection.transaction():
        await lock(connection)  # else a head that is sealed and copied between two looks would pass for a lost one
        newest = await _newest(connection)
        try:
            held = copy.read()
        except OSError as error:
            raise SealingRefused(
                f"The copy of the newest tree head, {copy.path}, cannot be read ({error.strerror})."
            ) from None
    listed = list(dict.fromkeys([*keys, *await every_stated_key(connection)]))
    if held is None and newest["shown"]:
        raise SealingRefused(
            f"{newest['shown']:,} tree heads were published, and the copy outside the database, {copy.path}, is gone:"
            " whether this database was put back to an older state cannot be seen. Lay the newest `checkpoint` there,"
            " of a mirror, an export or a witness."
        )
    if held is not None:
        await _require_continued(connection, newest, listed, held, f"The copy of the newest tree head, {copy.path},")
    for view in views:
        await _require_continued(connection, newest, listed, view, "What a witness has seen of this log")


async def _require_continued(
    connection: Connection, newest: asyncpg.Record, listed: Sequence[VerifierKey], note: bytes, what: str
) -> None:
    try:
        head = open_note(note, listed).head
    except NoteRefused as refusal:
        raise SealingRefused(f"{what} is not one of this ledger: {refusal}.") from None
    if newest["origin"] is not None and head.origin != newest["origin"]:
        if head in await _left_behind(connection):
            return
        raise SealingRefused(
            f"{what} is of {head.origin}, and this log, {newest['origin']}, does not say that it continues that head."
        )
    if head.size == 0:
        return
    if head.size > newest["sealed"]:
        raise SealingRefused(
            f"{what} is of {head.size:,} events, and this database has sealed {newest['sealed']:,}: it was put back to"
            " an older state, and sealing it again would fork the log. Restore the newer database, or continue the log"
            " under a new origin."
        )
    try:
        root = await root_at(connection, head.size)
    except NotThere:
        root = b""
    if root != head.root:
        raise SealingRefused(
            f"{what} has another root at {head.size:,} events than this database: events were changed since they were"
            " shown, or this is another log. `ledger fsck --deep` says where."
        )


async def _left_behind(connection: Connection) -> list[TreeHead]:
    """The heads of origins before that the log names where it was continued."""
    said = [orjson.loads(row["leaf"])["data"] for row in await connection.fetch(_ASKED["continuations"])]
    return [TreeHead(data["old_origin"], data["old_size"], from_base64(data["old_root"])) for data in said]


# -- one head ----------------------------------------------------------------------------------------------------------


async def _seal(
    connection: Connection, newest: asyncpg.Record, size: int, keys: Sequence[SealingKey], page: int
) -> None:
    """Seal one head, in the transaction of the caller, who holds the lock."""
    frontier = await _frontier(connection, newest)
    completed: list[tuple[Node, bytes]] = []
    while frontier.size < size:
        upto = min(frontier.size + page, size)
        row = await connection.fetchrow(_ASKED["leaf_hashes"], frontier.size, upto)
        assert row is not None
        if row["leaves"] != upto - frontier.size:
            raise SealingRefused(
                f"Of the events {frontier.size + 1:,} to {upto:,} some are missing; `ledger fsck` says which."
            )
        hashes: bytes = row["hashes"]
        completed += frontier.extend(
            [hashes[start : start + HASH_BYTES] for start in range(0, len(hashes), HASH_BYTES)]
        )
    root = frontier.root()
    await connection.execute(
        _ASKED["seal"],
        newest["sealed"],
        size,
        root,
        seal_head(TreeHead(newest["origin"], size, root), keys),
        [node.height for node, _ in completed],
        [node.index for node, _ in completed],
        [hash for _, hash in completed],
    )


async def _frontier(connection: Connection, newest: asyncpg.Record) -> Frontier:
    """The right edge of the tree at the newest head, held against that head's root."""
    size = newest["sealed"]
    if size == 0:
        return Frontier()
    nodes = root_nodes(size)
    try:
        subtree = await reader(connection, nodes, size)
    except NotThere:
        subtree = None
    frontier = None if subtree is None else Frontier([subtree(node) for node in nodes], size)
    if frontier is None or frontier.root() != newest["root"]:
        raise SealingRefused(
            f"The log's first {size:,} events are not those that were sealed; `ledger fsck --deep` says where."
        )
    return frontier


async def _state(connection: Connection, origin: str, keys: Sequence[SealingKey]) -> None:
    """State the keys that are new, the oldest first. At least one must be known, or it is somebody else's key."""
    stated = {key for key in await every_stated_key(connection) if key.name == origin}
    new = [key.verifier for key in keys if key.verifier not in stated]
    if stated and len(new) == len(keys):
        raise SealingRefused(
            "The sealing key here is none of those that this log was sealed with. Put that key back; where it is lost,"
            " `ledger keys rotate` makes a new one."
        )
    for key in reversed(new):
        await state_key(connection, key)


async def _newest(connection: Connection) -> asyncpg.Record:
    row: asyncpg.Record | None = await connection.fetchrow(_ASKED["newest"])
    if row is None:
        raise SealingRefused("The log has no head row; `ledger fsck` says more.")
    return row


def _sealed(newest: asyncpg.Record) -> Sealed:
    return Sealed(newest["shown"], read_head(newest["note"]), newest["note"])
