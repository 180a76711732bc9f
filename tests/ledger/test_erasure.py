"""Erasing a signer, and rectifying who signed: what the log says of it, and what is held afterwards."""

import asyncio
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from ledger.batch import Batch
from ledger.epochs import Epochs
from ledger.fsck import fsck
from ledger.identity import pii_commit
from ledger.merkle import root
from ledger.vault import Opened, seal_identity
from schemas.commands import (
    Accepted,
    AmendSignature,
    CorrectImported,
    EraseSigner,
    Evidence,
    Outcome,
    Refused,
    Submission,
)
from tests.conftest import LedgerDatabase
from tests.ledger.checking import whole_log
from tests.ledger.submissions import (
    PETITION,
    accepting,
    by_admin,
    by_site,
    confirming,
    imported,
    recording,
    some_bytes,
    some_id,
    withdrawing,
)
from tests.ledger.writing import ERASE, RUN, reasons, stored, writer
from tests.vaults import EPOCH, lay_keys

OFFICER = "privacy:0d15ea"
HELD = (
    "SELECT 'identities' AS of, count(*) FROM vault.identities WHERE signature = ANY ($1)"
    " UNION ALL SELECT 'signers', count(*) FROM vault.signers WHERE signature = ANY ($1)"
    " UNION ALL SELECT 'evidence', count(*) FROM vault.evidence WHERE signature = ANY ($1)"
    " UNION ALL SELECT 'comments', count(*) FROM vault.comments WHERE signature = ANY ($1)"
    " UNION ALL SELECT 'import_keys', count(*) FROM vault.import_keys WHERE signature = ANY ($1)"
    " UNION ALL SELECT 'answers', count(*) FROM vault.answers WHERE signature = ANY ($1)"
    " UNION ALL SELECT 'erasing', count(*) FROM vault.erasing WHERE signature = ANY ($1)"
)


def her(signer: str, n: int = 1) -> UUID:
    return some_id(f"{PETITION}/{signer}/{n}")


def erasing(signer: str, n: int = 1) -> Submission:
    return Submission(EraseSigner(PETITION, her(signer, n)), OFFICER)


def amending(signer: str, named: str, n: int = 1) -> AmendSignature:
    """This signer's signature is really that of the one with another name."""
    opened = Opened(some_bytes(f"nonce {named}", 32), f'{{"email":"{named}@ex.org"}}'.encode())
    random = some_bytes(f"key {named}", 32) + some_bytes(f"iv {named}", 24)
    return AmendSignature(
        PETITION,
        her(signer, n),
        some_bytes(f"{PETITION}/{named}", 16),
        seal_identity(EPOCH, her(signer, n), opened, random),
        pii_commit(opened.nonce, opened.pii),
        Evidence(None, None, "ex.org", some_bytes(named, 16)),
    )


async def destroy(database: LedgerDatabase, *signatures: UUID) -> None:
    connection = await database.connect(ERASE)
    await connection.execute("SELECT ledger.destroy_erased($1)", list(signatures))


async def held(database: LedgerDatabase, *signatures: UUID) -> dict[str, int]:
    """Which tables hold something of these."""
    rows = await database.superuser.fetch(HELD, list(signatures))
    return {row["of"]: row["count"] for row in rows if row["count"]}


async def sound(database: LedgerDatabase, epochs: Epochs | None = None) -> bool:
    await whole_log(database)
    return list(await fsck(await database.connect("ledger_backup"), deep=True, epochs=epochs)) == []


async def test_a_signer_is_erased_with_all_her_signatures_and_once(petition: LedgerDatabase) -> None:
    """If a signer who signed again is erased, by whichever of her signatures, then each of them ends, the standing one
    by a withdrawal first; asked again the answer is the same, and nothing is appended."""
    async with writer(petition) as site, writer(petition, ERASE) as privacy:
        for command in (recording("jane"), withdrawing("jane"), recording("jane", 2), recording("joe")):
            await site.submit(by_site(command))
        first = await privacy.submit(erasing("jane"))
        await destroy(petition, her("jane"), her("jane", 2))
        again = [await privacy.submit(erasing("jane", n)) for n in (1, 2)]
    assert isinstance(first, Accepted)
    assert first.answer == {"petition": PETITION, "signatures": [str(her("jane")), str(her("jane", 2))]}
    assert [each.answer for each in again if isinstance(each, Accepted) and each.repeated] == [first.answer] * 2
    assert [(id, type) for _, id, type in await stored(petition)][4:] == [
        (her("jane"), "signer.erased.v1"),
        (her("jane", 2), "signature.withdrawn.v1"),
        (her("jane", 2), "signer.erased.v1"),
    ]
    assert await petition.superuser.fetchval("SELECT count FROM ledger.petitions") == 1
    assert await sound(petition)


async def test_a_closed_petition_keeps_its_count(petition: LedgerDatabase) -> None:
    """If a petition is closed or rejected, then an erasure is of the mode `kept`, and nothing is withdrawn; what is
    opened again does not let anything happen to her signature."""
    async with (
        writer(petition) as site, writer(petition, RUN) as admin, writer(petition, ERASE) as privacy
    ):  # fmt: skip
        await site.submit(by_site(recording("jane", confirmed=True)))
        await admin.submit(by_admin(accepting("closed")))
        await privacy.submit(erasing("jane"))
        await admin.submit(by_admin(accepting("open")))
        late = [await site.submit(by_site(each)) for each in (withdrawing("jane"), confirming("jane"))]
        late.append(await admin.submit(by_admin(amending("jane", "june"))))
        (hold,) = [CorrectImported(PETITION, some_id("k"), "invalidate", "bot", ((some_bytes("x", 16), b"r" * 16),))]
        named = replace(hold, rows=((recording("jane").token, b"r" * 16),))
        rows = await admin.submit(Submission(named, "import:4711"))
    assert reasons(late) == {0: "erased", 1: "erased", 2: "erased"}
    assert isinstance(rows, Accepted)
    assert rows.answer["rows"] == ["erased"]
    assert await petition.superuser.fetchval("SELECT count FROM ledger.petitions") == 1
    assert [type for _, _, type in await stored(petition)] == ["signature.recorded.v1", "signer.erased.v1"]


async def test_an_erasure_after_the_closing_time_closes_first(petition: LedgerDatabase) -> None:
    """If the closing time has passed and nobody has written since, then an erasure closes the petition first, and the
    count stays; before a petition opens again, likewise."""
    async with writer(petition) as site, writer(petition, ERASE) as privacy:
        for signer in ("jane", "june"):
            await site.submit(by_site(recording(signer)))
        await petition.superuser.execute("UPDATE ledger.petitions SET opens_at = now() + interval '1 hour'")
        await privacy.submit(erasing("june"))
        await petition.superuser.execute("UPDATE ledger.petitions SET opens_at = NULL, closes_at = now()")
        outcome = await privacy.submit(erasing("jane"))
    assert isinstance(outcome, Accepted)
    types = [row["type"] for row in await whole_log(petition)][3:]
    assert types == ["signer.erased.v1", "acceptance.changed.v1", "signer.erased.v1"]
    assert await petition.superuser.fetchval("SELECT count FROM ledger.petitions") == 2


async def test_earlier_releases_rows_learn_of_the_one_before(petition: LedgerDatabase) -> None:
    """If signatures were recorded by a release that did not note the one before, then the migration notes it from the
    leaves, as it is noted now."""
    async with writer(petition) as site:
        for command in (recording("jane"), withdrawing("jane"), recording("joe"), recording("jane", 2)):
            await site.submit(by_site(command))
    noted = "SELECT signature, previous FROM ledger.signatures ORDER BY position"
    now = await petition.superuser.fetch(noted)
    assert [row["previous"] for row in now] == [None, None, her("jane")]
    migration = files("ledger").joinpath("sql/migrations/0016_erasure.sql").read_text(encoding="utf-8")
    (statement,) = [each for each in migration.split(";\n") if "UPDATE ledger.signatures s SET previous" in each]
    await petition.superuser.execute("UPDATE ledger.signatures SET previous = NULL")
    await petition.superuser.execute(statement)
    assert await petition.superuser.fetch(noted) == now


async def test_whoever_signs_while_she_is_being_erased_is_asked_to_wait(petition: LedgerDatabase) -> None:
    """If an erasure is appended and not finished, then signing anew is `unavailable`, live and as a row of a file; once
    it is finished, the same request and the same row record her anew, as a stranger."""
    row = imported(recording("jane", 3, imported=True), "row")
    async with (
        writer(petition) as site, writer(petition, RUN) as admin, writer(petition, ERASE) as privacy
    ):  # fmt: skip
        request = by_site(recording("jane", comment="Mine.", evidence=Evidence("192.0.2.1", None)), key="key")
        await site.submit(request)
        await admin.submit(imported(replace(withdrawing("jane"), imported=True), "another row"))
        await privacy.submit(erasing("jane"))
        new = by_site(recording("jane", 2), key="another key")
        waiting = [await site.submit(new), await admin.submit(row)]
        assert reasons(waiting) == {0: "erasing", 1: "erasing"}
        assert set(await held(petition, her("jane"))) == {
            "identities", "signers", "evidence", "comments", "import_keys", "answers", "erasing"
        }  # fmt: skip
        await destroy(petition, her("jane"))
        anew = await site.submit(new)
        repeated = await admin.submit(row)
    assert isinstance(anew, Accepted)
    assert anew.answer["signature"] == str(her("jane", 2))
    assert isinstance(repeated, Accepted)
    assert repeated.answer["duplicate"]
    assert await held(petition, her("jane")) == {}
    refs = await petition.superuser.fetch(
        "SELECT convert_from(leaf, 'UTF8')::jsonb -> 'data' ->> 'signer_ref' AS ref FROM ledger.events"
        " WHERE type = 'signature.recorded.v1'"
    )
    assert len({row["ref"] for row in refs}) == 2
    assert await sound(petition)


async def test_only_what_the_log_says_is_erased_can_be_destroyed(petition: LedgerDatabase) -> None:
    """If somebody takes over the role, then what is held of a signer who was not erased cannot be destroyed."""
    async with writer(petition) as site:
        await site.submit(by_site(recording("jane")))
    with pytest.raises(Exception, match="Only what is held of an erased signer"):
        await destroy(petition, her("jane"))
    assert await held(petition, her("jane")) == {"identities": 1, "signers": 1}


async def test_a_writer_that_leaves_a_signature_out_is_refused(
    petition: LedgerDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a writer would erase one signature of a signer and not the other, then the database refuses it, whichever."""
    async with writer(petition) as site, writer(petition, ERASE) as privacy:
        for command in (recording("jane"), withdrawing("jane"), recording("jane", 2)):
            await site.submit(by_site(command))
        monkeypatch.setattr(Batch, "_hers", lambda self, state: [state])
        outcomes = [await privacy.submit(erasing("jane", n)) for n in (1, 2)]
    assert reasons(outcomes) == {0: "refused", 1: "refused"}


async def test_whatever_races_an_erasure_is_decided_by_position(petition: LedgerDatabase) -> None:
    """If sixteen at once erase, withdraw, hold, lift and sign for the same signers, then every rule holds, each erased
    signer was erased once, and nothing happens to her signatures afterwards."""
    signers = [f"s{n}" for n in range(6)]

    async def one(task: int, site: Any, admin: Any, privacy: Any) -> list[Outcome]:
        outcomes = []
        for n, signer in enumerate(signers[task % 3 :] + signers[: task % 3]):
            row = (recording(signer).token, some_bytes(f"{task} {n}", 16))
            kind = "invalidate" if task % 2 else "reinstate"
            command = CorrectImported(PETITION, some_id(f"{task} {n}"), kind, "bot", (row,))
            asked, by = [
                (erasing(signer), privacy),
                (by_site(withdrawing(signer)), site),
                (Submission(command, "import:4711"), admin),
                (by_site(recording(signer, 2 + task)), site),
            ][(task + n) % 4]
            outcomes.append(await by.submit(asked))
            await asyncio.sleep(0)
        return outcomes

    async with (
        writer(petition, bound=3) as site, writer(petition, RUN, bound=2) as admin,
        writer(petition, ERASE, bound=2) as privacy,
    ):  # fmt: skip
        await site.submit_all([by_site(recording(signer, confirmed=True)) for signer in signers])
        await asyncio.gather(*[one(task, site, admin, privacy) for task in range(16)])
    log = await stored(petition)
    erased = [id for _, id, type in log if type == "signer.erased.v1"]
    assert len(erased) == len(set(erased)) >= len(signers)
    for id in erased:
        assert [type for _, other, type in log if other == id][-1] == "signer.erased.v1"
    await destroy(petition, *erased)
    assert await sound(petition)


async def test_an_erasure_changes_no_leaf_and_no_root(petition: LedgerDatabase) -> None:
    """If signers are erased, then every earlier leaf, root and count is what it was."""
    async with writer(petition) as site, writer(petition, ERASE) as privacy:
        await site.submit_all([by_site(recording(f"s{n}")) for n in range(9)])
        before = await whole_log(petition)
        await privacy.submit_all([erasing(f"s{n}") for n in (2, 5)])
        await destroy(petition, her("s2"), her("s5"))
    after = await whole_log(petition)
    assert [dict(row) for row in after[: len(before)]] == [dict(row) for row in before]
    for size in range(1, len(before) + 1):
        assert root([row["leaf_hash"] for row in after[:size]]) == root([row["leaf_hash"] for row in before[:size]])


# -- rectifying --------------------------------------------------------------------------------------------------------


async def test_an_amended_signature_is_the_new_identitys_and_nothing_is_kept_of_the_old(
    petition: LedgerDatabase, tmp_path: Path
) -> None:
    """If a signature is amended, then the vault opens to the new identity, its signer is known by it, also where a file
    calls her by its own name, and under the old one anybody may sign."""
    evidence = Evidence("192.0.2.1", "browser", "old.example", b"o" * 16)
    async with writer(petition) as site, writer(petition, RUN) as admin, writer(petition, ERASE) as privacy:
        await admin.submit(
            imported(recording("jnae", imported=True, alias=b"a" * 16, evidence=evidence, comment="Mine."), "row")
        )
        await admin.submit(by_admin(amending("jnae", "jane")))
        amended = await admin.submit(by_admin(amending("jnae", "jane")))
        known = await site.submit(by_site(recording("jane")))
        named = imported(replace(withdrawing("x"), signature=None, token=b"a" * 16, imported=True), "another")
        withdrawn = await admin.submit(named)
        free = await site.submit(by_site(recording("jnae", 2)))
        assert isinstance(amended, Accepted)
        assert isinstance(known, Accepted)
        assert known.answer["signature"] == str(her("jnae"))
        assert isinstance(withdrawn, Accepted)
        assert isinstance(free, Accepted)
        assert not free.repeated
        rows = await petition.superuser.fetch("SELECT * FROM vault.evidence WHERE signature = $1", her("jnae"))
        assert [(row["ip"], row["user_agent"], row["email_domain"]) for row in rows] == [(None, None, "ex.org")]
        epochs = Epochs(lay_keys(tmp_path / "vault.key"))
        await petition.superuser.execute("DELETE FROM vault.identities WHERE signature = $1", her("jnae", 2))
        assert await sound(petition, epochs)
        gone = await privacy.submit(erasing("jnae"))
        await destroy(petition, her("jnae"))
    assert isinstance(gone, Accepted)
    assert gone.answer["signatures"] == [str(her("jnae"))]
    assert await held(petition, her("jnae")) == {}
    assert await petition.superuser.fetchval("SELECT count(*) FROM vault.aliases") == 0


async def test_an_amendment_never_makes_one_signer_of_two(petition: LedgerDatabase) -> None:
    """If the new identity has a signature of its own, or an organisation signs, or there is no such signature, then
    nothing is amended."""
    async with writer(petition) as site, writer(petition, RUN) as admin:
        await site.submit(by_site(recording("jnae")))
        await site.submit(by_site(recording("jane")))
        await site.submit(by_site(recording("union", kind="organisation", name="Union")))
        outcomes = await admin.submit_all(
            [by_admin(amending("jnae", "jane")), by_admin(amending("union", "x")), by_admin(amending("nobody", "x"))]
        )
    assert reasons(outcomes) == {0: "another-signer", 1: "in-public", 2: "unknown-signature"}
    assert isinstance(outcomes[0], Refused)
    assert outcomes[0].problem == "invalid-transition"
    assert await sound(petition)
