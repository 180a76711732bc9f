"""The tally: how many, of what, where from, by which way; and what became of those that do not count.

A row is keyed by petition, dimension and value. Each column is a sum over the petition's events up to a position:

  standing     the deltas: what counts now
  recorded     `signature.recorded` events
  confirmed    `signature.recorded` events that were confirmed at once, and `signature.confirmed` events
  withdrawn    `signature.withdrawn` events
  invalidated  `signature.invalidated` events: one a hold, so that a signature under two corrections is in it twice
  reinstated   `signature.reinstated` events: one a hold lifted

Dimensions: `total` (value empty; from the petition's first event on), `country` and `region` (code, or `unknown` where
the leaf states none), `channel`, `kind`, and for each question of a consultation `answer:<question>` (choice, or
`unknown`). A later event of a signature counts under what its first one stated. In an itemised petition `standing`
summed over any dimension is the count. An observed petition has the one row `total`, whose `standing` is its count:
nobody knows who signed.

Pure; the same projection as `sql/tally.sql`. It must never tell two people apart: only sums leave it.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from projections.standing import Step, TallyKey

UNKNOWN: Final = "unknown"
COLUMNS: Final = ("standing", "recorded", "confirmed", "withdrawn", "invalidated", "reinstated")

_COLUMN_OF: Final = {
    "signature.recorded.v1": 1,
    "signature.confirmed.v1": 2,
    "signature.withdrawn.v1": 3,
    "signature.invalidated.v1": 4,
    "signature.reinstated.v1": 5,
}


class Tally:
    """The tally so far. `keys` is the list of tally keys that `Steps` fills as it reads."""

    def __init__(self, keys: Sequence[TallyKey]) -> None:
        self._keys = keys
        self._sums: list[list[int]] = []
        self._questions: dict[str, tuple[str, ...]] = {}
        self._observed: dict[str, int] = {}

    def apply(self, step: Step) -> None:
        """Take in the next event."""
        if step.key >= 0:
            while len(self._sums) <= step.key:
                self._sums.append([0] * len(COLUMNS))
            sums = self._sums[step.key]
            sums[0] += step.moved
            column = _COLUMN_OF.get(step.type)
            if column is not None:
                sums[column] += 1
                if column == 1 and step.data["confirmed"]:
                    sums[2] += 1
        elif step.type == "petition.opened.v1":
            self._questions[step.petition] = tuple(step.data.get("questions") or ())
            self._observed[step.petition] = 0
        elif step.moved:
            self._observed[step.petition] += step.moved

    def rows(self) -> list[dict[str, Any]]:
        """The rows, in order of petition, dimension and value."""
        table: dict[tuple[str, str, str], list[int]] = {}
        for petition, observed in self._observed.items():
            table[petition, "total", ""] = [observed, 0, 0, 0, 0, 0]
        for key, sums in zip(self._keys, self._sums, strict=False):
            for dimension, value in _dimensions(key, self._questions[key.petition]):
                row = table.setdefault((key.petition, dimension, value), [0] * len(COLUMNS))
                for column, number in enumerate(sums):
                    row[column] += number
        return [
            {"petition": petition, "dimension": dimension, "value": value, **dict(zip(COLUMNS, sums, strict=True))}
            for (petition, dimension, value), sums in sorted(table.items())
        ]


def _dimensions(key: TallyKey, questions: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    yield "total", ""
    yield "country", key.country or UNKNOWN
    yield "region", key.region or UNKNOWN
    yield "channel", key.channel
    yield "kind", key.kind
    if questions:
        answers = dict(key.answers)
        for question in questions:
            yield f"answer:{question}", answers.get(question, UNKNOWN)
