"""Signing over HTTP: every answer a site can get, what is recorded for it, and what is never told or kept."""

import hmac
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest

from ledger.email_policy import STANDARD_1
from ledger.identity import Email, petition_key, signer_token
from ledger.keys import load_root_key
from schemas.canonical import from_base64
from schemas.commands import ChangeAcceptance, CorrectImported, RevisePetition
from schemas.events import PetitionRevised
from schemas.instants import format_instant
from tests.conftest import LedgerDatabase
from tests.service.http.conftest import CANARY
from tests.service.http.counter import JANE, PETITION, Counter, counter

SIGNATURES = f"/petitions/{PETITION}/signatures"
RECORDED = "signature.recorded.v1"
NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
async def served(ledger_database: LedgerDatabase, tmp_path: Path) -> AsyncIterator[Counter]:
    async with counter(ledger_database, tmp_path) as made:
        await made.open()
        yield made


def by_email(name: str) -> dict[str, Any]:
    return {"signer": {"email": f"{name}@ex.org"}}


# -- one signature -----------------------------------------------------------------------------------------------------


async def test_a_signature_is_recorded_and_answered(served: Counter) -> None:
    """If a site posts a signature, then the answer says where it stands, and the log has it from that site."""
    reply = await served.sign("k1", {**JANE, "area": {"country": "GB"}})
    (event,) = await served.events(RECORDED)
    answer = reply.document
    assert reply.status == 201
    assert set(answer) == {"signature", "position", "version", "state", "receipt", "opening"}
    assert (answer["position"], answer["version"], answer["state"]) == (2, 2, "standing")
    assert answer["receipt"] == f"{SIGNATURES}/{answer['signature']}/receipt"
    assert event["id"] == f"{answer['position']:020d}"
    assert event["data"]["signature"] == answer["signature"]
    assert event["data"]["country"] == "GB"
    assert event["actor"].startswith("site:")
    assert reply.headers["Cache-Control"] == "no-store"


async def test_the_opening_binds_the_leaf_to_the_signer(served: Counter) -> None:
    """If nonce and identity are taken from the answer, then they open the commitment in the leaf, and no other's."""
    openings = [(await served.sign(f"k{n}", by_email(f"s{n}"))).document["opening"] for n in range(2)]
    commits = [from_base64(event["data"]["pii_commit"]) for event in await served.events(RECORDED)]
    for opening, commit in zip(openings, commits, strict=True):
        nonce, identity = from_base64(opening["nonce"]), from_base64(opening["identity"])
        assert hmac.digest(nonce, b"petition-ledger/pii-commit/v1\x00" + identity, "sha256") == commit
    assert orjson.loads(from_base64(openings[0]["identity"])) == {"email": "s0@ex.org"}
    assert commits[0] != commits[1]


async def test_the_same_key_and_body_give_the_stored_answer(served: Counter) -> None:
    """If a request is sent again, in other words for the same, then it is answered as it was, without the opening."""
    first = await served.sign("k1")
    again = await served.sign("k1", {"signer": {"name": "Jane", "email": "jane@ex.org"}, "channel": "site"})
    assert again.status == 201
    assert again.document == {name: value for name, value in first.document.items() if name != "opening"}
    assert len(await served.events(RECORDED)) == 1


async def test_a_stored_answer_stays_though_the_world_went_on(served: Counter) -> None:
    """If the signature was withdrawn and the petition closed since, then a repeat still gets its answer."""
    first = await served.sign("k1")
    sid = first.document["signature"]
    assert (await served.post(f"{SIGNATURES}/{sid}/withdrawal")).document["state"] == "withdrawn"
    await served.done(ChangeAcceptance(PETITION, "closed"))
    assert (await served.sign("k1")).document["state"] == "standing"
    assert (await served.sign("k2")).problem == "petition-closed"


async def test_the_same_key_with_another_body_is_refused(served: Counter) -> None:
    """If a key comes with another body, on this route or another, then it is 422 and nothing is recorded."""
    first = await served.sign("k1")
    events = len(await served.events())
    others: list[Any] = [
        {**JANE, "confirmed": False},
        {**JANE, "comment": "more"},
        {"signer": {**JANE["signer"], "postcode": "N1"}},
        by_email("other"),
    ]
    replies = [await served.sign("k1", other) for other in others]
    replies.append(await served.post(f"{SIGNATURES}/{first.document['signature']}/withdrawal", key="k1"))
    assert [(each.status, each.problem) for each in replies] == [(422, "idempotency-key-reused")] * len(replies)
    assert len(await served.events()) == events


async def test_a_key_is_the_credentials_and_the_petitions_own(served: Counter) -> None:
    """If another site, or the same in another petition, uses a key, then it is another key."""
    await served.open("another")
    other = await served.token("site", "another site")
    assert (await served.sign("k1", by_email("a"))).status == 201
    assert (await served.sign("k1", by_email("b"), token=other)).status == 201
    assert (await served.sign("k1", by_email("c"), petition="another")).status == 201


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "k" * 256, "k\tk"])
async def test_a_key_that_is_none_is_refused(served: Counter, key: str) -> None:
    """If the key is empty, too long or not printable ASCII, then it is 400, whatever the body."""
    reply = await served.post(SIGNATURES, {"canary": CANARY}, key=key)
    assert (reply.status, reply.problem) == (400, "idempotency-key-invalid")


async def test_a_key_is_needed(served: Counter) -> None:
    """If there is no key, then it is 400; the longest key and every printable sign are keys."""
    assert (await served.post(SIGNATURES, JANE)).problem == "idempotency-key-missing"
    assert (await served.sign("".join(map(chr, range(0x21, 0x7F))).ljust(255, "~"))).status == 201


async def test_the_checks_come_in_one_order(served: Counter) -> None:
    """If several things are wrong, then the first is told: credential, media type, key, body, stored answer, duplicate,
    closed."""
    bearer = {"Authorization": f"Bearer {served.site}"}
    text, key = {"Content-Type": "text/plain"}, {"Idempotency-Key": "k1"}
    kind = {"Content-Type": "application/json"}
    assert (await served.send("POST", SIGNATURES, b"{", text)).problem == "unauthenticated"
    assert (await served.send("POST", SIGNATURES, b"{", bearer | text)).problem == "unsupported-media-type"
    assert (await served.send("POST", SIGNATURES, b"{", bearer | kind)).problem == "idempotency-key-missing"
    assert (await served.send("POST", SIGNATURES, b"{", bearer | kind | key)).problem == "malformed-request"
    assert (await served.sign("k1", {})).problem == "validation-failed"
    assert (await served.sign("k1")).status == 201
    await served.done(ChangeAcceptance(PETITION, "closed"))
    assert (await served.sign("k1", {})).problem == "validation-failed"
    assert (await served.sign("k1", by_email("other"))).problem == "idempotency-key-reused"
    assert (await served.sign("k2")).document["duplicate"] is True
    assert (await served.sign("k3", by_email("other"))).problem == "petition-closed"


async def test_the_same_signer_again_gets_the_first_signature(served: Counter) -> None:
    """If a signer signs again in any spelling, then it is 200 with the first signature, and a repeat of that is too."""
    first = (await served.sign("k1")).document
    for key, address in (("k2", "JANE@ex.org"), ("k3", " jane@EX.ORG "), ("k2", "JANE@ex.org")):
        again = await served.sign(key, {"signer": {"email": address, "name": "J."}})
        assert again.status == 200
        assert again.document == {**{n: v for n, v in first.items() if n != "opening"}, "duplicate": True}
    assert len(await served.events(RECORDED)) == 1


async def test_a_signer_who_withdrew_signs_anew(served: Counter) -> None:
    """If a signature was withdrawn, then the signer signs with a new one, which is new to its key as well."""
    first = (await served.sign("k1")).document
    await served.post(f"{SIGNATURES}/{first['signature']}/withdrawal")
    second = await served.sign("k2")
    assert second.status == 201
    assert second.document["signature"] != first["signature"]
    assert "opening" in second.document


async def test_a_reference_is_the_sites_own(served: Counter) -> None:
    """If two sites both call somebody 17, then these are two signers; on one site they are one."""
    other = await served.token("site", "another site")
    body = {"signer": {"ref": "17"}}
    replies = [await served.sign("a", body), await served.sign("b", body, token=other), await served.sign("c", body)]
    assert [each.status for each in replies] == [201, 201, 200]


async def test_while_a_signature_is_held_the_signer_is_told_so(served: Counter) -> None:
    """If a correction holds the signature, then signing again is 200 with it, invalidated, and appends nothing."""
    first = (await served.sign("k1")).document
    key = petition_key(load_root_key(served.ledger.key_file), PETITION)
    token = signer_token(key, Email("jane@ex.org"), STANDARD_1)
    rows = ((token, b"r" * 16),)
    await served.done(CorrectImported(PETITION, UUID(NOBODY), "invalidate", "bot", rows), "import:4711")
    events = len(await served.events())
    again = await served.sign("k2")
    assert (again.status, again.document["state"]) == (200, "invalidated")
    assert again.document["signature"] == first["signature"]
    assert len(await served.events()) == events


async def test_what_a_petition_does_not_take_is_refused(served: Counter) -> None:
    """If the petition is unknown, observed, paused, closed or not yet open, then the refusal says which."""
    await served.open("observed", basis="observed", provenance="observed")
    await served.open("later", opens_at="2090-01-01T00:00:00Z")
    await served.open("paused")
    await served.done(ChangeAcceptance("paused", "paused"))
    problems = {
        petition: (await served.sign("k", petition=petition)).problem
        for petition in ("nowhere", "ledger", "observed", "paused", "later")
    }
    assert problems == {
        "nowhere": "not-found",
        "ledger": "not-found",
        "observed": "invalid-transition",
        "paused": "petition-closed",
        "later": "petition-closed",
    }


async def test_a_petition_that_was_just_opened_takes_signatures(served: Counter) -> None:
    """If a petition was not there a moment ago, then that is not remembered."""
    assert (await served.sign("k", petition="new")).status == 404
    await served.open("new")
    assert (await served.sign("k", petition="new")).status == 201


async def test_a_refusal_is_judged_again(served: Counter) -> None:
    """If a key was refused, then it is free: the same or another request is judged anew."""
    await served.done(ChangeAcceptance(PETITION, "paused"))
    assert (await served.sign("k1")).status == 409
    await served.done(ChangeAcceptance(PETITION, "open"))
    assert (await served.sign("k1", by_email("other"))).status == 201


@pytest.mark.parametrize(
    ("said", "pointer"),
    [
        ({"signer": {"email": f"{CANARY} <a@ex.org>"}}, "/signer/email"),
        ({"signer": {"email": f"{CANARY}@localhost"}}, "/signer/email"),
        ({"signer": {"email": f"{CANARY}@ex.org\u200b"}}, "/signer/email"),
        ({"signer": {"email": "a@ex.org", "name": f"{CANARY}\u202e"}}, "/signer/name"),
        ({"signer": {"email": "a@ex.org", "postcode": f"\n{CANARY}"}}, "/signer/postcode"),
        ({"organisation": {"name": f"{CANARY}\u200b"}}, "/organisation/name"),
        ({**JANE, CANARY: 1}, ""),
        ({"signer": {"email": "a@ex.org", CANARY: 1}}, "/signer"),
        ({**JANE, "signed_at": CANARY}, "/signed_at"),
        ({**JANE, "answers": {"ban": "yes"}}, "/answers"),
        ({**JANE, "text_version": 2}, "/text_version"),
        ({**JANE, "evidence": {"ip": CANARY}}, "/evidence/ip"),
    ],
)
async def test_a_body_that_is_not_valid_is_told_where(served: Counter, said: dict[str, Any], pointer: str) -> None:
    """If something in a body is not valid, then it is 422 with where and why, and nothing of what was sent."""
    reply = await served.sign("k1", said)
    assert (reply.status, reply.problem) == (422, "validation-failed")
    assert [error["pointer"] for error in reply.document["errors"]] == [pointer]
    assert CANARY.encode() not in reply.body
    assert await served.events(RECORDED) == []


async def test_a_time_of_signing_lies_at_most_a_minute_ahead(served: Counter) -> None:
    """If a site's clock is ahead by less than a minute, then its time is taken; if by more, it is 422."""
    now = datetime.now(UTC)
    early = now - timedelta(days=1)
    soon, late = (format_instant(now + timedelta(seconds=seconds)) for seconds in (40, 90))
    assert (await served.sign("a", {**by_email("a"), "signed_at": format_instant(early)})).status == 201
    assert (await served.sign("b", {**by_email("b"), "signed_at": soon})).status == 201
    refused = await served.sign("c", {**by_email("c"), "signed_at": late})
    assert refused.document["errors"][0]["pointer"] == "/signed_at"
    assert [event["time"] for event in await served.events(RECORDED)] == [format_instant(early), soon]


async def test_what_a_site_says_of_a_signature_is_recorded(served: Counter) -> None:
    """If a site says area, channel, answers and text, then the log has of it what the petition makes public."""
    await served.open("asks", questions={"ban": ("yes", "no")}, public_fields=("country", "region"), text="One.")
    await served.done(RevisePetition("asks", PetitionRevised(text_version=2)))
    body = {
        **JANE,
        "area": {"country": "GB", "region": "W7"},
        "channel": "paper",
        "text_version": 1,
        "answers": {"ban": "no"},
    }
    assert (await served.sign("k", body, petition="asks")).status == 201
    (event,) = await served.events(RECORDED)
    said = event["data"]
    assert (said["country"], said["region"], said["channel"]) == ("GB", "W7", "paper")
    assert (said["text_version"], said["answers"], said["at_known"]) == (1, {"ban": "no"}, True)


async def test_an_organisation_signs_in_public(served: Counter) -> None:
    """If an organisation signs, then its name and reference stand in the log; in another spelling it signed already."""
    body = {"organisation": {"name": "Trades Council", "reference": "Resolution 9"}}
    assert (await served.sign("a", body)).status == 201
    assert (await served.sign("b", {"organisation": {"name": "TRADES  council"}})).status == 200
    (event,) = await served.events(RECORDED)
    assert (event["data"]["kind"], event["data"]["name"]) == ("organisation", "Trades Council")


async def test_evidence_and_comments_stand_in_the_vault_with_the_signature(served: Counter) -> None:
    """If a signature comes with evidence and a comment, then the vault has them; a duplicate's are not kept."""
    body = {**JANE, "comment": "It matters.\nTo me.", "evidence": {"ip": "192.0.2.7", "user_agent": "Mozilla/5.0"}}
    sid = UUID((await served.sign("a", body)).document["signature"])
    await served.sign("b", {**body, "comment": "again"})
    await served.sign("c", {**by_email("other"), "evidence": {"ip": "2001:db8::7"}})
    (comment,) = await served.rows("vault.comments")
    rows = await served.rows("vault.evidence")
    evidence = {row["signature"]: (str(row["ip"]).partition("/")[0], row["user_agent"]) for row in rows}
    assert (comment["signature"], comment["comment"], comment["released"]) == (sid, "It matters.\nTo me.", False)
    assert evidence.pop(sid) == ("192.0.2.7", "Mozilla/5.0")
    assert list(evidence.values()) == [("2001:db8::7", None)]


# -- confirmation and withdrawal ---------------------------------------------------------------------------------------


async def test_a_signature_is_confirmed_and_withdrawn_by_its_site(served: Counter) -> None:
    """If a site posts what its links brought, then each is 200 with the state, also when it is posted again."""
    await served.open("asks", confirmation="required")
    pending = (await served.sign("k", petition="asks")).document
    path = f"/petitions/asks/signatures/{pending['signature']}"
    bodies: tuple[object, object] = (None, {})
    confirmed = [await served.post(f"{path}/confirmation", body) for body in bodies]
    withdrawn = [await served.post(f"{path}/withdrawal", body) for body in reversed(bodies)]
    assert pending["state"] == "pending"
    assert [each.status for each in (*confirmed, *withdrawn)] == [200] * 4
    assert [each.document["state"] for each in (*confirmed, *withdrawn)] == ["standing"] * 2 + ["withdrawn"] * 2
    assert ["duplicate" in each.document for each in (*confirmed, *withdrawn)] == [False, True, False, True]
    assert all(each.document["receipt"] == pending["receipt"] for each in (*confirmed, *withdrawn))
    assert (await served.post(f"{path}/confirmation")).problem == "invalid-transition"
    types = [event["type"] for event in await served.events() if event["subject"] == "asks"]
    assert types == ["petition.opened.v1", RECORDED, "signature.confirmed.v1", "signature.withdrawn.v1"]


async def test_a_site_may_vouch(served: Counter) -> None:
    """If the petition needs confirmation and the site vouches, then the signature stands at once; and the reverse."""
    await served.open("asks", confirmation="required")
    vouched = await served.sign("k", {**JANE, "confirmed": True}, petition="asks")
    waits = await served.sign("k", {**JANE, "confirmed": False})
    assert (vouched.document["state"], waits.document["state"]) == ("standing", "pending")


async def test_following_up_what_is_not_there_is_refused(served: Counter) -> None:
    """If there is no such signature in this petition, or the body says something, then it is refused."""
    await served.open("another")
    sid = (await served.sign("k1")).document["signature"]
    for what in ("confirmation", "withdrawal"):
        assert (await served.post(f"{SIGNATURES}/{NOBODY}/{what}")).problem == "not-found"
        assert (await served.post(f"/petitions/another/signatures/{sid}/{what}")).problem == "not-found"
        assert (await served.post(f"{SIGNATURES}/{sid.upper()}/{what}")).status == (404 if sid != sid.upper() else 200)
        assert (await served.post(f"{SIGNATURES}/{sid}/{what}", {"at": 1})).problem == "validation-failed"
        assert (await served.post(f"{SIGNATURES}/{sid}/{what}", key="")).problem == "idempotency-key-invalid"


async def test_a_follow_up_with_a_key_is_answered_as_it_was(served: Counter) -> None:
    """If a confirmation comes again with its key, then it gets the stored answer; the key is of no other route."""
    sid = (await served.sign("k", {**JANE, "confirmed": False})).document["signature"]
    first = await served.post(f"{SIGNATURES}/{sid}/confirmation", key="c")
    again = await served.post(f"{SIGNATURES}/{sid}/confirmation", {}, key="c")
    assert first.document == again.document
    assert (await served.post(f"{SIGNATURES}/{sid}/withdrawal", key="c")).problem == "idempotency-key-reused"
