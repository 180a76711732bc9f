"""Correcting: finds the set of a correction, tells its effect, and makes the command that opens it.

The same for HTTP and for the command line. What is found is frozen as it was read: what matches later needs a new
correction, and who is no longer eligible when her turn comes is skipped. This module must never tell anybody but admins
what a condition searched for, and keeps nothing at all of a name that was searched for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import orjson
from uuid_utils.compat import uuid7

from ledger.connecting import Connection
from ledger.correction import digest
from ledger.email_policy import EmailRefused
from ledger.identity import name_token
from ledger.sql_files import queries
from ledger.writer import Writer
from projections.asking.petitions import number_of, said
from schemas.commands import Accepted, ContinueCorrection, OpenCorrection, Submission
from schemas.events import CorrectionKind, Reason
from schemas.instants import format_instant
from schemas.requests import PreviewRequest, ReversalRequest, Where
from service.signing import Rules

SAMPLED: Final = 20
LISTED: Final = 1_000
"""Corrections, and skipped members of one, that are shown at most."""
SYSTEM: Final = "system"
LISTING: Final = ("signatures",)
"""The kind of condition by which a list chose its set."""
REVERSAL: Final = ("reversal",)

SQL: Final = queries("service", "sql/correcting.sql")


class ChoiceRefused(ValueError):
    """The set cannot be found as it is asked for. The text is a sentence for a person.

    ChoiceRefused
    |-- NoSuchCorrection  what is to be reversed is none of the petition
    `-- NoSuchPetition
    """

    def __init__(self, sentence: str, pointer: str = "") -> None:
        super().__init__(sentence)
        self.pointer = pointer
        """The member of the request that it is about."""


class NoSuchCorrection(ChoiceRefused):
    """The petition has no such correction."""


class NoSuchPetition(ChoiceRefused):
    """There is no petition of this id."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A set as it was found: its signatures by position, and which of them would move the count."""

    kind: CorrectionKind
    rows: Sequence[Any]
    digest: str
    conditions: tuple[str, ...]
    searched: str | None = None
    lifts: UUID | None = None
    reverses: UUID | None = None

    @property
    def signatures(self) -> tuple[UUID, ...]:
        return tuple(row["signature"] for row in self.rows)


async def choose(admin: Connection, rules: Rules, request: PreviewRequest) -> Chosen:
    """The set that a request is over. The connection is in the role `ledger_admin`. Raises ChoiceRefused."""
    where, listed = request.where, request.signatures
    if listed is not None and await admin.fetchval(SQL["signatures_of"], rules.petition, list(listed)) < len(listed):
        raise ChoiceRefused("The list names a signature that the petition does not have.", "/signatures")
    if request.lifts is not None:
        await _known(admin, rules.petition, request.lifts)
    recorded, confirmed = (None, None) if where is None else (where.recorded_between, where.confirmed_between)
    area = None if where is None else where.area
    rows = await admin.fetch(
        SQL["matching"],
        rules.petition,
        request.kind,
        request.lifts,
        None if listed is None else list(listed),
        None if where is None else where.network,
        None if where is None or where.email_domain is None else _domain(rules, where.email_domain),
        *(recorded or (None, None)),
        None if area is None else area.country,
        None if area is None else area.region,
        None if where is None else where.channel,
        None if where is None or where.name_equals is None else _name(rules, where.name_equals),
        *(confirmed or (None, None)),
    )
    conditions = LISTING if where is None else tuple(where.said())
    return Chosen(request.kind, rows, _digest(rows), conditions, _searched(rules, where), request.lifts)


async def choose_applied(admin: Connection, petition: str, correction: UUID) -> Chosen:
    """What a reversal is over: exactly what the correction applied. Raises ChoiceRefused."""
    of = await _known(admin, petition, correction)
    rows = await admin.fetch(SQL["applied"], petition, correction)
    if of["kind"] == "invalidate":
        return Chosen("reinstate", rows, _digest(rows), REVERSAL, lifts=correction, reverses=correction)
    return Chosen("invalidate", rows, _digest(rows), REVERSAL, reverses=correction)


async def told(admin: Connection, reader: Connection, petition: str, chosen: Chosen) -> dict[str, Any]:
    """Effect and sample of a set. The connections are in the roles `ledger_admin` and `ledger_reader`."""
    number = await number_of(reader, petition)
    if number is None:
        raise NoSuchPetition("There is no petition of this id.")
    last = await reader.fetchrow(SQL["last_event"], number)
    assert last is not None
    moved = sum(row["moves"] for row in chosen.rows)
    before = last["count_after"]
    after = max(before - moved, 0) if chosen.kind == "invalidate" else before + moved
    rungs = await said(reader, number, last["position"], "milestones") or []
    published = await admin.fetch(SQL["published"], petition, chosen.kind, chosen.lifts, list(chosen.signatures))
    return {
        "effect": {
            "count": {"before": before, "after": after},
            "milestones": [rung for rung in rungs if min(before, after) < rung <= max(before, after)],
            "published": [dict(row.items()) for row in published],
        },
        "sample": [
            {
                "signature": str(row["signature"]),
                "position": row["position"],
                "recorded_at": format_instant(row["recorded"]),
                "state": row["state"],
            }
            for row in _spread(chosen.rows)
        ],
    }


def preview(chosen: Chosen, effect: dict[str, Any]) -> dict[str, Any]:
    """What a preview answers."""
    return {"matched": len(chosen.rows), "digest": chosen.digest, **effect}


def opening(
    petition: str,
    chosen: Chosen,
    request: PreviewRequest | ReversalRequest,
    effect: dict[str, Any],
    expected: str | None = None,
) -> OpenCorrection:
    """The command that opens a correction over this set."""
    reason: Reason = request.reason
    return OpenCorrection(
        petition=petition,
        correction=uuid7(),
        kind=chosen.kind,
        reason=reason,
        rule=request.rule,
        signatures=chosen.signatures,
        digest=chosen.digest,
        conditions=chosen.conditions,
        searched=chosen.searched,
        expected=expected,
        lifts=chosen.lifts,
        reverses=chosen.reverses,
        told=effect,
    )


async def shown(admin: Connection, petition: str, state: str | None = None) -> list[dict[str, Any]]:
    """The corrections of a petition, newest first, or those in one state."""
    return [_shown(row) for row in await admin.fetch(SQL["corrections"], petition, state, None, LISTED)]


async def one_shown(admin: Connection, petition: str, correction: UUID) -> dict[str, Any]:
    """One correction, with who was skipped. Raises NoSuchCorrection."""
    row = await _known(admin, petition, correction)
    skipped = await admin.fetch(SQL["skipped"], correction, LISTED)
    return {**_shown(row), "skipped_signatures": [str(each["signature"]) for each in skipped]}


async def run_to_its_end(writer: Writer, petition: str, correction: UUID) -> None:
    """Run a correction here, for as long as it runs. The writer is in the role `ledger_admin`."""
    command = ContinueCorrection(petition, correction)
    while isinstance(await writer.submit(Submission(command, SYSTEM)), Accepted):
        pass


async def _known(admin: Connection, petition: str, correction: UUID) -> Any:
    row = await admin.fetchrow(SQL["corrections"], petition, None, correction, 1)
    if row is None:
        raise NoSuchCorrection("The petition has no such correction.")
    return row


def _digest(rows: Sequence[Any]) -> str:
    return digest([row["signature"] for row in rows])


def _shown(row: Any) -> dict[str, Any]:
    return {
        "correction": str(row["correction"]),
        "kind": row["kind"],
        "reason": row["reason"],
        "rule": row["rule"],
        "state": row["state"],
        "approval": row["approval"],
        "proposed_by": row["actor"],
        "approved_by": row["approver"],
        "opened_at": format_instant(row["opened"]),
        "matched": row["matched"],
        "applied": row["applied"],
        "skipped": row["skipped"],
        "digest": row["digest"],
        "where": None if row["conditions"] is None else orjson.loads(row["conditions"]),
        **{name: None if row[name] is None else str(row[name]) for name in ("lifts", "reverses", "reversed_by")},
    }


def _searched(rules: Rules, where: Where | None) -> str | None:
    """What the conditions searched for, as admins will see it. Of a name, only that one was searched for."""
    if where is None:
        return None
    searched = where.said()
    if where.email_domain is not None:
        searched["email_domain"] = _domain(rules, where.email_domain)
    if where.name_equals is not None:
        searched["name_equals"] = None
    return orjson.dumps(searched, option=orjson.OPT_SORT_KEYS).decode()


def _domain(rules: Rules, domain: str) -> str:
    """A domain in the one form of the petition's policy. Raises ChoiceRefused."""
    try:
        return rules.policy.mailbox_key(f"x@{domain}").rpartition("@")[2]
    except EmailRefused:
        pass  # refused below, outside the handler: what is raised must not travel on
    raise ChoiceRefused("is a domain of the public internet", "/where/email_domain")


def _name(rules: Rules, name: str) -> bytes:
    token = name_token(rules.key, name)
    if token is None:
        raise ChoiceRefused("is not blank", "/where/name_equals")
    return token


def _spread(rows: Sequence[Any]) -> list[Any]:
    """Up to SAMPLED of these, spread evenly, the first and the last among them."""
    if len(rows) <= SAMPLED:
        return list(rows)
    return [rows[nth * (len(rows) - 1) // (SAMPLED - 1)] for nth in range(SAMPLED)]
