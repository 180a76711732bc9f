"""Resealing: holds subtrees and the root of every sealed size against what the leaves alone make of them.

The leaves come once, in order, from the audit that folds them anyway. They are hashed on from head to head in bounded
memory, so that the first head whose root is another one says between which sizes something was changed.

This module must never read a seal as true, and never raise on bad data: whether a head was signed rightly is for those
who hold the keys' other halves, `ledger verify` among them.
"""

from collections.abc import AsyncIterator
from typing import Final

import asyncpg

from ledger.audit_rows import rows
from ledger.connecting import Connection
from ledger.merkle import Frontier, Node
from ledger.sql_files import queries
from schemas.findings import Findings

AT_ONCE: Final = 2_048
"""Leaf hashes that are held, until they are hashed on."""


class Resealing:
    """One audit of the seals, in a transaction of the caller, who gives it every leaf's hash."""

    def __init__(self, connection: Connection, findings: Findings) -> None:
        self._connection = connection
        self._findings = findings
        self._asked = queries("ledger", "sql/queries/fsck.sql")
        self._frontier = Frontier()
        self._waiting: list[bytes] = []
        self._sealed = 0
        self._heads: AsyncIterator[asyncpg.Record] | None = None
        self._next: asyncpg.Record | None = None
        self._right = 0  # the largest size at which the leaves gave the sealed root

    async def begin(self) -> None:
        """Look at how far the log was sealed."""
        self._sealed = await self._connection.fetchval(self._asked["sealed_size"])
        self._heads = rows(self._connection, self._asked["sealed_roots"])
        await self._advance()

    async def take(self, position: int, leaf_hash: bytes) -> None:
        """The leaf of the next event."""
        if self._next is None:
            return  # what is not sealed has nothing to be held against
        if position != self._frontier.size + len(self._waiting) + 1:
            self._break("of the events that were sealed some are missing here")
            return
        self._waiting.append(leaf_hash)
        if position == self._next["size"]:
            await self._hash_on()
            await self._judge()
        elif len(self._waiting) == AT_ONCE:
            await self._hash_on()

    def end(self) -> None:
        """There is no further leaf."""
        if self._next is not None:
            self._break(f"the log ends before the {self._next['size']:,} events that were sealed")

    async def _hash_on(self) -> None:
        """Grow the tree, and hold the subtrees that are complete against those that are stored."""
        completed = self._frontier.extend(self._waiting)
        self._waiting.clear()
        wanted = [(node, hash) for node, hash in completed if _last(node) <= self._sealed]
        if not wanted:
            return
        stored = await self._connection.fetch(
            self._asked["subtrees_of"],
            [node.height for node, _ in wanted],
            [node.index for node, _ in wanted],
        )
        for (node, hash), row in zip(wanted, stored, strict=True):
            if row["hash"] != hash:
                message = f"the subtree {node.index:,} of height {node.height} is not what its leaves make of it"
                self._findings.add("subtree", (node.index << node.height) + 1, None, message)

    async def _judge(self) -> None:
        """Hold the root against that of the head of this size."""
        assert self._next is not None
        if self._frontier.root() != self._next["root"]:
            self._break(f"the first {self._next['size']:,} events have another root than the one that was sealed")
            return
        self._right = self._next["size"]
        await self._advance()

    async def _advance(self) -> None:
        assert self._heads is not None
        self._next = await anext(self._heads, None)

    def _break(self, what: str) -> None:
        """Every later root is another one too: it is said once, where it begins."""
        self._findings.add("sealed-root", self._right + 1, None, f"{what}; up to {self._right:,} all is as sealed")
        self._next = None


def _last(node: Node) -> int:
    """The position of the last leaf of a subtree."""
    return (node.index + 1) << node.height
