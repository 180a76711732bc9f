"""What was declared of a petition, asked of the log itself.

Shell. One statement, so that the number of declarations and what they say agree. This module must never count a
signature or a correction: a declaration is about the petition as such.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from ledger.connecting import Connection
from ledger.sql_files import queries

SQL: Final = queries("projections", "sql/queries/declarations.sql")


@dataclass(frozen=True, slots=True)
class Declaration:
    """One declaration: its place, its effective and recorded time, and the `data` of its event."""

    position: int
    type: str
    at: datetime
    recorded_at: datetime
    data: dict[str, Any]


async def declarations(connection: Connection, petition: int) -> list[Declaration]:
    """Every declaration of the petition of this number, oldest first. The connection is in the role `ledger_reader`."""
    return [
        Declaration(row["position"], row["type"], row["effective"], row["recorded"], orjson.loads(row["data"]))
        for row in await connection.fetch(SQL["declarations"], petition)
    ]


def text_version(declared: list[Declaration]) -> int:
    """The version of the petition's present text: the last that a revision stated, else 1."""
    return next((int(each.data["text_version"]) for each in reversed(declared) if "text_version" in each.data), 1)
