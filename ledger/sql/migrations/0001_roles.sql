-- Who may do what, before there is anything to do it to.
--
-- Roles belong to the whole server, so several ledgers on one server share them; each ledger grants them its own objects.
-- None of them can log in: a login is a member (NOINHERIT) and takes the one role that its work needs with SET ROLE.
-- `ledger_owner` owns every object and nobody works as it: the triggers of 0002 refuse even the owner.

DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY[
    'ledger_owner',      -- owns schemas, tables, functions
    'ledger_migrator',   -- may become the owner; the migration job's login is a member
    'ledger_signing',    -- EXECUTE lock_head, read_state, append_signing; no table
    'ledger_admin',      -- EXECUTE lock_head, read_state, append_admin, tokens; no table
    'ledger_privacy',    -- EXECUTE lock_head, read_state, append_privacy; no table
    'ledger_projector',  -- SELECT events, DML on projections
    'ledger_reader',     -- SELECT events and projections
    'ledger_backup'      -- SELECT everything: backups and fsck
  ] LOOP
    BEGIN
      EXECUTE format('CREATE ROLE %I NOLOGIN NOINHERIT', name);
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
      NULL;  -- made by another ledger on this server, or by one that migrates at this moment
    END;
  END LOOP;
END
$$;

DO $$
BEGIN
  GRANT ledger_owner TO ledger_migrator;
EXCEPTION WHEN unique_violation OR internal_error THEN
  NULL;  -- granted at this moment by another ledger's migration
END
$$;

CREATE SCHEMA ledger AUTHORIZATION ledger_owner;
CREATE SCHEMA vault AUTHORIZATION ledger_owner;
CREATE SCHEMA access AUTHORIZATION ledger_owner;

REVOKE ALL ON SCHEMA ledger, vault, access FROM PUBLIC;
GRANT USAGE ON SCHEMA ledger TO
  ledger_signing, ledger_admin, ledger_privacy, ledger_projector, ledger_reader, ledger_backup;
GRANT USAGE ON SCHEMA vault TO ledger_signing, ledger_admin, ledger_privacy, ledger_backup;
GRANT USAGE ON SCHEMA access TO ledger_admin, ledger_reader, ledger_signing, ledger_privacy, ledger_backup;

SET LOCAL ROLE ledger_owner;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
