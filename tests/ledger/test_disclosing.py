"""What the vault gives out: to one role alone, written down with each asking, and nothing of who was erased."""

from uuid import UUID

import asyncpg
import pytest

from ledger.connecting import Role
from ledger.disclosing import NotAll, committed, held_of, identity_policies
from schemas.commands import Accepted
from tests.conftest import LedgerDatabase
from tests.ledger.submissions import PETITION, by_site, recording, some_bytes, some_id
from tests.ledger.test_append_only import attempt
from tests.ledger.writing import writer

OFFICER, AUDITOR = "privacy:0a1b2c", "auditor:0a1b2c"
SUBJECT = "SELECT * FROM ledger.disclose_subject($1, $2, $3)"
OPENINGS = "SELECT * FROM ledger.disclose_openings($1, $2, $3)"
ROLES: tuple[Role, ...] = (
    "ledger_signing",
    "ledger_admin",
    "ledger_reader",
    "ledger_projector",
    "ledger_sealer",
    "ledger_backup",
)


def token(signer: str) -> bytes:
    return some_bytes(f"{PETITION}/{signer}", 16)


def signature(signer: str) -> UUID:
    return some_id(f"{PETITION}/{signer}/1")


@pytest.fixture
async def signed(petition: LedgerDatabase) -> LedgerDatabase:
    """A petition with three signatures."""
    async with writer(petition) as site:
        outcomes = await site.submit_all([by_site(recording(name)) for name in ("ada", "bob", "eve")])
        assert all(isinstance(each, Accepted) for each in outcomes)
    return petition


async def written(database: LedgerDatabase) -> list[tuple[str, str | None, UUID | None]]:
    rows = await database.superuser.fetch("SELECT actor, petition, signature FROM access.disclosures ORDER BY nth")
    return [tuple(row) for row in rows]


async def test_no_other_role_reads_what_is_sealed(signed: LedgerDatabase) -> None:
    """If a connection is in any other of the ledger's roles, then it can call none of the functions, and neither it nor
    the privacy role itself reads the table, or writes what was disclosed past them."""
    for role in ROLES:
        connection = await signed.connect(role)
        for asked in (
            (SUBJECT, OFFICER, [PETITION], [token("ada")]),
            (OPENINGS, AUDITOR, PETITION, [signature("ada")]),
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(*asked)
    privacy = await signed.connect("ledger_privacy")
    for statement in (
        "TABLE vault.identities",
        "TABLE vault.signers",
        "TABLE access.disclosures",
        "INSERT INTO access.disclosures (actor, what) VALUES ('privacy:0a1b2c', 'subject')",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await privacy.execute(statement)
    assert await written(signed) == []


async def test_who_asked_is_written_down_with_the_answer(signed: LedgerDatabase) -> None:
    """If rows are given out, then each stands written down with who asked; where nothing is held, that stands there."""
    privacy = await signed.connect("ledger_privacy")
    assert await identity_policies(privacy) == [(PETITION, "strict/1")]
    (held,) = await held_of(privacy, OFFICER, [PETITION], [token("ada")])
    assert (held.petition, held.signature, held.state) == (PETITION, signature("ada"), "standing")
    assert await held_of(privacy, OFFICER, [PETITION, "nowhere"], [token("nobody"), token("bob")]) == []
    found = await committed(privacy, AUDITOR, PETITION, [signature("eve"), signature("bob")])
    assert [(each.signature, each.position, each.erased) for each in found] == [
        (signature("bob"), 3, False),
        (signature("eve"), 4, False),
    ]
    assert await written(signed) == [
        (OFFICER, PETITION, signature("ada")),
        (OFFICER, None, None),
        *[(AUDITOR, PETITION, each.signature) for each in found],
    ]


async def test_an_asking_that_is_not_its_roles_gives_nothing(signed: LedgerDatabase) -> None:
    """If an auditor is said to ask about a person, a privacy officer or an admin for openings, or anybody for more than
    a hundred or another petition's, then the database refuses, and gives nothing out."""
    privacy = await signed.connect("ledger_privacy")
    for actor in (AUDITOR, "admin:0a1b2c", "system", "privacy:Jane"):
        with pytest.raises(asyncpg.CheckViolationError):
            await held_of(privacy, actor, [PETITION], [token("ada")])
    for actor in (OFFICER, "admin:0a1b2c", "import:4711"):
        with pytest.raises(asyncpg.CheckViolationError):
            await committed(privacy, actor, PETITION, [signature("ada")])
    for many in (0, 101):
        with pytest.raises(asyncpg.RaiseError):
            await committed(privacy, AUDITOR, PETITION, [signature("ada")] * many)
    for petition, named in (("nowhere", "ada"), (PETITION, "nobody")):
        with pytest.raises(NotAll):
            await committed(privacy, AUDITOR, petition, [signature("bob"), signature(named)])
    assert await written(signed) == []


async def test_of_who_was_erased_nothing_is_given_out(signed: LedgerDatabase) -> None:
    """If a signer was erased, then nothing of hers is given out, though her rows still wait to be destroyed."""
    await signed.superuser.execute("UPDATE ledger.signatures SET erased = true WHERE signature = $1", signature("ada"))
    privacy = await signed.connect("ledger_privacy")
    assert await held_of(privacy, OFFICER, [PETITION], [token("ada")]) == []
    gone, there = await committed(privacy, AUDITOR, PETITION, [signature("ada"), signature("bob")])
    assert (gone.erased, gone.identity, there.erased) == (True, None, False)
    assert await written(signed) == [(OFFICER, None, None), (AUDITOR, PETITION, signature("bob"))]


async def test_what_was_written_down_never_changes(signed: LedgerDatabase) -> None:
    """If anybody, the owner and a superuser among them, changes what was disclosed, then that is refused."""
    await held_of(await signed.connect("ledger_privacy"), OFFICER, [PETITION], [token("ada")])
    before = await written(signed)
    for become in ("SET LOCAL ROLE ledger_owner", "SET LOCAL session_replication_role = replica"):
        for change in (
            "UPDATE access.disclosures SET actor = 'privacy:999999'",
            "DELETE FROM access.disclosures",
            "TRUNCATE access.disclosures",
        ):
            assert await attempt(signed.superuser, change, become) == "42501"
    assert await written(signed) == before
