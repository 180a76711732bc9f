"""What is private stands where it belongs and nowhere else: canaries in every personal field, by every way in, and then
a search for each of them, in every form, in everything that the ledger says and keeps.

Its tables of the vault are searched too: what is found there is exactly what docs/privacy.md says is kept in plain.
"""

import asyncio
import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import pytest

from service.embedded.server import Server
from service.embedded.sharing import shared
from tests.conftest import home_for_a_server
from tests.service.commands import Ended, ledger
from tests.service.serving.services import Served, Service, _arguments, _descendants, postmaster_of, serving

pytestmark = pytest.mark.database

PETITION, OF_A_FILE = "keep-the-library", "of-a-file"
SIGNATURES = f"/petitions/{PETITION}/signatures"

GIVEN: dict[str, str] = {
    "email": "zq7mail.one@zq7domain.example",
    "email in a batch": "zq7mail.two@zq7other.example",
    "email in a file": "zq7mail.file@zq7filed.example",
    "name": "Zq7näme Ånglès",
    "name in a batch": "Zq7batch Nøme",
    "postcode": "ZQ7 9XP",
    "reference": "zq7réf-4711",
    "reference in a file": "zq7-signer-0815",
    "id in a file": "zq7-source-0042",
    "comment": "Zq7because “I” said so",
    "address": "203.0.113.77",
    "address of version 6": "2001:db8:77::77",
    "browser": "Zq7Agent/5.0 (näv)",
    "idempotency key": "zq7key-90210",
    "name searched for": "Zq7söught Näme",
    "domain searched for": "zq7sought.example",
    "network searched for": "198.51.100.64/26",
    "email before a rectification": "zq7before@zq7wrong.example",
    "name before a rectification": "Zq7befœre Näme",
    "email after a rectification": "zq7after@zq7right.example",
    "name after a rectification": "Zq7æfter Näme",
    "address asked about": "zq7asked@zq7nowhere.example",
    "refused": "zq7réfused",
}
"""What is put wherever a client can put something."""

KEPT_IN_PLAIN = {
    ("vault.comments", "comment"),
    ("vault.correction_wheres", "domain searched for"),
    ("vault.correction_wheres", "network searched for"),
    ("vault.evidence", "address"),
    ("vault.evidence", "address of version 6"),
    ("vault.evidence", "browser"),
    ("vault.evidence", "domain"),
    ("vault.evidence", "domain in a batch"),
    ("vault.evidence", "domain in a file"),
    ("vault.evidence", "domain after a rectification"),
    ("vault.evidence", "domain searched for"),
}
"""Which table holds which canary, as docs/privacy.md says. Every other table holds none."""


def forms(secret: bytes) -> set[bytes]:
    """What a secret looks like, however it is written: as it is, in hexadecimal, base64 at any place in what was
    encoded, percent-encoded, or escaped in JSON. All but base64 in lower case."""
    found = {secret.lower(), secret.hex().encode()}
    found |= {quote(secret, safe=safe).lower().encode() for safe in ("", "/:@")}
    try:
        text = secret.decode()
    except UnicodeDecodeError:
        text = ""
    if text:
        found |= {json.dumps(text)[1:-1].lower().encode(), text.lower().encode()}
        found |= {json.dumps(text, ensure_ascii=False)[1:-1].lower().encode()}
    return found


def in_base64(secret: bytes) -> set[bytes]:
    """The part of the secret's base64 that does not depend on what stands beside it, at each of three places."""
    found = set()
    for place in range(3):
        encoded = base64.b64encode(bytes(place) + secret)
        cut = encoded[(0, 2, 3)[place] : len(encoded.rstrip(b"=")) - 1]
        found |= {cut, cut.translate(bytes.maketrans(b"+/", b"-_"))}
    return found


def found_in(place: bytes, secrets: Mapping[str, bytes]) -> set[str]:
    """Which of the secrets stand in it, in any form."""
    lower = place.lower()
    return {
        name
        for name, secret in secrets.items()
        if any(form in lower for form in forms(secret)) or any(form in place for form in in_base64(secret))
    }


@dataclass
class Told:
    """What was said, and what must not stand in it: `opened` is the one opening that a site was given, `referred` the
    signature of whom a site knows by a reference."""

    secrets: dict[str, bytes]
    answers: list[Served] = field(default_factory=list)
    said: list[Ended] = field(default_factory=list)
    opened: dict[str, bytes] = field(default_factory=dict)
    referred: str = ""


@dataclass(frozen=True)
class House:
    """A served ledger through which every canary went by every way in."""

    home: Path
    server: Server
    service: Service
    tokens: dict[str, str] = field(repr=False)
    told: Told = field(repr=False)

    def ask(self, role: str, path: str, body: Any, key: str = "") -> Served:
        headers = {"Authorization": f"Bearer {self.tokens[role]}"} | ({"Idempotency-Key": key} if key else {})
        return self.service.post(path, body, headers)

    def good(self, role: str, path: str, body: Any, key: str = "") -> Any:
        answer = self.ask(role, path, body, key)
        assert answer.status in (200, 201), (path, answer.status)
        return answer.json()

    def refused(self, status: int, answer: Served) -> None:
        assert answer.status == status, answer
        self.told.answers.append(answer)

    def command(self, *arguments: str, role: str = "admin") -> Ended:
        ended = ledger(self.home, *arguments, LEDGER_TOKEN=self.tokens[role])
        self.told.said.append(ended)
        return ended


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """One ledger, served with all that it logs, in which everything below has happened."""
    with home_for_a_server() as home, shared(home) as server:
        assert ledger(home, "petition", "open", PETITION, "--public-fields", "country").code == 0
        tokens = {}
        for role in ("site", "admin", "auditor", "privacy"):
            tokens[role] = ledger(home, "token", "create", "--role", role, "--name", "somebody").out.strip()
        secrets = {name: text.encode() for name, text in GIVEN.items()}
        secrets |= {"domain": b"zq7domain", "domain in a batch": b"zq7other", "domain in a file": b"zq7filed"}
        secrets |= {"domain before a rectification": b"zq7wrong", "domain after a rectification": b"zq7right"}
        secrets |= {f"token of {role}": token.encode() for role, token in tokens.items()}
        secrets |= {path.name: path.read_bytes() for path in (home / "keys").iterdir()}
        with serving(home, LEDGER_LOG_LEVEL="debug") as service:
            made = House(home, server, service, tokens, Told(secrets))
            _sign(made)
            _rectify(made)
            _import(made)
            _review(made)
            _refuse(made)
            yield made


def _sign(house: House) -> None:
    """By HTTP, alone and in a batch; and again, so that answers are kept."""
    signer = {"email": GIVEN["email"], "name": GIVEN["name"], "postcode": GIVEN["postcode"]}
    body = {
        "signer": signer,
        "comment": GIVEN["comment"],
        "evidence": {"ip": GIVEN["address"], "user_agent": GIVEN["browser"]},
        "area": {"country": "GB"},
    }
    first = house.good("site", SIGNATURES, body, GIVEN["idempotency key"])
    house.told.opened = {name: base64.b64decode(first["opening"][name]) for name in ("nonce", "identity")}
    for again in (GIVEN["idempotency key"], "another"):
        house.told.answers.append(house.ask("site", SIGNATURES, body, again))
    assert [answer.status for answer in house.told.answers] == [201, 200]
    referred = {"signer": {"ref": GIVEN["reference"]}, "evidence": {"ip": GIVEN["address of version 6"]}}
    house.told.referred = second = house.good("site", SIGNATURES, referred, "k")["signature"]
    house.good("site", f"{SIGNATURES}/{second}/withdrawal", {}, f"{GIVEN['idempotency key']}-2")
    key, secret = GIVEN["idempotency key"], GIVEN["refused"]
    both = {"email": GIVEN["email in a batch"], "name": GIVEN["name in a batch"]}
    lines: list[dict[str, Any]] = [
        {"idempotency_key": f"{key}-3", "signer": both},
        {"idempotency_key": f"{key}-4", "signer": {"email": secret}, secret: 1},
    ]
    sent = {"Authorization": f"Bearer {house.tokens['site']}", "Content-Type": "application/x-ndjson"}
    answer = house.service.ask("POST", f"{SIGNATURES}/batch", "\n".join(map(json.dumps, lines)).encode(), 12.0, sent)
    taken, wrong = (json.loads(line) for line in answer.body.splitlines())
    assert (taken["status"], wrong["status"]) == (201, 422)
    del wrong["idempotency_key"]  # the line's own, by which its site knows it
    house.told.answers.append(Served(422, json.dumps(wrong).encode()))
    house.good("admin", f"{SIGNATURES}/{first['signature']}/comment", {"released": False})
    shown = house.good("privacy", "/subjects", {"email": GIVEN["email"]})["signatures"]
    assert [each["identity"] for each in shown] == [signer]
    house.good("privacy", "/subjects", {"email": GIVEN["address asked about"]})
    house.good("auditor", "/openings", {"petition": PETITION, "signatures": [first["signature"]]})


def _rectify(house: House) -> None:
    """Somebody who was called by another's name and address."""
    before, after = (
        {"email": GIVEN[f"email {when} a rectification"], "name": GIVEN[f"name {when} a rectification"]}
        for when in ("before", "after")
    )
    signed = house.good("site", SIGNATURES, {"signer": before}, "rectified")["signature"]
    for _ in range(2):
        answer = house.ask("admin", f"{SIGNATURES}/{signed}/amendment", {"signer": after}, "rectified")
        house.told.answers.append(answer)
        assert answer.status == 200, answer


def _import(house: House) -> None:
    """From files, on the command line: rows that are taken and rows that are refused."""
    signer, secret = GIVEN["reference in a file"], GIVEN["refused"]
    rows = (
        "at,kind,signer,email,source_id\n"
        f"2024-01-01T10:00Z,recorded,{signer},{GIVEN['email in a file']},{GIVEN['id in a file']}\n"
        f"2024-01-02T10:00Z,withdrawn,{secret},{secret},{secret}\n"
        f"2024-01-02T10:00Z,{secret},{signer},,\n"
        f"{secret},recorded,{signer},{secret}@localhost,\n"
    )
    file = house.home / "log.csv"
    file.write_text(rows, encoding="utf-8")
    imported = house.command("import", "events", str(file), "--petition", OF_A_FILE)
    assert imported.code == 1, imported
    file.unlink()


def _review(house: House) -> None:
    """Corrections by what was searched for, over HTTP and on the command line."""
    wheres = [
        {"name_equals": GIVEN["name searched for"]},
        {"email_domain": GIVEN["domain searched for"]},
        {"network": GIVEN["network searched for"]},
    ]
    ids = []
    for number, where in enumerate(wheres):  # somebody whom each finds
        signer = {"email": f"s{number}@{GIVEN['domain searched for']}", "name": GIVEN["name searched for"]}
        body = {"signer": signer, "evidence": {"ip": "198.51.100.70"}}
        house.good("site", SIGNATURES, body, f"r{number}")
        asked = {"reason": "bot", "rule": "A rule in words.", "where": where}
        house.good("admin", f"/petitions/{PETITION}/corrections/preview", asked)
        ids.append(house.good("admin", f"/petitions/{PETITION}/corrections", asked)["correction"])
    told = ("--reason", "bot", "--rule", "A rule in words.")
    house.command("correction", "preview", PETITION, *told, "--name-equals", GIVEN["name searched for"])
    assert house.command("correction", "reverse", PETITION, ids[0], *told).code == 0
    rule = f"Everything of {GIVEN['email']}."
    asked = {"reason": "bot", "rule": rule, "where": wheres[0]}
    house.refused(422, house.ask("admin", f"/petitions/{PETITION}/corrections", asked))
    assert (
        house.command("correction", "preview", PETITION, "--reason", "bot", "--rule", rule, "--channel", "site").code
        == 2
    )


def _refuse(house: House) -> None:
    """Requests that are refused, with something private wherever it can stand."""
    secret, path = GIVEN["refused"], quote(GIVEN["refused"])
    signer = {"email": GIVEN["email"], "name": GIVEN["name"]}
    for body in (
        {"signer": {"email": f"{secret}@localhost"}},
        {"signer": {**signer, "postcode": f"{GIVEN['postcode']}\n"}},
        {"signer": {**signer, secret: secret}},
        {secret: signer},
        {"signer": signer, "evidence": {"ip": secret}},
        {"signer": signer, "comment": f"{GIVEN['comment']}\u0000"},
        {"signer": signer, "area": {"country": secret}},
    ):
        house.refused(422, house.ask("site", SIGNATURES, body, f"{GIVEN['idempotency key']}-5"))
    changed = {"signer": signer, "comment": secret}
    house.refused(422, house.ask("site", SIGNATURES, changed, GIVEN["idempotency key"]))
    house.refused(404, house.ask("site", "/petitions/zq7nowhere/signatures", {"signer": signer}, "n"))
    house.refused(403, house.ask("admin", SIGNATURES, {"signer": signer}, "f"))
    house.refused(422, house.ask("privacy", "/subjects", {"email": f"{secret}@localhost"}))
    house.refused(422, house.ask("auditor", "/openings", {"petition": PETITION, "signatures": [secret]}))
    bearer = {"Authorization": f"Bearer {house.tokens['site']}", "Idempotency-Key": GIVEN["idempotency key"]}
    cut = json.dumps({"signer": signer}).encode()[:-1]
    house.refused(400, house.service.ask("POST", SIGNATURES, cut, 12.0, bearer))
    unknown = {"Authorization": f"Bearer {house.tokens['site'][:-4]}zq7A"}
    house.refused(401, house.service.ask("POST", SIGNATURES, cut, 12.0, unknown))
    for asked in (
        f"/{path}",
        f"/petitions/{PETITION}.json?{path}={path}",
        f"/petitions/{PETITION}/count.json?as_of={path}",
    ):
        answer = house.service.get(asked)
        house.refused(404 if asked == f"/{path}" else 422, answer)


def nothing_in(house: House, place: bytes, what: str) -> None:
    secrets = house.told.secrets | house.told.opened
    assert found_in(place, secrets) == set(), what


# -- the search --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GIVEN)
def test_the_search_finds_what_it_searches_for(name: str) -> None:
    """If a canary stands in a text in any of the forms, then it is found: else finding none would say nothing."""
    text = GIVEN[name]
    secret = {name: text.encode()}
    for written in (
        text,
        text.upper() if text.isascii() else text,
        json.dumps(f"“{text}”"),
        quote(f"/{text}/"),
        text.encode().hex(),
        *[base64.b64encode(f"{'x' * n}{text}y".encode()).decode() for n in range(4)],
        *[base64.urlsafe_b64encode(f"{'x' * n}{text}".encode()).decode() for n in range(4)],
    ):
        assert found_in(f"before {written} behind".encode(), secret) == {name}
    assert found_in(b"before and behind", secret) == set()


def test_no_answer_and_no_word_of_a_command_repeats_anything_private(house: House) -> None:
    """If a request or a row is refused or sent again, over HTTP or on the command line, then what is said of it repeats
    nothing."""
    assert len(house.told.answers) > 15
    for answer in house.told.answers:
        nothing_in(house, answer.body, str(answer.status))
    for ended in house.told.said:
        nothing_in(house, f"{ended.out}{ended.err}".encode(), "a command")


def test_no_log_line_figure_or_process_argument_holds_anything_private(house: House) -> None:
    """If all of this is served with all that is logged, then no line of the log, no figure, and no argument of a
    process of the service or its database holds anything private."""
    log = house.service.log.encode()
    assert log.count(b'"event": "request"') > 20
    nothing_in(house, log, "the log")
    figures = house.service.get("/metrics")
    assert figures.status == 200
    nothing_in(house, figures.body, "the figures")
    roots = {house.service.pid, postmaster_of(house.home)}
    processes = roots.union(*map(_descendants, roots))
    assert len(processes) > 3
    nothing_in(house, " ".join(map(_arguments, processes)).encode(), "arguments")


def test_nothing_public_holds_anything_private(house: House, tmp_path: Path) -> None:
    """If somebody reads everything that is public, or exports the whole log, then nothing private is in it."""
    for path in (
        *("/petitions.json", "/events?limit=1000", "/heads", "/openapi.json", "/checkpoint"),
        *[f"/petitions/{PETITION}{what}" for what in (".json", "/timeline.json", "/history.csv", "/corrections.json")],
        f"/petitions/{PETITION}/drift.json?from=0&to=20",
    ):
        answer = house.service.read(path)
        nothing_in(house, answer.body, path)
    assert house.command("export", str(tmp_path / "bundle")).code == 0
    files = [file for file in (tmp_path / "bundle").rglob("*") if file.is_file()]
    assert len(files) > 5
    for file in files:
        nothing_in(house, file.read_bytes(), file.name)


def test_the_tables_hold_in_plain_what_the_page_says_and_nothing_else(house: House) -> None:
    """If every row of every table is read as a dump has it, then identities, keys and tokens stand in none, and the
    rest in the tables that docs/privacy.md names."""
    found = set()
    for table, rows in asyncio.run(dump(house.server)).items():
        found |= {(table, name) for name in found_in(rows, house.told.secrets | house.told.opened)}
    assert found == KEPT_IN_PLAIN


def test_the_live_store_holds_nothing_of_who_was_erased(house: House) -> None:
    """If everybody is erased, then no row of any table holds anything of them, nor what a correction searched for of
    them; neither the journal of erasures nor what was said and logged of it does."""
    hers = (GIVEN["email"], GIVEN["email in a batch"], GIVEN["email after a rectification"])
    sought = [f"s{number}@{GIVEN['domain searched for']}" for number in range(3)]
    for petition, email in (
        *[(PETITION, email) for email in (*hers, *sought)],
        (OF_A_FILE, GIVEN["email in a file"]),
    ):
        answer = house.ask("privacy", "/erasures", {"petition": petition, "email": email})
        assert answer.status == 200, (petition, answer)
        nothing_in(house, answer.body, "an erasure")
    house.good("privacy", "/erasures", {"petition": PETITION, "signature": house.told.referred})
    assert house.good("privacy", "/subjects", {"email": GIVEN["email"]}) == {"signatures": []}
    for table, rows in asyncio.run(dump(house.server)).items():
        nothing_in(house, rows, table)
    nothing_in(house, (house.home / "erasures.journal").read_bytes(), "the journal")
    nothing_in(house, house.service.log.encode(), "the log")


async def dump(server: Server) -> dict[str, bytes]:
    """Every table of the database, its rows as text."""
    connection = await asyncpg.connect(server.dsn("ledger"))
    try:
        tables = await connection.fetch(
            "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        )
        dumped = {}
        for table in tables:
            rows = await connection.fetch(f"SELECT t::text AS row FROM {table['name']} AS t")  # noqa: S608  # its own names
            dumped[table["name"]] = "\n".join(row["row"] for row in rows).encode()
        return dumped
    finally:
        await connection.close()
