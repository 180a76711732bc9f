-- Drift: the sums and the list of one range of a petition's events. `projections/drift.py` says what they mean.
--
-- Every query takes the range alike: $1 petition, positions in ($2, $3], effective times in ($4, $5], where NULL is no bound.
--
-- An undated event says `"at_known":false` in its leaf, and is effective when it was recorded. In canonical bytes that
-- member can be looked for as it stands: inside a text its quotes would have backslashes before them, and there are no
-- spaces to differ in. It spares parsing a million leaves to put a handful last.

-- name: moved_by_type
SELECT e.type::text AS type, sum(e.delta)::bigint AS delta
  FROM ledger.events e
 WHERE e.petition = $1 AND e.position > $2 AND e.position <= $3
   AND e.effective > coalesce($4::timestamptz, '-infinity') AND e.effective <= coalesce($5::timestamptz, 'infinity')
   AND e.delta <> 0
 GROUP BY e.type

-- name: corrections
-- Those that were opened or acted in the range. What a reinstatement lifts is its hold; who lifts it stands in its leaf.
WITH acts AS (
  SELECT e.position, e.type, e.delta, e.leaf, 1 AS events
    FROM ledger.events e
   WHERE e.petition = $1 AND e.position > $2 AND e.position <= $3
     AND e.effective > coalesce($4::timestamptz, '-infinity') AND e.effective <= coalesce($5::timestamptz, 'infinity')
     AND e.hold IS NOT NULL
  UNION ALL
  SELECT e.position, e.type, 0, e.leaf, 0
    FROM ledger.events e
   WHERE e.petition = $1 AND e.position > $2 AND e.position <= $3
     AND e.effective > coalesce($4::timestamptz, '-infinity') AND e.effective <= coalesce($5::timestamptz, 'infinity')
     AND e.signature IS NULL AND e.type = 'correction.opened.v1'
)
SELECT (leaf.data ->> 'correction')::uuid AS id,
       CASE a.type WHEN 'signature.invalidated.v1' THEN 'invalidate'
                   WHEN 'signature.reinstated.v1' THEN 'reinstate'
                   ELSE leaf.data ->> 'kind' END AS kind,
       leaf.data ->> 'reason' AS reason,
       sum(a.delta)::bigint AS net,
       sum(a.events)::bigint AS events
  FROM acts a CROSS JOIN LATERAL (SELECT convert_from(a.leaf, 'UTF8')::jsonb -> 'data' AS data) AS leaf
 GROUP BY 1, 2, 3
 ORDER BY min(a.position)

-- name: published
-- Each number that was published in the range, and the count as of the position that it named: an index read each.
SELECT (leaf.data ->> 'position')::bigint AS position,
       (leaf.data ->> 'count')::bigint AS count,
       coalesce((SELECT r.count_after FROM ledger.events r
                  WHERE r.petition = $1 AND r.position <= (leaf.data ->> 'position')::bigint
                  ORDER BY r.position DESC LIMIT 1), 0) AS replayed
  FROM ledger.events e CROSS JOIN LATERAL (SELECT convert_from(e.leaf, 'UTF8')::jsonb -> 'data' AS data) AS leaf
 WHERE e.petition = $1 AND e.position > $2 AND e.position <= $3
   AND e.effective > coalesce($4::timestamptz, '-infinity') AND e.effective <= coalesce($5::timestamptz, 'infinity')
   AND e.signature IS NULL AND e.type = 'count.published.v1'
 ORDER BY e.position

-- name: cursor
-- $1 petition, $2 position: whether that event is undated; no row where it is none of the petition's.
SELECT e.effective = e.recorded AND position('"at_known":false'::bytea IN e.leaf) > 0 AS undated
  FROM ledger.events e WHERE e.position = $2 AND e.petition = $1

-- name: events_as_recorded
-- Between positions, in order of position. $6 true: the undated ones, false: the others. $7 at most so many; NULL: all.
SELECT e.position, e.type::text AS type, e.effective, e.recorded, e.delta, e.count_after AS count, $6::boolean AS undated
  FROM ledger.events e
 WHERE e.petition = $1 AND e.position > $2 AND e.position <= $3
   AND e.effective > coalesce($4::timestamptz, '-infinity') AND e.effective <= coalesce($5::timestamptz, 'infinity')
   AND (e.effective = e.recorded AND position('"at_known":false'::bytea IN e.leaf) > 0) = $6::boolean
 ORDER BY e.position LIMIT $7::bigint

-- name: events_as_effective
-- Between times, in effective order, undated ones last. The count runs over all events of the petition by then, not only
-- over those listed. $6 the position of the last one listed before, or NULL. $7 at most so many; NULL: all.
WITH by_then AS (
  SELECT e.position, e.type::text AS type, e.effective, e.recorded, e.delta,
         (sum(e.delta) OVER (ORDER BY e.effective, e.position ROWS UNBOUNDED PRECEDING))::bigint AS count,
         e.effective = e.recorded AND position('"at_known":false'::bytea IN e.leaf) > 0 AS undated
    FROM ledger.events e
   WHERE e.petition = $1 AND e.position > $2 AND e.position <= $3 AND e.effective <= coalesce($5::timestamptz, 'infinity')
)
SELECT l.*
  FROM by_then l
 WHERE l.effective > coalesce($4::timestamptz, '-infinity')
   AND ($6::bigint IS NULL OR (l.undated, l.effective, l.position)
        > (SELECT c.undated, c.effective, c.position FROM by_then c WHERE c.position = $6::bigint))
 ORDER BY l.undated, l.effective, l.position LIMIT $7::bigint
