"""Asking for what is served from memory: which petitions moved, and all that is shown of them.

Shell. Every answer is one statement, so that it is true at the one position that it names. This module must never say
how an answer looks: the porch does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import orjson

from ledger.connecting import Connection
from ledger.sql_files import queries

SQL: Final = queries("projections", "sql/queries/serving.sql")


@dataclass(frozen=True, slots=True)
class Moved:
    """A petition as its last folded event left it. `number` is the position of its first event."""

    id: str
    number: int
    acceptance: str
    goals: tuple[int, ...]
    count: int
    position: int
    recorded: datetime


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed above a position, and where the projections, the log and the newest published tree head are.

    `behind_since` is when the first event that is not folded was recorded, None where all are; `unsealed_since`
    likewise of one that no published head covers; `sealed` is that head's size (0: there is none); `now` the server's
    clock.
    """

    build: int
    checkpoint: int
    head: int
    now: datetime
    behind_since: datetime | None
    sealed: int
    sealed_at: datetime | None
    unsealed_since: datetime | None
    moved: tuple[Moved, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """All that is shown of a petition at `position`. Tallies are of what stands, by value; those of nothing left out.

    `answers` has a tally a question, None where the petition asks nothing. `organisations` are (name, reference).
    """

    id: str
    title: str
    text: str | None
    addressee: str
    basis: str
    provenance: str
    timezone: str
    acceptance: str
    status: str | None
    goals: tuple[int, ...]
    opened_at: datetime
    closed_at: datetime | None
    created_at: datetime
    updated_at: datetime
    count: int
    position: int
    recorded: datetime
    countries: dict[str, int]
    regions: dict[str, int]
    answers: dict[str, dict[str, int]] | None
    organisations: tuple[tuple[str, str | None], ...]
    organisation_count: int


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the log's leaves: positions in (after, upto]. `full`: nothing can ever be added to it."""

    petition: int | None
    after: int
    upto: int
    leaf_hash: bytes
    full: bool


async def changes(connection: Connection, after: int, limit: int, *, patience: float | None = None) -> Changes:
    """The petitions that moved after a position, at most `limit` of them, those that moved first before the others."""
    rows = await connection.fetch(SQL["changed"], after, limit, timeout=patience)
    told = rows[0]
    return Changes(
        build=told["build"],
        checkpoint=told["checkpoint"],
        head=told["head"],
        now=told["now"],
        behind_since=told["behind_since"],
        sealed=told["sealed"] or 0,
        sealed_at=told["sealed_at"],
        unsealed_since=told["unsealed_since"],
        moved=tuple(
            Moved(
                row["id"],
                row["first_position"],
                row["acceptance"],
                _ladder(row["goals"]),
                row["count"],
                row["position"],
                row["recorded"],
            )
            for row in rows
            if row["id"] is not None
        ),
    )


async def petitions(connection: Connection, ids: Sequence[str]) -> tuple[int, dict[str, Shown]]:
    """What is shown of these petitions, by id, and the checkpoint at which it is true (0 where there is none)."""
    rows = await connection.fetch(SQL["petitions"], list(ids))
    return (rows[0]["checkpoint"] if rows else 0), {row["id"]: _shown(row) for row in rows}


async def page(connection: Connection, petition: int | None, after: int, limit: int) -> Page | None:
    """Where the page of the log, or of a petition's events, after a position ends; None past the end."""
    if petition is None:
        last = await connection.fetchrow(SQL["last_of_page"], after, limit)
        if last is None:
            return None
        # Positions are dense: a page of the whole log is full where it ends at its bound.
        full = last["position"] == after + limit
    else:
        last = await connection.fetchrow(SQL["last_of_petitions_page"], petition, after, limit)
        if last is None or last["position"] is None:
            return None
        full = last["events"] == limit
    return Page(petition, after, last["position"], last["leaf_hash"], full)


async def leaves(connection: Connection, page: Page, after: int, limit: int) -> tuple[int, list[bytes]]:
    """The stored bytes of a page's next events, at most so many, oldest first, and the position of the last of them."""
    if page.petition is None:
        rows = await connection.fetch(SQL["leaves"], after, page.upto, limit)
    else:
        rows = await connection.fetch(SQL["leaves_of_petition"], after, page.upto, limit, page.petition)
    return (rows[-1]["position"] if rows else page.upto), [row["leaf"] for row in rows]


async def acted(connection: Connection, petition: int, position: int) -> dict[str, tuple[int, int]]:
    """How many signatures each correction has changed by a position, and its net effect, by correction."""
    rows = await connection.fetch(SQL["acted"], petition, position)
    return {row["correction"]: (row["signatures"], row["net"]) for row in rows}


async def rules(connection: Connection, corrections: list[str]) -> dict[str, str]:
    """The public rule in words of each of these corrections that has one: it stands beside the log, which says its
    SHA-256."""
    rows = await connection.fetch(SQL["rules"], corrections) if corrections else []
    return {str(row["correction"]): row["rule"] for row in rows}


@lru_cache(maxsize=1024)
def _ladder(text: str) -> tuple[int, ...]:
    """The rungs of a ladder; petitions with the same one share it."""
    return tuple(orjson.loads(text))


def _shown(row: Any) -> Shown:
    tallies: dict[str, dict[str, int]] = {}
    for dimension, value, standing in orjson.loads(row["tally"]):
        tallies.setdefault(dimension, {})[value] = standing
    questions = None if row["questions"] is None else orjson.loads(row["questions"])
    answers: dict[str, dict[str, int]] | None = None
    if questions is not None:
        answers = {
            question: {**dict.fromkeys(choices, 0), **tallies.get(f"answer:{question}", {})}
            for question, choices in sorted(questions.items())
        }
    return Shown(
        id=row["id"],
        title=row["title"],
        text=row["text"],
        addressee=row["addressee"],
        basis=row["basis"],
        provenance=row["provenance"],
        timezone=row["timezone"],
        acceptance=row["acceptance"],
        status=row["status"],
        goals=_ladder(row["goals"]),
        opened_at=row["opened_at"],
        closed_at=row["closed_at"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        count=row["count"],
        position=row["position"],
        recorded=row["recorded"],
        countries=tallies.get("country", {}),
        regions=tallies.get("region", {}),
        answers=answers,
        organisations=tuple((name, reference) for name, reference in orjson.loads(row["organisations"])),
        organisation_count=tallies.get("kind", {}).get("organisation", 0),
    )
