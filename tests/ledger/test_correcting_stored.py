"""Corrections in the database: the set is frozen once, run by whoever is there, applied exactly once; and its law."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from ledger.correction import ALONE, digest
from ledger.fsck import fsck
from ledger.writer import KEEP_CORRECTION, Writer
from schemas.commands import (
    Accepted,
    AnswerKey,
    ApproveCorrection,
    CancelCorrection,
    Command,
    ContinueCorrection,
    OpenCorrection,
    Outcome,
    Submission,
)
from tests.conftest import LedgerDatabase
from tests.ledger.forging import append, prepare
from tests.ledger.submissions import (
    ADMIN,
    PETITION,
    by_admin,
    by_site,
    opening,
    recording,
    some_bytes,
    some_id,
    withdrawing,
)
from tests.ledger.test_correcting import RULE, SECOND, correcting, ids, refused, reversing, told
from tests.ledger.writing import RUN, writer

MANY = ALONE + 50
SIGNATURES = ids(*[f"s{n}" for n in range(MANY)])


@pytest.fixture
async def signed(ledger_database: LedgerDatabase) -> LedgerDatabase:
    """A petition with more signatures than one principal corrects alone."""
    async with writer(ledger_database, RUN) as admin:
        told(await admin.submit(by_admin(opening())))
        for each in await admin.submit_all([by_admin(recording(f"s{n}")) for n in range(MANY)]):
            told(each)
    return ledger_database


@asynccontextmanager
async def asking(database: LedgerDatabase) -> AsyncIterator["Asking"]:
    async with writer(database, RUN) as admin:
        yield Asking(admin)


class Asking:
    """Ask as one principal or another."""

    def __init__(self, admin: Writer) -> None:
        self._admin = admin

    async def __call__(self, command: Command, actor: str = ADMIN, key: str | None = None) -> Outcome:
        known_by = None if key is None else AnswerKey(actor, PETITION, some_bytes(key, 16), some_bytes("same", 16))
        return await self._admin.submit(Submission(command, actor, known_by))

    async def approved(self, command: OpenCorrection) -> None:
        assert told(await self(command))["state"] == "proposed"
        told(await self(ApproveCorrection(PETITION, command.correction, command.digest), SECOND))

    async def run(self, named: UUID, at_most: int = 40) -> int:
        chunks = 0
        while isinstance(await self(ContinueCorrection(PETITION, named, at_most), "system"), Accepted):
            chunks += 1
        return chunks


async def count(database: LedgerDatabase) -> int:
    return int(await database.superuser.fetchval("SELECT count FROM ledger.petitions WHERE id = $1", PETITION))


async def row(database: LedgerDatabase, named: UUID) -> dict[str, Any]:
    found = await database.superuser.fetchrow("SELECT * FROM ledger.corrections WHERE correction = $1", named)
    assert found is not None
    return dict(found.items())


async def sound(database: LedgerDatabase) -> None:
    """The whole ledger is as its leaves make it."""
    assert list(await fsck(await database.connect("ledger_backup"), deep=True)) == []


async def test_a_purge_and_its_reversal_leave_the_count_as_before_and_the_history_longer(
    signed: LedgerDatabase,
) -> None:
    """If a correction of many is opened, approved, run in chunks and reversed likewise, then each set is frozen and
    applied exactly once, rules stand beside the log, and the ledger is sound at each step."""
    purge = correcting("k1", SIGNATURES, searched='{"network":"192.0.2.0/24"}')
    async with asking(signed) as ask:
        await ask.approved(purge)
        await sound(signed)
        assert await ask.run(purge.correction) == 4
        assert await count(signed) == 0
        reversal = reversing("r1", "k1", SIGNATURES)
        assert told(await ask(reversal, SECOND))["approval"] == "required"
        await sound(signed)
        told(await ask(ApproveCorrection(PETITION, reversal.correction, reversal.digest)))
        assert await ask.run(reversal.correction) == 4
    assert await count(signed) == MANY
    await sound(signed)
    moved = "SELECT count(*), count(DISTINCT signature) FROM ledger.events WHERE type = $1"
    for type in ("signature.invalidated.v1", "signature.reinstated.v1"):
        assert [tuple(each) for each in await signed.superuser.fetch(moved, type)] == [(MANY, MANY)]
    stored = await row(signed, purge.correction)
    assert (stored["approver"], stored["state"], stored["applied"]) == (SECOND, "completed", MANY)
    assert {each["rule"] for each in await signed.superuser.fetch("TABLE ledger.notices")} == {RULE}
    assert await signed.superuser.fetchval("SELECT count(*) FROM vault.correction_wheres") == 1


async def test_who_withdraws_while_a_correction_waits_is_held_without_counting(signed: LedgerDatabase) -> None:
    """If a signer withdraws between opening and running, then her signature is held as the frozen set says, and counts
    once less, not twice."""
    purge = correcting("k1", SIGNATURES)
    async with asking(signed) as ask:
        await ask.approved(purge)
        told(await ask(withdrawing("s0")))
        await ask.run(purge.correction)
    assert await count(signed) == 0
    await sound(signed)


async def test_a_cancelled_correction_ends_where_it_is_also_while_it_waits(signed: LedgerDatabase) -> None:
    """If a correction is cancelled, waiting or running, then no other writer applies a member more; what it applied can
    be reversed, and then exactly that."""
    async with asking(signed) as ask:
        told(await ask(correcting("k1", SIGNATURES)))
        told(await ask(CancelCorrection(PETITION, some_id("k1")), SECOND))
        await ask.approved(correcting("k2", SIGNATURES))
        told(await ask(ContinueCorrection(PETITION, some_id("k2"), 40), "system"))
        assert told(await ask(CancelCorrection(PETITION, some_id("k2"))))["applied"] == 40
        assert await ask.run(some_id("k2")) == 0
        assert await count(signed) == MANY - 40
        await sound(signed)
        rows = await (await signed.connect(RUN)).fetch(
            "SELECT signature FROM ledger.applied_signatures($1, $2)", PETITION, some_id("k2")
        )
        applied = tuple(each["signature"] for each in rows)
        assert applied == SIGNATURES[:40]
        told(await ask(reversing("r2", "k2", applied), SECOND))
    assert await count(signed) == MANY
    await sound(signed)


async def test_the_sum_of_a_day_is_read_from_the_database(signed: LedgerDatabase) -> None:
    """If the pieces of a purge come from one principal through different writers, then they are summed all the same;
    what was opened more than a day ago is not."""
    async with asking(signed) as ask:
        assert told(await ask(correcting("k1", SIGNATURES[:60])))["approval"] == "not-required"
    async with asking(signed) as ask:
        assert told(await ask(correcting("k2", SIGNATURES[60:101])))["approval"] == "required"
        assert told(await ask(correcting("k3", SIGNATURES[60:101]), SECOND))["approval"] == "not-required"
        await signed.superuser.execute("UPDATE ledger.corrections SET opened = opened - interval '1 day'")
        assert told(await ask(correcting("k4", SIGNATURES[60:101])))["approval"] == "not-required"


async def test_a_repeated_opening_gets_the_first_ones_answer(signed: LedgerDatabase) -> None:
    """If an opening is sent again under its key, with another id and another set by then, then it is answered as
    before, and nothing is recorded."""
    async with asking(signed) as ask:
        first = await ask(correcting("k1", SIGNATURES[:3]), key="once")
        again = await ask(correcting("k2", SIGNATURES[:2], expected=digest(())), key="once")
    assert told(first) == told(again)
    assert await signed.superuser.fetchval("SELECT count(*) FROM ledger.corrections") == 1


async def test_a_refused_opening_says_why(signed: LedgerDatabase) -> None:
    """If a reversal comes before the end, or twice, then the database's state says so to the writer."""
    async with asking(signed) as ask:
        await ask.approved(correcting("k1", SIGNATURES))
        assert refused(await ask(reversing("r1", "k1", SIGNATURES)))[1] == "not-ended"
        await ask.run(some_id("k1"))
        told(await ask(reversing("r1", "k1", SIGNATURES)))
        assert refused(await ask(reversing("r2", "k1", SIGNATURES)))[1] == "reversed-already"


OPENED = "A correction is opened, approved or ended against its rules"
MOVED = "A correction moves by its events alone"
LIES: dict[str, tuple[str, dict[str, Any]]] = {
    "beyond what one decides alone": (OPENED, {"approval": "not-required", "state": "running"}),
    "exempt without being a file": ("imports_alone_are_exempt", {"approval": "exempt", "state": "running"}),
    "approved by its own actor": ("another_approves", {"approver": ADMIN, "state": "running"}),
    "running without an approval": ("nothing_runs_unapproved", {"state": "running"}),
    "approved by nobody's event": (MOVED, {"approver": SECOND, "state": "running"}),
    "of another digest": (OPENED, {"digest": "0" * 64}),
    "by another actor": (OPENED, {"actor": SECOND}),
    "of more signatures": (OPENED, {"matched": MANY + 1}),
    "of another day": (OPENED, {"opened": datetime(2020, 1, 1, tzinfo=UTC)}),
}


@pytest.mark.parametrize("name", LIES)
async def test_the_database_refuses_what_one_may_not_decide_alone(signed: LedgerDatabase, name: str) -> None:
    """If a writer opens a correction of many as what it may not be, then the whole batch is refused."""
    says, lie = LIES[name]
    connection = await signed.connect(RUN)
    prepared = await prepare(connection, by_admin(correcting("k1", SIGNATURES)))
    prepared.row("corrections").update(lie)
    if "approval" in lie:
        prepared.rewrite_leaf(0, lambda document: document["data"].update(approval=lie["approval"]))
    with pytest.raises(asyncpg.PostgresError) as refusal:
        await append(connection, RUN, prepared)
    assert says in str(refusal.value)


@pytest.mark.parametrize(
    ("lie", "says"), [({}, MOVED), ({"approver": None, "state": "proposed"}, "nothing_runs_unapproved")]
)
async def test_the_database_refuses_to_apply_what_waits(signed: LedgerDatabase, lie: dict[str, Any], says: str) -> None:
    """If a writer takes a correction that waits for one that runs, then what it applies is refused."""
    async with asking(signed) as ask:
        told(await ask(correcting("k1", SIGNATURES)))
    connection = await signed.connect(RUN)
    await signed.superuser.execute("UPDATE ledger.corrections SET state = 'running', approver = $1", SECOND)
    prepared = await prepare(connection, by_admin(ContinueCorrection(PETITION, some_id("k1"), 10)))
    await signed.superuser.execute("UPDATE ledger.corrections SET state = 'proposed', approver = NULL")
    prepared.row("corrections").update(lie)
    with pytest.raises(asyncpg.PostgresError, match=says):
        await append(connection, RUN, prepared)


async def test_the_database_refuses_what_no_correction_does(signed: LedgerDatabase) -> None:
    """If a compensating event is of another actor, or its correction counts another number, then it is refused."""
    connection = await signed.connect(RUN)
    prepared = await prepare(connection, by_admin(correcting("k1", SIGNATURES[:2])))
    prepared.rewrite_leaf(1, lambda document: document.update(actor=SECOND))
    with pytest.raises(asyncpg.PostgresError, match="No correction that is under way moves the signature"):
        await append(connection, RUN, prepared)
    await connection.execute("ROLLBACK")
    prepared = await prepare(connection, by_admin(correcting("k1", SIGNATURES[:2])))
    prepared.row("members")["outcome"] = "skipped"
    with pytest.raises(asyncpg.PostgresError, match="does not count its members"):
        await append(connection, RUN, prepared)


async def test_the_database_refuses_another_set_than_the_frozen_one(signed: LedgerDatabase) -> None:
    """If a writer freezes or applies other signatures than the digest binds, then it is refused."""
    connection = await signed.connect(RUN)
    prepared = await prepare(connection, by_admin(correcting("k1", SIGNATURES[:2], digest=digest(SIGNATURES[:3]))))
    with pytest.raises(asyncpg.PostgresError, match="not the set that it froze"):
        await append(connection, RUN, prepared)
    await connection.execute("ROLLBACK")
    async with asking(signed) as ask:
        told(await ask(correcting("k2", SIGNATURES)))
    for signatures, rule in ((list(SIGNATURES), RULE), (None, "Another rule.")):
        with pytest.raises(asyncpg.PostgresError, match=r"frozen once|SHA-256"):
            await connection.execute(KEEP_CORRECTION, some_id("k2"), signatures, rule, None)


async def test_a_reversal_is_judged_by_the_database_too(signed: LedgerDatabase) -> None:
    """If a writer reverses another set than what was applied, then it is refused."""
    async with asking(signed) as ask:
        told(await ask(correcting("k1", SIGNATURES[:3])))
        outcome = await ask(reversing("r1", "k1", SIGNATURES[:2]), SECOND)
        assert refused(outcome)[0] == "validation-failed"
        told(await ask(replace(reversing("r1", "k1", SIGNATURES[:3]), kind="reinstate"), SECOND))
    await sound(signed)


async def test_what_was_searched_for_goes_with_the_evidence(signed: LedgerDatabase) -> None:
    """If evidence has expired, then what corrections searched for has too; the public rule stays."""
    async with asking(signed) as ask:
        told(await ask(correcting("k1", SIGNATURES[:2], searched='{"email_domain":"ex.org"}')))
        told(await ask(by_site(recording("late")).command))
    await signed.superuser.execute("UPDATE vault.correction_wheres SET recorded = recorded - interval '91 days'")
    admin = await signed.connect(RUN)
    assert await admin.fetchval("SELECT ledger.purge_evidence(interval '90 days')") == 1
    assert await signed.superuser.fetchval("SELECT count(*) FROM ledger.notices") == 1


async def test_a_rule_that_was_changed_or_lost_is_found(signed: LedgerDatabase) -> None:
    """If somebody changes the public rule of a correction, or takes it away, then an audit finds it."""
    async with asking(signed) as ask:
        told(await ask(correcting("k1", SIGNATURES[:2])))
    backup = await signed.connect("ledger_backup")
    for tampering in ("UPDATE ledger.notices SET rule = 'Another rule.'", "DELETE FROM ledger.notices"):
        await signed.superuser.execute(tampering)
        assert [finding.rule for finding in await fsck(backup, deep=False)] == ["notice"]
