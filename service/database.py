"""Which database: the one that DATABASE_URL names, or the embedded one of LEDGER_HOME; brought up to date on demand."""

from typing import Final

from ledger.migrations import LEDGER

PROJECTIONS: Final = "projections.sql.migrations"
MIGRATIONS: Final = (LEDGER, PROJECTIONS)
"""The packages whose migrations make up the schema, in order."""
