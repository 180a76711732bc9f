-- Whether the projections are what the log makes of them, as far as sets can ask; the fold asks the rest.
--
-- The blocks named in `projections.fsck.SHALLOW` answer rows of (rule, position, petition, detail), and a sound database
-- none. Every one of them looks at the active builds, as of their checkpoints; `sealed` at the sealed ones.

-- name: checkpoints
-- Each projection has one active build, and it has not come further than the log.
WITH log AS (SELECT coalesce(max(position), 0) AS last FROM ledger.events)
SELECT 'checkpoint' AS rule, NULL::bigint AS position, NULL AS petition,
       format('%s has %s active builds', n.name, count(c.build)) AS detail
  FROM unnest($1::text[]) AS n (name)
  LEFT JOIN projections.checkpoints c ON c.name = n.name AND c.active
 GROUP BY n.name HAVING count(c.build) <> 1
UNION ALL
SELECT 'checkpoint', log.last + 1, NULL,
       format('%s has come to %s, and the log ends at %s', c.name, c.position, log.last)
  FROM projections.checkpoints c CROSS JOIN log
 WHERE c.active AND c.position > log.last
ORDER BY 4;

-- name: sealed
-- A sealed build is at a size that was sealed, or was only begun.
SELECT 'sealed-checkpoint' AS rule, h.newest + 1 AS position, NULL AS petition,
       format('%s has come to %s, and the newest sealed size is %s', c.name, c.position, h.newest) AS detail
  FROM projections.checkpoints c
  CROSS JOIN (SELECT coalesce(max(size), 0) AS newest FROM ledger.tree_heads) AS h
 WHERE c.sealed AND c.position > h.newest
UNION ALL
SELECT 'sealed-checkpoint', c.position, NULL, format('%s has come to %s, which is no sealed size', c.name, c.position)
  FROM projections.checkpoints c
 WHERE c.sealed AND c.position > 0 AND c.position <= (SELECT max(size) FROM ledger.tree_heads)
   AND NOT EXISTS (SELECT FROM ledger.tree_heads h WHERE h.size = c.position)
ORDER BY 2, 4;

-- name: petitions
-- A petition's row is true at the petition's last event up to the checkpoint, and there is one for every petition.
SELECT 'projected-petition' AS rule, e.position, p.id AS petition,
       CASE WHEN r.id IS NULL THEN 'its row is missing'
            ELSE format('its row is as of %s with %s', r.position, r.count) END AS detail
  FROM projections.checkpoints c
  JOIN ledger.petitions p ON p.petition <= c.position
  JOIN LATERAL (
    SELECT n.position, n.count_after, n.version FROM ledger.events n
     WHERE n.petition = p.petition AND n.position <= c.position ORDER BY n.position DESC LIMIT 1) AS e ON true
  LEFT JOIN projections.petitions r ON r.build = c.build AND r.id = p.id
 WHERE c.name = 'petitions' AND c.active
   AND (r.id IS NULL OR (r.position, r.count, r.version) <> (e.position, e.count_after, e.version))
 ORDER BY e.position;

-- name: tallies
-- Rule 6: what stands is the count, in the total and summed over any dimension.
SELECT 'projected-tally' AS rule, e.position, p.id AS petition,
       format('%s sums to %s, and the count is %s', coalesce(t.dimension, 'total'), coalesce(t.standing, 0),
              e.count_after) AS detail
  FROM projections.checkpoints c
  JOIN ledger.petitions p ON p.petition <= c.position
  JOIN LATERAL (
    SELECT n.position, n.count_after FROM ledger.events n
     WHERE n.petition = p.petition AND n.position <= c.position ORDER BY n.position DESC LIMIT 1) AS e ON true
  LEFT JOIN (
    SELECT build, petition, dimension, sum(standing) AS standing FROM projections.tally GROUP BY build, petition, dimension
  ) AS t ON t.build = c.build AND t.petition = p.id
 WHERE c.name = 'tally' AND c.active AND coalesce(t.standing, 0) <> e.count_after
 ORDER BY e.position, 4;

-- name: builds
-- What is held against the fold: the active build of each projection, and the sealed one where there is one.
SELECT name, sealed, position FROM projections.checkpoints WHERE active OR sealed ORDER BY sealed, name, build;

-- name: leaves
SELECT position, leaf FROM ledger.events WHERE position > $1 AND position <= $2 ORDER BY position;

-- name: rungs
-- The ladders of the active timeline, or with $1 of the sealed one.
SELECT r.id, r.petition, r.rung, r.since, r.until
  FROM projections.rungs r
  JOIN projections.checkpoints c ON c.build = r.build AND c.name = 'timeline'
   AND CASE WHEN $1::boolean THEN c.sealed ELSE c.active END
 ORDER BY r.petition, r.since, r.rung;
