-- The only way in.
--
-- A writer's transaction is: `lock_head()`, which waits for its turn; `read_state(...)`, a second statement, so that its
-- clock and its snapshot are later than the wait; `append_<role>(...)`; COMMIT. What the writer decided in Python is
-- judged here once more, by sets, against the state as it stands under the lock:
--   * positions continue the head without a gap, versions continue each petition, recorded times never decrease and lie
--     at the clock;
--   * the role may write these types;
--   * count_after is the running sum of the deltas, and never negative;
--   * the end of each leaf, from its id on, is what the columns say, and names the petition's leaf before it;
--   * what a petition takes and when it closes changes by events alone;
--   * each signature event is a legal transition, its delta the change in whether the signature stands, and the new state
--     of the signature what its events make of the old one;
--   * a signer gets a new signature only after the latest was withdrawn and while nothing holds it;
--   * a count in an observed petition is the last observed one; no signature enters it.
-- Whatever is wrong refuses the whole transaction, with a sentence that names the rule and the position, never content.

SET LOCAL ROLE ledger_owner;

CREATE TYPE ledger.batch AS (
  events      ledger.events[],
  petitions   ledger.petitions[],
  signatures  ledger.signatures[],
  signers     vault.signers[],
  aliases     vault.aliases[],
  identities  vault.identities[],
  import_keys vault.import_keys[],
  answers     vault.answers[],
  corrections ledger.corrections[],
  members     ledger.correction_members[]
);

CREATE TYPE ledger.state AS (
  now         timestamptz,
  petitions   ledger.petitions[],
  signatures  ledger.signatures[],
  signers     vault.signers[],
  aliases     vault.aliases[],
  import_keys vault.import_keys[],
  answers     vault.answers[],
  corrections ledger.corrections[],
  members     ledger.correction_members[]
);

-- Grants as a table: which role may write which type.
CREATE TABLE ledger.writable_types (
  role text NOT NULL,
  type ledger.event_type NOT NULL,
  PRIMARY KEY (role, type)
);
INSERT INTO ledger.writable_types
  SELECT 'signing', unnest(ARRAY[
    'signature.recorded.v1', 'signature.confirmed.v1', 'signature.withdrawn.v1',
    'acceptance.changed.v1'  -- only the closing at closes_at: judged below
  ]::ledger.event_type[])
  UNION ALL SELECT 'privacy', unnest(ARRAY['signature.withdrawn.v1', 'signer.erased.v1']::ledger.event_type[])
  UNION ALL SELECT 'admin', type FROM unnest(enum_range(NULL::ledger.event_type)) AS type
    WHERE type <> 'signer.erased.v1';
GRANT SELECT ON ledger.writable_types TO ledger_backup;

CREATE FUNCTION ledger.lock_head(OUT "position" bigint, OUT recorded timestamptz, OUT origin text)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT h.position, h.recorded, h.origin FROM ledger.head h FOR UPDATE
$$;

CREATE FUNCTION ledger.read_state(
  ids             text[],   -- petitions by id
  token_ids       text[],   -- signers: the petition's id ...
  tokens          bytea[],  --   ... and the signer's token, pairwise
  named           uuid[],   -- signatures by id
  import_ids      text[],   -- rows of files: the petition's id ...
  imports         bytea[],  --   ... and the row's key, pairwise
  credentials     text[],   -- idempotency keys: credential, ...
  answer_ids      text[],   --   ... petition, ...
  answer_keys     bytea[],  --   ... and key
  named_corrections uuid[], -- corrections by id
  chunk           bigint    -- at most this many members still to do, of each of these corrections
) RETURNS ledger.state
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  s ledger.state;
BEGIN
  s.now := greatest(clock_timestamp(), (SELECT recorded FROM ledger.head));
  IF s.now > clock_timestamp() + interval '60 s' THEN
    RAISE EXCEPTION 'The log was last recorded more than 60 s ahead of the clock; nothing is appended until it catches up'
      USING ERRCODE = 'object_not_in_prerequisite_state';
  END IF;
  s.petitions := ARRAY(SELECT p FROM ledger.petitions p WHERE p.id = ANY (ids));
  IF cardinality(tokens) > 0 THEN
    s.aliases := ARRAY(
      SELECT a FROM unnest(token_ids, tokens) AS u(id, token)
        JOIN ledger.petitions p ON p.id = u.id
        JOIN vault.aliases a ON a.petition = p.petition AND a.alias = u.token);
    s.signers := ARRAY(
      SELECT g FROM unnest(token_ids, tokens) AS u(id, token)
        JOIN ledger.petitions p ON p.id = u.id
        JOIN vault.signers g ON g.petition = p.petition AND g.token = u.token)
      || ARRAY(
      SELECT g FROM unnest(s.aliases) AS a
        JOIN vault.signers g ON g.petition = a.petition AND g.token = a.token);
  END IF;
  IF cardinality(imports) > 0 THEN
    s.import_keys := ARRAY(
      SELECT k FROM unnest(import_ids, imports) AS u(id, key)
        JOIN ledger.petitions p ON p.id = u.id
        JOIN vault.import_keys k ON k.petition = p.petition AND k.key = u.key);
  END IF;
  IF cardinality(answer_keys) > 0 THEN
    s.answers := ARRAY(
      SELECT a FROM unnest(credentials, answer_ids, answer_keys) AS u(credential, id, key)
        JOIN vault.answers a ON a.credential = u.credential AND a.petition = u.id AND a.key = u.key);
  END IF;
  IF cardinality(named_corrections) > 0 THEN
    s.corrections := ARRAY(SELECT c FROM ledger.corrections c WHERE c.correction = ANY (named_corrections));
    s.members := ARRAY(
      SELECT m FROM unnest(named_corrections) AS u(correction) CROSS JOIN LATERAL (
        SELECT * FROM ledger.correction_members m
          WHERE m.correction = u.correction AND m.outcome IS NULL ORDER BY m.ordinal LIMIT chunk) AS m);
  END IF;
  s.signatures := ARRAY(
    SELECT g FROM ledger.signatures g WHERE g.signature = ANY (
      named
      || coalesce((SELECT array_agg(r.signature) FROM unnest(s.signers) AS r), '{}')
      || coalesce((SELECT array_agg(m.signature) FROM unnest(s.members) AS m), '{}')));
  RETURN s;
END
$$;

-- How the leaf of an event ends: in canonical bytes the members stand in the order of their names, and all that the
-- columns repeat stands from `id` on. `prev` is NULL on a petition's first event.
CREATE FUNCTION ledger.end_of_leaf(
  "position" bigint, prev bytea, recorded text, log_origin text, id text, effective timestamptz,
  type ledger.event_type, version bigint
) RETURNS bytea
LANGUAGE sql STABLE AS $$
  SELECT convert_to(
    ',"id":"' || lpad("position"::text, 20, '0')
    || coalesce('","prev":"' || encode(prev, 'base64'), '')
    || '","recordedtime":"' || recorded
    || '","source":' || log_origin
    || ',"specversion":"1.0","subject":"' || id
    || '","time":"' || to_char(effective AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    || '","type":"' || type
    || '","version":' || version || '}', 'UTF8')
$$;

CREATE FUNCTION ledger.append(writer text, expected bigint, at timestamptz, log_origin text, batch ledger.batch)
RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  head ledger.head;
  size bigint := coalesce(cardinality(batch.events), 0);
  last bigint := expected + size;
  at_text text := to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');
  origin_text text := to_json(log_origin)::text;
  wrong bigint;
  written bigint;
BEGIN
  SELECT * INTO head FROM ledger.head FOR UPDATE;
  IF head.position IS DISTINCT FROM expected THEN
    RAISE EXCEPTION 'The head is at position %, not at %', head.position, expected;
  END IF;
  IF log_origin IS NULL OR head.origin <> log_origin THEN
    RAISE EXCEPTION 'The origin of a ledger never changes';
  END IF;
  IF at IS NULL OR at < head.recorded OR at > greatest(clock_timestamp(), head.recorded)
     OR at < clock_timestamp() - interval '60 s' THEN
    RAISE EXCEPTION 'The recorded time is not that of the clock under the lock';
  END IF;

  INSERT INTO ledger.events SELECT (e).* FROM unnest(batch.events) AS e;

  -- Positions: `size` rows were written, and `size` rows stand in the `size` places above the old head.
  -- (Everywhere below the range is closed on both sides: with an open end the planner would guess a third of the log.)
  IF (SELECT count(*) FROM ledger.events e WHERE e.position BETWEEN expected + 1 AND last) <> size THEN
    RAISE EXCEPTION 'Positions do not continue the head at %', expected;
  END IF;

  -- Types.
  SELECT e.position INTO wrong FROM ledger.events e
    WHERE e.position BETWEEN expected + 1 AND last
      AND NOT EXISTS (SELECT FROM ledger.writable_types w WHERE w.role = writer AND w.type = e.type)
    LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'The role % may not write the type at position %', writer, wrong
      USING ERRCODE = 'insufficient_privilege';
  END IF;

  -- Versions, counts, times and petitions; and the leaf, which says the same.
  SELECT e.position INTO wrong
    FROM (
      SELECT n.*,
             row_number() OVER petition_so_far AS nth,
             sum(n.delta) OVER petition_so_far AS moved,
             lag(n.leaf_hash) OVER petition_so_far AS leaf_before
        FROM ledger.events n WHERE n.position BETWEEN expected + 1 AND last
      WINDOW petition_so_far AS (PARTITION BY n.petition ORDER BY n.position)
    ) AS e
    LEFT JOIN ledger.petitions old ON old.petition = e.petition
    LEFT JOIN unnest(batch.petitions) AS new ON new.petition = e.petition
    CROSS JOIN LATERAL ledger.end_of_leaf(
      e.position, coalesce(e.leaf_before, old.last_leaf_hash), at_text, origin_text, new.id, e.effective, e.type,
      e.version) AS ending
    WHERE e.recorded <> at
       OR e.version <> coalesce(old.version, 0) + e.nth
       OR e.count_after <> coalesce(old.count, 0) + e.moved
       OR (e.version = 1) <> (e.petition = e.position)
       OR (e.version = 1) <> (e.type IN ('petition.opened.v1', 'log.continued.v1'))
       OR substr(e.leaf, octet_length(e.leaf) - octet_length(ending) + 1) IS DISTINCT FROM ending
    LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'Version, count, recorded time or leaf do not continue the petition at position %', wrong;
  END IF;

  -- Petitions: the new state is that after the last event, and nothing in it moved without one that moves it.
  SELECT coalesce(e.last, 0) INTO wrong
    FROM (
      SELECT n.petition, max(n.position) AS last, sum(n.delta) AS moved,
             count(*) FILTER (WHERE n.type IN (
               'petition.opened.v1', 'petition.revised.v1', 'update.posted.v1', 'acceptance.changed.v1',
               'status.declared.v1')) AS declared,
             bool_or(n.type IN ('petition.opened.v1', 'petition.revised.v1')) AS is_revised,
             bool_or(n.type = 'count.observed.v1') AS is_observed,
             jsonb_agg(jsonb_build_array(
               n.position, said -> 'time', coalesce(said -> 'data' -> 'acceptance', '"open"')) ORDER BY n.position)
               FILTER (WHERE said IS NOT NULL) AS accepted
        FROM ledger.events n
        LEFT JOIN LATERAL (
          SELECT convert_from(n.leaf, 'UTF8')::jsonb
           WHERE n.type IN ('petition.opened.v1', 'acceptance.changed.v1')) AS a(said) ON true
       WHERE n.position BETWEEN expected + 1 AND last
       GROUP BY n.petition
    ) AS e
    FULL JOIN unnest(batch.petitions) AS new ON new.petition = e.petition
    LEFT JOIN ledger.events ending ON ending.position = e.last
    LEFT JOIN ledger.petitions old ON old.petition = new.petition
    WHERE e.petition IS NULL OR new.petition IS NULL OR new.id <> old.id
       OR (new.version, new.count, new.last_leaf_hash)
            IS DISTINCT FROM (ending.version, ending.count_after, ending.leaf_hash)
       OR new.declarations <> coalesce(old.declarations, 0) + e.declared
       OR new.acceptances <> coalesce(old.acceptances, '[]') || coalesce(e.accepted, '[]')
       OR (NOT e.is_revised AND (new.text_version, new.opens_at, new.closes_at)
                                  IS DISTINCT FROM (old.text_version, old.opens_at, old.closes_at))
       OR (NOT e.is_observed AND new.observed_at IS DISTINCT FROM old.observed_at)
    LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'The state of a petition is not what its events make of it, by position %', wrong;
  END IF;
  INSERT INTO ledger.petitions AS p SELECT (n).* FROM unnest(batch.petitions) AS n
    ON CONFLICT (petition) DO UPDATE SET
      version = excluded.version, count = excluded.count, last_leaf_hash = excluded.last_leaf_hash,
      declarations = excluded.declarations, text_version = excluded.text_version,
      opens_at = excluded.opens_at, closes_at = excluded.closes_at,
      acceptances = excluded.acceptances, observed_at = excluded.observed_at;
  SELECT e.position INTO wrong
    FROM ledger.events e JOIN ledger.petitions p ON p.petition = e.petition
    WHERE e.position BETWEEN expected + 1 AND last AND (
      (p.basis = 'observed' AND e.signature IS NOT NULL)
      OR (p.basis = 'itemised' AND e.type = 'count.observed.v1'))
    LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'The basis of the petition does not allow the type at position %', wrong;
  END IF;

  -- Signatures: event by event, each a legal transition from what the ones before it left, the old state first; its delta
  -- is what it changes about whether the signature stands. The new state is that after the last of them.
  SELECT coalesce(e.position, 0) INTO wrong
    FROM (
      SELECT f.*,
             f.stands - coalesce(lag(f.stands) OVER (PARTITION BY f.signature ORDER BY f.position), f.stood) AS moved
        FROM (
          SELECT n.position, n.signature, n.petition, n.type, n.delta, n.hold,
                 old.petition AS old_petition, old.holds AS old_holds,
                 coalesce(old.position, min(n.position) OVER whole) AS recorded_at,
                 (old.signature IS NULL AND row_number() OVER so_far = 1) AS is_first,
                 row_number() OVER so_far = count(*) OVER whole AS is_last,
                 c.confirmations, c.withdrawals, c.erasures, c.holds,
                 ledger.stands(old.confirmed, old.withdrawn, old.holds)::int AS stood,
                 (c.confirmations > 0 AND c.withdrawals = 0 AND c.holds = 0)::int AS stands,
                 coalesce((n.hold = ANY (old.holds))::int, 0)
                   + sum(CASE n.type WHEN 'signature.invalidated.v1' THEN 1 WHEN 'signature.reinstated.v1' THEN -1
                         END) OVER of_hold AS holding,
                 array_agg(n.hold) FILTER (WHERE n.type = 'signature.reinstated.v1') OVER whole AS lifted,
                 lead(n.position) OVER of_hold IS NULL AS is_last_of_hold
            FROM (
              SELECT m.position, m.signature, m.petition, m.type, m.delta, m.hold,
                     count(*) FILTER (WHERE m.type = 'signature.confirmed.v1'
                                        OR (m.type = 'signature.recorded.v1' AND m.delta = 1)) OVER so_far AS confirmed,
                     count(*) FILTER (WHERE m.type = 'signature.withdrawn.v1') OVER so_far AS withdrawn,
                     count(*) FILTER (WHERE m.type = 'signer.erased.v1') OVER so_far AS erased,
                     count(*) FILTER (WHERE m.type = 'signature.invalidated.v1') OVER so_far
                       - count(*) FILTER (WHERE m.type = 'signature.reinstated.v1') OVER so_far AS held
                FROM ledger.events m
               WHERE m.position BETWEEN expected + 1 AND last AND m.signature IS NOT NULL
              WINDOW so_far AS (PARTITION BY m.signature ORDER BY m.position)
            ) AS n
            LEFT JOIN ledger.signatures old ON old.signature = n.signature
            CROSS JOIN LATERAL (
              SELECT coalesce(old.confirmed, false)::int + n.confirmed AS confirmations,
                     coalesce(old.withdrawn, false)::int + n.withdrawn AS withdrawals,
                     coalesce(old.erased, false)::int + n.erased AS erasures,
                     coalesce(cardinality(old.holds), 0) + n.held AS holds) AS c
          WINDOW so_far AS (PARTITION BY n.signature ORDER BY n.position),
                 whole AS (PARTITION BY n.signature),
                 of_hold AS (PARTITION BY n.signature, n.hold ORDER BY n.position)
        ) AS f
    ) AS e
    FULL JOIN unnest(batch.signatures) AS new ON new.signature = e.signature
    WHERE e.signature IS NULL OR new.signature IS NULL
       OR e.is_first <> (e.type = 'signature.recorded.v1')
       OR e.petition <> coalesce(e.old_petition, e.petition) OR e.petition <> new.petition
       OR e.confirmations > 1 OR e.withdrawals > 1 OR e.erasures > 1
       OR (e.type = 'signature.confirmed.v1' AND e.withdrawals > 0)
       OR (e.type = 'signature.invalidated.v1' AND e.holding <> 1)
       OR (e.type = 'signature.reinstated.v1' AND e.holding <> 0)
       OR e.delta <> e.moved
       OR (e.is_last AND (new.position, new.confirmed, new.withdrawn, new.erased, cardinality(new.holds)) IS DISTINCT FROM
             (e.recorded_at, e.confirmations > 0, e.withdrawals > 0, e.erasures > 0, e.holds::int))
       OR (e.is_last AND NOT coalesce(e.old_holds, '{}') <@ (new.holds || e.lifted))
       OR (e.type = 'signature.invalidated.v1' AND e.is_last_of_hold AND NOT e.hold = ANY (new.holds))
    LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'The state of a signature is not what its events make of it, by position %', wrong;
  END IF;
  INSERT INTO ledger.signatures SELECT (n).* FROM unnest(batch.signatures) AS n
    ON CONFLICT (signature) DO UPDATE SET
      confirmed = excluded.confirmed, withdrawn = excluded.withdrawn, erased = excluded.erased,
      holds = excluded.holds, effective = excluded.effective;

  -- Signers: a signature that is new belongs to one, unless it was withdrawn at once. The latest signature gives way only
  -- to a new one, and only where it can never stand again.
  IF EXISTS (
    SELECT FROM (SELECT n.signature, n.petition FROM ledger.events n
                  WHERE n.position BETWEEN expected + 1 AND last AND n.type = 'signature.recorded.v1') AS e
      FULL JOIN unnest(batch.signers) AS g ON g.signature = e.signature AND g.petition = e.petition
     WHERE e.signature IS NULL
        OR (g.signature IS NULL
            AND NOT EXISTS (SELECT FROM ledger.signatures s WHERE s.signature = e.signature AND s.withdrawn))
  ) THEN
    RAISE EXCEPTION 'A new signature has a signer, and a signer a new signature';
  END IF;
  IF EXISTS (
    SELECT FROM unnest(batch.signers) AS new
      JOIN vault.signers old ON old.petition = new.petition AND old.token = new.token
      JOIN ledger.signatures latest ON latest.signature = old.signature
     WHERE old.signer_ref <> new.signer_ref
        OR (old.signature <> new.signature AND (NOT latest.withdrawn OR cardinality(latest.holds) > 0))
  ) THEN
    RAISE EXCEPTION 'A signer has at most one standing signature in a petition'
      USING ERRCODE = 'unique_violation';
  END IF;
  INSERT INTO vault.signers SELECT (n).* FROM unnest(batch.signers) AS n
    ON CONFLICT (petition, token) DO UPDATE SET signature = excluded.signature;
  INSERT INTO vault.aliases SELECT (n).* FROM unnest(batch.aliases) AS n;
  INSERT INTO vault.identities SELECT (n).* FROM unnest(batch.identities) AS n;
  INSERT INTO vault.import_keys SELECT (n).* FROM unnest(batch.import_keys) AS n;
  INSERT INTO vault.answers SELECT (n).* FROM unnest(batch.answers) AS n;

  -- Corrections: one that has ended, and a member that was settled, stay as they are.
  INSERT INTO ledger.corrections AS c SELECT (n).* FROM unnest(batch.corrections) AS n
    ON CONFLICT (correction) DO UPDATE SET
      state = excluded.state, applied = excluded.applied, skipped = excluded.skipped
    WHERE c.petition = excluded.petition AND c.state = 'running';
  GET DIAGNOSTICS written = ROW_COUNT;
  IF written <> coalesce(cardinality(batch.corrections), 0) THEN
    RAISE EXCEPTION 'A correction that has ended does not go on';
  END IF;
  INSERT INTO ledger.correction_members AS m SELECT (n).* FROM unnest(batch.members) AS n
    ON CONFLICT (correction, ordinal) DO UPDATE SET outcome = excluded.outcome
    WHERE m.outcome IS NULL AND m.signature = excluded.signature;
  GET DIAGNOSTICS written = ROW_COUNT;
  IF written <> coalesce(cardinality(batch.members), 0) THEN
    RAISE EXCEPTION 'A member of a correction is settled once';
  END IF;

  UPDATE ledger.head SET position = last, recorded = at, origin = log_origin WHERE size > 0;
END
$$;

CREATE FUNCTION ledger.append_signing(expected bigint, at timestamptz, log_origin text, batch ledger.batch)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  size bigint := coalesce(cardinality(batch.events), 0);
  wrong bigint;
BEGIN
  IF cardinality(batch.import_keys) > 0 OR cardinality(batch.corrections) > 0 OR cardinality(batch.members) > 0 THEN
    RAISE EXCEPTION 'The role signing neither imports nor corrects' USING ERRCODE = 'insufficient_privilege';
  END IF;
  PERFORM ledger.append('signing', expected, at, log_origin, batch);
  SELECT e.position INTO wrong
    FROM ledger.events e JOIN ledger.petitions p ON p.petition = e.petition
    CROSS JOIN LATERAL (SELECT convert_from(e.leaf, 'UTF8')::jsonb AS said) AS l
    WHERE e.position BETWEEN expected + 1 AND expected + size AND e.type = 'acceptance.changed.v1' AND NOT coalesce(
      l.said -> 'data' ->> 'acceptance' = 'closed' AND l.said ->> 'actor' = 'system'
      AND e.effective = p.closes_at AND p.closes_at <= at, false)
    LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'The role signing closes a petition only at its closing time, not at position %', wrong
      USING ERRCODE = 'insufficient_privilege';
  END IF;
  -- Live signing and closing never race: what the petition takes is what it took at the position before.
  SELECT e.position INTO wrong
    FROM ledger.events e JOIN ledger.petitions p ON p.petition = e.petition
    CROSS JOIN LATERAL (
      SELECT a ->> 2 AS acceptance, (a ->> 1)::timestamptz AS decided, (a ->> 0)::bigint = p.petition AS is_first
        FROM jsonb_array_elements(p.acceptances) AS a
       WHERE (a ->> 0)::bigint < e.position ORDER BY (a ->> 0)::bigint DESC LIMIT 1) AS before
    WHERE e.position BETWEEN expected + 1 AND expected + size AND (
      (e.type IN ('signature.recorded.v1', 'signature.confirmed.v1') AND before.acceptance <> 'open')
      OR (e.type = 'signature.withdrawn.v1' AND before.acceptance IN ('closed', 'rejected'))
      OR (e.signature IS NOT NULL AND (
            p.opens_at > at  -- nothing is taken yet
            OR (p.closes_at <= at AND (before.is_first OR before.decided < p.closes_at)))))  -- it had to be closed first
    LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'The petition does not take the type at position %', wrong;
  END IF;
END
$$;

CREATE FUNCTION ledger.append_admin(expected bigint, at timestamptz, log_origin text, batch ledger.batch)
RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT ledger.append('admin', expected, at, log_origin, batch)
$$;

CREATE FUNCTION ledger.append_privacy(expected bigint, at timestamptz, log_origin text, batch ledger.batch)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF cardinality(batch.import_keys) > 0 OR cardinality(batch.corrections) > 0 OR cardinality(batch.members) > 0 THEN
    RAISE EXCEPTION 'The role privacy neither imports nor corrects' USING ERRCODE = 'insufficient_privilege';
  END IF;
  PERFORM ledger.append('privacy', expected, at, log_origin, batch);
END
$$;

-- Whether these very events stand one after the other from this position on: how a writer learns, after a lost answer,
-- what became of its batch. Asked under the head lock, which proves that the old transaction has ended.
CREATE FUNCTION ledger.was_appended(first_position bigint, hashes bytea[]) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT NOT EXISTS (
    SELECT FROM unnest(hashes) WITH ORDINALITY AS h(hash, nth)
      LEFT JOIN ledger.events e ON e.position = first_position + h.nth - 1 AND e.leaf_hash = h.hash
     WHERE e.position IS NULL)
$$;

-- What of a petition decides how its signers are read: its basis and its identity policy.
CREATE FUNCTION ledger.petition_rules(id text, OUT basis text, OUT identity_policy text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT p.basis, p.identity_policy FROM ledger.petitions p WHERE p.id = petition_rules.id
$$;

-- Corrections that were opened and neither completed nor cancelled, oldest first: what a restart takes up again.
CREATE FUNCTION ledger.running_corrections(id text) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT c.correction FROM ledger.corrections c JOIN ledger.petitions p USING (petition)
   WHERE p.id = running_corrections.id AND c.state = 'running' ORDER BY c.correction
$$;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA ledger FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.lock_head, ledger.read_state, ledger.was_appended TO ledger_signing, ledger_admin, ledger_privacy;
GRANT EXECUTE ON FUNCTION ledger.append_signing TO ledger_signing;
GRANT EXECUTE ON FUNCTION ledger.append_admin, ledger.running_corrections, ledger.petition_rules TO ledger_admin;
GRANT EXECUTE ON FUNCTION ledger.append_privacy TO ledger_privacy;
