"""The append functions judge again, whatever a writer sends: here the writers lie, one column at a time."""

from datetime import timedelta
from functools import partial

import asyncpg
import pytest

from ledger.connecting import connect
from ledger.writer import Writer
from schemas.commands import Accepted, CorrectImported, ObserveCount
from tests.conftest import LedgerDatabase
from tests.ledger.forgeries import ADMIN, FORGERIES, PRIVACY, SIGN, closing_now, honest, row
from tests.ledger.forging import append, prepare
from tests.ledger.submissions import (
    PETITION,
    SOURCE,
    accepting,
    by_admin,
    imported,
    opening,
    recording,
    some_id,
    withdrawing,
)


@pytest.fixture
async def stage(ledger_database: LedgerDatabase) -> LedgerDatabase:
    """Petitions and signatures in every state that a lie may be told about."""
    async with Writer(partial(connect, ledger_database.url, ADMIN), ADMIN, SOURCE) as writer:
        hour = timedelta(hours=1)
        now = await ledger_database.superuser.fetchval("SELECT now()")
        correct = partial(CorrectImported, PETITION, reason="bot", at=None)
        asked = [
            by_admin(opening()),
            by_admin(opening("other")),
            by_admin(opening("closed-one", confirmation="required")),
            by_admin(opening("closing-later", closes_at=now + hour)),
            by_admin(opening("opening-later", opens_at=now + hour)),
            by_admin(opening("paused-one")),
            by_admin(opening("overdue", closes_at=now + hour)),
            by_admin(opening("watched", basis="observed", provenance="observed")),
            by_admin(recording("standing")),
            by_admin(recording("withdrawn")),
            by_admin(withdrawing("withdrawn")),
            by_admin(recording("pending", confirmed=False)),
            by_admin(recording("held")),
            by_admin(recording("held pending", confirmed=False)),
            by_admin(recording("stranger", petition="other")),
            by_admin(recording("waiting", petition="closed-one")),
            by_admin(ObserveCount("watched", 3, "page", None)),
            imported(
                correct(
                    correction=some_id("k1"),
                    kind="invalidate",
                    rows=(row("held"), row("held pending")),
                ),
                "k1",
            ),
            by_admin(accepting("closed", "closed-one")),
            by_admin(accepting("paused", "paused-one")),
        ]
        outcomes = await writer.submit_all(asked)
        assert all(isinstance(outcome, Accepted) for outcome in outcomes), outcomes
    # The hour has passed, and nobody has written since.
    await ledger_database.superuser.execute("UPDATE ledger.petitions SET closes_at = $1 WHERE id = 'overdue'", now)
    return ledger_database


async def test_every_forgery_is_refused(stage: LedgerDatabase) -> None:
    """If a writer sends one value that its events do not bear out, then the whole batch is refused, and for that."""
    connections = {role: await stage.connect(role) for role in (SIGN, ADMIN, PRIVACY)}
    wrong = {}
    for forgery in FORGERIES:
        connection = connections[forgery.role]
        prepared = await prepare(connection, *forgery.submissions, blind=forgery.blind)
        forgery.lie(prepared)
        try:
            await append(connection, forgery.role, prepared)
            wrong[forgery.name] = "taken"
        except asyncpg.PostgresError as error:
            if forgery.says not in str(error):
                wrong[forgery.name] = str(error)
        await connection.execute("ROLLBACK")
    assert wrong == {}, wrong


async def test_what_the_lies_are_told_about_is_taken_when_it_is_true(stage: LedgerDatabase) -> None:
    """If a writer sends the same without the lie, then it is taken: it is the lie that is refused, and nothing else."""
    connections = {role: await stage.connect(role) for role in (SIGN, ADMIN, PRIVACY)}
    for forgery in FORGERIES:
        if forgery.lie not in (honest, closing_now):
            connection = connections[forgery.role]
            await append(connection, forgery.role, await prepare(connection, *forgery.submissions))
            await connection.execute("ROLLBACK")


async def test_nothing_of_a_refused_batch_is_stored(stage: LedgerDatabase) -> None:
    """If a lie was refused and the writer commits all the same, then the log, its head and the state are as before."""
    said = (
        "SELECT h::text, (SELECT count(*) FROM ledger.events), (SELECT count(*) FROM vault.signers) FROM ledger.head h"
    )
    before = await stage.superuser.fetchrow(said)
    connection = await stage.connect(SIGN)
    forgery = next(each for each in FORGERIES if each.name == "a second standing signature")
    prepared = await prepare(connection, *forgery.submissions)
    forgery.lie(prepared)
    with pytest.raises(asyncpg.UniqueViolationError):
        await append(connection, SIGN, prepared)
    await connection.execute("COMMIT")
    assert await stage.superuser.fetchrow(said) == before
