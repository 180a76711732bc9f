"""Reviewing a stored petition: the database counts what a person would count, and a signal's condition finds that."""

import re
from pathlib import Path
from typing import get_args

import orjson
import pytest

from ledger.email_policy import STANDARD_1
from ledger.signals import Known, Origin, networks
from schemas.answers import SignalKind, SignalShown
from schemas.instants import parse_instant
from schemas.requests import PreviewRequest
from service.correcting import choose
from service.region_names import names
from service.reviewing import DomainsRefused, disposable_domains, look, told
from service.signing import Rules
from tests.conftest import LedgerDatabase
from tests.ledger.planting import DAY, HOUR, START, Signed, ordinary, plant, planted, seen

PETITION = "harbour"
REGIONS = '{"W1": {"name": "Westville", "population": 49}, "E1": {"name": "Easton", "population": 90000}}'
FRAUD = (
    planted(700, START, 10 * DAY, ip="203.0.113.7", domain="gmail.com"),
    planted(300, START + 3 * DAY, 3 * DAY, ip="2001:db9:1::1", is_held=True),
    planted(90, START + 4 * DAY, DAY / 4, domain="bots.example.org"),
    planted(90, START + 4 * DAY, DAY / 4, domain="bots.example.org", is_held=True),
    planted(400, START + 6 * DAY, HOUR / 2),
    planted(30, START + 6 * DAY, HOUR / 2, is_withdrawn=True),
    planted(800, START + 2 * DAY, HOUR, channel="import"),
    planted(5, START + DAY, HOUR, domain="mailinator.com"),
    planted(50, START + DAY, 9 * DAY, country="GB", region="W1"),
    planted(120, START + DAY, 4 * DAY, confirmed_at=START + 8 * DAY),
    planted(40, START, DAY, is_erased=True, domain="mailinator.com"),
    [Signed(START + 5 * DAY, channel="paper")],
)
KINDS = {"network", "email-domain", "burst", "disposable-domain", "area", "stored-up-confirmations"}


async def test_the_database_counts_what_a_person_would_and_previews_find_what_signals_tell(
    ledger_database: LedgerDatabase, tmp_path: Path
) -> None:
    """If fraud of every kind is planted in an ordinary history, then the figures of the database give the signals that
    counting by hand gives, each kind among them, and the condition of each finds as many as it tells."""
    rows = [*ordinary(5, many=1_500), *(row for each in FRAUD for row in each)]
    await plant(ledger_database, PETITION, rows)
    regions = tmp_path / "regions.json"
    regions.write_text(REGIONS, encoding="utf-8")
    admin = await ledger_database.connect("ledger_admin")
    found = await look(admin, PETITION, names(regions), disposable_domains(None))
    by_hand = seen(rows, disposable=disposable_domains(None), people={"W1": 49, "E1": 90_000})
    assert [each for each in found if each.kind != "area"] == [each for each in by_hand if each.kind != "area"]
    assert {each.kind for each in found} == KINDS
    rules = Rules(PETITION, STANDARD_1, bytes(32))
    for shown in told(PETITION, found)["signals"]:
        body = {name: shown[name] for name in ("reason", "rule", "where")}
        request = PreviewRequest.model_validate_json(orjson.dumps(body), strict=True)
        assert len((await choose(admin, rules, request)).rows) == shown["matched"], shown
    (area,) = [each for each in found if each.kind == "area"]
    assert (area.sentence, area.matched) == ("50 signed from Westville, where 49 people live.", 50)


async def test_there_are_no_signals_where_there_is_nothing_to_look_at(ledger_database: LedgerDatabase) -> None:
    """If nobody has signed, nobody sent evidence, or there is no such petition, then there is no signal."""
    admin = await ledger_database.connect("ledger_admin")
    assert await look(admin, PETITION, names(None), disposable_domains(None)) == ()
    await plant(ledger_database, PETITION, [Signed(each.at) for each in ordinary(3, many=300)])
    assert await look(admin, PETITION, names(None), disposable_domains(None)) == ()
    assert await look(admin, "another", names(None), disposable_domains(None)) == ()


def test_the_signal_that_the_docs_show_is_one() -> None:
    """If docs/correcting.md shows a signal, then it is what these figures give; and it names every kind."""
    page = (Path(__file__).parents[2] / "docs" / "correcting.md").read_text(encoding="utf-8")
    (excerpt,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    shown = SignalShown.model_validate_json(excerpt)
    earliest, latest = (parse_instant(each) for each in orjson.loads(excerpt)["window"])
    origin = Origin("203.0.113.0/24", 1, 75_169, 75_169, earliest, latest)
    found = networks([origin], Known({1: 200_000}, 60_001))
    assert SignalShown.model_validate_json(orjson.dumps(told(PETITION, found)["signals"][0])) == shown
    assert set(re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE)) == set(get_args(SignalKind)) == KINDS


def test_a_list_of_disposable_domains_is_the_operators(tmp_path: Path) -> None:
    """If a file is named, then its domains count, in the one form that evidence has, and no others; what is no file of
    domains is refused with a sentence."""
    assert "mailinator.com" in disposable_domains(None)
    mine = tmp_path / "mine.txt"
    mine.write_text("# ours\nThrow.Example.ORG  # seen in May\n\n", encoding="utf-8")
    assert disposable_domains(mine) == ("throw.example.org",)
    (tmp_path / "wrong.txt").write_text("no domain\n", encoding="utf-8")
    for file in (tmp_path / "wrong.txt", tmp_path / "nowhere.txt"):
        with pytest.raises(DomainsRefused, match="LEDGER_DISPOSABLE_DOMAINS_FILE"):
            disposable_domains(file)
