"""The audit of the seals: clean where they are what the leaves make of them; else it says where, and between which
sizes."""

from pathlib import Path

import pytest

from ledger import resealing
from ledger.fsck import fsck
from schemas.findings import Findings
from tests.conftest import LedgerDatabase
from tests.ledger.sealed_logs import grow, sealed, shown

SIZES = (1, 7, 20, 40)


async def audited(database: LedgerDatabase, *, deep: bool) -> Findings:
    return await fsck(await database.connect("ledger_backup"), deep=deep)


async def filled(database: LedgerDatabase, directory: Path) -> int:
    """A real ledger, sealed at some sizes and shown at its end; how long it is."""
    for size in SIZES:
        await sealed(database, upto=size)
    await shown(database, directory)
    return int(await database.superuser.fetchval("SELECT position FROM ledger.head"))


async def tamper(database: LedgerDatabase, statement: str) -> None:
    """As a superuser, without triggers and checks while it lasts."""
    tables = ("events", "seal_keys", "subtrees", "tree_heads", "published_heads")
    superuser = database.superuser
    async with superuser.transaction():
        for table in tables:
            await superuser.execute(f"ALTER TABLE ledger.{table} DISABLE TRIGGER ALL")
        await superuser.execute(statement)
        for table in tables:
            await superuser.execute(f"ALTER TABLE ledger.{table} ENABLE TRIGGER ALL")
            for row in await superuser.fetch(
                "SELECT tgname FROM pg_trigger WHERE tgrelid = $1::regclass AND NOT tgisinternal", f"ledger.{table}"
            ):
                await superuser.execute(f"ALTER TABLE ledger.{table} ENABLE ALWAYS TRIGGER {row['tgname']}")


@pytest.mark.parametrize("at_once", [1, 5, 2_048])
async def test_a_sealed_ledger_is_clean(
    filled_database: LedgerDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """If nobody meddled, then neither audit finds anything, also where the log has grown since it was sealed."""
    monkeypatch.setattr(resealing, "AT_ONCE", at_once)
    await filled(filled_database, tmp_path)
    assert list(await audited(filled_database, deep=False)) == []
    assert list(await audited(filled_database, deep=True)) == []


async def test_a_changed_leaf_is_found_between_two_sizes(filled_database: LedgerDatabase, tmp_path: Path) -> None:
    """If a leaf, its hash and every row that it makes are other ones, then the first head whose root is not that of the
    leaves says where: behind the size up to which all is as it was sealed."""
    await filled(filled_database, tmp_path)
    statement = (
        "UPDATE ledger.events SET leaf = l.leaf, leaf_hash = sha256('\\x00'::bytea || l.leaf)"
        " FROM (SELECT convert_to(replace(convert_from(leaf, 'UTF8'), 'site:9c1e04', 'site:9c1e05'), 'UTF8') AS leaf"
        " FROM ledger.events WHERE position = 12) AS l WHERE position = 12"
    )
    await tamper(filled_database, statement)
    assert list(await audited(filled_database, deep=False)) == []
    found = (await audited(filled_database, deep=True)).first("sealed-root")
    assert found is not None
    assert found.position == 8
    assert found.message.startswith("the first 20 events have another root")
    assert found.message.endswith("up to 7 all is as sealed")


@pytest.mark.parametrize(
    ("statement", "rule", "position", "shallow"),
    [
        ("UPDATE ledger.tree_heads SET root = sha256(root) WHERE size = 20", "sealed-root", 8, False),
        ("UPDATE ledger.tree_heads SET root = sha256(root) WHERE size = 20", "head-note", 20, True),
        ("UPDATE ledger.tree_heads SET size = 19 WHERE size = 20", "head-note", 19, True),
        ("UPDATE ledger.tree_heads SET size = 19 WHERE size = 20", "sealed-root", 8, False),
        ("UPDATE ledger.tree_heads SET note = '\\xff00' WHERE size = 7", "head-note", 7, True),
        ("DELETE FROM ledger.events WHERE position = 30", "sealed-root", 21, False),
        ("DELETE FROM ledger.events WHERE position > 50", "sealed-root", 41, False),
        ("DELETE FROM ledger.events WHERE position > 50", "sealed-beyond-the-log", 51, True),
        ("UPDATE ledger.published_heads SET nth = 2", "shown-head", None, True),
        ("UPDATE ledger.published_heads SET note = note || 'x'", None, None, True),
        ("UPDATE ledger.published_heads SET note = 'x' || note", "shown-head", None, True),
        ("UPDATE ledger.published_heads SET size = 40", "shown-head", 40, True),
        ("INSERT INTO ledger.subtrees VALUES (8, 0, sha256(''))", "subtrees-dense", None, True),
    ],
)
async def test_a_seal_that_was_changed_is_found(
    filled_database: LedgerDatabase,
    tmp_path: Path,
    statement: str,
    rule: str | None,
    position: int | None,
    shallow: bool,
) -> None:
    """If a head, a note or a subtree is another one than it was, or what it covers is gone, then that is found, as far
    as it can be without the leaves by the shallow audit too."""
    size = await filled(filled_database, tmp_path)
    await tamper(filled_database, statement)
    for deep in (False, True):
        findings = await audited(filled_database, deep=deep)
        if rule is None:
            assert list(findings) == []
            continue
        found = findings.first(rule)
        assert (found is not None) == (deep or shallow)
        assert found is None or found.position == (position or size)


@pytest.mark.parametrize(
    ("statement", "rule", "position", "shallow"),
    [
        ("UPDATE ledger.subtrees SET hash = sha256(hash) WHERE index = 2", "subtree", 513, False),
        ("DELETE FROM ledger.subtrees WHERE index = 1", "subtrees-dense", 513, True),
        ("DELETE FROM ledger.subtrees WHERE index = 2", "subtrees-dense", 513, True),
        ("DELETE FROM ledger.subtrees WHERE index = 2", "subtree", 513, False),
        ("INSERT INTO ledger.subtrees VALUES (16, 0, sha256(''))", "subtrees-dense", 800, True),
        ("UPDATE ledger.subtrees SET index = 7 WHERE index = 2", "subtrees-dense", 769, True),
    ],
)
async def test_a_subtree_that_was_changed_is_found(
    ledger_database: LedgerDatabase, statement: str, rule: str, position: int, shallow: bool
) -> None:
    """If a stored subtree is not what its leaves make of it, is missing or too much, then that is found, with its first
    event."""
    await grow(ledger_database, 300)
    await sealed(ledger_database)
    await grow(ledger_database, 550)
    await sealed(ledger_database, upto=800)
    seals = {"sealed-root", "subtree", "subtrees-dense", "head-note", "shown-head", "sealed-beyond-the-log"}
    assert not seals & set((await audited(ledger_database, deep=True)).by_rule)
    await tamper(ledger_database, statement)
    for deep in (False, True):
        found = (await audited(ledger_database, deep=deep)).first(rule)
        assert (found is not None) == (deep or shallow)
        assert found is None or found.position == position
    assert (await audited(ledger_database, deep=True)).first("sealed-root") is None


async def test_what_keeps_seals_is_looked_at(ledger_database: LedgerDatabase) -> None:
    """If a trigger or a key that keeps heads as they are is gone, or a role may write them, then that is found."""
    superuser = ledger_database.superuser
    await superuser.execute("DROP TRIGGER tree_heads_never_change ON ledger.tree_heads")
    await superuser.execute("ALTER TABLE ledger.sealing DISABLE TRIGGER sealing_are_never_truncated")
    await superuser.execute("ALTER TABLE ledger.subtrees DROP CONSTRAINT subtrees_pkey")
    await superuser.execute("GRANT INSERT ON ledger.published_heads TO ledger_sealer")
    messages = [finding.message for finding in await audited(ledger_database, deep=False)]
    for part in (
        "tree_heads_never_change on ledger.tree_heads is missing",
        "sealing_are_never_truncated on ledger.sealing",
        "PRIMARY KEY (height, index) on ledger.subtrees",
        "ledger_sealer may INSERT ledger.published_heads",
    ):
        assert sum(part in message for message in messages) == 1, part
