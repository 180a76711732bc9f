"""What every query needs first: the head, a petition's id, what it says of itself.

Shell. A query reads the head once and bounds all else by it: events never change, so that its parts agree without a
transaction around them. This module must never read a projection for anything
but where a petition begins.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from ledger.connecting import Connection
from ledger.sql_files import queries

SQL: Final = queries("projections", "sql/queries/counting.sql")


@dataclass(frozen=True, slots=True)
class Head:
    """How long the log is (0: empty), and what the server's clock showed."""

    position: int
    now: datetime


async def head_of_log(connection: Connection) -> Head:
    """The head."""
    row = await connection.fetchrow(SQL["head"])
    assert row is not None
    return Head(row["position"], row["now"])


async def number_of(connection: Connection, id: str) -> int | None:
    """The number of the petition of this id, by which every query names it; None where there is none.

    Found as soon as it is recorded: above the checkpoint of the projection the log itself is read.
    """
    number = await connection.fetchval(SQL["number_of"], id)
    return None if number is None else int(number)


async def id_of(connection: Connection, petition: int) -> str:
    """The id of the petition whose first event is at this position. There must be one."""
    id = await connection.fetchval(SQL["id_of"], petition)
    assert isinstance(id, str)
    return id


async def said(connection: Connection, petition: int, position: int, member: str) -> Any:
    """What the petition said last, by this position, in this member of its opening or a revision; None: nothing yet."""
    value = await connection.fetchval(SQL["said"], petition, position, member)
    return None if value is None else orjson.loads(value)
