-- What a service asks that states in the log which counts were served. It asks as a reader.
--
-- The law of this file
--   1. A number is what the projection serves, at the position of the petition's last event in it.
--   2. `is_due` says that it is news: another number than the last one stated (before the first: than 0), true at a later
--      position. `last` is where that one stands, 0 for nowhere.
--   3. Every look is a page with a limit, in the order of an index, and says where the next one begins: also with rows
--      that are not due.

-- name: declared
-- $1 after this position, $2 at most so many: declarations of a status that the projection has passed, and what it serves
-- of their petitions. What was true after a declaration and stated already is not due.
SELECT d.position AS next, p.id, p.count, p.position, coalesce(last.position, 0) AS last,
       p.count <> coalesce(last.count, 0) AND d.position > coalesce(last.as_of, 0) AS is_due
  FROM (SELECT e.position, e.petition
          FROM ledger.events e
         WHERE e.type = 'status.declared.v1' AND e.position > $1::bigint
           AND e.position <= (SELECT c.position FROM projections.checkpoints c WHERE c.name = 'petitions' AND c.active)
         ORDER BY e.position LIMIT $2::bigint) AS d
  JOIN projections.petitions p ON p.first_position = d.petition
   AND p.build = (SELECT c.build FROM projections.checkpoints c WHERE c.name = 'petitions' AND c.active)
  LEFT JOIN LATERAL ledger.last_published(d.petition, 9223372036854775807) AS last ON true
 ORDER BY d.position;

-- name: served
-- $1 petitions that begin after this position, $2 at most so many, $3 seconds: what is served of them. What was stated
-- (or, before the first time, whose petition was opened) less than so many seconds ago is not due.
SELECT p.first_position AS next, p.id, p.count, p.position, coalesce(last.position, 0) AS last,
       p.count <> coalesce(last.count, 0) AND p.position > coalesce(last.as_of, 0)
       AND coalesce(last.recorded, p.created_at) <= clock_timestamp() - make_interval(secs => $3) AS is_due
  FROM projections.checkpoints c
  CROSS JOIN LATERAL (
    SELECT t.first_position, t.id, t.count, t.position, t.created_at
      FROM projections.petitions t
     WHERE t.build = c.build AND t.first_position > $1::bigint
     ORDER BY t.first_position LIMIT $2::bigint) AS p
  LEFT JOIN LATERAL ledger.last_published(p.first_position, 9223372036854775807) AS last ON true
 WHERE c.name = 'petitions' AND c.active
 ORDER BY p.first_position;
