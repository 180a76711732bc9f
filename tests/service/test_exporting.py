"""Exporting: a bundle that anybody can verify, made of what was sealed, and the same as a mirror of the service."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ledger.bundle import Bundle, NotOurs
from ledger.log_reading import newest_published, published
from ledger.reading import leaves
from ledger.seal_keys import rotate_sealing_key
from ledger.sealing import SealingRefused
from ledger.tree_head import read_head
from ledger.verify import Report, verify
from ledger.writer import Writer
from projections.replay import replay
from schemas.commands import Submission
from service import exporting
from service.bundles import Disputed, Laid
from service.database import Ledger, Unavailable
from service.exporting import NothingRecorded, export
from service.mirroring import mirror
from service.sealing import seal_and_publish
from service.settings import Settings
from tests.conftest import DatabaseServer, LedgerDatabase
from tests.filling import ADMIN, LIBRARY
from tests.histories import SOURCE, History, histories, opening, store
from tests.ledger.laying import content
from tests.service.http.porch import another_database, served

FEW = settings(
    max_examples=5,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # an example is a database: too dear to shrink
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


def ledger_of(database: LedgerDatabase, home: Path) -> Ledger:
    return Ledger(database.url, SOURCE, home / "vault.key", home / "seal.key", home / "head" / "checkpoint")


async def exported(database: LedgerDatabase, home: Path, directory: Path | None = None) -> Laid:
    """Export a database, with keys in this home."""
    return await export(ledger_of(database, home), Settings(home=home), directory or home / "bundle")


def checked(laid: Laid, **given: Any) -> Report:
    """What an auditor finds in it."""
    return verify(laid.directory, laid.vkeys, **given)


async def open_another(database: LedgerDatabase, petition: str) -> None:
    async with Writer(lambda: database.connect("ledger_admin"), "ledger_admin", SOURCE) as writer:
        await writer.submit(Submission(opening(petition), ADMIN))


async def test_an_export_verifies_clean_and_covers_every_event(filled_database: LedgerDatabase, tmp_path: Path) -> None:
    """If a ledger is exported, then nothing is found in the bundle, and its leaves are all that was committed."""
    laid = await exported(filled_database, tmp_path)
    report = checked(laid)
    assert report.findings == []
    reader = await filled_database.connect("ledger_reader")
    committed = [leaf async for leaf in leaves(reader, upto=laid.head.size)]
    assert await reader.fetchval("SELECT position FROM ledger.head") == laid.head.size
    assert list(Bundle.find(laid.directory).leaves()) == committed
    newest = await newest_published(reader)
    assert newest is not None
    assert Bundle.find(laid.directory).note == newest.note
    manifest = json.loads((laid.directory / "manifest.json").read_bytes())
    assert (manifest["origin"], manifest["size"], manifest["vkeys"]) == (SOURCE, laid.head.size, list(laid.vkeys))


async def test_what_it_claims_is_the_fold_of_its_leaves(filled_database: LedgerDatabase, tmp_path: Path) -> None:
    """If the claims of a bundle are read, then they are what a replay of its leaves gives."""
    laid = await exported(filled_database, tmp_path)
    folded = replay(Bundle.find(laid.directory).leaves())["projections"]
    for name, rows in folded.items():
        claimed = json.loads((laid.directory / "projections" / f"{name}.json").read_bytes())
        assert claimed["rows"] == rows
        assert claimed["as_of_position"] == laid.head.size


async def test_again_into_the_same_directory_adds_what_is_new(filled_database: LedgerDatabase, tmp_path: Path) -> None:
    """If more was recorded, then the next export has it and continues the head before, whose partial tiles go."""
    first = await exported(filled_database, tmp_path)
    kept = (first.directory / "checkpoint").read_bytes()
    await open_another(filled_database, "another")
    second = await exported(filled_database, tmp_path)
    assert second.head.size == first.head.size + 1
    assert checked(second, since=kept).findings == []
    assert (first.removed, second.removed) == (0, 2)
    notes = list(Bundle.find(second.directory).notes())
    assert [read_head(note).size for note in notes] == [first.head.size, second.head.size]
    before = content(second.directory)
    third = await exported(filled_database, tmp_path)
    after = content(third.directory)
    assert before.pop("manifest.json") != after.pop("manifest.json"), "it says when it was made"
    assert before == after


async def test_a_bundle_that_grew_is_the_one_that_is_made_at_once(
    filled_database: LedgerDatabase, tmp_path: Path
) -> None:
    """If one bundle was brought up to date and another one made anew, then they are the same but for the manifest."""
    await exported(filled_database, tmp_path)
    await open_another(filled_database, "another")
    grown = content((await exported(filled_database, tmp_path)).directory)
    anew = content((await exported(filled_database, tmp_path, tmp_path / "anew")).directory)
    del grown["manifest.json"], anew["manifest.json"]
    assert grown == anew


async def test_an_export_beside_a_sealer_is_of_one_head(filled_database: LedgerDatabase, tmp_path: Path) -> None:
    """If events are recorded and sealed all the time, then each export is still whole, and later ones continue it."""
    ledger, settings = ledger_of(filled_database, tmp_path), Settings(home=tmp_path)
    async with moving(filled_database, ledger, settings):
        for _ in range(3):
            laid = await exported(filled_database, tmp_path)
            assert checked(laid).findings == []


async def test_nothing_recorded_is_nothing_to_export(ledger_database: LedgerDatabase, tmp_path: Path) -> None:
    """If a ledger is empty, then that is said, and no directory is made."""
    with pytest.raises(NothingRecorded):
        await exported(ledger_database, tmp_path)
    assert not (tmp_path / "bundle").exists()


async def test_a_directory_of_somebody_else_is_refused_before_anything_is_sealed(
    filled_database: LedgerDatabase, tmp_path: Path
) -> None:
    """If the directory holds something else, then nothing is sealed or written."""
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "holiday.jpg").write_bytes(b"")
    with pytest.raises(NotOurs, match=r"holiday\.jpg"):
        await exported(filled_database, tmp_path)
    assert await published(await filled_database.connect("ledger_reader")) == []
    assert content(tmp_path / "bundle") == {"holiday.jpg": b""}


@pytest.mark.parametrize(
    ("edited", "refusal"),
    [
        ("leaf = leaf || ' ', leaf_hash = sha256('\\x00'::bytea || leaf || ' ')", SealingRefused),
        ("leaf = leaf || ' '", Disputed),
    ],
    ids=["with its hash", "alone"],
)
async def test_a_log_that_was_edited_is_exported_no_further(
    filled_database: LedgerDatabase, tmp_path: Path, edited: str, refusal: type[Exception]
) -> None:
    """If a superuser changed an event that was sealed, then no bundle is made of it, and the one before stays."""
    laid = await exported(filled_database, tmp_path)
    before = content(laid.directory)
    for statement in (
        "ALTER TABLE ledger.events DISABLE TRIGGER USER",
        "ALTER TABLE ledger.events DROP CONSTRAINT IF EXISTS events_check1",
        f"UPDATE ledger.events SET {edited} WHERE position = 3",  # noqa: S608 - one of the two above
    ):
        await filled_database.superuser.execute(statement)
    with pytest.raises(refusal):
        await exported(filled_database, tmp_path, tmp_path / "anew")
    assert not (tmp_path / "anew").exists()
    assert content(laid.directory) == before


async def test_after_a_rotation_it_verifies_with_both_keys_and_with_the_old_one(
    filled_database: LedgerDatabase, tmp_path: Path
) -> None:
    """If the sealing key was rotated between two exports, then all its keys are told, and the old one still does."""
    (before,) = (await exported(filled_database, tmp_path)).vkeys
    rotate_sealing_key(tmp_path / "seal.key", SOURCE)
    await open_another(filled_database, "another")
    laid = await exported(filled_database, tmp_path)
    new, old = laid.vkeys
    assert old == before
    assert laid.keys() == f"--vkey {new} --vkey {old}"
    assert checked(laid).findings == []
    assert verify(laid.directory, [old]).findings == []
    assert {found.where for found in verify(laid.directory, [new]).findings} == {"checkpoints, note 1"}


async def test_a_key_that_is_lost_is_said_to_be(filled_database: LedgerDatabase, tmp_path: Path) -> None:
    """If the sealing key is gone, then the export is not available, and nothing is made."""
    await exported(filled_database, tmp_path)
    (tmp_path / "seal.key").unlink()
    await open_another(filled_database, "another")
    with pytest.raises(Unavailable):
        await exported(filled_database, tmp_path, tmp_path / "anew")
    assert not (tmp_path / "anew").exists()


async def test_what_the_head_covers_is_read_in_pages(
    filled_database: LedgerDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If there are more leaves than are held at once, then the bundle is the same, and progress is told."""
    laid = await exported(filled_database, tmp_path)
    monkeypatch.setattr(exporting, "AT_ONCE", 7)
    told: list[tuple[int, int]] = []
    again = await export(
        ledger_of(filled_database, tmp_path),
        Settings(home=tmp_path),
        tmp_path / "again",
        progress=lambda done, total: told.append((done, total)),
    )
    size = laid.head.size
    assert told == [*((done, size) for done in range(7, size, 7)), (size, size)]
    assert content(again.directory).keys() == content(laid.directory).keys()
    assert checked(again).findings == []


@given(histories(), st.data())
@FEW
def test_a_random_history_verifies_and_its_mirror_is_the_same(
    server: DatabaseServer, ledger_template: str, tmp_path_factory: pytest.TempPathFactory,
    history: History, data: st.DataObject,
) -> None:  # fmt: skip
    """If any history is sealed and exported now and then, then the bundle verifies clean at every head, and a mirror of
    the service that serves it is the same, byte for byte, but for the manifest.
    """
    steps = sorted(data.draw(st.sets(st.integers(1, max(history.size, 1)), min_size=1, max_size=3)))

    async def example() -> None:
        home = tmp_path_factory.mktemp("example")
        async with another_database(server, ledger_template) as database, served(database, home) as porch:
            done = 0
            for step in [step for step in steps if step <= history.size]:
                await store_between(database, history, done, step)
                done = step
                laid = await exported(database, home)
                assert checked(laid).findings == []
                await porch.project()
                await mirror(porch.address, home / "mirror")
            if done:
                ours, theirs = content(home / "bundle"), content(home / "mirror")
                assert json.loads(ours.pop("manifest.json"))["root"] == json.loads(theirs.pop("manifest.json"))["root"]
                assert ours == theirs

    asyncio.run(example())


async def store_between(database: LedgerDatabase, history: History, after: int, upto: int) -> None:
    """Put the events of (after, upto] into the log."""
    part = History(events=history.events[:upto], recorded=history.recorded)
    await store(database.superuser, part, after)


@asynccontextmanager
async def moving(database: LedgerDatabase, ledger: Ledger, settings: Settings) -> AsyncIterator[None]:
    """Somebody records and seals while the block runs."""

    async def move() -> None:
        number = 0
        while True:
            number += 1
            await open_another(database, f"{LIBRARY}-{number}")
            await seal_and_publish(ledger, settings)

    task = asyncio.create_task(move())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
