"""A witness is asked for its line, and believed only so far as it can be verified; the log goes on without it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from structlog.testing import capture_logs

import service.witness
from ledger.tree_head import SealingKey, TreeHead, open_note, seal_head
from service.settings import Settings
from service.witness import LONGEST_ANSWER, Witness, witness
from tests.service.witnesses import TIME, Answering, Cosigner, Log, WitnessDouble, witnessing

ORIGIN = "petitions.example/ledger"
KEY = SealingKey(ORIGIN, b"k" * 32)
KEYS = [KEY.verifier]
COSIGNER = Cosigner()
STRANGER = Cosigner("witness.example/w2", b"s" * 32)


LOG = Log(KEY, (f"leaf {number}" for number in range(700)))
FORK = Log(KEY, [*(f"leaf {number}" for number in range(699)), "another leaf"])


@pytest.fixture
async def double() -> AsyncIterator[WitnessDouble]:
    async with witnessing(WitnessDouble(KEYS, COSIGNER)) as listening:
        yield listening


@asynccontextmanager
async def asking(double: WitnessDouble, patience: float = 5.0) -> AsyncIterator[Witness]:
    settings = Settings(
        witness_url=double.url, witness_vkey=(COSIGNER.verifier.vkey,), witness_timeout=patience, database_url=None
    )
    async with witness(settings, ORIGIN) as ours:
        assert ours is not None
        yield ours


def is_cosigned(note: bytes) -> bool:
    opened = open_note(note, [*KEYS, COSIGNER.verifier])
    return opened.cosignatures == ((COSIGNER.verifier, TIME),)


def answers(status: int, body: bytes = b"", media_type: str = "text/plain") -> Answering:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=body, headers={"Content-Type": media_type, "Location": "/elsewhere"})

    return answer


async def test_a_growing_log_is_cosigned_at_every_size(double: WitnessDouble) -> None:
    """If a log only grows, then every head that it shows gets the witness's line, at one request each."""
    async with asking(double) as ours:
        for size in (1, 2, 3, 256, 257, 511, 512, 700):
            note = await LOG.shown(ours, size)
            assert note.startswith(LOG.note(size))
            assert is_cosigned(note)
    assert len(double.asked) == 8


async def test_a_witness_that_signed_before_is_asked_again_from_there(double: WitnessDouble) -> None:
    """If the witness signed a size that we do not remember, then it says which, and we prove from there."""
    async with asking(double) as ours:
        await LOG.shown(ours, 300)
    async with asking(double) as restarted:
        assert is_cosigned(await LOG.shown(restarted, 699))
    assert [body.partition(b"\n")[0] for body in double.asked] == [b"old 0", b"old 0", b"old 300"]


async def test_the_same_size_is_cosigned_again_without_a_proof(double: WitnessDouble) -> None:
    """If a head is shown to the witness again, as where its line was lost, then it signs it again."""
    async with asking(double) as ours:
        assert is_cosigned(await LOG.shown(ours, 300))
        assert is_cosigned(await LOG.shown(ours, 300))
    assert double.asked[-1] == b"old 300\n\n" + LOG.note(300)


async def test_a_fork_goes_out_unsigned_and_is_told(double: WitnessDouble) -> None:
    """If a log shows a history that does not continue what was signed, then there is no line, and an error says so."""
    async with asking(double) as ours:
        await LOG.shown(ours, 700)
        with capture_logs() as said:
            assert await FORK.shown(ours, 700) == FORK.note(700)
        assert ours.contradicts
    assert [(line["event"], line["log_level"], line["status"]) for line in said] == [
        ("witness.did_not_sign", "error", 422)
    ]


async def test_a_log_that_was_set_back_goes_out_unsigned_and_is_told(double: WitnessDouble) -> None:
    """If the witness signed a larger head than the one that it is shown, then it is told as what it is."""
    async with asking(double) as ours:
        await LOG.shown(ours, 700)
    async with asking(double) as restored:
        with capture_logs() as said:
            assert await LOG.shown(restored, 300) == LOG.note(300)
        assert restored.contradicts
    assert [(line["why"], line["log_level"]) for line in said] == [("ahead", "error")]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(answers(403), id="an unknown key"),
        pytest.param(answers(404), id="an unknown log"),
        pytest.param(answers(400), id="a bad request"),
        pytest.param(answers(500, b"secret"), id="its own failure"),
        pytest.param(answers(503), id="too busy"),
        pytest.param(answers(301), id="elsewhere"),
        pytest.param(answers(200), id="nothing"),
        pytest.param(answers(200, b"ok\n"), id="no line"),
        pytest.param(answers(200, "— witness.example/w1 AAAA\n".encode()), id="a line too short"),
        pytest.param(answers(200, COSIGNER.line(LOG.note(300))[:-1]), id="a line that does not end"),
        pytest.param(answers(200, STRANGER.line(LOG.note(300))), id="a stranger's line alone"),
        pytest.param(answers(200, COSIGNER.line(LOG.note(299))), id="a line of another head"),
        pytest.param(answers(200, 2 * COSIGNER.line(LOG.note(300))), id="a line twice"),
        pytest.param(answers(200, COSIGNER.line(LOG.note(300)).replace(b"\n", b"\r\n")), id="other ends of lines"),
        pytest.param(answers(200, b"x" * (LONGEST_ANSWER + 1)), id="more than an answer holds"),
        pytest.param(answers(409), id="a conflict without a size"),
        pytest.param(answers(409, b"300", "text/x.tlog.size"), id="a size without an end"),
        pytest.param(answers(409, b"0300\n", "text/x.tlog.size"), id="a size with a leading zero"),
        pytest.param(answers(409, b"9" * 40 + b"\n", "text/x.tlog.size"), id="a size that is none"),
        pytest.param(answers(409, "３\n".encode(), "text/x.tlog.size"), id="a size in other digits"),
        pytest.param(answers(409, b"7\n", "text/x.tlog.size"), id="a size again and again"),
    ],
)
async def test_whatever_a_witness_answers_the_head_goes_out(double: WitnessDouble, answer: Answering) -> None:
    """If an answer is none, or does not verify, then the head goes out as we sealed it; nothing of it is repeated."""
    double.answering = answer
    async with asking(double) as ours:
        with capture_logs() as said:
            assert await LOG.shown(ours, 300) == LOG.note(300)
            assert not ours.may_be_asked
    assert [line["event"] for line in said] == ["witness.did_not_sign"]
    assert set(said[0]) == {"event", "log_level", "why", "status"}
    assert len(double.asked) <= 2


async def test_lines_of_other_keys_are_left_out(double: WitnessDouble) -> None:
    """If a witness answers with lines of several keys, then only those of the listed ones are shown."""
    note = LOG.note(300)
    double.answering = answers(200, STRANGER.line(note) + COSIGNER.line(note) + Cosigner("other", b"o" * 32).line(note))
    async with asking(double) as ours:
        assert await LOG.shown(ours, 300) == note + COSIGNER.line(note)


async def test_a_witness_that_hangs_costs_a_bounded_time_once(
    double: WitnessDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a witness does not answer, then the head goes out when the time is over, and the next heads do not ask."""
    monkeypatch.setattr(service.witness, "FIRST_PAUSE", 3600.0)
    let_go = asyncio.Event()

    async def hang(_: web.Request) -> web.StreamResponse:
        await let_go.wait()
        return web.Response()

    double.answering = hang
    async with asking(double, patience=0.05) as ours:
        with capture_logs() as said:
            for size in (300, 301, 302):
                assert await LOG.shown(ours, size) == LOG.note(size)
    let_go.set()
    assert [line["why"] for line in said] == ["too-slow"]
    assert len(double.asked) == 1


async def test_a_witness_that_is_away_is_told_once_and_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a witness is away for a while, then its absence is told once, and so is its return."""
    monkeypatch.setattr(service.witness, "FIRST_PAUSE", 0.0)
    monkeypatch.setattr(service.witness, "LONGEST_PAUSE", 0.0)
    double = WitnessDouble(KEYS, COSIGNER)
    async with witnessing(double), asking(double) as ours:
        double.answering = answers(503)
        with capture_logs() as said:
            for size in (300, 301, 302):
                assert not is_cosigned(await LOG.shown(ours, size))
            double.answering = None
            assert is_cosigned(await LOG.shown(ours, 303))
    assert [line["event"] for line in said] == ["witness.did_not_sign", "witness.found_again"]


async def test_a_witness_that_is_not_there_is_no_error_of_ours() -> None:
    """If nothing listens where the witness should be, then the head goes out unsigned, and there is no view."""
    double = WitnessDouble(KEYS, COSIGNER)
    async with witnessing(double):
        pass
    async with asking(double) as ours:
        assert await LOG.shown(ours, 300) == LOG.note(300)
        with capture_logs() as said:
            assert await ours.view(KEYS) is None
    assert [(line["event"], line["log_level"]) for line in said] == [("witness.no_view", "warning")]
    assert said[0]["guarded_by"] == "the copy of the newest head alone"


async def test_its_view_is_the_head_that_it_signed_last(double: WitnessDouble) -> None:
    """If a witness has signed, then its view is that note, and the next head is proven from there at once."""
    async with asking(double) as ours:
        await LOG.shown(ours, 300)
    async with asking(double) as restarted:
        view = await restarted.view(KEYS)
        assert view == LOG.note(300) + COSIGNER.line(LOG.note(300))
        assert is_cosigned(await LOG.shown(restarted, 301))
    assert [body.partition(b"\n")[0] for body in double.asked] == [b"old 0", b"old 300"]


@pytest.mark.parametrize(
    ("answer", "level"),
    [
        pytest.param(answers(404), "info", id="nothing signed yet"),
        pytest.param(answers(500, LOG.note(300)), "warning", id="its own failure"),
        pytest.param(answers(200, b"nothing"), "warning", id="no note"),
        pytest.param(
            answers(200, seal_head(TreeHead(ORIGIN, 1, bytes(32)), [SealingKey(ORIGIN, b"x" * 32)])),
            "warning",
            id="a head that another key sealed",
        ),
    ],
)
async def test_a_view_that_we_did_not_seal_is_none(double: WitnessDouble, answer: Answering, level: str) -> None:
    """If no key of ours sealed what a witness shows, then it proves nothing against us, and that is told."""
    double.answering = answer
    async with asking(double) as ours:
        with capture_logs() as said:
            assert await ours.view(KEYS) is None
    assert [line["log_level"] for line in said] == [level]


async def test_without_a_setting_there_is_no_witness() -> None:
    """If no witness is named, then none is asked."""
    async with witness(Settings(), ORIGIN) as ours:
        assert ours is None
