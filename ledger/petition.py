"""The petition itself: opening, revising, what it takes, what is declared and observed of it, what was served of it.

Pure. A declaration never moves the count of an itemised petition; in an observed one, only an observation does, and
only one that is not older than the latest. An outcome never changes what the petition takes.
"""

from datetime import datetime
from typing import Any

from ledger.drafts import EXISTS, FUTURE, ITEMISED, NOT_THE_COUNT, STALE, AsIs, Decision, Draft, draft
from ledger.signature import MAX_AHEAD
from ledger.state import PetitionState, PublishedState
from schemas.commands import (
    ChangeAcceptance,
    DeclareStatus,
    ObserveCount,
    OpenPetition,
    PostUpdate,
    PublishCount,
    RevisePetition,
)
from schemas.events import (
    AcceptanceChanged,
    CountObserved,
    CountPublished,
    PetitionOpened,
    StatusDeclared,
    UpdatePosted,
)


def open_petition(known: PetitionState | None, command: OpenPetition, now: datetime) -> Decision:
    """Begin a petition of an id that is free."""
    if known is not None:
        return EXISTS
    if _ahead(command.at, now):
        return FUTURE
    return (draft(command.opened, command.at),)


def state_of(position: int, id: str, opened: PetitionOpened, at: datetime) -> PetitionState:
    """The state of a petition right after its first event, but for the counters that every event moves."""
    policy = opened.identity_policy
    return PetitionState(
        petition=position,
        id=id,
        version=0,
        count=0,
        last_leaf_hash=b"",
        declarations=0,
        basis=opened.basis,
        confirmation=opened.confirmation,
        identity_policy=f"{policy.name}/{policy.version}",
        public_fields=opened.public_fields,
        questions=None if opened.questions is None else {key: list(of) for key, of in opened.questions.items()},
        text_version=1,
        opens_at=opened.opens_at,
        closes_at=opened.closes_at,
        acceptances=[(position, at, "open")],
        observed_at=None,
    )


def revise(petition: PetitionState, command: RevisePetition) -> Decision:
    """Change what the petition says of itself."""
    if _stale(petition, command.expected):
        return STALE
    return (draft(command.revised),)


def post_update(command: PostUpdate, now: datetime) -> Decision:
    """Tell the signers something."""
    if _ahead(command.at, now):
        return FUTURE
    fact = UpdatePosted(headline=command.headline, reference=command.reference, effective_on=command.effective_on)
    return (draft(fact, command.at),)


def change_acceptance(petition: PetitionState, command: ChangeAcceptance, now: datetime) -> Decision:
    """Take signatures, or cease to. What is so already is not said again."""
    if _stale(petition, command.expected):
        return STALE
    if _ahead(command.at, now):
        return FUTURE
    if petition.acceptance == command.acceptance:
        return AsIs()
    return (draft(AcceptanceChanged(acceptance=command.acceptance), command.at),)


def close_when_due(petition: PetitionState, now: datetime) -> list[Draft]:
    """The closing that the clock asks for: effective at `closes_at`, whenever it is written."""
    if not petition.closing_due(now):
        return []
    return [draft(AcceptanceChanged(acceptance="closed"), petition.closes_at)]


def declare_status(petition: PetitionState, command: DeclareStatus, now: datetime) -> Decision:
    """Declare an outcome. Repeats are allowed: each freezes the count at its own moment."""
    if _stale(petition, command.expected):
        return STALE
    if _ahead(command.at, now):
        return FUTURE
    fact = StatusDeclared(
        status=command.status,
        reported_count=command.reported_count,
        reference=command.reference,
        effective_on=command.effective_on,
    )
    return (draft(fact, command.at),)


def observe(petition: PetitionState, command: ObserveCount, now: datetime) -> Decision:
    """Record what an outside source showed, and with it the status that it declared then, if any."""
    if petition.basis != "observed":
        return ITEMISED
    if _ahead(command.at, now):
        return FUTURE
    at = now if command.at is None else command.at
    current = petition.observed_at is None or at >= petition.observed_at
    observed = CountObserved(
        count=command.count, claim=command.claim, reference=command.reference, at_known=command.at is not None
    )
    drafts = [draft(observed, command.at, delta=command.count - petition.count if current else 0)]
    if command.status is not None:
        status = StatusDeclared(
            status=command.status,
            reported_count=command.count,
            reference=command.reference,
            effective_on=command.effective_on,
        )
        drafts.append(draft(status, command.at))
    return drafts


def publish(command: PublishCount, last: PublishedState, count: int | None) -> Decision:
    """State a number that was served. `last` is what was stated before, `count` what the count was at the position that
    the command names; None where that is not there.

    Only the count is ever stated, and only news: another number than the last one, true at a later position. Whoever
    asks without having seen the last statement asks too late.
    """
    if command.count != count:
        return NOT_THE_COUNT
    if command.after != last.position or command.count == last.count or command.as_of <= last.as_of:
        return AsIs()
    return (draft(CountPublished(count=command.count, position=command.as_of)),)


def apply_revision(
    petition: PetitionState, data: dict[str, Any], opens_at: datetime | None, closes_at: datetime | None
) -> None:
    """Carry into the state what a revision says of it."""
    petition.text_version = data["text_version"]
    if "opens_at" in data:
        petition.opens_at = opens_at
    if "closes_at" in data:
        petition.closes_at = closes_at


def _stale(petition: PetitionState, expected: int | None) -> bool:
    return expected is not None and expected != petition.declarations


def _ahead(at: datetime | None, now: datetime) -> bool:
    return at is not None and at > now + MAX_AHEAD
