"""What is left of an erased signer: with every row of every table and every key, nothing that was made of who she is
can be found, and what deleted rows leave in files goes with a vacuum and a rotation."""

import base64
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from ledger.email_policy import email_policy
from ledger.fsck import fsck
from ledger.identity import Email, Imported, canonical_pii, name_token, petition_key, signer_token
from ledger.keys import load_root_key
from ledger.rewrapping import begin_epoch, rewrap_rows
from ledger.vault import CannotOpen, Opened, open_identity
from projections.projector import catch_up
from schemas.sealed import SealedIdentity
from service.importing import import_log
from service.opening import opening
from tests.conftest import LedgerDatabase
from tests.service.http.counter import PETITION, Counter, counter
from tests.service.http.test_erasing import erase

SIGNATURES = f"/petitions/{PETITION}/signatures"
JANE: dict[str, Any] = {
    "signer": {"email": "zq7jane@zq7domain.example.org", "name": "Zq7 Jane", "postcode": "ZQ7 9XP"},
    "comment": "Zq7 because.",
    "evidence": {"ip": "203.0.113.77", "user_agent": "Zq7Agent/5.0"},
}
IDENTITY = Email("zq7jane@zq7domain.example.org", "Zq7 Jane", "ZQ7 9XP")
PLAIN = (b"zq7", b"Zq7", b"ZQ7", b"203.0.113")
FILE = "at,kind,signer,email\n2020-01-01T00:00:00Z,recorded,zq7-signer,zq7jane@zq7domain.example.org\n"
TABLES = (
    "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables"
    " WHERE schemaname IN ('ledger', 'vault', 'access', 'projections', 'public') ORDER BY 1"
)
FILES = (
    "SELECT c.relname AS name, pg_read_binary_file(pg_relation_filepath(c.oid)) AS content"
    " FROM pg_class c WHERE c.relnamespace = 'vault'::regnamespace AND c.relkind IN ('r', 'i')"
)


@pytest.fixture
async def served(ledger_database: LedgerDatabase, tmp_path: Path) -> AsyncIterator[Counter]:
    """Jane has signed by a site, withdrawn, signed again, stands in a file under a reference, was taken for a
    duplicate, and was held by corrections that searched for her; John has signed."""
    async with counter(ledger_database, tmp_path) as made:
        await made.open()
        first = (await made.sign("zq7key-1", JANE)).document["signature"]
        await made.post(f"{SIGNATURES}/{first}/withdrawal", key="zq7key-2")
        for key in ("zq7key-3", "zq7key-4"):
            await made.sign(key, JANE)
        await made.sign("john", {"signer": {"email": "john@ex.org", "name": "John"}})
        (tmp_path / "log.csv").write_text(FILE, encoding="utf-8")
        said: dict[str, Any] = {"mapping": {}, "kinds": {}, "zone": None, "actor": "import:4711"}
        await import_log(made.ledger, opening(PETITION), tmp_path / "log.csv", **said)
        for where in ({"email_domain": "zq7domain.example.org"}, {"network": "203.0.113.0/24"}):
            body = {"kind": "invalidate", "reason": "bot", "rule": "A rule.", "where": where}
            held = await made.post(f"/petitions/{PETITION}/corrections", body, token=made.admin)
            assert held.status == 201
        await catch_up(await ledger_database.connect("ledger_projector"))
        yield made


async def opened(served: Counter) -> list[Opened]:
    """What of the vault opens with the keys that there are."""
    found = []
    for row in await served.rows("vault.identities"):
        identity = SealedIdentity(row["epoch"], row["wrapped_key"], row["sealed"])
        found.append(open_identity(served.ledger.epochs().of(row["epoch"]), row["signature"], identity))
    return found


async def made_of_her(served: Counter) -> dict[str, bytes]:
    """All that the database holds of her, whether it was read out of it or made anew with the keys."""
    key, policy = petition_key(load_root_key(served.ledger.key_file), PETITION), email_policy("standard", 1)
    name = name_token(key, "Zq7 Jane")
    assert name is not None
    hers = {row["signature"] for row in await served.rows("vault.comments")}
    assert len(hers) == 2
    secrets = {
        "token": signer_token(key, IDENTITY, policy),
        "alias": signer_token(key, Imported("zq7-signer"), policy),
        "name token": name,
        "identity": canonical_pii(IDENTITY),
    }
    for table, columns in (
        ("import_keys", ["key"]), ("answers", ["key", "fingerprint"]), ("signers", ["token"]),
        ("identities", ["wrapped_key", "sealed"]), ("evidence", ["name_token"]),
    ):  # fmt: skip
        rows = [row for row in await served.rows(f"vault.{table}") if row["signature"] in hers]
        assert rows, table
        secrets |= {f"{table} {n} {each}": row[each] for n, row in enumerate(rows) for each in columns}
    nonces = [each.nonce for each in await opened(served) if each.pii == canonical_pii(IDENTITY)]
    assert len(nonces) == 2
    secrets |= {f"nonce {n}": nonce for n, nonce in enumerate(nonces)}
    return secrets | {f"plain {each!r}": each for each in PLAIN}


async def search(served: Counter, secrets: Mapping[str, bytes]) -> set[str]:
    """Which of these stand anywhere in any row of any table, as they are, in hexadecimal digits or in base64."""
    places = []
    for table in await served.database.superuser.fetch(TABLES):
        for row in await served.rows(table["name"]):
            for value in row.values():
                places.append(value if isinstance(value, bytes) else str(value).encode())
    whole = b"\n".join(places)
    return {
        name
        for name, secret in secrets.items()
        if any(form in whole for form in (secret, secret.hex().encode(), base64.b64encode(secret)))
    }


async def in_files(served: Counter, secrets: Mapping[str, bytes]) -> set[str]:
    """Which of these stand in the files of the vault's tables and indexes."""
    await served.database.superuser.execute("CHECKPOINT")
    files = b"\n".join([row["content"] for row in await served.database.superuser.fetch(FILES)])
    return {name for name, secret in secrets.items() if secret in files}


async def erased(served: Counter) -> None:
    """Jane, by her address."""
    reply = await erase(served, {"email": "zq7jane@zq7domain.example.org"})
    assert (reply.status, len(reply.document["signatures"])) == (200, 2)
    await catch_up(await served.database.connect("ledger_projector"))


async def test_nothing_that_a_query_can_read_can_be_computed_from_who_she_was(served: Counter) -> None:
    """If she was erased, then of all that was held of her, was made of who she is, or sealed it, nothing stands in any
    column of any table, though every one did before; John stands as he stood, and the ledger is sound."""
    secrets = await made_of_her(served)
    before = await search(served, secrets)
    assert {name for name in secrets if not name.startswith(("identity", "nonce", "plain b'Z"))} <= before
    await erased(served)
    assert await search(served, secrets) == set()
    assert [each.pii for each in await opened(served)] == [canonical_pii(Email("john@ex.org", "John"))]
    assert await served.rows("vault.correction_wheres") == []
    backup = await served.database.connect("ledger_backup")
    assert list(await fsck(backup, deep=True, epochs=served.ledger.epochs())) == []


async def test_what_deleted_rows_leave_goes_with_a_vacuum_and_a_rotation(served: Counter) -> None:
    """If she was erased, then her rows are still in the tables' files until they are written anew; and what an old dump
    holds of her does not open with any key that is left once the epoch was rotated."""
    secrets = await made_of_her(served)
    rows: list[tuple[UUID, SealedIdentity]] = [
        (row["signature"], SealedIdentity(row["epoch"], row["wrapped_key"], row["sealed"]))
        for row in await served.rows("vault.identities")
    ]
    kept = {name for name in await in_files(served, secrets) if not name.startswith("plain b'Z")}
    assert {"token", "name token", "identities 0 sealed"} <= kept
    await erased(served)
    assert await in_files(served, secrets) & {"token", "identities 0 sealed"}
    for table in await served.database.superuser.fetch(TABLES):
        if table["name"].startswith("vault."):
            await served.database.superuser.execute(f"VACUUM FULL {table['name']}")
    assert await in_files(served, secrets) == set()
    epochs = served.ledger.epochs()
    new = await begin_epoch(await served.database.connect("ledger_admin"), epochs, 2, epochs.draft)
    privacy = await served.database.connect("ledger_privacy")
    await rewrap_rows(privacy, epochs, new)
    assert await privacy.fetchval("SELECT ledger.retire_epochs(2)")
    epochs.destroy(1)
    assert epochs.numbers() == [2]
    for signature, identity in rows:
        with pytest.raises(CannotOpen):
            open_identity(new, signature, identity)
