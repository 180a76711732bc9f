-- Erasing a signer, and rectifying who signed.
--
-- The law of this file
--   1. An erasure is of the signer: all her signatures in the petition end in one transaction, each with its own event,
--      as withdrawn while the petition takes withdrawals, else as kept. What is erased never moves again.
--   2. Nothing is destroyed before the log says so, and only what is held of a signature that the log says is erased.
--      What is still to be destroyed is noted in the transaction that appends, and the note goes with the last row.
--   3. A signature knows the one before it of the same signer, so that none of hers is missed whatever she was called.
--   4. A rectification replaces what is held of one signature, by the token of the new identity; it never makes one
--      signer of two.
-- Like every law of the log it is judged under the head lock, after the writer decided the same.

SET LOCAL ROLE ledger_owner;

-- Her signature before this one, by `signer_ref`: of the few who signed again after a withdrawal.
ALTER TABLE ledger.signatures ADD COLUMN previous uuid;
UPDATE ledger.signatures s SET previous = w.previous
  FROM (
    SELECT e.signature, lag(e.signature) OVER (PARTITION BY e.petition, said.signer_ref ORDER BY e.position) AS previous
      FROM ledger.events e
      CROSS JOIN LATERAL (
        SELECT convert_from(e.leaf, 'UTF8')::jsonb -> 'data' ->> 'signer_ref' AS signer_ref) AS said
     WHERE e.type = 'signature.recorded.v1'
  ) AS w
 WHERE w.signature = s.signature AND w.previous IS NOT NULL;
CREATE UNIQUE INDEX signatures_by_previous ON ledger.signatures (previous) WHERE previous IS NOT NULL;
CREATE INDEX signatures_erased ON ledger.signatures (signature) WHERE erased;
CREATE INDEX events_erased ON ledger.events (signature) WHERE type = 'signer.erased.v1';

-- By what an erasure finds the rows of a signature. Ids of signatures rise with time, so that these grow at their ends.
CREATE INDEX signers_by_signature ON vault.signers (signature);
CREATE INDEX aliases_by_token ON vault.aliases (petition, token);
CREATE INDEX import_keys_by_signature ON vault.import_keys (signature) WHERE signature IS NOT NULL;
CREATE INDEX answers_by_signature ON vault.answers (signature) WHERE signature IS NOT NULL;

-- Erasures that the log states and that are not finished.
CREATE TABLE vault.erasing (
  signature uuid PRIMARY KEY
);
GRANT SELECT ON vault.erasing TO ledger_backup;

-- What holds of every row ---------------------------------------------------------------------------------------------

CREATE FUNCTION ledger.refuse_erased() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  RAISE EXCEPTION 'A signature whose signer was erased never moves again';
END
$$;
CREATE TRIGGER what_is_erased_stays BEFORE UPDATE ON ledger.signatures
  FOR EACH ROW WHEN (OLD.erased) EXECUTE FUNCTION ledger.refuse_erased();

CREATE FUNCTION ledger.refuse_another_signers() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NOT EXISTS (
    SELECT FROM ledger.signatures p
      JOIN ledger.events b ON b.position = p.position
      JOIN ledger.events e ON e.position = NEW.position
     WHERE p.signature = NEW.previous AND p.petition = NEW.petition AND p.position < NEW.position
       AND convert_from(b.leaf, 'UTF8')::jsonb -> 'data' -> 'signer_ref'
           = convert_from(e.leaf, 'UTF8')::jsonb -> 'data' -> 'signer_ref'
  ) THEN
    RAISE EXCEPTION 'The signature before one is of the same signer and petition';
  END IF;
  RETURN NULL;
END
$$;
CREATE TRIGGER the_one_before_is_hers AFTER INSERT ON ledger.signatures
  FOR EACH ROW WHEN (NEW.previous IS NOT NULL) EXECUTE FUNCTION ledger.refuse_another_signers();

-- A signer's latest signature gives way to a new one: from that one the way back leads to it.
CREATE FUNCTION ledger.refuse_lost_signatures() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NOT EXISTS (
    WITH RECURSIVE back (signature, previous) AS (
      SELECT s.signature, s.previous FROM ledger.signatures s WHERE s.signature = NEW.signature
      UNION ALL
      SELECT s.signature, s.previous FROM back b JOIN ledger.signatures s ON s.signature = b.previous
       WHERE b.signature <> OLD.signature
    )
    SELECT FROM back b WHERE b.signature = OLD.signature
  ) THEN
    RAISE EXCEPTION 'A new signature knows the one before it of the same signer';
  END IF;
  RETURN NULL;
END
$$;
CREATE TRIGGER no_signature_is_lost AFTER UPDATE ON vault.signers
  FOR EACH ROW WHEN (OLD.signature <> NEW.signature) EXECUTE FUNCTION ledger.refuse_lost_signatures();

-- What a correction searched for may say something of each of its members: it is not kept where one was erased meanwhile.
CREATE FUNCTION ledger.keep_no_where_of_erased() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF EXISTS (
    SELECT FROM ledger.correction_members m JOIN ledger.signatures s ON s.signature = m.signature
     WHERE m.correction = NEW.correction AND s.erased
  ) THEN
    RETURN NULL;
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER no_where_of_erased BEFORE INSERT ON vault.correction_wheres
  FOR EACH ROW EXECUTE FUNCTION ledger.keep_no_where_of_erased();

-- Reading under the lock ----------------------------------------------------------------------------------------------

-- All that erasing and amending have to know of signers: named by a signature, or pairwise by petition's id and token.
-- None: nothing is read.
CREATE FUNCTION ledger.read_signers(
  named  uuid[],
  ids    text[],
  tokens bytea[],
  OUT signers    vault.signers[],
  OUT aliases    vault.aliases[],
  OUT signatures ledger.signatures[]  -- all of theirs, by position
)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF cardinality(named) = 0 AND cardinality(tokens) = 0 THEN
    RETURN;
  END IF;
  aliases := ARRAY(
    SELECT a FROM unnest(ids, tokens) AS u(id, token)
      JOIN ledger.petitions p ON p.id = u.id
      JOIN vault.aliases a ON a.petition = p.petition AND a.alias = u.token);
  signers := ARRAY(
    SELECT g FROM unnest(ids, tokens) AS u(id, token)
      JOIN ledger.petitions p ON p.id = u.id
      JOIN vault.signers g ON g.petition = p.petition AND g.token = u.token)
    || ARRAY(
    SELECT g FROM unnest(aliases) AS a JOIN vault.signers g ON g.petition = a.petition AND g.token = a.token);
  signatures := ARRAY(
    WITH RECURSIVE hers (signature, previous) AS (
      SELECT s.signature, s.previous FROM ledger.signatures s
       WHERE s.signature = ANY (named || ARRAY(SELECT g.signature FROM unnest(signers) AS g))
      UNION
      SELECT n.signature, n.previous FROM hers h CROSS JOIN LATERAL (
        SELECT s.signature, s.previous FROM ledger.signatures s WHERE s.signature = h.previous
        UNION ALL
        SELECT s.signature, s.previous FROM ledger.signatures s WHERE s.previous = h.signature) AS n
    )
    SELECT s FROM hers h JOIN ledger.signatures s ON s.signature = h.signature ORDER BY s.position);
  signers := signers || ARRAY(
    SELECT g FROM unnest(signatures) AS s JOIN vault.signers g ON g.signature = s.signature);
END
$$;

-- Writing -------------------------------------------------------------------------------------------------------------

-- Who erases may also be the first to write after a closing time.
INSERT INTO ledger.writable_types VALUES ('privacy', 'acceptance.changed.v1');

-- Refuses a batch, whose events are written, that erases otherwise than it has to be, or does anything else.
CREATE FUNCTION ledger.judge_erasures(at timestamptz, batch ledger.batch) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  wrong bigint;
BEGIN
  SELECT e.position INTO wrong
    FROM unnest(batch.events) AS e
    JOIN ledger.petitions p ON p.petition = e.petition
    CROSS JOIN LATERAL (SELECT convert_from(e.leaf, 'UTF8')::jsonb AS said) AS l
    CROSS JOIN LATERAL (
      SELECT a ->> 2 AS acceptance FROM jsonb_array_elements(p.acceptances) AS a
       WHERE (a ->> 0)::bigint < e.position ORDER BY (a ->> 0)::bigint DESC LIMIT 1) AS before
    CROSS JOIN LATERAL (
      SELECT before.acceptance IN ('open', 'paused') AND coalesce(p.opens_at <= at, true) AS withdrawals) AS takes
    LEFT JOIN unnest(batch.signatures) AS n ON n.signature = e.signature
    LEFT JOIN unnest(batch.events) AS next ON next.position = e.position + 1
   WHERE NOT coalesce(CASE e.type
     WHEN 'acceptance.changed.v1' THEN
       l.said -> 'data' ->> 'acceptance' = 'closed' AND l.said ->> 'actor' = 'system'
       AND e.effective = p.closes_at AND p.closes_at <= at
     WHEN 'signature.withdrawn.v1' THEN
       takes.withdrawals AND next.type = 'signer.erased.v1' AND next.signature = e.signature
     ELSE
       n.erased AND (n.withdrawn OR NOT takes.withdrawals)
       AND l.said -> 'data' ->> 'mode' = CASE WHEN takes.withdrawals THEN 'withdrawn' ELSE 'kept' END END, false)
   LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'A signer is erased as the petition has it now, and nothing else is done: not so at position %', wrong
      USING ERRCODE = 'insufficient_privilege';
  END IF;
  IF EXISTS (
    SELECT FROM unnest(batch.signatures) AS n
      JOIN ledger.signatures g ON g.signature = n.signature
      CROSS JOIN LATERAL (
        SELECT s.erased FROM ledger.signatures s WHERE s.signature = g.previous
        UNION ALL
        SELECT s.erased FROM ledger.signatures s WHERE s.previous = g.signature) AS beside
     WHERE NOT beside.erased
  ) THEN
    RAISE EXCEPTION 'A signer is erased with all her signatures';
  END IF;
END
$$;

CREATE OR REPLACE FUNCTION ledger.append_privacy(expected bigint, at timestamptz, log_origin text, batch ledger.batch)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF cardinality(batch.import_keys) > 0 OR cardinality(batch.corrections) > 0 OR cardinality(batch.members) > 0
     OR cardinality(batch.signers) > 0 OR cardinality(batch.aliases) > 0 OR cardinality(batch.identities) > 0
     OR cardinality(batch.answers) > 0 THEN
    RAISE EXCEPTION 'The role privacy neither signs, imports nor corrects, and keeps no answers'
      USING ERRCODE = 'insufficient_privilege';
  END IF;
  PERFORM ledger.append('privacy', expected, at, log_origin, batch);
  PERFORM ledger.judge_erasures(at, batch);
  INSERT INTO vault.erasing SELECT n.signature FROM unnest(batch.signatures) AS n;
END
$$;

-- Beside the amendment of a signature, in its transaction: what is held of it from here on. Where it is its signer's
-- latest, she is known by the new token, and what files call her means that.
CREATE FUNCTION ledger.keep_amended(
  at_position bigint, new_token bytea, epoch bigint, wrapped_key bytea, sealed bytea, email_domain text,
  name_token bytea
) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  s ledger.signatures;
  hers vault.signers;
BEGIN
  SELECT g.* INTO s FROM ledger.events e
    JOIN ledger.head h ON h.recorded = e.recorded
    JOIN ledger.signatures g ON g.signature = e.signature
   WHERE e.position = at_position AND e.type = 'signature.amended.v1' AND g.kind = 'person';
  IF NOT FOUND THEN
    RAISE EXCEPTION 'What is held of a person is amended with the event that says so';
  END IF;
  IF EXISTS (
    SELECT FROM vault.signers g
     WHERE g.petition = s.petition
       AND g.token IN (new_token, (SELECT a.token FROM vault.aliases a WHERE a.petition = s.petition AND a.alias = new_token))
       AND g.signature <> ALL (ARRAY(SELECT r.signature FROM unnest((ledger.read_signers(ARRAY[s.signature], '{}', '{}')).signatures) AS r))
  ) THEN
    RAISE EXCEPTION 'An amendment does not make one signer of two' USING ERRCODE = 'unique_violation';
  END IF;
  SELECT * INTO hers FROM vault.signers g WHERE g.signature = s.signature;
  IF FOUND THEN
    DELETE FROM vault.aliases a WHERE a.petition = s.petition AND a.alias = new_token;
    UPDATE vault.signers g SET token = new_token WHERE g.petition = s.petition AND g.token = hers.token;
    UPDATE vault.aliases a SET token = new_token WHERE a.petition = s.petition AND a.token = hers.token;
  END IF;
  DELETE FROM vault.identities i WHERE i.signature = s.signature;
  INSERT INTO vault.identities (signature, epoch, wrapped_key, sealed)
    VALUES (s.signature, keep_amended.epoch, keep_amended.wrapped_key, keep_amended.sealed);
  DELETE FROM vault.evidence e WHERE e.signature = s.signature;
  IF num_nonnulls(keep_amended.email_domain, keep_amended.name_token) > 0 THEN
    INSERT INTO vault.evidence (signature, email_domain, name_token, recorded)
      VALUES (s.signature, keep_amended.email_domain, keep_amended.name_token, clock_timestamp());
  END IF;
END
$$;

-- Destroying ----------------------------------------------------------------------------------------------------------

-- Destroy all that is held of these signatures, which the log says are erased.
CREATE FUNCTION ledger.destroy_erased(signatures uuid[]) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF EXISTS (
    SELECT FROM unnest(signatures) AS n(signature)
     WHERE NOT EXISTS (SELECT FROM ledger.signatures s WHERE s.signature = n.signature AND s.erased)
  ) THEN
    RAISE EXCEPTION 'Only what is held of an erased signer is destroyed' USING ERRCODE = 'insufficient_privilege';
  END IF;
  DELETE FROM vault.aliases a USING vault.signers g
   WHERE g.signature = ANY (signatures) AND a.petition = g.petition AND a.token = g.token;
  DELETE FROM vault.signers g WHERE g.signature = ANY (signatures);
  DELETE FROM vault.identities i WHERE i.signature = ANY (signatures);
  DELETE FROM vault.evidence e WHERE e.signature = ANY (signatures);
  DELETE FROM vault.comments c WHERE c.signature = ANY (signatures);
  DELETE FROM vault.import_keys k WHERE k.signature = ANY (signatures);
  DELETE FROM vault.answers a WHERE a.signature = ANY (signatures);
  DELETE FROM vault.correction_wheres w
   WHERE EXISTS (
     SELECT FROM ledger.correction_members m WHERE m.correction = w.correction AND m.signature = ANY (signatures));
  DELETE FROM vault.erasing e WHERE e.signature = ANY (signatures);
END
$$;

-- Erasures as the log states them: of these signatures; NULL: all there are. In order of position.
CREATE FUNCTION ledger.erasures(signatures uuid[])
RETURNS TABLE (signature uuid, petition text, "position" bigint, version bigint, recorded timestamptz, mode text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
    SELECT e.signature, p.id, e.position, e.version, e.recorded,
           convert_from(e.leaf, 'UTF8')::jsonb -> 'data' ->> 'mode'
      FROM ledger.events e JOIN ledger.petitions p ON p.petition = e.petition
     WHERE e.type = 'signer.erased.v1' AND (signatures IS NULL OR e.signature = ANY (signatures))
     ORDER BY e.position;
END
$$;

-- Erasures that are to be finished: those that are noted. `thorough`: all of which anything is still held, as there may be
-- where only a part of a database was put back.
CREATE FUNCTION ledger.unfinished_erasures(thorough boolean) RETURNS SETOF uuid
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY SELECT e.signature FROM vault.erasing e;
  IF thorough THEN
    RETURN QUERY
      SELECT s.signature FROM ledger.signatures s
       WHERE s.erased AND NOT EXISTS (SELECT FROM vault.erasing e WHERE e.signature = s.signature) AND (
         EXISTS (SELECT FROM vault.identities i WHERE i.signature = s.signature)
         OR EXISTS (SELECT FROM vault.signers g WHERE g.signature = s.signature)
         OR EXISTS (SELECT FROM vault.evidence e WHERE e.signature = s.signature)
         OR EXISTS (SELECT FROM vault.comments c WHERE c.signature = s.signature)
         OR EXISTS (SELECT FROM vault.import_keys k WHERE k.signature = s.signature)
         OR EXISTS (SELECT FROM vault.answers a WHERE a.signature = s.signature));
  END IF;
END
$$;

-- Which of these signatures, which a journal says were erased, are not erased here: as after a restore.
CREATE FUNCTION ledger.unerased(signatures uuid[]) RETURNS TABLE (signature uuid, petition text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
    SELECT s.signature, p.id FROM ledger.signatures s JOIN ledger.petitions p ON p.petition = s.petition
     WHERE s.signature = ANY (signatures) AND NOT s.erased ORDER BY s.position;
END
$$;

REVOKE EXECUTE ON FUNCTION
  ledger.refuse_erased, ledger.refuse_another_signers, ledger.refuse_lost_signatures, ledger.keep_no_where_of_erased,
  ledger.read_signers, ledger.judge_erasures, ledger.keep_amended, ledger.destroy_erased, ledger.erasures,
  ledger.unfinished_erasures, ledger.unerased FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.read_signers TO ledger_signing, ledger_admin, ledger_privacy;
GRANT EXECUTE ON FUNCTION ledger.keep_amended TO ledger_admin;
GRANT EXECUTE ON FUNCTION ledger.destroy_erased, ledger.erasures, ledger.unfinished_erasures TO ledger_privacy;
-- A service that only signs and reads cannot erase, but has to see before it serves that nobody has to be erased anew.
GRANT EXECUTE ON FUNCTION ledger.unerased TO ledger_signing, ledger_privacy;
