"""What stands beside the log: it is written with its events or not at all, added to and never changed, and expires."""

from datetime import timedelta
from functools import partial
from hashlib import sha256

import asyncpg
import pytest

from ledger.connecting import Role, connect
from ledger.writer import Writer
from schemas.commands import Accepted, Evidence, Refused, RevisePetition
from schemas.events import PetitionRevised
from tests.conftest import LedgerDatabase
from tests.ledger.submissions import PETITION, SOURCE, by_admin, by_site, opening, recording, some_id

SIGN: Role = "ledger_signing"
ADMIN: Role = "ledger_admin"
TEXT = "It is ours."
KEEP = "SELECT ledger.keep_beside($1, $2, $3, $4, $5, $6, $7)"
KEEP_TEXTS = "SELECT ledger.keep_texts($1, $2, $3)"


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


@pytest.fixture
async def opened(ledger_database: LedgerDatabase) -> LedgerDatabase:
    """A petition with a text, and a signature without anything beside it."""
    async with Writer(partial(connect, ledger_database.url, ADMIN), ADMIN, SOURCE) as writer:
        command = opening(text_sha256=digest(TEXT))
        for each in (command, recording("quiet")):
            assert isinstance(await writer.submit(by_admin(each)), Accepted)
    return ledger_database


async def test_what_the_database_refuses_beside_an_event_refuses_the_event(opened: LedgerDatabase) -> None:
    """If one comment of a batch cannot be kept, then its signature is not recorded either, and the others are."""
    async with Writer(partial(connect, opened.url, SIGN), SIGN, SOURCE) as writer:
        outcomes = await writer.submit_all(
            [
                by_site(recording("a", comment="a", evidence=Evidence("192.0.2.1", None))),
                by_site(recording("b", comment="x" * 2001)),
                by_site(recording("c", comment="c")),
            ]
        )
    assert [type(outcome) for outcome in outcomes] == [Accepted, Refused, Accepted]
    comments = await opened.superuser.fetch("SELECT comment FROM vault.comments ORDER BY comment")
    assert [row["comment"] for row in comments] == ["a", "c"]
    assert await opened.superuser.fetchval("SELECT count(*) FROM vault.identities") == 3


async def test_beside_a_signature_is_added_once_and_never_changed(opened: LedgerDatabase) -> None:
    """If somebody takes over the signing role, then what stands beside the log cannot be overwritten or read."""
    signing = await opened.connect(SIGN)
    sid = some_id(f"{PETITION}/quiet/1")
    await signing.execute(KEEP, [sid], ["192.0.2.1"], [None], [None], [None], [sid], ["first"])
    with pytest.raises(asyncpg.UniqueViolationError):
        await signing.execute(KEEP, [sid], ["192.0.2.2"], [None], [None], [None], [], [])
    with pytest.raises(asyncpg.UniqueViolationError):
        await signing.execute(KEEP, [], [], [], [], [], [sid], ["second"])
    with pytest.raises(asyncpg.RaiseError):
        await signing.execute(KEEP, [], [], [], [], [], [some_id("nobody")], ["of nobody"])
    for statement in (
        *("TABLE vault.comments", "DELETE FROM vault.comments", "TRUNCATE vault.comments"),
        *("TABLE vault.evidence", "DELETE FROM vault.evidence", "UPDATE vault.evidence SET ip = NULL"),
        *("DELETE FROM ledger.texts", "UPDATE ledger.texts SET text = ''"),
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await signing.execute(statement)


async def test_a_text_is_one_whose_hash_the_log_says(opened: LedgerDatabase) -> None:
    """If a text, its version or its petition is not what an event says, then it is not kept, nor by another role."""
    admin, signing = await opened.connect(ADMIN), await opened.connect(SIGN)
    for id, version, text in ((PETITION, 1, TEXT + " "), (PETITION, 2, TEXT), ("nowhere", 1, TEXT), (PETITION, 1, "")):
        with pytest.raises(asyncpg.RaiseError):
            await admin.execute(KEEP_TEXTS, [id], [version], [text])
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await signing.execute(KEEP_TEXTS, [PETITION], [1], [TEXT])
    for _ in range(2):
        await admin.execute(KEEP_TEXTS, [PETITION], [1], [TEXT])
    assert [tuple(row) for row in await opened.superuser.fetch("TABLE ledger.texts")] == [(1, 1, TEXT)]


async def test_a_revision_whose_text_is_another_is_refused(opened: LedgerDatabase) -> None:
    """If a command's text is not that of its event, then the whole command is refused."""
    revised = PetitionRevised(text_version=2, text_sha256=digest("Second."))
    async with Writer(partial(connect, opened.url, ADMIN), ADMIN, SOURCE) as writer:
        assert isinstance(await writer.submit(by_admin(RevisePetition(PETITION, revised, text="Third."))), Refused)
        assert isinstance(await writer.submit(by_admin(RevisePetition(PETITION, revised, text="Second."))), Accepted)
    assert await opened.superuser.fetchval("SELECT text FROM ledger.texts WHERE text_version = 2") == "Second."


async def test_answers_go_after_thirty_days_and_no_sooner(opened: LedgerDatabase) -> None:
    """If an answer is older than thirty days, then the purge takes it, in parts; a younger one stays, whoever asks."""
    async with Writer(partial(connect, opened.url, SIGN), SIGN, SOURCE) as writer:
        for number in range(5):
            await writer.submit(by_site(recording(f"s{number}"), key=f"k{number}"))
    await opened.superuser.execute(
        "UPDATE vault.answers a SET recorded = clock_timestamp() - make_interval(days => 28 + (n.nth)::int)"
        " FROM (SELECT key, row_number() OVER (ORDER BY key) AS nth FROM vault.answers) AS n WHERE n.key = a.key"
    )
    admin = await opened.connect(ADMIN)
    assert [await admin.fetchval("SELECT ledger.purge_answers($1)", 2) for _ in range(3)] == [2, 2, 0]
    assert await opened.superuser.fetchval("SELECT count(*) FROM vault.answers") == 1
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await (await opened.connect(SIGN)).execute("SELECT ledger.purge_answers()")


async def test_evidence_goes_when_its_time_is_over(opened: LedgerDatabase) -> None:
    """If evidence is older than it is kept, then the purge takes it, and leaves the signature alone."""
    sid = some_id(f"{PETITION}/quiet/1")
    await (await opened.connect(SIGN)).execute(KEEP, [sid], ["192.0.2.1"], ["Mozilla/5.0"], ["ex.org"], [None], [], [])
    admin = await opened.connect(ADMIN)
    assert await admin.fetchval("SELECT ledger.purge_evidence($1)", timedelta(days=1)) == 0
    assert await admin.fetchval("SELECT ledger.purge_evidence($1)", timedelta(0)) == 1
    assert await opened.superuser.fetchval("SELECT count(*) FROM vault.identities") == 1
