"""What the tests of the event store start from."""

import pytest

from schemas.commands import Accepted
from tests.conftest import LedgerDatabase
from tests.ledger.submissions import by_admin, opening
from tests.ledger.writing import RUN, writer


@pytest.fixture
async def petition(ledger_database: LedgerDatabase) -> LedgerDatabase:
    """A ledger with one petition, open, itemised and without confirmation."""
    async with writer(ledger_database, RUN) as admin:
        assert isinstance(await admin.submit(by_admin(opening())), Accepted)
    return ledger_database
