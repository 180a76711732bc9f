"""A petition as JSON, in the form that readers of UK petition JSON know, from what its projections hold.

Pure. A number never stands without the position that it is true at, and its breakdowns sum to it: what has no area is
counted as Unknown. This module must never leave a signature out of a breakdown, and never show a person.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

import orjson

from projections.asking.serving import Shown
from projections.timeline import Row
from schemas.campaign_views import (
    ConstituencyCount,
    CorrectionNotice,
    CountryCount,
    Organisation,
    PetitionAttributes,
    PetitionData,
    State,
)
from schemas.events import Acceptance, Basis, Provenance, Status
from schemas.ids import Position, event_id
from schemas.instants import parse_instant
from schemas.ladders import goal, remaining
from service.region_names import UNKNOWN, Names
from service.snapshots import shown_state

_NOT_KNOWN: Final = "unknown"
"""How a tally calls what has no area."""


def petition_data(shown: Shown, names: Names) -> PetitionData:
    """The `data` of a petition's document."""
    countries = _areas(shown.countries, shown.count)
    regions = _areas(shown.regions, shown.count)
    return PetitionData(
        type="petition",
        id=shown.id,
        attributes=PetitionAttributes(
            action=shown.title,
            background=shown.text,
            addressee=shown.addressee,
            state=cast(State, shown_state(shown.acceptance)),
            acceptance=cast(Acceptance, shown.acceptance),
            status=cast("Status | None", shown.status),
            basis=cast(Basis, shown.basis),
            provenance=cast(Provenance, shown.provenance),
            signature_count=shown.count,
            goal=goal(shown.count, shown.goals),
            remaining=remaining(shown.count, shown.goals),
            created_at=shown.created_at,
            opened_at=shown.opened_at,
            closed_at=shown.closed_at,
            updated_at=shown.updated_at,
            signatures_by_country=tuple(
                CountryCount(name=UNKNOWN if code is None else names.country(code), code=code, signature_count=count)
                for code, count in countries
            ),
            signatures_by_constituency=tuple(
                ConstituencyCount(
                    name=UNKNOWN if code is None else names.region(code), ons_code=code, signature_count=count
                )
                for code, count in regions
            ),
            answers=shown.answers,
            organisations=tuple(Organisation(name=name, reference=said) for name, said in shown.organisations),
            organisation_count=shown.organisation_count,
            as_of_position=shown.position,
            as_of=shown.recorded,
        ),
    )


def petition_body(id: str, data: bytes) -> bytes:
    """The document of one petition around its `data`."""
    return _BEFORE % id.encode() + data + b"}"


def data_of(id: str, body: bytes) -> bytes:
    """The `data` in the document of one petition, as it stands in a list."""
    return body[len(_BEFORE % id.encode()) : -1]


def petitions_body(links: Mapping[str, str | None], data: Iterable[bytes]) -> bytes:
    """The document of a list of petitions."""
    return b'{"links":' + orjson.dumps(links) + b',"data":[' + b",".join(data) + b"]}"


_BEFORE: Final = b'{"links":{"self":"/petitions/%s.json"},"data":'


def _areas(tally: Mapping[str, int], count: int) -> list[tuple[str | None, int]]:
    """A breakdown that sums to the count, by code; what has no area last."""
    known = sorted((code, standing) for code, standing in tally.items() if code != _NOT_KNOWN)
    rest = count - sum(standing for _, standing in known)
    return [*known, (None, rest)] if rest else list(known)


def notices(
    rows: Iterable[Row], acted: Mapping[str, tuple[int, int]], rules: Mapping[str, str]
) -> list[CorrectionNotice]:
    """The corrections that a timeline's rows (by position) tell of, newest first. `acted` says of those that run how
    many signatures each has changed so far, and its net effect; `rules` are the public rules in words.
    """
    acts: dict[str, dict[str, Row]] = {}
    for row in rows:
        if row["kind"] == "correction":
            state = row["detail"]["state"]
            acts.setdefault(row["correction"], {})["ended" if state in ("completed", "cancelled") else state] = row
    told = [_notice(id, act, acted.get(id, (0, 0)), rules.get(id)) for id, act in acts.items()]
    return sorted(told, key=lambda notice: notice.position, reverse=True)


def unfinished(rows: Iterable[Row]) -> bool:
    """Whether some correction in a timeline's rows has not ended."""
    states = [row["detail"]["state"] for row in rows if row["kind"] == "correction"]
    return states.count("opened") > sum(state in ("completed", "cancelled") for state in states)


def _notice(id: str, act: Mapping[str, Row], so_far: tuple[int, int], rule: str | None) -> CorrectionNotice:
    opened, approved, ended = act["opened"], act.get("approved"), act.get("ended")
    said: dict[str, Any] = opened["detail"]
    applied, net = so_far
    state = "proposed" if said["approval"] == "required" and approved is None else "running"
    skipped = None
    if ended is not None:
        result = ended["detail"]
        state, applied, skipped, net = result["state"], result["applied"], result["skipped"], result["net"]
    return CorrectionNotice.model_validate(
        {
            "correction": id,
            "kind": said["correction_kind"],
            "reason": said["reason"],
            "state": state,
            "approval": said["approval"],
            "opened_at": _when(opened),
            "approved_at": None if approved is None else _when(approved),
            "ended_at": None if ended is None else _when(ended),
            "position": opened["position"],
            "event": event_id(Position(opened["position"])),
            "matched": said["matched"],
            "applied": applied,
            "skipped": skipped,
            "net": net,
            "rule": rule,
            "notice_sha256": said.get("notice_sha256"),
            "lifts": said.get("lifts"),
            "reverses": said.get("reverses"),
        }
    )


def _when(row: Row) -> Any:
    """When it was decided; where that is not known, when the ledger learned it."""
    return parse_instant(row["at"] or row["recorded_at"])
