"""A service's sealing: whoever is killed, wherever, the next one goes on, and what was shown is one log."""

import asyncio
import contextlib
import os
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from signal import SIGKILL
from typing import Any, Final, NoReturn

import asyncpg
import pytest
from structlog.testing import capture_logs

import projections.sealed
from ledger.head_copy import HeadCopy
from ledger.log_reading import Published, newest_published, published, stated_keys
from ledger.merkle import check_consistency, leaf_hash
from ledger.merkle import root as root_of
from ledger.seal_keys import retired_path, rotate_sealing_key, sealing_keys
from ledger.sealing import SealingRefused, seal
from ledger.tree_head import SealingKey, TreeHead, VerifierKey, open_note, read_head, seal_head
from projections.projector import NAMES, catch_up
from projections.rebuild import rebuild
from projections.replay import canonical_rows, replay
from projections.sealed import is_at, sealed_rows
from service.database import Ledger, Unavailable
from service.http.routes import Role
from service.sealing import opened, seal_and_publish
from service.serving import sealing
from service.serving.following import following
from service.serving.orders import Service
from service.serving.sealing import seal_the_log
from service.serving.waiting import cancelled
from service.settings import Settings
from tests.conftest import DatabaseServer, LedgerDatabase
from tests.histories import SOURCE, History, opening, signing, store
from tests.service.commands import ROOT
from tests.service.serving.killed_sealer import POINTS

SETTINGS: Final = Settings()
LINE: Final = "— witness.example/w AAAAAAAA\n".encode()
CUT: Final = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@dataclass
class Log:
    """A ledger that grows by real events, with its key and its copy in a directory of its own."""

    database: LedgerDatabase
    directory: Path
    history: History = field(default_factory=History)

    @property
    def ledger(self) -> Ledger:
        keys, copy = self.directory / "keys" / "seal.key", self.directory / "head" / "checkpoint"
        return Ledger(self.database.url, SOURCE, Path("unused"), keys, copy)

    @property
    def copy(self) -> Path:
        assert self.ledger.head_copy is not None
        return self.ledger.head_copy

    async def grow(self, by: int = 3) -> None:
        """Commit some more events."""
        before = self.history.size
        if before == 0:
            self.history.settle(opening("p", milestones=(5, 10)))
        self.history.settle(*(signing("p", f"{before}/{nth}") for nth in range(by)))
        await store(self.database.superuser, self.history, before)

    def root(self, size: int) -> bytes:
        return root_of([leaf_hash(leaf) for leaf in self.history.leaves[:size]])

    @property
    def keys(self) -> list[SealingKey]:
        assert self.ledger.seal_key_file is not None
        return sealing_keys(self.ledger.seal_key_file, SOURCE)

    async def check(self) -> Published | None:
        """Whatever happened: every head is that of its leaves, nothing is shown that was not copied, and what is copied
        is one of ours; the newest head that is shown."""
        shown = await self.check_heads()
        copied = read_head(self.copy.read_bytes()).size if self.copy.exists() else 0
        assert shown is None or shown.size <= copied
        assert copied == 0 or await self.database.superuser.fetchval(
            "SELECT EXISTS (SELECT FROM ledger.tree_heads WHERE size = $1)", copied
        )
        return shown

    async def check_heads(self) -> Published | None:
        """Every head is that of its leaves, and they were shown in order."""
        superuser = self.database.superuser
        heads = await superuser.fetch("SELECT size, root, note FROM ledger.tree_heads ORDER BY size")
        assert all(row["size"] <= self.history.size for row in heads)
        assert all(row["root"] == self.root(row["size"]) for row in heads)
        assert all(read_head(row["note"]) == (SOURCE, row["size"], row["root"]) for row in heads)
        reader = await self.database.connect("ledger_reader")
        shown = await published(reader)
        assert [each.nth for each in shown] == list(range(1, len(shown) + 1))
        return await newest_published(reader)

    async def until_shown(self, size: int) -> None:
        """Wait until a head of this size, or a larger one, is shown."""

        async def is_shown() -> bool:
            newest = await self.database.superuser.fetchval("SELECT max(size) FROM ledger.published_heads")
            return newest is not None and newest >= size

        await until(is_shown)

    async def is_folded(self) -> bool:
        """Whether the sealed builds have come to the end of the log."""
        return await is_at(await self.database.connect("ledger_projector"), self.history.size)

    async def traces(self) -> object:
        """What writing or locking would change."""
        rows = await self.database.superuser.fetch(
            "SELECT xmin::text, xmax::text, ctid::text FROM ledger.sealing"
            " UNION ALL SELECT xmin::text, xmax::text, ctid::text FROM projections.checkpoints ORDER BY 3"
        )
        return rows, self.copy.stat().st_mtime_ns, self.copy.stat().st_ino

    async def has_caught_up(self) -> None:
        """All of it is sealed, copied and shown, and the sealed builds are of exactly that."""
        shown = await self.check()
        assert shown is not None
        assert (shown.size, shown.root) == (self.history.size, self.root(self.history.size))
        assert self.copy.read_bytes() == shown.note
        reader = await self.database.connect("ledger_reader")
        folded = replay(self.history.leaves)["projections"]
        for name in NAMES:
            position, rows = await sealed_rows(reader, name)
            assert position == shown.size
            assert canonical_rows(rows) == canonical_rows(folded[name])


@pytest.fixture
def log(ledger_database: LedgerDatabase, tmp_path: Path) -> Log:
    return Log(ledger_database, tmp_path)


def quick(**said: Any) -> Settings:
    """To seal again and again without a pause that a test would wait for."""
    return Settings(seal_interval=0.01, **said)


def raising(error: Exception) -> Callable[..., NoReturn]:
    def fail(*_: object) -> NoReturn:
        raise error

    return fail


async def until(condition: Callable[[], Any]) -> None:
    """Wait for a condition that the database shows."""
    async with asyncio.timeout(30):
        while not await condition():  # noqa: ASYNC110 -- nobody announces it
            await asyncio.sleep(0.02)


@asynccontextmanager
async def doing(work: Any) -> AsyncIterator["asyncio.Task[None]"]:
    """Runs beside the test until the block ends."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        await cancelled(task)


async def refusal_of(log: Log, settings: Settings | None = None) -> str:
    """What the service says that does not seal this log, and goes on."""
    with capture_logs() as said:

        async def has_said() -> bool:
            return any(line["event"] == "sealer.refused" for line in said)

        async with doing(seal_the_log(log.ledger, settings or quick())) as task:
            await until(has_said)
            assert not task.done()
    return str(next(line["why"] for line in said if line["event"] == "sealer.refused"))


@asynccontextmanager
async def backup_of(log: Log, server: DatabaseServer) -> AsyncIterator[Log]:
    """Another database as this one is now, with the same key and the same copy."""
    name = f"ledger_test_{uuid.uuid4().hex}"
    source = await log.database.superuser.fetchval("SELECT current_database()")
    for connection in (log.database.superuser, *log.database.opened):
        await connection.close()
    log.database.opened.clear()
    admin = await asyncpg.connect(os.environ.get("TEST_DATABASE_URL") or server.dsn("postgres"))
    await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{source}"')
    log.database.superuser = await asyncpg.connect(log.database.url)
    database = LedgerDatabase(server.dsn(name), await asyncpg.connect(server.dsn(name)), [])
    try:
        yield Log(database, log.directory, deepcopy(log.history))
    finally:
        for connection in (database.superuser, *database.opened):
            connection.terminate()
        await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await admin.close()


@contextmanager
def sealers(log: Log) -> Iterator[Any]:
    """Forks sealers that die: called with a point, gives what the sealer ended by."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    arguments = [log.database.url, str(log.ledger.seal_key_file), str(log.copy)]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.service.serving.killed_sealer", *arguments],
        cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None

        def run(point: str) -> int:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{point}\n")
            return int(process.stdout.readline())

        try:
            yield run
        finally:
            process.stdin.close()


async def test_a_sealer_may_be_killed_anywhere(log: Log) -> None:
    """If a sealer is killed at any step, then no size has two roots, nothing is shown that is not outside the database,
    and the next one goes on, from one wreck as from one upon the other: first it shows what was sealed already."""
    with sealers(log) as killed_at:
        for point in POINTS:
            await log.grow()
            assert await asyncio.to_thread(killed_at, point) == SIGKILL, point
            before = await log.check()
            assert before is None or point == "published" or before.size < log.history.size
            await log.grow(1)
            await seal_and_publish(log.ledger, SETTINGS)
            await log.has_caught_up()
        for point in reversed(POINTS):
            await log.grow(1)
            assert await asyncio.to_thread(killed_at, point) == SIGKILL, point
            await log.check()
        await seal_and_publish(log.ledger, SETTINGS)
        await log.has_caught_up()
    never_shown = "SELECT size FROM ledger.tree_heads EXCEPT SELECT size FROM ledger.published_heads"
    assert await log.database.superuser.fetch(never_shown) == []
    assert [entry.name for entry in log.copy.parent.iterdir()] == [log.copy.name]


async def test_sealers_that_race_and_lose_their_database_show_one_log(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If several services seal one log, and their connections are cut again and again, then they take turns and go on:
    in the end everything is sealed, once, and shown."""
    monkeypatch.setattr(sealing, "PAUSE", 0.01)
    await log.grow()
    async with contextlib.AsyncExitStack() as running:
        for _ in range(3):
            await running.enter_async_context(doing(seal_the_log(log.ledger, quick())))
        for turn in range(8):
            await log.grow(2)
            if turn % 2:
                await log.until_shown(log.history.size - 3)
            await log.database.superuser.execute(CUT)
        await log.until_shown(log.history.size)
        await until(log.is_folded)
    await log.has_caught_up()


# -- what comes back, and what does not --------------------------------------------------------------------------------


async def test_a_database_put_back_is_not_sealed_again(log: Log, server: DatabaseServer) -> None:
    """If an older backup is restored while the copy is newer, then sealing is refused, though the log has grown again,
    longer than it was; nothing is written over the copy, and the service says so and goes on."""
    await log.grow()
    await seal_and_publish(log.ledger, SETTINGS)
    async with backup_of(log, server) as restored:
        await log.grow()
        await seal_and_publish(log.ledger, SETTINGS)
        newest = log.copy.read_bytes()
        restored.history.settle(*(signing("p", f"other {nth}") for nth in range(9)))
        await store(restored.database.superuser, restored.history, 4)
        with pytest.raises(SealingRefused, match="of 7 events, and this database has sealed 4: it was put back"):
            await seal_and_publish(restored.ledger, SETTINGS)
        assert "put back to an older state" in await refusal_of(restored)
        assert log.copy.read_bytes() == newest
        shown = await restored.check_heads()
        assert shown is not None
        assert shown.size == 4


async def test_a_backup_of_what_was_shown_last_goes_on(log: Log, server: DatabaseServer) -> None:
    """If the backup holds everything that was ever shown, also what was sealed and not shown, then it is sealed on."""
    await log.grow()
    await seal_and_publish(log.ledger, SETTINGS)
    await log.grow()
    await seal(await log.database.connect("ledger_sealer"), SOURCE, log.keys)
    async with backup_of(log, server) as restored:
        await restored.grow()
        await seal_and_publish(restored.ledger, SETTINGS)
        await restored.has_caught_up()


async def test_a_log_that_was_changed_is_not_sealed_again(log: Log) -> None:
    """If the copy has another root than the log has there, then sealing is refused."""
    await log.grow()
    await seal_and_publish(log.ledger, SETTINGS)
    log.copy.write_bytes(seal_head(TreeHead(SOURCE, 4, log.root(3)), log.keys))
    await log.grow()
    with pytest.raises(SealingRefused, match="has another root"):
        await seal_and_publish(log.ledger, SETTINGS)


async def test_a_missing_copy_stops_sealing_until_the_newest_is_laid_there(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the copy is gone though heads were shown, then the service does not seal, says what to lay there, and goes on
    by itself once it lies there."""
    monkeypatch.setattr(sealing, "STOPPED", 0.01)
    await log.grow()
    await seal_and_publish(log.ledger, SETTINGS)
    held = log.copy.read_bytes()
    log.copy.unlink()
    await log.grow()
    assert "Lay the newest `checkpoint` there" in await refusal_of(log)
    async with doing(seal_the_log(log.ledger, quick())):
        log.copy.write_bytes(held)
        await log.until_shown(log.history.size)
    await log.has_caught_up()


async def test_an_older_copy_is_brought_up_to_what_was_shown(log: Log) -> None:
    """If a sealer froze before it wrote the copy, and thawed when another had gone on, then the next one puts the
    newest head there again."""
    await log.grow()
    await seal_and_publish(log.ledger, SETTINGS)
    older = log.copy.read_bytes()
    await log.grow()
    await seal_and_publish(log.ledger, SETTINGS)
    log.copy.write_bytes(older)
    await seal_and_publish(log.ledger, SETTINGS)
    await log.has_caught_up()


async def test_a_copy_elsewhere_follows_what_another_service_publishes(log: Log, tmp_path: Path) -> None:
    """If two services seal one log, each with a copy of its own, then the copy of the one that comes late holds what
    the other has published, and would betray an older database too."""
    elsewhere = HeadCopy(tmp_path / "elsewhere" / "checkpoint")
    await log.grow()
    await seal_and_publish(log.ledger, SETTINGS)
    elsewhere.write(log.copy.read_bytes())
    async with opened(replace(log.ledger, head_copy=elsewhere.path)) as late:
        for _ in range(2):
            await log.grow()
            shown = await seal_and_publish(log.ledger, SETTINGS)
            assert await late.once() == shown
            assert elsewhere.read() == log.copy.read_bytes()


async def test_nothing_is_shown_that_cannot_be_copied(log: Log) -> None:
    """If the copy cannot be written, then the head is sealed and nobody is shown it, until it can."""
    log.copy.parent.write_text("a file in the place of the directory")
    await log.grow()
    with pytest.raises(SealingRefused, match="cannot be"):
        await seal_and_publish(log.ledger, SETTINGS)
    log.copy.parent.unlink()
    log.copy.parent.mkdir()
    log.copy.parent.joinpath("taken").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HeadCopy, "write", raising(OSError(28, "No space left on device")))
        with pytest.raises(SealingRefused, match="No space left on device"):
            await seal_and_publish(log.ledger, SETTINGS)
    assert await log.check() is None
    assert (await log.database.superuser.fetchval("SELECT count(*) FROM ledger.tree_heads")) == 1
    await seal_and_publish(log.ledger, SETTINGS)
    await log.has_caught_up()


async def test_a_quiet_log_is_not_written_to(log: Log) -> None:
    """If nothing was committed since the last pass, then a pass takes no lock and writes nothing, also not the copy."""
    await log.grow()
    async with opened(log.ledger, makes_key=True) as sealer:
        shown = await sealer.once()
        written = await log.traces()
        assert await sealer.once() == shown
        assert await log.traces() == written


async def test_sealed_builds_that_a_rebuild_forgot_are_folded_again(log: Log) -> None:
    """If projections are rebuilt and the log is quiet, then the next pass folds the sealed builds anew, and shows no
    head for it."""
    await log.grow()
    await seal_and_publish(log.ledger, SETTINGS)
    projector = await log.database.connect("ledger_projector")
    await catch_up(projector)
    await rebuild(projector)
    assert not await log.is_folded()
    shown = await seal_and_publish(log.ledger, SETTINGS)
    await log.has_caught_up()
    assert shown is not None
    assert shown.nth == 1


async def test_a_projection_that_cannot_be_folded_is_told_once_and_shown_never(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the sealed builds cannot come to a head's size, then the head is not shown, the service says so once and tries
    again, and goes on when they can."""
    monkeypatch.setattr(sealing, "PAUSE", 0.01)
    monkeypatch.setattr(sealing, "STOPPED", 0.01)
    tried = 0

    async def failing(*_: object) -> None:
        nonlocal tried
        tried += 1
        raise asyncpg.DataError

    async def tried_thrice() -> bool:
        return tried >= 3

    await log.grow()
    with capture_logs() as said:
        with monkeypatch.context() as patch:
            patch.setattr(projections.sealed, "advance", failing)
            task = asyncio.create_task(seal_the_log(log.ledger, quick()))
            await until(tried_thrice)
            assert await log.check() is None

        async def found_again() -> bool:
            return any(line["event"] == "sealer.found_again" for line in said)

        await until(found_again)
        await cancelled(task)
    await log.has_caught_up()
    assert sum(line["event"] == "sealer.lost" for line in said) == 1


# -- keys --------------------------------------------------------------------------------------------------------------


async def test_the_first_key_is_made_and_a_lost_one_is_not(log: Log) -> None:
    """If nothing was ever sealed, then a key is made, for its owner alone; if the key of a log that was sealed is gone,
    then none is put in its place."""
    await log.grow()
    await seal_and_publish(log.ledger, SETTINGS)
    file = log.ledger.seal_key_file
    assert file is not None
    assert file.stat().st_mode & 0o777 == 0o600
    file.unlink()
    await log.grow()
    with pytest.raises(Unavailable, match="there is no sealing key file"):
        await seal_and_publish(log.ledger, SETTINGS)
    assert not file.exists()


async def test_a_service_on_a_given_database_makes_no_key(log: Log) -> None:
    """If the database is given, and the key is missing, then the service says so and does not seal."""
    await log.grow()
    said = await refusal_of(log, Settings(database_url=log.database.url))
    assert "there is no sealing key file" in said
    assert log.ledger.seal_key_file is not None
    assert not log.ledger.seal_key_file.exists()


async def test_a_key_that_others_may_read_does_not_seal(log: Log) -> None:
    """If others than its owner may use the file, then nothing is sealed, and the sentence says what to do."""
    await log.grow()
    await seal_and_publish(log.ledger, SETTINGS)
    assert log.ledger.seal_key_file is not None
    log.ledger.seal_key_file.chmod(0o640)
    assert "chmod 600" in await refusal_of(log)
    with pytest.raises(Unavailable, match="chmod 600"):
        await seal_and_publish(log.ledger, SETTINGS)


async def test_a_rotated_key_seals_from_the_next_head_on(log: Log) -> None:
    """If the key is rotated while the service runs, then the next head has the seals of both, the new one first, and
    both are listed; once the retired file is gone, of the new one alone."""
    await log.grow()
    reader = await log.database.connect("ledger_reader")
    assert log.ledger.seal_key_file is not None
    async with doing(seal_the_log(log.ledger, quick())):
        await log.until_shown(log.history.size)
        (old,) = log.keys
        new = rotate_sealing_key(log.ledger.seal_key_file, SOURCE)
        await log.grow()
        await log.until_shown(log.history.size)
        shown = await newest_published(reader)
        assert shown is not None
        assert open_note(shown.note, [old.verifier, new.verifier]).seals == (new.verifier, old.verifier)
        assert await stated_keys(reader) == [new.verifier.vkey, old.verifier.vkey]
        retired_path(log.ledger.seal_key_file, old).unlink()
        await log.grow()
        await log.until_shown(log.history.size)
        shown = await newest_published(reader)
        assert shown is not None
        assert open_note(shown.note, [old.verifier, new.verifier]).seals == (new.verifier,)


# -- who seals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "interval", "seals"),
    [("all", 1.0, True), ("admin", 0.1, True), ("admin", 0, False), ("public", 1.0, False)],
)
async def test_admins_seal_and_the_public_does_not(log: Log, role: Role, interval: float, seals: bool) -> None:
    """If a service has the role all or admin, then it seals, unless it is told not to; a public one never does."""
    service = Service(log.ledger, Settings(seal_interval=interval), role, "127.0.0.1", 0, 1)
    async with following(service):
        assert ("sealing" in {task.get_name() for task in asyncio.all_tasks()}) == seals


# -- the witness -------------------------------------------------------------------------------------------------------


class Cosigner:
    """A witness that signs, is away, or says that this is not the log that it knows."""

    def __init__(self) -> None:
        self.may_be_asked = True
        self.contradicts = False
        self.signs = True
        self.seen: bytes | None = None
        self.asked: list[tuple[int, list[bytes]]] = []

    async def cosign(self, note: bytes, keys: Sequence[VerifierKey], prove: Callable[[int], Any]) -> bytes:
        size = read_head(note).size
        old = 0 if self.seen is None else read_head(self.seen).size
        proof = await prove(old) if 0 < old < size else []
        self.asked.append((size, proof))
        if not self.signs:
            return note
        self.seen = note
        return note + LINE

    async def view(self, keys: Sequence[VerifierKey]) -> bytes | None:
        return self.seen


async def test_a_witness_signs_between_the_copy_and_the_publication(log: Log) -> None:
    """If there is a witness, then a head is shown with its line, after a proof that it continues what the witness
    signed; the copy was there before."""
    cosigner = Cosigner()
    async with opened(log.ledger, cosigner=cosigner, makes_key=True) as sealer:  # type: ignore[arg-type]
        for _ in range(2):
            await log.grow()
            shown = await sealer.once()
            assert shown is not None
            assert shown.note.endswith(LINE)
            assert log.copy.read_bytes() + LINE == shown.note
    (_, first), (_, second) = cosigner.asked
    assert first == []
    check_consistency(4, 7, log.root(4), log.root(7), second)


async def test_a_witness_that_was_away_signs_the_head_later(log: Log) -> None:
    """If the witness does not sign, then the head is shown without it; once it does, the same head is shown again, and
    then not any more."""
    cosigner = Cosigner()
    cosigner.signs = False
    await log.grow()
    async with opened(log.ledger, cosigner=cosigner, makes_key=True) as sealer:  # type: ignore[arg-type]
        alone = await sealer.once()
        assert alone == await sealer.once()
        cosigner.signs, cosigner.may_be_asked = True, False
        assert alone == await sealer.once()
        cosigner.may_be_asked = True
        both = await sealer.once()
        assert alone is not None
        assert both is not None
        assert (both.nth, both.size, both.note) == (2, alone.size, alone.note + LINE)
        assert both == await sealer.once()
    await log.check()


async def test_a_head_that_a_witness_contradicts_is_not_shown(log: Log) -> None:
    """If the witness says that a head does not continue what it signed, and what it shows was sealed by our key and is
    not of this log, then nothing is shown; where what it shows is of this log, it is only told."""
    cosigner = Cosigner()
    await log.grow()
    async with opened(log.ledger, cosigner=cosigner, makes_key=True) as sealer:  # type: ignore[arg-type]
        first = await sealer.once()
        await log.grow()
        cosigner.contradicts, cosigner.signs = True, False
        second = await sealer.once()
        assert first is not None
        assert second is not None
        assert second.size > first.size
        await log.grow()
        cosigner.seen = seal_head(TreeHead(SOURCE, 9, bytes(32)), log.keys)
        with pytest.raises(SealingRefused, match="What a witness has seen"):
            await sealer.once()
    with pytest.raises(SealingRefused, match="What a witness has seen"):
        async with opened(log.ledger, cosigner=cosigner):  # type: ignore[arg-type]
            pass
    assert await newest_published(await log.database.connect("ledger_reader")) == second
