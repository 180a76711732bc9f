"""Tiles and bundles: their paths, which of them a tree has, what they hold, and what is read back from them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.merkle import (
    LARGEST_SIZE,
    Node,
    check_consistency,
    check_inclusion,
    consistency_nodes,
    inclusion_nodes,
    prove_consistency,
    prove_inclusion,
    root_nodes,
)
from ledger.tiles import (
    WIDTH,
    Tile,
    TileReader,
    decode_bundle,
    encode_bundle,
    entries_path,
    parse_entries_path,
    parse_tile_path,
    tile_path,
    tiles_for,
    tiles_of,
    width_at,
)
from tests.ledger.naive_tree import numbered

TREE = numbered(2**16 + 300)
SIZES = (*range(1, 20), 255, 256, 257, 511, 512, 513, 2**16 - 1, 2**16, 2**16 + 1, 2**16 + 257)


def content(tile: Tile) -> bytes:
    """What C2SP tlog-tiles says that a tile holds: MTH(D[(n * 256 + i) * 256^l : (n * 256 + i + 1) * 256^l])."""
    first = tile.index * WIDTH
    step = 256**tile.level
    return b"".join(TREE.mth(at * step, (at + 1) * step) for at in range(first, first + tile.width))


# Paths


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0, 256), "tile/0/000"),
        (Tile(0, 0, 1), "tile/0/000.p/1"),
        (Tile(0, 999, 255), "tile/0/999.p/255"),
        (Tile(0, 1000, 256), "tile/0/x001/000"),
        (Tile(0, 1234, 57), "tile/0/x001/234.p/57"),
        (Tile(3, 1234067, 256), "tile/3/x001/x234/067"),
        (Tile(2, 1_000_000, 256), "tile/2/x001/x000/000"),
        (Tile(63, 0, 9), "tile/63/000.p/9"),
        (Tile(0, 2**55 - 1, 256), "tile/0/x036/x028/x797/x018/x963/967"),
    ],
)
def test_a_tile_has_the_path_that_c2sp_says(tile: Tile, path: str) -> None:
    """If a tile is named, then its path is that of C2SP tlog-tiles, and read back it is the tile."""
    assert tile_path(tile) == path
    assert parse_tile_path(path) == tile


def test_the_last_bundle_that_a_log_can_have_has_a_path() -> None:
    """If a bundle is the last one of the largest log, then it has a path; the one behind it has none."""
    assert parse_entries_path("tile/entries/x036/x028/x797/x018/x963/967.p/255") == (2**55 - 1, 255)
    assert parse_entries_path("tile/entries/x036/x028/x797/x018/x963/968.p/255") is None


@given(st.integers(0, 6), st.integers(0, 2**55 - 1), st.integers(1, 256))
def test_every_path_is_read_back_as_what_it_was_written_for(level: int, index: int, width: int) -> None:
    """If a tile or a bundle that a log can have is written as a path, then the path is read as just that."""
    tile = Tile(level, index >> 8 * level, width)
    assert parse_tile_path(tile_path(tile)) == tile
    assert parse_entries_path(entries_path(index, width)) == (index, width)


REFUSED_ENDINGS = [
    *("", "0", "00", "0000", "1000", "x000", "x001", "x001/", "x001/2", "x001/2345", "001/234", "x001/x234"),
    *("x000/001", "x000/x001/234", "X001/234", "x1/234", "x0001/234", "x001//234", "/000", "000/", "x001/234/", "-01"),
    *("+01", " 00", "00 ", "000\n", "٠٠٠", "0a0", "000.p", "000.p/", "000.p/0", "000.p/01", "000.p/256", "000.p/257"),
    *("000.p/1000", "000.p/-1", "000.p/+1", "000.p/1.0", "000.p/1/", "000.p/x001", "000.P/1", "000p/1", "000.p/1\n"),
    *("000.p/٣", "000.p/1.p/1", "000.partial/1", "%30%30%30", "000?", "000#", "../0/000", "./000", "000\0", "000.gz"),
    *("x001/" * 6 + "x000/000", "x" + "9" * 5000, "x999/" * 5000 + "000", "9" * 5000, "000.p/" + "9" * 5000),
    *("x036/x028/x797/x018/x963/968", "x009/x223/x372/x036/x854/x775/807", "x999/x999/x999/x999/x999/x999/999"),
]


@pytest.mark.parametrize("ending", REFUSED_ENDINGS)
def test_a_path_with_any_other_spelling_is_none(ending: str) -> None:
    """If an index or a width is written in another way, or is of no tile that a log can have, then it is no path."""
    assert parse_tile_path(f"tile/0/{ending}") is None
    assert parse_entries_path(f"tile/entries/{ending}") is None


@pytest.mark.parametrize(
    "path",
    [
        *("", "tile", "tile/", "/tile/0/000", " tile/0/000", "Tile/0/000", "tiles/0/000", "tile/0/000/", "tile//000"),
        *("tile/64/000", "tile/100/000", "tile/-1/000", "tile/+1/000", "tile/00/000", "tile/01/000", "tile/1 /000"),
        *("tile/x/000", "tile/٣/000", "tile/entries/000", "tile/entries/0/000", "tile/6/128", "tile/7/001"),
        "tile/1/x140/x737/x488/x355/328",
    ],
)
def test_a_path_of_no_level_is_none(path: str) -> None:
    """If a level is written in another way, or a log can have no such tile at it, then it is no path of a tile."""
    assert parse_tile_path(path) is None


@pytest.mark.parametrize("path", ["tile/0/000", "tile/entries", "tile/entries/", "entries/000", "/tile/entries/000"])
def test_a_path_of_something_else_is_none_of_a_bundle(path: str) -> None:
    """If a path is a tile's, or nothing's, then it is none of a bundle."""
    assert parse_entries_path(path) is None


# Which tiles a tree has


def test_a_tree_of_70000_has_the_tiles_that_c2sp_counts() -> None:
    """If a tree has 70,000 leaves, then its tiles are those of the example of C2SP tlog-tiles."""
    assert list(tiles_of(70_000)) == [
        *(Tile(0, index, 256) for index in range(273)),
        Tile(0, 273, 112),
        Tile(1, 0, 256),
        Tile(1, 1, 17),
        Tile(2, 0, 1),
    ]
    assert list(tiles_of(256)) == [Tile(0, 0, 256), Tile(1, 0, 1)]
    assert list(tiles_of(1)) == [Tile(0, 0, 1)]
    assert list(tiles_of(0)) == []


@pytest.mark.parametrize("size", SIZES)
def test_a_tile_is_as_wide_as_the_tree_makes_it(size: int) -> None:
    """If a tile of a tree is asked for by its place, then its width is that which the tree gives it; beyond, 0."""
    widths = {(level, index): width for level, index, width in tiles_of(size)}
    for level in range(4):
        for index in range(260):
            assert width_at(level, index, size) == widths.get((level, index), 0)
    assert all(tile.is_full is (tile.width == 256) for tile in tiles_of(size))


def test_a_tile_beyond_every_tree_has_no_width() -> None:
    """If the level or the index is the largest that a path can name, then the tile has no hashes."""
    assert width_at(63, 0, LARGEST_SIZE) == 0
    assert width_at(0, 2**55 - 1, LARGEST_SIZE) == 255
    assert width_at(0, 2**55, LARGEST_SIZE) == 0


# What is read from tiles


@pytest.mark.parametrize("size", [*range(1, 20), 255, 256, 257, 513])
def test_every_proof_of_a_tree_is_made_from_few_of_its_tiles(size: int) -> None:
    """If a leaf or an older tree is proven from the tiles that `tiles_for` names, and from no others, then it holds."""
    for index in range(0, size, 1 if size < 20 else 11):
        reader = reading(tiles_for([node for nodes in inclusion_nodes(index, size) for node in nodes], size), size)
        check_inclusion(index, size, TREE.hashes[index], prove_inclusion(index, size, reader), TREE.root(size))
        old = index + 1
        reader = reading(tiles_for([node for nodes in consistency_nodes(old, size) for node in nodes], size), size)
        proof = prove_consistency(old, size, reader)
        check_consistency(old, size, TREE.root(old), TREE.root(size), proof)


@given(st.sampled_from([2**16 - 1, 2**16, 2**16 + 1, 2**16 + 255, 2**16 + 257]), st.data())
def test_proofs_of_large_trees_take_few_tiles(size: int, data: st.DataObject) -> None:
    """If a proof is made in a tree of three levels of tiles, then a handful of them is enough, and it holds."""
    index = data.draw(st.integers(0, size - 1))
    tiles = tiles_for([node for nodes in inclusion_nodes(index, size) for node in nodes], size)
    assert len(tiles) <= 6
    proof = prove_inclusion(index, size, reading(tiles, size))
    check_inclusion(index, size, TREE.hashes[index], proof, TREE.root(size))


def reading(tiles: list[Tile], size: int) -> TileReader:
    """A reader of these tiles, each of which the tree of this size has."""
    assert len(set(tiles)) == len(tiles)
    assert all(tile.width == width_at(tile.level, tile.index, size) > 0 for tile in tiles)
    return TileReader({tile: content(tile) for tile in tiles})


@pytest.mark.parametrize("size", SIZES)
def test_the_edge_of_a_tree_is_read_from_the_last_tile_of_each_level(size: int) -> None:
    """If the complete subtrees of a root are read, then one partial tile a level is enough, and they are the right
    ones."""
    tiles = tiles_for(root_nodes(size), size)
    assert sorted(tiles) == [tile for tile in tiles_of(size) if not tile.is_full]
    reader = reading(tiles, size)
    assert [reader(node) for node in root_nodes(size)] == [
        TREE.mth(node.index << node.height, (node.index + 1) << node.height) for node in root_nodes(size)
    ]


@given(st.integers(0, 16), st.data())
def test_any_complete_subtree_is_read_from_one_tile(height: int, data: st.DataObject) -> None:
    """If a complete subtree of any height is read, then one tile is enough, and the hash is that of the definition."""
    size = len(TREE.leaves)
    node = Node(height, data.draw(st.integers(0, (size >> height) - 1)))
    tiles = tiles_for([node, node], size)
    assert len(tiles) == 1
    assert reading(tiles, size)(node) == TREE.mth(node.index << height, (node.index + 1) << height)


def test_the_widest_tile_of_a_place_serves() -> None:
    """If a tile is given in two widths, in either order, then what only the wider one holds is found."""
    narrow, wide = Tile(0, 0, 3), Tile(0, 0, 5)
    for order in ([narrow, wide], [wide, narrow]):
        reader = TileReader({tile: content(tile) for tile in order})
        assert reader(Node(0, 4)) == TREE.hashes[4]


@pytest.mark.parametrize("node", [Node(0, 5), Node(2, 1), Node(8, 0), Node(0, 256), Node(9, 0), Node(63, 0)])
def test_what_no_tile_holds_is_not_read(node: Node) -> None:
    """If a subtree lies beyond the tiles that are given, in part or as a whole, then there is a LookupError."""
    reader = TileReader({Tile(0, 0, 5): content(Tile(0, 0, 5))})
    with pytest.raises(LookupError):
        reader(node)


@pytest.mark.parametrize(
    "node", [Node(0, 5), Node(2, 1), Node(3, 0), Node(8, 0), Node(0, -1), Node(-1, 0), Node(200, 0)]
)
def test_no_tiles_are_named_for_what_is_not_in_the_tree(node: Node) -> None:
    """If a subtree is not complete in a tree of this size, then it is refused, and no tile is named."""
    with pytest.raises(ValueError):
        tiles_for([Node(0, 0), node], 5)


@pytest.mark.parametrize("length", [0, 1, 32 * 4, 32 * 5 - 1, 32 * 5 + 1, 32 * 6])
def test_a_tile_of_another_length_than_its_width_is_refused(length: int) -> None:
    """If a tile has not 32 bytes for every hash, then it is refused before anything is read from it."""
    with pytest.raises(ValueError):
        TileReader({Tile(0, 0, 5): bytes(length)})


# Bundles


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=256))
def test_a_bundle_is_read_back_as_the_leaves_that_it_was_made_of(leaves: list[bytes]) -> None:
    """If leaves are bundled, then they are read back, and in no other number."""
    data = encode_bundle(leaves)
    assert decode_bundle(data, len(leaves)) == leaves
    for width in {1, len(leaves) - 1, len(leaves) + 1, 256} - {len(leaves)}:
        with pytest.raises(ValueError):
            decode_bundle(data, width)


def test_a_bundle_is_leaves_behind_their_lengths() -> None:
    """If leaves are bundled, then before each stands its length, in two bytes, the larger first."""
    assert encode_bundle([b"ab", b"", b"c" * 258]) == b"\x00\x02ab" + b"\x00\x00" + b"\x01\x02" + b"c" * 258
    full = [b"leaf"] * 256
    assert decode_bundle(encode_bundle(full), 256) == full
    longest = b"l" * 65_535
    assert decode_bundle(encode_bundle([longest]), 1) == [longest]


@pytest.mark.parametrize("leaves", [[], [b""] * 257, [bytes(65_536)]])
def test_what_no_bundle_can_hold_is_refused(leaves: list[bytes]) -> None:
    """If there are no leaves, or too many, or one is too long, then there is no bundle."""
    with pytest.raises(ValueError):
        encode_bundle(leaves)


@given(st.lists(st.binary(max_size=5), min_size=1, max_size=9), st.data())
def test_a_bundle_cut_short_or_lengthened_is_refused(leaves: list[bytes], data: st.DataObject) -> None:
    """If bytes are missing at the end, or others stand there, then nothing is read."""
    whole = encode_bundle(leaves)
    for wrong in (
        whole[: data.draw(st.integers(0, len(whole) - 1))],
        whole + data.draw(st.binary(min_size=1, max_size=9)),
    ):
        with pytest.raises(ValueError):
            decode_bundle(wrong, len(leaves))


@pytest.mark.parametrize("width", [0, -1, 257, 2**63])
def test_a_bundle_of_no_width_is_refused(width: int) -> None:
    """If the width is none that a bundle has, then nothing is read."""
    for data in (b"", b"\x00\x00", b"\x00\x00" * 257):
        with pytest.raises(ValueError):
            decode_bundle(data, width)
