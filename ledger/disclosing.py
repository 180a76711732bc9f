"""Disclosing: what the vault holds of one person, and the openings of signatures, for those who may ask.

The database writes down who asked about which signature in the transaction in which it answers, so that a row that was
given out is one that is written down: what these functions return is read in a transaction that has been committed.

This module must never look for anybody by anything but tokens or ids, never keep what it read, and never put it into a
message.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from ledger.connecting import Connection
from ledger.epochs import Epochs
from ledger.sql_files import queries
from ledger.vault import CannotOpen, Opened, open_identity
from schemas.sealed import SealedIdentity

SQL: Final = queries("ledger", "sql/queries/disclosing.sql")


class NotAll(LookupError):
    """The petition does not have every signature that was named."""


@dataclass(frozen=True, slots=True)
class Held:
    """All that is held of one signature of a person. `seen` is when its evidence was recorded."""

    petition: str
    signature: UUID
    position: int
    recorded: datetime
    state: str
    identity: SealedIdentity | None
    ip: str | None = field(repr=False)
    user_agent: str | None = field(repr=False)
    email_domain: str | None = field(repr=False)
    seen: datetime | None
    comment: str | None = field(repr=False)
    released: bool | None


@dataclass(frozen=True, slots=True)
class Committed:
    """A signature that was named, and the leaf that commits to its identity; nothing is left to open where the signer
    was erased."""

    signature: UUID
    position: int
    erased: bool
    identity: SealedIdentity | None


async def identity_policies(connection: Connection) -> list[tuple[str, str]]:
    """Every petition's id, and its identity policy as `name/version`. The role is `ledger_privacy`, here as below."""
    return [(row["id"], row["identity_policy"]) for row in await connection.fetch(SQL["identity_policies"])]


async def held_of(connection: Connection, actor: str, petitions: Sequence[str], tokens: Sequence[bytes]) -> list[Held]:
    """What is held of a person, by position: pairwise, petitions and the token that she has there. Written down."""
    rows = await connection.fetch(SQL["subject"], actor, list(petitions), list(tokens))
    return [
        Held(
            petition=row["id"],
            signature=row["signature"],
            position=row["position"],
            recorded=row["recorded"],
            state=row["state"],
            identity=_sealed(row),
            ip=None if row["ip"] is None else str(row["ip"]),
            user_agent=row["user_agent"],
            email_domain=row["email_domain"],
            seen=row["seen"],
            comment=row["comment"],
            released=row["released"],
        )
        for row in rows
    ]


async def committed(connection: Connection, actor: str, petition: str, signatures: Sequence[UUID]) -> list[Committed]:
    """The sealed identities of these signatures, by position. Written down, but for those that are erased.

    Raises NotAll, and then nothing was read.
    """
    try:
        rows = await connection.fetch(SQL["openings"], actor, petition, list(signatures))
    except asyncpg.NoDataFoundError:
        raise NotAll from None
    return [Committed(row["signature"], row["position"], row["erased"], _sealed(row)) for row in rows]


def opened(epochs: Epochs, signature: UUID, identity: SealedIdentity | None) -> Opened:
    """What the sealed row holds. Raises CannotOpen, also where there is no row, and KeyUnavailable."""
    if identity is None:
        raise CannotOpen
    return open_identity(epochs.of(identity.epoch), signature, identity)


def _sealed(row: Any) -> SealedIdentity | None:
    return None if row["sealed"] is None else SealedIdentity(row["epoch"], row["wrapped_key"], row["sealed"])
