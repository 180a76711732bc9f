-- The timeline, over a range of positions: the same projection as `projections/timeline.py`.
--
-- $1 is the build, ($2, $3] the range. The statements run in the order of this file: ladders first, then what events say
-- of themselves, then what follows from it.
--   * A crossing in an itemised petition is found by equality: the count moved by one, so the rung that it crossed is the
--     greater of the counts before and after, and a hash of all rungs answers for every event of the range.
--   * What is inferred between two observations is made anew for each observed petition that the range touches, from all
--     its observations up to the end of the range.

-- name: end_ladders
WITH stated AS (
  SELECT e.petition, min(e.position) AS position FROM ledger.events e
   WHERE e.position > $2 AND e.position <= $3 AND e.signature IS NULL AND e.type = 'petition.revised.v1'
     AND convert_from(e.leaf, 'UTF8')::jsonb -> 'data' ? 'milestones'
   GROUP BY e.petition
)
UPDATE projections.rungs AS r SET until = s.position
  FROM stated s
 WHERE r.build = $1 AND r.petition = s.petition AND r.until = 9223372036854775807;

-- name: begin_ladders
WITH stated AS (
  SELECT e.petition, e.position AS since, l.said ->> 'subject' AS id, l.said -> 'data' -> 'milestones' AS rungs,
         lead(e.position, 1, 9223372036854775807) OVER (PARTITION BY e.petition ORDER BY e.position) AS until
    FROM ledger.events e CROSS JOIN LATERAL (SELECT convert_from(e.leaf, 'UTF8')::jsonb AS said) AS l
   WHERE e.position > $2 AND e.position <= $3 AND e.signature IS NULL
     AND e.type IN ('petition.opened.v1', 'petition.revised.v1') AND l.said -> 'data' ? 'milestones'
)
INSERT INTO projections.rungs (build, petition, rung, since, until, id)
SELECT $1::int, s.petition, r.rung::bigint, s.since, s.until, s.id
  FROM stated s CROSS JOIN LATERAL jsonb_array_elements_text(s.rungs) AS r (rung);

-- name: declare_entries
INSERT INTO projections.timeline (
  build, petition, position, ordinal, kind, at, recorded_at, count, correction, detail)
SELECT $1::int, l.said ->> 'subject', e.position, 0, k.kind, e.effective, e.recorded,
       CASE e.type
         WHEN 'count.published.v1' THEN (d.data ->> 'count')::bigint
         WHEN 'status.declared.v1' THEN coalesce(
           CASE WHEN o.basis = 'observed' THEN (d.data ->> 'reported_count')::bigint END, e.count_after)
         ELSE e.count_after
       END,
       CASE WHEN k.kind = 'correction' THEN (d.data ->> 'correction')::uuid END,
       CASE e.type
         WHEN 'petition.opened.v1' THEN jsonb_build_object('title', d.data -> 'title')
         WHEN 'petition.revised.v1' THEN jsonb_build_object(
           'text_version', d.data -> 'text_version',
           'changed', (
             SELECT coalesce(jsonb_agg(n.name ORDER BY n.name COLLATE "C"), '[]')
               FROM jsonb_object_keys(d.data - 'text_version') AS n (name)))
         WHEN 'acceptance.changed.v1' THEN jsonb_build_object('acceptance', d.data -> 'acceptance')
         WHEN 'count.published.v1' THEN jsonb_build_object('as_of_position', d.data -> 'position')
         WHEN 'correction.opened.v1' THEN
           jsonb_build_object('state', 'opened', 'correction_kind', d.data -> 'kind')
             || (d.data - '{correction,kind,conditions,digest}'::text[])
         WHEN 'correction.approved.v1' THEN jsonb_build_object('state', 'approved')
         ELSE d.data  -- an update or a status: all its members
       END
  FROM ledger.events e
  CROSS JOIN LATERAL (SELECT convert_from(e.leaf, 'UTF8')::jsonb AS said) AS l
  CROSS JOIN LATERAL (SELECT l.said -> 'data' AS data) AS d
  JOIN (VALUES
    ('petition.opened.v1'::ledger.event_type, 'opened'),
    ('petition.revised.v1', 'revised'),
    ('update.posted.v1', 'update'),
    ('acceptance.changed.v1', 'acceptance'),
    ('status.declared.v1', 'status'),
    ('count.published.v1', 'published'),
    ('correction.opened.v1', 'correction'),
    ('correction.approved.v1', 'correction')) AS k (type, kind) ON k.type = e.type
  CROSS JOIN LATERAL (
    SELECT CASE WHEN e.type = 'status.declared.v1' THEN (
      SELECT convert_from(f.leaf, 'UTF8')::jsonb -> 'data' ->> 'basis'
        FROM ledger.events f WHERE f.position = e.petition) END AS basis) AS o
 WHERE e.position > $2 AND e.position <= $3 AND e.signature IS NULL;

-- name: end_corrections
-- What a correction did is the sum of its own events, which lie between its opening and its end. One that reinstates has
-- its id only in the leaf: the column `hold` of its events says whose hold they lift.
INSERT INTO projections.timeline (
  build, petition, position, ordinal, kind, at, recorded_at, count, correction, detail)
SELECT $1::int, o.petition, e.position, 0, 'correction', e.effective, e.recorded, e.count_after, o.correction,
       jsonb_build_object(
         'state', CASE e.type WHEN 'correction.completed.v1' THEN 'completed' ELSE 'cancelled' END,
         'correction_kind', o.detail -> 'correction_kind',
         'reason', o.detail -> 'reason',
         'applied', d.data -> 'applied',
         'skipped', d.data -> 'skipped',
         'net', (
           SELECT coalesce(sum(m.delta), 0) FROM ledger.events m
            WHERE m.petition = e.petition AND m.position > o.position AND m.position < e.position
              AND m.hold IS NOT NULL
              AND CASE m.type
                    WHEN 'signature.invalidated.v1' THEN m.hold = o.correction
                    ELSE o.detail ->> 'correction_kind' = 'reinstate'
                      AND convert_from(m.leaf, 'UTF8')::jsonb -> 'data' ->> 'correction' = o.correction::text
                  END))
  FROM ledger.events e
  CROSS JOIN LATERAL (SELECT convert_from(e.leaf, 'UTF8')::jsonb -> 'data' AS data) AS d
  JOIN projections.timeline o ON o.build = $1 AND o.kind = 'correction'
   AND o.correction = (d.data ->> 'correction')::uuid AND o.detail ->> 'state' = 'opened'
 WHERE e.position > $2 AND e.position <= $3 AND e.signature IS NULL
   AND e.type IN ('correction.completed.v1', 'correction.cancelled.v1');

-- name: cross_rungs
WITH crossed AS (
  SELECT r.id, r.petition, r.rung, e.position, e.effective, e.recorded, e.count_after, e.delta,
         coalesce((convert_from(e.leaf, 'UTF8')::jsonb -> 'data' ->> 'at_known')::boolean, true) AS at_known,
         row_number() OVER (PARTITION BY r.petition, r.rung ORDER BY e.position) AS nth
    FROM ledger.events e
    JOIN projections.rungs r
      ON r.build = $1 AND r.petition = e.petition AND r.rung = greatest(e.count_after, e.count_after - e.delta)
     AND r.since < e.position AND r.until > e.position
   WHERE e.position > $2 AND e.position <= $3 AND e.signature IS NOT NULL AND e.delta <> 0
)
INSERT INTO projections.timeline (
  build, petition, position, ordinal, kind, at, recorded_at, count, rung, crossing, detail)
SELECT $1::int, c.id, c.position, 0, 'milestone', CASE WHEN c.at_known THEN c.effective END, c.recorded,
       c.count_after, c.rung,
       CASE
         WHEN c.delta < 0 THEN 'fell-below'
         WHEN c.nth > 1 OR EXISTS (
           SELECT FROM projections.timeline t
            WHERE t.build = $1 AND t.petition = c.id AND t.kind = 'milestone' AND t.rung = c.rung) THEN 'reached-again'
         ELSE 'reached'
       END,
       '{}'::jsonb
  FROM crossed c;

-- name: claim_rungs
WITH claimed AS (
  SELECT r.id, r.rung, e.position, e.effective, e.recorded, d.data,
         row_number() OVER (PARTITION BY r.petition, r.rung ORDER BY e.position) AS nth
    FROM ledger.events e
    CROSS JOIN LATERAL (SELECT convert_from(e.leaf, 'UTF8')::jsonb -> 'data' AS data) AS d
    JOIN projections.rungs r
      ON r.build = $1 AND r.petition = e.petition AND r.rung = (d.data ->> 'count')::bigint
     AND r.since < e.position AND r.until > e.position
   WHERE e.position > $2 AND e.position <= $3 AND e.signature IS NULL
     AND e.type = 'count.observed.v1' AND d.data ->> 'claim' = 'milestone'
)
INSERT INTO projections.timeline (
  build, petition, position, ordinal, kind, at, recorded_at, count, rung, crossing, detail)
SELECT $1::int, c.id, c.position, 0, 'milestone', CASE WHEN (c.data ->> 'at_known')::boolean THEN c.effective END,
       c.recorded, c.rung, c.rung,
       CASE
         WHEN c.nth > 1 OR EXISTS (
           SELECT FROM projections.timeline t
            WHERE t.build = $1 AND t.petition = c.id AND t.kind = 'milestone' AND t.rung = c.rung) THEN 'reached-again'
         ELSE 'reached'
       END,
       jsonb_strip_nulls(jsonb_build_object('claimed', true, 'reference', c.data -> 'reference'))
  FROM claimed c;

-- name: forget_inferences
DELETE FROM projections.timeline t
 USING (SELECT r.id FROM ledger.events e JOIN projections.rungs r ON r.build = $1 AND r.petition = e.petition
         WHERE e.position > $2 AND e.position <= $3 AND e.signature IS NULL AND e.type = 'count.observed.v1'
         GROUP BY r.id) AS touched
 WHERE t.build = $1 AND t.petition = touched.id AND t.ordinal > 0;

-- name: infer_rungs
WITH touched AS MATERIALIZED (
  SELECT e.petition FROM ledger.events e
   WHERE e.position > $2 AND e.position <= $3 AND e.signature IS NULL AND e.type = 'count.observed.v1'
   GROUP BY e.petition
), seen AS (
  SELECT e.petition, e.position, e.effective, e.recorded, (d.data ->> 'count')::bigint AS count,
         d.data ->> 'claim' AS claim, (d.data ->> 'at_known')::boolean AS at_known
    FROM touched t
    JOIN ledger.events e ON e.petition = t.petition AND e.position <= $3 AND e.signature IS NULL
     AND e.type = 'count.observed.v1'
    CROSS JOIN LATERAL (SELECT convert_from(e.leaf, 'UTF8')::jsonb -> 'data' AS data) AS d
), placed AS (
  -- Undated observations have no place in time, unless there are no others.
  SELECT s.*, bool_or(s.at_known) OVER (PARTITION BY s.petition) AS some_dated FROM seen s
), following AS (
  SELECT p.*,
         lag(p.count) OVER in_time AS before_count,
         lag(p.position) OVER in_time AS before_position,
         lag(p.effective) OVER in_time AS before_effective
    FROM placed p
   WHERE p.at_known OR NOT p.some_dated
  WINDOW in_time AS (PARTITION BY p.petition ORDER BY p.effective, p.position)
)
INSERT INTO projections.timeline (
  build, petition, position, ordinal, kind, at, recorded_at, count, rung, crossing, detail)
SELECT $1::int, r.id, f.position,
       -- The last crossed first: the highest where the count rose, the lowest where it fell.
       row_number() OVER (
         PARTITION BY f.petition, f.position ORDER BY CASE WHEN f.count > f.before_count THEN -r.rung ELSE r.rung END),
       'inferred', CASE WHEN f.at_known THEN f.effective END, f.recorded, f.count, r.rung,
       CASE WHEN f.count > f.before_count THEN 'reached' ELSE 'fell-below' END,
       jsonb_build_object(
         'from', CASE WHEN f.at_known THEN projections.instant(f.before_effective) END,
         'to', CASE WHEN f.at_known THEN projections.instant(f.effective) END,
         'from_position', f.before_position,
         'from_count', f.before_count)
  FROM following f
  JOIN projections.rungs r
    ON r.build = $1 AND r.petition = f.petition
   AND r.rung > least(f.before_count, f.count) AND r.rung <= greatest(f.before_count, f.count)
   AND r.since < greatest(f.before_position, f.position) AND r.until > greatest(f.before_position, f.position)
   AND NOT (f.claim = 'milestone' AND f.count > f.before_count AND r.rung = f.count);

-- name: rows
-- Of the active build, or with $2 of the sealed one: its checkpoint, and its rows or those of one petition. Where there
-- are none, one row of nulls.
SELECT t.petition, t.position, t.ordinal, t.kind, t.at, t.recorded_at, t.count, t.rung, t.crossing,
       t.correction::text, t.detail::text,
       c.position AS checkpoint
  FROM projections.checkpoints c
  LEFT JOIN projections.timeline t ON t.build = c.build AND ($1::text IS NULL OR t.petition = $1)
 WHERE c.name = 'timeline' AND CASE WHEN $2::boolean THEN c.sealed ELSE c.active END;

-- name: forget_build
DELETE FROM projections.timeline WHERE build = $1;

-- name: forget_build_ladders
DELETE FROM projections.rungs WHERE build = $1;

-- name: size
-- How many rows, by key, are in either of the builds $1 and $2.
SELECT count(*) FROM (
  SELECT FROM projections.timeline WHERE build = $1 OR build = $2 GROUP BY petition, position, ordinal) AS either;

-- name: differences
-- Rows that are not the same in the builds $1 and $2: how many there are, and the keys of the first $3 of them.
SELECT (coalesce(o.petition, n.petition) || ' ' || coalesce(o.position, n.position) || ' '
         || coalesce(o.ordinal, n.ordinal)) COLLATE "C" AS key, count(*) OVER () AS different
  FROM (SELECT * FROM projections.timeline WHERE build = $1) AS o
  FULL JOIN (SELECT * FROM projections.timeline WHERE build = $2) AS n USING (petition, position, ordinal)
 WHERE to_jsonb(o) - 'build' IS DISTINCT FROM to_jsonb(n) - 'build'
 ORDER BY key
 LIMIT $3;
