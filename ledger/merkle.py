"""The Merkle tree over all leaves: RFC 6962 with SHA-256, so that clients which we did not write can check it.

Pure, and short enough to be read by whoever must trust it. It must never look into a leaf: what is hashed are the bytes
as they are stored, and two documents that mean the same are two leaves.
"""

import hashlib
from collections.abc import Sequence

# RFC 6962 section 2.1: the prefixes keep leaves and nodes apart, so that no node can be passed off as a leaf.
_LEAF = b"\x00"
_NODE = b"\x01"


def leaf_hash(data: bytes) -> bytes:
    """The 32-byte hash of a leaf: MTH({d(0)}) = SHA-256(0x00 || d(0)) (RFC 6962 section 2.1)."""
    return hashlib.sha256(_LEAF + data).digest()


def root(leaf_hashes: Sequence[bytes]) -> bytes:
    """The 32-byte root of the tree over these leaf hashes, in log order; linear in time, logarithmic in memory.

    RFC 6962 section 2.1: MTH({}) = SHA-256(""), and for n > 1, with k the largest power of two below n,
    MTH(D[n]) = SHA-256(0x01 || MTH(D[0:k]) || MTH(D[k:n])).

    A full subtree is closed as soon as its last leaf is read: as many times as the count so far can be halved evenly.
    What is left at the end are the full subtrees of n, from the largest to the smallest; joined from the right, each
    one stands at the k of its own section, and a lone right subtree goes up as it is.
    """
    if not leaf_hashes:
        return hashlib.sha256(b"").digest()
    sha256 = hashlib.sha256
    subtrees: list[bytes] = []
    for index, node in enumerate(leaf_hashes):
        while index & 1:
            node = sha256(_NODE + subtrees.pop() + node).digest()
            index >>= 1
        subtrees.append(node)
    node = subtrees.pop()
    while subtrees:
        node = sha256(_NODE + subtrees.pop() + node).digest()
    return node
