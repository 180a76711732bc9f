"""Asking whether a claim is true.

Shell; `projections.claims` says what a log proves. This module must never judge: it fetches the few events that
prove the bounds.
"""

from datetime import datetime
from typing import Any, Final

from ledger.connecting import Connection
from ledger.sql_files import queries
from projections.asking.petitions import Head, head_of_log, id_of, said
from projections.claims import (
    NOTHING_PROVED,
    Bounds,
    Claim,
    Proof,
    Window,
    claim_view,
    exactly_seen,
    itemised_now,
    passed,
    seen_between,
    window_of,
)
from schemas.instants import parse_instant
from schemas.views import ClaimView

SQL: Final = queries("projections", "sql/queries/claims.sql")


async def judge(connection: Connection, petition: int, claim: Claim) -> ClaimView:
    """The verdict on a claim, as now known, with bounds and evidence."""
    head = await head_of_log(connection)
    window = await _window(connection, petition, claim, head)
    bounds = NOTHING_PROVED
    if window is not None:
        if await said(connection, petition, head.position, "basis") == "itemised":
            bounds = await _itemised(connection, petition, claim.count, window, head)
        else:
            bounds = await _observed(connection, petition, window, head)
    return claim_view(await id_of(connection, petition), claim, window, bounds)


async def _window(connection: Connection, petition: int, claim: Claim, head: Head) -> Window | None:
    opens_at: datetime | None = None
    first: datetime | None = None
    if claim.within is not None:
        stated = await said(connection, petition, head.position, "opens_at")
        if stated is not None:
            opens_at = parse_instant(stated)
        else:
            first = await connection.fetchval(SQL["first_counted"], petition, head.position)
    return window_of(claim, opens_at, first)


async def _itemised(connection: Connection, petition: int, count: int, window: Window, head: Head) -> Bounds:
    if window.end is None:
        return itemised_now(_proof(await connection.fetchrow(SQL["last_counted"], petition, head.position)))
    rows = await connection.fetch(SQL["itemised"], petition, head.position, window.start, window.end, count)
    found = {row["proves"]: row for row in rows}
    lower, upper, reached = found["lower"], found["upper"], found.get("reached")
    bounds = Bounds(
        lower=max(lower["least"], 0),
        upper=max(upper["most"], 0),
        lower_by=_proof(lower),
        upper_by=_proof(upper),
        reached_by=_proof(reached),
    )
    return passed(bounds, window, head.now)


async def _observed(connection: Connection, petition: int, window: Window, head: Head) -> Bounds:
    if window.end is None:
        last = _proof(await connection.fetchrow(SQL["last_observation"], petition, head.position))
        return NOTHING_PROVED if last is None else exactly_seen(last, last)
    start = window.end if window.start is None else window.start
    rows = await connection.fetch(SQL["observed"], petition, head.position, start, window.end)
    found = {row["proves"]: _proof(row) for row in rows}
    highest, least = found.get("highest"), found.get("least")
    if window.start is None and highest is not None and least is not None:
        return exactly_seen(least, highest)
    return seen_between(highest, found.get("rung") if window.end <= head.now else None)


def _proof(row: Any) -> Proof | None:
    if row is None or row["position"] is None:
        return None
    return Proof(row["position"], row["effective"], not row["undated"], max(row["count"], 0))
