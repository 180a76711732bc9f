-- History: the count over time. `projections/history.py` says what a point is.

-- name: points
-- $1 petition, $2 as known at this position, $3 zone, $4 interval (hour, day, event), $5 and $6 from and to or NULL,
-- $7 the position of the last point given before or NULL, $8 at most so many or NULL.
-- The count runs over everything; the bounds choose points; of each hour or day the last one stays. An hour is taken from
-- the instant, less the minutes that its clock shows, so that an hour which a clock shows twice is two.
WITH running AS (
  SELECT e.position, e.effective,
         (sum(e.delta) OVER (ORDER BY e.effective, e.position ROWS UNBOUNDED PRECEDING))::bigint AS count
    FROM ledger.events e
   WHERE e.petition = $1 AND e.position <= $2 AND e.delta <> 0
), placed AS (
  SELECT r.*,
         CASE $4::text
           WHEN 'day' THEN date_trunc('day', clock.local)
           WHEN 'hour' THEN (r.effective AT TIME ZONE 'UTC') - (clock.local - date_trunc('hour', clock.local))
         END AS bucket,
         CASE $4::text WHEN 'event' THEN r.position END AS of_its_own
    FROM running r CROSS JOIN LATERAL (SELECT r.effective AT TIME ZONE $3::text AS local) AS clock
   WHERE r.effective >= coalesce($5::timestamptz, '-infinity') AND r.effective <= coalesce($6::timestamptz, 'infinity')
), points AS (
  SELECT DISTINCT ON (p.bucket, p.of_its_own) p.position, p.effective, p.count
    FROM placed p
   ORDER BY p.bucket, p.of_its_own, p.effective DESC, p.position DESC
)
SELECT p.position, p.effective, p.count
  FROM points p
 WHERE $7::bigint IS NULL
    OR (p.effective, p.position) > (SELECT c.effective, c.position FROM ledger.events c WHERE c.position = $7::bigint)
 ORDER BY p.effective, p.position LIMIT $8::bigint
