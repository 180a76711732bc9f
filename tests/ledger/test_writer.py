"""The writer among faults: one culprit refuses nobody else, keys give one answer, and what is queued is written."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from structlog.testing import capture_logs

from ledger.connecting import Connection, connect
from ledger.correction import CHUNK
from ledger.writer import LONGEST_PAUSE, PAUSE, Writer
from schemas.commands import Accepted, ContinueCorrection, CorrectImported, Refused, Submission
from tests.conftest import LedgerDatabase
from tests.ledger.submissions import (
    IMPORT,
    PETITION,
    SITE,
    SOURCE,
    accepting,
    by_admin,
    by_site,
    imported,
    opening,
    recording,
    some_bytes,
    some_id,
    some_instant,
    withdrawing,
)
from tests.ledger.writing import RUN, SIGN, reasons, stored, until, writer
from tests.vaults import SEALED

# -- one culprit -------------------------------------------------------------------------------------------------------


def with_credential(credential: str) -> Callable[[Submission], Submission]:
    def forge(submission: Submission) -> Submission:
        assert submission.answer_key is not None
        return replace(submission, answer_key=replace(submission.answer_key, credential=credential))

    return forge


def with_command(**members: Any) -> Callable[[Submission], Submission]:
    return lambda submission: replace(submission, command=replace(submission.command, **members))


CULPRITS: dict[str, tuple[Callable[[Submission], Submission], str]] = {
    "refused in deciding": (with_command(petition="there-is-none"), "unknown-petition"),
    "a leaf over 16 KiB": (lambda submission: replace(submission, actor="site:" + "9" * 17_000), "refused"),
    "a leaf that cannot be written": (lambda submission: replace(submission, actor="\ud800"), "refused"),
    "a command that is none": (lambda submission: replace(submission, command="sign"), "refused"),  # type: ignore[arg-type]
    "an argument that the driver cannot send": (with_command(token="text"), "refused"),
    "a text that the driver cannot send": (with_credential("\ud800"), "refused"),
    "a text that the server cannot read": (with_credential("\0"), "refused"),
    "a row that breaks a constraint": (with_command(identity=replace(SEALED, wrapped_key=b"short")), "refused"),
    "a row that breaks a key": (with_command(signature=some_id("taken before")), "refused"),
}


@pytest.mark.parametrize("what", CULPRITS)
async def test_a_culprit_among_256_refuses_nobody_else(petition: LedgerDatabase, what: str) -> None:
    """If one row of a full batch cannot be written, whoever finds that out, then it alone is refused, and the others
    are recorded once each, in the order in which they were asked."""
    culprit, reason = CULPRITS[what]
    asked = [by_site(recording(f"s{n}"), key=f"k{n}") for n in range(256)]
    asked[100] = culprit(asked[100])
    async with writer(petition) as site:
        await site.submit(by_site(recording("before", signature=some_id("taken before"))))
        outcomes = await site.submit_all(asked)
        assert reasons(outcomes) == {100: reason}
        after = await site.submit(by_site(recording("after")))
    assert isinstance(after, Accepted)
    expected = [some_id(f"{PETITION}/s{n}/1") for n in range(256) if n != 100]
    assert [signature for _, signature, _ in await stored(petition)][1:-1] == expected
    positions = [each.answer["position"] for each in outcomes if isinstance(each, Accepted)]
    assert positions == [position for position, _, _ in await stored(petition)][1:-1]


async def test_what_the_server_cannot_take_now_is_not_blamed_on_who_asked(petition: LedgerDatabase) -> None:
    """If the append fails for a reason of the server's own (here a schema that is not ready), then it is tried again,
    and once that is over it is recorded; it is never called invalid."""
    await petition.superuser.execute("ALTER FUNCTION ledger.append_signing RENAME TO not_yet")
    async with writer(petition) as site:
        waiting = asyncio.create_task(site.submit(by_site(recording("she"))))
        await until(lambda: site._again)
        await petition.superuser.execute("ALTER FUNCTION ledger.not_yet RENAME TO append_signing")
        assert isinstance(await waiting, Accepted)


async def test_what_fails_until_its_deadline_is_answered_unavailable(petition: LedgerDatabase) -> None:
    """If the server cannot take it until the deadline, then it is refused as unavailable, and the loop goes on."""
    await petition.superuser.execute("ALTER FUNCTION ledger.append_signing RENAME TO not_yet")
    async with writer(petition, patience=0.3) as site:
        outcome = await site.submit(by_site(recording("she")))
        assert isinstance(outcome, Refused)
        assert outcome.problem == "unavailable"
        await petition.superuser.execute("ALTER FUNCTION ledger.not_yet RENAME TO append_signing")
        assert isinstance(await site.submit(by_site(recording("he"))), Accepted)


async def test_an_append_that_always_fails_is_given_up_alone(petition: LedgerDatabase) -> None:
    """If an error that is no refusal comes back for one row however often it is tried, then that row is given up as not
    recorded, and the others are recorded."""
    await petition.superuser.execute(
        """
        CREATE TABLE public.culprit (signature uuid);
        CREATE FUNCTION ledger.fail() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
        BEGIN
          IF EXISTS (SELECT FROM public.culprit c WHERE c.signature = NEW.signature) THEN
            RAISE EXCEPTION 'internal' USING ERRCODE = 'XX000';
          END IF;
          RETURN NEW;
        END $$;
        CREATE TRIGGER fail BEFORE INSERT ON vault.identities FOR EACH ROW EXECUTE FUNCTION ledger.fail();
        """
    )
    await petition.superuser.execute("INSERT INTO public.culprit VALUES ($1)", some_id(f"{PETITION}/s3/1"))
    async with writer(petition) as site:
        outcomes = await site.submit_all([by_site(recording(f"s{n}")) for n in range(8)])
        after = await site.submit(by_site(recording("after")))
    assert reasons(outcomes) == {3: "unavailable"}
    assert isinstance(after, Accepted)
    assert len(await stored(petition)) == 8


# -- keys --------------------------------------------------------------------------------------------------------------


async def test_an_idempotency_key_gives_one_answer(petition: LedgerDatabase) -> None:
    """If a key is repeated, at once or later, then the first answer is given; for another request it is refused; and a
    refusal is judged again."""
    asked = by_site(recording("she"), key="k")
    async with writer(petition) as site, writer(petition, RUN) as admin:
        first, second, other = await site.submit_all(
            [asked, asked, by_site(recording("he"), key="k", fingerprint="another")]
        )
        assert isinstance(first, Accepted)
        assert isinstance(second, Accepted)
        assert (first.repeated, second.repeated) == (False, True)
        assert first.answer == second.answer
        assert reasons([other]) == {0: "key-reused"}
        await site.submit(by_site(withdrawing("she")))
        later = await site.submit(asked)
        assert isinstance(later, Accepted)
        assert later.answer == first.answer
        await admin.submit(by_admin(accepting("paused")))
        assert reasons([await site.submit(by_site(recording("he"), key="k2"))]) == {0: "petition-closed"}
        await admin.submit(by_admin(accepting("open")))
        assert isinstance(await site.submit(by_site(recording("he"), key="k2")), Accepted)


async def test_a_key_belongs_to_a_credential_and_a_petition(petition: LedgerDatabase) -> None:
    """If two sites, or one site in two petitions, use one key, then they do not meet."""
    async with writer(petition) as site, writer(petition, RUN) as admin:
        await admin.submit(by_admin(opening("other")))
        asked = [
            by_site(recording("she"), key="k"),
            with_credential("site:000001")(by_site(recording("he"), key="k", fingerprint="another")),
            by_site(recording("she", petition="other"), key="k", fingerprint="another"),
        ]
        outcomes = await site.submit_all(asked)
    assert [isinstance(each, Accepted) and not each.repeated for each in outcomes] == [True, True, True]


async def test_a_row_is_imported_once(petition: LedgerDatabase) -> None:
    """If a file's row comes again, in the same batch or later, then it is already there; a refused one is judged
    again."""
    rows = [imported(recording(f"s{n}", imported=True, at=some_instant(n)), f"row {n}") for n in range(5)]
    early = imported(replace(withdrawing("s9", at=some_instant(1)), imported=True), "early")
    async with writer(petition, RUN) as admin:
        outcomes = await admin.submit_all([*rows, rows[2], early])
        again = await admin.submit_all([*rows, imported(recording("s9", imported=True), "late"), early])
    assert [getattr(each, "already_there", None) for each in outcomes] == [False] * 5 + [True, None]
    assert [getattr(each, "already_there", None) for each in again] == [True] * 5 + [False, False]
    assert len(await stored(petition)) == 7


# -- corrections, and the rest -----------------------------------------------------------------------------------------


async def test_a_chunk_of_which_every_member_is_skipped_is_settled_all_the_same(petition: LedgerDatabase) -> None:
    """If nothing of a correction's chunk is left to do, then that is stored, and the correction comes to its end."""
    matched = 2 * CHUNK + 10
    signers = [f"s{n}" for n in range(matched)]
    rows = tuple((some_bytes(f"{PETITION}/{each}", 16), some_bytes(f"row {each}", 16)) for each in signers)
    async with writer(petition, RUN, bound=1000) as admin:
        await admin.submit_all([by_admin(recording(each)) for each in signers])
        opened = await admin.submit(
            Submission(CorrectImported(PETITION, some_id("k"), "invalidate", "bot", rows), IMPORT)
        )
        assert isinstance(opened, Accepted)
        assert opened.answer["remaining"] == matched - CHUNK
        await petition.superuser.execute(
            "UPDATE ledger.signatures SET erased = true WHERE position BETWEEN $1 AND $2", 2 + CHUNK, 1 + 2 * CHUNK
        )
        left = []
        for _ in range(2):
            outcome = await admin.submit(by_admin(ContinueCorrection(PETITION, some_id("k"))))
            assert isinstance(outcome, Accepted)
            left.append(outcome.answer["remaining"])
        assert left == [10, 0]
        assert reasons([await admin.submit(by_admin(ContinueCorrection(PETITION, some_id("k"))))]) == {
            0: "unknown-correction"
        }
    said = await petition.superuser.fetchrow("SELECT state, applied, skipped FROM ledger.corrections")
    assert said is not None
    assert tuple(said) == ("completed", CHUNK + 10, CHUNK)


async def test_a_caller_who_leaves_takes_nothing_back(petition: LedgerDatabase) -> None:
    """If a caller is cancelled while it waits, then what it asked is recorded, once, and the writer goes on."""
    async with writer(petition) as site:
        async with petition.superuser.transaction():
            await petition.superuser.execute("SELECT FROM ledger.head FOR UPDATE")
            caller = asyncio.create_task(site.submit(by_site(recording("she"))))
            await until(lambda: site._queue)
            caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert isinstance(await site.submit(by_site(recording("he"))), Accepted)
    assert len(await stored(petition)) == 2


async def test_leaving_writes_what_is_queued_and_refuses_what_comes_later(petition: LedgerDatabase) -> None:
    """If the writer is left, then what was queued is recorded first, and a later asking is refused as unavailable."""
    async with writer(petition, bound=10) as site:
        asked = asyncio.create_task(site.submit_all([by_site(recording(f"s{n}")) for n in range(50)]))
        await until(lambda: site._queue)
    assert all(isinstance(each, Accepted) for each in await asked)
    assert reasons([await site.submit(by_site(recording("late")))]) == {0: "unavailable"}
    assert len(await stored(petition)) == 50


async def test_beyond_its_capacity_the_queue_refuses(petition: LedgerDatabase) -> None:
    """If more is asked at once than may wait, then the rest is refused at once as unavailable."""
    async with writer(petition, capacity=5) as site:
        outcomes = await site.submit_all([by_site(recording(f"s{n}")) for n in range(8)])
    assert reasons(outcomes) == {5: "queue-full", 6: "queue-full", 7: "queue-full"}


async def test_a_clock_that_fell_behind_the_log_by_more_than_a_minute_stops_appending(
    petition: LedgerDatabase,
) -> None:
    """If the log was last recorded more than 60 s ahead of the clock, then nothing is appended, whoever asks is told at
    once, and one line of the log says so; up to there it is appended, and recorded times do not decrease."""
    await petition.superuser.execute("UPDATE ledger.head SET recorded = clock_timestamp() + interval '50 s'")
    async with writer(petition, patience=60) as site:
        assert isinstance(await site.submit(by_site(recording("she"))), Accepted)
        await petition.superuser.execute("UPDATE ledger.head SET recorded = clock_timestamp() + interval '70 s'")
        with capture_logs() as said:
            outcomes = [await site.submit(by_site(recording(each))) for each in ("he", "they")]
        assert reasons(outcomes) == {0: "clock-behind", 1: "clock-behind"}
        assert [outcome.problem for outcome in outcomes if isinstance(outcome, Refused)] == ["unavailable"] * 2
        assert [(each["event"], each["log_level"]) for each in said] == [("writer.clock_behind", "error")]
    times = await petition.superuser.fetch("SELECT recorded FROM ledger.events ORDER BY position")
    assert times == sorted(times)


async def test_a_database_that_is_away_is_tried_ever_less_often_and_told_of_once(petition: LedgerDatabase) -> None:
    """If the database cannot be reached, then attempts come ever more slowly, one line says that it is away and one
    that it is back, and what waited is recorded."""
    loop = asyncio.get_running_loop()
    tried: list[float] = []
    is_away = True

    async def reach() -> Connection:
        tried.append(loop.time())
        if is_away:
            raise ConnectionRefusedError
        return await connect(petition.url, SIGN)

    with capture_logs() as said:
        async with Writer(reach, SIGN, SOURCE) as site:
            waiting = asyncio.create_task(site.submit(by_site(recording("she"))))
            await until(lambda: len(tried) == 4)
            is_away = False
            assert isinstance(await waiting, Accepted)
    pauses = [later - earlier for earlier, later in pairwise(tried)]
    assert [pause > PAUSE * 2**nth * 0.9 for nth, pause in enumerate(pauses)] == [True] * 4
    assert [each["event"] for each in said] == ["writer.interrupted", "writer.recovered"]


async def test_whoever_has_waited_long_enough_is_told_so_between_two_attempts(petition: LedgerDatabase) -> None:
    """If the pause before the next attempt is longer than somebody's patience, then it is cut short for her."""

    async def reach() -> Connection:
        raise ConnectionRefusedError

    async with Writer(reach, SIGN, SOURCE, patience=0.2) as site:
        began = asyncio.get_running_loop().time()
        for _ in range(4):
            assert reasons([await site.submit(by_site(recording("she")))]) == {0: "unavailable"}
        assert asyncio.get_running_loop().time() - began < 4 * 0.2 + LONGEST_PAUSE


async def test_a_writer_of_another_origin_is_refused(petition: LedgerDatabase) -> None:
    """If a writer names another origin than the log's first event, then nothing of it is recorded."""
    async with Writer(partial(connect, petition.url, SIGN), SIGN, "elsewhere.example/ledger") as site:
        assert reasons([await site.submit(by_site(recording("she")))]) == {0: "refused"}
    assert await stored(petition) == []


async def test_actors_and_answers_tell_who_asked(petition: LedgerDatabase) -> None:
    """If a site asks, then the event's leaf names it, and the answer names the event."""
    async with writer(petition) as site:
        outcome = await site.submit(by_site(recording("she")))
    assert isinstance(outcome, Accepted)
    leaf = await petition.superuser.fetchval(
        "SELECT convert_from(leaf, 'UTF8')::jsonb ->> 'actor' FROM ledger.events WHERE position = $1",
        outcome.answer["position"],
    )
    assert leaf == SITE


async def test_what_a_role_may_not_write_is_refused_to_it_alone(petition: LedgerDatabase) -> None:
    """If a signing writer is asked to open a petition, then that is refused, and what was asked beside it is not."""
    async with writer(petition) as site:
        outcomes = await site.submit_all(
            [by_site(recording("she")), by_site(opening("mine")), by_site(recording("he"))]
        )
    assert reasons(outcomes) == {1: "refused"}
    assert len(await stored(petition)) == 2
