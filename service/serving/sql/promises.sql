-- What a service asks of its database before it promises anything: whether an acknowledged event is on the disk, and
-- whether the login could change the log behind the ledger's back. Asked by the login itself, in no role but where it says so.

-- name: durability
-- The settings without which acknowledged would not mean durable, and the one under which triggers do not run. The
-- server's own: a session may have set another.
SELECT name, setting, reset_val FROM pg_settings
 WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit', 'session_replication_role') ORDER BY name;

-- name: login
-- What a login can become counts as what it is: members of the owner can become the owner, members of the migrator both;
-- and a role that may make roles can make itself a member of any (before PostgreSQL 16).
WITH becomes AS (
  SELECT r.* FROM pg_roles r WHERE pg_has_role(session_user, r.oid, 'MEMBER')
)
SELECT bool_or(rolsuper) AS is_superuser,
       bool_or(rolname IN ('ledger_owner', 'ledger_migrator') OR EXISTS (
         SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE n.nspname IN ('ledger', 'vault', 'access', 'projections') AND c.relowner = becomes.oid
       )) AS is_owner,
       bool_or(rolcreaterole OR rolreplication OR rolbypassrls OR rolname IN (
         'pg_read_all_data', 'pg_write_all_data', 'pg_read_server_files', 'pg_write_server_files',
         'pg_execute_server_program'
       )) AS has_powers
  FROM becomes;

-- name: idle_triggers
-- What the tables are guarded by, where it does not run.
SELECT t.tgname AS name, n.nspname || '.' || c.relname AS guarded
  FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname IN ('ledger', 'vault', 'access') AND t.tgenabled IN ('D', 'R') ORDER BY 1, 2;

-- name: stated_key
-- Asked in the role `ledger_signing`.
SELECT ledger.stated_key();
