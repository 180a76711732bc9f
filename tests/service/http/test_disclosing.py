"""What the vault tells people: a privacy officer of one person, an auditor of signatures that are named; and that it is
written down."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from ledger.identity import pii_commit
from schemas.answers import OpeningsAnswer, SubjectAnswer
from schemas.canonical import from_base64, to_base64
from service.importing import import_log
from service.opening import opening
from tests.conftest import LedgerDatabase
from tests.ledger.submissions import some_id
from tests.service.http.conftest import CANARY
from tests.service.http.counter import JANE, PETITION, Counter, Reply, counter

SIGNATURES = f"/petitions/{PETITION}/signatures"
FULL: dict[str, Any] = {
    "signer": {"email": "jane@ex.org", "name": "Jane", "postcode": "N1 1AA"},
    "comment": "It matters.",
    "evidence": {"ip": "192.0.2.7", "user_agent": "Mozilla/5.0"},
}


@pytest.fixture
async def served(ledger_database: LedgerDatabase, tmp_path: Path) -> AsyncIterator[Counter]:
    async with counter(ledger_database, tmp_path) as made:
        await made.open()
        yield made


async def subject(served: Counter, email: str, **limits: Any) -> Reply:
    """Ask as a privacy officer."""
    token = await served.token("privacy", "an officer", **limits)
    return await served.post("/subjects", {"email": email}, token=token)


async def openings(served: Counter, *signatures: str, petition: str = PETITION, **limits: Any) -> Reply:
    """Ask as an auditor."""
    token = await served.token("auditor", "an auditor", **limits)
    return await served.post("/openings", {"petition": petition, "signatures": signatures}, token=token)


async def written_down(served: Counter) -> list[tuple[str, str, str | None, str | None]]:
    """Who asked (without the id), what, and about which signature; in order."""
    rows = await served.rows("access.disclosures")
    return [
        (row["actor"].partition(":")[0], row["what"], row["petition"], row["signature"] and str(row["signature"]))
        for row in sorted(rows, key=lambda row: row["nth"])
    ]


# -- a person ----------------------------------------------------------------------------------------------------------


async def test_everything_that_is_held_of_a_person_is_shown(served: Counter) -> None:
    """If a person is asked about, in any spelling, then each of her signatures is shown with all that came with it, in
    every petition; nobody else's is."""
    await served.open("another")
    first = (await served.sign("a", FULL)).document
    second = (await served.sign("b", JANE, petition="another")).document
    await served.sign("c", {"signer": {"email": "john@ex.org"}})
    reply = await subject(served, " JANE@EX.org ")
    SubjectAnswer.model_validate_json(reply.body)
    one, two = reply.document["signatures"]
    assert (reply.status, reply.headers["Cache-Control"]) == (200, "no-store")
    assert one["recorded_at"] <= one["evidence"]["recorded_at"] < two["recorded_at"]
    for each in (one, two):
        del each["recorded_at"], each["evidence"]["recorded_at"]
    assert one == {
        "petition": PETITION,
        "signature": first["signature"],
        "position": first["position"],
        "state": "standing",
        "identity": FULL["signer"],
        "evidence": {"ip": "192.0.2.7", "user_agent": "Mozilla/5.0", "email_domain": "ex.org"},
        "comment": {"text": "It matters.", "released": False},
    }
    assert two == {
        "petition": "another",
        "signature": second["signature"],
        "position": second["position"],
        "state": "standing",
        "identity": JANE["signer"],
        "evidence": {"ip": None, "user_agent": None, "email_domain": "ex.org"},
        "comment": None,
    }


async def test_what_she_withdrew_is_still_held_and_shown(served: Counter) -> None:
    """If she withdrew and signed again, then the earlier signatures are shown too, and nobody else's withdrawn one."""
    hers = []
    for key in ("a", "b", "c"):
        hers.append((await served.sign(key, FULL)).document["signature"])
        if key != "c":
            await served.post(f"{SIGNATURES}/{hers[-1]}/withdrawal")
    other = (await served.sign("d", {"signer": {"email": "john@ex.org"}})).document["signature"]
    await served.post(f"{SIGNATURES}/{other}/withdrawal")
    found = (await subject(served, "jane@ex.org")).document["signatures"]
    assert [(each["signature"], each["state"]) for each in found] == [
        (hers[0], "withdrawn"),
        (hers[1], "withdrawn"),
        (hers[2], "standing"),
    ]
    assert await written_down(served) == [("privacy", "subject", PETITION, each) for each in hers]


async def test_whom_a_file_names_by_reference_is_found_by_her_address(served: Counter, tmp_path: Path) -> None:
    """If a file names her by a reference, and by an address in only some of its rows, then she is found by the
    address."""
    log = tmp_path / "log.csv"
    log.write_text(
        "at,kind,signer,email\n2024-01-01T10:00Z,recorded,S1,\n2024-01-02T10:00Z,withdrawn,S1,jane@ex.org\n"
        "2024-01-03T10:00Z,recorded,S1,\n2024-01-04T10:00Z,recorded,S2,john@ex.org\n"
    )
    report = await import_log(
        served.ledger, opening("of-a-file"), log, mapping={}, kinds={}, zone=None, actor="import:test"
    )
    assert (report.appended, dict(report.refused)) == (4, {})
    found = (await subject(served, "jane@ex.org")).document["signatures"]
    assert [(each["petition"], each["state"], each["identity"]) for each in found] == [
        ("of-a-file", "withdrawn", {"signer": "S1"}),
        ("of-a-file", "standing", {"signer": "S1"}),
    ]


async def test_of_whom_nothing_is_held_nothing_is_shown(served: Counter) -> None:
    """If nothing is held of a person, then the list is empty, and that somebody asked is written down, not about
    whom."""
    await served.sign("a", FULL)
    assert (await subject(served, "nobody@ex.org")).document == {"signatures": []}
    assert await written_down(served) == [("privacy", "subject", None, None)]


async def test_a_credential_for_one_petition_shows_that_petition(served: Counter) -> None:
    """If a privacy officer's credential is for one petition, then what is held in others is not shown."""
    await served.open("another")
    await served.sign("a", FULL)
    await served.sign("b", FULL, petition="another")
    found = (await subject(served, "jane@ex.org", petition="another")).document["signatures"]
    assert [each["petition"] for each in found] == ["another"]


@pytest.mark.parametrize("email", [f"{CANARY}@localhost", f"{CANARY} <a@ex.org>", f"{CANARY}\u200b@ex.org", CANARY])
async def test_what_is_no_address_is_refused_and_not_repeated(served: Counter, email: str, said: list[Any]) -> None:
    """If what is asked about is no address, then it is 422, and neither the answer nor the log repeats it."""
    reply = await subject(served, email)
    assert (reply.status, reply.problem) == (422, "validation-failed")
    assert [error["pointer"] for error in reply.document["errors"]] == ["/email"]
    assert CANARY.encode() not in reply.body
    assert await written_down(served) == []


# -- openings ----------------------------------------------------------------------------------------------------------


async def test_openings_are_those_that_the_first_answers_gave(served: Counter) -> None:
    """If signatures are named, then each is opened as in the answer that recorded it, by index, in the order of the
    log."""
    answers = [(await served.sign(f"k{n}", {"signer": {"email": f"s{n}@ex.org"}})).document for n in range(3)]
    reply = await openings(served, *[answer["signature"] for answer in reversed(answers[:2])])
    OpeningsAnswer.model_validate_json(reply.body)
    assert (reply.status, reply.headers["Cache-Control"]) == (200, "no-store")
    assert reply.document == {
        "petition": PETITION,
        "openings": [
            {"signature": answer["signature"], "index": answer["position"] - 1, **answer["opening"]}
            for answer in answers[:2]
        ],
        "erased": [],
    }
    assert sorted(await written_down(served)) == sorted(
        ("auditor", "opening", PETITION, answer["signature"]) for answer in answers[:2]
    )


async def test_of_an_amended_signature_the_amendment_is_opened(served: Counter) -> None:
    """If who signed was rectified, then the opening is that of the amendment's leaf, and she is found by her new
    address and not by the old one."""
    sid = (await served.sign("a", FULL)).document["signature"]
    path = f"{SIGNATURES}/{sid}/amendment"
    assert (await served.post(path, {"signer": {"email": "ada@ex.org"}}, token=served.admin)).status == 200
    (opened,) = (await openings(served, sid)).document["openings"]
    leaf = (await served.events())[opened["index"]]
    commitment = pii_commit(from_base64(opened["nonce"]), from_base64(opened["identity"]))
    assert (leaf["type"], leaf["data"]["pii_commit"]) == ("signature.amended.v1", to_base64(commitment))
    assert (await subject(served, "jane@ex.org")).document["signatures"] == []
    (found,) = (await subject(served, "ada@ex.org")).document["signatures"]
    assert (found["signature"], found["identity"]) == (sid, {"email": "ada@ex.org"})


async def test_of_who_was_erased_nothing_is_told(served: Counter) -> None:
    """If a signer was erased, then she is not found, and an auditor hears that there is nothing to open."""
    sid = (await served.sign("a", FULL)).document["signature"]
    officer = await served.token("privacy", "an officer")
    erased = await served.post("/erasures", {"petition": PETITION, "signature": sid}, token=officer)
    assert erased.status == 200
    assert (await subject(served, "jane@ex.org")).document == {"signatures": []}
    assert (await openings(served, sid)).document == {"petition": PETITION, "openings": [], "erased": [sid]}


async def test_signatures_of_another_petition_are_not_opened(served: Counter) -> None:
    """If one of those that are named is not the petition's, then none is opened, and nothing is written down."""
    await served.open("another")
    here = (await served.sign("a", FULL)).document["signature"]
    there = (await served.sign("b", FULL, petition="another")).document["signature"]
    for named in (there, str(some_id("nobody"))):
        refused = await openings(served, here, named)
        assert (refused.status, refused.problem) == (422, "validation-failed")
        assert [error["pointer"] for error in refused.document["errors"]] == ["/signatures"]
    assert (await openings(served, here, petition="nowhere")).problem == "not-found"
    assert (await openings(served, there, petition="another")).status == 200
    token = await served.token("auditor", "of another", petition="another")
    asked = {"petition": PETITION, "signatures": [here]}
    assert (await served.post("/openings", asked, token=token)).problem == "forbidden"
    assert [signature for *_, signature in await written_down(served)] == [there]


@pytest.mark.parametrize(
    ("said", "pointer"),
    [
        ({"signatures": []}, "/signatures"),
        ({"signatures": [str(UUID(int=n)) for n in range(101)]}, "/signatures"),
        ({"signatures": [str(UUID(int=1))] * 2}, ""),
        ({"signatures": ["1"]}, "/signatures/0"),
        ({"petition": "No Petition"}, "/petition"),
    ],
)
async def test_what_names_no_signatures_is_refused(served: Counter, said: dict[str, Any], pointer: str) -> None:
    """If the body does not name 1 to 100 signatures of a petition, each once, then it is 422 and says where."""
    token = await served.token("auditor", "an auditor")
    body = {"petition": PETITION, "signatures": [str(UUID(int=1))], **said}
    refused = await served.post("/openings", body, token=token)
    assert (refused.status, refused.problem) == (422, "validation-failed")
    assert pointer in [error["pointer"] for error in refused.document["errors"]]


# -- both --------------------------------------------------------------------------------------------------------------


async def test_a_row_that_does_not_open_is_said_to(served: Counter) -> None:
    """If a row of the vault is not what was sealed, then whoever asks hears so, and is given nothing."""
    sid = (await served.sign("a", FULL)).document["signature"]
    await served.database.superuser.execute("UPDATE vault.identities SET sealed = sealed || '\\x00'")
    for reply in (await subject(served, "jane@ex.org"), await openings(served, sid)):
        assert (reply.status, reply.problem) == (503, "unavailable")
        assert "fsck" in reply.document["detail"]


async def test_the_log_says_who_asked_and_nothing_of_whom(served: Counter, said: list[Any]) -> None:
    """If somebody asks, then one line of the log says who, and how many signatures; nothing of the person is in it."""
    sid = (await served.sign("a", FULL)).document["signature"]
    await subject(served, "jane@ex.org")
    await openings(served, sid)
    told = [{name: line[name] for name in ("event", "signatures")} for line in said if "disclosure" in line["event"]]
    assert told == [
        {"event": "disclosure.subject", "signatures": 1},
        {"event": "disclosure.openings", "signatures": 1},
    ]
    assert not any(part in repr(said) for part in ("jane", "Jane", "192.0.2.7", "matters"))
