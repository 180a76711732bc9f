"""One signature: which of its events may follow which, and what each adds to the count.

The rules, of section 5 of the design:
  5. at most one standing signature for a signer. While her latest signature is held she cannot sign again, withdrawn
     or not; after a withdrawal without a hold she can, as a new signature;
  7. recorded -> (confirmed) -> withdrawn; corrections hold and lift independently of that. An event that changes
     nothing about whether the signature stands adds 0; and of section 4: imported events are judged against what the
     petition took at their effective time, live ones against what it takes at their position. Closed or rejected, a
     petition takes none of these; paused, no signing and confirming.

Pure: state and time come as arguments. This module must never look at who the signer is, only at the token.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

import orjson

from ledger.drafts import (
    CLOSED,
    ERASED,
    FUTURE,
    IN_PUBLIC,
    NO_SUCH_ANSWER,
    NO_SUCH_TEXT,
    NOT_HELD,
    NOT_PUBLIC,
    OBSERVED,
    TOO_EARLY,
    WITHDRAWN,
    AsIs,
    Decision,
    Draft,
    draft,
)
from ledger.state import PetitionState, SignatureState, SignerState
from schemas.commands import RecordSignature, Refused
from schemas.events import (
    Acceptance,
    Reason,
    SignatureAmended,
    SignatureConfirmed,
    SignatureInvalidated,
    SignatureReinstated,
    SignatureWithdrawn,
    SignerErased,
    is_public_form,
    signature_recorded_data,
)

MAX_AHEAD: Final = timedelta(seconds=60)
"""How far ahead of the clock an effective time may lie: clocks of sites differ, history does not lie in the future."""

SIGNING_TAKEN: Final[frozenset[Acceptance]] = frozenset({"open"})
WITHDRAWAL_TAKEN: Final[frozenset[Acceptance]] = frozenset({"open", "paused"})


def record(
    petition: PetitionState,
    signer: SignerState | None,
    latest: SignatureState | None,
    command: RecordSignature,
    now: datetime,
) -> Decision:
    """Sign. `signer` and `latest` are what is known of this signer in this petition."""
    if petition.basis != "itemised":
        return OBSERVED
    if latest is not None and latest.bars_signing:
        return AsIs(latest)
    at = command.at
    if at is not None and at > now + MAX_AHEAD:
        return FUTURE
    if not _takes(petition, at, now, command.imported, SIGNING_TAKEN):
        return CLOSED
    text_version = petition.text_version if command.text_version is None else command.text_version
    if not 1 <= text_version <= petition.text_version:
        return NO_SUCH_TEXT
    if command.answers and not _asked(petition, command.answers):
        return NO_SUCH_ANSWER
    if not is_public_form(
        command.channel, command.kind, command.name, command.reference, command.country, command.region
    ):
        return NOT_PUBLIC
    confirmed = petition.confirmation == "none" if command.confirmed is None else command.confirmed
    public = petition.public_fields
    country = command.country if "country" in public else None
    region = command.region if "region" in public else None
    answers = (command.answers or None) if "answers" in public else None
    data = signature_recorded_data(
        signature=command.signature,
        signer_ref=command.signer_ref if signer is None else signer.signer_ref,
        pii_commit=command.pii_commit,
        confirmed=confirmed,
        channel=command.channel,
        kind=command.kind,
        text_version=text_version,
        at_known=at is not None or not command.imported,
        name=command.name,
        reference=command.reference,
        country=country,
        region=region,
        answers=answers,
    )
    state = SignatureState(
        signature=command.signature,
        petition=petition.petition,
        position=0,
        version=0,
        confirmed=confirmed,
        withdrawn=False,
        erased=False,
        holds=(),
        effective=at if command.imported else at or now,
        channel=command.channel,
        kind=command.kind,
        country=country,
        region=region,
        answers=None if answers is None else orjson.dumps(answers, option=orjson.OPT_SORT_KEYS).decode(),
        previous=None if signer is None else signer.signature,
    )
    return (Draft("signature.recorded.v1", data, at, int(confirmed), state),)


def confirm(
    petition: PetitionState, state: SignatureState, at: datetime | None, now: datetime, imported: bool
) -> Decision:
    """Confirm: it counts from here, unless something holds it."""
    if state.erased:
        return ERASED
    if state.withdrawn:
        return WITHDRAWN
    if state.confirmed:
        return AsIs(state)
    at = _no_earlier(state, at, now, imported)
    if (refusal := _untimely(petition, state, at, now, imported, SIGNING_TAKEN)) is not None:
        return refusal
    fact = SignatureConfirmed(signature=state.signature, at_known=_only_false(at, imported))
    return (draft(fact, at, delta=int(not state.holds), signature=state),)


def withdraw(
    petition: PetitionState, state: SignatureState, at: datetime | None, now: datetime, imported: bool
) -> Decision:
    """Withdraw: it never stands again."""
    if state.erased:
        return ERASED
    if state.withdrawn:
        return AsIs(state)
    at = _no_earlier(state, at, now, imported)
    if (refusal := _untimely(petition, state, at, now, imported, WITHDRAWAL_TAKEN)) is not None:
        return refusal
    fact = SignatureWithdrawn(signature=state.signature, at_known=_only_false(at, imported))
    return (draft(fact, at, delta=-int(state.standing), signature=state),)


def invalidate(
    state: SignatureState, correction: UUID, reason: Reason, at: datetime | None, now: datetime, imported: bool
) -> Decision:
    """Put the hold of a correction on it. Corrections always go on, whatever the petition takes."""
    if state.erased:
        return ERASED
    if correction in state.holds:
        return AsIs(state)
    at = _no_earlier(state, at, now, imported)
    if (refusal := _misplaced(state, at, now)) is not None:
        return refusal
    fact = SignatureInvalidated(
        signature=state.signature, correction=correction, reason=reason, at_known=_only_false(at, imported)
    )
    return (draft(fact, at, delta=-int(state.standing), signature=state, hold=correction),)


def reinstate(
    state: SignatureState,
    correction: UUID,
    lifts: UUID | None,
    reason: Reason,
    at: datetime | None,
    now: datetime,
    imported: bool,
) -> Decision:
    """Lift the hold of the correction `lifts`, or every open one: an event a hold, the last of them may let it
    stand."""
    if state.erased:
        return ERASED
    lifted = state.holds if lifts is None else tuple(hold for hold in state.holds if hold == lifts)
    if not lifted:
        return NOT_HELD
    at = _no_earlier(state, at, now, imported)
    if (refusal := _misplaced(state, at, now)) is not None:
        return refusal
    stands_again = state.confirmed and not state.withdrawn and len(lifted) == len(state.holds)
    return tuple(
        draft(
            SignatureReinstated(
                signature=state.signature,
                correction=correction,
                lifts=hold,
                reason=reason,
                at_known=_only_false(at, imported),
            ),
            at,
            delta=int(stands_again and hold == lifted[-1]),
            signature=state,
            hold=hold,
        )
        for hold in lifted
    )


def erase(petition: PetitionState, hers: Sequence[SignatureState], now: datetime) -> Decision:
    """Erase a signer, whose signatures these are, in order: as withdrawn while the petition takes withdrawals, and else
    as kept, so that the count stays. What was erased before is as it is."""
    drafts: list[Draft] = []
    withdraws = _takes(petition, None, now, False, WITHDRAWAL_TAKEN)
    for state in hers:
        if state.erased:
            continue
        at = _no_earlier(state, None, now, False)
        if withdraws and not state.withdrawn:
            gone = SignatureWithdrawn(signature=state.signature)
            drafts.append(draft(gone, at, delta=-int(state.standing), signature=state))
        fact = SignerErased(signature=state.signature, mode="withdrawn" if withdraws else "kept")
        drafts.append(draft(fact, at, signature=state))
    return drafts or AsIs(hers[-1])


def amend(state: SignatureState, pii_commit: bytes, now: datetime) -> Decision:
    """Rectify who signed: another commitment, and nothing else that the log says."""
    if state.erased:
        return ERASED
    if state.kind == "organisation":
        return IN_PUBLIC
    fact = SignatureAmended(signature=state.signature, pii_commit=pii_commit)
    return (draft(fact, _no_earlier(state, None, now, False), signature=state),)


def _takes(
    petition: PetitionState, at: datetime | None, now: datetime, imported: bool, taken: frozenset[Acceptance]
) -> bool:
    if imported:
        return petition.acceptance_at(now if at is None else at) in taken
    opened = petition.opens_at is None or petition.opens_at <= now
    return opened and petition.acceptance in taken


def _untimely(
    petition: PetitionState,
    state: SignatureState,
    at: datetime | None,
    now: datetime,
    imported: bool,
    taken: frozenset[Acceptance],
) -> Refused | None:
    return (_misplaced(state, at, now)) or (None if _takes(petition, at, now, imported, taken) else CLOSED)


def _no_earlier(state: SignatureState, at: datetime | None, now: datetime, imported: bool) -> datetime | None:
    """When a live event of no stated time is effective: when it is recorded (None), but not before the event that it
    follows. A site's clock may have put that one up to a minute ahead of ours, and nobody has to wait for it."""
    if at is None and not imported and state.effective is not None and state.effective > now:
        return state.effective
    return at


def _misplaced(state: SignatureState, at: datetime | None, now: datetime) -> Refused | None:
    """A signature's event may not be effective before the one it follows. An undated one follows nothing in time."""
    if at is not None and at > now + MAX_AHEAD:
        return FUTURE
    if at is not None and state.effective is not None and at < state.effective:
        return TOO_EARLY
    return None


def _asked(petition: PetitionState, answers: dict[str, str]) -> bool:
    questions = petition.questions or {}
    return all(choice in questions.get(question, ()) for question, choice in answers.items())


def _only_false(at: datetime | None, imported: bool) -> Literal[False] | None:
    """The member `at_known` of the types that leave it out where the time is known."""
    return False if imported and at is None else None
