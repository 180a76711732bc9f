"""Logs to be sealed: rows as the append writes them, but with leaves that are only text, so that any size is made at
once. The leaf of index i is `leaf <i>`, as in the published ladder of roots; every log of one size has one root."""

from collections.abc import Sequence
from pathlib import Path

from ledger.head_copy import HeadCopy
from ledger.merkle import leaf_hash
from ledger.merkle import root as root_of
from ledger.sealing import Sealed, lock, publish, seal, unpublished
from ledger.tree_head import SealingKey
from tests.conftest import LedgerDatabase

ORIGIN = "petitions.example/ledger"
KEY = SealingKey(ORIGIN, bytes(range(32)))
YOUNGER = SealingKey(ORIGIN, bytes(range(1, 33)))

_GROW = """
WITH head AS (
  UPDATE ledger.head SET position = position + $1, recorded = clock_timestamp(), origin = $2
  RETURNING position, recorded
)
INSERT INTO ledger.events (position, petition, version, type, effective, recorded, delta, count_after, leaf, leaf_hash)
SELECT n, 1, n, CASE n WHEN 1 THEN 'petition.opened.v1' ELSE 'update.posted.v1' END::ledger.event_type,
       h.recorded, h.recorded, 0, 0, l.leaf, sha256('\\x00'::bytea || l.leaf)
  FROM head h
  CROSS JOIN LATERAL generate_series(h.position - $1 + 1, h.position) AS n
  CROSS JOIN LATERAL (SELECT convert_to($3 || ' ' || n - 1, 'UTF8') AS leaf) AS l
"""


async def grow(database: LedgerDatabase, by: int, origin: str = ORIGIN, word: str = "leaf") -> None:
    """Commit so many more events."""
    await database.superuser.execute(_GROW, by, origin, word)


def leaves(size: int) -> list[bytes]:
    """Those of a log of this size."""
    return [f"leaf {index}".encode() for index in range(size)]


def root(size: int) -> bytes:
    """Its root, made from its leaves alone."""
    return root_of([leaf_hash(leaf) for leaf in leaves(size)])


async def sealed(database: LedgerDatabase, keys: Sequence[SealingKey] = (KEY,), upto: int | None = None) -> Sealed:
    """Seal what is committed."""
    found = await seal(await database.connect("ledger_sealer"), keys[0].verifier.name, keys, upto=upto)
    assert found is not None
    return found


async def shown(database: LedgerDatabase, directory: Path, keys: Sequence[SealingKey] = (KEY,)) -> bytes:
    """Seal, copy and publish what is committed; the note."""
    connection = await database.connect("ledger_sealer")
    await seal(connection, keys[0].verifier.name, keys)
    async with connection.transaction():
        await lock(connection)
        newest = await unpublished(connection)
        assert newest is not None
        HeadCopy(directory / "checkpoint").write(newest.note)
        await publish(connection, newest.nth_published + 1, newest.head.size, newest.note)
    return newest.note
