"""The log as others audit it: what a published head covers is served exactly, and what none covers is not."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ledger.merkle import Node, check_consistency, check_inclusion, join, leaf_hash, root_nodes
from ledger.tiles import WIDTH, Tile, TileReader, decode_bundle, entries_path, tile_path, tiles_of
from ledger.tree_head import open_note, parse_vkey, read_head, with_lines
from schemas.canonical import from_base64
from service.http import log
from service.http.conditional import IMMUTABLE
from tests.conftest import LedgerDatabase
from tests.ledger.sealed_logs import KEY, YOUNGER, grow, leaves, root, sealed, shown
from tests.service.http.porch import Answered, Porch, served

ALL = ("/checkpoint", "/tile/0/000.p/1", "/tile/entries/000.p/1", "/vkey", "/proofs/inclusion?index=0&size=1",
       "/proofs/consistency?from=1&to=1")  # fmt: skip
"""A read of each kind that a head of size 1 allows."""


@pytest.fixture
async def porch(ledger_database: LedgerDatabase, tmp_path: Path) -> AsyncIterator[Porch]:
    """An empty ledger, served."""
    async with served(ledger_database, tmp_path, acquire_timeout=10) as porch:
        yield porch


async def got(porch: Porch, path: str, **headers: str) -> Answered:
    """An answer that must be one."""
    answer = await porch.get(path, **headers)
    assert answer.status == 200, (path, answer.body)
    return answer


async def publish(porch: Porch, by: int, **said: Any) -> bytes:
    """So many more events, sealed, copied and published; the note."""
    await grow(porch.database, by, **said)
    return await shown(porch.database, porch.context.settings.home)


async def test_before_a_head_was_published_nothing_is_shown(porch: Porch) -> None:
    """If no head was published, though events are recorded and one is sealed, then whoever asks is told to come again,
    and nobody keeps that answer for longer than a moment.
    """
    for _ in range(2):
        for path in ALL:
            answer = await porch.get(path)
            assert (answer.status, answer.problem) == (404, "not-yet-sealed"), path
            assert answer.headers["Retry-After"] == "1"
            assert answer.headers["Cache-Control"] == "public, max-age=1"
        assert (await got(porch, "/heads")).body == b""
        await grow(porch.database, 3)
    await sealed(porch.database)
    for path in set(ALL) - {"/vkey"}:
        assert (await porch.get(path)).problem == "not-yet-sealed"


async def test_the_checkpoint_is_the_newest_published_note(porch: Porch) -> None:
    """If a head is published, then its note is served byte for byte, a listed key vouches for it, and whoever has it is
    told so; one that is only sealed is not shown.
    """
    note = b""
    for more in (3, 2):
        note = await publish(porch, more)
        answer = await got(porch, "/checkpoint")
        assert answer.body == note
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert answer.headers["Cache-Control"] == "public, max-age=1"
        assert (await porch.get("/checkpoint", If_None_Match=answer.headers["ETag"])).status == 304
        keys = [parse_vkey(line) for line in (await got(porch, "/vkey")).body.decode().splitlines()]
        assert open_note(answer.body, keys).head == read_head(note)
    await grow(porch.database, 1)
    await sealed(porch.database)
    assert (await got(porch, "/checkpoint")).body == note
    assert (await porch.get("/tile/0/000.p/6")).problem == "not-yet-sealed"


async def test_every_tile_of_a_tree_and_every_leaf_is_there(porch: Porch) -> None:
    """If all that a head covers is taken by the paths of the form, then the leaves are those that were recorded, and
    the tiles have the root that the head says.
    """
    size = 2 * WIDTH + 77
    note = await publish(porch, size)
    tiles, found = {}, []
    for tile in tiles_of(size):
        answer = await got(porch, f"/{tile_path(tile)}")
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert (answer.headers["Cache-Control"] == IMMUTABLE) == tile.is_full
        tiles[tile] = answer.body
        if tile.level == 0:
            bundle = await got(porch, f"/{entries_path(tile.index, tile.width)}")
            assert (bundle.headers["Cache-Control"] == IMMUTABLE) == tile.is_full
            assert bundle.headers["Content-Type"] == "application/octet-stream"
            found += decode_bundle(bundle.body, tile.width)
    assert found == leaves(size)
    subtree = TileReader(tiles)
    assert join([subtree(node) for node in root_nodes(size)]) == read_head(note).root == root(size)
    assert [subtree(Node(0, index)) for index in range(size)] == [leaf_hash(leaf) for leaf in found]


async def test_a_tile_is_served_in_every_width_that_is_covered(porch: Porch) -> None:
    """If a tile is asked for in a width that it had at an earlier head, then it is the beginning of the tile of now."""
    await publish(porch, WIDTH + 40)
    full, partial = (await got(porch, "/tile/0/000")).body, (await got(porch, "/tile/0/001.p/40")).body
    for width in (1, 2, 39, 255):
        assert (await got(porch, f"/tile/0/000.p/{width}")).body == full[: 32 * width]
        entries = await got(porch, f"/tile/entries/000.p/{width}")
        assert decode_bundle(entries.body, width) == leaves(width)
        assert "immutable" not in entries.headers["Cache-Control"]
    assert (await got(porch, "/tile/0/001.p/7")).body == partial[: 32 * 7]


async def test_what_no_head_covers_is_there_once_one_does(porch: Porch) -> None:
    """If a tile, a width or a level is not complete yet, then that is told for a moment and never as something to keep;
    once a head covers it, it is there.
    """
    await publish(porch, WIDTH - 1)
    waiting = ("/tile/0/000", "/tile/entries/000", "/tile/0/001.p/1", "/tile/entries/001.p/1", "/tile/1/000.p/1")
    for path in (*waiting, "/tile/1/000", "/tile/2/000.p/1", "/tile/63/000.p/1"):
        answer = await porch.get(path)
        assert (answer.status, answer.problem) == (404, "not-yet-sealed"), path
        assert answer.headers["Cache-Control"] == "public, max-age=1"
    await publish(porch, 2)
    for path in waiting:
        await got(porch, path)
    assert (await porch.get("/tile/1/000.p/2")).problem == "not-yet-sealed"


NO_PATHS = (
    "/tile/-1/000", "/tile/64/000", "/tile/00/000", "/tile/+0/000", "/tile/0/0", "/tile/0/0000", "/tile/0/-01",
    "/tile/0/x001", "/tile/0/x000/001", "/tile/0/001/001", "/tile/0/x001/x001", "/tile/0/X001/001", "/tile/0/x01/001",
    "/tile/0/000.p/0", "/tile/0/000.p/256", "/tile/0/000.p/01", "/tile/0/000.p/-1", "/tile/0/000.p/", "/tile/0/000.p",
    "/tile/0/000.p/1/", "/tile/0/000/", "/tile//0/000", "//tile/0/000", "/tile/0//000", "/tile/0/000.P/1",
    "/tile/0/%30%30%30", "/tile/%30/000", "/tile/0/000%2ep/1", "/tile/0/000%2Ep%2F1", "/tile/0/x001%2f234",
    "/tile/%2e%2e/checkpoint", "/tile/../checkpoint", "/tile/0/000%00", "/tile/0/000%0d%0a", "/tile/0/000.p/1%20",
    "/tile/%D9%A0/000", "/tile/0/%D9%A0%D9%A0%D9%A1", "/tile/0/000.p/%D9%A1", "/tile/0/%ff%fe", "/tile/0/%252e",
    "/tile/entries/0", "/tile/entries/000.p/256", "/tile/entries/000.p/0", "/tile/entries/x000/001",
    "/tile/Entries/000", "/tile/entries/%D9%A0%D9%A0%D9%A1",
    "/tile/entries/000%2ep/1", "/tile/entries/0/000", "/tile/entries", "/tile/0",
    "/tile", "/tile/data/000", f"/tile/0/{'x001/' * 30}001", f"/tile/0/{2**63}", f"/tile/{2**63}/000",
    "/tile/0/x009/x223/x372/x036/x854/x775/808",  # index 2^63
)  # fmt: skip


async def test_a_path_that_is_no_tiles_is_not_found(porch: Porch) -> None:
    """If a coordinate is not in the one form that it has, then there is nothing at its path; no database is asked."""
    for path in NO_PATHS:
        answer = await porch.get(path)
        assert (answer.status, answer.problem) == (404, "not-found"), path
    assert porch.asked == 0


async def test_the_largest_numbers_of_the_form_are_only_compared(porch: Porch) -> None:
    """If a tile lies farther out than any log will, then it is not sealed yet, at once."""
    await publish(porch, 3)
    for path in (
        "/tile/0/x036/x028/x797/x018/x963/967",  # the last index of level 0: 2^55 - 1
        "/tile/entries/x036/x028/x797/x018/x963/967.p/255",
        "/tile/6/127",
        "/tile/63/000",
    ):
        answer = await porch.get(path)
        assert (answer.status, answer.problem) == (404, "not-yet-sealed"), path


async def test_a_bundle_of_the_longest_leaves_is_whole(porch: Porch) -> None:
    """If every leaf is as long as an event may be, then the bundle of 256, some 4 MiB, is whole."""
    word = "x" * (16 * 1024 - 4)
    await publish(porch, WIDTH, word=word)
    answer = await got(porch, "/tile/entries/000")
    assert decode_bundle(answer.body, WIDTH) == [f"{word} {index}".encode() for index in range(WIDTH)]
    assert (await porch.get("/tile/entries/000", If_None_Match=answer.headers["ETag"])).status == 304
    head = await porch.get("/tile/entries/000", "HEAD")
    assert (head.status, head.body, head.headers["ETag"]) == (200, b"", answer.headers["ETag"])


async def test_the_keys_are_listed_newest_first(porch: Porch) -> None:
    """If the key was rotated, then both are listed, the newer first, each a line, and either vouches for the head."""
    await publish(porch, 1)
    assert (await got(porch, "/vkey")).body.decode() == f"{KEY.verifier.vkey}\n"
    await grow(porch.database, 1)
    note = await shown(porch.database, porch.context.settings.home, (YOUNGER, KEY))
    answer = await got(porch, "/vkey")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.body.decode() == f"{YOUNGER.verifier.vkey}\n{KEY.verifier.vkey}\n"
    for line in answer.body.decode().splitlines():
        assert open_note(note, [parse_vkey(line)]).head.size == 2


async def test_every_head_is_told_in_pages_that_cut_no_size_in_two(
    porch: Porch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the heads are followed from the last size of each page, then all come in the order in which they were shown,
    and those of one size, which a witness signed later, come together.
    """
    monkeypatch.setattr(log, "HEADS", 3)
    notes = []
    for size in range(1, 8):
        notes.append(await publish(porch, 1))
        if size in (3, 6):
            for line in (b"\xe2\x80\x94 witness.example AAAAAAAA\n", b"\xe2\x80\x94 another.example AAAAAAAA\n"):
                notes.append(with_lines(notes[-1], line))
                connection = await porch.database.connect("ledger_sealer")
                await connection.execute("SELECT ledger.publish($1, $2, $3)", len(notes) - 1, size, notes[-1])
    pages, after = [], 0
    while page := (await got(porch, f"/heads?after={after}")).body:
        pages.append(page.split(b"---\n"))
        after = read_head(pages[-1][-1]).size
    assert [note for page in pages for note in page] == notes
    assert [len(page) for page in pages] == [5, 5, 1]
    assert (await got(porch, "/checkpoint")).body == notes[-1]
    assert (await got(porch, f"/heads?after={2**53 - 1}")).body == b""
    assert (await porch.get("/heads?after=-1")).problem == "validation-failed"


async def test_any_page_may_read_it_and_ask_again_cheaply(porch: Porch) -> None:
    """If a page of another origin reads, then it may, without credentials; HEAD tells what GET does; who has it is told
    so.
    """
    await publish(porch, 1)
    for path in (*ALL, "/heads", "/heads?after=1"):
        answer = await got(porch, path, Origin="https://elsewhere.example")
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in answer.headers
        head = await porch.get(path, "HEAD")
        assert (head.status, head.body, head.headers["ETag"]) == (200, b"", answer.headers["ETag"])
        again = await porch.get(path, If_None_Match=answer.headers["ETag"])
        assert (again.status, again.body) == (304, b"")
        assert (await porch.get(path, "OPTIONS")).status == 204
        assert (await porch.get(path, "POST")).problem == "method-not-allowed"
        assert (await porch.get(path, Accept="text/html")).problem == "not-acceptable"
        assert (await porch.get(f"{path}{'&' if '?' in path else '?'}x=1")).problem == "validation-failed"


async def test_a_proof_of_every_leaf_in_every_tree_holds(porch: Porch) -> None:
    """If an inclusion proof is asked for any leaf of any size up to the newest head, sealed at that size or not, then
    it leads from the leaf to the root of that size.
    """
    await publish(porch, 9)
    for size in range(1, 10):
        for index in range(size):
            told = (await got(porch, f"/proofs/inclusion?index={index}&size={size}")).document
            assert told.keys() == {"index", "size", "leaf_hash", "root", "proof"}
            assert (told["index"], told["size"]) == (index, size)
            assert from_base64(told["root"]) == root(size)
            assert from_base64(told["leaf_hash"]) == leaf_hash(f"leaf {index}".encode())
            check_inclusion(index, size, from_base64(told["leaf_hash"]), [*map(from_base64, told["proof"])], root(size))


async def test_a_proof_between_every_two_trees_holds(porch: Porch) -> None:
    """If a consistency proof is asked for between any two sizes up to the newest head, then it leads from the root of
    the one to that of the other.
    """
    await publish(porch, 9)
    for new in range(1, 10):
        for old in range(1, new + 1):
            told = (await got(porch, f"/proofs/consistency?from={old}&to={new}")).document
            assert told.keys() == {"from", "to", "from_root", "to_root", "proof"}
            assert (told["from"], told["to"]) == (old, new)
            assert (from_base64(told["from_root"]), from_base64(told["to_root"])) == (root(old), root(new))
            check_consistency(old, new, root(old), root(new), [*map(from_base64, told["proof"])])


async def test_proofs_hold_where_the_tree_has_levels_of_tiles(porch: Porch) -> None:
    """If the log is longer than 256 times 256 events, then proofs lead through the tiles of every level."""
    size = WIDTH * WIDTH + WIDTH + 3
    note = await publish(porch, size)
    whole = read_head(note).root
    assert whole == root(size)
    for tile in (Tile(2, 0, 1), Tile(1, 1, 1), Tile(1, 0, WIDTH)):
        assert len((await got(porch, f"/{tile_path(tile)}")).body) == 32 * tile.width
    for index in (0, WIDTH - 1, WIDTH, WIDTH * WIDTH - 1, WIDTH * WIDTH, size - 1):
        told = (await got(porch, f"/proofs/inclusion?index={index}&size={size}")).document
        check_inclusion(index, size, leaf_hash(f"leaf {index}".encode()), [*map(from_base64, told["proof"])], whole)
    for old in (1, WIDTH, WIDTH * WIDTH - 1, WIDTH * WIDTH, size):
        told = (await got(porch, f"/proofs/consistency?from={old}&to={size}")).document
        check_consistency(old, size, root(old), whole, [*map(from_base64, told["proof"])])


UNPROVEN = {
    "not-yet-sealed": (
        "inclusion?index=0&size=6",
        f"inclusion?index={2**53 - 2}&size={2**53 - 1}",
        "consistency?from=1&to=6",
        "consistency?from=6&to=6",
    ),
    "validation-failed": (
        "inclusion?index=5&size=5",
        "inclusion?index=6&size=5",
        "inclusion?index=0&size=0",
        "inclusion?index=0",
        "inclusion?size=5",
        "inclusion?index=-1&size=5",
        "inclusion?index=00&size=5",
        "inclusion?index=1.0&size=5",
        "inclusion?index=0&size=5&size=5",
        f"inclusion?index=0&size={2**63}",
        f"inclusion?index={'9' * 5000}&size=5",
        "inclusion?index=%D9%A1&size=5",
        "consistency?from=4&to=3",
        "consistency?from=0&to=3",
        "consistency?from=1",
        "consistency?to=3",
        "consistency?from=1&to=3&hash=1",
    ),
}


async def test_proofs_of_nothing_are_refused(porch: Porch) -> None:
    """If what is to be proven cannot be, then that is refused; and if no head covers it yet, that is told."""
    await publish(porch, 5)
    for problem, paths in UNPROVEN.items():
        for path in paths:
            answer = await porch.get(f"/proofs/{path}")
            assert (answer.status, answer.problem) == (404 if problem == "not-yet-sealed" else 422, problem), path


async def test_whoever_reads_while_the_log_is_sealed_reads_one_tree(porch: Porch) -> None:
    """If heads are published while others read, then every proof leads to the root that its head says, every tile is of
    the tree of its head, and each head continues every one before it.
    """
    await publish(porch, 200)
    done = asyncio.Event()

    async def seal() -> None:
        try:
            for _ in range(12):
                await publish(porch, random.randrange(1, 70))
        finally:
            done.set()

    async def read(seed: int) -> int:
        chosen, heads, rounds = random.Random(seed), [], 0
        async with porch.another_client() as reader:
            while not done.is_set() or rounds < 2:
                rounds += 1
                head = read_head((await got(reader, "/checkpoint")).body)
                heads.append(head)
                index = chosen.randrange(head.size)
                told = (await got(reader, f"/proofs/inclusion?index={index}&size={head.size}")).document
                leaf = leaf_hash(f"leaf {index}".encode())
                check_inclusion(index, head.size, leaf, [*map(from_base64, told["proof"])], head.root)
                older = chosen.choice(heads)
                told = (await got(reader, f"/proofs/consistency?from={older.size}&to={head.size}")).document
                proof = [*map(from_base64, told["proof"])]
                check_consistency(older.size, head.size, older.root, head.root, proof)
                tiles = {tile: (await got(reader, f"/{tile_path(tile)}")).body for tile in tiles_of(head.size)}
                subtree = TileReader(tiles)
                assert join([subtree(node) for node in root_nodes(head.size)]) == head.root
        return rounds

    _, *rounds = await asyncio.gather(seal(), read(1), read(2))
    assert min(rounds) >= 2
