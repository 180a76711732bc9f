"""Why people signed: read and released by an admin, taken back again, and shown to nobody before or after."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from ledger.comments import released_comments
from schemas.answers import CommentAnswer
from tests.conftest import LedgerDatabase
from tests.ledger.submissions import some_id
from tests.service.http.counter import JANE, PETITION, Counter, Reply, counter

EVERYTHING = 2**62


@pytest.fixture
async def served(ledger_database: LedgerDatabase, tmp_path: Path) -> AsyncIterator[Counter]:
    async with counter(ledger_database, tmp_path) as made:
        await made.open()
        yield made


async def signed(served: Counter, name: str, comment: str | None, petition: str = PETITION) -> str:
    """The signature of somebody who says why."""
    body = {"signer": {"email": f"{name}@ex.org"}} | ({} if comment is None else {"comment": comment})
    return str((await served.sign(name, body, petition=petition)).document["signature"])


async def decide(
    served: Counter, signature: str, released: object = True, petition: str = PETITION, **more: Any
) -> Reply:
    path = f"/petitions/{petition}/signatures/{signature}/comment"
    return await served.post(path, {"released": released}, token=more.pop("token", served.admin), **more)


async def shown(served: Counter, before: int = EVERYTHING, at_most: int = 10) -> list[str]:
    """What everybody may read."""
    reader = await served.database.connect("ledger_reader")
    return [each.comment for each in await released_comments(reader, PETITION, before, at_most)]


async def test_a_comment_is_shown_once_an_admin_has_released_it(served: Counter) -> None:
    """If an admin releases a comment, then everybody may read it, and the admin's id is kept with it; if it is taken
    back, then nobody may."""
    ada, bob = await signed(served, "ada", "For the children."), await signed(served, "bob", "It is ours.\nAll of it.")
    assert await shown(served) == []
    reply = await decide(served, ada)
    CommentAnswer.model_validate_json(reply.body)
    assert (reply.status, reply.headers["Cache-Control"]) == (200, "no-store")
    assert reply.document == {"signature": ada, "released": True, "comment": "For the children."}
    await decide(served, bob)
    assert await shown(served) == ["It is ours.\nAll of it.", "For the children."]
    assert await shown(served, at_most=1) == ["It is ours.\nAll of it."]
    assert await shown(served, before=3) == ["For the children."]
    decided = {str(row["signature"]): row["decided_by"] for row in await served.rows("vault.comments")}
    assert all(by.startswith("admin:") for by in decided.values())
    assert (await decide(served, bob, False)).document["released"] is False
    assert await shown(served) == ["For the children."]


async def test_an_admin_who_releases_nothing_reads_and_changes_nothing(served: Counter) -> None:
    """If a comment is not released and stays so, then the admin reads it, and nothing is decided."""
    ada = await signed(served, "ada", "For the children.")
    assert (await decide(served, ada, False)).document["comment"] == "For the children."
    (row,) = await served.rows("vault.comments")
    assert (row["released"], row["decided_by"], row["decided_at"]) == (False, None, None)


async def test_a_comment_of_a_signature_that_does_not_count_is_not_shown(served: Counter) -> None:
    """If the signer withdraws, or a correction holds the signature, then the comment is no longer shown."""
    ada, bob = await signed(served, "ada", "For the children."), await signed(served, "bob", "It is ours.")
    for each in (ada, bob):
        await decide(served, each)
    await served.post(f"/petitions/{PETITION}/signatures/{ada}/withdrawal")
    assert await shown(served) == ["It is ours."]
    body = {"reason": "bot", "rule": "A trial.", "kind": "invalidate", "signatures": [bob]}
    assert (await served.post(f"/petitions/{PETITION}/corrections", body, token=served.admin)).status == 201
    assert await shown(served) == []


async def test_what_has_no_comment_is_refused(served: Counter) -> None:
    """If there is no such petition or signature, no comment, or a signer who was erased, then it is refused, and
    nothing is shown."""
    await served.open("another")
    ada, quiet = await signed(served, "ada", "For the children."), await signed(served, "quiet", None)
    assert (await decide(served, quiet)).problem == "not-found"
    assert (await decide(served, str(some_id("nobody")))).problem == "not-found"
    assert (await decide(served, ada, petition="another")).problem == "not-found"
    assert (await decide(served, ada, petition="nowhere")).problem == "not-found"
    assert (await decide(served, ada, "yes")).problem == "validation-failed"
    await served.database.superuser.execute(
        "UPDATE ledger.signatures SET erased = true WHERE signature = $1", UUID(ada)
    )
    refused = await decide(served, ada)
    assert (refused.status, refused.problem) == (409, "invalid-transition")
    assert b"children" not in refused.body
    assert await shown(served) == []


async def test_a_decision_with_a_key_is_answered_as_it_was(served: Counter) -> None:
    """If a decision comes again with its key, then it is answered as it was, whatever was decided since; with the key
    of another request it is refused. What is kept under the key has nothing of the comment."""
    ada = await signed(served, "ada", "For the children.")
    first = await decide(served, ada, key="k")
    await decide(served, ada, False)
    assert (await decide(served, ada, key="k")).document == first.document
    assert await shown(served) == []
    assert (await decide(served, ada, False, key="k")).problem == "idempotency-key-reused"
    assert "children" not in repr(await served.rows("vault.answers"))


async def test_released_is_what_an_admin_decided(served: Counter) -> None:
    """If anybody but an admin decides, or a row says that it is released by nobody, then the database refuses."""
    ada = await signed(served, "ada", "For the children.")
    admin = await served.database.connect("ledger_admin")
    decision = "SELECT ledger.decide_comment($1, $2, $3, true, NULL, NULL)"
    for actor in ("site:0a1b2c", "system", "admin:Jane"):
        with pytest.raises(asyncpg.CheckViolationError):
            await admin.execute(decision, actor, PETITION, UUID(ada))
    with pytest.raises(asyncpg.CheckViolationError):
        await served.database.superuser.execute("UPDATE vault.comments SET released = true")
    for role in ("ledger_signing", "ledger_privacy", "ledger_reader"):
        connection = await served.database.connect(role)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(decision, "admin:0a1b2c", PETITION, UUID(ada))


async def test_a_person_who_asks_sees_whether_her_comment_is_shown(served: Counter) -> None:
    """If a comment is released, then what is held of its signer says so."""
    await served.sign("a", JANE | {"comment": "For the children."})
    (held,) = await served.rows("vault.comments")
    await decide(served, str(held["signature"]))
    officer = await served.token("privacy", "an officer")
    found = (await served.post("/subjects", {"email": "jane@ex.org"}, token=officer)).document["signatures"]
    assert [each["comment"] for each in found] == [{"text": "For the children.", "released": True}]
