"""A ledger with a petition and a credential, for services to serve."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from service.embedded.sharing import shared
from tests.conftest import home_for_a_server
from tests.service.commands import ledger

PETITION = "save-the-oak"


@dataclass(frozen=True)
class Kept:
    """A home whose petition `save-the-oak` a site may sign."""

    home: Path
    authorization: str

    def signed(self, key: str) -> dict[str, str]:
        """The headers of a signing with this idempotency key."""
        return {"Authorization": self.authorization, "Idempotency-Key": key}


def make(home: Path) -> Kept:
    """Open the petition, and make the credential."""
    opened = ledger(home, "petition", "open", PETITION)
    assert opened.code == 0, opened.err
    made = ledger(home, "token", "create", "--role", "site", "--name", "a site")
    assert made.code == 0, made.err
    return Kept(home, f"Bearer {made.out.strip()}")


@pytest.fixture(scope="session")
def kept() -> Iterator[Kept]:
    """One whose server runs for as long as the tests do, so that each service starts quickly."""
    with home_for_a_server() as home, shared(home):
        yield make(home)


@pytest.fixture
def own() -> Iterator[Kept]:
    """One that only the service of the test uses: what it kills, and leaves, is its own."""
    with home_for_a_server() as home:
        with shared(home):
            kept = make(home)
        yield kept
