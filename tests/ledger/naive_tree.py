"""The tree as RFC 6962 writes it, word for word and with no cleverness: what the real one is held against.

Hashes of sections are kept, since a test asks for them over and over. Nothing here may use `ledger.merkle`.
"""

import hashlib
from collections.abc import Callable, Sequence


class NaiveTree:
    """Leaves 0 to n - 1, of which the first `size` are the tree of that size; each is its index in four bytes."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.leaves = list(leaves)
        self.hashes = [hashlib.sha256(b"\x00" + leaf).digest() for leaf in leaves]
        self._kept: dict[tuple[int, int], bytes] = {}

    def root(self, size: int) -> bytes:
        return self.mth(0, size)

    def mth(self, start: int, end: int) -> bytes:
        """MTH(D[start:end]), RFC 6962 section 2.1."""
        n = end - start
        if n == 0:
            return hashlib.sha256().digest()
        if n == 1:
            return self.hashes[start]
        if (start, end) not in self._kept:
            k = largest_power_of_two_below(n)
            left, right = self.mth(start, start + k), self.mth(start + k, end)
            self._kept[start, end] = hashlib.sha256(b"\x01" + left + right).digest()
        return self._kept[start, end]

    def path(self, m: int, start: int, end: int) -> list[bytes]:
        """PATH(m, D[start:end]), RFC 6962 section 2.1.1."""
        n = end - start
        if n == 1:
            return []
        k = largest_power_of_two_below(n)
        if m < k:
            return [*self.path(m, start, start + k), self.mth(start + k, end)]
        return [*self.path(m - k, start + k, end), self.mth(start, start + k)]

    def proof(self, m: int, n: int) -> list[bytes]:
        """PROOF(m, D[n]), RFC 6962 section 2.1.2."""
        return self._subproof(m, 0, n, True)

    def _subproof(self, m: int, start: int, end: int, b: bool) -> list[bytes]:
        """SUBPROOF(m, D[start:end], b), RFC 6962 section 2.1.2."""
        n = end - start
        if m == n:
            return [] if b else [self.mth(start, end)]
        k = largest_power_of_two_below(n)
        if m <= k:
            return [*self._subproof(m, start, start + k, b), self.mth(start + k, end)]
        return [*self._subproof(m - k, start + k, end, False), self.mth(start, start + k)]


def largest_power_of_two_below(n: int) -> int:
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def numbered(count: int) -> NaiveTree:
    """A tree whose leaf i is i in four bytes."""
    return NaiveTree([index.to_bytes(4, "big") for index in range(count)])


def within(tree: NaiveTree, size: int) -> Callable[[tuple[int, int]], bytes]:
    """A `subtree` for `prove_...` that fails where it is asked for anything beyond the first `size` leaves."""

    def subtree(node: tuple[int, int]) -> bytes:
        height, index = node
        assert 0 <= index << height < (index + 1) << height <= size
        return tree.mth(index << height, (index + 1) << height)

    return subtree
