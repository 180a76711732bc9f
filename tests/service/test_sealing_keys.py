"""`ledger keys`: which keys the log states, and a new one in the place of the present one."""

from pathlib import Path
from typing import Any

import pytest

from ledger.log_reading import stated_keys
from ledger.seal_keys import sealing_keys
from ledger.tree_head import parse_vkey
from service.database import Ledger, Unavailable
from service.sealing_keys import rotate_key, verifier_keys
from tests.conftest import LedgerDatabase, home_for_a_server
from tests.ledger.sealed_logs import ORIGIN, grow, sealed
from tests.service.commands import ledger


@pytest.fixture
def place(ledger_database: LedgerDatabase, tmp_path: Path) -> Ledger:
    return Ledger(ledger_database.url, ORIGIN, Path("unused"), tmp_path / "keys" / "seal.key", tmp_path / "head")


def files(place: Ledger) -> Any:
    assert place.seal_key_file is not None
    return [key.verifier.vkey for key in sealing_keys(place.seal_key_file, ORIGIN)]


async def seal(database: LedgerDatabase, place: Ledger) -> None:
    assert place.seal_key_file is not None
    await grow(database, 1)
    await sealed(database, sealing_keys(place.seal_key_file, ORIGIN))


async def test_before_the_first_seal_the_files_are_shown(ledger_database: LedgerDatabase, place: Ledger) -> None:
    """If nothing was sealed yet, then the first key is made, rotated and shown, and the log states none."""
    (first,) = await verifier_keys(place)
    assert await verifier_keys(place) == [first] == files(place)
    second = await rotate_key(place)
    assert second.retired is not None
    assert second.retired.exists()
    assert await verifier_keys(place) == [second.vkey, first] == files(place)
    assert await stated_keys(await ledger_database.connect("ledger_reader")) == []


async def test_rotating_where_there_is_no_key_makes_the_first(place: Ledger) -> None:
    """If there is no key and nothing was sealed, then a rotation makes the first key, and none is retired."""
    rotated = await rotate_key(place)
    assert rotated.retired is None
    assert files(place) == [rotated.vkey]


async def test_a_new_key_is_stated_at_once(ledger_database: LedgerDatabase, place: Ledger) -> None:
    """If a key is rotated on a log that was sealed, then auditors are told of the new one before it seals."""
    (first,) = await verifier_keys(place)
    await seal(ledger_database, place)
    second = await rotate_key(place)
    assert await verifier_keys(place) == [second.vkey, first]
    await seal(ledger_database, place)
    assert await verifier_keys(place) == [second.vkey, first]


async def test_a_lost_key_is_shown_and_replaced_by_a_rotation_alone(
    ledger_database: LedgerDatabase, place: Ledger
) -> None:
    """If the file is gone, then showing still tells what the log states, and makes nothing; a rotation makes a new key,
    which is then known."""
    (first,) = await verifier_keys(place)
    await seal(ledger_database, place)
    assert place.seal_key_file is not None
    place.seal_key_file.unlink()
    assert await verifier_keys(place) == [first]
    assert not place.seal_key_file.exists()
    second = await rotate_key(place)
    assert second.retired is None
    assert await verifier_keys(place) == [second.vkey, first]
    await seal(ledger_database, place)


async def test_somebody_elses_key_is_not_rotated(ledger_database: LedgerDatabase, place: Ledger) -> None:
    """If the key in the file is none of this log's, then it is left alone, and nothing is stated."""
    (first,) = await verifier_keys(place)
    await seal(ledger_database, place)
    assert place.seal_key_file is not None
    place.seal_key_file.write_bytes(bytes(32))
    with pytest.raises(Unavailable, match="none of the keys that this log was sealed with"):
        await rotate_key(place)
    assert place.seal_key_file.read_bytes() == bytes(32)
    assert await verifier_keys(place) == [first]


async def test_a_key_that_others_may_read_is_told(place: Ledger) -> None:
    """If the file is not its owner's alone, then neither command goes on."""
    await verifier_keys(place)
    assert place.seal_key_file is not None
    place.seal_key_file.chmod(0o644)
    for work in (verifier_keys, rotate_key):
        with pytest.raises(Unavailable, match="chmod 600"):
            await work(place)


@pytest.mark.database
def test_the_command_makes_shows_and_rotates(tmp_path: Path) -> None:
    """If `ledger keys` is called on an empty place, then it makes the key and prints verifier keys alone, a line each;
    help says that the vault's epoch is rotated too."""
    with home_for_a_server() as home:
        shown = ledger(home, "keys", "show", LEDGER_ORIGIN=ORIGIN)
        assert (shown.code, shown.err) == (0, "")
        assert parse_vkey(shown.lines[0]).name == ORIGIN
        assert (home / "keys" / "seal.key").stat().st_mode & 0o777 == 0o600
        rotated = ledger(home, "keys", "rotate", LEDGER_ORIGIN=ORIGIN)
        assert rotated.code == 0
        assert str(home / "keys" / "seal.key.") in rotated.err
        again = ledger(home, "keys", "show", "--json", LEDGER_ORIGIN=ORIGIN)
        assert again.lines == ['{"vkeys":["%s","%s"]}' % (rotated.lines[0], shown.lines[0])]  # noqa: UP031
        helped = ledger(home, "keys", "rotate", "--help")
        assert "begin a new epoch of the vault" in " ".join(helped.out.split())
        (home / "keys" / "seal.key").chmod(0o640)
        refused = ledger(home, "keys", "show", LEDGER_ORIGIN=ORIGIN)
        assert refused.code == 3
        assert "chmod 600" in refused.err
