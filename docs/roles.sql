-- Roles and logins for a PostgreSQL server of your own, 15 to 18. Run once, as a superuser, in the ledger's database,
-- before `ledger migrate`; running it again changes nothing. It sets no password: see docs/operating.md.
--
--   ledger_migrate_login  runs `ledger migrate`, and nothing else: it may become the owner of every table.
--   ledger_public_login   serves `--role public`: signs, reads, projects. It cannot invalidate, open or revise anything.
--   ledger_admin_login    serves `--role admin` and `--role all`, and the command line. It seals.
--
-- None of them is a superuser, and those that serve own nothing: the service refuses to start with one that does.

DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY[
    'ledger_owner', 'ledger_migrator', 'ledger_signing', 'ledger_admin', 'ledger_privacy', 'ledger_projector',
    'ledger_reader', 'ledger_backup', 'ledger_sealer'
  ] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
      EXECUTE format('CREATE ROLE %I NOLOGIN NOINHERIT', name);
    END IF;
  END LOOP;
  FOREACH name IN ARRAY ARRAY['ledger_migrate_login', 'ledger_public_login', 'ledger_admin_login'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
      EXECUTE format('CREATE ROLE %I LOGIN NOINHERIT', name);
    END IF;
  END LOOP;
  -- Migrations make roles, where there are none, and schemas.
  EXECUTE format('ALTER DATABASE %I OWNER TO ledger_migrate_login', current_database());
END
$$;

ALTER ROLE ledger_migrate_login CREATEROLE INHERIT;
GRANT ledger_owner TO ledger_migrate_login WITH ADMIN OPTION;
GRANT ledger_owner TO ledger_migrator;
GRANT ledger_reader, ledger_admin TO ledger_migrate_login;  -- it also states which vault key the ledger is made with

GRANT ledger_signing, ledger_reader, ledger_projector TO ledger_public_login;
GRANT ledger_signing, ledger_reader, ledger_projector, ledger_admin, ledger_privacy, ledger_backup, ledger_sealer
  TO ledger_admin_login;
