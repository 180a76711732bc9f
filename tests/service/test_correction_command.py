"""`ledger correction`: fraud is removed from the command line, by two principals, without a service."""

import json
import shlex
from pathlib import Path

import pytest

from tests.service.commands import Ended, ledger

pytestmark = pytest.mark.database
RULE = ("--reason", "bot", "--rule", "Addresses of one throw-away provider.")
HEADER = "at,kind,signer,email\n"


def test_a_purge_by_command_takes_two_principals_and_is_reversed(home: Path, tmp_path: Path) -> None:
    """If more than 100 signatures share a domain, then a preview tells it, another admin's token approves exactly that
    set, the purge runs to its end, and its reversal brings the count back."""
    log = tmp_path / "log.csv"
    rows = [
        f"2020-01-01T00:{n // 60:02}:{n % 60:02}Z,recorded,s{n},s{n}@{'ex.org' if n < 9 else 'bots.example.org'}"
        for n in range(130)
    ]
    log.write_text(HEADER + "\n".join(rows) + "\n", encoding="utf-8")
    assert ledger(home, "import", "events", str(log), "--petition", "p").code == 0
    first, second = (
        ledger(home, "token", "create", "--role", "admin", "--name", name).out.strip() for name in ("ann", "bo")
    )

    def correction(*arguments: str, token: str = first) -> Ended:
        return ledger(home, "correction", *arguments, LEDGER_TOKEN=token)

    def count() -> int:
        return int(json.loads(ledger(home, "count", "p", "--json").out)["signature_count"])

    throwaway = tmp_path / "throwaway.txt"
    throwaway.write_text("bots.example.org\n", encoding="utf-8")
    looking = ("correction", "signals", "p")
    pointed = ledger(home, *looking, LEDGER_TOKEN=first, LEDGER_DISPOSABLE_DOMAINS_FILE=str(throwaway))
    assert pointed.code == 0, pointed.err
    assert pointed.lines[0].startswith("disposable-domain: 121 signed by addresses at bots.example.org")
    matched, _, command = pointed.lines[1].strip().partition(" match: ledger correction ")
    assert (matched, correction(*shlex.split(command)).lines[1]) == ("121", "count 130 -> 9")
    for wrong in (looking, ("serve", "--port", "0")):
        unread = ledger(home, *wrong, LEDGER_TOKEN=first, LEDGER_DISPOSABLE_DOMAINS_FILE=str(tmp_path / "nowhere"))
        assert (unread.code, "LEDGER_DISPOSABLE_DOMAINS_FILE" in unread.err) == (2, True)
    where = ("p", *RULE, "--email-domain", "bots.example.org")
    seen = correction("preview", *where, "--json")
    assert seen.code == 0, seen.err
    told = json.loads(seen.out)
    assert (told["matched"], told["effect"]["count"]) == (121, {"before": 130, "after": 9})
    assert correction("open", *where, "--digest", "0" * 64).code == 2
    opened = json.loads(correction("open", *where, "--digest", told["digest"], "--json").out)
    assert (opened["state"], count()) == ("proposed", 130)
    approve = ("approve", "p", opened["correction"], "--digest", told["digest"])
    own = correction(*approve)
    assert (own.code, "another principal" in own.err) == (2, True)
    done = correction(*approve, token=second)
    assert (done.code, done.lines[1]) == (0, "121 of 121 applied, 0 skipped"), done.err
    assert count() == 9
    undone = correction("reverse", "p", opened["correction"], "--reason", "mistake", "--rule", "A company's domain.")
    (shown,) = json.loads(correction("show", "p", "--state", "proposed", "--json").out)["corrections"]
    assert (undone.code, shown["reverses"]) == (0, opened["correction"])
    assert correction("approve", "p", shown["correction"], "--digest", shown["digest"], token=second).code == 0
    assert count() == 130
    stopped = correction("cancel", "p", shown["correction"])
    assert (stopped.code, "ended" in stopped.err) == (2, True)
    for token in ("", "slt_nonsense"):
        assert correction("show", "p", token=token).code == 2
    assert correction("preview", "p", "--reason", "bot", "--rule", "From jane@ex.org.", "--channel", "site").code == 2
    assert ledger(home, "fsck", "--deep").code == 0
