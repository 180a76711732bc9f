"""Credentials: tokens of 256 random bits, kept as their SHA-256, with a role, a principal and limits.

A token is shown once, when it is made. Its prefix lets scanners find one that leaked. A principal is a name: all
tokens of one name and role act as one actor, whose random id is what events carry. This module must never log or
return a token but to its maker.
"""

import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final, Literal

from ledger.connecting import Connection
from ledger.sql_files import queries

TokenRole = Literal["site", "admin", "auditor", "privacy"]
PREFIX: Final = "slt_"
SQL: Final = queries("ledger", "sql/queries/access.sql")
RATE: Final = re.compile(r"[1-9][0-9]{0,5}/(?:s|min|h)", re.ASCII)
"""How much may be asked: a number in a second, a minute or an hour."""
_NAME: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,100}")


class TokenRefused(ValueError):
    """The credential cannot be made as asked. The text is a sentence for a person."""


@dataclass(frozen=True, slots=True)
class TokenListed:
    """What can be shown of a token. `id` begins its SHA-256, and names it for revoking."""

    id: str
    actor: str
    role: str
    name: str
    petition: str | None
    rate: str | None
    created: datetime
    expires: datetime | None
    revoked: datetime | None
    last_used: datetime | None

    def state(self, now: datetime) -> Literal["valid", "expired", "revoked"]:
        """Whether it is good at this time."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "valid"


async def create_token(
    connection: Connection,
    role: TokenRole,
    name: str,
    *,
    petition: str | None = None,
    rate: str | None = None,
    expires: datetime | None = None,
) -> str:
    """Make a token for a principal; the token itself, which nothing keeps. Raises TokenRefused.

    The connection is in the role `ledger_admin`.
    """
    if not _NAME.fullmatch(name) or name != name.strip():
        raise TokenRefused("A principal's name is one line of 1 to 100 characters.")
    if rate is not None and not RATE.fullmatch(rate):
        raise TokenRefused("A rate is a number of requests per second, N/s (or N/min, N/h).")
    token = PREFIX + secrets.token_urlsafe(32)
    async with connection.transaction():
        await connection.execute(SQL["one_principal_at_a_time"], name)
        actor = await connection.fetchval(SQL["actor_of"], role, name)
        await connection.execute(
            SQL["create"],
            sha256(token.encode()).digest(),
            actor or f"{role}:{secrets.token_hex(6)}",
            role,
            name,
            petition,
            rate,
            expires,
        )
    return token


async def list_tokens(connection: Connection) -> list[TokenListed]:
    """Every token, oldest first."""
    return [TokenListed(**dict(row.items())) for row in await connection.fetch(SQL["list"])]


async def revoke_token(connection: Connection, id: str) -> bool:
    """Revoke the token of this id; whether there was one that was not revoked yet."""
    if not re.fullmatch(r"[0-9a-f]{12}", id, re.ASCII):
        return False
    return bool(await connection.fetch(SQL["revoke"], id))
