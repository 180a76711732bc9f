"""The guard of sealing: a database that went back, was changed, or is another one is not sealed again."""

import asyncio
import threading
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from ledger.connecting import connect
from ledger.head_copy import HeadCopy
from ledger.sealing import SealingRefused, guard, seal
from ledger.tree_head import SealingKey, TreeHead, seal_head
from schemas.canonical import to_base64
from tests.conftest import LedgerDatabase
from tests.ledger.sealed_logs import KEY, ORIGIN, YOUNGER, grow, root, sealed, shown

NEW = SealingKey("petitions.example/again", bytes(range(2, 34)))


@dataclass
class Guarded:
    """A log that was shown at 300 events, and goes on to 310."""

    database: LedgerDatabase
    copy: HeadCopy
    shown: bytes

    async def passes(self, *views: bytes, key: SealingKey = KEY) -> None:
        await guard(await self.database.connect("ledger_sealer"), self.copy, [key.verifier], views)

    async def refuses(self, *views: bytes, key: SealingKey = KEY) -> str:
        with pytest.raises(SealingRefused) as refusal:
            await self.passes(*views, key=key)
        return str(refusal.value)


@pytest.fixture
async def log(ledger_database: LedgerDatabase, tmp_path: Path) -> Guarded:
    await grow(ledger_database, 300)
    note = await shown(ledger_database, tmp_path)
    await grow(ledger_database, 10)
    return Guarded(ledger_database, HeadCopy(tmp_path / "checkpoint"), note)


def head(size: int, of: bytes | None = None, key: SealingKey = KEY) -> bytes:
    """The note of a head; of the log's own root, unless the test says otherwise."""
    return seal_head(TreeHead(key.verifier.name, size, root(size) if of is None else of), [key])


async def test_a_log_that_was_never_shown_needs_no_copy(ledger_database: LedgerDatabase, tmp_path: Path) -> None:
    """If no head was published yet, though one was sealed before a crash, then a missing copy is as it should be."""
    log = Guarded(ledger_database, HeadCopy(tmp_path / "none" / "checkpoint"), b"")
    await log.passes()
    await grow(ledger_database, 3)
    await log.passes()
    await sealed(ledger_database)
    await log.passes()


async def test_the_log_that_was_shown_passes(log: Guarded) -> None:
    """If the copy is the newest published head, an older one, or one that was sealed and not yet published, with or
    without a witness's line, then it passes."""
    await log.passes()
    await log.passes(log.shown, head(77), log.shown + "— witness.example/w AAAAAAAA\n".encode())
    log.copy.write(head(299))
    await log.passes()
    log.copy.write((await sealed(log.database)).note)
    await log.passes(log.shown)


async def test_a_copy_by_a_key_that_was_rotated_out_passes(log: Guarded) -> None:
    """If the copy was sealed by a key that the log states, though its file is gone, then it passes."""
    await log.passes(key=YOUNGER)


async def test_a_database_that_was_put_back_is_refused(log: Guarded) -> None:
    """If the copy, or what a witness saw, is larger than what this database has sealed, then it is refused, whether or
    not the log has grown beyond it again."""
    for size in (301, 310, 311, 10_000):
        assert "put back to an older state" in await log.refuses(head(size))
        log.copy.write(head(size))
        assert f"is of {size:,} events, and this database has sealed 300" in await log.refuses()
        log.copy.write(log.shown)
    await log.passes()


async def test_a_database_that_never_sealed_is_refused_where_there_is_a_copy(
    ledger_database: LedgerDatabase, tmp_path: Path
) -> None:
    """If a backup from before the first head was restored, or a new database was put in the place, then the copy of
    what was shown is larger than anything."""
    copy = HeadCopy(tmp_path / "checkpoint")
    copy.write(head(1))
    log = Guarded(ledger_database, copy, b"")
    assert "has sealed 0" in await log.refuses()
    await grow(ledger_database, 5)
    assert "has sealed 0" in await log.refuses()


async def test_another_history_is_refused(log: Guarded) -> None:
    """If the copy has another root than the log at its size, then events were changed since, and it is refused."""
    for size in (1, 256, 299, 300):
        assert "has another root" in await log.refuses(head(size, root(301)))
    log.copy.write(head(300, root(299)))
    assert "ledger fsck --deep" in await log.refuses()


async def test_a_log_that_lost_what_it_sealed_is_refused(log: Guarded) -> None:
    """If events that were shown are not there any more, then the guard says so, and does not fail."""
    await log.database.superuser.execute("ALTER TABLE ledger.events DISABLE TRIGGER ALL")
    await log.database.superuser.execute("DELETE FROM ledger.events WHERE position = 299")
    assert "has another root" in await log.refuses()


async def test_a_missing_copy_of_what_was_shown_is_refused(log: Guarded) -> None:
    """If heads were published and their copy is gone, then it is refused, and the sentence says what to lay there."""
    log.copy.path.unlink()
    said = await log.refuses()
    assert str(log.copy.path) in said
    assert "Lay the newest `checkpoint` there" in said
    log.copy.write(log.shown)
    await log.passes()


@pytest.mark.parametrize("held", [b"", b"\0" * 5, b"x" * 1_000_000, "— nobody\n".encode()])
async def test_a_copy_that_is_no_note_is_refused(log: Guarded, held: bytes) -> None:
    """If what lies there is no note, then it is refused, and not repeated."""
    log.copy.path.write_bytes(held)
    assert "is not one of this ledger" in await log.refuses()


async def test_a_copy_of_somebody_else_is_refused(log: Guarded) -> None:
    """If the copy bears this log's name and is sealed by a key that is not its own, then it is refused."""
    log.copy.write(seal_head(TreeHead(ORIGIN, 300, root(300)), [SealingKey(ORIGIN, bytes(32))]))
    assert "is not one of this ledger" in await log.refuses()
    log.copy.write(log.shown[:-6] + b"AAAA=\n")
    assert "is not one of this ledger" in await log.refuses()


async def test_a_copy_that_cannot_be_read_is_refused(log: Guarded) -> None:
    """If a directory lies where the copy belongs, then it is refused, and the path is named."""
    log.copy.path.unlink()
    log.copy.path.mkdir()
    assert f"{log.copy.path}, cannot be read" in await log.refuses()


# -- a log that was continued ------------------------------------------------------------------------------------------


async def continue_at(database: LedgerDatabase, old: TreeHead) -> None:
    """Say in the log that it goes on from this head of another origin, under a new one."""
    leaf = (
        f'{{"data":{{"old_origin":"{old.origin}","old_root":"{to_base64(old.root)}","old_size":{old.size},'
        '"reason":"operator-error"}}'
    ).encode()
    await database.superuser.execute(
        "WITH head AS (UPDATE ledger.head SET position = position + 1, origin = $2 RETURNING position, recorded)"
        " INSERT INTO ledger.events (position, petition, version, type, effective, recorded, delta, count_after, leaf,"
        " leaf_hash) SELECT position, position, 1, 'log.continued.v1', recorded, recorded, 0, 0, $1::bytea,"
        " sha256('\\x00'::bytea || $1::bytea) FROM head",
        leaf,
        NEW.verifier.name,
    )


async def test_a_log_that_names_the_head_it_continues_passes(log: Guarded) -> None:
    """If the tail was lost, and the log says that it goes on from exactly the head that is in the copy, then it may be
    sealed under its new origin; and after that like any log."""
    lost = TreeHead(ORIGIN, 400, root(400))
    log.copy.write(seal_head(lost, [KEY]))
    assert "put back to an older state" in await log.refuses()
    await continue_at(log.database, lost)
    await log.passes(key=NEW)
    for other in (head(399), head(400, root(399)), head(300)):
        assert "does not say that it continues that head" in await log.refuses(other, key=NEW)
    note = await shown(log.database, log.copy.path.parent, [NEW])
    assert note.startswith(b"petitions.example/again\n311\n")
    await log.passes(note, key=NEW)


async def test_a_log_continued_from_another_head_is_refused(log: Guarded) -> None:
    """If the log names another head than the one that is in the copy, then it is refused."""
    log.copy.write(head(400))
    await continue_at(log.database, TreeHead(ORIGIN, 350, root(350)))
    assert "does not say that it continues that head" in await log.refuses(key=NEW)


async def test_no_head_ends_before_the_continuation(log: Guarded) -> None:
    """If the log was continued beyond where one head would end, then the next head covers the continuation too: one
    that ended before it would bear an origin that its last event does not."""
    await continue_at(log.database, TreeHead(ORIGIN, 400, root(400)))
    await grow(log.database, 3, NEW.verifier.name)
    found = await seal(await log.database.connect("ledger_sealer"), NEW.verifier.name, [NEW], at_once=4)
    assert found is not None
    rows = await log.database.superuser.fetch("SELECT size FROM ledger.tree_heads ORDER BY size")
    assert [row["size"] for row in rows] == [300, 314]


async def test_nobody_seals_while_the_guard_looks(log: Guarded) -> None:
    """If another sealer seals and copies a head while the guard looks, then it waits its turn: its head would be newer
    than what the guard has seen of the database, and pass for one that was lost."""
    waited = []

    async def seal_meanwhile() -> None:
        other = await connect(log.database.url, "ledger_sealer")
        await other.execute("SET lock_timeout = '50ms'")
        try:
            newest = await seal(other, ORIGIN, [KEY])
            assert newest is not None
            log.copy.write(newest.note)
        except asyncpg.LockNotAvailableError:
            waited.append(True)
        finally:
            await other.close()

    class Raced(HeadCopy):
        def read(self) -> bytes | None:
            sealing = threading.Thread(target=lambda: asyncio.run(seal_meanwhile()))
            sealing.start()
            sealing.join()
            return super().read()

    log.copy = Raced(log.copy.path)
    await log.passes()
    assert waited == [True]
