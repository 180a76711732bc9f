"""What never changes about a petition and is needed for every signature, kept in memory: how its signers are read.

A petition names its identity policy in its first event, and its key follows from the vault's root key: both hold for
ever, so that signing asks the database for them once. This module must never keep what may change, what was not found,
or more than it is bounded to.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Final, TypeVar

from ledger.connecting import Connection
from ledger.email_policy import email_policy
from service.signing import Rules

if TYPE_CHECKING:
    from service.database import Ledger

MOST: Final = 10_000
"""Petitions that are remembered at once: a few hundred bytes each."""

V = TypeVar("V")
Asking = Callable[[], AbstractAsyncContextManager[Connection]]


class PetitionRules:
    """The rules of the petitions that were asked for. One for a process, used on one event loop."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._rules: dict[str, Rules] = {}
        self._keys: dict[str, bytes] = {}

    async def of(self, petition: str, ledger: "Ledger", asking: Asking) -> Rules | None:
        """The rules of a petition; None where there is none. `asking` gives a connection that may ask for them.

        Raises UnknownPolicy where the petition was opened by a newer release, service.database's Unavailable, and what
        the database raises.
        """
        if (kept := self._rules.get(petition)) is not None:
            return kept
        async with asking() as connection:
            named = await connection.fetchval("SELECT identity_policy FROM ledger.petition_rules($1)", petition)
        if named is None:
            return None
        name, _, version = named.partition("/")
        rules = Rules(petition, email_policy(name, int(version)), await self.key(petition, ledger))
        return self._keep(self._rules, petition, rules)

    async def key(self, petition: str, ledger: "Ledger") -> bytes:
        """The petition's key, whether there is such a petition or not. Raises service.database's Unavailable."""
        if (kept := self._keys.get(petition)) is not None:
            return kept
        return self._keep(self._keys, petition, await asyncio.to_thread(ledger.petition_key, petition))

    def _keep(self, kept: dict[str, V], petition: str, value: V) -> V:
        if len(kept) >= self._most:
            del kept[next(iter(kept))]
        kept[petition] = value
        return value
