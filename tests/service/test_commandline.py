"""The command line's promises: exit codes, where the answer goes, what is never told, two at once."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.service.commands import PROGRAM, ROOT, environment, ledger
from tests.service.conftest import Demonstration

pytestmark = pytest.mark.database


def test_every_command_takes_help_without_a_ledger(tmp_path: Path) -> None:
    """If help is asked for, then it is given, and nothing is made."""
    missing = tmp_path / "none"
    for command in (
        [], ["demo"], ["migrate"], ["petition", "open"], ["petition", "accept"], ["petition", "status"],
        ["import", "timeline"], ["import", "events"], ["count"], ["timeline"], ["drift"], ["claim"], ["replay"],
        ["rebuild"], ["fsck"], ["token", "create"], ["token", "list"], ["token", "revoke"], ["export"], ["mirror"],
        ["verify"], ["correction", "preview"], ["correction", "open"], ["correction", "show"],
        ["correction", "approve"], ["correction", "cancel"], ["correction", "reverse"],
    ):  # fmt: skip
        assert ledger(missing, *command, "--help").code == 0
    assert not missing.exists()


@pytest.mark.parametrize(
    "command",
    [
        ["count", "p"], ["timeline", "p"], ["drift", "p", "--from", "0", "--to", "1"],
        ["claim", "p", "--at-least", "1"],
        ["replay"], ["rebuild"], ["fsck"], ["token", "list"], ["petition", "accept", "p", "closed"], ["export", "d"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_command_that_only_reads_creates_nothing(tmp_path: Path, command: list[str]) -> None:
    """If there is no ledger where a command looks, then it exits 3 and names the path, and makes nothing."""
    missing = tmp_path / "none"
    ended = ledger(missing, *command)
    assert ended.code == 3
    assert str(missing) in ended.err
    assert not missing.exists()


def test_wrong_calls_exit_2_and_say_why(demonstration: Demonstration) -> None:
    """If a call is wrong, then it exits 2 with one sentence, no traceback, and nothing on standard output."""
    page = "keep-profit-out-of-child-protection"
    for command in (
        ["count", "nobody"],
        ["count", page, "--as-of", "99999999"],
        ["count", page, "--as-of", "2014-05-21 19:08:40"],
        ["drift", page, "--from", "count:1", "--to", "count:13163"],
        ["drift", page, "--from", "5", "--to", "4"],
        ["claim", page],
        ["claim", page, "--at-least", "1", "--exactly", "1"],
        ["claim", page, "--at-least", "1", "--within", "soon"],
        ["timeline", page, "--mode", "guessed"],
        ["petition", "accept", page, "ajar"],
        ["petition", "accept", "nobody", "closed"],
        ["petition", "status", page, "splendid"],
        ["petition", "open", page],
        ["petition", "open", "Not A Slug"],
        ["petition", "open", "ledger"],
        ["petition", "open", "p", "--goals", "3,2,1"],
        ["petition", "open", "p", "--timezone", "Nowhere/Land"],
        ["petition", "open", "p", "--question", "q"],
        ["import", "timeline", "/nonexistent", "--petition", "p"],
        ["import", "events", str(ROOT / "README.md"), "--petition", "p"],
        ["token", "create", "--role", "king", "--name", "n"],
        ["token", "revoke", "0123"],
        ["rebuild", "nothing"],
        ["export", str(ROOT)],
        ["export", str(ROOT / "README.md")],
        ["export", str(ROOT / "README.md" / "below")],
        ["mirror", "petitions.example", "d"],
        ["mirror", "http://127.0.0.1:1", "d", "--vkey", "nonsense"],
    ):
        ended = demonstration.ledger(*command)
        assert ended.code == 2, command
        assert ended.out == "", command
        assert ended.err, command
        assert "Traceback" not in ended.err, command


def test_a_petition_lives_by_commands(home: Path) -> None:
    """If a petition is opened, declared upon and closed, then each is an event, and saying it again is not."""
    assert "position 1" in ledger(home, "petition", "open", "p", "--title", "A title", "--goals", "10,20").out
    assert ledger(home, "petition", "status", "p", "answered", "--reported-count", "7").code == 0
    assert "position 3" in ledger(home, "petition", "accept", "p", "closed").out
    assert "nothing to record" in ledger(home, "petition", "accept", "p", "closed").out
    lines = ledger(home, "timeline", "p").lines
    assert [line.split("  ")[-1] for line in lines[1:]] == [
        "Closed for signatures",
        "Petition is answered with 0 signatures",
        "Petition opened: A title",
    ]
    view = json.loads(ledger(home, "count", "p", "--json").out)
    assert view == {
        "signature_count": 0, "as_of_position": 3, "as_of": view["as_of"], "goal": 10, "remaining": 10,
    }  # fmt: skip


def test_a_token_is_shown_once_and_alone(home: Path) -> None:
    """If a token is made, then standard output is the token alone; listing shows it never; revoking names its id."""
    token = ledger(home, "token", "create", "--role", "site", "--name", "campaign", "--rate", "5/s").out
    again = ledger(home, "token", "create", "--role", "site", "--name", "campaign").out
    assert token.startswith("slt_")
    assert token.count("\n") == 1
    assert len(token.strip()) == 47
    listed = json.loads(ledger(home, "token", "list", "--json").out)["tokens"]
    assert {row["actor"] for row in listed} == {listed[0]["actor"]}, "two tokens of one name are one principal"
    told = ledger(home, "token", "list")
    assert token.strip() not in told.out + told.err
    assert again.strip() not in told.out + told.err
    assert ledger(home, "token", "revoke", listed[0]["id"]).code == 0
    assert ledger(home, "token", "revoke", listed[0]["id"]).code == 2
    states = [row["revoked"] is None for row in json.loads(ledger(home, "token", "list", "--json").out)["tokens"]]
    assert states == [False, True]


def test_two_commands_at_once_share_one_ledger(home: Path) -> None:
    """If several commands start at once in a fresh home, then each does its work, on one ledger."""
    names = [f"p{number}" for number in range(4)]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "petition", "open", name],
            env=environment(home), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for name in names
    ]  # fmt: skip
    ends = [command.communicate(timeout=120) for command in running]
    assert [command.returncode for command in running] == [0, 0, 0, 0], ends
    folded = json.loads(ledger(home, "replay").out)
    assert folded["as_of_position"] == 4
    assert {row["id"] for row in folded["projections"]["petitions"]} == set(names)


def test_the_falls_of_a_polled_count_are_all_in_its_drift(home: Path, tmp_path: Path) -> None:
    """If a polled count falls, then each fall stands in the drift at its instant, and nothing is invented."""
    polled = tmp_path / "polled.csv"
    polled.write_text(
        "observed_at,signature_count,other\n"
        "2016-06-26T12:48:01Z,3221344,x\n"
        "2016-06-26T12:50:01Z,3146175,x\n"
        "2016-06-26T12:52:01Z,3146175,x\n"
        "2016-06-27T06:22:01Z,3576196,x\n"
        "2016-06-27T06:24:01Z,3575126,x\n"
    )
    mapped = ("--map", "at=observed_at", "--map", "count=signature_count", "--all", "count")
    assert ledger(home, "import", "timeline", str(polled), "--petition", "polled", *mapped).code == 0
    drift = ledger(home, "drift", "polled", "--from", "2016-06-26T12:49Z", "--to", "2016-06-28T00:00Z", "--json")
    assert drift.code == 0
    body = json.loads(drift.out)
    assert [event["delta"] for event in body["events"]] == [-75_169, 0, 430_021, -1_070]
    assert body["net"] == body["causes"]["unitemised"] == 353_782


def test_a_report_names_refused_rows_by_line(home: Path, tmp_path: Path) -> None:
    """If rows are refused, then the report has their lines and reasons, the exit is 1, and no content is repeated."""
    log = tmp_path / "log.csv"
    log.write_text("at,kind,signer\n2024-01-01 10:00,recorded,secret-one\n2024-01-01T10:00Z,recorded,secret-two\n")
    report = tmp_path / "report.csv"
    ended = ledger(home, "import", "events", str(log), "--petition", "p", "--report", str(report))
    assert ended.code == 1
    assert report.read_text().splitlines() == ["line,reason", "2,at-missing-offset"]
    assert "secret" not in ended.out + ended.err + report.read_text()
    assert ledger(home, "import", "events", str(log), "--petition", "p", "--zone", "Europe/London").code == 0


def test_what_a_petition_says_cannot_command_the_terminal(home: Path) -> None:
    """If a title holds bidi controls, then the terminal is shown their code points."""
    assert ledger(home, "petition", "open", "p", "--title", "a\u202eb").code == 0
    assert "a\\u202eb" in ledger(home, "count", "p").lines[0]


def test_a_reader_that_leaves_ends_the_command_quietly(demonstration: Demonstration) -> None:
    """If whoever reads the answer closes it, then the command ends without a traceback."""
    program = [sys.executable, "-c", PROGRAM, "drift", "opentofu-manifesto", "--from", "0", "--to", "count:963"]
    with subprocess.Popen(
        program, env=environment(demonstration.home), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as command:
        assert command.stdout is not None
        assert command.stderr is not None
        command.stdout.readline()
        command.stdout.close()
        said = command.stderr.read()
        command.wait(timeout=120)
    assert b"Traceback" not in said
