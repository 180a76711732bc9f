"""A log that lost its tail goes on under a new origin: what survived stays, and what was lost is said."""

from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ledger.continuing import ContinuingRefused, continue_log, lost_head
from ledger.fsck import fsck
from ledger.head_copy import HeadCopy
from ledger.merkle import leaf_hash
from ledger.merkle import root as root_of
from ledger.sealing import SealingRefused, guard, seal
from ledger.tree_head import SealingKey, TreeHead, open_note, seal_head
from ledger.writer import Writer
from projections.projector import catch_up
from projections.replay import replay
from schemas.envelope import read_event
from schemas.events import LogContinued
from tests.conftest import LedgerDatabase
from tests.ledger.submissions import PETITION, by_admin, by_site, opening, recording

OLD, NEW, NEWER = "petitions.example/ledger", "petitions.example/again", "petitions.example/third"
KEY = SealingKey(OLD, bytes(range(32)))


async def written(database: LedgerDatabase, origin: str, *signers: str) -> None:
    """Let these people sign, through a writer of this origin."""
    async with Writer(lambda: database.connect("ledger_admin"), "ledger_admin", origin) as writer:
        await writer.submit(by_admin(opening()))
        for signer in signers:
            await writer.submit(by_site(recording(signer)))


async def leaves(database: LedgerDatabase) -> list[bytes]:
    return [row["leaf"] for row in await database.superuser.fetch("SELECT leaf FROM ledger.events ORDER BY position")]


def head_of(origin: str, said: list[bytes]) -> TreeHead:
    return TreeHead(origin, len(said), root_of([leaf_hash(leaf) for leaf in said]))


async def lost(database: LedgerDatabase) -> TreeHead:
    """The head of a log that had two more events than this database, and was shown."""
    return head_of(OLD, [*await leaves(database), b"an event", b"another one"])


async def continued(database: LedgerDatabase, old: TreeHead, origin: str) -> int:
    return await continue_log(await database.connect("ledger_admin"), origin, old, "operator-error")


async def test_a_log_goes_on_under_a_new_origin(ledger_database: LedgerDatabase, tmp_path: Path) -> None:
    """If the tail was lost, then the survivors stay byte for byte, the next event names the head that was shown, people
    sign on, every audit of the database is clean, and the log is sealed again."""
    database = ledger_database
    await written(database, OLD, "she", "he")
    before, old = await leaves(database), await lost(database)
    copy = HeadCopy(tmp_path / "checkpoint")
    copy.write(seal_head(old, [KEY]))
    sealer = await database.connect("ledger_sealer")
    with pytest.raises(SealingRefused, match="put back to an older state"):
        await guard(sealer, copy, [KEY.verifier])

    assert await lost_head(sealer, seal_head(old, [KEY]), [KEY.verifier]) == old
    assert await continued(database, old, NEW) == len(before) + 1
    await written(database, NEW, "they")

    after = await leaves(database)
    assert after[: len(before)] == before
    event = read_event(after[len(before)])
    assert event.fact == LogContinued(old_origin=OLD, old_size=old.size, old_root=old.root, reason="operator-error")
    assert (event.subject, event.source, event.version, event.prev) == ("ledger", NEW, 1, None)
    assert read_event(after[-1]).source == NEW
    backup = await database.connect("ledger_backup")
    assert list(await fsck(backup, deep=True)) == []
    await catch_up(await database.connect("ledger_projector"))
    assert [row["count"] for row in replay(after)["projections"]["petitions"]] == [3]

    key = SealingKey(NEW, bytes(range(32)))
    await guard(sealer, copy, [key.verifier, KEY.verifier])
    sealed = await seal(sealer, NEW, [key])
    assert sealed is not None
    assert open_note(sealed.note, [key.verifier]).head == head_of(NEW, after)


async def test_a_log_that_lost_nothing_is_not_continued(ledger_database: LedgerDatabase) -> None:
    """If the old head is of the events that are here, of another log, or of nobody, then nothing is continued."""
    database = ledger_database
    sealer = await database.connect("ledger_sealer")
    with pytest.raises(ContinuingRefused, match="empty"):
        await lost_head(sealer, seal_head(TreeHead(OLD, 1, bytes(32)), [KEY]), [KEY.verifier])
    await written(database, OLD, "she", "he")
    said = await leaves(database)
    for kept in (said, said[:2]):
        with pytest.raises(ContinuingRefused, match="Nothing was lost"):
            await lost_head(sealer, seal_head(head_of(OLD, kept), [KEY]), [KEY.verifier])
    stranger = SealingKey(NEW, bytes(32))
    with pytest.raises(ContinuingRefused, match="the log here is"):
        await lost_head(sealer, seal_head(head_of(NEW, said), [stranger]), [stranger.verifier])
    with pytest.raises(ContinuingRefused, match="not one of this ledger"):
        await lost_head(sealer, seal_head(await lost(database), [SealingKey(OLD, bytes(32))]), [KEY.verifier])


async def test_events_in_the_place_of_others_are_a_loss_too(ledger_database: LedgerDatabase) -> None:
    """If people signed after the database was put back, so that it is longer than the old head and another, then that
    head is lost, and the continuation names it."""
    database = ledger_database
    await written(database, OLD, "she")
    old = head_of(OLD, [*await leaves(database), b"what others were shown"])
    await written(database, OLD, "he", "they")
    sealer = await database.connect("ledger_sealer")
    assert await lost_head(sealer, seal_head(old, [KEY]), [KEY.verifier]) == old
    await continued(database, old, NEW)
    backup = await database.connect("ledger_backup")
    assert list(await fsck(backup, deep=True)) == []


async def test_an_origin_never_comes_back(ledger_database: LedgerDatabase) -> None:
    """If a log is continued again, then its stream goes on, and no origin that it ever had is taken."""
    database = ledger_database
    await written(database, OLD, "she")
    await continued(database, await lost(database), NEW)
    await written(database, NEW, "he")
    old = head_of(NEW, [*await leaves(database), b"lost"])
    for origin, refusal in ((OLD, asyncpg.RaiseError), (NEW, ContinuingRefused), ("two words", ContinuingRefused)):
        with pytest.raises(refusal):
            await continued(database, old, origin)
    await continued(database, old, NEWER)
    said = await leaves(database)
    first, second = (read_event(leaf) for leaf in said if read_event(leaf).subject == "ledger")
    assert (second.version, second.prev) == (2, leaf_hash(said[first.position - 1]))
    backup = await database.connect("ledger_backup")
    assert list(await fsck(backup, deep=True)) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"expected": 1},
        {"origin": "petitions.example/ledger"},
        {"leaf": b'{"data":{}}'},
        {"leaf": b"{}"},
    ],
)
async def test_the_database_judges_a_continuation_too(ledger_database: LedgerDatabase, wrong: dict[str, Any]) -> None:
    """If a continuation does not follow the head, or its leaf says something else, then the database refuses it."""
    database = ledger_database
    await written(database, OLD, "she")
    admin = await database.connect("ledger_admin")
    said: dict[str, Any] = {"expected": len(await leaves(database)), "origin": NEW, "leaf": b"{}", **wrong}
    with pytest.raises(asyncpg.RaiseError):
        await admin.execute(
            "SELECT ledger.continue_log($1, clock_timestamp(), $2, $3)", said["expected"], said["origin"], said["leaf"]
        )
    assert PETITION in (await leaves(database))[-1].decode()


async def test_no_other_role_may_continue_a_log(ledger_database: LedgerDatabase) -> None:
    """If a role signs, reads or seals, then it cannot change the log's origin."""
    for role in ("ledger_signing", "ledger_reader", "ledger_sealer", "ledger_projector", "ledger_privacy"):
        connection = await ledger_database.connect(role)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("SELECT ledger.continue_log(0, clock_timestamp(), 'x', '\\x7b7d')")
