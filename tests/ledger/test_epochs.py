"""The files of the vault's epochs: drafted, published, found when they are newer, destroyed when they are retired."""

import os
from pathlib import Path

import pytest

from ledger.epochs import LOOK, Epochs
from ledger.keys import KeyMissing, KeyRefused


class Clock:
    """A clock that stands until it is told to go on."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def vault_key(tmp_path: Path) -> Path:
    return tmp_path / "vault.key"


def made(vault_key: Path, number: int) -> bytes:
    """A published epoch: its check."""
    epochs = Epochs(vault_key)
    drafted = epochs.draft(number)
    assert epochs.publish(number).check == drafted.check
    return drafted.check


def names(vault_key: Path) -> list[str]:
    return sorted(path.name for path in vault_key.parent.iterdir())


def test_an_epoch_is_a_private_file_beside_the_vaults_key(vault_key: Path) -> None:
    """If an epoch is published, then its file is `vault.epoch.N`, its owner's alone, and the draft is gone."""
    check = made(vault_key, 1)
    assert names(vault_key) == ["vault.epoch.1"]
    path = vault_key.with_name("vault.epoch.1")
    assert (path.stat().st_mode & 0o777, path.stat().st_size) == (0o600, 32)
    assert Epochs(vault_key).of(1).check == Epochs(vault_key).newest().check == check


def test_two_ledgers_keep_their_epochs_apart(tmp_path: Path) -> None:
    """If two vault keys lie in one directory, then each has epochs of its own."""
    one, other = tmp_path / "one.key", tmp_path / "other_key"
    assert made(one, 1) != made(other, 1)
    assert names(one) == ["one.epoch.1", "other_key.epoch.1"]
    assert Epochs(one).numbers() == [1]


def test_a_draft_is_not_sealed_with(vault_key: Path) -> None:
    """If the next epoch is only drafted, then the one before is the newest; drafting again gives the same."""
    first = made(vault_key, 1)
    epochs = Epochs(vault_key)
    drafted = epochs.draft(2)
    assert (epochs.newest().check, epochs.numbers()) == (first, [1])
    assert Epochs(vault_key).drafted(2) is not None
    assert Epochs(vault_key).draft(2).check == drafted.check
    assert Epochs(vault_key).drafted(3) is None


def test_a_draft_that_is_taken_away_meanwhile_is_made_anew(vault_key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If somebody publishes their draft between our finding it and our reading it, then ours is another one."""
    first, ours, link = Epochs(vault_key), Epochs(vault_key), os.link
    theirs: list[bytes] = []

    def late(source: Path, target: Path) -> None:
        monkeypatch.setattr(os, "link", link)
        theirs.append(first.draft(1).check)
        with pytest.raises(FileExistsError):
            link(source, target)
        theirs.append(first.publish(1).check)
        raise FileExistsError

    monkeypatch.setattr(os, "link", late)
    drafted = ours.draft(1)
    assert theirs == [ours.newest().check] * 2
    assert drafted.check != ours.newest().check
    assert (again := ours.drafted(1)) is not None
    assert again.check == drafted.check


def test_a_draft_that_is_never_found_is_refused(vault_key: Path) -> None:
    """If something stands in a draft's place that leads nowhere, then that is said, and it is left alone."""
    place = Epochs(vault_key).draft_path(1)
    place.symlink_to("nowhere")
    with pytest.raises(KeyRefused, match=r"vault\.epoch\.1\.next cannot be made"):
        Epochs(vault_key).draft(1)
    assert names(vault_key) == [place.name]


def test_publishing_can_be_cut_off_anywhere(vault_key: Path) -> None:
    """If publishing was cut off before the draft was taken away, or was done by another, then once more is the same."""
    epochs = Epochs(vault_key)
    check = epochs.draft(1).check
    epochs.path(1).hardlink_to(epochs.draft_path(1))
    assert epochs.publish(1).check == Epochs(vault_key).publish(1).check == check
    assert names(vault_key) == ["vault.epoch.1"]
    epochs.draft(1)  # of somebody who came too late: it replaces nothing
    assert Epochs(vault_key).publish(1).check == check


def test_a_newer_epoch_is_found_by_whoever_seals(vault_key: Path) -> None:
    """If newer epochs are published, then they are taken up within a second, the newest of them, and not asked for with
    every signature."""
    first = made(vault_key, 1)
    clock = Clock()
    epochs = Epochs(vault_key, clock)
    assert epochs.newest().check == first
    made(vault_key, 2)
    third = made(vault_key, 3)
    clock.now += LOOK / 2
    assert epochs.newest().check == first
    Epochs(vault_key).destroy(2)  # two rotations between two looks
    clock.now += LOOK / 2
    assert epochs.newest().check == third


def test_a_newer_one_that_cannot_be_read_leaves_the_one_before(vault_key: Path) -> None:
    """If the newer file is not to be trusted, then sealing goes on under the one before, until it is put right."""
    first, clock = made(vault_key, 1), Clock()
    epochs = Epochs(vault_key, clock)
    assert epochs.newest().check == first
    second = made(vault_key, 2)
    epochs.path(2).chmod(0o644)
    clock.now += LOOK
    assert epochs.newest().check == first
    epochs.path(2).chmod(0o600)
    clock.now += LOOK
    assert epochs.newest().check == second


def test_a_missing_epoch_is_named(vault_key: Path) -> None:
    """If there is no epoch, or not this one, then the sentence names the file, and none is made."""
    made(vault_key, 2)
    with pytest.raises(KeyMissing, match=r"vault's epoch 1 key file .*vault\.epoch\.1"):
        Epochs(vault_key).of(1)
    with pytest.raises(KeyMissing, match=r"elsewhere\.epoch\.1"):
        Epochs(vault_key.with_name("elsewhere.key")).newest()
    assert names(vault_key) == ["vault.epoch.2"]


def test_what_is_no_epochs_file_is_left_alone(vault_key: Path) -> None:
    """If other files lie there, then they are no epochs."""
    made(vault_key, 3)
    for name in ("vault.epoch.", "vault.epoch.0", "vault.epoch.x", "vault.epoch.4.next", "vault.epoch.5~", "vault.key"):
        vault_key.with_name(name).touch()
    assert Epochs(vault_key).numbers() == [3]


def test_a_retired_epoch_is_destroyed_and_the_newest_is_not(vault_key: Path) -> None:
    """If an epoch is destroyed, then its bytes are overwritten before the file goes, and it is not remembered; the
    newest stays, and destroying again is nothing."""
    made(vault_key, 1)
    epochs = Epochs(vault_key)
    epochs.of(1)
    kept = vault_key.with_name("a second name of the same file")
    kept.hardlink_to(epochs.path(1))
    made(vault_key, 2)
    for _ in range(2):
        epochs.destroy(1)
    assert not epochs.path(1).exists()
    assert kept.read_bytes() == bytes(32)
    with pytest.raises(KeyMissing):
        epochs.of(1)
    with pytest.raises(KeyRefused, match="newest"):
        epochs.destroy(2)
    assert epochs.path(2).exists()
