"""Reached: a fold of all projections that can tell which position some rows are those of.

A mark is a number that every event which changes a projection's rows leaves or raises: rows whose mark differs from the
fold's are not those of its position, so that whole rows are compared only where the marks agree. For the petitions and
the timeline it is the position of the latest row, for the tally how many signature events are summed up in it.

Pure; it goes no other way than `projections.replay`. It must never see a database.
"""

from projections.replay import Replay, Rows

_COUNTED = ("recorded", "confirmed", "withdrawn", "invalidated", "reinstated")
_FOREVER = 2**63 - 1


class Refold:
    """The fold so far."""

    def __init__(self) -> None:
        self._replay = Replay()
        self._marks = {"petitions": 0, "tally": 0, "timeline": 0}
        self._ladders: dict[str, tuple[int, list[tuple[int, tuple[int, ...]]]]] = {}

    @property
    def position(self) -> int:
        """That of the last event that was folded."""
        return self._replay.steps.position

    def apply(self, leaf: bytes) -> frozenset[str]:
        """Take in the next leaf: which projections it may have changed. Raises what `Steps.read` raises."""
        replay = self._replay
        step = replay.steps.read(leaf)
        assert step is not None  # no petition is left out
        replay.petitions.apply(step)
        replay.tally.apply(step)
        replay.timeline.apply(step)
        if step.type == "log.continued.v1":
            return frozenset()
        moved = {"petitions", "timeline"}
        self._marks["petitions"] = self._marks["timeline"] = step.position
        counted = {
            "signature.recorded.v1": 1 + bool(step.data.get("confirmed")),
            "signature.confirmed.v1": 1,
            "signature.withdrawn.v1": 1,
            "signature.invalidated.v1": 1,
            "signature.reinstated.v1": 1,
        }.get(step.type, 0)
        self._marks["tally"] += counted
        if counted or step.moved or step.type == "petition.opened.v1":
            moved.add("tally")
        if step.type == "petition.opened.v1":
            self._ladders[step.petition] = (step.position, [])
        if step.type in ("petition.opened.v1", "petition.revised.v1") and "milestones" in step.data:
            self._ladders[step.petition][1].append((step.position, tuple(step.data["milestones"])))
        return frozenset(moved)

    def mark(self, name: str) -> int:
        """The mark of a projection's rows, had the last event changed them."""
        return self._marks[name]

    def rows(self, name: str) -> Rows:
        """The rows of one projection."""
        match name:
            case "petitions":
                return self._replay.petitions.rows()
            case "tally":
                return self._replay.tally.rows()
            case "timeline":
                return self._replay.timeline.rows()
            case _:
                raise KeyError(name)

    def ladders(self) -> Rows:
        """The rows of `projections.rungs`: which rung of which petition holds from which position to which."""
        return [
            {"id": id, "petition": first, "rung": rung, "since": since, "until": until}
            for id, (first, spans) in sorted(self._ladders.items(), key=lambda item: item[1][0])
            for (since, rungs), until in zip(spans, [*(since for since, _ in spans[1:]), _FOREVER], strict=True)
            for rung in rungs
        ]


def mark_of(name: str, rows: Rows) -> int:
    """The mark of rows from elsewhere."""
    if name == "tally":
        return sum(row[column] for row in rows if row["dimension"] == "total" for column in _COUNTED)
    return max((row["position"] for row in rows), default=0)
