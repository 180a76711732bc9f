-- The tally, over a range of positions: the same projection as `projections/tally.py`.
--
-- $1 is the build, ($2, $3] the range. All of it is summed first by the keys that the rows themselves carry, in one
-- aggregate whose size is that of the tally, not of the range; only the sums are then spread into dimensions.

-- name: tally
WITH moved AS (
  SELECT e.petition, e.type, e.channel, e.kind, e.country, e.region, e.answers,
         count(*) AS events, sum(e.delta) AS delta
    FROM ledger.events e
   WHERE e.position > $2 AND e.position <= $3
   GROUP BY e.petition, e.type, e.channel, e.kind, e.country, e.region, e.answers
), summed AS MATERIALIZED (
  SELECT m.petition, m.channel, m.kind, m.country, m.region, m.answers,
         sum(m.delta) AS standing,
         coalesce(sum(m.events) FILTER (WHERE m.type = 'signature.recorded.v1'), 0) AS recorded,
         -- One that is recorded as confirmed stands at once: its delta says which.
         coalesce(sum(m.delta) FILTER (WHERE m.type = 'signature.recorded.v1'), 0)
           + coalesce(sum(m.events) FILTER (WHERE m.type = 'signature.confirmed.v1'), 0) AS confirmed,
         coalesce(sum(m.events) FILTER (WHERE m.type = 'signature.withdrawn.v1'), 0) AS withdrawn,
         coalesce(sum(m.events) FILTER (WHERE m.type = 'signature.invalidated.v1'), 0) AS invalidated,
         coalesce(sum(m.events) FILTER (WHERE m.type = 'signature.reinstated.v1'), 0) AS reinstated
    FROM moved m
   WHERE m.channel IS NOT NULL OR m.type IN ('petition.opened.v1', 'count.observed.v1')
   GROUP BY m.petition, m.channel, m.kind, m.country, m.region, m.answers
), opened AS MATERIALIZED (
  SELECT e.position AS petition, l.said ->> 'subject' AS id,
         coalesce(l.said -> 'data' -> 'questions', '{}') AS questions
    FROM ledger.events e CROSS JOIN LATERAL (SELECT convert_from(e.leaf, 'UTF8')::jsonb AS said) AS l
   WHERE e.position = ANY (ARRAY(SELECT s.petition FROM summed s GROUP BY s.petition))
), spread AS (
  SELECT o.id AS petition, d.dimension, d.value,
         sum(s.standing) AS standing, sum(s.recorded) AS recorded, sum(s.confirmed) AS confirmed,
         sum(s.withdrawn) AS withdrawn, sum(s.invalidated) AS invalidated, sum(s.reinstated) AS reinstated
    FROM summed s JOIN opened o USING (petition)
    CROSS JOIN LATERAL (
      SELECT 'total' AS dimension, '' AS value
      UNION ALL
      SELECT v.dimension, v.value
        FROM (VALUES
          ('country', coalesce(s.country, 'unknown')),
          ('region', coalesce(s.region, 'unknown')),
          ('channel', s.channel),
          ('kind', s.kind)) AS v (dimension, value)
       WHERE s.channel IS NOT NULL
      UNION ALL
      SELECT 'answer:' || q.question, coalesce(s.answers ->> q.question, 'unknown')
        FROM jsonb_object_keys(o.questions) AS q (question)
       WHERE s.channel IS NOT NULL
    ) AS d
   GROUP BY o.id, d.dimension, d.value
)
-- Not an upsert: that would hold a sum that falls within the range against the CHECK of a row.
MERGE INTO projections.tally AS t USING spread AS s
   ON t.build = $1 AND t.petition = s.petition AND t.dimension = s.dimension AND t.value = s.value
WHEN MATCHED THEN UPDATE SET
  standing = t.standing + s.standing,
  recorded = t.recorded + s.recorded,
  confirmed = t.confirmed + s.confirmed,
  withdrawn = t.withdrawn + s.withdrawn,
  invalidated = t.invalidated + s.invalidated,
  reinstated = t.reinstated + s.reinstated
WHEN NOT MATCHED THEN INSERT
  (build, petition, dimension, value, standing, recorded, confirmed, withdrawn, invalidated, reinstated)
  VALUES ($1::int, s.petition, s.dimension, s.value,
          s.standing, s.recorded, s.confirmed, s.withdrawn, s.invalidated, s.reinstated);

-- name: rows
-- Of the active build, or with $2 of the sealed one: its checkpoint, and its rows or those of one petition. Where there
-- are none, one row of nulls.
SELECT t.petition, t.dimension, t.value, t.standing, t.recorded, t.confirmed, t.withdrawn, t.invalidated, t.reinstated,
       c.position AS checkpoint
  FROM projections.checkpoints c
  LEFT JOIN projections.tally t ON t.build = c.build AND ($1::text IS NULL OR t.petition = $1)
 WHERE c.name = 'tally' AND CASE WHEN $2::boolean THEN c.sealed ELSE c.active END;

-- name: forget_build
DELETE FROM projections.tally WHERE build = $1;

-- name: size
-- How many rows, by key, are in either of the builds $1 and $2.
SELECT count(*) FROM (
  SELECT FROM projections.tally WHERE build = $1 OR build = $2 GROUP BY petition, dimension, value) AS either;

-- name: differences
-- Rows that are not the same in the builds $1 and $2: how many there are, and the keys of the first $3 of them.
SELECT (coalesce(o.petition, n.petition) || ' ' || coalesce(o.dimension, n.dimension) || ' '
         || coalesce(o.value, n.value)) COLLATE "C" AS key, count(*) OVER () AS different
  FROM (SELECT * FROM projections.tally WHERE build = $1) AS o
  FULL JOIN (SELECT * FROM projections.tally WHERE build = $2) AS n USING (petition, dimension, value)
 WHERE to_jsonb(o) - 'build' IS DISTINCT FROM to_jsonb(n) - 'build'
 ORDER BY key
 LIMIT $3;
