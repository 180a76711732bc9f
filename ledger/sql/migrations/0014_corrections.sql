-- Corrections that people decide: proposed, approved by a second principal, run in chunks, cancelled, reversed.
--
-- The law of this file
--   1. A set is frozen once, under its correction, and is the one of its digest before anything of it is applied.
--   2. Above 100 signatures, summed per admin and petition over 24 hours whatever became of them, a correction is opened
--      as proposed, and does nothing until another actor than its own has approved it. Imports alone are exempt.
--   3. A compensating event is one of a correction that is under way, by its actor, of its kind and reason; how many
--      signatures it has moved is how many of its members are marked as applied.
--   4. A reversal is of the opposite kind, over exactly what was applied, and a correction is reversed once.
--   5. The public rule in words stands beside the log, which says its SHA-256. What the conditions searched for is known
--      to admins alone, and goes when evidence goes; of a name that was searched for, nothing is kept at all.
-- Like every law of the log it is judged under the head lock, after the writer decided the same.

SET LOCAL ROLE ledger_owner;

ALTER TABLE ledger.corrections
  ADD COLUMN digest   text,         -- binds the frozen set
  ADD COLUMN approval text,
  ADD COLUMN approver text,         -- the second principal, once there is one
  ADD COLUMN reverses uuid,         -- whose applied set this one undoes
  ADD COLUMN opened   timestamptz;  -- when its opening was recorded

-- Until here only files stated corrections. What the new columns say of them, their events say.
UPDATE ledger.corrections c
   SET digest = said.data ->> 'digest', approval = said.data ->> 'approval',
       reverses = (said.data ->> 'reverses')::uuid, opened = e.recorded
  FROM ledger.events e
  CROSS JOIN LATERAL (SELECT convert_from(e.leaf, 'UTF8')::jsonb -> 'data' AS data) AS said
 WHERE e.petition = c.petition AND e.signature IS NULL AND e.type = 'correction.opened.v1'
   AND said.data ->> 'correction' = c.correction::text;

ALTER TABLE ledger.corrections
  ALTER COLUMN digest SET NOT NULL,
  ALTER COLUMN approval SET NOT NULL,
  ALTER COLUMN opened SET NOT NULL,
  DROP CONSTRAINT corrections_state_check,
  ADD CONSTRAINT corrections_state_check CHECK (state IN ('proposed', 'running', 'completed', 'cancelled')),
  ADD CONSTRAINT imports_alone_are_exempt CHECK (
    approval IN ('not-required', 'required', 'exempt') AND (approval = 'exempt') = (actor LIKE 'import:%')),
  ADD CONSTRAINT another_approves CHECK (approver IS NULL OR (approver <> actor AND approval = 'required')),
  ADD CONSTRAINT nothing_runs_unapproved CHECK (
    approval <> 'required' OR approver IS NOT NULL
    OR (state IN ('proposed', 'cancelled') AND applied = 0 AND skipped = 0)),
  ADD CONSTRAINT what_is_proposed_waits CHECK (state <> 'proposed' OR (approval = 'required' AND approver IS NULL));

CREATE INDEX corrections_of_actor ON ledger.corrections (petition, actor, opened);
CREATE UNIQUE INDEX corrections_reversed_once ON ledger.corrections (reverses) WHERE state <> 'cancelled';

-- The public rule of a correction, in words. The log says its SHA-256.
CREATE TABLE ledger.notices (
  correction uuid PRIMARY KEY REFERENCES ledger.corrections,
  rule       text NOT NULL CHECK (char_length(rule) BETWEEN 1 AND 2000)
);
GRANT SELECT ON ledger.notices TO ledger_reader, ledger_backup;

-- What the conditions of a correction searched for: addresses and domains, for admins alone, and for a time.
CREATE TABLE vault.correction_wheres (
  correction uuid PRIMARY KEY,
  conditions jsonb NOT NULL,
  recorded   timestamptz NOT NULL
);
CREATE INDEX correction_wheres_by_age ON vault.correction_wheres (recorded);
GRANT SELECT ON vault.correction_wheres TO ledger_backup;

-- Evidence: two more columns, of signers who gave an address or a name. Both go with it.
ALTER TABLE vault.evidence
  ADD COLUMN email_domain text CHECK (char_length(email_domain) <= 255),    -- in the canonical form of the policy
  ADD COLUMN name_token   bytea CHECK (octet_length(name_token) = 16),      -- keyed hash of the normalised name
  DROP CONSTRAINT evidence_check,
  ADD CONSTRAINT evidence_says_something CHECK (num_nonnulls(ip, user_agent, email_domain, name_token) > 0);

DROP FUNCTION ledger.keep_beside(uuid[], inet[], text[], uuid[], text[]);
-- Pairwise: which signature, and where it came from; which signature, and its comment.
CREATE FUNCTION ledger.keep_beside(
  evidence_of uuid[], ips inet[], user_agents text[], email_domains text[], name_tokens bytea[],
  comments_on uuid[], comments text[]
) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF EXISTS (
    SELECT FROM unnest(evidence_of || comments_on) AS named(signature)
     WHERE NOT EXISTS (SELECT FROM vault.identities i WHERE i.signature = named.signature)
  ) THEN
    RAISE EXCEPTION 'Evidence and comments are those of a signature';
  END IF;
  INSERT INTO vault.evidence (signature, ip, user_agent, email_domain, name_token, recorded)
    SELECT e.signature, e.ip, e.user_agent, e.email_domain, e.name_token, clock_timestamp()
      FROM unnest(evidence_of, ips, user_agents, email_domains, name_tokens)
        AS e(signature, ip, user_agent, email_domain, name_token);
  INSERT INTO vault.comments (signature, comment, recorded)
    SELECT c.signature, c.comment, clock_timestamp() FROM unnest(comments_on, comments) AS c(signature, comment);
END
$$;

-- Evidence is kept as long as the deployment says, and what corrections searched for as long.
CREATE OR REPLACE FUNCTION ledger.purge_evidence(kept interval, at_most bigint DEFAULT 10000) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  WITH old AS (
    SELECT e.signature FROM vault.evidence e
     WHERE e.recorded < clock_timestamp() - kept ORDER BY e.recorded LIMIT at_most
  ), gone AS (
    DELETE FROM vault.evidence e USING old WHERE e.signature = old.signature RETURNING 1
  ), old_wheres AS (
    SELECT w.correction FROM vault.correction_wheres w
     WHERE w.recorded < clock_timestamp() - kept ORDER BY w.recorded LIMIT at_most
  ), gone_wheres AS (
    DELETE FROM vault.correction_wheres w USING old_wheres o WHERE w.correction = o.correction RETURNING 1
  )
  SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM gone_wheres)
$$;

-- Reading under the lock ----------------------------------------------------------------------------------------------

CREATE TYPE ledger.opened_correction AS (id text, actor text, opened timestamptz, matched bigint);

-- Pairwise, petitions by id and actors: what each opened there within the last day, and a little before.
CREATE FUNCTION ledger.opened_lately(ids text[], actors text[]) RETURNS ledger.opened_correction[]
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF cardinality(ids) = 0 THEN
    RETURN '{}';
  END IF;
  RETURN ARRAY(
    SELECT (u.id, u.actor, c.opened, c.matched)::ledger.opened_correction
      FROM (SELECT DISTINCT id, actor FROM unnest(ids, actors) AS named(id, actor)) AS u
      JOIN ledger.petitions p ON p.id = u.id
      JOIN ledger.corrections c ON c.petition = p.petition AND c.actor = u.actor
     WHERE c.opened > clock_timestamp() - interval '25 hours');
END
$$;

-- Corrections that reverse these and were not cancelled.
CREATE FUNCTION ledger.reversals_of(reversed uuid[]) RETURNS ledger.corrections[]
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF cardinality(reversed) = 0 THEN
    RETURN '{}';
  END IF;
  RETURN ARRAY(SELECT c FROM ledger.corrections c WHERE c.reverses = ANY (reversed) AND c.state <> 'cancelled');
END
$$;

-- Writing -------------------------------------------------------------------------------------------------------------

-- Beside the opening of a correction, in its transaction: its members in order, unless the append had them already; its
-- public rule; and what its conditions searched for, where there is something.
CREATE FUNCTION ledger.keep_correction(named uuid, signatures uuid[], rule text, conditions jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  c ledger.corrections;
BEGIN
  SELECT * INTO c FROM ledger.corrections WHERE correction = named;
  IF NOT EXISTS (
    SELECT FROM ledger.events e
      CROSS JOIN LATERAL (SELECT convert_from(e.leaf, 'UTF8')::jsonb -> 'data' AS data) AS said
     WHERE e.petition = c.petition AND e.signature IS NULL AND e.type = 'correction.opened.v1' AND e.recorded = c.opened
       AND said.data ->> 'correction' = named::text
       AND said.data ->> 'notice_sha256' = encode(sha256(convert_to(rule, 'UTF8')), 'hex')
  ) THEN
    RAISE EXCEPTION 'A notice is one of which the log says the SHA-256';
  END IF;
  IF signatures IS NOT NULL THEN
    IF EXISTS (SELECT FROM ledger.correction_members m WHERE m.correction = named) THEN
      RAISE EXCEPTION 'The set of a correction is frozen once';
    END IF;
    INSERT INTO ledger.correction_members (correction, ordinal, signature)
      SELECT named, s.ordinal, s.signature FROM unnest(signatures) WITH ORDINALITY AS s(signature, ordinal);
  END IF;
  PERFORM ledger.judge_frozen(named);
  INSERT INTO ledger.notices VALUES (named, rule);
  IF conditions IS NOT NULL THEN
    INSERT INTO vault.correction_wheres VALUES (named, conditions, clock_timestamp());
  END IF;
END
$$;

-- Refuses a correction whose members are not the frozen set that its opening states: signatures of its petition, as many
-- as matched, of its digest; and where it reverses another, those that were applied.
CREATE FUNCTION ledger.judge_frozen(named uuid) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  c ledger.corrections;
BEGIN
  SELECT * INTO c FROM ledger.corrections WHERE correction = named;
  IF (c.matched, c.matched, c.digest) IS DISTINCT FROM (
    SELECT (count(*), count(s.signature),
            encode(sha256(convert_to(coalesce(string_agg(m.signature || E'\n', '' ORDER BY m.signature), ''), 'UTF8')), 'hex'))
      FROM ledger.correction_members m
      LEFT JOIN ledger.signatures s ON s.signature = m.signature AND s.petition = c.petition
     WHERE m.correction = named
  ) THEN
    RAISE EXCEPTION 'The members of a correction are not the set that it froze';
  END IF;
  IF c.reverses IS NOT NULL AND c.digest IS DISTINCT FROM (
    SELECT encode(sha256(convert_to(coalesce(string_agg(m.signature || E'\n', '' ORDER BY m.signature), ''), 'UTF8')), 'hex')
      FROM ledger.correction_members m WHERE m.correction = c.reverses AND m.outcome = 'applied'
  ) THEN
    RAISE EXCEPTION 'A reversal is over exactly what was applied';
  END IF;
END
$$;

-- Refuses a batch, whose rows are written, that moves corrections as none may be moved. `was` are those of its rows that
-- stood before.
CREATE FUNCTION ledger.judge_corrections(batch ledger.batch, was ledger.corrections[]) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  wrong bigint;
  started uuid;
BEGIN
  -- What is said of a correction as a whole.
  SELECT e.position INTO wrong
    FROM (
      SELECT n.position, n.petition, n.type, n.recorded, said ->> 'actor' AS actor, said -> 'data' AS data,
             (said -> 'data' ->> 'correction')::uuid AS correction,
             sum((said -> 'data' ->> 'matched')::bigint) OVER (
               PARTITION BY n.petition, said ->> 'actor', n.type ORDER BY n.position) AS here
        FROM unnest(batch.events) AS n
        CROSS JOIN LATERAL (SELECT convert_from(n.leaf, 'UTF8')::jsonb AS said) AS leaf
       WHERE n.type IN ('correction.opened.v1', 'correction.approved.v1', 'correction.completed.v1',
                        'correction.cancelled.v1')
    ) AS e
    LEFT JOIN ledger.corrections c ON c.correction = e.correction
    LEFT JOIN unnest(was) AS old ON old.correction = e.correction
   WHERE CASE e.type
     WHEN 'correction.opened.v1' THEN NOT coalesce(
       old.correction IS NULL AND c.petition = e.petition AND c.opened = e.recorded
       AND (c.actor, c.kind, c.reason, c.digest, c.approval, c.matched) IS NOT DISTINCT FROM
           (e.actor, e.data ->> 'kind', e.data ->> 'reason', e.data ->> 'digest', e.data ->> 'approval',
            (e.data ->> 'matched')::bigint)
       AND (c.lifts, c.reverses) IS NOT DISTINCT FROM ((e.data ->> 'lifts')::uuid, (e.data ->> 'reverses')::uuid)
       AND (c.approval <> 'not-required' OR e.here + coalesce((
             SELECT sum(d.matched) FROM ledger.corrections d
              WHERE d.petition = c.petition AND d.actor = c.actor AND d.opened > e.recorded - interval '24 hours'
                AND NOT EXISTS (
                  SELECT FROM unnest(batch.events) AS n
                   WHERE n.type = 'correction.opened.v1'
                     AND convert_from(n.leaf, 'UTF8')::jsonb -> 'data' ->> 'correction' = d.correction::text)), 0) <= 100)
       AND (c.lifts IS NULL OR (c.kind = 'reinstate' AND EXISTS (
             SELECT FROM ledger.corrections d
              WHERE d.correction = c.lifts AND d.petition = c.petition AND d.kind = 'invalidate')))
       AND (c.reverses IS NULL OR EXISTS (
             SELECT FROM ledger.corrections d
              WHERE d.correction = c.reverses AND d.petition = c.petition AND d.kind <> c.kind
                AND d.state IN ('completed', 'cancelled') AND (d.kind = 'reinstate' OR c.lifts = d.correction))), false)
     WHEN 'correction.approved.v1' THEN NOT coalesce(
       c.petition = e.petition AND c.approval = 'required' AND old.approver IS NULL AND c.approver = e.actor
       AND c.digest = e.data ->> 'digest', false)
     ELSE NOT coalesce(
       c.petition = e.petition AND c.state = CASE e.type WHEN 'correction.completed.v1' THEN 'completed' ELSE 'cancelled' END
       AND (c.applied, c.skipped) = ((e.data ->> 'applied')::bigint, (e.data ->> 'skipped')::bigint), false)
     END
   LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'A correction is opened, approved or ended against its rules at position %', wrong;
  END IF;

  -- No row moves without the event that says so, and what it is never changes.
  IF EXISTS (
    SELECT FROM unnest(batch.corrections) AS n
      JOIN ledger.corrections c ON c.correction = n.correction
      LEFT JOIN unnest(was) AS old ON old.correction = n.correction
      LEFT JOIN LATERAL (
        SELECT array_agg(e.type::text) AS types
          FROM unnest(batch.events) AS e
         WHERE e.petition = n.petition AND e.type IN (
                 'correction.opened.v1', 'correction.approved.v1', 'correction.completed.v1', 'correction.cancelled.v1')
           AND convert_from(e.leaf, 'UTF8')::jsonb -> 'data' ->> 'correction' = n.correction::text) AS said ON true
     WHERE (old.correction IS NULL AND NOT coalesce('correction.opened.v1' = ANY (said.types), false))
        OR (old.approver IS DISTINCT FROM c.approver AND NOT coalesce('correction.approved.v1' = ANY (said.types), false))
        OR (c.state IN ('completed', 'cancelled')
            AND NOT coalesce('correction.' || c.state || '.v1' = ANY (said.types), false))
  ) THEN
    RAISE EXCEPTION 'A correction moves by its events alone';
  END IF;

  -- Compensating events: of corrections of this batch, as these say, and as many as were applied. The set is judged before
  -- the first of them.
  SELECT e.position INTO wrong
    FROM (
      SELECT n.position, n.petition, n.type, n.hold, said ->> 'actor' AS actor, said -> 'data' AS data,
             (said -> 'data' ->> 'correction')::uuid AS correction
        FROM unnest(batch.events) AS n
        CROSS JOIN LATERAL (SELECT convert_from(n.leaf, 'UTF8')::jsonb AS said) AS leaf
       WHERE n.hold IS NOT NULL
    ) AS e
    LEFT JOIN unnest(batch.corrections) AS n ON n.correction = e.correction
    LEFT JOIN ledger.corrections c ON c.correction = n.correction
   WHERE NOT coalesce(
     c.petition = e.petition AND c.actor = e.actor AND c.reason = e.data ->> 'reason' AND c.state <> 'proposed'
     AND CASE e.type
           WHEN 'signature.invalidated.v1' THEN c.kind = 'invalidate' AND e.hold = c.correction
           ELSE c.kind = 'reinstate' AND e.hold = (e.data ->> 'lifts')::uuid AND coalesce(c.lifts, e.hold) = e.hold END, false)
   LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'No correction that is under way moves the signature at position %', wrong;
  END IF;
  IF EXISTS (
    SELECT FROM unnest(batch.corrections) AS n
      JOIN ledger.corrections c ON c.correction = n.correction
      LEFT JOIN unnest(was) AS old ON old.correction = n.correction
     WHERE c.applied - coalesce(old.applied, 0) <> (
             SELECT count(*) FROM unnest(batch.members) AS m WHERE m.correction = n.correction AND m.outcome = 'applied')
        OR c.skipped - coalesce(old.skipped, 0) <> (
             SELECT count(*) FROM unnest(batch.members) AS m WHERE m.correction = n.correction AND m.outcome = 'skipped')
  ) OR EXISTS (
    SELECT FROM (SELECT DISTINCT e.signature,
                        (convert_from(e.leaf, 'UTF8')::jsonb -> 'data' ->> 'correction')::uuid AS correction
                   FROM unnest(batch.events) AS e WHERE e.hold IS NOT NULL) AS e
      FULL JOIN (SELECT m.signature, m.correction FROM unnest(batch.members) AS m WHERE m.outcome = 'applied') AS m
        ON m.signature = e.signature AND m.correction = e.correction
     WHERE e.signature IS NULL OR m.signature IS NULL
  ) THEN
    RAISE EXCEPTION 'A correction does not count its members as they are';
  END IF;
  FOR started IN
    SELECT n.correction FROM unnest(batch.corrections) AS n LEFT JOIN unnest(was) AS old ON old.correction = n.correction
     WHERE n.applied + n.skipped > 0 AND coalesce(old.applied + old.skipped, 0) = 0
  LOOP
    PERFORM ledger.judge_frozen(started);
  END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION ledger.append_admin(expected bigint, at timestamptz, log_origin text, batch ledger.batch)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  was ledger.corrections[];
  others ledger.batch := batch;
BEGIN
  IF cardinality(batch.corrections) > 0 THEN
    was := ARRAY(
      SELECT c FROM unnest(batch.corrections) AS n JOIN ledger.corrections c ON c.correction = n.correction);
    -- What waits for its approval gets it, or is cancelled, here; `append` knows only what runs.
    UPDATE ledger.corrections c
       SET state = n.state, approver = n.approver, applied = n.applied, skipped = n.skipped
      FROM unnest(batch.corrections) AS n
     WHERE c.correction = n.correction AND c.state = 'proposed' AND c.petition = n.petition;
    others.corrections := ARRAY(
      SELECT n FROM unnest(batch.corrections) AS n
       WHERE NOT EXISTS (SELECT FROM unnest(was) AS old WHERE old.correction = n.correction AND old.state = 'proposed'));
  END IF;
  PERFORM ledger.append('admin', expected, at, log_origin, others);
  PERFORM ledger.judge_published(batch.events);
  IF cardinality(batch.corrections) > 0 OR EXISTS (
       SELECT FROM unnest(batch.events) AS e WHERE e.hold IS NOT NULL OR e.type IN (
         'correction.opened.v1', 'correction.approved.v1', 'correction.completed.v1', 'correction.cancelled.v1')) THEN
    PERFORM ledger.judge_corrections(batch, was);
  END IF;
END
$$;

-- Looking, for admins -------------------------------------------------------------------------------------------------

-- The signatures of a petition that a correction of this kind would be over, by position: what fits all conditions that
-- are not NULL. One that invalidates is over what was neither erased nor withdrawn (a list may name what was withdrawn);
-- one that reinstates over what is held, by `lifts` where that is said. `moves`: whether the count would move by it.
-- `o` is the event by which a signature is found: its recording, or its confirmation where a time of that is said.
CREATE FUNCTION ledger.matching_signatures(
  id text, kind text, lifts uuid, listed uuid[], network cidr, email_domain text, recorded_from timestamptz,
  recorded_to timestamptz, country text, region text, channel text, name_token bytea, confirmed_from timestamptz,
  confirmed_to timestamptz
) RETURNS TABLE (signature uuid, "position" bigint, recorded timestamptz, state text, moves boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  number bigint := (SELECT p.petition FROM ledger.petitions p WHERE p.id = matching_signatures.id);
  found_by ledger.event_type := CASE WHEN confirmed_from IS NULL AND confirmed_to IS NULL THEN 'signature.recorded.v1'
                                     ELSE 'signature.confirmed.v1' END;
BEGIN
  RETURN QUERY
    SELECT s.signature, e.position, e.recorded,
           CASE WHEN s.withdrawn THEN 'withdrawn' WHEN cardinality(s.holds) > 0 THEN 'invalidated'
                WHEN s.confirmed THEN 'standing' ELSE 'pending' END,
           CASE WHEN matching_signatures.kind = 'invalidate' THEN ledger.stands(s.confirmed, s.withdrawn, s.holds)
                ELSE s.confirmed AND NOT s.withdrawn
                     AND (matching_signatures.lifts IS NULL OR s.holds <@ ARRAY[matching_signatures.lifts]) END
      FROM ledger.events o
      JOIN ledger.signatures s ON s.signature = o.signature
      JOIN ledger.events e ON e.position = s.position
      LEFT JOIN vault.evidence v ON v.signature = s.signature
     WHERE o.petition = number AND o.type = found_by AND s.petition = number AND NOT s.erased
       AND CASE WHEN matching_signatures.kind = 'invalidate' THEN NOT s.withdrawn OR listed IS NOT NULL
                ELSE cardinality(s.holds) > 0
                     AND (matching_signatures.lifts IS NULL OR matching_signatures.lifts = ANY (s.holds)) END
       AND (listed IS NULL OR s.signature = ANY (listed))
       AND (matching_signatures.network IS NULL OR v.ip <<= matching_signatures.network)
       AND (matching_signatures.email_domain IS NULL OR v.email_domain = matching_signatures.email_domain)
       AND (matching_signatures.name_token IS NULL OR v.name_token = matching_signatures.name_token)
       AND (recorded_from IS NULL OR e.recorded >= recorded_from)
       AND (recorded_to IS NULL OR e.recorded <= recorded_to)
       AND (confirmed_from IS NULL OR o.recorded >= confirmed_from)
       AND (confirmed_to IS NULL OR o.recorded <= confirmed_to)
       AND (matching_signatures.country IS NULL OR s.country = matching_signatures.country)
       AND (matching_signatures.region IS NULL OR s.region = matching_signatures.region)
       AND (matching_signatures.channel IS NULL OR s.channel = matching_signatures.channel)
     ORDER BY e.position;
END
$$;

-- How many of these are signatures of the petition.
CREATE FUNCTION ledger.signatures_of(id text, listed uuid[]) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT count(*) FROM ledger.signatures s JOIN ledger.petitions p ON p.petition = s.petition
   WHERE p.id = signatures_of.id AND s.signature = ANY (listed)
$$;

-- What a correction over these would leave of the numbers that were published (the latest 100 that would be another), as
-- corrected: without any signature that is held then.
CREATE FUNCTION ledger.published_as_corrected(id text, kind text, lifts uuid, signatures uuid[])
RETURNS TABLE ("position" bigint, count bigint, as_corrected bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  number bigint := (SELECT p.petition FROM ledger.petitions p WHERE p.id = published_as_corrected.id);
BEGIN
  RETURN QUERY
    WITH moved AS (
      SELECT e.position, e.delta
        FROM ledger.events e
        JOIN ledger.signatures s ON s.signature = e.signature
        LEFT JOIN (SELECT unnest(signatures) AS signature) AS c ON c.signature = s.signature
       WHERE e.petition = number AND e.delta <> 0
         AND CASE WHEN published_as_corrected.kind = 'invalidate' THEN c.signature IS NOT NULL OR cardinality(s.holds) > 0
                  ELSE cardinality(s.holds) > 0 AND NOT (
                    c.signature IS NOT NULL
                    AND (published_as_corrected.lifts IS NULL OR s.holds <@ ARRAY[published_as_corrected.lifts])) END
    ), published AS (
      SELECT e.position, (said.data ->> 'position')::bigint AS as_of, (said.data ->> 'count')::bigint AS count
        FROM ledger.events e
        CROSS JOIN LATERAL (SELECT convert_from(e.leaf, 'UTF8')::jsonb -> 'data' AS data) AS said
       WHERE e.petition = number AND e.type = 'count.published.v1'
    ), running AS (
      SELECT m.at, m.published, m.count, sum(m.delta) OVER (ORDER BY m.at, m.published NULLS FIRST) AS counted
        FROM (
          SELECT d.position AS at, NULL::bigint AS published, NULL::bigint AS count, d.delta FROM moved d
          UNION ALL
          SELECT p.as_of, p.position, p.count, 0 FROM published p) AS m
    )
    SELECT r.published, r.count, (r.count - r.counted)::bigint
      FROM running r WHERE r.published IS NOT NULL AND r.counted <> 0
     ORDER BY r.published DESC LIMIT 100;
END
$$;

-- The signatures that a correction has moved, in its order: what its reversal is over.
CREATE FUNCTION ledger.applied_signatures(id text, named uuid)
RETURNS TABLE (signature uuid, "position" bigint, recorded timestamptz, state text, moves boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
    SELECT m.signature, s.position, e.recorded,
           CASE WHEN s.withdrawn THEN 'withdrawn' WHEN cardinality(s.holds) > 0 THEN 'invalidated'
                WHEN s.confirmed THEN 'standing' ELSE 'pending' END,
           NOT s.erased AND s.confirmed AND NOT s.withdrawn AND s.holds <@ CASE c.kind WHEN 'invalidate' THEN ARRAY[named] ELSE '{}' END
             AND (c.kind = 'reinstate' OR named = ANY (s.holds))
      FROM ledger.corrections c
      JOIN ledger.petitions p ON p.petition = c.petition AND p.id = applied_signatures.id
      JOIN ledger.correction_members m ON m.correction = c.correction AND m.outcome = 'applied'
      JOIN ledger.signatures s ON s.signature = m.signature
      JOIN ledger.events e ON e.position = s.position
     WHERE c.correction = named ORDER BY m.ordinal;
END
$$;

-- The corrections of a petition, newest first: all of a state, or one by its id.
CREATE FUNCTION ledger.corrections_of(id text, in_state text, named uuid, at_most bigint)
RETURNS TABLE (
  correction uuid, kind text, reason text, state text, approval text, actor text, approver text, matched bigint,
  applied bigint, skipped bigint, digest text, lifts uuid, reverses uuid, reversed_by uuid, opened timestamptz, rule text,
  conditions text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT c.correction, c.kind, c.reason, c.state, c.approval, c.actor, c.approver, c.matched, c.applied, c.skipped,
         c.digest, c.lifts, c.reverses, r.correction, c.opened, n.rule, w.conditions::text
    FROM ledger.petitions p
    JOIN ledger.corrections c ON c.petition = p.petition
    LEFT JOIN ledger.corrections r ON r.reverses = c.correction AND r.state <> 'cancelled'
    LEFT JOIN ledger.notices n ON n.correction = c.correction
    LEFT JOIN vault.correction_wheres w ON w.correction = c.correction
   WHERE p.id = corrections_of.id AND (in_state IS NULL OR c.state = in_state)
     AND (named IS NULL OR c.correction = named)
   ORDER BY c.opened DESC, c.correction DESC LIMIT at_most
$$;

-- Members that were no longer eligible when their turn came, in order.
CREATE FUNCTION ledger.skipped_signatures(named uuid, at_most bigint) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT m.signature FROM ledger.correction_members m
   WHERE m.correction = named AND m.outcome = 'skipped' ORDER BY m.ordinal LIMIT at_most
$$;

-- Corrections that people opened and that are to be run on, oldest first.
CREATE FUNCTION ledger.corrections_to_run(at_most bigint) RETURNS TABLE (id text, correction uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT p.id, c.correction FROM ledger.corrections c JOIN ledger.petitions p USING (petition)
   WHERE c.state = 'running' AND c.approval <> 'exempt' ORDER BY c.opened, c.correction LIMIT at_most
$$;

REVOKE EXECUTE ON FUNCTION
  ledger.keep_beside, ledger.opened_lately, ledger.reversals_of, ledger.keep_correction, ledger.judge_frozen,
  ledger.judge_corrections, ledger.matching_signatures, ledger.signatures_of, ledger.published_as_corrected,
  ledger.applied_signatures, ledger.corrections_of, ledger.skipped_signatures, ledger.corrections_to_run FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.keep_beside TO ledger_signing, ledger_admin;
GRANT EXECUTE ON FUNCTION ledger.opened_lately, ledger.reversals_of TO ledger_signing, ledger_admin, ledger_privacy;
GRANT EXECUTE ON FUNCTION
  ledger.keep_correction, ledger.matching_signatures, ledger.signatures_of, ledger.published_as_corrected,
  ledger.applied_signatures, ledger.corrections_of, ledger.skipped_signatures, ledger.corrections_to_run TO ledger_admin;
