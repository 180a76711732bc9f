-- A log that goes on under a new origin, because its tail was lost.
--
-- The law of this file
--   1. The events that survived stay as they are, position by position; the continuation is one more event behind them, of
--      the subject `ledger`, whose `source` is the new origin. Only here does the source of a log ever change.
--   2. It names the newest head of the old origin that is known: what was shown and is not here any more is said, in the
--      log, for ever. The old origin never comes back.
--   3. Nothing else is in its transaction. A petition is not concerned, and no state of one is written.

SET LOCAL ROLE ledger_owner;

-- The continuations so far, few or none: a log's own stream, whose number is the position of the first.
CREATE INDEX events_continued ON ledger.events (position) WHERE type = 'log.continued.v1';

-- Where that stream stands: its number, its last version and that leaf's hash; no row where the log was never continued.
CREATE FUNCTION ledger.last_continuation(OUT first bigint, OUT version bigint, OUT leaf_hash bytea)
RETURNS SETOF record
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT e.petition, e.version, e.leaf_hash FROM ledger.events e
   WHERE e.type = 'log.continued.v1' ORDER BY e.position DESC LIMIT 1
$$;

-- Under the head lock, which the caller's transaction holds since `lock_head`.
CREATE FUNCTION ledger.continue_log(expected bigint, at timestamptz, new_origin text, leaf bytea) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  head ledger.head;
  before record;
  said jsonb := convert_from(leaf, 'UTF8')::jsonb;
  ending bytea;
  next bigint := expected + 1;
BEGIN
  SELECT * INTO head FROM ledger.head FOR UPDATE;
  IF head.position IS DISTINCT FROM expected OR expected = 0 THEN
    RAISE EXCEPTION 'The head is at position %, not at %', head.position, expected;
  END IF;
  IF at IS NULL OR at < head.recorded OR at > greatest(clock_timestamp(), head.recorded)
     OR at < clock_timestamp() - interval '60 s' THEN
    RAISE EXCEPTION 'The recorded time is not that of the clock under the lock';
  END IF;
  IF new_origin IS NULL OR new_origin = head.origin OR EXISTS (
       SELECT FROM ledger.events e WHERE e.type = 'log.continued.v1'
        AND convert_from(e.leaf, 'UTF8')::jsonb -> 'data' ->> 'old_origin' = new_origin) THEN
    RAISE EXCEPTION 'A log is continued under an origin that it never had';
  END IF;
  SELECT * INTO before FROM ledger.last_continuation();
  ending := ledger.end_of_leaf(
    next, before.leaf_hash, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), to_json(new_origin)::text,
    'ledger', at, 'log.continued.v1', coalesce(before.version, 0) + 1);
  IF substr(leaf, octet_length(leaf) - octet_length(ending) + 1) IS DISTINCT FROM ending
     OR said ->> 'actor' IS DISTINCT FROM 'system'
     OR said -> 'data' ->> 'old_origin' IS DISTINCT FROM head.origin
     OR (said -> 'data' ->> 'old_size')::bigint IS NULL THEN
    RAISE EXCEPTION 'The leaf is not that of a continuation of this log at position %', next;
  END IF;
  INSERT INTO ledger.events
    (position, petition, version, type, effective, recorded, delta, count_after, leaf, leaf_hash)
    VALUES (next, coalesce(before.first, next), coalesce(before.version, 0) + 1, 'log.continued.v1', at, at, 0, 0,
            leaf, sha256('\x00'::bytea || leaf));
  UPDATE ledger.head SET position = next, recorded = at, origin = new_origin;
END
$$;

REVOKE EXECUTE ON FUNCTION ledger.last_continuation, ledger.continue_log FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.last_continuation, ledger.continue_log TO ledger_admin;
