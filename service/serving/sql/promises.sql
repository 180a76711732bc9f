-- What a service asks of its database before it promises anything: whether an acknowledged event is on the disk, and
-- whether the login could change the log behind the ledger's back. Asked by the login itself, in no role but where it says so.

-- name: durability
-- The settings without which acknowledged would not mean durable. The server's own: a session may have set another.
SELECT name, setting, reset_val FROM pg_settings
 WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') ORDER BY name;

-- name: login
-- Members of the owner can become the owner; members of the migrator can become both.
SELECT r.rolsuper AS is_superuser,
       (pg_has_role(session_user, 'ledger_owner', 'MEMBER') OR pg_has_role(session_user, 'ledger_migrator', 'MEMBER'))
         AS is_owner
  FROM pg_roles r WHERE r.rolname = session_user;

-- name: stated_key
-- Asked in the role `ledger_signing`.
SELECT ledger.stated_key();
