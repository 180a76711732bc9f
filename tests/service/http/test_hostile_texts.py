"""Hostile texts wherever a text can stand: each is refused without an echo, or stored letter by letter, and does
nothing.

Which forms are refused at all is held in tests/schemas/test_requests.py and tests/ledger/test_email_policy.py. Here
they go the whole way, over HTTP and from files, to the tables and back.
"""

import csv
from base64 import b64decode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from ledger.fsck import fsck
from projections.projector import catch_up
from service.importing import import_log
from service.opening import opening
from tests.conftest import LedgerDatabase
from tests.service.http.conftest import CANARY
from tests.service.http.counter import PATIENCE, PETITION, Counter, Reply, counter

SIGNATURES = f"/petitions/{PETITION}/signatures"

ODD = [
    "'; DROP TABLE ledger.events; --",
    "$1 %s %n \\ \\' \\\" \\u0041 `id` $(id) | && ;",
    "' OR 1=1 --",
    "%_% (a+)+$",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "javascript:alert(1)",
    "</script><!-- ]]> -->",
    "=cmd|' /C calc'!A0",
    "＝1+1",
    "@SUM(1;1)",
    "{0.__class__} {{7*7}} ${jndi:ldap:x}",
    "../../etc/passwd %2e%2e%2f %00",
    "Аdmin with a Cyrillic letter, ɡoogle",
    "A\u030angstro\u0308m beside Ångström",
    "null",
]
"""Stored as they are wherever a line of text is taken."""

UNSEEN = [
    *("\x00", "\n", "\r", "\x1b[2J", "\x7f", "\x85", "\u2028", "\u2029"),
    *("\u202e", "\u2066", "\u200f", "\u061c"),
    *("\u200b", "\u2060", "\ufeff", "\u00ad", "\U000e0041", "\u3164"),
]
"""What neither a name nor an address holds; the first twelve, no line that is published."""
MARKED = "e" + "\u0301" * 9
"""What no name holds."""

BROKEN = [rb'"\ud800"', rb'"\udc00a"', b'"\xff"', rb'"\x"', b'"\t"', b'"\x00"']
"""What is no text in JSON."""


@pytest.fixture
async def served(ledger_database: LedgerDatabase, tmp_path: Path) -> AsyncIterator[Counter]:
    """A petition, which afterwards is sound: whatever was sent, nothing but what was taken is in the log."""
    async with counter(ledger_database, tmp_path, reads=True) as made:
        await made.open()
        yield made
        backup = await ledger_database.connect("ledger_backup")
        findings = await fsck(backup, deep=True, epochs=made.context.epochs)
        assert list(findings) == []


async def sign(served: Counter, key: str, **said: Any) -> Reply:
    reply = await served.sign(key, {"signer": {"email": f"{key}@ex.org"}} | said)
    assert reply.status in (201, 422), reply.body
    return reply


def identity(reply: Reply) -> dict[str, Any]:
    """What the vault sealed, as the opening of the first answer says it."""
    opened: dict[str, Any] = orjson.loads(b64decode(reply.document["opening"]["identity"]))
    return opened


async def test_odd_texts_of_signers_are_stored_letter_by_letter(served: Counter) -> None:
    """If a name, a reference, a comment or a browser is odd, then it stands where it belongs as it was sent, and each
    reference is another signer."""
    for number, text in enumerate(ODD):
        named = await sign(served, f"n{number}", signer={"email": f"n{number}@ex.org", "name": text})
        assert identity(named)["name"] == text
        said = {"comment": f"{text}\n\u202e{text}", "evidence": {"user_agent": text}}
        assert identity(await sign(served, f"r{number}", signer={"ref": text}, **said))["ref"] == text
    comments = {row["comment"] for row in await served.rows("vault.comments")}
    browsers = {row["user_agent"] for row in await served.rows("vault.evidence")}
    assert comments == {f"{text}\n\u202e{text}" for text in ODD}
    assert browsers == {None, *ODD}
    assert len(await served.events("signature.recorded.v1")) == 2 * len(ODD)


async def test_odd_texts_that_are_public_are_served_as_data(served: Counter) -> None:
    """If an organisation, a title, a headline or a rule is odd, then the log and every read have it as it was sent,
    as JSON that no browser takes for a page."""
    for number, text in enumerate(ODD):
        signed = await served.sign(f"o{number}", {"organisation": {"name": text, "reference": text}})
        assert signed.status == 201, text
        posted = await served.declare(f"/petitions/{PETITION}/updates", {"headline": text})
        assert posted.status == 201, text
        opened = await served.post(
            "/petitions", {"id": f"odd-{number}", "title": text, "addressee": text, "text": text}, token=served.admin
        )
        assert opened.status == 201, text
        rule = {"reason": "bot", "rule": text, "signatures": [signed.document["signature"]]}
        corrected = await served.post(f"/petitions/{PETITION}/corrections", rule, token=served.admin)
        assert corrected.status == 201, (text, corrected.body)
    assert [event["data"]["name"] for event in await served.events("signature.recorded.v1")] == ODD
    assert [event["data"]["headline"] for event in await served.events("update.posted.v1")] == ODD
    assert [event["data"]["title"] for event in await served.events("petition.opened.v1")][1:] == ODD
    assert sorted(row["rule"] for row in await served.rows("ledger.notices")) == sorted(ODD)
    position = await catch_up(await served.database.connect("ledger_projector"))
    assert await served.context.snapshots.wait_for(position, PATIENCE)
    for path in ("/events?limit=1000", f"/petitions/{PETITION}/corrections.json"):
        read = await served.get(path)
        assert read.status == 200, path
        assert "json" in read.headers["Content-Type"]
        assert read.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in read.headers["Content-Security-Policy"]


async def test_what_cannot_be_seen_is_refused_wherever_a_name_stands(served: Counter, said: list[Any]) -> None:
    """If a name, a reference, an organisation or a title holds what cannot be seen, then it is 422, nothing is
    recorded, and nothing of it comes back or stands in the log."""
    before = len(await served.events())
    for sign_of_it in (*UNSEEN, MARKED):
        text = f"{CANARY}{sign_of_it}{CANARY}"
        refused = [
            await sign(served, "k", signer={"email": "k@ex.org", "name": text}),
            await sign(served, "k", signer={"ref": text}),
            await served.sign("k", {"organisation": {"name": text}}),
            await served.sign("k", {"organisation": {"name": "A", "reference": text}}),
        ]
        if sign_of_it in UNSEEN:
            refused.append(await sign(served, "k", signer={"email": f"{text}@ex.org"}))
        if sign_of_it in UNSEEN[:12]:
            asked = {"reason": "bot", "rule": text, "where": {"channel": "site"}}
            refused += [
                await served.post("/petitions", {"id": "odd", "title": text}, token=served.admin),
                await served.post(f"/petitions/{PETITION}/corrections", asked, token=served.admin),
                await served.declare(f"/petitions/{PETITION}/updates", {"headline": text}),
            ]
        for reply in refused:
            assert (reply.status, reply.problem) == (422, "validation-failed"), (sign_of_it, reply.body)
            assert CANARY.encode() not in reply.body
    assert len(await served.events()) == before


async def test_what_is_no_text_is_refused(served: Counter) -> None:
    """If a member holds half a character, or bytes that are none, then the body is malformed or not valid."""
    for broken in BROKEN:
        for body in (b'{"signer":{"ref":%s}}', b'{"signer":{"email":%s}}', b'{"organisation":{"name":%s}}'):
            headers = {"Authorization": f"Bearer {served.site}", "Content-Type": "application/json"}
            reply = await served.send("POST", SIGNATURES, body % broken, headers | {"Idempotency-Key": "k"})
            assert reply.status in (400, 422), (broken, reply.body)
            assert reply.problem in ("malformed-request", "validation-failed")
    assert await served.events("signature.recorded.v1") == []


async def test_look_alikes_are_one_signer_or_two_as_the_policy_says(served: Counter) -> None:
    """If an address or an organisation is written in another form of the same characters, then it is the same signer;
    if with letters of another script, then it is another."""
    assert (await sign(served, "a", signer={"email": "ada@exämple.org"})).status == 201
    for number, same in enumerate(("ａda@exämple.org", "ADA@xn--exmple-cua.org", "ada@exa\u0308mple。org")):
        assert (await served.sign(f"b{number}", {"signer": {"email": same}})).status == 200, same
    assert (await sign(served, "c", signer={"email": "аda@exämple.org"})).status == 201
    assert (await served.sign("d", {"organisation": {"name": "Ångström ﬁrm ①"}})).status == 201
    assert (await served.sign("e", {"organisation": {"name": "A\u030aNGSTRO\u0308M  FIRM 1"}})).status == 200
    assert (await served.sign("f", {"organisation": {"name": "Ångstrоm firm 1"}})).status == 201


async def test_odd_texts_of_conditions_find_what_they_say_and_nothing_else(served: Counter) -> None:
    """If a correction searches for an odd name, then it finds exactly the signers of that name; wildcards are
    letters."""
    for number, text in enumerate(ODD):
        await sign(served, f"n{number}", signer={"email": f"n{number}@ex.org", "name": text})
    path = f"/petitions/{PETITION}/corrections/preview"
    for text, many in [*[(each, 1) for each in ODD], ("%", 0), ("_", 0), ("' OR ''='", 0), (".*", 0)]:
        asked = {"reason": "bot", "rule": "A rule.", "where": {"name_equals": text}}
        found = await served.post(path, asked, token=served.admin)
        assert (found.status, found.document["matched"]) == (200, many), text
    for domain in ("%", "ex.org' OR '1'='1", "*.org", "ex.org\u0000"):
        asked = {"reason": "bot", "rule": "A rule.", "where": {"email_domain": domain}}
        refused = await served.post(path, asked, token=served.admin)
        assert (refused.status, refused.problem) == (422, "validation-failed"), domain


async def test_odd_texts_of_files_are_stored_letter_by_letter(served: Counter, tmp_path: Path) -> None:
    """If a file names signers and organisations oddly, then each row is a signature of its own, as it was written; rows
    that hold what cannot be seen are refused one by one."""
    file = tmp_path / "log.csv"
    with file.open("w", newline="", encoding="utf-8") as written:
        rows = csv.writer(written)
        rows.writerow(["at", "kind", "signer", "organisation", "reference"])
        rows.writerows(["2024-01-01T10:00Z", "recorded", text, "", ""] for text in ODD)
        rows.writerows(["2024-01-01T10:00Z", "recorded", f"o{n}", text, text] for n, text in enumerate(ODD))
        rows.writerows(
            ["2024-01-01T10:00Z", "recorded", f"{CANARY}{sign}", "", ""] for sign in ("\x00", "\x1b[2J", "\u202e")
        )
    report = await import_log(
        served.ledger, opening("of-a-file"), file, mapping={}, kinds={}, zone=None, actor="import:test"
    )
    assert (report.appended, report.duplicates) == (2 * len(ODD), 0)
    assert CANARY not in repr(report)
    assert sum(report.refused.values()) == 3
    recorded = await served.events("signature.recorded.v1")
    assert [event["data"].get("name") for event in recorded] == [None] * len(ODD) + ODD
