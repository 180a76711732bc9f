"""Declaring over HTTP: petitions are opened and declared upon, on top of what the admin has seen."""

import asyncio
import collections
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import LedgerDatabase
from tests.service.http.conftest import CANARY
from tests.service.http.counter import JANE, PETITION, Counter, Reply, counter

OF = f"/petitions/{PETITION}"
NEW = {"id": PETITION, "title": "Keep the library", "addressee": "The Council", "text": "It is ours.\n\nKeep it."}


@pytest.fixture
async def served(ledger_database: LedgerDatabase, tmp_path: Path) -> AsyncIterator[Counter]:
    async with counter(ledger_database, tmp_path) as made:
        yield made


async def declared(counter: Counter, **headers: str) -> Reply:
    sent = {"Authorization": f"Bearer {counter.admin}", **headers}
    return await counter.send("GET", f"{OF}/declarations", headers=sent)


async def test_a_petition_is_opened(served: Counter) -> None:
    """If an admin opens a petition, then the log has it from that admin, and its text stands beside the log."""
    reply = await served.declare("/petitions", {**NEW, "milestones": [2, 4], "goals": "uk-parliament"})
    (event,) = await served.events()
    text = str(NEW["text"])
    assert (reply.status, reply.headers["Location"]) == (201, f"{OF}.json")
    assert reply.document == {"petition": PETITION, "position": 1, "version": 1}
    assert event["actor"].startswith("admin:")
    assert (event["data"]["title"], event["data"]["provenance"]) == ("Keep the library", "live")
    assert (event["data"]["milestones"], event["data"]["goals"]) == ([2, 4], [10_000, 100_000])
    assert event["data"]["text_sha256"] == sha256(text.encode()).hexdigest()
    reader = await served.database.connect("ledger_reader")
    assert await reader.fetchval("SELECT text FROM ledger.texts WHERE petition = 1 AND text_version = 1") == text
    assert (await served.sign("k")).status == 201


async def test_a_petition_has_the_defaults_of_the_command_line(served: Counter) -> None:
    """If a petition is opened by its id alone, then the rest is what the command line takes it to be."""
    assert (await served.declare("/petitions", {"id": PETITION})).status == 201
    await served.open("by-hand")
    over_http, by_hand = [event["data"] for event in await served.events()]
    assert {**over_http, "title": "by-hand"} == by_hand


async def test_a_petition_is_opened_once(served: Counter) -> None:
    """If an id is taken, then it is 409; a repeat by key gets the first answer, another petition by that key is 422."""
    first = await served.declare("/petitions", NEW, key="open")
    again = await served.declare("/petitions", NEW, key="open")
    assert (again.status, again.document) == (201, first.document)
    assert (await served.declare("/petitions", NEW)).problem == "invalid-transition"
    assert (await served.declare("/petitions", {"id": "another"}, key="open")).problem == "idempotency-key-reused"
    assert len(await served.events()) == 1


@pytest.mark.parametrize(
    "said",
    [
        {"id": CANARY.upper()},
        {"id": "ledger"},
        {"id": "a", "title": f"{CANARY}\u202e"},
        {"id": "a", "timezone": f"Mars/{CANARY}"},
        {"id": "a", "goals": [3, 2]},
        {"id": "a", "goals": CANARY},
        {"id": "a", "public_fields": ["answers"]},
        {"id": "a", "opens_at": "2030-01-02T00:00:00Z", "closes_at": "2030-01-01T00:00:00Z"},
        {"id": "a", "questions": {f"q{n}": [f"{n}-{m}-{'c' * 30}" for m in range(50)] for n in range(20)}},
        {"id": "a", "actor": f"admin:{CANARY}"},
        {"id": "a", "position": 1},
    ],
)
async def test_what_is_no_petition_is_refused(served: Counter, said: dict[str, Any]) -> None:
    """If a petition cannot be opened as it is described, then it is 422, unrepeated, and nothing is recorded."""
    reply = await served.declare("/petitions", said)
    assert (reply.status, reply.problem) == (422, "validation-failed")
    assert CANARY.encode() not in reply.body.lower()
    assert await served.events() == []


async def test_declarations_are_counted_apart_from_signatures(served: Counter) -> None:
    """If people sign, then the ETag of what was declared stays; if something is declared, then it moves by one."""
    await served.declare("/petitions", NEW)
    first = await declared(served)
    await served.sign("k")
    assert (first.headers["ETag"], first.document["declarations"]) == ('"d1"', 1)
    assert (await declared(served, **{"If-None-Match": '"d1"'})).status == 304
    await served.declare(f"{OF}/updates", {"headline": "We wrote to them", "reference": "https://ex.org/1"})
    second = await declared(served, **{"If-None-Match": '"d1"'})
    assert (second.status, second.headers["ETag"]) == (200, '"d2"')
    assert [each["type"] for each in second.document["data"]] == ["petition.opened.v1", "update.posted.v1"]
    assert second.document["data"][1]["data"] == {"headline": "We wrote to them", "reference": "https://ex.org/1"}
    assert [each["position"] for each in second.document["data"]] == [1, 3]
    assert second.headers["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("status", {"status": "successful", "reported_count": 13163, "effective_on": "2020-12-31"}),
        ("acceptance", {"acceptance": "paused"}),
        ("revisions", {"title": "Keep both libraries"}),
    ],
)
async def test_what_was_overtaken_is_refused(served: Counter, path: str, body: dict[str, Any]) -> None:
    """If an admin declares without saying, or not having seen the last declaration, then it is 428 or 412."""
    await served.declare("/petitions", NEW)
    assert (await served.declare(f"{OF}/{path}", body)).problem == "precondition-required"
    for tag in ('"d0"', '"d2"', '"d01"', 'W/"d1"', '"e1"', '"d1", "d2"', '"d9999999999999999999"'):
        reply = await served.declare(f"{OF}/{path}", body, If_Match=tag)
        assert (reply.status, reply.problem) == (412, "precondition-failed")
    first = await served.declare(f"{OF}/{path}", body, seen=1, key="k")
    assert (first.status, first.document["position"]) == (201, 2)
    assert (await served.declare(f"{OF}/{path}", body, seen=1)).problem == "precondition-failed"
    again = await served.declare(f"{OF}/{path}", body, seen=1, key="k")
    assert (again.status, again.document) == (201, first.document)
    assert len(await served.events()) == 2


async def test_of_sixteen_who_saw_the_same_one_declares(served: Counter) -> None:
    """If sixteen admins declare at once on top of the same, then one is taken, and the others are told 412."""
    await served.declare("/petitions", NEW)
    replies = await asyncio.gather(
        *[served.declare(f"{OF}/revisions", {"title": f"Title {n}", "text": f"{n}"}, seen=1) for n in range(16)]
    )
    assert collections.Counter(each.status for each in replies) == {201: 1, 412: 15}
    assert len(await served.events()) == 2


async def test_a_text_that_changes_is_the_next_version(served: Counter) -> None:
    """If a revision brings a text, then it is the next version, kept beside the log; one without brings none."""
    await served.declare("/petitions", NEW)
    for seen, body in enumerate(({"title": "Other"}, {"text": "Second."}, {"goals": [5]}, {"text": "Third."}), 1):
        assert (await served.declare(f"{OF}/revisions", body, seen=seen)).status == 201
    revised = [event["data"] for event in await served.events("petition.revised.v1")]
    texts = {row["text_version"]: row["text"] for row in await served.rows("ledger.texts")}
    assert [(said["text_version"], "text_sha256" in said) for said in revised] == [
        *((1, False), (2, True), (2, False), (3, True))
    ]
    assert texts == {1: NEW["text"], 2: "Second.", 3: "Third."}
    assert revised[1]["text_sha256"] == sha256(b"Second.").hexdigest()
    assert (await declared(served)).document["text_version"] == 3


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("revisions", {}),
        ("revisions", {"goals": [3, 2]}),
        ("revisions", {"timezone": "Mars/Base"}),
        ("revisions", {"text_version": 7}),
        ("revisions", {"basis": "observed"}),
        ("status", {"status": "glorious"}),
        ("acceptance", {"acceptance": "open", "at": "2020-01-01T00:00:00Z"}),
        ("updates", {"headline": "x" * 201}),
        ("updates", {"headline": "x", "reference": "javascript:alert(1)"}),
    ],
)
async def test_what_is_no_declaration_is_refused(served: Counter, path: str, body: dict[str, Any]) -> None:
    """If a declaration is not of its form, or says what never changes, then it is 422 and nothing is recorded."""
    await served.declare("/petitions", NEW)
    reply = await served.declare(f"{OF}/{path}", body, seen=1)
    assert (reply.status, reply.problem) == (422, "validation-failed")
    assert len(await served.events()) == 1


async def test_what_a_petition_takes_already_is_not_said_again(served: Counter) -> None:
    """If a petition takes signatures, then saying so is 200 with a position that shows it, and appends nothing."""
    await served.declare("/petitions", NEW)
    reply = await served.declare(f"{OF}/acceptance", {"acceptance": "open"}, seen=1)
    assert (reply.status, reply.document["duplicate"], reply.document["position"]) == (200, True, 1)
    assert (await served.declare(f"{OF}/acceptance", {"acceptance": "closed"}, seen=1)).status == 201
    assert (await served.sign("k")).problem == "petition-closed"
    assert (await served.declare(f"{OF}/status", {"status": "certified"}, seen=2)).status == 201
    types = [event["type"] for event in await served.events()]
    assert types == ["petition.opened.v1", "acceptance.changed.v1", "status.declared.v1"]


async def test_an_outcome_does_not_end_signing(served: Counter) -> None:
    """If a petition is declared successful, then people go on signing."""
    await served.declare("/petitions", NEW)
    await served.declare(f"{OF}/status", {"status": "successful"}, seen=1)
    assert (await served.sign("k", JANE)).status == 201


async def test_of_what_is_not_there_nothing_is_declared(served: Counter) -> None:
    """If there is no petition of the id, then every route says 404."""
    asked: list[tuple[str, dict[str, Any]]] = [
        ("status", {"status": "successful"}),
        ("acceptance", {"acceptance": "closed"}),
        ("revisions", {"title": "x"}),
        ("updates", {"headline": "x"}),
    ]
    replies = [await served.declare(f"{OF}/{path}", body, seen=1) for path, body in asked]
    replies.append(await declared(served))
    assert [each.problem for each in replies] == ["not-found"] * 5


async def test_the_checks_come_in_one_order(served: Counter) -> None:
    """If several things are wrong, then the first is told: credential, media type, key, precondition, body."""
    path, kind = f"{OF}/status", {"Content-Type": "application/json"}
    bearer, key = {"Authorization": f"Bearer {served.admin}"}, {"Idempotency-Key": ""}
    tag = {"If-Match": '"d1"'}
    assert (await served.send("POST", path, b"{", {"Content-Type": "text/plain"})).problem == "unauthenticated"
    assert (await served.send("POST", path, b"{", bearer | key)).problem == "unsupported-media-type"
    assert (await served.send("POST", path, b"{", bearer | kind | key)).problem == "idempotency-key-invalid"
    assert (await served.send("POST", path, b"{", bearer | kind)).problem == "precondition-required"
    assert (await served.send("POST", path, b"{", bearer | kind | tag)).problem == "malformed-request"
    assert (await served.send("POST", path, b"{}", bearer | kind | tag)).problem == "validation-failed"
