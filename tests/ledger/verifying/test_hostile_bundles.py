"""Bundles made to stop or mislead whoever verifies them, by what lies in the directory and not by what it says."""

import os
import threading
from pathlib import Path

import pytest

from ledger.verify import Report, verify
from tests.ledger.verifying.bundles import OPERATOR, WITNESS, Signer, head_text, lay, leaf_hash, note, root
from tests.ledger.verifying.story import audited, sound

SIZE = sound().heads[-1]


def ends(directory: Path) -> Report:
    """The verdict, which is there within a minute, and no exception."""
    told: list[Report] = []
    verifying = threading.Thread(target=lambda: told.append(verify(directory, [OPERATOR.vkey])), daemon=True)
    verifying.start()
    verifying.join(60)
    assert told, "it never came to an end, or raised"
    return told[0]


@pytest.mark.parametrize("name", ["checkpoint", "checkpoints", "tile/0/000", "projections/tally.json"])
def test_a_pipe_or_a_device_in_the_place_of_a_file(name: str, tmp_path: Path) -> None:
    """If a file is a pipe that nobody writes, or leads to a device that never ends, then it is a finding, and nobody
    waits for it."""
    for kind in ("pipe", "device"):
        directory = lay(tmp_path / kind, sound().files())
        (directory / name).unlink()
        if kind == "pipe":
            os.mkfifo(directory / name)
        else:
            (directory / name).symlink_to("/dev/zero")
        assert name in {found.where for found in ends(directory).findings}


@pytest.mark.parametrize("name", ["tile", "openings", "projections"])
def test_directories_beyond_any_path(name: str, tmp_path: Path) -> None:
    """If directories are nested deeper than a path can say, then the one that cannot be read any more is a finding."""
    here = lay(tmp_path, sound().files()) / name
    here.mkdir(exist_ok=True)
    handle = os.open(here, os.O_RDONLY)
    for _ in range(25):
        os.mkdir("d" * 200, dir_fd=handle)
        above, handle = handle, os.open("d" * 200, os.O_RDONLY, dir_fd=handle)
        os.close(above)
    os.close(handle)
    assert [found.where[: len(name) + 2] for found in ends(tmp_path).findings] == [f"{name}/d"]


def test_a_thousand_directories_in_each_other(tmp_path: Path) -> None:
    """If directories are nested a thousand deep, then a file at the end of them is found."""
    here = str(lay(tmp_path, sound().files()) / "tile")
    for _ in range(1000):
        here += "/d"
        Path(here).mkdir()
    stray = Path(here, "f")
    stray.touch()
    try:
        assert [found.sentence for found in ends(tmp_path).findings] == ["a file that is no tile"]
    finally:
        stray.unlink()
        os.removedirs(here)  # whoever clears this away afterwards may go down by recursion


def test_a_projection_that_no_memory_holds(tmp_path: Path) -> None:
    """If a file of rows is longer than any machine can hold, then it is a finding, and it is not read."""
    directory = lay(tmp_path, sound().files())
    os.truncate(directory / "projections/tally.json", 1 << 40)
    assert [found.where for found in ends(directory).findings] == ["projections/tally.json"]


def test_rows_that_differ_in_their_types_alone(tmp_path: Path) -> None:
    """If a claimed number is a float or a boolean of the same worth, then its column is named."""
    files = sound().files()
    for of_other_type in (b'"withdrawn":0.0', b'"withdrawn":false'):
        changed = files["projections/tally.json"].replace(b'"withdrawn":0', of_other_type, 1)
        (found,) = audited(tmp_path, {**files, "projections/tally.json": changed}).findings
        assert found.sentence == "the events make other values of withdrawn"


def test_two_witnesses_of_one_name(tmp_path: Path) -> None:
    """If two witnesses are asked for that bear one name, and one of them has cosigned, then the other one has not; nor
    does a line count that another listed key of the witness's name made."""
    other = Signer(WITNESS.name, bytes(range(9, 41)), algorithm=4)
    head = note(head_text(SIZE, root(tuple(map(leaf_hash, sound().leaves)))), OPERATOR, WITNESS)
    lay(tmp_path, {**sound().files(), "checkpoint": head, "checkpoints": head})
    for keys, witnesses in (
        ([OPERATOR.vkey], [WITNESS.vkey, other.vkey]),
        ([OPERATOR.vkey, WITNESS.vkey], [other.vkey]),
    ):
        report = verify(tmp_path, keys, witnesses=witnesses)
        assert [found.where for found in report.findings] == ["checkpoint"]
    assert verify(tmp_path, [OPERATOR.vkey], witnesses=[WITNESS.vkey]).findings == []
