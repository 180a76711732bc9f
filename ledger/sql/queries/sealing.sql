-- What sealing reads and writes, and what the public log is read from.
--
-- The law of this file
--   1. Positions are counted from 1, leaves from 0: the leaf of index i is the event at position i + 1.
--   2. Whatever is written is written by the functions of the migration `seals`, which look again for themselves.
--   3. A hash of a level-0 tile is an event's; one of a level above is a subtree's. Nothing is hashed in a query.

-- name: lock
SELECT ledger.lock_sealing();

-- name: newest
-- Where the log, its seals and what was shown of them are. In a statement of its own after `lock`.
SELECT h.position, h.origin, coalesce(s.size, 0) AS sealed, s.root, s.note, coalesce(p.nth, 0) AS shown,
       coalesce(p.size, 0) AS shown_size
  FROM ledger.head h
  LEFT JOIN LATERAL (SELECT t.size, t.root, t.note FROM ledger.tree_heads t ORDER BY t.size DESC LIMIT 1) AS s ON true
  LEFT JOIN LATERAL (SELECT q.nth, q.size FROM ledger.published_heads q ORDER BY q.nth DESC LIMIT 1) AS p ON true;

-- name: leaf_hashes
-- Those of the leaves of index $1 to below $2, one behind the other, and how many they are.
SELECT string_agg(e.leaf_hash, ''::bytea ORDER BY e.position) AS hashes, count(*) AS leaves
  FROM ledger.events e WHERE e.position > $1::bigint AND e.position <= $2::bigint;

-- name: seal
SELECT ledger.seal($1, $2, $3, $4, $5, $6, $7);

-- name: publish
SELECT ledger.publish($1, $2, $3);

-- name: state_key
SELECT ledger.state_seal_key($1);

-- name: stated_keys
-- Every key that ever sealed, under whatever origin, the last stated first.
SELECT vkey FROM ledger.seal_keys ORDER BY stated DESC, vkey;

-- name: stated_keys_of_origin
-- Those of the log's origin as it is now.
SELECT k.vkey FROM ledger.seal_keys k JOIN ledger.head h ON starts_with(k.vkey, h.origin || '+')
 ORDER BY k.stated DESC, k.vkey;

-- name: continuations
-- What the log says of the origins that it had before: the leaves, the last one first.
SELECT e.position, e.leaf FROM ledger.events e
 WHERE e.signature IS NULL AND e.type = 'log.continued.v1' ORDER BY e.position DESC;

-- name: continued_between
-- Whether the log was continued under another origin at a position above $1 up to $2.
SELECT EXISTS (
  SELECT FROM ledger.events e
   WHERE e.position > $1 AND e.position <= $2 AND e.signature IS NULL AND e.type = 'log.continued.v1');

-- name: newest_published
SELECT p.nth, p.size, h.root, p.note, p.published
  FROM ledger.published_heads p JOIN ledger.tree_heads h USING (size) ORDER BY p.nth DESC LIMIT 1;

-- name: published
-- Of sizes above $1, at most $2, and all others of the last one's size.
SELECT p.nth, p.size, h.root, p.note, p.published
  FROM ledger.published_heads p JOIN ledger.tree_heads h USING (size)
 WHERE p.size > $1::bigint
   AND p.size <= coalesce(
     (SELECT q.size FROM ledger.published_heads q WHERE q.size > $1::bigint
       ORDER BY q.size, q.nth OFFSET $2::bigint - 1 LIMIT 1),
     9223372036854775807)
 ORDER BY p.nth;

-- name: sealed_root
SELECT root FROM ledger.tree_heads WHERE size = $1;

-- name: tiles_of_leaves
-- Of each tile of level 0, by index and width: its hashes, and how many there are.
SELECT t.nth, f.hashes, f.found
  FROM unnest($1::bigint[], $2::int[]) WITH ORDINALITY AS t (index, width, nth)
  CROSS JOIN LATERAL (
    SELECT string_agg(e.leaf_hash, ''::bytea ORDER BY e.position) AS hashes, count(*) AS found FROM ledger.events e
     WHERE e.position > t.index * 256 AND e.position <= t.index * 256 + t.width) AS f
 ORDER BY t.nth;

-- name: tiles_of_subtrees
-- Of each tile of a level above 0, by level, index and width: its hashes, and how many there are.
SELECT t.nth, f.hashes, f.found
  FROM unnest($1::int[], $2::bigint[], $3::int[]) WITH ORDINALITY AS t (level, index, width, nth)
  CROSS JOIN LATERAL (
    SELECT string_agg(s.hash, ''::bytea ORDER BY s.index) AS hashes, count(*) AS found FROM ledger.subtrees s
     WHERE s.height = t.level * 8 AND s.index >= t.index * 256 AND s.index < t.index * 256 + t.width) AS f
 ORDER BY t.nth;

-- name: entries
-- The leaves of index $1 to below $2.
SELECT e.leaf FROM ledger.events e WHERE e.position > $1::bigint AND e.position <= $2::bigint ORDER BY e.position;
