"""Proving: what a published tree head lets us show of the log, put together from the hashes that are stored.

Shell. What a proof is made of never changes once a head that covers it is sealed, so that no transaction has to hold
the statements together. Whoever asks has looked at how far the log was shown: this module does not, and must never be
asked for more. It makes proofs and believes none; `ledger.merkle` checks them.
"""

from collections.abc import Callable
from itertools import chain
from typing import Final, NamedTuple
from uuid import UUID

from ledger.log_reading import Connection, Published, reader
from ledger.merkle import (
    Node,
    consistency_nodes,
    inclusion_nodes,
    join,
    prove_consistency,
    prove_inclusion,
    root_nodes,
)
from ledger.receipt import write_receipt
from ledger.sql_files import queries

SQL: Final = queries("ledger", "sql/queries/proving.sql")


class Inclusion(NamedTuple):
    """A leaf, the root of a tree, and what leads from the one to the other: 32 bytes each."""

    leaf_hash: bytes
    root: bytes
    proof: list[bytes]


class Consistency(NamedTuple):
    """The roots of two trees, and what shows that the larger one begins with the leaves of the smaller."""

    old_root: bytes
    new_root: bytes
    proof: list[bytes]


async def inclusion(connection: Connection, index: int, size: int) -> Inclusion:
    """The proof that the leaf of this index is in the tree of this size.

    Raises ProofRefused where a tree of this size has no such leaf, and NotThere.
    """
    leaf = Node(0, index)
    wanted = [leaf, *root_nodes(size), *chain.from_iterable(inclusion_nodes(index, size))]
    subtree = await reader(connection, wanted, size)
    return Inclusion(subtree(leaf), _root(size, subtree), prove_inclusion(index, size, subtree))


async def consistency(connection: Connection, old: int, new: int) -> Consistency:
    """The proof that the tree of size `new` begins with that of size `old`. Raises ProofRefused unless
    1 <= old <= new, and NotThere.
    """
    wanted = [*root_nodes(old), *root_nodes(new), *chain.from_iterable(consistency_nodes(old, new))]
    subtree = await reader(connection, wanted, new)
    return Consistency(_root(old, subtree), _root(new, subtree), prove_consistency(old, new, subtree))


async def receipt(connection: Connection, index: int, head: Published) -> bytes:
    """The receipt (C2SP tlog-proof) of the leaf of this index for a head that covers it. Raises as `inclusion` does."""
    found = await inclusion(connection, index, head.size)
    return write_receipt(index, found.proof, head.note)


async def position_of_signature(connection: Connection, petition: int, signature: UUID) -> int | None:
    """Where a signature was recorded; None where the petition of this number has no such signature."""
    position: int | None = await connection.fetchval(SQL["signature"], petition, signature)
    return position


async def last_covered(connection: Connection, petition: int, size: int) -> int | None:
    """The position of the last event of a petition that a tree of this size covers; None where it covers none."""
    position: int | None = await connection.fetchval(SQL["last_covered"], petition, size)
    return position


def _root(size: int, subtree: Callable[[Node], bytes]) -> bytes:
    return join([subtree(node) for node in root_nodes(size)])
