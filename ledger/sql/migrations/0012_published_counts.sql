-- Published counts: the numbers that this ledger itself served, stated in the log so that none can be denied later.
--
-- The law of this file: whoever asks for it, a count is published only
--   1. by the service itself, whose actor is `system`;
--   2. as what it was: the petition's count at the position that it names, which lies before the event;
--   3. as news: another number than the last one that was published (before the first: than 0), true at a later position.
-- Like every law of the log it is judged by the append function, under the head lock, after the events are written. The
-- writer decides the same before, from what `served_counts` reads.

SET LOCAL ROLE ledger_owner;

-- What was published of a petition, without all else that is declared of it.
CREATE INDEX events_published ON ledger.events (petition, position) WHERE type = 'count.published.v1';
-- Status declarations in order of position: what a service that publishes counts looks for.
CREATE INDEX events_of_status ON ledger.events (position) WHERE type = 'status.declared.v1';

-- The last count that was published of a petition (named by the position of its first event) before a position.
CREATE FUNCTION ledger.last_published(petition bigint, before bigint)
RETURNS TABLE ("position" bigint, count bigint, as_of bigint, recorded timestamptz)
LANGUAGE sql STABLE AS $$
  SELECT e.position, (leaf.data ->> 'count')::bigint, (leaf.data ->> 'position')::bigint, e.recorded
    FROM ledger.events e CROSS JOIN LATERAL (SELECT convert_from(e.leaf, 'UTF8')::jsonb -> 'data' AS data) AS leaf
   WHERE e.petition = last_published.petition AND e.position < last_published.before AND e.type = 'count.published.v1'
   ORDER BY e.position DESC LIMIT 1
$$;

-- The count of a petition (named likewise) as of a position; NULL before its first event.
CREATE FUNCTION ledger.count_as_of(petition bigint, as_of bigint) RETURNS bigint
LANGUAGE sql STABLE AS $$
  SELECT e.count_after FROM ledger.events e
   WHERE e.petition = count_as_of.petition AND e.position <= count_as_of.as_of
   ORDER BY e.position DESC LIMIT 1
$$;

CREATE TYPE ledger.served_count AS (
  id         text,    -- the petition
  as_of      bigint,  -- a position at which a number was served ...
  count      bigint,  --   ... and what the count was there; NULL where that is not in the log
  last       bigint,  -- where the last published count stands, NULL for nowhere; the number, and when it was true
  last_count bigint,
  last_as_of bigint
);

-- What a writer has to know that is to publish counts: pairwise, petitions by id, and positions. None: nothing is read.
CREATE FUNCTION ledger.served_counts(ids text[], positions bigint[]) RETURNS ledger.served_count[]
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF cardinality(ids) = 0 THEN
    RETURN '{}';
  END IF;
  RETURN ARRAY(
    SELECT (u.id, u.as_of,
            CASE WHEN u.as_of <= h.position THEN ledger.count_as_of(p.petition, u.as_of) END,
            last.position, last.count, last.as_of)::ledger.served_count
      FROM unnest(ids, positions) AS u(id, as_of)
      CROSS JOIN ledger.head h
      JOIN ledger.petitions p ON p.id = u.id
      LEFT JOIN LATERAL ledger.last_published(p.petition, h.position + 1) AS last ON true);
END
$$;

-- Refuses a batch, whose events are written, that publishes what was not served.
CREATE FUNCTION ledger.judge_published(events ledger.events[]) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  wrong bigint;
BEGIN
  SELECT e.position INTO wrong
    FROM (SELECT n.position, n.petition, convert_from(n.leaf, 'UTF8')::jsonb AS said
            FROM unnest(events) AS n WHERE n.type = 'count.published.v1') AS e
    CROSS JOIN LATERAL (SELECT (said -> 'data' ->> 'count')::bigint AS count,
                               (said -> 'data' ->> 'position')::bigint AS as_of) AS published
    LEFT JOIN LATERAL ledger.last_published(e.petition, e.position) AS last ON true
   WHERE NOT coalesce(
           said ->> 'actor' = 'system'
           AND published.as_of < e.position
           AND published.count = ledger.count_as_of(e.petition, published.as_of)
           AND published.count <> coalesce(last.count, 0)
           AND published.as_of > coalesce(last.as_of, 0), false)
   LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'What is published is the count, true before it and not published yet: not so at position %', wrong;
  END IF;
END
$$;

CREATE OR REPLACE FUNCTION ledger.append_admin(expected bigint, at timestamptz, log_origin text, batch ledger.batch)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM ledger.append('admin', expected, at, log_origin, batch);
  PERFORM ledger.judge_published(batch.events);
END
$$;

REVOKE EXECUTE ON FUNCTION
  ledger.last_published, ledger.count_as_of, ledger.served_counts, ledger.judge_published FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.served_counts TO ledger_signing, ledger_admin, ledger_privacy;
GRANT EXECUTE ON FUNCTION ledger.last_published TO ledger_reader;
