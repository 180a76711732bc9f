"""Who may do what: every role, verb and object that the database knows, held against a table in this repository.

`role_matrix.txt` has a line for each thing that is allowed; what has no line is refused. A new table or function shows
up here as a difference: read it, then put the line into the file, or take the grant back.
"""

from collections.abc import Iterable
from pathlib import Path

import asyncpg
import pytest

from tests.conftest import LedgerDatabase

TABLE = Path(__file__).with_name("role_matrix.txt")

ALLOWED = """
WITH roles(role) AS (
  SELECT unnest(ARRAY['ledger_admin', 'ledger_backup', 'ledger_migrator', 'ledger_privacy', 'ledger_projector',
                      'ledger_reader', 'ledger_sealer', 'ledger_signing', 'public'])
), schemas AS (
  SELECT oid, nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
), relations AS (
  SELECT c.oid, c.relkind, format('%s.%s', s.nspname, c.relname) AS name
    FROM pg_class c JOIN schemas s ON s.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
)
SELECT role, verb, 'schema ' || nspname
  FROM roles, schemas, unnest(ARRAY['USAGE', 'CREATE']) AS verb WHERE has_schema_privilege(role, oid, verb)
UNION ALL
SELECT role, verb, 'table ' || name
  FROM roles, relations,
       unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS verb
 WHERE relkind <> 'S' AND has_table_privilege(role, oid, verb)
UNION ALL
SELECT role, verb, format('column %s.%s', name, attname)
  FROM roles, relations JOIN pg_attribute a ON a.attrelid = oid AND a.attnum > 0 AND NOT a.attisdropped,
       unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'REFERENCES']) AS verb
 WHERE relkind <> 'S' AND has_column_privilege(role, oid, a.attnum, verb) AND NOT has_table_privilege(role, oid, verb)
UNION ALL
SELECT role, verb, 'sequence ' || name
  FROM roles, relations, unnest(ARRAY['USAGE', 'SELECT', 'UPDATE']) AS verb
 WHERE relkind = 'S' AND has_sequence_privilege(role, oid, verb)
UNION ALL
SELECT role, 'EXECUTE', format('function %s.%s', nspname, proname)
  FROM roles, pg_proc p JOIN schemas s ON s.oid = p.pronamespace WHERE has_function_privilege(role, p.oid, 'EXECUTE')
UNION ALL
SELECT role, verb, 'the database'
  FROM roles, unnest(ARRAY['CREATE', 'TEMPORARY']) AS verb
 WHERE has_database_privilege(role, current_database(), verb)
"""


def differences(expected: Iterable[str], found: Iterable[str]) -> list[str]:
    """What is in one and not in the other, as lines to put in or to take out."""
    wanted, is_so = set(expected), set(found)
    return sorted(
        [f"not allowed: {line}" for line in wanted - is_so] + [f"a surprise: {line}" for line in is_so - wanted]
    )


async def test_roles_may_do_exactly_what_the_table_says(ledger_database: LedgerDatabase) -> None:
    """If a role may do anything to anything, then the table says so; and what the table says, it may."""
    rows = await ledger_database.superuser.fetch(ALLOWED)
    expected = TABLE.read_text(encoding="utf-8").splitlines()
    assert differences(expected, ["  ".join(row) for row in rows]) == []
    assert expected == sorted(set(expected))


async def test_roles_neither_log_in_nor_have_powers_of_their_own(ledger_database: LedgerDatabase) -> None:
    """If a role is one of the ledger's, then it cannot log in, inherits nothing, and is above no rule; and only the
    migrator may become the owner."""
    connection = ledger_database.superuser
    powers = await connection.fetch(
        "SELECT rolname, rolcanlogin OR rolsuper OR rolinherit OR rolcreaterole OR rolcreatedb OR rolreplication"
        " OR rolbypassrls AS too_much FROM pg_roles WHERE rolname ~ '^ledger_' AND rolname !~ '^ledger_test'"
    )
    assert {row["rolname"]: row["too_much"] for row in powers} == {
        f"ledger_{name}": False
        for name in ("owner", "migrator", "signing", "admin", "privacy", "projector", "reader", "backup", "sealer")
    }
    members = await connection.fetch(
        "SELECT member::regrole::text AS who, roleid::regrole::text AS whom FROM pg_auth_members"
        " WHERE roleid::regrole::text ~ '^ledger_' AND member::regrole::text ~ '^ledger_'"
    )
    assert [(row["who"], row["whom"]) for row in members] == [("ledger_migrator", "ledger_owner")]


async def test_everything_belongs_to_the_owner_whom_nobody_is(ledger_database: LedgerDatabase) -> None:
    """If an object is in one of the ledger's schemas, then `ledger_owner` owns it."""
    others = await ledger_database.superuser.fetch(
        """
        SELECT 'relation ' || c.oid::regclass AS what FROM pg_class c
         WHERE c.relnamespace::regnamespace::text IN ('ledger', 'vault', 'access', 'projections')
           AND c.relowner <> 'ledger_owner'::regrole
        UNION ALL
        SELECT 'function ' || p.oid::regprocedure FROM pg_proc p
         WHERE p.pronamespace::regnamespace::text IN ('ledger', 'vault', 'access', 'projections')
           AND p.proowner <> 'ledger_owner'::regrole
        UNION ALL
        SELECT 'schema ' || n.nspname FROM pg_namespace n
         WHERE n.nspname IN ('ledger', 'vault', 'access', 'projections') AND n.nspowner <> 'ledger_owner'::regrole
        """
    )
    assert [row["what"] for row in others] == []


async def test_functions_that_act_as_the_owner_have_a_fixed_search_path(ledger_database: LedgerDatabase) -> None:
    """If a function runs with its owner's rights, then nobody can put a table of their own in its way: the path is
    fixed, and what is temporary comes last."""
    definers = await ledger_database.superuser.fetch(
        "SELECT oid::regprocedure::text AS name, proconfig FROM pg_proc WHERE prosecdef"
        " AND pronamespace::regnamespace::text !~ '^pg_' AND pronamespace::regnamespace::text <> 'information_schema'"
    )
    assert len(definers) > 5
    assert {tuple(row["proconfig"] or ()) for row in definers} == {("search_path=pg_catalog, pg_temp",)}


async def test_a_reader_reads_and_nothing_else(ledger_database: LedgerDatabase) -> None:
    """If a reader's connection is used for the vault or the append functions, then it is refused there."""
    reader = await ledger_database.connect("ledger_reader")
    assert await reader.fetchval("SELECT count(*) FROM ledger.events") == 0
    refused = [
        "SELECT * FROM vault.signers",
        "SELECT * FROM vault.identities",
        "SELECT * FROM ledger.signatures",
        "SELECT * FROM access.tokens",
        "SELECT ledger.lock_head()",
        "SELECT ledger.append('admin', 0, now(), 'x', NULL)",
    ]
    for statement in refused:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.execute(statement)
