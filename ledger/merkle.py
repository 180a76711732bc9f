"""The Merkle tree over all leaves: RFC 6962 with SHA-256, so that clients which we did not write can check it.

Three laws:

- `root` and `Frontier` make the tree: the one from its leaves, the other as it grows, holding its complete subtrees.
- `prove_...` makes a proof from hashes of complete subtrees, wherever those are kept. It trusts what it is given.
- `check_...` believes nothing: it checks every number and every length before it hashes, works no longer than the proof
  that it was given is long, and returns nothing or raises ProofRefused.

Pure, and short enough to be read by whoever must trust it. It must never look into a leaf: what is hashed are the bytes
as they are stored, and two documents that mean the same are two leaves.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

HASH_BYTES: Final = 32
LARGEST_SIZE: Final = 2**63 - 1
"""No tree is larger, so that no leaf lies deeper than 63 nodes below the root."""

# RFC 6962 section 2.1: the prefixes keep leaves and nodes apart, so that no node can be passed off as a leaf.
_LEAF = b"\x00"
_NODE = b"\x01"

EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
"""The root of the tree without leaves: MTH({}) = SHA-256("") (RFC 6962 section 2.1)."""


class ProofRefused(ValueError):
    """What was given proves nothing, or nothing could. The message is a sentence that does not repeat it."""


class Node(NamedTuple):
    """A complete subtree of 2^height leaves: [index << height, (index + 1) << height)."""

    height: int
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody asks for


def leaf_hash(data: bytes) -> bytes:
    """The 32-byte hash of a leaf: MTH({d(0)}) = SHA-256(0x00 || d(0)) (RFC 6962 section 2.1)."""
    return hashlib.sha256(_LEAF + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The 32-byte hash of a node over its two children: SHA-256(0x01 || left || right) (RFC 6962 section 2.1)."""
    return hashlib.sha256(_NODE + left + right).digest()


def root(leaf_hashes: Sequence[bytes]) -> bytes:
    """The 32-byte root of the tree over these leaf hashes, in log order; linear in time, logarithmic in memory.

    RFC 6962 section 2.1: MTH({}) = SHA-256(""), and for n > 1, with k the largest power of two below n,
    MTH(D[n]) = SHA-256(0x01 || MTH(D[0:k]) || MTH(D[k:n])).

    A full subtree is closed as soon as its last leaf is read: as many times as the count so far can be halved evenly.
    What is left at the end are the full subtrees of n, from the largest to the smallest.
    """
    sha256 = hashlib.sha256
    subtrees: list[bytes] = []
    for index, node in enumerate(leaf_hashes):
        while index & 1:
            node = sha256(_NODE + subtrees.pop() + node).digest()
            index >>= 1
        subtrees.append(node)
    return join(subtrees)


def join(hashes: Sequence[bytes]) -> bytes:
    """The hash over neighbouring complete subtrees, each smaller than the one before it; EMPTY_ROOT over none.

    Joined from the right, each one stands at the k of its own section (RFC 6962 section 2.1), and a lone right subtree
    goes up as it is.
    """
    if not hashes:
        return EMPTY_ROOT
    node = hashes[-1]
    for left in reversed(hashes[:-1]):
        node = node_hash(left, node)
    return node


def root_nodes(size: int) -> tuple[Node, ...]:
    """The complete subtrees of a tree of this size, left to right: one for every bit of the size."""
    return _section(0, size)


def inclusion_nodes(index: int, size: int) -> list[tuple[Node, ...]]:
    """What an inclusion proof is made of: for each of its hashes, the leaf's sibling first, the subtrees to `join`.

    PATH(m, D[n]) of RFC 6962 section 2.1.1 (RFC 9162 section 2.1.3.1): at every split the half without the leaf.
    Raises ProofRefused where the tree has no such leaf.
    """
    _require_leaf(index, size)
    start, end, path = 0, size, list[tuple[Node, ...]]()
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_section(middle, end))
            end = middle
        else:
            path.append(_section(start, middle))
            start = middle
    return path[::-1]


def consistency_nodes(old: int, new: int) -> list[tuple[Node, ...]]:
    """What a consistency proof is made of: for each of its hashes, in order, the subtrees to `join`.

    PROOF(m, D[n]) and SUBPROOF(m, D[n], b) of RFC 6962 section 2.1.2 (RFC 9162 section 2.1.4.1). Between equal sizes
    nothing is to be proven; the empty tree is a beginning of every other, so that a proof from it would say nothing.
    Raises ProofRefused unless 1 <= old <= new.
    """
    _require_growth(old, new)
    start, end, path = 0, new, list[tuple[Node, ...]]()
    while end > old:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(_section(middle, end))
            end = middle
        else:
            path.append(_section(start, middle))
            start = middle
    if start > 0:  # b is false: the old tree's last subtree is none of its roots, and has to be told
        path.append(_section(start, end))
    return path[::-1]


def prove_inclusion(index: int, size: int, subtree: Callable[[Node], bytes]) -> list[bytes]:
    """The proof, for `check_inclusion`, that the leaf of this index is in the tree of this size.

    `subtree` gives the hash of a complete subtree. Raises ProofRefused where the tree has no such leaf.
    """
    return [join([subtree(node) for node in nodes]) for nodes in inclusion_nodes(index, size)]


def check_inclusion(index: int, size: int, leaf_hash: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Raises ProofRefused unless the proof shows that the tree of this size and root has this leaf at this index.

    RFC 9162 section 2.1.3.2, step by step.
    """
    _require_leaf(index, size)
    _require_hashes(proof, leaf_hash, root)
    at, last, node = index, size - 1, leaf_hash
    for sibling in proof:
        if last == 0:
            raise ProofRefused("the proof is longer than the way from the leaf to the root")
        if at & 1 or at == last:
            node = node_hash(sibling, node)
            while at != 0 and not at & 1:  # a lone right subtree goes up as it is
                at, last = at >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        at, last = at >> 1, last >> 1
    if last != 0:
        raise ProofRefused("the proof is shorter than the way from the leaf to the root")
    if node != root:
        raise ProofRefused("the proof does not lead from this leaf to this root")


def prove_consistency(old: int, new: int, subtree: Callable[[Node], bytes]) -> list[bytes]:
    """The proof, for `check_consistency`, that the tree of the old size is the beginning of that of the new size.

    `subtree` gives the hash of a complete subtree. Raises ProofRefused unless 1 <= old <= new.
    """
    return [join([subtree(node) for node in nodes]) for nodes in consistency_nodes(old, new)]


def check_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Raises ProofRefused unless the proof shows that the tree of the new size and root begins with the old one.

    RFC 9162 section 2.1.4.2, step by step; between equal sizes the roots must be equal and the proof empty.
    """
    _require_growth(old, new)
    _require_hashes(proof, old_root, new_root)
    if old == new:
        if proof:
            raise ProofRefused("between equal sizes a proof is empty")
        if old_root != new_root:
            raise ProofRefused("one size has two roots")
        return
    path = list(proof)
    if old & (old - 1) == 0:  # the old tree is one complete subtree: its root begins the path, and was left out
        path.insert(0, old_root)
    if not path:
        raise ProofRefused("the proof is empty, and the sizes differ")
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    older = newer = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise ProofRefused("the proof is longer than the way to the roots")
        if at & 1 or at == last:
            older, newer = node_hash(sibling, older), node_hash(sibling, newer)
            while at != 0 and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            newer = node_hash(newer, sibling)
        at, last = at >> 1, last >> 1
    if last != 0:
        raise ProofRefused("the proof is shorter than the way to the roots")
    if older != old_root or newer != new_root:
        raise ProofRefused("the proof does not lead to both roots")


class Frontier:
    """The right edge of a growing tree: its complete subtrees, one for every bit of its size; all that growing needs.

    `hashes` are those of `root_nodes(size)`. Raises ValueError where they are not as many, or no hashes.
    """

    __slots__ = ("_hashes", "_size")

    def __init__(self, hashes: Sequence[bytes] = (), size: int = 0) -> None:
        if not 0 <= size <= LARGEST_SIZE or len(hashes) != size.bit_count():
            raise ValueError("a tree has one complete subtree for every bit of its size")
        _require_leaf_hashes(hashes)
        self._hashes = list(hashes)
        self._size = size

    @property
    def size(self) -> int:
        return self._size

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """The hashes of the complete subtrees, left to right."""
        return tuple(self._hashes)

    def root(self) -> bytes:
        """The 32-byte root of the tree as it is now."""
        return join(self._hashes)

    def append(self, leaf_hash: bytes) -> list[tuple[Node, bytes]]:
        """Grow by one leaf; otherwise as `extend`."""
        return self.extend((leaf_hash,))

    def extend(self, leaf_hashes: Iterable[bytes]) -> list[tuple[Node, bytes]]:
        """Grow by these leaves, in log order; returns the subtrees of 256, 256^2, ... leaves that they complete.

        Those come bottom up, and of each height from left to right: what tiles above level 0 hold (C2SP tlog-tiles).
        Works level by level: pairs of a row are the row above; a node left without its right neighbour waits.
        """
        row = list(leaf_hashes)
        _require_leaf_hashes(row)
        sha256 = hashlib.sha256
        first, height = self._size, 0  # the index of the row's first node, at this height
        self._size += len(row)
        completed: list[tuple[Node, bytes]] = []
        waiting: list[bytes] = []
        while row:
            if height > 0 and height % 8 == 0:
                completed += [(Node(height, index), node) for index, node in enumerate(row, first)]
            if first & 1:
                row.insert(0, self._hashes.pop())
            if len(row) & 1:
                waiting.append(row.pop())
            row = [sha256(_NODE + left + right).digest() for left, right in zip(row[::2], row[1::2], strict=True)]
            first, height = first >> 1, height + 1
        self._hashes += reversed(waiting)
        return completed


def _split(size: int) -> int:
    """k, the largest power of two below a size of at least 2 (RFC 6962 section 2.1)."""
    return 1 << (size - 1).bit_length() - 1


def _section(start: int, end: int) -> tuple[Node, ...]:
    """The complete subtrees of the leaves [start, end), largest first; `start` is the beginning of a subtree that holds
    them all."""
    nodes: list[Node] = []
    while start < end:
        height = (end - start).bit_length() - 1
        nodes.append(Node(height, start >> height))
        start += 1 << height
    return tuple(nodes)


def _require_leaf(index: int, size: int) -> None:
    if not 0 <= index < size <= LARGEST_SIZE:
        raise ProofRefused("a tree of this size has no leaf of this index")


def _require_growth(old: int, new: int) -> None:
    if not 1 <= old <= new <= LARGEST_SIZE:
        raise ProofRefused("a tree is only ever shown to grow, from at least one leaf")


def _require_hashes(proof: Sequence[bytes], *others: bytes) -> None:
    if (
        len(proof) > LARGEST_SIZE.bit_length() + 1
    ):  # one a level, and in a consistency proof the old tree's last subtree
        raise ProofRefused("no proof is as long as this")
    if any(len(given) != HASH_BYTES for given in (*proof, *others)):
        raise ProofRefused("a hash has 32 bytes")


def _require_leaf_hashes(hashes: Sequence[bytes]) -> None:
    if any(len(given) != HASH_BYTES for given in hashes):
        raise ValueError("a hash has 32 bytes")
