"""A served ledger beside a live `aics-witness`: other people's programs see one log, that grows and is cosigned."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ledger.seal_keys import make_sealing_key
from service.embedded.sharing import shared
from tests.conftest import home_for_a_server
from tests.interop.clients import Clients, LiveWitness, live_witness
from tests.service.auditing import blocks, run, set_up
from tests.service.commands import ledger
from tests.service.serving.services import Service, eventually, serving

pytestmark = pytest.mark.database

ORIGIN = "localhost/ledger"
PETITION = "save-the-oak"
EACH = 150  # signatures of a batch: with the third, the log crosses the edge of a tile


@dataclass(frozen=True)
class Served:
    """A ledger that was signed in three batches, each sealed before the next; the head after each; the signatures."""

    service: Service
    witness: LiveWitness
    vkey: Path
    heads: list[bytes]
    signed: list[dict[str, Any]]


@pytest.fixture(scope="module")
def served(clients: Clients, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with home_for_a_server() as home, shared(home):
        opened = ledger(home, "petition", "open", PETITION)
        assert opened.code == 0, opened.err
        token = ledger(home, "token", "create", "--role", "site", "--name", "a site").out.strip()
        key = make_sealing_key(home / "keys" / "seal.key", ORIGIN).verifier.vkey
        vkey = tmp_path_factory.mktemp("kept") / "log.vkey"
        vkey.write_text(f"{key}\n")
        with (
            live_witness(clients, {ORIGIN: key}) as witness,
            witness.running(),
            serving(
                home, LEDGER_WITNESS_URL=witness.url, LEDGER_WITNESS_VKEY=witness.vkey, LEDGER_WITNESS_TIMEOUT="20"
            ) as service,
        ):
            heads, signed = [], []
            for batch in range(3):
                signed += sign(service, token, batch)
                heads.append(head_that_covers(service, signed[-1]["position"], witness))
            yield Served(service, witness, vkey, heads, signed)


def sign(service: Service, token: str, batch: int) -> list[dict[str, Any]]:
    lines = [{"signer": {"ref": f"{batch}/{nth}"}, "idempotency_key": f"{batch}/{nth}"} for nth in range(EACH)]
    answer = service.ask(
        "POST", f"/petitions/{PETITION}/signatures/batch", "\n".join(map(json.dumps, lines)).encode(), 30,
        {"Authorization": f"Bearer {token}", "Content-Type": "application/x-ndjson"},
    )  # fmt: skip
    answered: list[dict[str, Any]] = [json.loads(line) for line in answer.body.splitlines()]
    assert all(each["status"] == 201 for each in answered)
    return answered


def head_that_covers(service: Service, position: int, witness: LiveWitness) -> bytes:
    """The newest head when it covers a position and bears the witness's line."""
    head = b""

    def covers() -> bool:
        nonlocal head
        head = service.get("/checkpoint").body
        lines = head.decode().split("\n")
        return len(lines) > 5 and int(lines[1]) >= position and witness.vkey.partition("+")[0] in lines[5]

    assert eventually(covers), (head, service.log)
    return head


def test_the_witness_signed_the_newest_head(served: Served, clients: Clients, tmp_path: Path) -> None:
    """If heads are shown to the witness before they are published, then an off-the-shelf verifier that asks for its
    line is content with the newest, and with the kept ones."""
    for number, head in enumerate(served.heads):
        (tmp_path / f"{number}.note").write_bytes(head)
        told = clients.tlog(
            "verify-checkpoint", "--note", tmp_path / f"{number}.note", "--vkey-file", served.vkey,
            "--witness-key", served.witness.vkey, "--quorum", "1", "--max-age", "3600", "--origin", ORIGIN,
        )  # fmt: skip
        assert told.code == 0, told.out
    size = int(served.heads[-1].split(b"\n")[1])
    assert served.witness.remembers(ORIGIN)["size"] == size
    assert served.witness.remembers(ORIGIN)["evidence"] == 0
    assert served.service.lines("witness.did_not_sign") == []


def test_every_head_continues_the_ones_before(served: Served, clients: Clients, tmp_path: Path) -> None:
    """If a head was kept, then an off-the-shelf verifier proves from our tiles that the newest continues it."""
    for head in served.heads:
        (tmp_path / "kept.note").write_bytes(head)
        told = clients.tlog(
            "verify-consistency", "--tiles", served.service.address, "--vkey-file", served.vkey,
            "--old-checkpoint", tmp_path / "kept.note",
        )  # fmt: skip
        assert told.code == 0, told.out
        assert told.json["old_size"] == int(head.split(b"\n")[1])


def test_our_consistency_proofs_are_theirs(served: Served, clients: Clients, tmp_path: Path) -> None:
    """If we answer with a consistency proof, then an off-the-shelf verifier that has no tiles takes it."""
    (old, old_root), (new, new_root) = ((head.decode().split("\n")[1:3]) for head in (served.heads[0], served.heads[2]))
    proof = served.service.get(f"/proofs/consistency?from={old}&to={new}").json()
    (tmp_path / "proof").write_text("".join(f"{each}\n" for each in proof["proof"]))
    told = clients.tlog(
        "verify-consistency", "--old-size", old, "--old-root", old_root, "--new-size", new, "--new-root", new_root,
        "--proof", tmp_path / "proof",
    )  # fmt: skip
    assert told.code == 0, told.out


def test_receipts_hold_for_their_leaves_and_no_others(served: Served, clients: Clients, tmp_path: Path) -> None:
    """If a signer shows her receipt, then an off-the-shelf verifier finds her event in the log, and no other at its
    place."""
    for answer in (served.signed[0], served.signed[255], served.signed[-1]):
        receipt = served.service.get(answer["receipt"]).body.decode()
        header, _, note = receipt.partition("\n\n")
        form, index, *proof = header.split("\n")
        assert form == "c2sp.org/tlog-proof@v1"
        assert index == f"index {answer['position'] - 1}"
        (tmp_path / "head.note").write_text(note)
        (tmp_path / "proof").write_text("".join(f"{each}\n" for each in proof))
        leaf = served.service.get(f"/events?after={answer['position'] - 1}&limit=1").body.removesuffix(b"\n")
        assert answer["signature"].encode() in leaf
        for shown, code in ((leaf, 0), (leaf.replace(b"a", b"b", 1), 1)):
            (tmp_path / "leaf.json").write_bytes(shown)
            told = clients.tlog(
                "verify-inclusion", "--leaf", tmp_path / "leaf.json", "--index", index.removeprefix("index "),
                "--proof", tmp_path / "proof", "--checkpoint", tmp_path / "head.note", "--vkey-file", served.vkey,
            )  # fmt: skip
            assert told.code == code, told.out


def test_an_export_is_audited_whole(served: Served, clients: Clients, tmp_path: Path) -> None:
    """If a bundle is mirrored, then an off-the-shelf audit holds every tile and every entry against its head; where one
    byte of an entry or of a tile is another one, it says so."""
    set_up(tmp_path)
    mirrored = ledger(tmp_path, "mirror", served.service.address, str(tmp_path / "bundle"))
    assert mirrored.code == 0, mirrored.err
    audit = [tmp_path / "whole.py", tmp_path / "bundle", served.vkey]
    told = clients.run(*audit)
    size = int(served.heads[-1].split(b"\n")[1])
    assert told.out == f"AuditReport(size={size}, tiles=3, bundles=2)\n", told.err
    for path in ("tile/entries/000", "tile/0/000"):
        file = tmp_path / "bundle" / path
        sound = file.read_bytes()
        file.write_bytes(sound[:1000] + bytes([sound[1000] ^ 1]) + sound[1001:])
        assert clients.run(*audit).code != 0
        file.write_bytes(sound)
    assert clients.run(*audit).code == 0


def test_the_page_says_how_to_ask_for_the_witness(served: Served, clients: Clients, tmp_path: Path) -> None:
    """If the auditor's page is followed with the witness's key, by our verifier and by others', then all is well; and
    what the witness shows itself is a head that the bundle continues."""
    set_up(tmp_path)
    clients.commands(tmp_path / "bin")
    (tmp_path / "log.vkey").write_bytes(served.vkey.read_bytes())
    mirroring = [block for block in blocks("sh") if block.startswith(".venv/bin/ledger mirror ")]
    said = run(
        [*mirroring, *blocks("sh witness")], tmp_path, SITE=served.service.address, ORIGIN=ORIGIN,
        WITNESS=served.witness.url, WITNESS_VKEY=served.witness.vkey,
    )  # fmt: skip
    assert sum("nothing is wrong" in each for each in said) == 2
    answers = [json.loads(line) for each in said for line in each.splitlines() if line.startswith('{"cmd"')]
    assert [answer["witnesses"] for answer in answers] == [["witness.example/w1"], ["witness.example/w1"]]
    assert answers[0]["root"] == answers[1]["root"]
