"""What deciding gives: events that have no position yet, and the small vocabulary of refusals.

A draft says what happened and what it adds to the count; `ledger.batch` gives it position, version and bytes. This
module is pure and must never know where in the log a draft will stand.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from ledger.state import SignatureState
from schemas.commands import Refused
from schemas.events import Fact


@dataclass(slots=True)
class Draft:
    """One event to be. `at` is its effective time; None: when it is recorded.

    `signature` is the signature it is about (for a `signature.recorded.v1`: the new one), whose tally keys the
    event's row repeats; `hold` the correction whose hold it puts or lifts.
    """

    type: str
    data: dict[str, Any]
    at: datetime | None = None
    delta: int = 0
    signature: SignatureState | None = None
    hold: UUID | None = None


@dataclass(slots=True)
class AsIs:
    """Nothing to append: it is so already. `signature` is the one that shows it, where there is one."""

    signature: SignatureState | None = None


Decision = Sequence[Draft] | AsIs | Refused


def draft(fact: Fact, at: datetime | None = None, **more: Any) -> Draft:
    """The draft of a fact that has a model of its own."""
    return Draft(fact.type, fact.data(), at, **more)


NO_PETITION: Final = Refused("not-found", "unknown-petition", "There is no petition of this id.")
NO_SIGNATURE: Final = Refused("not-found", "unknown-signature", "The petition has no such signature.")
NO_SIGNER: Final = Refused("not-found", "unknown-signer", "The petition has no signature of this signer.")
OBSERVED: Final = Refused(
    "invalid-transition",
    "observed-petition",
    "This petition is observed: somebody else counted it, and nobody signs here.",
)
ITEMISED: Final = Refused(
    "invalid-transition", "itemised-petition", "This petition is itemised: its count is that of its signatures."
)
CLOSED: Final = Refused("petition-closed", "petition-closed", "The petition does not take this at that time.")
EXISTS: Final = Refused("invalid-transition", "petition-exists", "There is a petition of this id already.")
WITHDRAWN: Final = Refused("invalid-transition", "already-withdrawn", "The signature was withdrawn.")
HOLDS_ALREADY: Final = Refused("invalid-transition", "holds-already", "The row says what holds already.")
NOT_HELD: Final = Refused("invalid-transition", "not-held", "No such hold is on the signature.")
ERASED: Final = Refused("invalid-transition", "erased", "The signer was erased.")
ERASING: Final = Refused(
    "unavailable", "erasing", "Not recorded: what is held of this signer is being destroyed; ask again."
)
IN_PUBLIC: Final = Refused(
    "invalid-transition", "in-public", "An organisation signs in public: its name stands in the log for ever."
)
ANOTHER_SIGNER: Final = Refused(
    "invalid-transition", "another-signer", "The new identity has a signature of its own in this petition."
)
TOO_EARLY: Final = Refused(
    "invalid-transition",
    "before-its-predecessor",
    "It would be effective before the event of this signature that it follows.",
)
FUTURE: Final = Refused("validation-failed", "in-the-future", "The effective time lies more than 60 seconds ahead.")
NOT_THE_COUNT: Final = Refused(
    "validation-failed", "not-the-count", "The petition's count at that position is another one, or not there yet."
)
EPOCH_RETIRED: Final = Refused(
    "unavailable", "epoch-retired", "Not recorded: the vault's key was changed meanwhile; ask again."
)
STALE: Final = Refused("precondition-failed", "stale", "The petition was declared upon since this was read.")
NOT_PUBLIC: Final = Refused(
    "validation-failed", "public-form", "Country, region, name or reference is not of the form that may be public."
)
NO_SUCH_TEXT: Final = Refused("validation-failed", "unknown-text-version", "The petition has no text of this version.")
NO_SUCH_ANSWER: Final = Refused(
    "validation-failed", "unknown-answer", "The petition asks no such question, or not with this choice."
)
NOTHING_LEFT: Final = Refused("invalid-transition", "nothing-to-correct", "None of the rows is left to correct.")
CORRECTION_EXISTS: Final = Refused(
    "invalid-transition", "correction-exists", "There is a correction of this id already."
)
NO_CORRECTION: Final = Refused(
    "not-found", "unknown-correction", "The petition has no such correction that is running."
)
NO_SUCH_CORRECTION: Final = Refused("not-found", "unknown-correction", "The petition has no such correction.")
NOTHING_MATCHES: Final = Refused("invalid-transition", "nothing-matches", "There is no signature to correct.")
ANOTHER_SET: Final = Refused("digest-mismatch", "digest-mismatch", "The set is not the one of this digest.")
OWN_CORRECTION: Final = Refused(
    "forbidden", "own-correction", "A correction is approved by another principal than the one that opened it."
)
NOT_PROPOSED: Final = Refused("invalid-transition", "not-proposed", "The correction waits for no approval.")
ENDED: Final = Refused("invalid-transition", "ended", "The correction has ended.")
NOT_ENDED: Final = Refused("invalid-transition", "not-ended", "A correction is reversed once it has ended.")
REVERSED_ALREADY: Final = Refused("invalid-transition", "reversed-already", "The correction is reversed already.")
OF_A_FILE: Final = Refused(
    "invalid-transition", "of-a-file", "A file states this correction: importing the file again finishes it."
)
HOLDS_NOTHING: Final = Refused("invalid-transition", "holds-nothing", "What it lifts is no correction that holds.")
