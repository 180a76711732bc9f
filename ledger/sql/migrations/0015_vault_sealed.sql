-- The vault sealed: what is known of a signer stands under a key of her own, which stands under the key of an epoch.
--
-- The law of this file
--   1. A new identity is sealed before it comes here: no writer, and nobody who reads the vault or a dump of it, sees one.
--      Rows of earlier releases are sealed in their places, and then nothing plain is left. A row has one of the two forms.
--   2. An epoch is stated, by what tells its key from any other, before a row may name it. The key itself never comes
--      here. Only the wrapped key of a row is ever replaced, by one of a later epoch, and only where it is the one that
--      was read.
--   3. An epoch is retired under the head lock, when no row names it or an earlier one, and no row does ever after: then
--      its key can be destroyed, and with it all that old dumps, old log segments and dead row versions hold of it.

SET LOCAL ROLE ledger_owner;

CREATE TABLE vault.epochs (
  epoch     bigint PRIMARY KEY CHECK (epoch > 0),
  key_check bytea NOT NULL CHECK (octet_length(key_check) = 16),
  stated    timestamptz NOT NULL DEFAULT clock_timestamp(),
  retired   timestamptz
);
GRANT SELECT ON vault.epochs TO ledger_backup;

ALTER TABLE vault.identities
  ALTER COLUMN pii DROP NOT NULL,
  ALTER COLUMN nonce DROP NOT NULL,
  ADD COLUMN epoch       bigint,
  ADD COLUMN wrapped_key bytea,  -- the signature's own key, under the epoch's
  ADD COLUMN sealed      bytea,  -- nonce and canonical identity, under the signature's own key
  ADD CONSTRAINT identities_one_form CHECK (
    CASE WHEN sealed IS NULL
      THEN pii IS NOT NULL AND nonce IS NOT NULL AND epoch IS NULL AND wrapped_key IS NULL
      ELSE pii IS NULL AND nonce IS NULL AND epoch IS NOT NULL AND wrapped_key IS NOT NULL
           AND octet_length(wrapped_key) = 60 AND octet_length(sealed) > 60
    END),
  -- Holds for every new row from here on, and is validated when the last old one is sealed.
  ADD CONSTRAINT identities_sealed CHECK (sealed IS NOT NULL) NOT VALID;
CREATE INDEX identities_by_epoch ON vault.identities (epoch, signature) WHERE sealed IS NOT NULL;
CREATE INDEX identities_plain ON vault.identities (signature) WHERE sealed IS NULL;

-- By statement, not by row: a batch is looked at once.
CREATE FUNCTION ledger.refuse_closed_epochs() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF EXISTS (
    SELECT FROM added a WHERE NOT EXISTS (SELECT FROM vault.epochs e WHERE e.epoch = a.epoch AND e.retired IS NULL)
  ) THEN
    RAISE EXCEPTION 'An identity is sealed under an epoch that is stated and not retired';
  END IF;
  RETURN NULL;
END
$$;
CREATE TRIGGER identities_in_open_epochs AFTER INSERT ON vault.identities
  REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_closed_epochs();

-- The epochs, oldest first, and whether a row names each.
CREATE FUNCTION ledger.stated_epochs()
RETURNS TABLE (epoch bigint, key_check bytea, is_retired boolean, is_named boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT e.epoch, e.key_check, e.retired IS NOT NULL,
         EXISTS (SELECT FROM vault.identities i WHERE i.epoch = e.epoch AND i.sealed IS NOT NULL)
    FROM vault.epochs e ORDER BY e.epoch
$$;

-- State the next epoch, unless it is stated: by which key. NULL where it is not the next one.
CREATE FUNCTION ledger.state_epoch(epoch bigint, value bytea) RETURNS bytea
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO vault.epochs (epoch, key_check)
    SELECT state_epoch.epoch, state_epoch.value
     WHERE state_epoch.epoch = 1 + (SELECT coalesce(max(e.epoch), 0) FROM vault.epochs e)
    ON CONFLICT DO NOTHING;
  RETURN (SELECT e.key_check FROM vault.epochs e WHERE e.epoch = state_epoch.epoch);
END
$$;

-- The last epoch under which nothing is sealed any more; 0 for none.
CREATE FUNCTION ledger.retired_epoch() RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT coalesce(max(e.epoch), 0) FROM vault.epochs e WHERE e.retired IS NOT NULL
$$;

-- What earlier releases kept plain, for whoever seals it; page by page.
CREATE FUNCTION ledger.plain_identities(after uuid, at_most bigint)
RETURNS TABLE (signature uuid, pii bytea, nonce bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT i.signature, i.pii, i.nonce FROM vault.identities i
   WHERE i.sealed IS NULL AND i.signature > after ORDER BY i.signature LIMIT at_most
$$;

-- Put the sealed form in the place of the plain one, where that still stands; how many it was done for.
CREATE FUNCTION ledger.seal_identities(signatures uuid[], epoch bigint, wrapped_keys bytea[], sealed bytea[])
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  done bigint;
BEGIN
  PERFORM FROM vault.epochs e WHERE e.epoch = seal_identities.epoch AND e.retired IS NULL FOR SHARE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'An identity is sealed under an epoch that is stated and not retired';
  END IF;
  UPDATE vault.identities i
     SET pii = NULL, nonce = NULL, epoch = seal_identities.epoch, wrapped_key = n.wrapped_key, sealed = n.sealed
    FROM unnest(signatures, wrapped_keys, seal_identities.sealed) AS n(signature, wrapped_key, sealed)
   WHERE i.signature = n.signature AND i.sealed IS NULL;
  GET DIAGNOSTICS done = ROW_COUNT;
  RETURN done;
END
$$;

-- From now on no row is plain, and the table says so. False where one is.
CREATE FUNCTION ledger.only_sealed() RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT FROM vault.identities i WHERE i.sealed IS NULL) THEN
    RETURN false;
  END IF;
  IF EXISTS (SELECT FROM pg_constraint c WHERE c.conrelid = 'vault.identities'::regclass
                AND c.conname = 'identities_sealed' AND NOT c.convalidated) THEN
    ALTER TABLE vault.identities VALIDATE CONSTRAINT identities_sealed;
  END IF;
  RETURN true;
END
$$;

-- Wrapped keys of epochs before this one, page by page.
CREATE FUNCTION ledger.wrapped_keys(before bigint, after_epoch bigint, after uuid, at_most bigint)
RETURNS TABLE (signature uuid, epoch bigint, wrapped_key bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT i.signature, i.epoch, i.wrapped_key FROM vault.identities i
   WHERE i.sealed IS NOT NULL AND i.epoch < before AND (i.epoch, i.signature) > (after_epoch, after)
   ORDER BY i.epoch, i.signature LIMIT at_most
$$;

-- Put keys that are wrapped for this epoch in the place of those that were read; how many were still those.
CREATE FUNCTION ledger.rewrap(epoch bigint, signatures uuid[], was bytea[], wrapped_keys bytea[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  done bigint;
BEGIN
  PERFORM FROM vault.epochs e WHERE e.epoch = rewrap.epoch AND e.retired IS NULL FOR SHARE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'A key is wrapped for an epoch that is stated and not retired';
  END IF;
  UPDATE vault.identities i SET epoch = rewrap.epoch, wrapped_key = n.wrapped_key
    FROM unnest(signatures, was, wrapped_keys) AS n(signature, was, wrapped_key)
   WHERE i.signature = n.signature AND i.wrapped_key = n.was AND i.epoch < rewrap.epoch;
  GET DIAGNOSTICS done = ROW_COUNT;
  RETURN done;
END
$$;

-- Retire every epoch before this one, unless a row still names one of them; whether it is done. Nothing can be appended
-- meanwhile, and nothing is appended under them afterwards.
CREATE FUNCTION ledger.retire_epochs(before bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM FROM ledger.head FOR UPDATE;
  IF NOT EXISTS (SELECT FROM vault.epochs e WHERE e.epoch = before AND e.retired IS NULL) THEN
    RAISE EXCEPTION 'An epoch is retired when a later one is stated';
  END IF;
  -- Whoever seals or wraps for one of them at this moment holds on to its row: asked for rows only after that.
  PERFORM FROM vault.epochs e WHERE e.epoch < before AND e.retired IS NULL ORDER BY e.epoch FOR UPDATE;
  IF EXISTS (SELECT FROM vault.identities i WHERE i.sealed IS NOT NULL AND i.epoch < before) THEN
    RETURN false;
  END IF;
  UPDATE vault.epochs e SET retired = clock_timestamp() WHERE e.epoch < before AND e.retired IS NULL;
  RETURN true;
END
$$;

DO $$
BEGIN
  PERFORM ledger.only_sealed();
END
$$;

REVOKE EXECUTE ON FUNCTION
  ledger.refuse_closed_epochs, ledger.stated_epochs, ledger.state_epoch, ledger.retired_epoch, ledger.plain_identities,
  ledger.seal_identities, ledger.only_sealed, ledger.wrapped_keys, ledger.rewrap, ledger.retire_epochs FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.stated_epochs, ledger.retired_epoch TO ledger_signing, ledger_admin, ledger_privacy;
GRANT EXECUTE ON FUNCTION ledger.state_epoch, ledger.plain_identities, ledger.seal_identities, ledger.only_sealed
  TO ledger_admin;
-- Not for those who serve the public or the admins: whoever wraps wrongly makes identities unreadable.
GRANT EXECUTE ON FUNCTION ledger.wrapped_keys, ledger.rewrap, ledger.retire_epochs TO ledger_privacy;
