"""Connecting: how the ledger's own connections are made, and which role each takes.

A connection takes exactly one role, by a start-up parameter, so that a reset of the session cannot drop it. What
writers and readers need of a session (time-outs, durability, planning) is set here, once, for all of them.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

import asyncpg

Role = Literal[
    "ledger_signing",
    "ledger_admin",
    "ledger_privacy",
    "ledger_projector",
    "ledger_reader",
    "ledger_backup",
    "ledger_sealer",
]

if TYPE_CHECKING:
    Connection = asyncpg.Connection[Any]
else:
    Connection = asyncpg.Connection  # generic for the type checker only

_EVERY: Final[Mapping[str, str]] = {
    "application_name": "ledger",
    "timezone": "UTC",
    "jit": "off",
    # Plans made while a table was small are ruinous once it is not.
    "plan_cache_mode": "force_custom_plan",
}
_WRITING: Final[Mapping[str, str]] = {
    # An answer means that the event is on the disk.
    "synchronous_commit": "on",
    # A writer that freezes with the head locked must not stop the ledger for longer than this.
    "idle_in_transaction_session_timeout": "2s",
    "lock_timeout": "5s",
    "statement_timeout": "30s",
    "tcp_user_timeout": "5s",
    "client_connection_check_interval": "2s",
}
_READING: Final[Mapping[str, str]] = {
    "default_transaction_read_only": "on",
    "idle_in_transaction_session_timeout": "60s",
}
_PROJECTING: Final[Mapping[str, str]] = {"idle_in_transaction_session_timeout": "60s", "lock_timeout": "30s"}
_SEALING: Final[Mapping[str, str]] = {
    # A head is copied and shown only after it is on the disk.
    "synchronous_commit": "on",
    # A sealer that freezes with the lock held must not stop the others for ever.
    "idle_in_transaction_session_timeout": "30s",
    "lock_timeout": "30s",
    "statement_timeout": "60s",
    "tcp_user_timeout": "5s",
    "client_connection_check_interval": "2s",
}


def settings(role: Role) -> dict[str, str]:
    """The session settings of a connection in this role."""
    match role:
        case "ledger_signing" | "ledger_admin" | "ledger_privacy":
            return {**_EVERY, **_WRITING, "role": role}
        case "ledger_projector":
            return {**_EVERY, **_PROJECTING, "role": role}
        case "ledger_sealer":
            return {**_EVERY, **_SEALING, "role": role}
        case "ledger_reader" | "ledger_backup":
            return {**_EVERY, **_READING, "role": role}


async def connect(dsn: str, role: Role, *, patience: float = 10.0, command_timeout: float = 60.0) -> Connection:
    """A connection in this role. Times in seconds. Raises what asyncpg raises where the server is not to be had."""
    return await asyncpg.connect(dsn, timeout=patience, command_timeout=command_timeout, server_settings=settings(role))
