-- What the vault tells people: a privacy officer all that is held of a person, an auditor the openings of signatures that
-- are named one by one.
--
-- The law of this file
--   1. A sealed row is given out by the functions of this file alone, to the role `ledger_privacy`, and each writes down
--      who asked about which signature, in the transaction in which it answers: whoever serves it commits first. That
--      somebody asked about a person of whom nothing is held is written down too.
--   2. What is written down holds nothing of a person, says of each role only what that role may ask, and never changes.
--   3. Nothing is given out of a signer who was erased, also where her rows still wait to be destroyed.

SET LOCAL ROLE ledger_owner;

CREATE TABLE access.disclosures (
  nth       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at        timestamptz NOT NULL DEFAULT clock_timestamp(),
  actor     text NOT NULL,
  what      text NOT NULL,
  petition  text,  -- both NULL: nothing was held
  signature uuid,
  CONSTRAINT a_role_asks_for_its_own CHECK (
    CASE what WHEN 'subject' THEN actor ~ '^privacy:[0-9a-f]{6,32}$'
              WHEN 'opening' THEN actor ~ '^auditor:[0-9a-f]{6,32}$' AND signature IS NOT NULL
              ELSE false END),
  CONSTRAINT a_signature_is_of_a_petition CHECK ((petition IS NULL) = (signature IS NULL))
);
CREATE INDEX disclosures_of_signatures ON access.disclosures (signature);

CREATE TRIGGER disclosures_never_change BEFORE UPDATE OR DELETE ON access.disclosures
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER disclosures_are_never_truncated BEFORE TRUNCATE ON access.disclosures
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
ALTER TABLE access.disclosures ENABLE ALWAYS TRIGGER disclosures_never_change;
ALTER TABLE access.disclosures ENABLE ALWAYS TRIGGER disclosures_are_never_truncated;
GRANT SELECT ON access.disclosures TO ledger_backup;

-- By which leaf an identity is committed to: the last amendment's, where there is one.
CREATE INDEX events_of_amendments ON ledger.events (signature, position) WHERE type = 'signature.amended.v1';

-- Every petition, and the policy by which its signers are recognised.
CREATE FUNCTION ledger.identity_policies() RETURNS TABLE (id text, identity_policy text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT p.id, p.identity_policy FROM ledger.petitions p ORDER BY p.petition
$$;

-- Pairwise, petitions and the token of one person in each: every signature of hers, as the vault holds it, by position.
CREATE FUNCTION ledger.disclose_subject(actor text, ids text[], tokens bytea[]) RETURNS TABLE (
  id text, signature uuid, "position" bigint, recorded timestamptz, state text,
  epoch bigint, wrapped_key bytea, sealed bytea,
  ip inet, user_agent text, email_domain text, seen timestamptz, comment text, released boolean
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  hers uuid[];
BEGIN
  -- Those that an erasure would find.
  hers := ARRAY(
    SELECT g.signature FROM unnest((ledger.read_signers('{}', ids, tokens)).signatures) AS g WHERE NOT g.erased);
  INSERT INTO access.disclosures (actor, what, petition, signature)
    SELECT actor, 'subject', p.id, s.signature
      FROM (SELECT) AS asked
      LEFT JOIN ledger.signatures s ON s.signature = ANY (hers)
      LEFT JOIN ledger.petitions p ON p.petition = s.petition
     ORDER BY s.position;
  RETURN QUERY
    SELECT p.id, s.signature, s.position, e.recorded,
           CASE WHEN s.withdrawn THEN 'withdrawn' WHEN cardinality(s.holds) > 0 THEN 'invalidated'
                WHEN s.confirmed THEN 'standing' ELSE 'pending' END,
           i.epoch, i.wrapped_key, i.sealed, v.ip, v.user_agent, v.email_domain, v.recorded, c.comment, c.released
      FROM ledger.signatures s
      JOIN ledger.petitions p ON p.petition = s.petition
      JOIN ledger.events e ON e.position = s.position
      LEFT JOIN vault.identities i ON i.signature = s.signature
      LEFT JOIN vault.evidence v ON v.signature = s.signature
      LEFT JOIN vault.comments c ON c.signature = s.signature
     WHERE s.signature = ANY (hers) AND NOT s.erased ORDER BY s.position;
END
$$;

-- The sealed rows of signatures of a petition, each with the position of the leaf that commits to it, in order. All of
-- them or none: where one is not the petition's, that is refused. `erased`: there is nothing to open any more.
CREATE FUNCTION ledger.disclose_openings(actor text, id text, signatures uuid[]) RETURNS TABLE (
  signature uuid, "position" bigint, erased boolean, epoch bigint, wrapped_key bytea, sealed bytea
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
  IF cardinality(signatures) NOT BETWEEN 1 AND 100 THEN
    RAISE EXCEPTION 'Openings are those of 1 to 100 signatures that are named';
  END IF;
  IF EXISTS (
    SELECT FROM unnest(signatures) AS named(signature)
     WHERE NOT EXISTS (
       SELECT FROM ledger.signatures s JOIN ledger.petitions p ON p.petition = s.petition
        WHERE s.signature = named.signature AND p.id = disclose_openings.id)
  ) THEN
    RAISE EXCEPTION 'The petition does not have every signature that is named' USING ERRCODE = 'no_data_found';
  END IF;
  INSERT INTO access.disclosures (actor, what, petition, signature)
    SELECT actor, 'opening', disclose_openings.id, s.signature
      FROM ledger.signatures s JOIN vault.identities i ON i.signature = s.signature
     WHERE s.signature = ANY (signatures) AND NOT s.erased ORDER BY s.position;
  RETURN QUERY
    SELECT s.signature,
           coalesce((SELECT max(a.position) FROM ledger.events a
                      WHERE a.signature = s.signature AND a.type = 'signature.amended.v1'), s.position),
           s.erased, i.epoch, i.wrapped_key, i.sealed
      FROM ledger.signatures s
      LEFT JOIN vault.identities i ON i.signature = s.signature AND NOT s.erased
     WHERE s.signature = ANY (signatures) ORDER BY s.position;
END
$$;

REVOKE EXECUTE ON FUNCTION ledger.identity_policies, ledger.disclose_subject, ledger.disclose_openings FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.identity_policies, ledger.disclose_subject, ledger.disclose_openings TO ledger_privacy;
