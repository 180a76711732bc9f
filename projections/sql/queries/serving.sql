-- Serving: what workers hold in memory, and the documents that they make on demand.
--
-- The law of this file
--   1. One statement is one snapshot: whatever it returns is true at the checkpoint that it returns. What is read of the
--      log beside a projection's row is bounded by that row's position, because the log is ahead of its projections.
--   2. A petition changed since a checkpoint exactly where its last event's position is above it.

-- name: changed
-- $1 a position, $2 at most so many: the petitions that moved after it, with where projections, log and the tree head
-- that is shown are. Always at least one row, with a petition of nulls where none moved. Who holds another build than the
-- one named starts from 0.
WITH active AS (
  SELECT max(c.build) FILTER (WHERE c.name = 'petitions') AS build, min(c.position) AS position
    FROM projections.checkpoints c WHERE c.active
)
SELECT a.build, a.position AS checkpoint, h.position AS head, clock_timestamp() AS now,
       (SELECT e.recorded FROM ledger.events e WHERE e.position = a.position + 1) AS behind_since,
       s.size AS sealed, s.published AS sealed_at,
       (SELECT e.recorded FROM ledger.events e WHERE e.position = coalesce(s.size, 0) + 1) AS unsealed_since,
       p.id, p.first_position, p.acceptance, p.goals, p.count, p.position, p.recorded
  FROM active a CROSS JOIN ledger.head h
  LEFT JOIN LATERAL (
    SELECT d.size, d.published FROM ledger.published_heads d ORDER BY d.nth DESC LIMIT 1) AS s ON true
  LEFT JOIN LATERAL (
    SELECT t.id, t.first_position, t.acceptance, t.goals::text, t.count, t.position, t.recorded
      FROM projections.petitions t
     WHERE t.build = a.build AND t.position > $1::bigint
     ORDER BY t.position LIMIT $2::bigint
  ) AS p ON true;

-- name: petitions
-- $1 ids of petitions: what each says of itself, its text, its tally, and the organisations that stand in it, at most a
-- thousand.
SELECT p.id, p.title, p.addressee, p.basis, p.provenance, p.timezone, p.acceptance, p.status, p.goals::text,
       p.questions::text, p.opened_at, p.closed_at, p.created_at, p.updated_at, p.count, p.position, p.recorded,
       p.checkpoint,
       -- The last text that was kept, where it is still the one of which the log says the SHA-256.
       (SELECT CASE WHEN encode(sha256(convert_to(x.text, 'UTF8')), 'hex') = p.text_sha256 THEN x.text END
          FROM ledger.texts x
         WHERE x.petition = p.first_position AND x.text_version <= p.text_version
         ORDER BY x.text_version DESC LIMIT 1) AS text,
       (SELECT coalesce(jsonb_agg(jsonb_build_array(t.dimension, t.value, t.standing)), '[]')
          FROM projections.current_tally t
         WHERE t.petition = p.id AND t.standing > 0)::text AS tally,
       (SELECT coalesce(jsonb_agg(jsonb_build_array(leaf.data -> 'name', leaf.data -> 'reference')
                                  ORDER BY f.position), '[]')
          FROM (SELECT min(e.position) AS position
                  FROM ledger.events e
                 WHERE e.petition = p.first_position AND e.kind = 'organisation' AND e.position <= p.position
                 GROUP BY e.signature HAVING sum(e.delta) > 0
                 ORDER BY 1 LIMIT 1000) AS s
          JOIN ledger.events f ON f.position = s.position
          CROSS JOIN LATERAL (SELECT convert_from(f.leaf, 'UTF8')::jsonb -> 'data' AS data) AS leaf
       )::text AS organisations
  FROM projections.current_petitions p
 WHERE p.id = ANY ($1::text[]);

-- name: last_of_page
-- $1 after this position, $2 at most so many: where a page of the whole log ends, and that event's leaf hash.
SELECT e.position, e.leaf_hash
  FROM ledger.events e
 WHERE e.position > $1::bigint AND e.position <= $1::bigint + $2::bigint
 ORDER BY e.position DESC LIMIT 1;

-- name: last_of_petitions_page
-- $1 petition, $2 after this position, $3 at most so many: where a page of a petition's events ends, that event's leaf
-- hash, and how many they are.
SELECT max(p.position) AS position,
       (SELECT e.leaf_hash FROM ledger.events e WHERE e.position = max(p.position)) AS leaf_hash,
       count(*) AS events
  FROM (SELECT e.position FROM ledger.events e
         WHERE e.petition = $1 AND e.position > $2::bigint
         ORDER BY e.position LIMIT $3::bigint) AS p;

-- name: leaves
-- $1 after this position, $2 up to this one, $3 at most so many: the leaves as they are stored.
SELECT e.position, e.leaf FROM ledger.events e WHERE e.position > $1 AND e.position <= $2 ORDER BY e.position LIMIT $3;

-- name: leaves_of_petition
-- $1 after this position, $2 up to this one, $3 at most so many, $4 petition.
SELECT e.position, e.leaf FROM ledger.events e
 WHERE e.petition = $4 AND e.position > $1 AND e.position <= $2
 ORDER BY e.position LIMIT $3;

-- name: acted
-- $1 petition, $2 as known at this position: how many signatures each correction has changed so far, and its net effect.
-- Lifting several holds of one signature takes several events.
SELECT leaf.data ->> 'correction' AS correction, count(DISTINCT a.signature) AS signatures, sum(a.delta)::bigint AS net
  FROM ledger.events a CROSS JOIN LATERAL (SELECT convert_from(a.leaf, 'UTF8')::jsonb -> 'data' AS data) AS leaf
 WHERE a.petition = $1 AND a.position <= $2 AND a.hold IS NOT NULL
 GROUP BY 1;

-- name: rules
-- $1 corrections: the public rule in words of each that has one.
SELECT n.correction, n.rule FROM ledger.notices n WHERE n.correction = ANY ($1::uuid[]);
