"""The timeline: what happened to a petition that is worth a line; a row is keyed by petition, position and ordinal.

An event makes at most one entry of its own (ordinal 0); what is inferred between two observations stands at the
position of the later one, with ordinals from 1. Kinds, with the members of `detail`:

  opened      title                                        revised     text_version, changed
  update      headline, reference?, effective_on?          acceptance  acceptance
  status      status, reported_count?, reference?, effective_on?
  milestone   claimed and reference? where it is a claim; beside it the columns `rung` and `crossing`
  inferred    from, to (null where undated), from_position, from_count
  correction  state `opened`: correction_kind, reason, matched, approval, notice_sha256?, lifts?, reverses?
              state `approved`; state `completed` or `cancelled`: correction_kind, reason, applied, skipped, net
  published   as_of_position: where the published number was true

`count` is the petition's count right after the event. In an observed petition a `status` freezes the number that its
source reported, where it did, and a `milestone` holds the number claimed. In a `published` it is the number that was
published, in an `inferred` that of the later observation. `net` is the sum of what the correction's own events added.
`at` is null where the time is not known.

Pure; the same projection as `sql/timeline.sql`. It must never take back an entry but an inferred one.
"""

from typing import Any, Final

from projections.milestones import MILESTONE_CLAIM, Crossing, Inference, Ladder, Observation, inferences
from projections.standing import Step

Row = dict[str, Any]

_UPDATE: Final = ("headline", "reference", "effective_on")
_STATUS: Final = ("status", "reported_count", "reference", "effective_on")
_OPENED: Final = ("reason", "matched", "approval", "notice_sha256", "lifts", "reverses")


class _Petition:
    __slots__ = ("corrections", "ladder", "observations", "observed", "rows")

    def __init__(self, observed: bool) -> None:
        self.observed = observed
        self.rows: list[Row] = []
        self.ladder = Ladder()
        self.observations: list[Observation] = []
        self.corrections: dict[str, list[Any]] = {}  # those not ended: kind, reason, net so far


class Timeline:
    """The timelines of all petitions so far."""

    def __init__(self) -> None:
        self._petitions: dict[str, _Petition] = {}

    def apply(self, step: Step) -> None:
        """Take in the next event."""
        if step.key >= 0:  # most events are about a signature, and say nothing else of the petition
            if step.delta:
                self._move(step)
            return
        data = step.data
        match step.type:
            case "petition.opened.v1":
                petition = self._petitions[step.petition] = _Petition(data["basis"] == "observed")
                petition.ladder.set(step.position, data["milestones"])
                self._add(step, "opened", {"title": data["title"]})
            case "petition.revised.v1":
                if "milestones" in data:
                    self._petitions[step.petition].ladder.set(step.position, data["milestones"])
                changed = sorted(data.keys() - {"text_version"})
                self._add(step, "revised", {"text_version": data["text_version"], "changed": changed})
            case "update.posted.v1":
                self._add(step, "update", _members(data, _UPDATE))
            case "acceptance.changed.v1":
                self._add(step, "acceptance", {"acceptance": data["acceptance"]})
            case "status.declared.v1":
                self._status(step)
            case "count.observed.v1":
                self._observe(step)
            case "count.published.v1":
                self._add(step, "published", {"as_of_position": data["position"]}, count=data["count"])
            case "correction.opened.v1" | "correction.approved.v1":
                self._correction(step)
            case "correction.completed.v1" | "correction.cancelled.v1":
                self._end_of_correction(step)
            case _:
                pass

    def rows(self) -> list[Row]:
        """The rows, in order of petition, position and ordinal."""
        rows: list[Row] = []
        for id, petition in sorted(self._petitions.items()):
            inferred = [_inferred(id, found) for found in inferences(petition.observations, petition.ladder)]
            rows += sorted([*petition.rows, *inferred], key=lambda row: (row["position"], row["ordinal"]))
        return rows

    def _move(self, step: Step) -> None:
        """A signature began or ceased to stand: that may cross a rung, and is part of what a correction did."""
        petition = self._petitions[step.petition]
        if step.type in ("signature.invalidated.v1", "signature.reinstated.v1"):
            correction = petition.corrections.get(step.data["correction"])
            if correction is not None:
                correction[2] += step.delta
        if step.moved and (crossing := petition.ladder.crossing(step.count - step.moved, step.count)) is not None:
            at_known = step.data.get("at_known", True)
            self._add(step, "milestone", {}, at=step.at if at_known else None, crossing=crossing)

    def _observe(self, step: Step) -> None:
        petition, data = self._petitions[step.petition], step.data
        seen = Observation(step.position, step.at, step.recorded, data["count"], data["claim"], bool(data["at_known"]))
        petition.observations.append(seen)
        if seen.claim == MILESTONE_CLAIM and (crossing := petition.ladder.claim(seen.count)) is not None:
            detail = {"claimed": True, **_members(data, ("reference",))}
            at = step.at if seen.at_known else None
            self._add(step, "milestone", detail, at=at, count=seen.count, crossing=(seen.count, crossing))

    def _status(self, step: Step) -> None:
        reported = step.data.get("reported_count")
        frozen = reported if self._petitions[step.petition].observed and reported is not None else step.count
        self._add(step, "status", _members(step.data, _STATUS), count=frozen)

    def _correction(self, step: Step) -> None:
        data = step.data
        if step.type == "correction.approved.v1":
            self._add(step, "correction", {"state": "approved"}, correction=data["correction"])
            return
        self._petitions[step.petition].corrections[data["correction"]] = [data["kind"], data["reason"], 0]
        detail = {"state": "opened", "correction_kind": data["kind"], **_members(data, _OPENED)}
        self._add(step, "correction", detail, correction=data["correction"])

    def _end_of_correction(self, step: Step) -> None:
        data = step.data
        kind, reason, net = self._petitions[step.petition].corrections.pop(data["correction"])
        detail = {
            "state": "completed" if step.type == "correction.completed.v1" else "cancelled",
            "correction_kind": kind,
            "reason": reason,
            "applied": data["applied"],
            "skipped": data["skipped"],
            "net": net,
        }
        self._add(step, "correction", detail, correction=data["correction"])

    def _add(
        self,
        step: Step,
        kind: str,
        detail: dict[str, Any],
        *,
        at: str | None = "",
        count: int | None = None,
        crossing: tuple[int, Crossing] | None = None,
        correction: str | None = None,
    ) -> None:
        self._petitions[step.petition].rows.append(
            {
                "petition": step.petition,
                "position": step.position,
                "ordinal": 0,
                "kind": kind,
                "at": step.at if at == "" else at,
                "recorded_at": step.recorded,
                "count": step.count if count is None else count,
                "rung": None if crossing is None else crossing[0],
                "crossing": None if crossing is None else crossing[1],
                "correction": correction,
                "detail": detail,
            }
        )


def newest_first(rows: list[Row], basis: str) -> list[Row]:
    """One petition's rows as they are shown: an itemised petition by position, an observed one by effective time and
    position. What has no known time stands below all that has one.
    """
    if basis == "itemised":
        return sorted(rows, key=lambda row: (-row["position"], row["ordinal"]))
    by_position = sorted(rows, key=lambda row: (-row["position"], row["ordinal"]))
    return sorted(by_position, key=lambda row: row["at"] or "", reverse=True)


def _members(data: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: data[name] for name in names if name in data}


def _inferred(petition: str, found: Inference) -> Row:
    before, after = found.before, found.after
    return {
        "petition": petition,
        "position": after.position,
        "ordinal": found.ordinal,
        "kind": "inferred",
        "at": after.at if after.at_known else None,
        "recorded_at": after.recorded,
        "count": after.count,
        "rung": found.rung,
        "crossing": found.crossing,
        "correction": None,
        "detail": {
            "from": before.at if before.at_known else None,
            "to": after.at if after.at_known else None,
            "from_position": before.position,
            "from_count": before.count,
        },
    }
