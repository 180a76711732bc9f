-- The count, and what every other query over the log needs first: the head, a petition's last event, what it says of itself.
--
-- The law of this file
--   1. Whoever asks reads the head once and bounds all else by it. Events never change, so whatever is asked up to a
--      position has one answer for ever, in one transaction or in ten.
--   2. A count as of a position is the last row of the petition at or below it: index reads, whatever the size of the log.
--   3. A count at an effective time is a sum over the petition's events. There is no index by effective time.

-- name: head
-- The position of the last event, and what the clock shows: of a time that has not passed nothing is proved.
SELECT coalesce((SELECT e.position FROM ledger.events e ORDER BY e.position DESC LIMIT 1), 0) AS position,
       clock_timestamp() AS now

-- name: last_position_recorded_by
SELECT ledger.last_position_recorded_by($1::timestamptz)

-- name: last_time_the_count_became
-- $1 petition, $2 the last position that may be it, $3 the count. From the end backwards, to the first one found.
SELECT e.position
  FROM ledger.events e
 WHERE e.petition = $1 AND e.position <= $2 AND e.delta <> 0 AND e.count_after = $3
 ORDER BY e.position DESC LIMIT 1

-- name: number_of
-- $1 the id of a petition: its number, from the projection; where that has not come so far yet, from the log above it.
SELECT coalesce(
  (SELECT p.first_position FROM projections.current_petitions p WHERE p.id = $1::text),
  (SELECT e.position
     FROM ledger.events e
    WHERE e.position > (SELECT c.position FROM projections.checkpoints c WHERE c.name = 'petitions' AND c.active)
      AND e.type = 'petition.opened.v1' AND convert_from(e.leaf, 'UTF8')::jsonb ->> 'subject' = $1::text
    ORDER BY e.position LIMIT 1))

-- name: id_of
-- $1 petition: the petition's number is the position of its first event.
SELECT convert_from(e.leaf, 'UTF8')::jsonb ->> 'subject' FROM ledger.events e WHERE e.position = $1

-- name: said
-- $1 petition, $2 position, $3 a member of `data`: what the petition said of itself last, as JSON.
SELECT (leaf.data -> $3::text)::text
  FROM ledger.events e CROSS JOIN LATERAL (SELECT convert_from(e.leaf, 'UTF8')::jsonb -> 'data' AS data) AS leaf
 WHERE e.petition = $1 AND e.position <= $2 AND e.signature IS NULL
   AND e.type IN ('petition.opened.v1', 'petition.revised.v1')
   AND leaf.data ? $3::text
 ORDER BY e.position DESC LIMIT 1

-- name: last_event
-- $1 petition, $2 position: the petition's last event at or below it.
SELECT e.position, e.effective, e.recorded, e.count_after AS count,
       e.effective = e.recorded AND position('"at_known":false'::bytea IN e.leaf) > 0 AS undated
  FROM ledger.events e
 WHERE e.petition = $1 AND e.position <= $2
 ORDER BY e.position DESC LIMIT 1

-- name: count_effective
-- $1 petition, $2 as known at this position, $3 the time: the count then, and the last event by then in effective order.
SELECT coalesce(sum(e.delta), 0)::bigint AS count,
       coalesce((SELECT l.position FROM ledger.events l
                  WHERE l.petition = $1 AND l.position <= $2 AND l.effective <= $3
                  ORDER BY l.effective DESC, l.position DESC LIMIT 1), 0) AS position
  FROM ledger.events e
 WHERE e.petition = $1 AND e.position <= $2 AND e.effective <= $3
