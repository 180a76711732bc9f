-- Claims: what the events prove of the count at an instant or in a window. `projections/claims.py` says why.

-- name: first_counted
-- $1 petition, $2 as known at this position: when the first event that is dated and moved the count was effective.
SELECT min(e.effective)
  FROM ledger.events e
 WHERE e.petition = $1 AND e.position <= $2 AND e.delta <> 0
   AND NOT (e.effective = e.recorded AND position('"at_known":false'::bytea IN e.leaf) > 0)

-- name: last_counted
-- $1 petition, $2 as known at this position: the last event that moved the count, by position.
SELECT e.position, e.effective, e.count_after AS count,
       e.effective = e.recorded AND position('"at_known":false'::bytea IN e.leaf) > 0 AS undated
  FROM ledger.events e
 WHERE e.petition = $1 AND e.position <= $2 AND e.delta <> 0
 ORDER BY e.position DESC LIMIT 1

-- name: itemised
-- $1 petition, $2 as known at this position, $3 the window's start, or NULL for its end alone, $4 its end, $5 the claimed
-- count.
-- Beside the count run the least and the most that it can have been: undated losses, and undated gains, at the very
-- beginning. Of the events in the window and the last one before it, three are given: the first that had the highest
-- `least`, the first that had the highest `most`, the first whose `least` reached the claim. `initial` is what stood before
-- any event.
WITH counted AS (
  SELECT e.position, e.effective, e.delta,
         e.effective = e.recorded AND position('"at_known":false'::bytea IN e.leaf) > 0 AS undated
    FROM ledger.events e
   WHERE e.petition = $1 AND e.position <= $2 AND e.delta <> 0
), initial AS (
  SELECT coalesce(sum(delta) FILTER (WHERE undated AND delta < 0), 0) AS least,
         coalesce(sum(delta) FILTER (WHERE undated AND delta > 0), 0) AS most
    FROM counted
), running AS (
  SELECT c.position, c.effective, c.undated,
         sum(c.delta) OVER so_far AS count,
         i.least + sum(CASE WHEN c.undated AND c.delta < 0 THEN 0 ELSE c.delta END) OVER so_far AS least,
         i.most + sum(CASE WHEN c.undated AND c.delta > 0 THEN 0 ELSE c.delta END) OVER so_far AS most
    FROM counted c CROSS JOIN initial i
   WHERE c.effective <= $4::timestamptz
  WINDOW so_far AS (ORDER BY c.effective, c.position ROWS UNBOUNDED PRECEDING)
), standing AS (
  SELECT * FROM running WHERE coalesce(effective < $3::timestamptz, true)
   ORDER BY effective DESC, position DESC LIMIT 1
), steps AS (
  SELECT * FROM standing
  UNION ALL
  SELECT NULL, '-infinity', NULL, 0, least, most FROM initial WHERE NOT EXISTS (SELECT FROM standing)
  UNION ALL
  SELECT * FROM running WHERE effective >= $3::timestamptz
)
(SELECT 'lower' AS proves, position, nullif(effective, '-infinity') AS effective, undated, count::bigint, least::bigint, most::bigint
   FROM steps ORDER BY steps.least DESC, steps.effective, steps.position LIMIT 1)
UNION ALL
(SELECT 'upper', position, nullif(effective, '-infinity'), undated, count::bigint, least::bigint, most::bigint
   FROM steps ORDER BY steps.most DESC, steps.effective, steps.position LIMIT 1)
UNION ALL
(SELECT 'reached', position, nullif(effective, '-infinity'), undated, count::bigint, least::bigint, most::bigint
   FROM steps WHERE steps.least >= $5 ORDER BY steps.effective, steps.position LIMIT 1)

-- name: last_observation
-- $1 petition, $2 as known at this position: the last number seen, dated or not.
SELECT e.position, e.effective,
       e.effective = e.recorded AND position('"at_known":false'::bytea IN e.leaf) > 0 AS undated,
       (convert_from(e.leaf, 'UTF8')::jsonb #>> '{data,count}')::bigint AS count
  FROM ledger.events e
 WHERE e.petition = $1 AND e.position <= $2 AND e.signature IS NULL AND e.type = 'count.observed.v1'
 ORDER BY e.effective DESC, e.position DESC LIMIT 1

-- name: observed
-- $1 petition, $2 as known at this position, $3 the window's start, $4 its end. `highest` and `least` are dated numbers that
-- stand in the window; `rung` is the smallest that was first claimed after it, lies above every number seen by its end, and
-- has no claim without a date.
WITH seen AS (
  SELECT e.position, e.effective,
         e.effective = e.recorded AND position('"at_known":false'::bytea IN e.leaf) > 0 AS undated,
         (leaf.data ->> 'count')::bigint AS count,
         leaf.data ->> 'claim' = 'milestone' AS milestone
    FROM ledger.events e CROSS JOIN LATERAL (SELECT convert_from(e.leaf, 'UTF8')::jsonb -> 'data' AS data) AS leaf
   WHERE e.petition = $1 AND e.position <= $2 AND e.signature IS NULL AND e.type = 'count.observed.v1'
), first_claims AS (
  SELECT DISTINCT ON (s.count) s.position, s.effective, s.undated, s.count
    FROM seen s
   WHERE s.milestone
     AND NOT EXISTS (SELECT FROM seen u WHERE u.milestone AND u.undated AND u.count = s.count)
   ORDER BY s.count, s.effective, s.position
)
(SELECT 'highest' AS proves, position, effective, undated, count
   FROM seen WHERE NOT undated AND effective BETWEEN $3 AND $4
  ORDER BY seen.count DESC, seen.effective, seen.position LIMIT 1)
UNION ALL
(SELECT 'least', position, effective, undated, count
   FROM seen WHERE NOT undated AND effective BETWEEN $3 AND $4
  ORDER BY seen.count, seen.effective, seen.position LIMIT 1)
UNION ALL
(SELECT 'rung', position, effective, undated, count
   FROM first_claims f
  WHERE f.effective > $4
    AND f.count > coalesce((SELECT max(s.count) FROM seen s WHERE NOT s.undated AND s.effective <= $4), 0)
  ORDER BY f.count LIMIT 1)
