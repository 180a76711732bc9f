"""Where other people's programs are found. Where they are not, every test here says so, and why."""

import os
from pathlib import Path

import pytest

from tests.interop.clients import MADE_HERE, Clients, why_not


@pytest.fixture(scope="session")
def clients() -> Clients:
    """The environment that LEDGER_INTEROP_PYTHON names, or that `make interop` made."""
    if given := os.environ.get("LEDGER_INTEROP_PYTHON"):
        if (reason := why_not(Path(given))) is not None:
            pytest.fail(f"LEDGER_INTEROP_PYTHON: {reason}", pytrace=False)
        return Clients(Path(given))
    if not MADE_HERE.exists():
        pytest.skip("NOT RUN: aics-tlog and aics-witness need Python 3.12 or newer: `make interop` makes .venv-interop")
    if (reason := why_not(MADE_HERE)) is not None:
        pytest.skip(f"NOT RUN: {reason}: `make interop` makes it anew")
    return Clients(MADE_HERE)
