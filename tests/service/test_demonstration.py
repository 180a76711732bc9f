"""The demonstration: the documents that this product grew out of, told by the commands that a person would call."""

import csv
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ledger.bundle import Bundle
from ledger.merkle import leaf_hash
from ledger.receipt import check_receipt, read_receipt
from ledger.tree_head import parse_vkey, read_head
from schemas.canonical import to_base64
from service.demo import petitions
from tests.service.commands import ledger
from tests.service.conftest import Demonstration

DATA = Path(__file__).parents[2] / "service" / "demo"
WORDS = {"milestone": "{:,} signatures reached", "status": "Petition is successful with {:,} signatures"}
SEALED = "Sealed, exported, and verified offline"

pytestmark = pytest.mark.database


def published() -> list[str]:
    with (DATA / "page.csv").open(newline="") as file:
        return [f"{row['at']}\t{WORDS[row['kind']].format(int(row['count']))}" for row in csv.DictReader(file)]


def test_it_prints_both_explanations_and_exits_0(demonstration: Demonstration) -> None:
    """If the demonstration runs once, then 13,158 -> 13,163 stands there twice: unitemised, and event by event."""
    said = demonstration.said
    assert said.code == 0, said.err
    assert said.out.count("13,158 -> 13,163: +5, made of") == 2
    observed, itemised = said.out.split("13,158 -> 13,163: +5, made of")[1:]
    assert [line.split()[-2] for line in observed.splitlines() if "count observed" in line] == ["+4", "-1", "-1", "+3"]
    assert "+5  unitemised" in observed
    assert "signature withdrawn" in itemised
    assert "signature invalidated" in itemised
    assert "synthetic reconstruction" in said.out


def test_a_second_start_keeps_the_data_and_adds_nothing(demonstration: Demonstration) -> None:
    """If the demonstration runs again, then no event is added, the same is told, and its bundle is of what is there."""
    before = json.loads(demonstration.ledger("replay").out)["as_of_position"]
    again = demonstration.ledger("demo", "--once")
    assert again.code == 0
    assert json.loads(demonstration.ledger("replay").out)["as_of_position"] == before
    # Whoever served it meanwhile may have stated which counts it showed: the log is longer then, and nothing else.
    explained, audited = again.out.split(SEALED)
    assert explained == demonstration.said.out.split(SEALED)[0]
    assert f" {before:,} events, root " in audited
    assert ": nothing is wrong" in audited


@pytest.mark.parametrize("petition", [petitions.PAGE, petitions.RECONSTRUCTION])
def test_the_timeline_is_the_published_one_to_the_second(demonstration: Demonstration, petition: str) -> None:
    """If the page, or its reconstruction, is asked for its timeline as text, then it is the 19 published lines."""
    told = demonstration.ledger("timeline", petition, "--format", "text")
    assert told.lines == published()
    assert told.lines[0] == "2018-01-31 09:56:46 +0000\tPetition is successful with 13,163 signatures"
    assert told.lines[-1] == "2014-05-17 02:11:09 +0100\t10 signatures reached"
    assert len(told.lines) == 19


def test_the_update_is_in_the_timeline_but_not_on_the_page(demonstration: Demonstration) -> None:
    """If the whole timeline is asked for, then the update of 20 June 2014 stands in it on its day."""
    entries = json.loads(demonstration.ledger("timeline", petitions.PAGE, "--json").out)["entries"]
    (update,) = [entry for entry in entries if entry["kind"] == "update"]
    assert update["effective_on"] == "2014-06-20"


def test_an_article_s_claim_is_undetermined_on_the_page_and_decided_on_the_reconstruction(
    demonstration: Demonstration,
) -> None:
    """If 8,363 within 72 hours is claimed, then the page bounds it by two milestones and the reconstruction decides."""
    asked = ("--at-least", "8363", "--within", "72h", "--json")
    page = json.loads(demonstration.ledger("claim", petitions.PAGE, *asked).out)
    assert (page["verdict"], page["lower"], page["upper"]) == ("undetermined", 5000, 9999)
    assert [proof["count"] for proof in page["evidence"]] == [5000, 10000]
    single = json.loads(demonstration.ledger("claim", petitions.RECONSTRUCTION, *asked).out)
    assert single["verdict"] == "true"
    assert 8363 in [proof["count"] for proof in single["evidence"]]


def test_an_undated_page_has_its_goal(demonstration: Demonstration) -> None:
    """If a page shows 367 signatures and no date, then 33 are missing until 400, and its observation is undated."""
    view = json.loads(demonstration.ledger("count", petitions.UNDATED, "--json").out)
    assert (view["signature_count"], view["goal"], view["remaining"]) == (367, 400, 33)
    (observed,) = [
        event
        for event in json.loads(
            demonstration.ledger("drift", petitions.UNDATED, "--from", "0", "--to", "count:367", "--json").out
        )["events"]
        if event["type"] == "count.observed.v1"
    ]
    assert observed["at"] is None


def test_the_consultation_closed_and_its_answers_sum(demonstration: Demonstration) -> None:
    """If the consultation has closed, then a late response is refused, and each question's answers sum to the count."""
    folded = json.loads(demonstration.ledger("replay", "--petition", petitions.CONSULTATION).out)["projections"]
    (petition,) = folded["petitions"]
    assert petition["acceptance"] == "closed"
    assert petition["closed_at"] == "2014-05-30T23:00:00.000000Z"
    assert "1 refused (petition-closed)" in demonstration.said.err
    for question in ("answer:delegate-more", "answer:profit-allowed"):
        answers = {row["value"]: row["standing"] for row in folded["tally"] if row["dimension"] == question}
        assert answers.keys() == {"yes", "no"}
        assert sum(answers.values()) == petition["count"] == 120


def test_a_resolution_is_an_organisation_s_signature(demonstration: Demonstration) -> None:
    """If a conference resolved to sign, then one organisation stands, undated, in a petition of its own."""
    folded = json.loads(demonstration.ledger("replay", "--petition", petitions.RESOLUTION).out)["projections"]
    kinds = {row["value"]: row["standing"] for row in folded["tally"] if row["dimension"] == "kind"}
    assert kinds == {"organisation": 1}


def test_the_real_log_s_count_after_each_batch_is_the_count_effective_then(demonstration: Demonstration) -> None:
    """If the OpenTofu log is asked for its count at the time of each batch, then it is the published count_after."""
    with (DATA / "opentf.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    after = {row["recorded_at"]: int(row["count_after"]) for row in rows}
    drift = json.loads(
        demonstration.ledger(
            "drift", petitions.MANIFESTO, "--from", "2023-08-01T00:00Z", "--to", "2025-01-01T00:00Z", "--json"
        ).out
    )
    told = {}
    for event in drift["events"]:
        told[datetime.fromisoformat(event["at"]).astimezone(UTC)] = event["count"]
    assert {datetime.fromisoformat(at): count for at, count in after.items()} == told | {
        datetime.fromisoformat(at): count
        for at, count in after.items()
        if datetime.fromisoformat(at) not in told  # a batch of amendments alone moved nothing
    }
    assert max(event["count"] for event in drift["events"]) == 964
    assert drift["net"] == 963


def test_every_petition_says_what_it_is(demonstration: Demonstration) -> None:
    """If any petition is shown, then its provenance stands beside its title in words."""
    words = {
        petitions.PAGE: "observed",
        petitions.RECONSTRUCTION: "synthetic reconstruction",
        petitions.UNDATED: "observed",
        petitions.CONSULTATION: "synthetic reconstruction",
        petitions.RESOLUTION: "real log",
        petitions.MANIFESTO: "real log",
        petitions.TRIAL: "synthetic reconstruction",
    }
    assert words.keys() == set(petitions.ALL)
    for petition, word in words.items():
        assert f"[{word}" in demonstration.ledger("count", petition).lines[0]


def test_nothing_is_found_in_it(demonstration: Demonstration) -> None:
    """If the demonstration's ledger is checked deeply and rebuilt, then there are no findings and no differences."""
    checked = demonstration.ledger("fsck", "--deep")
    assert (checked.code, checked.lines) == (0, ["no findings"])
    rebuilt = json.loads(demonstration.ledger("rebuild", "--json").out)["rebuilt"]
    assert {each["name"]: (each["different"], each["swapped"]) for each in rebuilt} == {
        "petitions": (0, True),
        "tally": (0, True),
        "timeline": (0, True),
    }


def test_its_bundle_is_verified_and_can_be_verified_again(demonstration: Demonstration, tmp_path: Path) -> None:
    """If the demonstration ends, then head and vkey are told, and who keeps them finds nothing wrong in the bundle,
    then and later.
    """
    said, bundle = demonstration.said.out, demonstration.home / "audit"
    told = dict(re.findall(r"^  (head|vkey|checked|again) +(.*)$", said, re.MULTILINE))
    assert told["checked"].endswith(": nothing is wrong")
    assert told["again"] == f".venv/bin/ledger verify {bundle} --vkey {told['vkey']}"
    kept = {
        f"{head.origin}, {head.size:,} events, root {to_base64(head.root)}": note
        for note in Bundle.find(bundle).notes()
        for head in [read_head(note)]
    }
    (tmp_path / "kept").write_bytes(kept[told["head"]])
    since = ("--since", str(tmp_path / "kept"))
    audited = json.loads(demonstration.ledger("verify", str(bundle), "--vkey", told["vkey"], *since, "--json").out)
    assert (audited["total"], audited["proved"]["events"]) == (0, audited["head"]["size"])


def test_its_receipt_is_that_of_the_signature_that_made_13_163(demonstration: Demonstration) -> None:
    """If the receipt that is told is checked, then it is of the event by which the reconstruction became 13,163."""
    said = demonstration.said.out
    vkey = re.search(r"^  vkey +(.*)$", said, re.MULTILINE)
    text = re.search(r"^c2sp\.org/tlog-proof@v1\n.*?^— [^\n]*\n", said, re.MULTILINE | re.DOTALL)
    assert vkey is not None
    assert text is not None
    receipt = read_receipt(text[0].encode())
    leaf = list(Bundle.find(demonstration.home / "audit").leaves())[receipt.index]
    assert check_receipt(receipt, leaf_hash(leaf), [parse_vkey(vkey[1])]).head.size > receipt.index
    event = json.loads(leaf)
    assert (event["subject"], event["type"]) == (petitions.RECONSTRUCTION, "signature.recorded.v1")
    drift = ("drift", petitions.RECONSTRUCTION, "--from", "count:13158", "--to", "count:13163", "--json")
    assert json.loads(demonstration.ledger(*drift).out)["events"][-1]["event"] == event["id"]


@pytest.mark.parametrize(
    "asked", [(), ("--as-of", "9000"), ("--petition", petitions.PAGE), ("--as-of", "2015-01-01T00:00Z")]
)
def test_its_bundle_replays_to_the_bytes_that_its_database_does(
    demonstration: Demonstration, asked: tuple[str, ...]
) -> None:
    """If the bundle is replayed instead of the database, then the answer is the same, byte for byte."""
    told = demonstration.ledger("replay", str(demonstration.home / "audit"), *asked)
    assert told.code == 0
    assert told.out == demonstration.ledger("replay", *asked).out


def test_exporting_again_takes_only_what_is_new(demonstration: Demonstration) -> None:
    """If the demonstration's ledger is exported by command, then it is the same head, and as JSON it says so."""
    told = json.loads(demonstration.ledger("export", str(demonstration.home / "audit"), "--json").out)
    folded = json.loads(demonstration.ledger("replay").out)
    assert told["size"] == folded["as_of_position"]
    assert told["files_removed"] == 0
    assert told["bytes_written"] < 200_000


def test_it_refuses_a_ledger_that_is_somebody_s(home: Path) -> None:
    """If the ledger holds a petition that is not the demonstration's, then it is left alone, with exit 2."""
    assert ledger(home, "petition", "open", "my-own").code == 0
    refused = ledger(home, "demo", "--once")
    assert refused.code == 2
    assert "LEDGER_HOME" in refused.err
    assert json.loads(ledger(home, "replay").out)["as_of_position"] == 1
