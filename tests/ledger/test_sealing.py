"""Sealing: one root a size, nothing that is not committed, and never again what was put back to an older state."""

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ledger.connecting import connect
from ledger.log_reading import sealed_root, stated_keys
from ledger.sealing import SealingRefused, publish, root_at, seal, unpublished
from ledger.tree_head import SealingKey, TreeHead, open_note, seal_head
from tests.conftest import LedgerDatabase
from tests.ledger.sealed_logs import KEY, ORIGIN, YOUNGER, grow, root, sealed, shown

SIZES = [1, 2, 3, 7, 8, 255, 256, 257, 511, 512, 513, 700]


async def subtrees(database: LedgerDatabase) -> list[tuple[int, int]]:
    rows = await database.superuser.fetch("SELECT height, index FROM ledger.subtrees ORDER BY height, index")
    return [(row["height"], row["index"]) for row in rows]


async def heads(database: LedgerDatabase) -> dict[int, bytes]:
    """The roots by size."""
    rows = await database.superuser.fetch("SELECT size, root FROM ledger.tree_heads ORDER BY size")
    return {row["size"]: row["root"] for row in rows}


async def test_every_head_has_the_root_of_its_leaves(ledger_database: LedgerDatabase) -> None:
    """If a log is sealed as it grows, then each head is signed, and its root is that of all leaves so far."""
    before = 0
    for size in SIZES:
        await grow(ledger_database, size - before)
        found = await sealed(ledger_database)
        assert open_note(found.note, [KEY.verifier]).head == found.head == TreeHead(ORIGIN, size, root(size))
        before = size
    assert await heads(ledger_database) == {size: root(size) for size in SIZES}
    assert await subtrees(ledger_database) == [(8, 0), (8, 1)]


@pytest.mark.parametrize("page", [1, 100, 256, 1000])
@pytest.mark.parametrize("at_once", [1000, 70_000])
async def test_pages_and_steps_change_no_root(ledger_database: LedgerDatabase, page: int, at_once: int) -> None:
    """If a log is sealed in pages and in several heads, then the roots are the same, and so are the subtrees."""
    await grow(ledger_database, 2_600)
    connection = await ledger_database.connect("ledger_sealer")
    found = await seal(connection, ORIGIN, [KEY], page=page, at_once=at_once)
    assert found is not None
    assert found.head.root == root(2_600)
    assert await heads(ledger_database) == {n: root(n) for n in ([1000, 2000, 2600] if at_once == 1000 else [2600])}
    assert await subtrees(ledger_database) == [(8, n) for n in range(10)]
    assert await root_at(connection, 1_234) == root(1_234)


async def test_a_level_above_is_written_when_it_is_complete(ledger_database: LedgerDatabase) -> None:
    """If 256 subtrees of 256 leaves are complete, then so is the one that they make."""
    await grow(ledger_database, 65_535)
    await sealed(ledger_database)
    assert max(await subtrees(ledger_database)) == (8, 254)
    await grow(ledger_database, 1)
    found = await sealed(ledger_database)
    assert (await subtrees(ledger_database))[-2:] == [(8, 255), (16, 0)]
    assert found.head.root == root(65_536)
    assert await ledger_database.superuser.fetchval("SELECT hash FROM ledger.subtrees WHERE height = 16") == root(
        65_536
    )


async def test_an_empty_log_is_not_sealed(ledger_database: LedgerDatabase) -> None:
    """If nothing was ever recorded, then there is no head, and no key is stated."""
    connection = await ledger_database.connect("ledger_sealer")
    assert await seal(connection, ORIGIN, [KEY]) is None
    assert await unpublished(connection) is None
    assert await stated_keys(connection) == []


async def test_a_log_that_did_not_grow_keeps_its_head(ledger_database: LedgerDatabase) -> None:
    """If nothing was committed since, then sealing gives the same head again, also by other keys."""
    await grow(ledger_database, 5)
    assert (
        await sealed(ledger_database) == await sealed(ledger_database) == await sealed(ledger_database, [YOUNGER, KEY])
    )
    assert list(await heads(ledger_database)) == [5]


async def test_what_is_not_committed_is_not_sealed(ledger_database: LedgerDatabase) -> None:
    """If events are being appended, then a head covers those that were committed before, and waits for nobody."""
    await grow(ledger_database, 5)
    transaction = ledger_database.superuser.transaction()
    await transaction.start()
    await grow(ledger_database, 7)
    assert (await sealed(ledger_database)).head.size == 5
    await transaction.rollback()
    assert (await sealed(ledger_database)).head.size == 5
    await grow(ledger_database, 7)
    assert (await sealed(ledger_database)).head == TreeHead(ORIGIN, 12, root(12))


async def test_a_head_goes_up_to_where_it_was_asked(ledger_database: LedgerDatabase) -> None:
    """If a position is named, then the head ends there, or where the log does; a smaller one later changes nothing."""
    await grow(ledger_database, 10)
    assert (await sealed(ledger_database, upto=4)).head == TreeHead(ORIGIN, 4, root(4))
    assert (await sealed(ledger_database, upto=2)).head.size == 4
    assert (await sealed(ledger_database, upto=99)).head == TreeHead(ORIGIN, 10, root(10))


async def test_sealers_that_race_never_give_one_size_two_roots(ledger_database: LedgerDatabase) -> None:
    """If several seal at once while the log grows, then they take turns: every head is that of its leaves."""
    connections = [await connect(ledger_database.url, "ledger_sealer") for _ in range(4)]
    growing = True

    async def again_and_again(connection: Any) -> set[int]:
        sizes = set()
        while growing:
            found = await seal(connection, ORIGIN, [KEY])
            if found is not None:
                sizes.add(found.head.size)
        return sizes

    racing = [asyncio.create_task(again_and_again(connection)) for connection in connections]
    for _ in range(30):
        await grow(ledger_database, 37)
    growing = False
    sizes = set().union(*await asyncio.gather(*racing))
    for connection in connections:
        await connection.close()
    await sealed(ledger_database)
    found = await heads(ledger_database)
    assert sizes <= set(found)
    assert found == {size: root(size) for size in found}
    assert max(found) == 30 * 37


# -- what the database refuses -----------------------------------------------------------------------------------------


async def refused(database: LedgerDatabase, *arguments: Any) -> str:
    """Ask the function itself; what it says."""
    connection = await database.connect("ledger_sealer")
    with pytest.raises(asyncpg.RaiseError) as refusal:
        await connection.execute("SELECT ledger.seal($1, $2, $3, $4, $5, $6, $7)", *arguments)
    assert await heads(database) == {}
    return str(refusal.value)


def note(size: int, of: bytes, key: SealingKey = KEY) -> bytes:
    return seal_head(TreeHead(key.verifier.name, size, of), [key])


async def test_the_database_looks_at_every_head_for_itself(ledger_database: LedgerDatabase) -> None:
    """If a head does not grow from the newest one, covers what is not committed, has a note of something else, or not
    exactly the subtrees that it completes, then the database refuses it."""
    await grow(ledger_database, 300)
    hash = root(256)
    right = note(300, root(300))
    assert "newest sealed head is of size 0, not 7" in await refused(
        ledger_database, 7, 300, root(300), right, [8], [0], [hash]
    )
    assert "covers what is committed" in await refused(
        ledger_database, 0, 301, root(301), note(301, root(301)), [8], [0], [hash]
    )
    for nothing in (0, None):
        assert "A head grows" in await refused(ledger_database, 0, nothing, root(300), right, [], [], [])
    others = [
        note(299, root(300)),
        note(300, root(299)),
        note(300, root(300), SealingKey("another.example/ledger", bytes(32))),
        right.replace(b"\n\n", b"\nextension\n\n"),
        right.split("—".encode())[0],
        b" " + right,
    ]
    for other in others:
        assert "note is not that" in await refused(ledger_database, 0, 300, root(300), other, [8], [0], [hash])
    for heights, indexes in [([], []), ([8], [1]), ([16], [0]), ([8, 8], [0, 1]), ([8, 16], [0, 0])]:
        assert "subtrees of height" in await refused(
            ledger_database, 0, 300, root(300), right, heights, indexes, [hash] * len(heights)
        )
    connection = await ledger_database.connect("ledger_sealer")
    await connection.execute(
        "SELECT ledger.seal(0, 300, $1, $2, '{8}', '{0}', ARRAY[$3::bytea])", root(300), right, hash
    )
    assert list(await heads(ledger_database)) == [300]


async def test_only_a_sealed_head_is_shown_and_only_forwards(ledger_database: LedgerDatabase) -> None:
    """If a head was not sealed, is smaller than the one shown, is the same note again, is not what was sealed, or is
    not the next one, then it is not shown."""
    await grow(ledger_database, 5)
    old = await sealed(ledger_database)
    await grow(ledger_database, 5)
    new = await sealed(ledger_database)
    connection = await ledger_database.connect("ledger_sealer")
    witnessed = new.note + "— witness.example/w AAAAAAAA\n".encode()
    for nth, size, what in [
        (2, 10, new.note),
        (0, 10, new.note),
        (1, 7, new.note),
        (1, 10, old.note),
        (1, 10, new.note[:-1]),
        (1, 10, new.note + b"anything\n"),
        (1, 10, witnessed[:-1]),
        (1, 10, witnessed + b"\n"),
        (1, 10, witnessed.replace(b"AAAAAAAA", b"AAAA AAA")),
    ]:
        with pytest.raises(asyncpg.RaiseError):
            await publish(connection, nth, size, what)
    await publish(connection, 1, 10, new.note)
    for nth, size, what in [(2, 10, new.note), (2, 5, old.note), (1, 10, witnessed)]:
        with pytest.raises(asyncpg.RaiseError):
            await publish(connection, nth, size, what)
    await publish(connection, 2, 10, witnessed)
    rows = await ledger_database.superuser.fetch("SELECT nth, size FROM ledger.published_heads ORDER BY nth")
    assert [tuple(row) for row in rows] == [(1, 10), (2, 10)]


async def test_a_head_of_an_old_origin_is_not_shown_any_more(ledger_database: LedgerDatabase) -> None:
    """If the log was continued under another origin after a head was sealed, then that head is not shown."""
    await grow(ledger_database, 5)
    old = await sealed(ledger_database)
    await grow(ledger_database, 1, origin=f"{ORIGIN}-2")
    with pytest.raises(asyncpg.RaiseError, match="present origin"):
        await publish(await ledger_database.connect("ledger_sealer"), 1, 5, old.note)


@pytest.mark.parametrize("table", ["sealing", "seal_keys", "subtrees", "tree_heads", "published_heads"])
async def test_nothing_that_was_sealed_ever_changes(
    ledger_database: LedgerDatabase, tmp_path: Path, table: str
) -> None:
    """If somebody, be it the owner or a replica's session, updates, deletes or truncates, then it is refused."""
    await grow(ledger_database, 300)
    await shown(ledger_database, tmp_path)
    column = {"sealing": "singleton", "seal_keys": "since", "subtrees": "hash"}.get(table, "size")
    for setting in ("origin", "replica"):
        await ledger_database.superuser.execute("SELECT set_config('session_replication_role', $1, false)", setting)
        for statement in (
            "UPDATE ledger.{table} SET {column} = {column}",
            "DELETE FROM ledger.{table}",
            "DELETE FROM ledger.{table} WHERE false",
            "TRUNCATE ledger.{table} CASCADE",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await ledger_database.superuser.execute(statement.format(table=table, column=column))


# -- what a sealer refuses ---------------------------------------------------------------------------------------------


async def tamper(database: LedgerDatabase, statement: str) -> None:
    """What only a superuser can do."""
    await database.superuser.execute("SET session_replication_role = replica")
    for trigger in await database.superuser.fetch(
        "SELECT tgrelid::regclass::text AS name, tgname FROM pg_trigger"
        " WHERE NOT tgisinternal AND tgrelid::regclass::text ~ '^ledger[.]'"
    ):
        disable = f"ALTER TABLE {trigger['name']} DISABLE TRIGGER {trigger['tgname']}"
        await database.superuser.execute(disable)
    await database.superuser.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger.subtrees SET hash = sha256(hash)",
        "DELETE FROM ledger.subtrees",
        "DELETE FROM ledger.events WHERE position = 258",
        "UPDATE ledger.events SET leaf = 'other', leaf_hash = sha256('\\x00' || 'other'::bytea) WHERE position = 258",
    ],
)
async def test_a_right_edge_that_changed_is_not_sealed_over(ledger_database: LedgerDatabase, statement: str) -> None:
    """If what the next head would be made from is not what was sealed, then nothing is sealed."""
    await grow(ledger_database, 258)
    await sealed(ledger_database)
    await tamper(ledger_database, statement)
    await grow(ledger_database, 3)
    with pytest.raises(SealingRefused, match="not those that were sealed"):
        await sealed(ledger_database)


async def test_a_log_with_a_hole_is_not_sealed(ledger_database: LedgerDatabase) -> None:
    """If an event is missing among those to be sealed, then nothing is, and the sentence says where to look."""
    await grow(ledger_database, 9)
    await tamper(ledger_database, "DELETE FROM ledger.events WHERE position = 4")
    with pytest.raises(SealingRefused, match="events 1 to 9 some are missing"):
        await sealed(ledger_database)


async def test_a_log_of_another_name_is_not_sealed(ledger_database: LedgerDatabase) -> None:
    """If the log has another origin than the sealer, then it is not sealed."""
    await grow(ledger_database, 1)
    with pytest.raises(SealingRefused, match="not sealed as another"):
        await sealed(ledger_database, [SealingKey("another", bytes(32))])


# -- keys --------------------------------------------------------------------------------------------------------------


async def test_a_key_is_stated_when_it_first_seals(ledger_database: LedgerDatabase) -> None:
    """If a head is sealed, then every key that sealed it is listed, the youngest first; all of them sign."""
    await grow(ledger_database, 1)
    await sealed(ledger_database)
    reader = await ledger_database.connect("ledger_reader")
    assert await stated_keys(reader) == [KEY.verifier.vkey]
    await grow(ledger_database, 1)
    found = await sealed(ledger_database, [YOUNGER, KEY])
    assert await stated_keys(reader) == [YOUNGER.verifier.vkey, KEY.verifier.vkey]
    assert open_note(found.note, [KEY.verifier, YOUNGER.verifier]).seals == (YOUNGER.verifier, KEY.verifier)
    await grow(ledger_database, 1)
    assert open_note((await sealed(ledger_database, [YOUNGER])).note, [YOUNGER.verifier]).head.size == 3
    since = await ledger_database.superuser.fetch("SELECT since FROM ledger.seal_keys ORDER BY stated")
    assert [row["since"] for row in since] == [0, 1]


async def test_two_keys_that_begin_together_are_listed_youngest_first(ledger_database: LedgerDatabase) -> None:
    """If the first head has two keys, then the first of them is listed first."""
    await grow(ledger_database, 1)
    await sealed(ledger_database, [YOUNGER, KEY])
    reader = await ledger_database.connect("ledger_reader")
    assert await stated_keys(reader) == [YOUNGER.verifier.vkey, KEY.verifier.vkey]


async def test_a_key_that_nobody_knows_does_not_seal_alone(ledger_database: LedgerDatabase) -> None:
    """If the key here is none of those that sealed the log, as on a second machine, then nothing is sealed."""
    await grow(ledger_database, 1)
    await sealed(ledger_database)
    await grow(ledger_database, 1)
    with pytest.raises(SealingRefused, match="ledger keys rotate"):
        await sealed(ledger_database, [YOUNGER])
    reader = await ledger_database.connect("ledger_reader")
    assert await stated_keys(reader) == [KEY.verifier.vkey]
    assert await sealed_root(reader, 1) == root(1)
    assert await sealed_root(reader, 2) is None
