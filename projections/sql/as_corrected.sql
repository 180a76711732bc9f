-- As corrected: one petition's timeline as it would read without what is held at the checkpoint; the same as
-- `projections/as_corrected.py`.
--
-- It reads the petition's events once, so it is asked on demand and its answer kept. What follows from the count is made
-- anew: the crossings, and the number beside each entry. All else is the timeline's own row. Nobody signs an observed
-- petition, so nothing is held in it and its timeline stands.

-- name: as_corrected
WITH shown AS MATERIALIZED (
  SELECT t.* FROM projections.current_timeline t WHERE t.petition = $1
), opened AS MATERIALIZED (
  SELECT s.position AS petition, s.checkpoint, l.said -> 'data' ->> 'basis' AS basis
    FROM shown s JOIN ledger.events e USING (position)
    CROSS JOIN LATERAL (SELECT convert_from(e.leaf, 'UTF8')::jsonb AS said) AS l
   WHERE s.kind = 'opened'
), held AS MATERIALIZED (
  SELECT h.signature
    FROM (
      SELECT e.signature, e.hold, sum(CASE e.type WHEN 'signature.invalidated.v1' THEN 1 ELSE -1 END) AS held
        FROM opened o
        JOIN ledger.events e ON e.petition = o.petition AND e.position <= o.checkpoint AND e.hold IS NOT NULL
       GROUP BY e.signature, e.hold) AS h
   WHERE h.held > 0
   GROUP BY h.signature
), counted AS MATERIALIZED (
  SELECT e.position, m.moved, e.signature IS NOT NULL AS by_signature, sum(m.moved) OVER (ORDER BY e.position) AS count
    FROM opened o
    JOIN ledger.events e ON e.petition = o.petition AND e.position <= o.checkpoint
     AND (e.delta <> 0 OR e.signature IS NULL)
    LEFT JOIN held h ON h.signature = e.signature
    CROSS JOIN LATERAL (SELECT CASE WHEN h.signature IS NULL THEN e.delta ELSE 0 END AS moved) AS m
), crossed AS (
  SELECT c.position, c.moved, c.count, r.rung, row_number() OVER (PARTITION BY r.rung ORDER BY c.position) AS nth
    FROM counted c
    CROSS JOIN opened o
    JOIN projections.current_rungs r
      ON r.petition = o.petition AND r.rung = greatest(c.count, c.count - c.moved)
     AND r.since < c.position AND r.until > c.position
   WHERE c.by_signature AND c.moved <> 0
), corrected AS (
  SELECT s.position, s.ordinal, s.kind, s.at, s.recorded_at,
         CASE WHEN o.basis = 'observed' OR s.kind = 'published' THEN s.count ELSE c.count END AS count,
         s.rung, s.crossing, s.correction, s.detail
    FROM shown s CROSS JOIN opened o LEFT JOIN counted c USING (position)
   WHERE o.basis = 'observed' OR s.kind <> 'milestone'
  UNION ALL
  SELECT c.position, 0, 'milestone',
         CASE WHEN coalesce((convert_from(e.leaf, 'UTF8')::jsonb -> 'data' ->> 'at_known')::boolean, true)
           THEN e.effective END,
         e.recorded, c.count, c.rung,
         CASE WHEN c.moved < 0 THEN 'fell-below' WHEN c.nth > 1 THEN 'reached-again' ELSE 'reached' END,
         NULL, '{}'
    FROM crossed c JOIN ledger.events e USING (position)
)
SELECT $1::text AS petition, c.position, c.ordinal, c.kind, c.at, c.recorded_at, c.count::bigint AS count, c.rung,
       c.crossing, c.correction::text, c.detail::text,
       (SELECT sum(n.moved)::bigint FROM counted n) AS whole_count,
       (SELECT e.position FROM ledger.events e
         WHERE e.petition = (SELECT o.petition FROM opened o) AND e.position <= (SELECT o.checkpoint FROM opened o)
         ORDER BY e.position DESC LIMIT 1) AS whole_position
  FROM corrected c;
