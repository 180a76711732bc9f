"""Reading the public log: every tile, leaf and head as it was sealed, and nothing that is not there whole."""

from pathlib import Path

import pytest

from ledger.log_reading import (
    NotThere,
    entries,
    newest_published,
    published,
    reader,
    stated_keys,
    tile,
    tiles,
)
from ledger.merkle import Node, consistency_nodes, inclusion_nodes, leaf_hash, root_nodes
from ledger.merkle import root as root_of
from ledger.sealing import publish
from ledger.tiles import Tile, tiles_of
from tests.conftest import LedgerDatabase
from tests.ledger.sealed_logs import KEY, grow, leaves, root, sealed, shown

SIZE = 66_000


async def test_every_tile_is_read_as_the_tree_has_it(ledger_database: LedgerDatabase) -> None:
    """If a log is sealed, then each tile of a level holds the roots of the tiles below it, the partial ones too, and
    proofs are read from them."""
    await grow(ledger_database, SIZE)
    await sealed(ledger_database)
    connection = await ledger_database.connect("ledger_reader")
    hashes = [[leaf_hash(leaf) for leaf in leaves(SIZE)]]
    while len(below := hashes[-1]) >= 256:
        hashes.append([root_of(below[start : start + 256]) for start in range(0, len(below) - 255, 256)])
    wanted = list(tiles_of(SIZE))
    assert {each.level for each in wanted} == {0, 1, 2}
    found = await tiles(connection, wanted)
    for each in wanted:
        first = each.index * 256
        assert found[each] == b"".join(hashes[each.level][first : first + each.width]), each
    assert await tile(connection, Tile(0, 3, 7)) == b"".join(hashes[0][768:775])
    for nodes in (
        root_nodes(SIZE),
        [node for group in inclusion_nodes(300, SIZE) for node in group],
        [node for group in consistency_nodes(12_345, SIZE) for node in group],
    ):
        subtree = await reader(connection, nodes, SIZE)
        for node in nodes:
            assert subtree(node) == root_of(hashes[0][node.index << node.height : (node.index + 1) << node.height])


@pytest.mark.parametrize(
    "missing", [Tile(0, 1, 45), Tile(0, 2, 1), Tile(1, 0, 2), Tile(2, 0, 1), Tile(7, 0, 1), Tile(0, 10**12, 256)]
)
async def test_a_tile_that_is_not_there_whole_is_not_given(ledger_database: LedgerDatabase, missing: Tile) -> None:
    """If the log has not all of a tile, then there is none, also among others that are there."""
    await grow(ledger_database, 300)
    await sealed(ledger_database)
    connection = await ledger_database.connect("ledger_reader")
    with pytest.raises(NotThere):
        await tile(connection, missing)
    with pytest.raises(NotThere):
        await tiles(connection, [Tile(0, 0, 256), missing])
    assert await tiles(connection, []) == {}


async def test_bundles_hold_the_leaves_in_order(ledger_database: LedgerDatabase) -> None:
    """If a bundle is asked for, then its leaves are those that were stored; one that is not whole is not there."""
    await grow(ledger_database, 300)
    connection = await ledger_database.connect("ledger_reader")
    assert await entries(connection, 0, 256) == leaves(256)
    assert await entries(connection, 1, 44) == leaves(300)[256:]
    assert await entries(connection, 0, 3) == leaves(3)
    for index, width in ((1, 45), (2, 1)):
        with pytest.raises(NotThere):
            await entries(connection, index, width)


async def test_heads_are_paged_without_cutting_a_size_in_two(ledger_database: LedgerDatabase, tmp_path: Path) -> None:
    """If heads are asked for by size, then they come in the order in which they were shown, and all of one size on one
    page, however small it is."""
    connection = await ledger_database.connect("ledger_reader")
    assert await newest_published(connection) is None
    assert await published(connection) == []
    sealer = await ledger_database.connect("ledger_sealer")
    nth = 0
    for size in range(1, 8):
        await grow(ledger_database, 1)
        note = await shown(ledger_database, tmp_path)
        nth += 1
        for _ in range(size % 3):
            nth += 1
            note += f"— witness.example/{nth} AAAAAAAA\n".encode()
            await publish(sealer, nth, size, note)
    every = await published(connection)
    assert [each.nth for each in every] == list(range(1, nth + 1))
    assert [each.size for each in every] == [1, 1, 2, 2, 2, 3, 4, 4, 5, 5, 5, 6, 7, 7]
    assert all(each.root == root(each.size) for each in every)
    assert await newest_published(connection) == every[-1]
    for limit in range(1, 16):
        paged, after = [], 0
        while page := await published(connection, after=after, limit=limit):
            assert len(page) < limit + 3
            paged += page
            after = page[-1].size
        assert paged == every
    assert await published(connection, after=7) == []
    assert await published(connection, after=2**63 - 1) == []
    assert await stated_keys(connection) == [KEY.verifier.vkey]


async def test_a_subtree_that_the_tree_has_not_is_no_subtree(ledger_database: LedgerDatabase) -> None:
    """If a node lies beyond the size, then no reader is made."""
    await grow(ledger_database, 300)
    connection = await ledger_database.connect("ledger_reader")
    with pytest.raises(ValueError):
        await reader(connection, [Node(8, 1)], 300)
