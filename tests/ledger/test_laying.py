"""Laying a bundle: whole or not at all, only ever longer, and the same by whatever way it grew."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.bundle import Bundle, Damaged, NotOurs, NotUsable, alone_in
from ledger.laying import Diverged, Laying
from ledger.merkle import leaf_hash
from ledger.placing import recover
from ledger.tiles import Tile, tile_path, tiles_of
from ledger.tree_head import read_head
from tests.ledger.laying import ORIGIN, content, lay, leaf, leaves, note

EDGES = (1, 2, 255, 256, 257, 511, 512, 513, 65_536, 65_537)


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of 300 leaves, whose heads of 3 and 256 were shown too."""
    directory = tmp_path_factory.mktemp("grown") / "bundle"
    lay(directory, [3, 256, 300])
    return directory


@pytest.fixture
def bundle(grown: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(grown, tmp_path / "bundle"))


@pytest.mark.parametrize("size", EDGES)
def test_a_bundle_has_the_tiles_and_entries_of_its_head_and_nothing_else(tmp_path: Path, size: int) -> None:
    """If a head is laid, then every tile of its tree is there, with its leaves, its notes and what is claimed."""
    lay(tmp_path / "b", [size], at_once=1000)
    found = Bundle.find(tmp_path / "b")
    tiles = {tile_path(tile) for tile in tiles_of(size)}
    entries = {name.replace("tile/0/", "tile/entries/") for name in tiles if name.startswith("tile/0/")}
    besides = {"checkpoint", "checkpoints", "manifest.json", "projections/tally.json"}
    assert set(found.files) == tiles | entries | besides
    assert found.is_whole
    assert list(found.leaves()) == leaves(0, size)
    assert found.note == note(size)


def test_hashes_in_tiles_are_those_of_the_leaves_and_of_the_tiles_below(grown: Path) -> None:
    """If a tile is read, then it holds the leaf hashes; and one of level 1 the roots of full tiles."""
    found = Bundle.find(grown)
    assert found.tile(Tile(0, 1, 44)) == b"".join(leaf_hash(leaf(index)) for index in range(256, 300))
    assert found.tile(Tile(1, 0, 1)) == read_head(note(256)).root


@settings(max_examples=20)
@given(st.lists(st.integers(1, 1200), min_size=1, max_size=4, unique=True).map(sorted), st.integers(1, 700))
def test_a_bundle_that_grew_is_the_one_that_was_laid_at_once(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], at_once: int
) -> None:
    """If a bundle grew from head to head, then it is, byte for byte, what laying the last head alone gives."""
    place = tmp_path_factory.mktemp("grew")
    for number in range(len(sizes)):
        lay(place / "by steps", sizes[: number + 1], at_once=at_once)
    lay(place / "at once", sizes)
    assert content(place / "by steps") == content(place / "at once")
    shutil.rmtree(place)


def test_what_is_there_is_left_as_it_is(bundle: Path) -> None:
    """If a bundle grows, then no full tile is written again, and partial tiles of the old head are taken away."""
    full = bundle / "tile" / "0" / "000"
    before = full.stat().st_ino
    laying = lay(bundle, [3, 256, 300, 700])
    assert full.stat().st_ino == before
    assert laying.first == 256
    assert not (bundle / "tile" / "0" / "001.p").exists()
    assert Bundle.find(bundle).superseded() == []


def test_growing_by_nothing_changes_nothing(bundle: Path) -> None:
    """If the head has not moved, then laying it again leaves the same bundle."""
    before = content(bundle)
    lay(bundle, [3, 256, 300])
    assert content(bundle) == before


@pytest.mark.parametrize("forked_at", [0, 255, 256, 299])
def test_a_fork_is_added_to_no_bundle(bundle: Path, forked_at: int) -> None:
    """If any leaf under the bundle's head is another one, then nothing is added, and nothing of it stays."""
    before = content(bundle)
    with pytest.raises(Diverged):
        lay(bundle, [3, 256, 300, 700], forked_at=forked_at)
    assert content(bundle) == before


def test_two_heads_of_one_size_and_an_older_head_are_refused(bundle: Path) -> None:
    """If another head of the same size is shown, or one of a smaller size, then the bundle stays as it is."""
    before = content(bundle)
    for sizes, forked_at in (([300], 299), ([3, 256], None)):
        with pytest.raises(Diverged):
            lay(bundle, sizes, forked_at=forked_at)
    assert content(bundle) == before


def test_leaves_that_do_not_have_the_root_of_a_head_on_the_way_are_refused(tmp_path: Path) -> None:
    """If a head was shown whose root the leaves do not have, then nothing is laid, although the newest one fits."""
    with laying_of(tmp_path / "b", 20) as laying:
        laying.add_notes([note(7, forked_at=3), note(20)])
        laying.begin_leaves()
        laying.take(leaves(0, 20))
        with pytest.raises(Diverged, match="head of 7"):
            laying.finish([], "")
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("notes", [[20], [7], [20, 7], [7, 20, 21], []], ids=str)
def test_heads_are_taken_only_in_order_and_up_to_the_newest(tmp_path: Path, notes: list[int]) -> None:
    """If heads come out of order, beyond the newest, or without it, then they are refused; in order they are taken."""
    with laying_of(tmp_path / "b", 20) as laying:
        try:
            laying.add_notes([note(size) for size in notes])
            laying.begin_leaves()
        except Diverged:
            assert notes != [20]
        else:
            assert notes == [20]


@pytest.mark.parametrize("given", [19, 21])
def test_too_few_or_too_many_leaves_are_refused(tmp_path: Path, given: int) -> None:
    """If there are fewer or more leaves than the head covers, then nothing is laid."""
    with laying_of(tmp_path / "b", 20) as laying:
        laying.add_notes([note(20)])
        laying.begin_leaves()
        laying.take(leaves(0, given))
        with pytest.raises(Diverged):
            laying.finish([], "")
    assert not (tmp_path / "b").exists()


def test_what_a_fork_served_is_kept_as_evidence_beside(bundle: Path) -> None:
    """If what was served is set aside, then both notes and the leaves lie beside the bundle, which stays as it was."""
    before = content(bundle)
    head = read_head(note(700, forked_at=5))
    with alone_in(bundle), Laying(Bundle.find(bundle), head, note(700, forked_at=5)) as laying:
        laying.add_notes([note(700, forked_at=5)])
        laying.begin_leaves()
        laying.take(leaves(laying.first, 700))
        with pytest.raises(Diverged):
            laying.finish([], "")
        kept = laying.set_aside()
    assert kept is not None
    assert kept.parent == bundle.parent
    assert (kept / "checkpoint.held").read_bytes() == note(300)
    assert (kept / "checkpoint.served").read_bytes() == note(700, forked_at=5)
    assert {"tile/entries/001", "tile/entries/002.p/188", "checkpoints"} <= content(kept).keys()
    assert content(bundle) == before


@pytest.mark.parametrize("name", ["tile/0/000", "tile/entries/001.p/44", "tile/1/000.p/1", "checkpoints"])
def test_a_missing_or_shortened_file_is_laid_again(bundle: Path, name: str) -> None:
    """If a file of a bundle is missing or too short, then the next run brings it back."""
    whole = content(bundle)
    (bundle / name).unlink()
    lay(bundle, [3, 256, 300])
    assert content(bundle) == whole
    (bundle / name).write_bytes(whole[name][:20])
    lay(bundle, [3, 256, 300])
    assert content(bundle) == whole


def test_a_run_that_is_cut_anywhere_leaves_the_old_bundle_or_is_finished_by_the_next(
    grown: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a run dies at any write, rename or removal, then the bundle is the old one, or the next run makes it the new
    one; and before that, no bundle that is neither looks like either.
    """
    whole = tmp_path / "whole"
    shutil.copytree(grown, whole)
    lay(whole, [3, 256, 300, 700])
    new, old = content(whole), content(grown)
    seen = set()
    for step in range(1, 500):
        directory = tmp_path / f"cut at {step}"
        shutil.copytree(grown, directory)
        with monkeypatch.context() as patch:
            counted = cut_after(step, patch)
            try:
                lay(directory, [3, 256, 300, 700])
            except Cut:
                pass
            else:
                assert counted() < step
                break
        left = {name: data for name, data in content(directory).items() if not name.startswith(".incoming/")}
        state = "old" if left == old else "new" if left == new else "torn"
        seen.add(state)
        if state == "torn":
            assert (directory / ".incoming" / "checkpoint").exists() or Bundle.find(directory).superseded()
        with alone_in(directory):
            recover(directory)
        lay(directory, [3, 256, 300, 700])
        assert content(directory) == new
        shutil.rmtree(directory)
    else:
        pytest.fail("a run has no end")
    assert seen == {"old", "torn", "new"}


def test_a_first_run_that_is_cut_while_putting_in_place_is_finished(tmp_path: Path) -> None:
    """If the first run dies between two renames, then the directory is finished, not taken for somebody else's."""
    lay(tmp_path / "whole", [300])
    directory = tmp_path / "b"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", failing_after(4, Path.replace))
        with pytest.raises(Cut):
            lay(directory, [300])
    assert not (directory / "checkpoint").exists()
    with pytest.raises(NotOurs):
        Bundle.find(directory)
    lay(directory, [300])
    assert content(directory) == content(tmp_path / "whole")


@pytest.mark.parametrize(
    "strange",
    ["README", "tile/README", "tile/0/0", "tile/0/000.p/256", "tile/0/x000/001", "tile/64/000", "projections/A.json",
     "openings/01.json", "deep/er/checkpoint"],
)  # fmt: skip
def test_a_directory_with_strange_files_is_left_alone(bundle: Path, strange: str) -> None:
    """If something lies there that has no place in a bundle, then it is named, and nothing is touched."""
    (bundle / strange).parent.mkdir(parents=True, exist_ok=True)
    (bundle / strange).write_bytes(b"")
    before = content(bundle)
    with pytest.raises(NotOurs) as refused:
        lay(bundle, [3, 256, 300, 700])
    assert strange.split("/")[0] in str(refused.value)
    assert content(bundle) == before


def test_links_have_no_place_in_a_bundle(bundle: Path, tmp_path: Path) -> None:
    """If a file or a directory of a bundle is a link, then it is refused: it could lead anywhere."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (bundle / "openings").symlink_to(outside)
    with pytest.raises(NotOurs):
        lay(bundle, [3, 256, 300])
    (bundle / "openings").unlink()
    (bundle / ".incoming").symlink_to(outside)
    with pytest.raises(NotOurs):
        lay(bundle, [3, 256, 300])
    assert outside.exists()


def test_a_directory_without_a_checkpoint_is_nobody_s(tmp_path: Path) -> None:
    """If there are tiles and no checkpoint, or one that is no note, then the directory is left alone."""
    lay(tmp_path / "b", [3])
    (tmp_path / "b" / "checkpoint").write_bytes(b"hello")
    with pytest.raises(NotOurs):
        Bundle.find(tmp_path / "b")
    (tmp_path / "b" / "checkpoint").unlink()
    with pytest.raises(NotOurs):
        Bundle.find(tmp_path / "b")


def test_a_bundle_belongs_to_one_log(grown: Path) -> None:
    """If a bundle is another log's, then both are named."""
    Bundle.find(grown).belongs_to(ORIGIN)
    with pytest.raises(NotOurs, match=r"petitions\.example/ledger, not of elsewhere"):
        Bundle.find(grown).belongs_to("elsewhere")


def test_openings_are_left_alone(bundle: Path) -> None:
    """If openings lie in a bundle, then it grows around them."""
    (bundle / "openings").mkdir()
    (bundle / "openings" / "7.json").write_bytes(b"{}")
    lay(bundle, [3, 256, 300, 700])
    assert (bundle / "openings" / "7.json").read_bytes() == b"{}"


def test_two_runs_do_not_meet_in_one_directory(bundle: Path) -> None:
    """If somebody is at work in a directory, then the second is told so."""
    with alone_in(bundle), pytest.raises(NotUsable, match="at this moment"):
        lay(bundle, [3, 256, 300])


def test_a_place_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """If the directory is a file, or below one, then the sentence names it."""
    (tmp_path / "file").write_bytes(b"")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(NotUsable, match="file"):
            lay(place, [3])


def test_a_directory_that_one_may_not_write_to_is_named(tmp_path: Path) -> None:
    """If the directory is somebody else's, then the sentence says so, and nothing is made."""
    (tmp_path / "closed").mkdir(mode=0o555)
    program = (
        "import os, pathlib, sys\n"
        "from ledger.bundle import NotUsable\n"
        "from tests.ledger.laying import lay\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"
        "try: lay(pathlib.Path(sys.argv[1]), [3])\n"
        "except NotUsable as refused: print(refused)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "closed")],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "closed" in said.stdout, said.stderr
    assert "(Permission denied)" in said.stdout
    assert list((tmp_path / "closed").iterdir()) == []


@pytest.mark.parametrize("name", ["tile/entries/000", "tile/entries/001.p/44"])
def test_reading_leaves_names_what_is_damaged(bundle: Path, name: str) -> None:
    """If an entry was changed, shortened, lengthened or taken away, then reading the leaves says so in the end."""
    whole = (bundle / name).read_bytes()
    for data in (whole[:-1] + b"?", whole[:-1], whole + b"\0\0", b"", None):
        (bundle / name).unlink()
        if data is not None:
            (bundle / name).write_bytes(data)
        with pytest.raises(Damaged):
            list(Bundle.find(bundle).leaves())


@contextmanager
def laying_of(directory: Path, size: int) -> Iterator[Laying]:
    """Begin to lay this head into a directory that is missing."""
    with alone_in(directory), Laying(Bundle.find(directory), read_head(note(size)), note(size)) as laying:
        yield laying


class Cut(Exception):
    """The power went."""


def cut_after(step: int, patch: pytest.MonkeyPatch) -> Callable[[], int]:
    """From now on the `step`th change of anything on the disk fails, and so does every later one."""
    done = 0

    def counting(real: Callable[..., Any]) -> Callable[..., Any]:
        def change(*given: Any, **named: Any) -> Any:
            nonlocal done
            done += 1
            if done >= step:
                raise Cut
            return real(*given, **named)

        return change

    for owner, name in ((Path, "write_bytes"), (Path, "replace"), (Path, "unlink"), (Path, "rmdir"), (Path, "mkdir")):
        patch.setattr(owner, name, counting(getattr(owner, name)))
    patch.setattr(shutil, "rmtree", counting(shutil.rmtree))
    return lambda: done


def failing_after(calls: int, real: Callable[..., Any]) -> Callable[..., Any]:
    left = calls

    def change(*given: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise Cut
        return real(*given)

    return change
