"""Mirroring: what is served is taken where it continues what is here, and kept aside where it does not."""

import asyncio
import gzip
import json
from pathlib import Path

import pytest
from aiohttp import web
from typer.testing import CliRunner

from ledger.bundle import Bundle, NotOurs
from ledger.tree_head import SealingKey
from ledger.verify import verify
from service import mirroring
from service.bundles import Disputed
from service.cli import app
from service.mirroring import NothingSealed, Unreachable, is_address, mirror
from tests.ledger.laying import KEY, ORIGIN, content, lay, leaves, note
from tests.service.commands import Ended, ledger
from tests.service.serving.services import eventually, serving
from tests.service.shown_log import Answer, ShownLog, problem, shown


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirroring, "FIRST_PAUSE", 0.0)


async def test_a_mirror_has_what_the_service_has(tmp_path: Path) -> None:
    """If a service is mirrored, then every leaf, every head and every claim is there, and what was laid is told."""
    log = ShownLog([3, 256, 700])
    told = []
    async with shown(log) as address:
        laid = await mirror(address, tmp_path / "m", progress=lambda done, total: told.append((done, total)))
    found = Bundle.find(tmp_path / "m")
    assert list(found.leaves()) == leaves(0, 700)
    assert list(found.notes()) == [note(3), note(256), note(700)]
    assert {f"projections/{name}.json" for name in ("petitions", "tally", "timeline")} <= found.files.keys()
    assert told == [(256, 700), (512, 700), (700, 700)]
    assert laid.document()["size"] == 700
    assert laid.document()["vkeys"] == log.vkeys


async def test_a_second_run_fetches_only_what_is_new(tmp_path: Path) -> None:
    """If a mirror exists, then whole bundles of leaves are not fetched again, and heads only from its own on."""
    log = ShownLog([3, 256, 700])
    async with shown(log) as address:
        await mirror(address, tmp_path / "m")
        log.sizes.append(1500)
        log.asked.clear()
        await mirror(address, tmp_path / "m")
    entries = [path for path in log.asked if "entries" in path]
    assert entries == [f"/under/tile/entries/{at}" for at in ("002", "003", "004", "005.p/220")]
    assert [path for path in log.asked if "heads" in path] == ["/under/heads?after=1499", "/under/heads?after=699"]
    lay(tmp_path / "whole", [3, 256, 700, 1500])
    assert content(tmp_path / "m")["checkpoints"] == content(tmp_path / "whole")["checkpoints"]
    assert list(Bundle.find(tmp_path / "m").leaves()) == leaves(0, 1500)


async def test_a_first_mirror_and_one_that_grew_are_the_same(tmp_path: Path) -> None:
    """If one mirror was made at once and one by steps, then they are the same but for when the manifest was made."""
    log = ShownLog([1])
    async with shown(log) as address:
        await mirror(address, tmp_path / "by steps")
        for size in (255, 256, 257, 600):
            log.sizes.append(size)
            await mirror(address, tmp_path / "by steps")
        await mirror(address, tmp_path / "at once")
    by_steps, at_once = content(tmp_path / "by steps"), content(tmp_path / "at once")
    assert by_steps.pop("manifest.json")[:-100] == at_once.pop("manifest.json")[:-100]
    assert by_steps == at_once


@pytest.mark.parametrize("forked_at", [0, 255, 256, 699])
async def test_a_service_that_forked_is_evidence_and_adds_nothing(tmp_path: Path, forked_at: int) -> None:
    """If a service shows another history than it showed before, then the mirror stays as it was, and both heads and
    what was served are kept beside it.
    """
    log = ShownLog([3, 256, 700])
    async with shown(log) as address:
        await mirror(address, tmp_path / "m")
        before = content(tmp_path / "m")
        log.forked_at = forked_at
        log.sizes.append(1500)
        with pytest.raises(Disputed, match="stays as it was"):
            await mirror(address, tmp_path / "m")
    assert content(tmp_path / "m") == before
    kept = kept_beside(tmp_path / "m")
    assert (kept / "checkpoint.held").read_bytes() == note(700)
    assert (kept / "checkpoint.served").read_bytes() == note(1500, forked_at=forked_at)


async def test_a_second_head_of_one_size_and_an_older_head_are_evidence(tmp_path: Path) -> None:
    """If a service shows another head of the same size, or an older one, then that is said, and the mirror stays."""
    log = ShownLog([3, 256, 700])
    async with shown(log) as address:
        await mirror(address, tmp_path / "m")
        before = content(tmp_path / "m")
        log.forked_at = 2
        with pytest.raises(Disputed, match="two heads of 700"):
            await mirror(address, tmp_path / "m")
        log.forked_at, log.sizes = None, [3, 256]
        with pytest.raises(Disputed, match="older"):
            await mirror(address, tmp_path / "m")
    assert content(tmp_path / "m") == before


async def test_leaves_that_are_not_those_of_the_head_are_evidence(tmp_path: Path) -> None:
    """If a service serves other leaves than its head covers, then there is no mirror, and they are kept."""

    def other(log: ShownLog, request: web.Request) -> Answer:
        return web.Response(body=b"\0\1x" * 256) if request.path.endswith("entries/000") else None

    async with shown(ShownLog([300], before=other)) as address:
        with pytest.raises(Disputed, match="root of the head of 300"):
            await mirror(address, tmp_path / "m")
    assert not (tmp_path / "m").exists()
    kept = kept_beside(tmp_path / "m")
    assert (kept / "tile" / "entries" / "000").read_bytes() == b"\0\1x" * 256


async def test_a_head_that_no_trusted_key_sealed_is_not_believed(tmp_path: Path) -> None:
    """If the auditor's key is another one than the service's, then nothing is mirrored; with the right key it is."""
    other = SealingKey(ORIGIN, b"\1" * 32).verifier
    log = ShownLog([3])
    async with shown(log) as address:
        with pytest.raises(Disputed, match="not believed"):
            await mirror(address, tmp_path / "m", trusted=[other])
        assert not (tmp_path / "m").exists()
        log.vkeys = [other.vkey]
        with pytest.raises(Disputed, match="not believed"):
            await mirror(address, tmp_path / "m")


async def test_another_log_is_not_mirrored_into_a_mirror(tmp_path: Path) -> None:
    """If the directory holds another log's bundle, then both origins are named, and nothing is fetched into it."""
    lay(tmp_path / "m", [3])
    (tmp_path / "m" / "checkpoint").write_bytes(note(3, origin="elsewhere.example"))
    async with shown(ShownLog([3])) as address:
        with pytest.raises(NotOurs, match="elsewhere"):
            await mirror(address, tmp_path / "m")


async def test_a_head_that_moves_meanwhile_begins_again(tmp_path: Path) -> None:
    """If the next head is published while the claims are fetched, then the mirror is of that one, whole."""
    moves = [700, 1000]

    def moving(log: ShownLog, request: web.Request) -> Answer:
        if request.path.endswith("tally.json") and moves:
            log.sizes.append(moves.pop(0))
        return None

    async with shown(ShownLog([3], before=moving)) as address:
        assert (await mirror(address, tmp_path / "m")).head.size == 1000
    assert list(Bundle.find(tmp_path / "m").leaves()) == leaves(0, 1000)


async def test_a_log_that_never_stands_still_is_said_to(tmp_path: Path) -> None:
    """If every attempt meets another head, then that is said in the end."""

    def moving(log: ShownLog, request: web.Request) -> Answer:
        if request.path.endswith("petitions.json"):
            return None
        log.sizes.append(log.sizes[-1] + 1)
        return None

    async with shown(ShownLog([3], before=moving)) as address:
        with pytest.raises(Unreachable, match="faster"):
            await mirror(address, tmp_path / "m")


async def test_a_partial_bundle_that_is_gone_is_cut_from_the_full_one(tmp_path: Path) -> None:
    """If only the full bundle is there because the log has grown, then its first leaves are taken."""

    def grown(log: ShownLog, request: web.Request) -> Answer:
        if ".p/" in request.path:
            return problem(404, "not-found")
        if request.path.endswith("entries/001"):
            return ShownLog([512])._answer(request)
        return None

    async with shown(ShownLog([300], before=grown)) as address:
        await mirror(address, tmp_path / "m")
    assert list(Bundle.find(tmp_path / "m").leaves()) == leaves(0, 300)


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_service_that_stumbles_is_asked_again(tmp_path: Path, status: int) -> None:
    """If every request fails at first, by its status or by a cut connection, then the mirror is made all the same."""
    failed: set[str] = set()

    def stumbling(log: ShownLog, request: web.Request) -> Answer:
        if request.path_qs in failed:
            return None
        failed.add(request.path_qs)
        if "entries" in request.path:
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=status)

    log = ShownLog([300], before=stumbling)
    async with shown(log) as address:
        await mirror(address, tmp_path / "m")
    assert len(log.asked) == 2 * len(failed)


async def test_a_service_that_only_stumbles_is_given_up(tmp_path: Path) -> None:
    """If a service never answers, then it is asked a bounded number of times, and nothing is made."""
    log = ShownLog([300], before=lambda log, request: web.Response(status=500))
    async with shown(log) as address:
        with pytest.raises(Unreachable, match="answers 500"):
            await mirror(address, tmp_path / "m")
    assert len(log.asked) == mirroring.TRIES
    with pytest.raises(Unreachable, match="does not answer"):
        await mirror(address, tmp_path / "m")
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("petitions.json", b"{}"),
        ("petitions.json", b""),
        ("vkey", b"\xff"),
        ("vkey", b"nonsense\n"),
        ("heads", b"nonsense"),
        ("heads", b"x" * 200_000),
        ("heads", note(1)),
        ("heads", b""),
        ("entries/000", b""),
        ("entries/000", b"\0"),
        ("entries/000", b"\xff\xff" + b"x" * 65_535),
    ],
)
async def test_what_is_no_answer_of_a_ledger_is_refused(tmp_path: Path, path: str, body: bytes) -> None:
    """If an answer is not in its form, then it ends in a sentence, and nothing lies in the directory."""

    def nonsense(log: ShownLog, request: web.Request) -> Answer:
        return web.Response(body=body) if request.path.endswith(path) else None

    async with shown(ShownLog([300], before=nonsense)) as address:
        with pytest.raises((Unreachable, Disputed)):
            await mirror(address, tmp_path / "m")
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("petitions.json", "LARGEST_CLAIM"),
        ("vkey", "LARGEST_KEYS"),
        ("heads", "LARGEST_PAGE"),
        ("000", "LARGEST_BUNDLE"),
    ],
)
async def test_no_answer_is_read_beyond_its_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, limit: str
) -> None:
    """If a service sends more than a ledger would, then reading ends there."""
    monkeypatch.setattr(mirroring, limit, 200_000)

    def endless(log: ShownLog, request: web.Request) -> Answer:
        return web.Response(body=b"x" * 10_000_000) if request.path.endswith(path) else None

    async with shown(ShownLog([300], before=endless)) as address:
        with pytest.raises(Unreachable, match="more than 200,000 bytes"):
            await mirror(address, tmp_path / "m")


async def test_nothing_is_unpacked_and_nobody_is_followed(tmp_path: Path) -> None:
    """If an answer is compressed, or sends on to another place, then it is no answer of a ledger."""

    def packed(log: ShownLog, request: web.Request) -> Answer:
        if not request.path.endswith("vkey"):
            return None
        return web.Response(body=gzip.compress(log.vkeys[0].encode()), headers={"Content-Encoding": "gzip"})

    def elsewhere(log: ShownLog, request: web.Request) -> Answer:
        return web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"})

    for before in (packed, elsewhere):
        async with shown(ShownLog([300], before=before)) as address:
            with pytest.raises(Unreachable):
                await mirror(address, tmp_path / "m")


async def test_a_ledger_that_has_sealed_nothing_has_no_mirror(tmp_path: Path) -> None:
    """If nothing is sealed yet, then that is said, and nothing is made."""
    log = ShownLog([300], before=lambda log, request: problem(404, "not-yet-sealed"))
    async with shown(log) as address:
        with pytest.raises(NothingSealed):
            await mirror(address, tmp_path / "m")
    assert not (tmp_path / "m").exists()


async def test_few_requests_are_under_way_at_once(tmp_path: Path) -> None:
    """If there are many bundles, then no more than a bound are fetched at once."""
    log = ShownLog([256 * 40])
    async with shown(log) as address:
        await mirror(address, tmp_path / "m")
    assert 1 < log.most_at_once <= mirroring.AT_ONCE


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("http://127.0.0.1:8080", True), ("https://petitions.example/ledger/", True), ("HTTP://x", True),
        ("petitions.example", False), ("ftp://x", False), ("http://", False), ("http://x?y", False),
        ("http://x#y", False), ("http://x:99999", False), ("", False), ("http://[", False),
    ],
)  # fmt: skip
def test_an_address_is_that_of_a_service(text: str, is_one: bool) -> None:
    """If an address is not http or https with a host, or has something behind its path, then it is none."""
    assert is_address(text) is is_one


async def test_the_command_tells_what_was_laid(tmp_path: Path) -> None:
    """If a service is mirrored by command, then what was laid is told, in words and as JSON, with a key to check it."""
    async with shown(ShownLog([3, 300])) as address:
        words = await command("mirror", address, tmp_path / "m")
        told = await command("mirror", address, tmp_path / "m", "--vkey", KEY.verifier.vkey, "--json")
    assert (words.code, told.code) == (0, 0)
    assert words.lines[-1] == f"  ledger verify {tmp_path / 'm'} --vkey {KEY.verifier.vkey}"
    document = json.loads(told.out)
    assert (document["origin"], document["size"], document["files_removed"]) == (ORIGIN, 300, 0)


async def test_the_command_s_exit_says_how_it_ended(tmp_path: Path) -> None:
    """If a service forked, then the exit is 1; if it has sealed nothing or the directory is another's, 2; if it is not
    there, 3; and each is said in one sentence.
    """
    (tmp_path / "file").write_bytes(b"")
    log = ShownLog([3, 300])
    async with shown(log) as address:
        assert (await command("mirror", address, tmp_path / "file")).code == 2
        await command("mirror", address, tmp_path / "m")
        log.forked_at = 2
        forked = await command("mirror", address, tmp_path / "m")
        log.before = lambda log, request: problem(404, "not-yet-sealed")
        nothing = await command("mirror", address, tmp_path / "new")
    gone = await command("mirror", address, tmp_path / "new")
    assert [ended.code for ended in (forked, nothing, gone)] == [1, 2, 3]
    for ended in (forked, nothing, gone):
        assert ended.out == ""
        assert ended.err.startswith("ledger: ")
        assert ended.err.count("\n") == 1


@pytest.mark.database
def test_a_running_service_is_mirrored_as_it_is_exported(home: Path, tmp_path: Path) -> None:
    """If a service is mirrored while it serves, then the mirror is what an export writes, and verifies clean."""
    assert ledger(home, "petition", "open", "p").code == 0
    with serving(home) as service:
        assert eventually(lambda: service.get("/checkpoint").status == 200)
        assert ledger(tmp_path / "none", "mirror", service.address, str(tmp_path / "m")).code == 0
        written = ledger(home, "export", str(tmp_path / "e"), "--json")
        assert written.code == 0, written.err
    assert not (tmp_path / "none").exists()
    exported, mirrored = content(tmp_path / "e"), content(tmp_path / "m")
    del exported["manifest.json"], mirrored["manifest.json"]
    assert exported == mirrored
    assert verify(tmp_path / "m", json.loads(written.out)["vkeys"]).findings == []


async def command(*arguments: str | Path) -> Ended:
    """Call `ledger` in this process, in a thread of its own: it runs a loop."""
    done = await asyncio.to_thread(CliRunner().invoke, app, [*map(str, arguments)])
    return Ended(done.exit_code, done.stdout, done.stderr)


def kept_beside(directory: Path) -> Path:
    """The evidence that was kept beside a mirror."""
    (kept,) = directory.parent.glob(f"{directory.name}.disputed-*")
    return kept
