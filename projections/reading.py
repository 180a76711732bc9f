"""Reading the projections out of the database, as the very rows that the pure folds give.

This module must never fold, and never change a row: it turns a database's types into the values of canonical JSON.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg
import orjson

from ledger.sql_files import queries
from projections.projector import Connection
from schemas.ids import Position
from schemas.instants import format_instant

_MANY: Final = 500
"""Rows that take some milliseconds to turn."""
_JSON = frozenset({"goals", "milestones", "questions", "public_fields", "detail"})
_KEY = {
    "petitions": ("id",),
    "tally": ("petition", "dimension", "value"),
    "timeline": ("petition", "position", "ordinal"),
}


async def rows(
    connection: Connection, name: str, petition: str | None = None, *, sealed: bool = False
) -> tuple[Position, list[dict[str, Any]]]:
    """The checkpoint of a projection and the rows that are true at it, or those of one petition, in the order in which
    the folds give them. One statement, so one build: the active one, or the one that moves from seal to seal. Where
    there is no such build, it is as if it were at the beginning.
    """
    found = await connection.fetch(queries("projections", f"sql/{name}.sql")["rows"], petition, sealed)
    if not found:
        return Position(0), []
    # Beside the event loop, where they are many: whoever else it serves does not wait for them.
    shaped = _shaped(name, found) if len(found) < _MANY else await asyncio.to_thread(_shaped, name, found)
    return Position(found[0]["checkpoint"]), shaped


async def as_corrected(connection: Connection, petition: str) -> dict[str, Any] | None:
    """One petition's timeline and count without what is held at the checkpoint: what `projections.as_corrected` gives
    as of it. None where the checkpoint has not come to the petition's first event.
    """
    found = await connection.fetch(queries("projections", "sql/as_corrected.sql")["as_corrected"], petition)
    if not found:
        return None
    rows = [{column: _value(column, value) for column, value in row.items()} for row in found]
    told = {name: rows[0][f"whole_{name}"] for name in ("count", "position")}
    for row in rows:
        del row["whole_count"], row["whole_position"]
    rows.sort(key=lambda row: (row["position"], row["ordinal"]))
    return {
        "petition": petition,
        "count": told["count"],
        "as_of_position": told["position"],
        "timeline": rows,
    }


def _shaped(name: str, found: Sequence[asyncpg.Record]) -> list[dict[str, Any]]:
    key = _KEY[name]
    rows = [
        {column: _value(column, value) for column, value in row.items() if column != "checkpoint"}
        for row in found
        if row[key[0]] is not None
    ]
    return sorted(rows, key=lambda row: [row[column] for column in key])


def _value(column: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return format_instant(value)
    if column in _JSON and isinstance(value, str):
        return orjson.loads(value)
    return value
