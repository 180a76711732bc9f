"""The Merkle tree, held against published roots and proofs, other people's probes, and the words of RFC 6962 itself."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.merkle import (
    EMPTY_ROOT,
    LARGEST_SIZE,
    Frontier,
    Node,
    ProofRefused,
    check_consistency,
    check_inclusion,
    consistency_nodes,
    inclusion_nodes,
    join,
    leaf_hash,
    node_hash,
    prove_consistency,
    prove_inclusion,
    root,
    root_nodes,
)
from tests.ledger.naive_tree import numbered, within

DATA = Path(__file__).parents[1] / "data"
VECTORS = json.loads((DATA / "merkle_vectors.json").read_text("utf-8"))
PROBES = json.loads((DATA / "rfc6962_probes.json").read_text("utf-8"))

TREE = numbered(2**16 + 300)
SMALL = range(1, 71)
AROUND_TILES = (*range(254, 260), *range(511, 514))
AROUND_TILES_OF_TILES = (*range(2**16 - 2, 2**16 + 3), 2**16 + 255, 2**16 + 256, 2**16 + 257)


def decoded(probe: dict[str, Any], *names: str) -> list[Any]:
    """These members of a probe, hashes as bytes."""
    return [
        [base64.b64decode(text) for text in value]
        if isinstance(value, list)
        else base64.b64decode(value)
        if isinstance(value, str)
        else value
        for value in (probe[name] for name in names)
    ]


def named(probe: dict[str, Any]) -> str:
    return str(probe["name"])


# The tree


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
    for size in range(131):
        assert root(TREE.hashes[:size]) == TREE.root(size)


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
    assert leaf_hash(left + right) != root([left, right]) == node_hash(left, right)


@pytest.mark.parametrize("size", [*SMALL, *AROUND_TILES, *AROUND_TILES_OF_TILES, 2**53 - 1, LARGEST_SIZE])
def test_the_subtrees_of_a_root_lie_side_by_side_and_shrink(size: int) -> None:
    """If a tree is divided into its complete subtrees, then they cover it without a gap, each smaller than the last."""
    nodes = root_nodes(size)
    ends = [(node.index + 1) << node.height for node in nodes]
    assert [0, *ends[:-1]] == [node.index << node.height for node in nodes]
    assert ends[-1] == size
    assert [node.height for node in nodes] == sorted({node.height for node in nodes}, reverse=True)


@pytest.mark.parametrize("size", [0, *SMALL, *AROUND_TILES, *AROUND_TILES_OF_TILES])
def test_joining_the_subtrees_of_a_root_gives_the_root(size: int) -> None:
    """If the complete subtrees of a tree are joined, then it is its root; over none, that of the empty tree."""
    assert join([within(TREE, size)(node) for node in root_nodes(size)]) == TREE.root(size)
    assert join([]) == EMPTY_ROOT == TREE.root(0)


# Growing


def test_a_tree_grown_leaf_by_leaf_has_every_root_and_tells_the_subtrees_that_it_completes() -> None:
    """If a tree grows leaf by leaf to 65,792, then its roots at each edge, and its subtrees, are those of the
    definition; each subtree of 256 or 65,536 leaves is told once, when its last leaf arrives."""
    tree, looked_at = Frontier(), {0, *SMALL, *AROUND_TILES, *AROUND_TILES_OF_TILES}
    completed: list[tuple[Node, bytes]] = []
    for size, leaf in enumerate(TREE.hashes[: 2**16 + 256]):
        if size in looked_at:
            assert tree.size == size
            assert tree.root() == TREE.root(size)
            assert tree.hashes == tuple(within(TREE, size)(node) for node in root_nodes(size))
        news = tree.append(leaf)
        assert [node for node, _ in news] == [
            Node(height, size >> height) for height in (8, 16) if (size + 1) % (1 << height) == 0
        ]
        completed += news
    assert [node for node, _ in completed if node.height == 8] == [Node(8, index) for index in range(257)]
    assert all(hashed == within(TREE, tree.size)(node) for node, hashed in completed)


@given(st.lists(st.integers(0, 700), max_size=6))
def test_growing_by_many_is_growing_one_by_one(steps: list[int]) -> None:
    """If a tree grows in steps of any sizes, resumed from its subtrees before each, then it is the tree grown leaf by
    leaf, and completes the same subtrees."""
    tree, completed = Frontier(), list[tuple[Node, bytes]]()
    for step in steps:
        tree = Frontier(tree.hashes, tree.size)
        completed += tree.extend(TREE.hashes[tree.size : tree.size + step])
    size = sum(steps)
    assert (tree.size, tree.root()) == (size, TREE.root(size))
    assert completed == [(Node(8, index), TREE.mth(index << 8, (index + 1) << 8)) for index in range(size >> 8)]


def test_growing_by_many_completes_subtrees_bottom_up() -> None:
    """If a step completes subtrees of several heights, then the smaller ones are told first, left to right."""
    tree = Frontier()
    tree.extend(TREE.hashes[:300])
    assert [node for node, _ in tree.extend(TREE.hashes[300 : 2**16 + 1])] == [
        *(Node(8, index) for index in range(1, 256)),
        Node(16, 0),
    ]


@pytest.mark.parametrize(
    ("hashes", "size"),
    [
        ([], 1),
        ([bytes(32)], 0),
        ([bytes(32)], 3),
        ([bytes(32)] * 2, 2),
        ([bytes(31)], 1),
        ([bytes(33)], 4),
        ([], -1),
        ([bytes(32)], 2**63),
    ],
)
def test_a_tree_is_not_resumed_from_what_is_not_its_edge(hashes: list[bytes], size: int) -> None:
    """If there are not as many subtrees as the size has bits, or one is no hash, then no tree is resumed from them."""
    with pytest.raises(ValueError):
        Frontier(hashes, size)


def test_a_tree_does_not_grow_by_what_is_no_hash() -> None:
    """If one of the leaves has not 32 bytes, then none is taken."""
    tree = Frontier()
    with pytest.raises(ValueError):
        tree.extend([bytes(32), bytes(31)])
    assert (tree.size, tree.root()) == (0, EMPTY_ROOT)


# Proofs of inclusion


@pytest.mark.parametrize("size", [*SMALL, *AROUND_TILES])
def test_every_leaf_of_every_tree_is_proven_as_the_rfc_says(size: int) -> None:
    """If a leaf is proven, then the proof is that of RFC 6962, it holds, and for no other leaf of the tree."""
    for index in range(size):
        proof = prove_inclusion(index, size, within(TREE, size))
        assert proof == TREE.path(index, 0, size)
        check_inclusion(index, size, TREE.hashes[index], proof, TREE.root(size))
        other = (index + 1) % size
        if other != index:
            refuse_inclusion(other, size, TREE.hashes[index], proof, TREE.root(size))
            refuse_inclusion(index, size, TREE.hashes[other], proof, TREE.root(size))


@given(st.sampled_from(AROUND_TILES_OF_TILES), st.data())
def test_leaves_of_large_trees_are_proven_as_the_rfc_says(size: int, data: st.DataObject) -> None:
    """If a leaf of a tree of three levels of tiles is proven, then the proof is that of RFC 6962, and it holds."""
    index = data.draw(
        st.sampled_from([0, 255, 256, 2**16 - 1, size - 1]).filter(lambda drawn: drawn < size)
        | st.integers(0, size - 1)
    )
    proof = prove_inclusion(index, size, within(TREE, size))
    assert proof == TREE.path(index, 0, size)
    check_inclusion(index, size, TREE.hashes[index], proof, TREE.root(size))


def test_the_published_proof_of_inclusion_is_made_and_holds() -> None:
    """If leaf 0 of the eight well-known ones is proven, then the proof is the published one."""
    hashes = [leaf_hash(bytes.fromhex(leaf)) for leaf in VECTORS["ct_leaves_hex"]]
    published = [bytes.fromhex(text) for text in VECTORS["ct_inclusion_0_of_8_hex"]]
    assert (
        prove_inclusion(0, 8, lambda node: root(hashes[node.index << node.height :][: 1 << node.height])) == published
    )
    check_inclusion(0, 8, hashes[0], published, bytes.fromhex(VECTORS["ct_roots_hex_by_size"][8]))


@pytest.mark.parametrize("probe", PROBES["inclusion"], ids=named)
def test_a_probe_of_inclusion_has_the_expected_verdict(probe: dict[str, Any]) -> None:
    """If transparency-dev probes an inclusion verifier, then ours says what theirs says."""
    index, size, leaf, proof, of_tree = decoded(probe, "leafIdx", "treeSize", "leafHash", "proof", "root")
    if probe["wantErr"]:
        refuse_inclusion(index, size, leaf, proof, of_tree)
    else:
        check_inclusion(index, size, leaf, proof, of_tree)


@pytest.mark.parametrize("size", range(1, 20))
def test_a_proof_of_inclusion_with_anything_changed_is_refused(size: int) -> None:
    """If a hash of a proof is altered, left out, doubled or exchanged, or the leaf or root is, then it is refused."""
    for index in range(size):
        leaf, proof, whole = TREE.hashes[index], TREE.path(index, 0, size), TREE.root(size)
        for altered in alterations(proof):
            refuse_inclusion(index, size, leaf, altered, whole)
        for wrong in (flipped(whole), whole[:-1], whole + b"\0", b""):
            refuse_inclusion(index, size, leaf, proof, wrong)
        for wrong in (flipped(leaf), leaf[:-1], leaf + b"\0", b""):
            refuse_inclusion(index, size, wrong, proof, whole)


@pytest.mark.parametrize(
    ("index", "size"),
    [(0, 0), (1, 1), (-1, 1), (-1, 0), (0, -1), (5, 4), (0, 2**63), (2**64 - 1, 2**64), (2**200, 2**200 + 1)],
)
def test_where_no_leaf_is_none_is_proven(index: int, size: int) -> None:
    """If a tree has no such leaf, or there is no such tree, then no proof is made and none is looked at."""
    with pytest.raises(ProofRefused):
        inclusion_nodes(index, size)
    refuse_inclusion(index, size, bytes(32), [], bytes(32))


# Proofs of consistency


@pytest.mark.parametrize("new", [*SMALL, *AROUND_TILES])
def test_every_tree_is_proven_to_begin_with_every_smaller_one_as_the_rfc_says(new: int) -> None:
    """If a tree is proven to have grown from another, then the proof is that of RFC 6962, and it holds, and with
    neither root exchanged."""
    for old in range(1, new + 1):
        proof = prove_consistency(old, new, within(TREE, new))
        assert proof == TREE.proof(old, new)
        check_consistency(old, new, TREE.root(old), TREE.root(new), proof)
        if old < new:
            refuse_consistency(old, new, TREE.root(new), TREE.root(old), proof)
            refuse_consistency(old, new, TREE.root(old), TREE.root(new - 1) if new - 1 > old else EMPTY_ROOT, proof)
            refuse_consistency(old, new, TREE.root(old + 1), TREE.root(new), proof)


@given(st.sampled_from(AROUND_TILES_OF_TILES), st.data())
def test_large_trees_are_proven_to_begin_with_smaller_ones_as_the_rfc_says(new: int, data: st.DataObject) -> None:
    """If a tree of three levels of tiles has grown from another, then the proof is that of RFC 6962, and it holds."""
    old = data.draw(
        st.sampled_from([1, 255, 256, 257, 2**16 - 1, new]).filter(lambda drawn: drawn <= new) | st.integers(1, new)
    )
    proof = prove_consistency(old, new, within(TREE, new))
    assert proof == TREE.proof(old, new)
    check_consistency(old, new, TREE.root(old), TREE.root(new), proof)


def test_the_published_proof_of_consistency_is_made_and_holds() -> None:
    """If six of the eight well-known leaves are proven to be their beginning, then the proof is the published one."""
    hashes = [leaf_hash(bytes.fromhex(leaf)) for leaf in VECTORS["ct_leaves_hex"]]
    published = [base64.b64decode(text) for text in VECTORS["ct_consistency_6_to_8_base64"]]
    assert (
        prove_consistency(6, 8, lambda node: root(hashes[node.index << node.height :][: 1 << node.height])) == published
    )
    check_consistency(6, 8, root(hashes[:6]), root(hashes), published)


@pytest.mark.parametrize("probe", PROBES["consistency"], ids=named)
def test_a_probe_of_consistency_has_the_expected_verdict(probe: dict[str, Any]) -> None:
    """If transparency-dev probes a consistency verifier, then ours says what theirs says; and refuses the one probe
    whose roots are no hashes, which theirs lets pass."""
    old, new, old_root, new_root, proof = decoded(probe, "size1", "size2", "root1", "root2", "proof")
    if probe["wantErr"] or len(old_root) != 32:
        refuse_consistency(old, new, old_root, new_root, proof)
    else:
        check_consistency(old, new, old_root, new_root, proof)


def test_one_probe_that_should_pass_has_roots_that_are_no_hashes() -> None:
    """If the probes are counted, then there are 196, and only one is not judged by its own word."""
    assert (len(PROBES["inclusion"]), len(PROBES["consistency"])) == (98, 98)
    assert [
        probe["name"]
        for probe in PROBES["consistency"]
        if not probe["wantErr"] and len(base64.b64decode(probe["root1"])) != 32
    ] == ["additional/sizes-are-equal-one-and-proof-is-empty"]


@pytest.mark.parametrize("new", range(2, 20))
def test_a_proof_of_consistency_with_anything_changed_is_refused(new: int) -> None:
    """If a hash of a proof is altered, left out, doubled, exchanged or lengthened, or a root is, then it is refused."""
    for old in range(1, new + 1):
        proof, old_root, new_root = TREE.proof(old, new), TREE.root(old), TREE.root(new)
        for altered in alterations(proof):
            refuse_consistency(old, new, old_root, new_root, altered)
        for wrong in (flipped(old_root), old_root[:-1], old_root + b"\0", b""):
            refuse_consistency(old, new, wrong, new_root, proof)
        for wrong in (flipped(new_root), new_root[:-1], new_root + b"\0", b""):
            refuse_consistency(old, new, old_root, wrong, proof)


@pytest.mark.parametrize(
    ("old", "new"), [(0, 0), (0, 1), (-1, 1), (2, 1), (1, 0), (1, -1), (1, 2**63), (2**64, 2**64), (1, 2**200)]
)
def test_only_growth_from_a_leaf_on_is_proven(old: int, new: int) -> None:
    """If the older tree is empty or larger, or there is no such tree, then no proof is made and none is looked at."""
    with pytest.raises(ProofRefused):
        consistency_nodes(old, new)
    refuse_consistency(old, new, EMPTY_ROOT, EMPTY_ROOT, [])


# Bounds


def test_the_largest_tree_is_proven_by_as_many_subtrees_as_it_is_deep() -> None:
    """If the tree is the largest that there is, then a proof has at most 63 hashes, or 64 where it is of consistency;
    a longer one is refused unread."""
    assert LARGEST_SIZE == 2**63 - 1
    assert Frontier([bytes(32)] * 63, LARGEST_SIZE).size == LARGEST_SIZE
    for size in (LARGEST_SIZE, 2**62 + 1):
        assert len(inclusion_nodes(0, size)) == 63
        assert max(len(consistency_nodes(old, size)) for old in (1, 2, 3, 2**61 + 1, 2**62 - 1, size - 1)) <= 64
    with pytest.raises(ProofRefused, match="as long"):
        check_inclusion(0, LARGEST_SIZE, bytes(32), [b"never looked at"] * 65, bytes(32))
    with pytest.raises(ProofRefused, match="as long"):
        check_consistency(1, LARGEST_SIZE, bytes(32), bytes(32), [b"never looked at"] * 65)


def test_a_refusal_does_not_repeat_what_was_refused() -> None:
    """If a proof is refused, then the reason holds neither its numbers nor its hashes."""
    with pytest.raises(ProofRefused) as refused:
        check_inclusion(31337, 31337, b"canary" * 5 + b"xx", [b"canary" * 5 + b"yy"], bytes(32))
    assert "31337" not in str(refused.value)
    assert "canary" not in str(refused.value)


def refuse_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], whole: bytes) -> None:
    with pytest.raises(ProofRefused):
        check_inclusion(index, size, leaf, proof, whole)


def refuse_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    with pytest.raises(ProofRefused):
        check_consistency(old, new, old_root, new_root, proof)


def flipped(hashed: bytes) -> bytes:
    return hashed[:-1] + bytes([hashed[-1] ^ 1])


def alterations(proof: Sequence[bytes]) -> list[list[bytes]]:
    """Every way in which one thing is wrong with a proof."""
    altered = [[*proof, bytes(32)], [bytes(32), *proof], [*proof, b""]]
    for at, hashed in enumerate(proof):
        before, behind = proof[:at], proof[at + 1 :]
        altered += [
            [*before, wrong, *behind] for wrong in (flipped(hashed), hashed[:-1], hashed + b"\0", b"", bytes(32))
        ]
        altered += [[*before, *behind], [*before, hashed, hashed, *behind]]
        if behind:
            altered.append([*before, behind[0], hashed, *behind[1:]])
    return altered
