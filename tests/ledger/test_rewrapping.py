"""The vault's rows: sealed when they come or where an earlier release kept them plain, wrapped anew for an epoch."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from ledger import migrations, rewrapping
from ledger.connecting import Connection, connect
from ledger.epochs import Epochs
from ledger.keys import KeyMissing, KeyRefused
from ledger.migrations import LEDGER, migrate, shipped
from ledger.rewrapping import (
    Unreadable,
    begin_epoch,
    rewrap_rows,
    seal_plain,
    settle_epochs,
    stated_epochs,
)
from ledger.vault import Epoch, Opened, open_identity, seal_identity
from schemas.commands import Accepted
from schemas.sealed import SealedIdentity
from tests.conftest import FreshDatabase, LedgerDatabase
from tests.ledger.submissions import by_site, recording, some_bytes, some_id
from tests.ledger.writing import reasons, writer
from tests.vaults import EPOCH, SEALED, lay_keys

PAGE = 7


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewrapping, "PAGE", PAGE)


@pytest.fixture
def epochs(tmp_path: Path) -> Epochs:
    return Epochs(lay_keys(tmp_path / "vault.key"))


def jane(n: int) -> Opened:
    return Opened(some_bytes(f"nonce {n}", 32), f'{{"email":"canary{n}@ex.org"}}'.encode())


def sealed(n: int, epoch: Epoch = EPOCH) -> Any:
    """The n-th signature, with an identity that opens."""
    command = recording(f"s{n}")
    random = some_bytes(f"a{n}", 32) + some_bytes(f"b{n}", 24)
    return by_site(replace(command, identity=seal_identity(epoch, command.signature, jane(n), random)))


async def sign(database: LedgerDatabase, numbers: range) -> None:
    async with writer(database) as site:
        outcomes = await site.submit_all([sealed(n) for n in numbers])
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)


async def opened(connection: "asyncpg.Connection[Any]", epochs: Epochs) -> dict[UUID, Opened]:
    """Every row, opened."""
    rows = await connection.fetch("SELECT signature, epoch, wrapped_key, sealed FROM vault.identities")
    return {
        row[0]: open_identity(epochs.of(row["epoch"]), row["signature"], SealedIdentity(*list(row)[1:])) for row in rows
    }


def names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def whole(numbers: range) -> dict[UUID, Opened]:
    return {recording(f"s{n}").signature: jane(n) for n in numbers}


async def second(database: LedgerDatabase, epochs: Epochs) -> Epoch:
    """The next epoch, begun."""
    return await begin_epoch(await database.connect("ledger_admin"), epochs, 2, epochs.draft)


# -- rows come sealed --------------------------------------------------------------------------------------------------


async def test_nothing_in_the_vault_is_readable_without_an_epochs_key(petition: LedgerDatabase, epochs: Epochs) -> None:
    """If signatures were recorded, then their rows hold nothing of an identity, and the epoch opens each of them."""
    await sign(petition, range(3))
    stored = await petition.superuser.fetch("SELECT i::text AS row FROM vault.identities i")
    assert len(stored) == 3
    assert not any(b"canary".hex() in row["row"] or "canary" in row["row"] for row in stored)
    assert await opened(petition.superuser, epochs) == whole(range(3))


@pytest.mark.parametrize(
    "row",
    [
        (b"{}", bytes(32), None, None, None),
        (b"{}", bytes(32), 1, bytes(60), bytes(61)),
        (None, None, 1, bytes(59), bytes(61)),
        (None, None, 1, bytes(60), bytes(60)),
        (None, None, 1, bytes(60), None),
        (None, None, 1, None, bytes(61)),
        (None, None, None, bytes(60), bytes(61)),
        (None, None, None, None, None),
    ],
)
async def test_a_row_that_is_not_sealed_is_refused_by_the_table(
    ledger_database: LedgerDatabase, row: tuple[Any, ...]
) -> None:
    """If a row is plain, both, neither or half, then nobody can insert it, not even the superuser."""
    with pytest.raises(asyncpg.CheckViolationError):
        await ledger_database.superuser.execute(
            "INSERT INTO vault.identities VALUES ($1, $2, $3, $4, $5, $6)", some_id("x"), *row
        )


@pytest.mark.parametrize("epoch", [2, 7])
async def test_a_row_of_an_epoch_that_is_not_stated_is_refused(petition: LedgerDatabase, epoch: int) -> None:
    """If a row names an epoch that the ledger does not know, then it is refused, and the others are recorded."""
    async with writer(petition) as site:
        outcomes = await site.submit_all(
            [by_site(recording("a")), by_site(recording("b", identity=replace(SEALED, epoch=epoch)))]
        )
    assert reasons(outcomes) == {1: "refused"}


# -- rows of earlier releases ------------------------------------------------------------------------------------------


async def test_what_an_earlier_release_kept_plain_is_sealed(
    fresh_database: FreshDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the vault was written by a release that kept it plain, then migrating and sealing leaves nothing plain, by two
    at once and cut off in between; every row opens to what it was, and the table takes nothing plain any more."""
    url = await fresh_database()
    owner = await asyncpg.connect(url)
    with monkeypatch.context() as before:
        before.setattr(migrations, "shipped", lambda package: [m for m in shipped(package) if m.name < "ledger/0015"])
        await migrate(owner, [LEDGER])
    count = 5 * PAGE + 3
    await owner.executemany(
        "INSERT INTO vault.identities VALUES ($1, $2, $3)",
        [(recording(f"s{n}").signature, jane(n).pii, jane(n).nonce) for n in range(count)],
    )
    await migrate(owner, [LEDGER])
    admins = [await connect(url, "ledger_admin") for _ in range(2)]
    epochs = Epochs(tmp_path / "vault.key")
    epoch = await settle_epochs(admins[0], epochs, epochs.draft)

    def cut(done: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        await seal_plain(admins[0], epoch, cut)
    assert await owner.fetchval("SELECT count(*) FROM vault.identities WHERE sealed IS NULL") == count - PAGE
    done = await asyncio.gather(*[seal_plain(admin, epoch) for admin in admins])
    assert sum(done) == count - PAGE
    assert await opened(owner, epochs) == whole(range(count))
    assert await owner.fetchval("SELECT count(*) FROM vault.identities WHERE num_nonnulls(pii, nonce) > 0") == 0
    assert await owner.fetchval("SELECT convalidated FROM pg_constraint WHERE conname = 'identities_sealed'")
    for connection in (owner, *admins):
        await connection.close()


# -- epochs ------------------------------------------------------------------------------------------------------------


async def test_those_who_begin_together_have_one_epoch(fresh_database: FreshDatabase, tmp_path: Path) -> None:
    """If several processes settle the first epoch at once, then there is one key, and all of them hold it."""
    url = await fresh_database()
    owner = await asyncpg.connect(url)
    await migrate(owner, [LEDGER])
    await owner.close()

    async def settle() -> bytes:
        own = Epochs(tmp_path / "vault.key")
        admin = await connect(url, "ledger_admin")
        try:
            return (await settle_epochs(admin, own, own.draft)).check
        finally:
            await admin.close()

    assert len(set(await asyncio.gather(*[settle() for _ in range(4)]))) == 1
    assert names(tmp_path) == ["vault.epoch.1"]


async def test_a_key_of_another_machine_is_not_replaced(ledger_database: LedgerDatabase, tmp_path: Path) -> None:
    """If an epoch is stated whose key is not here, or is another, then that is said, with the file, and nothing is
    made."""
    admin = await ledger_database.connect("ledger_admin")
    epochs = Epochs(tmp_path / "vault.key")
    with pytest.raises(KeyMissing, match=r"vault\.epoch\.1"):
        await settle_epochs(admin, epochs, epochs.draft)
    with pytest.raises(KeyMissing):  # whoever began at the same moment elsewhere
        await begin_epoch(admin, epochs, 1, epochs.draft)
    assert names(tmp_path) == []
    epochs.draft(1)
    epochs.publish(1)
    with pytest.raises(KeyRefused, match=r"vault\.epoch\.1 is not the key"):
        await settle_epochs(admin, Epochs(tmp_path / "vault.key"), epochs.draft)
    assert await admin.fetchval("SELECT ledger.state_epoch(9, $1)", bytes(16)) is None


async def test_stating_that_was_cut_off_is_finished_by_whoever_comes(
    ledger_database: LedgerDatabase, epochs: Epochs
) -> None:
    """If a process died between stating an epoch and publishing it, then the next one publishes it."""
    admin = await ledger_database.connect("ledger_admin")
    await admin.fetchval("SELECT ledger.state_epoch(2, $1)", epochs.draft(2).check)
    assert Epochs(epochs.path(1).with_name("vault.key")).newest().number == 1
    assert (await settle_epochs(admin, epochs, epochs.draft)).number == 2


async def test_rows_are_wrapped_anew_beside_a_writer(petition: LedgerDatabase, epochs: Epochs) -> None:
    """If rows are wrapped anew while others come in, by two at once, then each is wrapped once, those that came in late
    too, and all of them open under the new epoch alone."""
    count = 4 * PAGE + 2
    await sign(petition, range(count))
    new = await second(petition, epochs)
    one, other = [await petition.connect("ledger_privacy") for _ in range(2)]
    first, second_one, _ = await asyncio.gather(
        rewrap_rows(one, epochs, new), rewrap_rows(other, epochs, new), sign(petition, range(count, count + 9))
    )
    done = first + second_one
    while late := await rewrap_rows(one, epochs, new):
        done += late
    assert done == count + 9
    assert await one.fetchval("SELECT ledger.retire_epochs(2)") is True
    epochs.destroy(1)
    assert await opened(petition.superuser, epochs) == whole(range(count + 9))


async def test_an_epoch_that_a_row_names_is_not_retired(petition: LedgerDatabase, epochs: Epochs) -> None:
    """If rows still name an epoch, then it is not retired, also where wrapping was cut off; then it goes on, and it
    is."""
    await sign(petition, range(2 * PAGE))
    new = await second(petition, epochs)
    privacy = await petition.connect("ledger_privacy")

    def cut(done: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        await rewrap_rows(privacy, epochs, new, cut)
    assert await privacy.fetchval("SELECT ledger.retire_epochs(2)") is False
    assert [each.is_retired for each in await stated_epochs(privacy)] == [False, False]
    assert await rewrap_rows(privacy, epochs, new) == PAGE
    assert await privacy.fetchval("SELECT ledger.retire_epochs(2)") is True
    assert [(each.is_retired, each.is_named) for each in await stated_epochs(privacy)] == [(True, False), (False, True)]


async def test_nothing_is_recorded_under_a_retired_epoch(petition: LedgerDatabase, epochs: Epochs) -> None:
    """If a service did not see that an epoch was retired, then what it sealed is not recorded, and it is told so: the
    same request can be sent again. The database says the same."""
    await second(petition, epochs)
    privacy = await petition.connect("ledger_privacy")
    assert await privacy.fetchval("SELECT ledger.retire_epochs(2)") is True
    async with writer(petition) as site:
        outcomes = await site.submit_all([sealed(1), sealed(2, epochs.of(2)), sealed(1)])
    assert reasons(outcomes) == {0: "epoch-retired", 2: "epoch-retired"}
    with pytest.raises(asyncpg.RaiseError, match="stated and not retired"):
        await petition.superuser.execute(
            "INSERT INTO vault.identities VALUES ($1, NULL, NULL, 1, $2, $3)", some_id("x"), bytes(60), bytes(61)
        )
    for statement in ("ledger.rewrap(1, '{}', '{}', '{}')", "ledger.retire_epochs(1)", "ledger.retire_epochs(9)"):
        with pytest.raises(asyncpg.RaiseError):
            await privacy.fetchval(f"SELECT {statement}")


async def test_a_key_is_replaced_only_where_it_is_what_was_read(petition: LedgerDatabase, epochs: Epochs) -> None:
    """If a row was wrapped anew meanwhile, or is of that epoch already, then what was made of the old key is not
    stored."""
    await sign(petition, range(1))
    await second(petition, epochs)
    privacy = await petition.connect("ledger_privacy")
    ((signature, _, wrapped),) = await privacy.fetch("SELECT * FROM ledger.wrapped_keys(2, 0, $1, 9)", UUID(int=0))

    async def put(was: bytes, fill: bytes) -> Any:
        return await privacy.fetchval("SELECT ledger.rewrap(2, $1, $2, $3)", [signature], [was], [fill * 60])

    assert [await put(bytes(60), b"a"), await put(wrapped, b"b"), await put(wrapped, b"c")] == [0, 1, 0]
    assert await put(b"b" * 60, b"d") == 0


async def test_a_row_that_does_not_open_stops_the_rotation(petition: LedgerDatabase, epochs: Epochs) -> None:
    """If a wrapped key does not open, then wrapping stops and names the signature, and the epoch cannot be retired."""
    async with writer(petition) as site:
        await site.submit(by_site(recording("broken")))
    new = await second(petition, epochs)
    privacy = await petition.connect("ledger_privacy")
    with pytest.raises(Unreadable, match=str(recording("broken").signature)):
        await rewrap_rows(privacy, epochs, new)
    assert await privacy.fetchval("SELECT ledger.retire_epochs(2)") is False


async def test_those_who_serve_can_neither_read_nor_wrap(petition: LedgerDatabase) -> None:
    """If the role of live signing or of admins is taken over, then it wraps and retires nothing; the public's reads no
    row."""
    refused: dict[Any, tuple[str, ...]] = {
        "ledger_signing": ("ledger.wrapped_keys(9, 0, NULL, 1)", "ledger.plain_identities(NULL, 1)"),
        "ledger_admin": ("ledger.wrapped_keys(9, 0, NULL, 1)", "ledger.rewrap(1, NULL, NULL, NULL)"),
        "ledger_privacy": ("ledger.plain_identities(NULL, 1)", "ledger.state_epoch(2, NULL)"),
        "ledger_reader": ("ledger.stated_epochs()", "vault.epochs"),
    }
    for role, asked in refused.items():
        connection: Connection = await petition.connect(role)
        for each in (*asked, "vault.identities"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(f"SELECT * FROM {each}")  # noqa: S608
