"""Disclosing: from rows that are sealed to the documents that a privacy officer and an auditor are given.

A person is looked for in every petition by the token that she has there. What does not open is never left out: whoever
asks is told that not all of it can be read. This module must never keep or log what it opened.
"""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson

from ledger.connecting import Connection
from ledger.disclosing import Committed, Held, committed, held_of, identity_policies, opened
from ledger.email_policy import EmailRefused, UnknownPolicy, email_policy
from ledger.epochs import Epochs
from ledger.identity import Email, signer_token
from ledger.keys import KeyUnavailable
from ledger.vault import CannotOpen, Opened
from schemas.ids import Position, leaf_index
from schemas.instants import format_instant
from service.signing import opening_of

if TYPE_CHECKING:
    from service.database import Ledger


class Unreadable(Exception):
    """Not all of it can be read. The text is a sentence for a person."""


async def subject(
    privacy: Connection, ledger: "Ledger", epochs: Epochs, actor: str, email: str, petition: str | None
) -> dict[str, Any]:
    """What is held of whoever signs by this address, in one petition or in all. The role is `ledger_privacy`.

    Raises EmailRefused where it is no address that any petition takes, Unreadable, and service.database's Unavailable.
    """
    policies = [each for each in await identity_policies(privacy) if petition in (None, each[0])]
    petitions, tokens = await asyncio.to_thread(_tokens, ledger, policies, email)
    held = await held_of(privacy, actor, petitions, tokens)
    return {"signatures": [_held(epochs, each) for each in held]}


async def openings(
    privacy: Connection, epochs: Epochs, actor: str, petition: str, signatures: Sequence[UUID]
) -> dict[str, Any]:
    """The openings of these signatures. The role is `ledger_privacy`.

    Raises ledger.disclosing's NotAll, and Unreadable.
    """
    found = await committed(privacy, actor, petition, signatures)
    return {
        "petition": petition,
        "openings": [_opening(epochs, each) for each in found if not each.erased],
        "erased": [str(each.signature) for each in found if each.erased],
    }


def _tokens(ledger: "Ledger", policies: Sequence[tuple[str, str]], email: str) -> tuple[list[str], list[bytes]]:
    """Pairwise, the petitions that take this address, and the token of whoever signs by it there."""
    petitions: list[str] = []
    tokens: list[bytes] = []
    refused: str | None = None
    for (petition, named), key in zip(policies, ledger.petition_keys(id for id, _ in policies), strict=True):
        name, _, version = named.partition("/")
        try:
            tokens.append(signer_token(key, Email(email), email_policy(name, int(version))))
            petitions.append(petition)
        except EmailRefused as refusal:
            refused = str(refusal)  # by this policy nobody can have signed by it
        except (UnknownPolicy, ValueError):
            raise Unreadable("A petition's identity policy is not known to this release.") from None
    if refused is not None and not petitions:
        raise EmailRefused(refused)
    return petitions, tokens


def _held(epochs: Epochs, held: Held) -> dict[str, Any]:
    identity = _opened(epochs, held.signature, held)
    return {
        "petition": held.petition,
        "signature": str(held.signature),
        "position": held.position,
        "recorded_at": format_instant(held.recorded),
        "state": held.state,
        "identity": orjson.loads(identity.pii),
        "evidence": None
        if held.seen is None
        else {
            "recorded_at": format_instant(held.seen),
            "ip": held.ip,
            "user_agent": held.user_agent,
            "email_domain": held.email_domain,
        },
        "comment": None if held.comment is None else {"text": held.comment, "released": held.released},
    }


def _opening(epochs: Epochs, leaf: Committed) -> dict[str, Any]:
    return {
        "signature": str(leaf.signature),
        "index": leaf_index(Position(leaf.position)),
        **opening_of(_opened(epochs, leaf.signature, leaf)),
    }


def _opened(epochs: Epochs, signature: UUID, row: Held | Committed) -> Opened:
    sentence = "The service lacks a key."
    try:
        return opened(epochs, signature, row.identity)
    except KeyUnavailable:
        pass  # raised below, outside the handlers: what was raised names a file
    except CannotOpen:
        sentence = "A row of the vault does not open; the operator's `ledger fsck --deep` names it."
    raise Unreadable(sentence)
