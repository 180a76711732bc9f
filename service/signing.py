"""Signing: from what a site says to the command that the ledger judges, and what of it goes back to the signer.

Pure: everything random is an argument. This module must never look at whether the petition takes the signature, and
never let an identity into anything but the vault's part of a command and the opening, which is given once.
"""

from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from ledger.email_policy import EmailPolicy
from ledger.identity import (
    TOKEN_BYTES,
    Email,
    Identity,
    Organisation,
    Ref,
    canonical_pii,
    email_domain,
    fingerprint,
    idempotency_token,
    name_token,
    pii_commit,
    signer_token,
)
from ledger.vault import Epoch, Opened, seal_identity
from schemas.canonical import to_base64
from schemas.commands import AmendSignature, AnswerKey, Evidence, RecordSignature
from schemas.requests import AmendedSigner, SignatureRequest

SIGNER_REF_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Rules:
    """How one petition reads its signers: by which policy, under which key."""

    petition: str
    policy: EmailPolicy
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Fresh:
    """What must be new and random for each signature: its id, its signer's reference in the log, 32 bytes of nonce, and
    what sealing takes (`ledger.vault.RANDOM_BYTES`)."""

    signature: UUID
    signer_ref: bytes
    nonce: bytes = field(repr=False)
    sealing: bytes = field(repr=False)


def identity_of(request: SignatureRequest, site: str) -> Identity:
    """Who signs. `site` is the actor of the site that asks: its references are its own."""
    if request.organisation is not None:
        return Organisation(request.organisation.name, request.organisation.reference)
    signer = request.signer
    assert signer is not None
    if signer.ref is not None:
        return Ref(signer.ref, site)
    assert signer.email is not None
    return Email(signer.email, signer.name, signer.postcode)


def recording(
    request: SignatureRequest, rules: Rules, epoch: Epoch, site: str, fresh: Fresh
) -> tuple[RecordSignature, Opened]:
    """The command for a signature, in which the identity is sealed, and what opens its commitment.

    Raises EmailRefused or IdentityRefused, neither of which repeats the identity.
    """
    identity = identity_of(request, site)
    opened = Opened(fresh.nonce, canonical_pii(identity))
    organisation, area = request.organisation, request.area
    command = RecordSignature(
        petition=rules.petition,
        signature=fresh.signature,
        token=signer_token(rules.key, identity, rules.policy),
        signer_ref=fresh.signer_ref,
        identity=seal_identity(epoch, fresh.signature, opened, fresh.sealing),
        pii_commit=pii_commit(opened.nonce, opened.pii),
        confirmed=request.confirmed,
        channel=request.channel,
        kind="person" if organisation is None else "organisation",
        imported=False,
        at=request.signed_at,
        name=None if organisation is None else organisation.name,
        reference=None if organisation is None else organisation.reference,
        country=None if area is None else area.country,
        region=None if area is None else area.region,
        answers=request.answers,
        text_version=request.text_version,
        comment=request.comment,
        evidence=_evidence(request, rules, identity),
    )
    return command, opened


def amending(
    request: AmendedSigner, rules: Rules, epoch: Epoch, signature: UUID, nonce: bytes, sealing: bytes
) -> AmendSignature:
    """The command that rectifies who signed. `nonce` and `sealing` are as in Fresh. Raises EmailRefused."""
    identity = Email(request.email, request.name, request.postcode)
    opened = Opened(nonce, canonical_pii(identity))
    name = None if request.name is None else name_token(rules.key, request.name)
    return AmendSignature(
        petition=rules.petition,
        signature=signature,
        token=signer_token(rules.key, identity, rules.policy),
        identity=seal_identity(epoch, signature, opened, sealing),
        pii_commit=pii_commit(opened.nonce, opened.pii),
        evidence=Evidence(None, None, email_domain(identity, rules.policy), name),
    )


def _evidence(request: SignatureRequest, rules: Rules, identity: Identity) -> Evidence | None:
    """What reviewers find fraud by, if there is anything: what the site saw, the domain of an address, and a name."""
    said = request.evidence
    domain = email_domain(identity, rules.policy)
    name = identity.name if isinstance(identity, Email | Organisation) else None
    token = None if name is None else name_token(rules.key, name)
    if said is None and domain is None and token is None:
        return None
    return Evidence(None if said is None else said.ip, None if said is None else said.user_agent, domain, token)


def answer_key(petition: str, key: bytes, credential: str, client_key: str, route: str, said: bytes) -> AnswerKey:
    """By what a repeat of this request is known. `key` is the petition's; `said` the request in canonical bytes."""
    return AnswerKey(
        credential,
        petition,
        idempotency_token(key, credential, client_key),
        fingerprint(key, route, said)[:TOKEN_BYTES],
    )


def receipt_path(petition: str, signature: str) -> str:
    """Where a signature's receipt is to be had, once its position is sealed."""
    return f"/petitions/{petition}/signatures/{signature}/receipt"


def opening_of(opened: Opened) -> dict[str, str]:
    """What shows that a leaf's commitment is to this identity: nonce and canonical identity, in base64."""
    return {"nonce": to_base64(opened.nonce), "identity": to_base64(opened.pii)}
