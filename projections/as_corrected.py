"""As corrected: the history as it would read without the signatures that are held now.

`As recorded` keeps every number as it was seen; `as corrected` looks back from a position with what is known there. A
signature that a correction holds at that position is left out from its first event on: milestones move, statuses
freeze other numbers. One whose holds were all lifted stays as recorded, its fall and its rise; so does a withdrawal,
the signer's own act. What the ledger published, what a source reported, and what a correction did when it ran stay too.

Pure; the same as `sql/as_corrected.sql`. It must never be stored as if it were the history.
"""

from collections.abc import Callable, Iterable
from typing import Any

from projections.replay import Replay, up_to
from projections.standing import Steps


def held(leaves: Iterable[bytes], as_of: int | None = None, petition: str | None = None) -> frozenset[bytes]:
    """The ids (16 bytes) of the signatures that some correction holds as of a position."""
    steps = Steps(petition)
    for leaf in up_to(leaves, as_of):
        steps.read(leaf)
    return frozenset(steps.signatures.held())


def as_corrected(
    leaves: Callable[[], Iterable[bytes]], petition: str, as_of: int | None = None
) -> dict[str, Any] | None:
    """One petition's timeline and count as of a position, without what is held there. `leaves` is read twice.

    `{"petition", "count", "as_of_position", "timeline": [row, ...]}` with rows as in `projections.timeline`, by
    position; None where there is no such petition by then.
    """
    fold = Replay(petition, held(leaves(), as_of, petition))
    for leaf in up_to(leaves(), as_of):
        fold.apply(leaf)
    petitions = fold.petitions.rows()
    if not petitions:
        return None
    return {
        "petition": petition,
        "count": petitions[0]["count"],
        "as_of_position": petitions[0]["position"],
        "timeline": fold.timeline.rows(),
    }
