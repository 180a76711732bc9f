-- Which vault key this ledger was made with: not the key, but what tells it from any other.
--
-- Signers and rows of files are known again by keyed hashes. Under another key everybody would be somebody else, and
-- would count twice; so the first key is stated once, and a command that comes with another one, or with none, stops.

GRANT SELECT ON public.ledger_migrations TO
  ledger_signing, ledger_admin, ledger_privacy, ledger_projector, ledger_reader, ledger_backup;

SET LOCAL ROLE ledger_owner;

CREATE TABLE vault.key_check (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  value     bytea NOT NULL CHECK (octet_length(value) = 16)
);
GRANT SELECT ON vault.key_check TO ledger_backup;

CREATE FUNCTION ledger.stated_key() RETURNS bytea
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT value FROM vault.key_check
$$;

-- State the key, unless one is stated: the one that is.
CREATE FUNCTION ledger.state_key(value bytea) RETURNS bytea
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO vault.key_check (value) VALUES (state_key.value) ON CONFLICT DO NOTHING;
  RETURN (SELECT k.value FROM vault.key_check k);
END
$$;

REVOKE EXECUTE ON FUNCTION ledger.stated_key, ledger.state_key FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.stated_key, ledger.state_key TO ledger_admin;
