"""The auditor's page is true: its commands run as printed, and what it says is found is found by a test."""

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.clients import Clients
from tests.interop.conftest import clients as clients
from tests.service.auditing import PAGE, blocks, run, set_up
from tests.service.commands import BOUND, ROOT, ledger
from tests.service.conftest import Demonstration
from tests.service.serving.services import eventually, serving

NOT_OURS = re.compile(r"^(?:aics-tlog|python3\.12) ", re.MULTILINE)
MATRIX = "tests/ledger/verifying/test_tampering.py"


@pytest.fixture(scope="module")
def address(demonstration: Demonstration) -> Iterator[str]:
    """The demonstration, served and sealed."""
    with serving(demonstration.home) as service:
        assert eventually(lambda: service.get("/checkpoint").status == 200)
        yield service.address


@pytest.fixture
def auditor(tmp_path: Path) -> Path:
    """A directory in which the page's commands run."""
    set_up(tmp_path)
    return tmp_path


@pytest.mark.database
def test_it_runs_as_printed(demonstration: Demonstration, address: str, auditor: Path) -> None:
    """If the page's own commands are run one after the other, then nothing is wrong, and the numbers are ours."""
    said = run([block for block in blocks("sh") if not NOT_OURS.search(block)], auditor, SITE=address)
    assert sum("nothing is wrong" in each for each in said) == 3
    claimed = json.loads((auditor / "bundle" / "projections" / "petitions.json").read_bytes())["rows"]
    counted = next(each for each in said if "keep-profit-out-of-child-protection\n" in each)
    assert counted == "".join(f"{row['count']} {row['id']}\n" for row in claimed)
    shutil.copy(ROOT / "ledger" / "verify.py", auditor)
    alone = subprocess.run(
        [sys.executable, "-I", "verify.py", "bundle", "--vkey", "log.vkey"],
        cwd=auditor, capture_output=True, text=True, timeout=BOUND, check=False,
    )  # fmt: skip
    assert (alone.returncode, alone.stdout.splitlines()[-1]) == (0, "nothing is wrong"), alone.stderr
    told = demonstration.ledger("count", "keep-profit-out-of-child-protection", "--json")
    assert f"{json.loads(told.out)['signature_count']} keep-profit-out-of-child-protection\n" in counted


@pytest.mark.database
def test_other_peoples_tools_run_as_printed(address: str, auditor: Path, clients: Clients) -> None:
    """If other people's tools are asked as the page says, then they find the same log whole, grown, and with its
    receipts."""
    clients.commands(auditor / "bin")
    printed = blocks("sh")
    said = run([*printed[:2], *(block for block in printed if NOT_OURS.search(block))], auditor, SITE=address)
    answers = [json.loads(line) for each in said for line in each.splitlines() if line.startswith('{"cmd"')]
    assert [answer["cmd"] for answer in answers] == [
        "verify-checkpoint",
        "verify-consistency",
        "verify-inclusion",
        "verify-inclusion",
    ]
    assert all(answer["ok"] for answer in answers)
    size = int((auditor / "bundle" / "checkpoint").read_text().split("\n")[1])
    audited = next(each for each in said if each.startswith("AuditReport"))
    assert audited.startswith(f"AuditReport(size={size}, ")
    assert json.loads((auditor / "event.json").read_bytes())["id"] == f"{1:020d}"


def test_what_it_says_is_found_is_found_by_a_test() -> None:
    """If a row of the matrix names a test, then there is one; if there is a test of tampering, then a row names it."""
    named = re.findall(rf"\[`(\w+)`\]\(\.\./{re.escape(MATRIX)}\)", PAGE)
    tree = ast.parse((ROOT / MATRIX).read_text(encoding="utf-8"))
    tests = {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}
    assert len(named) > 20
    assert set(named) == tests


def test_what_it_links_to_is_there() -> None:
    """If the page names a file of the repository or a part of itself, then it is there."""
    for target in re.findall(r"\]\((?!https?:)([^)]*)\)", PAGE):
        file, _, part = target.partition("#")
        assert (ROOT / "docs" / file).exists() or not file, target
        titles = re.findall(r"^#+ (.*)$", PAGE if not file else "", re.MULTILINE)
        assert not part or part in {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_log_is_continued_by_the_command_that_it_prints(tmp_path: Path) -> None:
    """If the page says how a log is continued, then there is such a command, with these options."""
    (block,) = blocks("sh continued")
    command, *words = re.findall(r"(?<=bin/)ledger \w+|--[a-z-]+", block)
    helped = ledger(tmp_path, command.removeprefix("ledger "), "--help")
    assert helped.code == 0, helped.err
    assert words
    assert all(word in helped.out for word in words)


def test_every_threat_is_answered() -> None:
    """If the issue names a threat, then a row of the table does."""
    table = PAGE.partition("## Who might try what")[2].partition("\n## ")[0]
    threats = re.findall(r"^\| (?!what|---)([^|]*?) \|", table, re.MULTILINE)
    words = (
        "edit an event", "delete the last", "fork", "split view", "backdate", "omit", "invent", "edit a projection",
        "deny a number", "restore an old backup", "one receipt to two",
    )  # fmt: skip
    assert all(any(word in threat for threat in threats) for word in words)
