"""The views: their bodies have exactly the members of the public surface, in JSON's own types."""

import json
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from pydantic import ValidationError

from schemas.views import (
    ClaimView,
    CountView,
    DriftCauses,
    DriftCorrection,
    DriftEnd,
    DriftEvent,
    DriftPublished,
    DriftView,
    Evidence,
    HistoryPoint,
    HistoryView,
)

AT = datetime(2018, 1, 31, 9, 56, 46, tzinfo=UTC)
TEXT = "2018-01-31T09:56:46.000000Z"
CORRECTION = UUID("0189f7ea-ae2c-7809-8aeb-b819cf5e9e7f")


def _drift(net: int, *, agrees: bool = True) -> DriftView:
    return DriftView(
        petition="bees",
        start=DriftEnd(position=0, at=None, count=0),
        end=DriftEnd(position=9, at=AT, count=3),
        net=net,
        causes=DriftCauses(signed=4, confirmed=2, withdrawn=-1, invalidated=-3, reinstated=1, unitemised=0),
        corrections=(DriftCorrection(id=CORRECTION, kind="invalidate", reason="bot", net=-3, events=4),),
        published=(DriftPublished(position=9, count=3, replayed=3, agrees=agrees),),
        events=(
            DriftEvent(
                position=9, event=f"{9:020}", type="count.published.v1", at=None, recorded_at=AT, delta=0, count=3
            ),
        ),
        next=9,
    )


def test_the_body_of_a_drift_has_the_members_of_the_surface() -> None:
    """If a drift is served, then its ends are called `from` and `to`, and what is not known is null."""
    assert json.loads(json.dumps(_drift(3).body())) == {
        "petition": "bees",
        "from": {"position": 0, "at": None, "count": 0},
        "to": {"position": 9, "at": TEXT, "count": 3},
        "net": 3,
        "causes": {
            "signed": 4,
            "confirmed": 2,
            "withdrawn": -1,
            "invalidated": -3,
            "reinstated": 1,
            "unitemised": 0,
        },
        "corrections": [{"id": str(CORRECTION), "kind": "invalidate", "reason": "bot", "net": -3, "events": 4}],
        "published": [{"position": 9, "count": 3, "replayed": 3, "agrees": True}],
        "events": [
            {
                "position": 9,
                "event": "00000000000000000009",
                "type": "count.published.v1",
                "at": None,
                "recorded_at": TEXT,
                "delta": 0,
                "count": 3,
            }
        ],
        "next": 9,
    }


def test_a_drift_is_a_finding_only_where_something_is_wrong() -> None:
    """If the causes sum to the net change and what was published agrees, then it is none; else it is one."""
    assert not _drift(3).is_finding
    assert _drift(4).is_finding
    assert _drift(3, agrees=False).is_finding


def test_the_other_bodies_have_the_members_of_the_surface() -> None:
    """If a count, a claim or a history is served, then its members are those of the surface, null where unknown."""
    count = CountView(signature_count=3, as_of_position=9, as_of=AT, goal=None, remaining=None)
    assert count.body() == {
        "signature_count": 3,
        "as_of_position": 9,
        "as_of": TEXT,
        "goal": None,
        "remaining": None,
    }
    claim = ClaimView(
        petition="bees",
        claim={"at_least": 8363, "within": "72h"},
        verdict="undetermined",
        lower=5000,
        upper=None,
        evidence=(Evidence(position=9, event=f"{9:020}", at=AT, count=5000),),
    )
    assert claim.body() == {
        "petition": "bees",
        "claim": {"at_least": 8363, "within": "72h"},
        "verdict": "undetermined",
        "lower": 5000,
        "upper": None,
        "evidence": [{"position": 9, "event": "00000000000000000009", "at": TEXT, "count": 5000}],
    }
    history = HistoryView(
        petition="bees", interval="day", points=(HistoryPoint(at=AT, position=9, count=3),), next=None
    )
    assert history.body() == {
        "petition": "bees",
        "interval": "day",
        "points": [{"at": TEXT, "position": 9, "count": 3}],
        "next": None,
    }


def test_a_view_cannot_be_changed_and_takes_no_time_outside_utc() -> None:
    """If a view was made, then it stays as it is; a time in another zone has no form in it."""
    point = HistoryPoint(at=AT, position=9, count=3)
    with pytest.raises(ValidationError):
        point.count = 4  # type: ignore[misc]
    elsewhere = HistoryPoint(at=AT.astimezone(timezone(timedelta(hours=1))), position=9, count=3)
    with pytest.raises(ValueError, match="in UTC"):
        elsewhere.body()
