"""A home with the demonstration loaded, shared by the tests that only read it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from service.embedded.sharing import shared
from tests.conftest import home_for_a_server
from tests.service.commands import Ended, ledger


@dataclass(frozen=True)
class Demonstration:
    """Where it lies, and what loading it said."""

    home: Path
    said: Ended

    def ledger(self, *arguments: str) -> Ended:
        return ledger(self.home, *arguments)


@pytest.fixture(scope="session")
def demonstration() -> Iterator[Demonstration]:
    """`ledger demo --once` in a fresh home. Its server is kept running, so that each command is quick."""
    with home_for_a_server() as home, shared(home):
        yield Demonstration(home, ledger(home, "demo", "--once"))


@pytest.fixture
def home() -> Iterator[Path]:
    """A fresh LEDGER_HOME."""
    with home_for_a_server() as empty:
        yield empty
