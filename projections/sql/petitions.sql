-- The petitions, over a range of positions: the same projection as `projections/petitions.py`.
--
-- $1 is the build, ($2, $3] the range. The few events by which a petition speaks of itself are found by the index that
-- leaves signatures out; only their leaves are read. The count comes from each petition's last event in the range.

-- name: open_petitions
INSERT INTO projections.petitions (
  build, id, first_position, title, addressee, basis, provenance, confirmation, timezone, goals, milestones, questions,
  public_fields, opens_at, closes_at, text_version, text_sha256, acceptance, opened_at, created_at, updated_at,
  count, position, recorded, version)
SELECT $1::int, l.said ->> 'subject', e.position, d.data ->> 'title', d.data ->> 'addressee', d.data ->> 'basis',
       d.data ->> 'provenance', d.data ->> 'confirmation', d.data ->> 'timezone', d.data -> 'goals',
       d.data -> 'milestones', d.data -> 'questions', d.data -> 'public_fields',
       (d.data ->> 'opens_at')::timestamptz, (d.data ->> 'closes_at')::timestamptz, 1, d.data ->> 'text_sha256', 'open',
       e.effective, e.recorded, e.recorded, 0, e.position, e.recorded, e.version
  FROM ledger.events e
  CROSS JOIN LATERAL (SELECT convert_from(e.leaf, 'UTF8')::jsonb AS said) AS l
  CROSS JOIN LATERAL (SELECT l.said -> 'data' AS data) AS d
 WHERE e.position > $2 AND e.position <= $3 AND e.signature IS NULL AND e.type = 'petition.opened.v1';

-- name: declare_petitions
WITH said AS MATERIALIZED (
  SELECT e.petition, e.position, e.type, e.effective, e.recorded,
         convert_from(e.leaf, 'UTF8')::jsonb -> 'data' AS data
    FROM ledger.events e
   WHERE e.position > $2 AND e.position <= $3 AND e.signature IS NULL
     AND e.type IN ('petition.revised.v1', 'update.posted.v1', 'acceptance.changed.v1', 'status.declared.v1')
), touched AS (
  SELECT s.petition, max(s.recorded) AS recorded FROM said s GROUP BY s.petition
), revised AS (
  -- Of members stated twice the last by position stays: that is what jsonb_object_agg does with a key that repeats.
  SELECT s.petition, jsonb_object_agg(f.key, f.value ORDER BY s.position) AS data
    FROM said s CROSS JOIN LATERAL jsonb_each(s.data) AS f
   WHERE s.type = 'petition.revised.v1'
   GROUP BY s.petition
), accepted AS (
  SELECT DISTINCT ON (s.petition) s.petition, s.data ->> 'acceptance' AS acceptance, s.effective
    FROM said s WHERE s.type = 'acceptance.changed.v1'
   ORDER BY s.petition, s.position DESC
), declared AS (
  SELECT DISTINCT ON (s.petition) s.petition, s.data ->> 'status' AS status
    FROM said s WHERE s.type = 'status.declared.v1'
   ORDER BY s.petition, s.position DESC
)
UPDATE projections.petitions AS p SET
  title = coalesce(r.data ->> 'title', p.title),
  addressee = coalesce(r.data ->> 'addressee', p.addressee),
  goals = coalesce(r.data -> 'goals', p.goals),
  milestones = coalesce(r.data -> 'milestones', p.milestones),
  timezone = coalesce(r.data ->> 'timezone', p.timezone),
  opens_at = coalesce((r.data ->> 'opens_at')::timestamptz, p.opens_at),
  closes_at = coalesce((r.data ->> 'closes_at')::timestamptz, p.closes_at),
  text_version = coalesce((r.data ->> 'text_version')::bigint, p.text_version),
  text_sha256 = coalesce(r.data ->> 'text_sha256', p.text_sha256),
  acceptance = coalesce(a.acceptance, p.acceptance),
  closed_at = CASE
    WHEN a.acceptance IS NULL THEN p.closed_at
    WHEN a.acceptance IN ('closed', 'rejected') THEN a.effective
  END,
  status = coalesce(d.status, p.status),
  updated_at = t.recorded
FROM touched t
  LEFT JOIN revised r USING (petition)
  LEFT JOIN accepted a USING (petition)
  LEFT JOIN declared d USING (petition)
WHERE p.build = $1 AND p.first_position = t.petition;

-- name: count_petitions
WITH last AS (
  SELECT max(e.position) AS position FROM ledger.events e
   WHERE e.position > $2 AND e.position <= $3 GROUP BY e.petition
)
UPDATE projections.petitions AS p SET
  count = e.count_after, position = e.position, recorded = e.recorded, version = e.version
FROM last JOIN ledger.events e USING (position)
WHERE p.build = $1 AND p.first_position = e.petition;

-- name: rows
-- Of the active build, or with $2 of the sealed one: its checkpoint, and its rows or those of one petition. Where there
-- are none, one row of nulls.
SELECT t.id, t.first_position, t.title, t.addressee, t.basis, t.provenance, t.confirmation, t.timezone,
       t.goals::text, t.milestones::text, t.questions::text, t.public_fields::text, t.opens_at, t.closes_at,
       t.text_version, t.text_sha256, t.acceptance, t.status, t.opened_at, t.closed_at, t.created_at,
       t.updated_at, t.count, t.position, t.recorded, t.version,
       c.position AS checkpoint
  FROM projections.checkpoints c
  LEFT JOIN projections.petitions t ON t.build = c.build AND ($1::text IS NULL OR t.id = $1)
 WHERE c.name = 'petitions' AND CASE WHEN $2::boolean THEN c.sealed ELSE c.active END;

-- name: forget_build
DELETE FROM projections.petitions WHERE build = $1;

-- name: size
-- How many rows, by key, are in either of the builds $1 and $2.
SELECT count(*) FROM (
  SELECT FROM projections.petitions WHERE build = $1 OR build = $2 GROUP BY id) AS either;

-- name: differences
-- Rows that are not the same in the builds $1 and $2: how many there are, and the keys of the first $3 of them.
SELECT (coalesce(o.id, n.id)) COLLATE "C" AS key, count(*) OVER () AS different
  FROM (SELECT * FROM projections.petitions WHERE build = $1) AS o
  FULL JOIN (SELECT * FROM projections.petitions WHERE build = $2) AS n USING (id)
 WHERE to_jsonb(o) - 'build' IS DISTINCT FROM to_jsonb(n) - 'build'
 ORDER BY key
 LIMIT $3;
