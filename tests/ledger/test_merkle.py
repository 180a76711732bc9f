"""The Merkle tree, held against published roots and against the definition of RFC 6962 itself."""

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ledger.merkle import leaf_hash, root

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "merkle_vectors.json").read_text("utf-8"))


def root_by_definition(leaf_hashes: Sequence[bytes]) -> bytes:
    """MTH as RFC 6962 section 2.1 writes it, word for word."""
    n = len(leaf_hashes)
    if n == 0:
        return hashlib.sha256().digest()
    if n == 1:
        return leaf_hashes[0]
    k = 1
    while 2 * k < n:
        k *= 2
    left, right = root_by_definition(leaf_hashes[:k]), root_by_definition(leaf_hashes[k:])
    return hashlib.sha256(b"\x01" + left + right).digest()


def test_the_roots_of_the_well_known_leaves_are_those_published() -> None:
    """If the eight leaves of Certificate Transparency are appended one by one, then every root is the published one."""
    hashes = [leaf_hash(bytes.fromhex(leaf)) for leaf in VECTORS["ct_leaves_hex"]]
    published = VECTORS["ct_roots_hex_by_size"]
    assert [root(hashes[:size]).hex() for size in range(9)] == published


def test_a_leaf_hash_is_that_of_the_go_checksum_database() -> None:
    """If a record is hashed, then golang.org/x/mod gives the same hash."""
    vector = VECTORS["x_mod_record_hash"]
    assert leaf_hash(vector["record"].encode()) == base64.b64decode(vector["hash_base64"])


def test_roots_around_tile_edges_are_the_known_ones() -> None:
    """If the ladder's leaves are hashed, then its roots at each listed size, around 256 too, are the known ones."""
    expected = {int(size): base64.b64decode(text) for size, text in VECTORS["ladder_roots_base64"].items()}
    hashes = [leaf_hash(f"leaf {index}".encode()) for index in range(max(expected))]
    assert {size: root(hashes[:size]) for size in expected} == expected


def test_every_size_agrees_with_the_definition() -> None:
    """If the tree is grown leaf by leaf to 130, then each root is that of the recursive definition."""
    hashes = [leaf_hash(index.to_bytes(2, "big")) for index in range(130)]
    for size in range(131):
        assert root(hashes[:size]) == root_by_definition(hashes[:size])


@given(st.lists(st.binary(max_size=8), min_size=1, max_size=40, unique=True), st.data())
def test_changing_dropping_or_swapping_a_leaf_changes_the_root(leaves: list[bytes], data: st.DataObject) -> None:
    """If any one leaf is altered, removed, or exchanged with another, then the root is another."""
    hashes = [leaf_hash(leaf) for leaf in leaves]
    whole = root(hashes)
    index = data.draw(st.integers(0, len(hashes) - 1))
    other = data.draw(st.integers(0, len(hashes) - 1))
    assert root([*hashes[:index], leaf_hash(leaves[index] + b"x"), *hashes[index + 1 :]]) != whole
    assert root(hashes[:index] + hashes[index + 1 :]) != whole
    swapped = list(hashes)
    swapped[index], swapped[other] = hashes[other], hashes[index]
    assert (root(swapped) != whole) is (index != other)


def test_a_node_cannot_be_passed_off_as_a_leaf() -> None:
    """If someone offers the two children of a node as a leaf, then the hash is not that of the node."""
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert leaf_hash(left + right) != root([left, right])
