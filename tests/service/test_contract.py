"""The OpenAPI document is true: schemathesis asks a served ledger whatever the document allows, and what it forbids.

CONTRACT_EXAMPLES is how many examples an operation gets: few by default, 500 with `make contract`. How schemathesis is
configured stands in contract.toml, its exceptions in contract_hooks.py, each with its reason.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from service.embedded.sharing import shared
from tests.conftest import home_for_a_server
from tests.service.commands import BOUND, PROGRAM, ROOT, environment, ledger
from tests.service.conftest import Demonstration

pytestmark = pytest.mark.database

HERE = Path(__file__).parent
EXAMPLES = int(os.environ.get("CONTRACT_EXAMPLES", "10"))
LONGEST = 600 + 6 * EXAMPLES  # seconds; a run that takes longer hangs


@dataclass(frozen=True)
class Site:
    """A served ledger with petitions in every state, signatures in every state, and two credentials."""

    address: str
    tokens: dict[str, str] = field(repr=False)
    named: dict[str, str]
    """Ids of signatures, by their states, and of a correction: what contract.toml names."""

    def post(self, path: str, body: Any, key: str, role: str = "site") -> Any:
        asked = Request(
            self.address + path,
            json.dumps(body).encode(),
            {
                "Authorization": f"Bearer {self.tokens[role]}",
                "Content-Type": "application/json",
                "Idempotency-Key": key,
            },
        )
        with urlopen(asked, timeout=BOUND) as answer:
            return json.load(answer)


@pytest.fixture(scope="module")
def filled() -> Iterator[Demonstration]:
    """The demonstration in a home of its own: what is done to it here, no other test may see."""
    with home_for_a_server() as home, shared(home):
        yield Demonstration(home, ledger(home, "demo", "--once"))


@pytest.fixture(scope="module")
def site(filled: Demonstration) -> Iterator[Site]:
    """The demonstration and three petitions more, served on a free port."""
    opened = (
        ("petition", "open", "harbour"),
        ("petition", "open", "harbour-confirmed", "--confirmation", "required"),
        ("petition", "open", "harbour-closed"),
        ("petition", "accept", "harbour-closed", "closed"),
    )
    for command in opened:
        assert filled.ledger(*command).code == 0
    tokens = {}
    for role in ("site", "admin", "auditor", "privacy"):
        made = filled.ledger("token", "create", "--role", role, "--name", "contract")
        tokens[role] = made.out.strip()
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "serve", "--port", "0"],
        env=environment(filled.home), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as serving:  # fmt: skip
        try:
            assert serving.stdout is not None
            address = serving.stdout.readline().split()[-1]
            site = Site(address, tokens, {})
            for name, petition in (
                ("PENDING", "harbour-confirmed"),
                ("STANDING", "harbour"),
                ("WITHDRAWN", "harbour"),
                ("INVALIDATED", "harbour"),
            ):
                path = f"/petitions/{petition}/signatures"
                site.named[name] = site.post(path, {"signer": {"ref": name}}, name)["signature"]
            site.post(f"/petitions/harbour/signatures/{site.named['WITHDRAWN']}/withdrawal", {}, "withdrawal")
            held = {"reason": "bot", "rule": "A trial.", "kind": "invalidate"}
            opened = site.post(
                "/petitions/harbour/corrections", held | {"signatures": [site.named["INVALIDATED"]]}, "held", "admin"
            )
            site.named["CORRECTION"] = opened["correction"]
            yield site
        finally:
            serving.terminate()
            serving.wait(timeout=BOUND)
    assert serving.returncode == 0


def test_nothing_is_found(site: Site, tmp_path: Path) -> None:
    """If every operation is asked what the document allows and what it forbids, then each answers as it says."""
    with urlopen(f"{site.address}/openapi.json", timeout=BOUND) as answer:
        document = json.load(answer)
    # From a file: the operation that a document was loaded from would be left out.
    (tmp_path / "openapi.json").write_text(json.dumps(document), encoding="utf-8")
    config = (HERE / "contract.toml").read_text(encoding="utf-8")
    for name, id in site.named.items():
        config = config.replace(f"${{{name}}}", id)
    (tmp_path / "schemathesis.toml").write_text(config, encoding="utf-8")
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(tmp_path / "schemathesis.toml")),
            *("run", "openapi.json", "--url", site.address, "--no-color", "--max-examples", str(EXAMPLES)),
        ],
        env={
            **os.environ,
            **{f"{role.upper()}_TOKEN": token for role, token in site.tokens.items()},
            "SCHEMATHESIS_HOOKS": "tests.service.contract_hooks",
            "PYTHONPATH": str(ROOT),
        },
        cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LONGEST, check=False,
    )  # fmt: skip
    told = ran.stdout + ran.stderr
    assert ran.returncode == 0, told
    operations, cases = re.search(r"Tested: (\d+)", told), re.search(r"(\d+) generated", told)
    described = sum(len(methods) for methods in document["paths"].values())
    assert operations is not None, told
    assert int(operations[1]) == described, told
    assert cases is not None, told
    assert int(cases[1]) >= described * min(EXAMPLES, 10), told
    print(told[told.rindex("= SUMMARY =") :])
