"""Signatures, folded: which event may follow which, and what each adds to the count.

An event adds 1 where the signature stands after it and did not before, takes 1 away where it ceases to stand, and
adds 0 else. Live events are judged by what the petition takes at their position, imported ones by what it took at
their effective time; corrections always go on.

Pure. This module must never refuse an event: what is wrong with it is named, and what it says is taken.
"""

from sys import intern
from typing import assert_never

from ledger.folding.corrections import act
from ledger.folding.state import Fold, FoldedPetition, FoldedSignature, is_imported, known_time
from schemas.envelope import Event
from schemas.events import (
    SignatureAmended,
    SignatureConfirmed,
    SignatureInvalidated,
    SignatureRecorded,
    SignatureReinstated,
    SignatureWithdrawn,
    SignerErased,
)

SignatureFact = (
    SignatureRecorded
    | SignatureConfirmed
    | SignatureAmended
    | SignatureWithdrawn
    | SignatureInvalidated
    | SignatureReinstated
    | SignerErased
)


def move(fold: Fold, petition: FoldedPetition, event: Event, fact: SignatureFact) -> tuple[FoldedSignature | None, int]:
    """The signature after this event, None where there is none, and what the event adds to the count."""
    if petition.basis != "itemised":
        fold.breaks("basis", event, "a signature event stands in an observed petition")
    if isinstance(fact, SignatureRecorded):
        return _record(fold, petition, event, fact)
    signature = fold.signatures.get(fact.signature.bytes)
    if signature is None or signature.petition is not petition:
        fold.breaks("transition", event, "the petition has no such signature")
        return None, 0
    stood = signature.stands
    if signature.erased and not isinstance(fact, SignatureInvalidated | SignatureReinstated):  # `act` says it of these
        fold.breaks("transition", event, "something happens to a signature whose signer was erased")
    match fact:
        case SignatureConfirmed():
            if signature.confirmed or signature.withdrawn:
                fold.breaks("transition", event, "a signature is confirmed that is confirmed or withdrawn already")
            _taken(fold, petition, event, ("open",))
            signature.confirmed = True
        case SignatureWithdrawn():
            if signature.withdrawn:
                fold.breaks("transition", event, "a signature is withdrawn twice")
            _taken(fold, petition, event, ("open", "paused"))
            signature.withdrawn = True
        case SignatureInvalidated(correction=correction):
            if correction in signature.holds:
                fold.breaks("transition", event, "a correction holds a signature that it holds already")
            act(fold, event, signature, correction, ("invalidate", fact.reason))
            signature.holds = (*signature.holds, correction)
        case SignatureReinstated(lifts=lifts):
            if lifts not in signature.holds:
                fold.breaks("transition", event, "a hold is lifted that is not on the signature")
            act(fold, event, signature, fact.correction, ("reinstate", fact.reason), lifts)
            signature.holds = tuple(hold for hold in signature.holds if hold != lifts)
        case SignerErased(mode=mode):
            if mode == "withdrawn" and not signature.withdrawn:
                fold.breaks("transition", event, "a signer was erased as withdrawn who had not withdrawn")
            if mode == "kept" and _takes(petition, event, ("open", "paused")):
                fold.breaks("transition", event, "a signer was erased as kept while the petition took withdrawals")
            signature.erased = True
        case SignatureAmended():
            pass  # another commitment; nothing that a rule asks for
        case _:
            assert_never(fact)
    at = known_time(event)
    if at is not None:
        if signature.effective is not None and at < signature.effective:
            fold.breaks("times", event, "it is effective before the event of this signature that it follows")
        signature.effective = at
    return signature, int(signature.stands) - int(stood)


def _record(fold: Fold, petition: FoldedPetition, event: Event, fact: SignatureRecorded) -> tuple[FoldedSignature, int]:
    if fact.signature.bytes in fold.signatures:
        fold.breaks("transition", event, "a signature is recorded twice")
    latest = petition.signers.get(fact.signer_ref)
    if latest is not None and not latest.erased and (latest.holds or not latest.withdrawn):
        fold.breaks("signer-once", event, "a signer signs whose latest signature was not withdrawn, or is held")
    _taken(fold, petition, event, ("open",))
    if fact.text_version > petition.text_version:
        fold.breaks("public-fields", event, "it signs a text that the petition does not have yet")
    stated = {"country": fact.country, "region": fact.region, "answers": fact.answers}
    if any(value is not None and name not in petition.public_fields for name, value in stated.items()):
        fold.breaks("public-fields", event, "it states a field that the petition does not publish")
    asked = petition.questions or {}
    if any(choice not in asked.get(question, ()) for question, choice in (fact.answers or {}).items()):
        fold.breaks("public-fields", event, "it answers what the petition does not ask")
    signature = FoldedSignature(
        id=fact.signature.bytes,
        petition=petition,
        position=event.position,
        version=event.version,
        confirmed=fact.confirmed,
        effective=known_time(event),
        channel=intern(fact.channel),
        kind=intern(fact.kind),
        country=None if fact.country is None else intern(fact.country),
        region=None if fact.region is None else intern(fact.region),
        answers=fact.answers,
        previous=None if latest is None else latest.id,
    )
    fold.signatures[signature.id] = petition.signers[fact.signer_ref] = signature
    return signature, int(signature.stands)


def _taken(fold: Fold, petition: FoldedPetition, event: Event, by: tuple[str, ...]) -> None:
    if not _takes(petition, event, by):
        fold.breaks("acceptance", event, "the petition does not take this then")


def _takes(petition: FoldedPetition, event: Event, by: tuple[str, ...]) -> bool:
    if is_imported(event):
        return petition.acceptance_at(event.time) in by
    opened = petition.opens_at is None or petition.opens_at <= event.recorded
    return opened and petition.acceptance in by
