"""What a service refuses to start on: settings that contradict what the ledger promises.

Acknowledged means durable, so the server must write through to the disk; events never change, so what forbids it must
be on, and the login must not be one that could change them; nobody counts twice, so the vault's key must be the one
that signers are known again by; what is sealed can be opened, so the keys of the vault's epochs must be there; nothing
of a fault is told to clients, so asyncio must not be in debug mode.

This module must never repair a setting, and never let a service start because it could not be asked.
"""

import asyncio
from typing import Final

import asyncpg

from ledger.identity import key_check
from ledger.keys import KeyUnavailable, load_root_key
from ledger.rewrapping import stated_epochs, wrong_epoch
from ledger.sql_files import queries
from service.database import Ledger, Unavailable

_DURABILITY: Final = {
    "fsync": "a power loss would take acknowledged signatures away",
    "full_page_writes": "a power loss could tear pages of the log",
    "synchronous_commit": "an acknowledged signature would not be on the disk yet",
}
_REPLICATION: Final = "session_replication_role"


async def broken(ledger: Ledger) -> list[str]:
    """A sentence for each promise that could not be kept here; none where the service may start. Raises Unavailable."""
    sentences = []
    if asyncio.get_running_loop().get_debug():
        sentences.append(
            "asyncio is in debug mode, which would tell clients of our faults; unset PYTHONASYNCIODEBUG and -X dev."
        )
    asked = queries("service", "serving/sql/promises.sql")
    try:
        connection = await asyncpg.connect(ledger.dsn, timeout=10, command_timeout=10)
        try:
            settings = await connection.fetch(asked["durability"])
            login = await connection.fetchrow(asked["login"])
            idle = await connection.fetch(asked["idle_triggers"])
        finally:
            await connection.close()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
        raise Unavailable(f"The database cannot be asked what it promises ({type(error).__name__}).") from None
    for row in settings:
        if "off" in (row["setting"], row["reset_val"]):
            name = row["name"]
            sentences.append(f"The database runs with {name} off: {_DURABILITY[name]}. Turn it on.")
        if row["name"] == _REPLICATION and row["setting"] != "origin":
            sentences.append(
                f"The database runs with {_REPLICATION} {row['setting']}: what guards its tables is off. Reset it."
            )
    for row in idle:
        sentences.append(f"The trigger {row['name']}, which guards {row['guarded']}, is disabled. Enable it.")
    assert login is not None
    if login["is_superuser"]:
        sentences.append("The login is a superuser, who could change the log unseen. Give the service one that is not.")
    elif login["is_owner"]:
        sentences.append("The login owns the tables, or may. Give the service one that only takes the ledger's roles.")
    elif login["has_powers"]:
        sentences.append(
            "The login may make roles, replicate, pass over rules, or read or write everything. Give the service one"
            " that only takes the ledger's roles."
        )
    else:
        sentences += await _of_the_keys(ledger)
    return sentences


async def _of_the_keys(ledger: Ledger) -> list[str]:
    """What is wrong with the vault's keys. Raises Unavailable."""
    connection = await ledger.connect("ledger_signing")
    try:
        stated = await connection.fetchval(queries("service", "serving/sql/promises.sql")["stated_key"])
        epochs = await stated_epochs(connection)
    finally:
        await connection.close()
    if stated is None or not epochs:
        return ["The ledger has no vault key yet: run `ledger migrate` with LEDGER_VAULT_KEY_FILE first."]
    try:
        key = load_root_key(ledger.key_file)
    except KeyUnavailable as error:
        return [f"The vault's key is not to be had: {error}."]
    if key_check(key) != stated:
        return [f"{ledger.key_file} is not the key that this ledger was made with."]
    wrong = wrong_epoch(ledger.epochs(), epochs)
    return [] if wrong is None else [f"A key of the vault's epochs is not to be had: {wrong}."]
