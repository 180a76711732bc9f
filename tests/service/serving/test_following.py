"""What a service does by itself: it projects, closes what is due, clears away what expired; and what it refuses."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from structlog.testing import capture_logs

from ledger.identity import key_check
from ledger.keys import load_root_key
from projections.projector import CheckpointAhead, catch_up, checkpoint
from schemas.commands import Accepted, ChangeAcceptance, Submission
from service.database import Ledger
from service.serving import clockwork, projecting
from service.serving.clockwork import close_due_petitions, naming, purge
from service.serving.projecting import ProjectionsStopped, project, reach_head
from service.serving.promises import broken
from service.serving.waiting import cancelled
from tests.conftest import LedgerDatabase
from tests.ledger.submissions import ADMIN, PETITION, SOURCE, opening, recording
from tests.ledger.writing import RUN, writer
from tests.vaults import lay_keys

ENDED = datetime(2024, 5, 1, tzinfo=UTC)


def ledger_of(database: LedgerDatabase) -> Ledger:
    return Ledger(database.url, SOURCE, Path("unused"))


@asynccontextmanager
async def doing(work: Any) -> AsyncIterator["asyncio.Task[None]"]:
    """Runs beside the test until the block ends."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        await cancelled(task)


async def until(condition: Any) -> None:
    """Wait for a condition that the database shows."""
    async with asyncio.timeout(20):
        while not await condition():  # noqa: ASYNC110 -- nobody announces it
            await asyncio.sleep(0.01)


async def open_petition(database: LedgerDatabase, **said: Any) -> None:
    async with writer(database, RUN) as admin:
        outcome = await admin.submit(Submission(opening(**said), ADMIN))
        assert isinstance(outcome, Accepted)


async def acceptances(database: LedgerDatabase, petition: str = PETITION) -> list[str]:
    said = await database.superuser.fetch(
        "SELECT convert_from(e.leaf, 'UTF8')::jsonb AS leaf"
        " FROM ledger.events e JOIN ledger.petitions p USING (petition)"
        " WHERE p.id = $1 AND e.type = 'acceptance.changed.v1' ORDER BY e.position",
        petition,
    )
    return [row["leaf"] for row in said]


async def test_a_petition_that_is_due_is_closed_although_nobody_writes(ledger_database: LedgerDatabase) -> None:
    """If a closing time passes and nobody writes, then the clockwork closes the petition, once, effective at that time,
    as the system; one that was taken up again stays open."""
    await open_petition(ledger_database, at=ENDED - timedelta(days=9), closes_at=ENDED)
    await open_petition(ledger_database, petition="reopened", at=ENDED - timedelta(days=9), closes_at=ENDED)
    async with writer(ledger_database, RUN) as admin:
        again = await admin.submit(Submission(ChangeAcceptance("reopened", "open"), ADMIN))
        assert isinstance(again, Accepted)
    before = await ledger_database.superuser.fetchval("SELECT position FROM ledger.head")

    async def closed() -> bool:
        return bool(await acceptances(ledger_database))

    async with (
        writer(ledger_database) as signing,
        doing(close_due_petitions(ledger_of(ledger_database), signing, 0.01)),
    ):
        await until(closed)
        # It looks again and again, and finds nothing more to do.
        assert isinstance(
            await signing.submit(Submission(recording("a", petition="reopened"), "site:9c1e04")), Accepted
        )
    (said,) = await acceptances(ledger_database)
    assert '"acceptance": "closed"' in said
    assert '"actor": "system"' in said
    assert '"time": "2024-05-01T00:00:00.000000Z"' in said
    assert len(await acceptances(ledger_database, "reopened")) == 2
    assert await ledger_database.superuser.fetchval("SELECT position FROM ledger.head") == before + 2


async def test_naming_a_petition_changes_nothing(ledger_database: LedgerDatabase) -> None:
    """If the clockwork names a petition that is not due, then nothing is appended."""
    await open_petition(ledger_database)
    async with writer(ledger_database) as signing:
        await signing.submit(naming(PETITION))
        await signing.submit(naming("no-such-petition"))
    assert await ledger_database.superuser.fetchval("SELECT position FROM ledger.head") == 1


async def test_stored_answers_and_evidence_expire(ledger_database: LedgerDatabase) -> None:
    """If a stored answer is older than 30 days, or evidence older than it may be, then it is cleared away; what is
    younger stays."""
    fill = ledger_database.superuser
    for days in (1, 29, 31, 400):
        await fill.execute(
            "INSERT INTO vault.answers VALUES ('site:9c1e04', 'p', $1, $1, '{}', NULL,"
            " clock_timestamp() - make_interval(days => $2))",
            days.to_bytes(16, "big"),
            days,
        )
        await fill.execute(
            "INSERT INTO vault.evidence VALUES (gen_random_uuid(), '192.0.2.1', NULL,"
            " clock_timestamp() - make_interval(days => $1))",
            days,
        )

    async def gone() -> bool:
        return bool(await fill.fetchval("SELECT count(*) = 1 FROM vault.evidence"))

    async with doing(purge(ledger_of(ledger_database), evidence_days=7)):
        await until(gone)
        assert await fill.fetchval("SELECT count(*) FROM vault.answers") == 2


async def test_the_clockwork_outlives_its_connection(
    ledger_database: LedgerDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the clockwork's connection is cut, then it takes another one, and closes what is due."""
    monkeypatch.setattr(clockwork, "PAUSE", 0.01)
    await open_petition(ledger_database)

    async def watching() -> bool:
        pid = await ledger_database.superuser.fetchval(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%due_petitions%'"
            " AND datname = current_database() AND pid <> pg_backend_pid() LIMIT 1"
        )
        return pid is not None

    async def closed() -> bool:
        return bool(await acceptances(ledger_database, "due"))

    async with (
        writer(ledger_database) as signing,
        doing(close_due_petitions(ledger_of(ledger_database), signing, 0.01)),
    ):
        await until(watching)
        await open_petition(ledger_database, petition="due", at=ENDED - timedelta(days=9), closes_at=ENDED)
        await until(closed)


async def test_the_projector_follows_the_log(ledger_database: LedgerDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """If events are recorded, then the projections have them moments later, also after the projector's connection was
    cut; and a quiet ledger is not written to."""
    monkeypatch.setattr(projecting, "PAUSE", 0.01)
    reached = asyncio.Event()
    reader = await ledger_database.connect("ledger_reader")

    async def followed() -> bool:
        return bool(await checkpoint(reader) == await reader.fetchval("SELECT position FROM ledger.head"))

    async def locks() -> Any:
        return await reader.fetchval("SELECT array_agg(c.xmax::text || c.ctid::text) FROM projections.checkpoints c")

    async def last_look() -> Any:
        return await ledger_database.superuser.fetchval(
            "SELECT coalesce(max(state_change), '2000-01-01T00:00:00Z') FROM pg_stat_activity"
            " WHERE datname = current_database()"
            " AND query LIKE '%FROM ledger.head%' AND pid <> pg_backend_pid() AND pid <> $1",
            reader.get_server_pid(),
        )

    async with doing(project(ledger_of(ledger_database), 0.01, reached)), writer(ledger_database) as signing:
        await asyncio.wait_for(reached.wait(), 20)
        await open_petition(ledger_database)
        for turn in range(3):
            await signing.submit(Submission(recording(f"signer {turn}"), "site:9c1e04"))
            await until(followed)
            await ledger_database.superuser.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                " AND query LIKE '%checkpoints%' AND pid <> ALL ($1::int[])",
                [reader.get_server_pid(), ledger_database.superuser.get_server_pid()],
            )
        await until(followed)
        quiet = await locks()
        for _ in range(2):
            looked = await last_look()

            async def looked_again(before: object = looked) -> bool:
                return bool(await last_look() > before)

            await until(looked_again)
        assert await locks() == quiet


async def test_a_projection_ahead_of_the_log_stands_still_and_says_so(
    ledger_database: LedgerDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the log ends before a checkpoint, then the projector neither goes on nor ends, and starting says why."""
    monkeypatch.setattr(projecting, "STOPPED", 0.01)
    await open_petition(ledger_database)
    projector = await ledger_database.connect("ledger_projector")
    await catch_up(projector)
    await ledger_database.superuser.execute("UPDATE projections.checkpoints SET position = 7")
    with pytest.raises(ProjectionsStopped) as stopped:
        await reach_head(ledger_of(ledger_database))
    assert "ledger rebuild" in str(stopped.value)
    with pytest.raises(CheckpointAhead):
        await catch_up(projector)
    reached = asyncio.Event()
    with capture_logs() as said:

        async def repeated() -> bool:
            return [line["event"] for line in said].count("projector.stopped") > 1

        task = asyncio.create_task(project(ledger_of(ledger_database), 0.01, reached))
        await until(repeated)
        assert not task.done()
        assert not reached.is_set()
        # What was restored is put right: it goes on by itself.
        await ledger_database.superuser.execute("UPDATE projections.checkpoints SET position = 1")
        await asyncio.wait_for(reached.wait(), 20)
        await cancelled(task)


async def test_a_superuser_or_an_owner_is_refused(ledger_database: LedgerDatabase, tmp_path: Path) -> None:
    """If the login could change the log unseen, then the service does not start with it; one that only takes the
    ledger's roles is fine."""
    admin = ledger_database.superuser
    key = load_root_key(lay_keys(tmp_path / "vault.key"))
    await admin.execute("SELECT ledger.state_key($1)", key_check(key))
    assert "superuser" in " ".join(await broken(ledger_of(ledger_database)))
    for login, roles, word in (
        ("owning", "ledger_owner", "owns"),
        ("migrating", "ledger_migrator", "owns"),
        ("working", "ledger_signing, ledger_reader, ledger_projector, ledger_admin", None),
    ):
        name = f"{login}_{admin.get_server_pid()}"
        await admin.execute(f'CREATE ROLE "{name}" LOGIN NOINHERIT')
        try:
            await admin.execute(f'GRANT {roles} TO "{name}"')
            said = await broken(Ledger(_as(ledger_database.url, name), SOURCE, tmp_path / "vault.key"))
            assert (said == []) if word is None else (word in " ".join(said))
        finally:
            await admin.execute(f'DROP ROLE "{name}"')


async def test_a_database_that_does_not_wait_for_the_disk_is_refused(ledger_database: LedgerDatabase) -> None:
    """If acknowledged would not mean durable, then the service does not start."""
    await ledger_database.superuser.execute(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database()); END $$"
    )
    assert "synchronous_commit" in " ".join(await broken(ledger_of(ledger_database)))


def _as(url: str, login: str) -> str:
    """The same database, by another login."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{login}@{parts.netloc.rpartition('@')[2]}"))
