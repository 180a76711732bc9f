"""Petitions: what each says of itself, what it takes, what was declared of it, and its count, one row a petition.

  opened_at    effective time of its first event;      created_at  when the ledger learned it
  closed_at    effective time of the last change of acceptance, where that was to `closed` or `rejected`; else null
  status       the last declared, or null
  updated_at   when the ledger learned the last thing about the petition itself (not about a signature or a count)
  position, recorded, version   of its last event, whatever that was: what its count is true at

`text_version` and all that a revision may change are as last stated; `first_position` is where the petition began.
Pure; the same projection as `sql/petitions.sql`. It must never hold anything that is not in the log: the text of a
petition stands beside it.
"""

from typing import Any, Final

from projections.standing import Step

REVISABLE: Final = (
    "title",
    "addressee",
    "goals",
    "milestones",
    "timezone",
    "opens_at",
    "closes_at",
    "text_version",
    "text_sha256",
)
_FIXED: Final = ("basis", "confirmation", "provenance", "questions", "public_fields")


class Petitions:
    """The petitions so far."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, Any]] = {}

    def apply(self, step: Step) -> None:
        """Take in the next event."""
        if step.type == "log.continued.v1":
            return  # about the log, not about a petition
        if step.key < 0:
            self._declare(step)
        row = self._rows[step.petition]
        row["count"] = step.count
        row["position"] = step.position
        row["recorded"] = step.recorded
        row["version"] = step.version

    def _declare(self, step: Step) -> None:
        """What an event that is about no signature says of the petition."""
        data = step.data
        match step.type:
            case "petition.opened.v1":
                self._rows[step.petition] = {
                    "id": step.petition,
                    "first_position": step.position,
                    **{name: data.get(name) for name in (*_FIXED, *REVISABLE)},
                    "text_version": 1,
                    "acceptance": "open",
                    "status": None,
                    "opened_at": step.at,
                    "closed_at": None,
                    "created_at": step.recorded,
                }
            case "petition.revised.v1":
                self._rows[step.petition].update({name: data[name] for name in REVISABLE if name in data})
            case "acceptance.changed.v1":
                shut = data["acceptance"] in ("closed", "rejected")
                self._rows[step.petition].update(acceptance=data["acceptance"], closed_at=step.at if shut else None)
            case "status.declared.v1":
                self._rows[step.petition]["status"] = data["status"]
            case "update.posted.v1":
                pass
            case _:
                return
        self._rows[step.petition]["updated_at"] = step.recorded

    def rows(self) -> list[dict[str, Any]]:
        """The rows, in order of id."""
        return [dict(row) for _, row in sorted(self._rows.items())]
