"""Migrations: brings a database's schema up to date, forward only.

Each file is one transaction; what was applied is remembered with its SHA-256, and an edited file refuses to run. An
advisory lock makes it safe to run from many places at once: the first does the work, the others find it done.

The files of a package run in the order of their names, the packages in the order given: the ledger's first, then what
is derived from it. This module must never roll anything back, and no migration may touch an event.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import Any

import asyncpg

LEDGER = "ledger.sql.migrations"
_LOCK = 7_269_871_325_001
"""The advisory lock's number: any constant will do, as long as every release keeps it."""


class MigrationRefused(Exception):
    """The schema cannot be brought up to date. The text says what a person can do."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its name (`ledger/0002_events`), its text, and the hash that says whether it was edited."""

    name: str
    text: str
    sha256: bytes


def shipped(package: str) -> list[Migration]:
    """The migrations that a package ships, in order. `package` is the dotted name of their directory."""
    room = package.split(".")[0]
    found = sorted(entry.name for entry in files(package).iterdir() if entry.name.endswith(".sql"))
    migrations = []
    for name in found:
        text = files(package).joinpath(name).read_text(encoding="utf-8")
        migrations.append(Migration(f"{room}/{name.removesuffix('.sql')}", text, sha256(text.encode()).digest()))
    return migrations


async def migrate(
    connection: "asyncpg.Connection[Any]",
    packages: Sequence[str],
    say: Callable[[str], None] = lambda _: None,
) -> int:
    """Apply what is missing; the number of migrations applied. Raises MigrationRefused.

    The connection must be allowed to create roles and schemas, or find the roles made.
    """
    await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
    try:
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS public.ledger_migrations ("
            " name text PRIMARY KEY, sha256 bytea NOT NULL, applied timestamptz NOT NULL DEFAULT clock_timestamp())"
        )
        applied = {row["name"]: row["sha256"] for row in await connection.fetch("TABLE public.ledger_migrations")}
        known = [migration for package in packages for migration in shipped(package)]
        if ahead := applied.keys() - {migration.name for migration in known}:
            raise MigrationRefused(
                f"The database was migrated by a newer release (it knows {min(ahead)}); run that, or a newer one."
            )
        count = 0
        for migration in known:
            if migration.name in applied:
                if applied[migration.name] != migration.sha256:
                    raise MigrationRefused(f"{migration.name} was edited after it had been applied; restore the file.")
                continue
            say(f"migrating: {migration.name}")
            async with connection.transaction():
                await connection.execute(migration.text)
                await connection.execute("RESET ROLE")
                await connection.execute(
                    "INSERT INTO public.ledger_migrations (name, sha256) VALUES ($1, $2)",
                    migration.name,
                    migration.sha256,
                )
            count += 1
        return count
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)


async def is_current(connection: "asyncpg.Connection[Any]", packages: Sequence[str]) -> bool:
    """Whether every migration that is shipped has been applied."""
    if await connection.fetchval("SELECT to_regclass('public.ledger_migrations')") is None:
        return False
    applied = {row["name"] for row in await connection.fetch("SELECT name FROM public.ledger_migrations")}
    return {migration.name for package in packages for migration in shipped(package)} <= applied
