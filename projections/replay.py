"""Replay: folds every projection at once from nothing but leaves, as of a position or a time.

What comes out is what the projections in a database must be, row by row and byte by byte in canonical form. Pure: an
auditor runs it on an export, without a database, a server or settings. It must never look at anything but the leaves.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

import orjson

from projections.petitions import Petitions
from projections.standing import Steps
from projections.tally import Tally
from projections.timeline import Timeline
from schemas.instants import format_instant

Rows = list[dict[str, Any]]

_CANONICAL: Final = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER  # as schemas.canonical, without a leaf's bound


class Replay:
    """All projections, one event at a time. `without`: signatures left out of every count, by 16-byte id."""

    def __init__(self, petition: str | None = None, without: frozenset[bytes] = frozenset()) -> None:
        self.steps = Steps(petition, without)
        self.petitions = Petitions()
        self.tally = Tally(self.steps.keys)
        self.timeline = Timeline()

    def apply(self, leaf: bytes) -> None:
        """Take in the next leaf. Raises what `Steps.read` raises."""
        step = self.steps.read(leaf)
        if step is not None:
            self.petitions.apply(step)
            self.tally.apply(step)
            self.timeline.apply(step)

    def rows(self) -> dict[str, Rows]:
        """The rows of each projection, by its name."""
        return {
            "petitions": self.petitions.rows(),
            "tally": self.tally.rows(),
            "timeline": self.timeline.rows(),
        }


def replay(leaves: Iterable[bytes], as_of: int | datetime | None = None, petition: str | None = None) -> dict[str, Any]:
    """Fold leaves, in order of position from the first, up to `as_of` (a position, or a recorded time; inclusive).

    `{"projections": {name: [row, ...]}, "as_of_position": n}`; `n` is the position of the last event that was read,
    whichever petition it is of; 0 where there was none. With `petition`, only the rows of that one.
    """
    fold = Replay(petition)
    for leaf in up_to(leaves, as_of):
        fold.apply(leaf)
    return {"projections": fold.rows(), "as_of_position": fold.steps.position}


def up_to(leaves: Iterable[bytes], as_of: int | datetime | None) -> Iterable[bytes]:
    """The leaves up to a position or a recorded time, inclusive. Recorded times never decrease by position."""
    if as_of is None:
        yield from leaves
        return
    for leaf in leaves:
        event = orjson.loads(leaf)
        if isinstance(as_of, datetime):
            beyond = event["recordedtime"] > format_instant(as_of)
        else:
            beyond = int(event["id"]) > as_of
        if beyond:
            return
        yield leaf


def canonical_rows(rows: Rows) -> bytes:
    """Rows as canonical bytes, one a line: the form in which two implementations are held against each other."""
    return b"".join(orjson.dumps(row, option=_CANONICAL) + b"\n" for row in rows)
