"""Where a command works: which database, which key, and what it says when it cannot work there."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.database import DATABASE, LOGIN
from service.embedded.server import Server
from service.embedded.sharing import shared
from tests.service.commands import BOUND, PROGRAM, ROOT, environment, interpreted, ledger

pytestmark = pytest.mark.database

LOG = "at,kind,signer\n2024-01-01T10:00Z,recorded,A\n2024-01-01T11:00Z,recorded,B\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.csv"
    path.write_text(LOG)
    return path


@pytest.fixture
def running(home: Path) -> Iterator[Server]:
    """A ledger in `home`, its server running for as long as the test does."""
    with shared(home) as server:
        assert ledger(home, "migrate").code == 0
        yield server


def test_the_product_s_own_login_can_do_every_command(home: Path, running: Server, log: Path) -> None:
    """If DATABASE_URL is a login that owns nothing and may take the roles, then every command works by it."""
    url = running.dsn(DATABASE, LOGIN)
    for command in (
        ["migrate"],
        ["import", "events", str(log), "--petition", "p"],
        ["count", "p"],
        ["timeline", "p"],
        ["petition", "accept", "p", "closed"],
        ["rebuild"],
        ["fsck", "--deep"],
        ["token", "create", "--role", "site", "--name", "n"],
        ["token", "list"],
    ):
        ended = ledger(home, *command, DATABASE_URL=url)
        assert ended.code == 0, (command, ended.err)


def test_a_vault_key_that_is_lost_is_not_replaced(home: Path, log: Path) -> None:
    """If the vault key is gone, or another, then nothing is imported under a new one: nobody counts twice."""
    imported = ("import", "events", str(log), "--petition", "p")
    assert ledger(home, *imported).code == 0
    key = home / "keys" / "vault.key"
    kept = key.read_bytes()
    key.unlink()
    lost = ledger(home, *imported)
    assert (lost.code, key.exists()) == (3, False)
    assert "vault key" in lost.err
    key.write_bytes(bytes(32))
    key.chmod(0o600)
    assert ledger(home, *imported).code == 3
    elsewhere = ledger(home, *imported, LEDGER_VAULT_KEY_FILE=str(home / "mistyped" / "key"))
    assert (elsewhere.code, (home / "mistyped").exists()) == (3, False)
    key.write_bytes(kept)
    assert ledger(home, *imported).code == 0
    assert json.loads(ledger(home, "count", "p", "--json").out)["signature_count"] == 2


def test_a_directory_without_a_ledger_is_left_empty(home: Path) -> None:
    """If a command that only reads finds a directory and no ledger in it, then it exits 3 and makes nothing."""
    for command in (["count", "p"], ["fsck"], ["replay"], ["token", "list"]):
        assert ledger(home, *command).code == 3
    assert list(home.iterdir()) == []


def test_a_url_that_is_none_is_not_repeated(home: Path) -> None:
    """If DATABASE_URL cannot be read, then the command exits 3 and says nothing of what is in it."""
    ended = ledger(home, "count", "p", DATABASE_URL="postgresql://u:se/kret@h/x")
    assert ended.code == 3
    assert "kret" not in ended.out + ended.err
    assert "Traceback" not in ended.err


def test_what_is_printed_is_utf_8_whatever_the_locale(home: Path) -> None:
    """If the locale knows only ASCII, then a title with an umlaut is printed all the same."""
    assert ledger(home, "petition", "open", "p", "--title", "Über alles").code == 0
    told = interpreted(
        home, "count", "p", PYTHONIOENCODING="ascii", LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0"
    )
    assert told.code == 0
    assert "Über" in told.lines[0]


def test_a_command_without_standard_error_does_its_work(home: Path) -> None:
    """If standard error is closed, then the command still does its work and says it on standard output."""
    done = subprocess.run(
        ["sh", "-c", f'"{sys.executable}" -c "{PROGRAM}" petition open p 2>&-'],
        env=environment(home), cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=BOUND, check=False,
    )  # fmt: skip
    assert (done.returncode, "position 1" in done.stdout) == (0, True)


def test_a_terminated_import_leaves_its_server_stopped(home: Path, tmp_path: Path) -> None:
    """If an import is told to stop, then it exits as terminated, stops its server, and is finished by the next one."""
    long = tmp_path / "long.csv"
    long.write_text("at,kind,signer\n" + "".join(f"2024-01-01T10:00Z,recorded,S{n}\n" for n in range(40_000)))
    command = ["import", "events", str(long), "--petition", "p"]
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *command],
        env=environment(home), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as importing:  # fmt: skip
        wait_for_events(home)
        importing.send_signal(signal.SIGTERM)
        importing.communicate(timeout=BOUND)
    assert importing.returncode == 128 + signal.SIGTERM
    with shared(home):
        again = json.loads(ledger(home, *command, "--json").out)
    assert again["already_there"] + again["appended"] == 40_000
    assert again["already_there"] > 0


def wait_for_events(home: Path) -> None:
    """Until the first events of an import are committed."""
    with shared(home):
        while json.loads(ledger(home, "replay").out or '{"as_of_position": 0}')["as_of_position"] < 2:
            pass


@pytest.mark.parametrize("zone", ["localtime", "posixrules", "../etc/passwd", "right/UTC"])
def test_a_zone_that_depends_on_the_machine_is_refused(home: Path, zone: str) -> None:
    """If a zone's name means something else on another machine, or nothing, then no petition is opened with it."""
    assert ledger(home, "petition", "open", "p", "--timezone", zone).code == 2


def test_a_token_for_a_petition_that_is_not_there_is_not_made(home: Path) -> None:
    """If a token is asked for an unknown petition, then the call is wrong, and there is none."""
    ended = ledger(home, "token", "create", "--role", "site", "--name", "n", "--petition", "nosuch")
    assert (ended.code, ended.out) == (2, "")
    assert json.loads(ledger(home, "token", "list", "--json").out) == {"tokens": []}


def test_root_leaves_a_user_her_own_keys(home: Path, log: Path) -> None:
    """If root imports in a home that belongs to somebody, then the key it makes belongs to her."""
    if os.geteuid() != 0:
        pytest.skip("NOT RUN: only root can try what root leaves behind")
    user = 1234
    os.chown(home, user, user)
    assert ledger(home, "import", "events", str(log), "--petition", "p").code == 0
    assert {(home / name).stat().st_uid for name in ("keys", "keys/vault.key")} == {user}
    shutil.rmtree(home / "keys")
