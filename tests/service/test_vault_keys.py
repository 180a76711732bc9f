"""`ledger keys rotate`: the vault goes to the next epoch, beside a service, cut off and begun again; and what is said
where an epoch's key is missing."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from ledger.epochs import Epochs
from ledger.keys import load_key
from ledger.vault import open_identity
from schemas.canonical import from_base64
from schemas.sealed import SealedIdentity
from service import vault_keys
from service.database import Unavailable
from service.vault_keys import rotate_vault
from tests.conftest import LedgerDatabase
from tests.service.commands import ledger
from tests.service.http.counter import Counter, counter

pytestmark = pytest.mark.database

LOG = "at,kind,signer,email\n" + "".join(f"2024-01-01T10:{n:02}Z,recorded,S{n},canary{n}@ex.org\n" for n in range(9))


@pytest.fixture
async def served(ledger_database: LedgerDatabase, tmp_path: Path) -> Any:
    async with counter(ledger_database, tmp_path) as served:
        await served.open()
        yield served


async def opened(served: Counter) -> dict[str, bytes]:
    """Every identity in the vault, opened with the keys that are there now."""
    epochs = Epochs(served.ledger.key_file)
    return {
        str(row["signature"]): open_identity(
            epochs.of(row["epoch"]), row["signature"], SealedIdentity(row["epoch"], row["wrapped_key"], row["sealed"])
        ).pii
        for row in await served.rows("vault.identities")
    }


async def signed(served: Counter, *names: str) -> dict[str, bytes]:
    """What these signers were told opens their commitments."""
    replies = await asyncio.gather(*[served.sign(name, {"signer": {"email": f"{name}@ex.org"}}) for name in names])
    assert {reply.status for reply in replies} == {201}
    told = [reply.document for reply in replies]
    return {each["signature"]: from_base64(each["opening"]["identity"]) for each in told}


async def test_everything_is_under_the_next_epoch_and_the_old_key_is_gone(served: Counter) -> None:
    """If the vault is rotated, then every row opens under the new epoch, the old key's file is gone, and a service that
    runs goes on signing."""
    told = await signed(served, "a", "b", "c")
    said: list[str] = []
    rotated = await rotate_vault(served.ledger, said.append, on_its_way=0)
    assert (rotated.epoch, rotated.rewrapped) == (2, 3)
    assert [path.name for path in rotated.destroyed] == ["vault.epoch.1"]
    assert Epochs(served.ledger.key_file).numbers() == [2]
    assert await opened(served) == told
    # This service looks again within a second, and until then what it seals is refused as not recorded.
    late = await served.sign("late", {"signer": {"email": "late@ex.org"}})
    assert late.status in (201, 503)
    served.context.epochs._looked = 0.0
    told |= await signed(served, "d")
    again = await served.sign("late", {"signer": {"email": "late@ex.org"}})
    assert again.status == 201
    assert len(await opened(served)) == len(told) + 1
    assert {row["epoch"] for row in await served.rows("vault.identities")} == {2}


async def test_what_is_on_its_way_has_its_time(served: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    """If somebody else is connected, then the old epoch is retired only after what they had sealed has come in; that is
    wrapped anew too."""
    told = await signed(served, "a")
    sleep, late = asyncio.sleep, {}

    async def meanwhile(seconds: float) -> None:
        assert seconds == vault_keys.ON_ITS_WAY
        late.update(await signed(served, "late"))
        monkeypatch.setattr(asyncio, "sleep", sleep)

    served.context.epochs._clock = lambda: 0.0  # it does not see the new epoch
    assert served.context.epochs.newest().number == 1
    monkeypatch.setattr(asyncio, "sleep", meanwhile)
    rotated = await rotate_vault(served.ledger)
    assert (rotated.rewrapped, len(late)) == (2, 1)
    assert await opened(served) == told | late


async def test_a_rotation_that_was_cut_off_goes_on(served: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a rotation died after its epoch was begun, then the next goes on with that epoch; if it died before the old
    file was gone, then the next one destroys that too."""
    told = await signed(served, "a", "b")

    async def killed(*_: Any) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(vault_keys, "rewrap_rows", killed)
        with pytest.raises(KeyboardInterrupt):
            await rotate_vault(served.ledger, on_its_way=0)
    assert Epochs(served.ledger.key_file).numbers() == [1, 2]
    with monkeypatch.context() as patch:
        patch.setattr(Epochs, "destroy", lambda self, number: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            await rotate_vault(served.ledger, on_its_way=0)
    assert Epochs(served.ledger.key_file).numbers() == [1, 2]
    rotated = await rotate_vault(served.ledger, on_its_way=0)
    assert [path.name for path in rotated.destroyed] == ["vault.epoch.1", "vault.epoch.2"]
    assert (rotated.epoch, await opened(served)) == (3, told)


async def test_preparing_only_makes_the_next_epoch(served: Counter) -> None:
    """If a rotation is only prepared, then services seal under the next epoch, and nothing is destroyed until it is
    finished."""
    told = await signed(served, "a")
    assert (await rotate_vault(served.ledger, prepare=True)).epoch == 2
    served.context.epochs._looked = 0.0
    told |= await signed(served, "b")
    assert sorted(row["epoch"] for row in await served.rows("vault.identities")) == [1, 2]
    assert (await rotate_vault(served.ledger, on_its_way=0)).rewrapped == 1
    assert await opened(served) == told


async def test_without_the_key_that_rows_name_nothing_is_rotated(served: Counter) -> None:
    """If the old epoch's key is missing, then its rows are left alone, and it is said which file is needed."""
    await signed(served, "a")
    await rotate_vault(served.ledger, prepare=True)
    Epochs(served.ledger.key_file).path(1).unlink()
    with pytest.raises(Unavailable, match=r"vault\.epoch\.1"):
        await rotate_vault(served.ledger, on_its_way=0)
    assert [row["epoch"] for row in await served.rows("vault.identities")] == [1]


async def test_without_any_epoch_a_signature_is_refused_as_not_recorded(
    ledger_database: LedgerDatabase, tmp_path: Path
) -> None:
    """If the service has no epoch's key, then signing is 503, and the answer names no file."""
    async with counter(ledger_database, tmp_path) as served:
        await served.open()
        Epochs(served.ledger.key_file).path(1).unlink()
        reply = await served.sign("k")
        assert (reply.status, reply.problem) == (503, "unavailable")
        assert b"epoch" not in reply.body


def test_the_command_rotates_and_a_lost_epoch_is_not_replaced(home: Path, tmp_path: Path) -> None:
    """If `ledger keys rotate` is called, then both kinds of keys are new, and it says what it did; if an epoch's file
    is lost, then commands that write exit 3 and name it, and no other is made."""
    log = tmp_path / "log.csv"
    log.write_text(LOG)
    assert ledger(home, "import", "events", str(log), "--petition", "p").code == 0
    keys = home / "keys"
    first = load_key(keys / "vault.epoch.1", "first")
    both = ledger(home, "keys", "rotate", "--json")
    assert both.code == 0, both.err
    said = json.loads(both.out)
    assert said["vkey"]
    assert said["vault"] == {"epoch": 2, "rewrapped": 9, "destroyed": [str(keys / "vault.epoch.1")]}
    only = ledger(home, "keys", "rotate", "--vault")
    assert (only.code, only.out) == (0, "")
    assert f"Destroyed: {keys / 'vault.epoch.2'}" in only.err
    assert sorted(path.name for path in keys.glob("vault*")) == ["vault.epoch.3", "vault.key"]
    assert len(list(keys.glob("seal.key*"))) == 1
    assert ledger(home, "keys", "rotate", "--prepare").code == 2
    path = keys / "vault.epoch.3"
    kept = path.read_bytes()
    path.unlink()
    for command in (("keys", "rotate", "--vault"), ("import", "events", str(log), "--petition", "p"), ("migrate",)):
        lost = ledger(home, *command)
        assert (lost.code, str(path) in lost.err) == (3, True), lost.err
    path.write_bytes(first)
    path.chmod(0o600)
    assert ledger(home, "migrate").code == 3
    path.write_bytes(kept)
    assert ledger(home, "migrate").code == 0
