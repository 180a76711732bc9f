-- The rules of the log and of its write-side state, as questions that a sound ledger answers with no row at all.
--
-- The law of this file
--   1. Every block named in `ledger.fsck.SHALLOW` answers rows of (rule, position, petition, detail), first position
--      first: which rule is broken, where, in which petition, and in which numbers. Never what a leaf or a vault holds.
--   2. Each is one or two passes over the log by sets, so that ten million events take minutes. What needs a leaf to be
--      understood is not asked here: the fold of `ledger.folding` does that.
--   3. A bad value must give a row, not an error. Sums are numeric, nothing is parsed.

-- name: in_position_order
-- Rules 1 and 14: positions are dense from 1, recorded times never decrease.
SELECT broken.rule, broken.position, p.id AS petition, broken.detail
  FROM (
    SELECT position, petition, recorded,
           lag(position, 1, 0::bigint) OVER (ORDER BY position) AS previous,
           lag(recorded) OVER (ORDER BY position) AS recorded_before
      FROM ledger.events
  ) AS e
  CROSS JOIN LATERAL (VALUES
    ('positions-dense', e.position <> e.previous + 1, least(e.position, e.previous + 1),
     format('%s is followed by %s', e.previous, e.position)),
    ('recorded-order', e.recorded < e.recorded_before, e.position, NULL)
  ) AS broken (rule, holds, position, detail)
  LEFT JOIN ledger.petitions p ON p.petition = e.petition AND broken.rule <> 'positions-dense'
 WHERE (e.position <> e.previous + 1 OR e.recorded < e.recorded_before) AND broken.holds
 ORDER BY broken.position;

-- name: in_petition_order
-- Rules 1 and 6: in each petition versions are dense from 1, its first event opens it, and count_after is the sum of
-- the deltas so far. Where that sum is off it is told once, where it begins to be off by so much.
SELECT broken.rule, e.position, p.id AS petition, broken.detail
  FROM (
    SELECT s.*, lag(s.astray, 1, 0::numeric) OVER (PARTITION BY s.petition ORDER BY s.position) AS astray_before
      FROM (
        SELECT n.position, n.petition, n.version, n.type, n.count_after,
               lag(n.version, 1, 0::bigint) OVER petition_so_far AS previous,
               n.count_after - sum(n.delta) OVER petition_so_far AS astray
          FROM ledger.events n
        WINDOW petition_so_far AS (PARTITION BY n.petition ORDER BY n.position)
      ) AS s
  ) AS e
  CROSS JOIN LATERAL (VALUES
    ('versions-dense', e.version <> e.previous + 1, format('%s is followed by %s', e.previous, e.version)),
    ('running-count', e.astray <> 0 AND e.astray <> e.astray_before,
     format('it is %s, the deltas sum to %s', e.count_after, e.count_after - e.astray)),
    ('first-event', (e.version = 1) <> (e.petition = e.position)
                 OR (e.type <> 'log.continued.v1' AND (e.version = 1) <> (e.type = 'petition.opened.v1')), NULL)
  ) AS broken (rule, holds, detail)
  LEFT JOIN ledger.petitions p ON p.petition = e.petition
 WHERE (e.version <> e.previous + 1 OR e.astray <> 0 OR (e.version = 1) <> (e.petition = e.position)
        OR (e.type <> 'log.continued.v1' AND (e.version = 1) <> (e.type = 'petition.opened.v1')))
   AND broken.holds
 ORDER BY e.position;

-- name: each_event
-- What every row must be by itself: its hash (RFC 6962, section 2.1), its place, the delta and columns of its type.
SELECT broken.rule, e.position, p.id AS petition, NULL AS detail
  FROM ledger.events e
  CROSS JOIN LATERAL (VALUES
    ('leaf-hash', e.leaf_hash IS DISTINCT FROM sha256('\x00'::bytea || e.leaf)),
    ('leaf-position', position(convert_to('"id":"' || lpad(e.position::text, 20, '0') || '"', 'UTF8') IN e.leaf) = 0),
    ('count-negative', e.count_after < 0),
    ('delta-of-type', NOT CASE
       WHEN e.type IN ('signature.recorded.v1', 'signature.confirmed.v1', 'signature.reinstated.v1')
         THEN e.delta IN (0, 1)
       WHEN e.type IN ('signature.withdrawn.v1', 'signature.invalidated.v1') THEN e.delta IN (-1, 0)
       WHEN e.type = 'count.observed.v1' THEN true
       ELSE e.delta = 0
     END),
    ('columns-of-type',
       (e.signature IS NOT NULL) <> (e.type IN (
         'signature.recorded.v1', 'signature.confirmed.v1', 'signature.amended.v1', 'signature.withdrawn.v1',
         'signature.invalidated.v1', 'signature.reinstated.v1', 'signer.erased.v1'))
       OR (e.signature IS NULL) <> (e.channel IS NULL) OR (e.signature IS NULL) <> (e.kind IS NULL)
       OR (e.hold IS NOT NULL) <> (e.type IN ('signature.invalidated.v1', 'signature.reinstated.v1'))),
    ('times', e.effective > e.recorded + interval '60 s')
  ) AS broken (rule, holds)
  LEFT JOIN ledger.petitions p ON p.petition = e.petition
 WHERE broken.holds
 ORDER BY e.position;

-- name: head
-- The head row is the last event. Where it is further, events are missing; where it is less far, some were slipped in.
SELECT 'head' AS rule,
       CASE WHEN h.position > coalesce(e.position, 0) THEN coalesce(e.position, 0) + 1
            WHEN h.position < e.position THEN h.position + 1 ELSE e.position END AS position,
       NULL AS petition,
       CASE WHEN h.position IS DISTINCT FROM coalesce(e.position, 0)
            THEN format('the head is at %s, the last event at %s', coalesce(h.position::text, 'nowhere'),
                        coalesce(e.position, 0)) END AS detail
  FROM (SELECT) AS always
  LEFT JOIN ledger.head h ON true
  LEFT JOIN LATERAL (SELECT position, recorded FROM ledger.events ORDER BY position DESC LIMIT 1) AS e ON true
 WHERE h.position IS DISTINCT FROM coalesce(e.position, 0)
    OR h.recorded <> e.recorded
    OR (h.origin IS NULL) <> (e.position IS NULL);

-- name: petitions
-- Rule 6: a petition's state is that after its last event. Where the state has seen more events than the log holds, and
-- the log has no gap, the place is the end of the log: a tail is gone.
WITH log AS (SELECT count(*) AS events, coalesce(max(position), 0) AS last FROM ledger.events)
SELECT 'petition-state' AS rule,
       CASE WHEN (e.position IS NULL OR p.version > e.version) AND log.events = log.last THEN log.last + 1
            ELSE coalesce(e.position, p.petition) END AS position,
       p.id AS petition,
       concat_ws(', ',
         CASE WHEN e.position IS NULL THEN 'it has no event' END,
         CASE WHEN p.version <> e.version THEN format('version %s, not %s', p.version, e.version) END,
         CASE WHEN p.count <> e.count_after THEN format('count %s, not %s', p.count, e.count_after) END,
         CASE WHEN p.last_leaf_hash <> e.leaf_hash THEN 'another last leaf' END) AS detail
  FROM ledger.petitions p
  CROSS JOIN log
  LEFT JOIN LATERAL (
    SELECT n.position, n.version, n.count_after, n.leaf_hash FROM ledger.events n
     WHERE n.petition = p.petition ORDER BY n.position DESC LIMIT 1) AS e ON true
 WHERE e.position IS NULL OR p.version <> e.version OR p.count <> e.count_after OR p.last_leaf_hash <> e.leaf_hash
UNION ALL
SELECT 'petition-state', e.position, NULL, 'it has no row'
  FROM ledger.events e
 WHERE e.version = 1 AND e.type = 'petition.opened.v1'
   AND NOT EXISTS (SELECT FROM ledger.petitions p WHERE p.petition = e.petition)
ORDER BY 2;

-- name: beyond_the_end
-- State that remembers events which the log does not hold: what betrays a tail that was taken away with its head.
WITH log AS (SELECT coalesce(max(position), 0) AS last FROM ledger.events)
SELECT 'state-beyond-the-log' AS rule, log.last + 1 AS position, p.id AS petition,
       format('%s knows of position %s', beyond.state, max(beyond.position)) AS detail
  FROM log
  CROSS JOIN LATERAL (
    SELECT 'petitions' AS state, petition, petition AS position FROM ledger.petitions WHERE petition > log.last
    UNION ALL SELECT 'signatures', petition, position FROM ledger.signatures WHERE position > log.last
    UNION ALL SELECT 'import_keys', petition, position FROM vault.import_keys WHERE position > log.last
  ) AS beyond
  LEFT JOIN ledger.petitions p ON p.petition = beyond.petition
 GROUP BY beyond.state, p.id, log.last
 ORDER BY 2, 4;

-- name: signatures
-- Rules 6 and 7: a signature stands where the deltas of its events sum to 1, and its row says so.
SELECT 'signature-state' AS rule,
       CASE WHEN e.signature IS NULL THEN s.position WHEN s.signature IS NULL THEN e.recorded
            ELSE e.last END AS position,
       p.id AS petition,
       CASE WHEN e.signature IS NULL THEN 'it has no event' WHEN s.signature IS NULL THEN 'it has no row' END AS detail
  FROM ledger.signatures s
  FULL JOIN (
    SELECT signature, min(position) FILTER (WHERE type = 'signature.recorded.v1') AS recorded, max(position) AS last,
           min(petition) AS petition, max(petition) AS other_petition, sum(delta) AS moved
      FROM ledger.events WHERE signature IS NOT NULL GROUP BY signature
  ) AS e ON e.signature = s.signature
  LEFT JOIN ledger.petitions p ON p.petition = coalesce(s.petition, e.petition)
 WHERE e.signature IS NULL OR s.signature IS NULL OR s.position IS DISTINCT FROM e.recorded
    OR s.petition <> e.petition OR e.petition <> e.other_petition
    OR e.moved <> ledger.stands(s.confirmed, s.withdrawn, s.holds)::int
 ORDER BY 2;

-- name: standing
-- Rule 6: the count of an itemised petition is the number of its standing signatures.
SELECT 'standing-count' AS rule, NULL::bigint AS position, p.id AS petition,
       format('its count is %s, and %s stand', p.count, coalesce(s.standing, 0)) AS detail
  FROM ledger.petitions p
  LEFT JOIN (
    SELECT petition, count(*) AS standing FROM ledger.signatures
     WHERE ledger.stands(confirmed, withdrawn, holds) GROUP BY petition
  ) AS s ON s.petition = p.petition
 WHERE (p.basis = 'itemised' AND p.count <> coalesce(s.standing, 0)) OR (p.basis = 'observed' AND s.standing > 0)
 ORDER BY p.petition;

-- name: signers
-- Rule 5: every standing signature is its signer's latest, and every signer has one row that points to one signature,
-- which makes at most one of hers stand. The rule ends with erasure.
SELECT 'signer-latest' AS rule, s.position, p.id AS petition, 'a standing signature is nobody''s latest' AS detail
  FROM ledger.signatures s
  LEFT JOIN ledger.petitions p ON p.petition = s.petition
 WHERE ledger.stands(s.confirmed, s.withdrawn, s.holds) AND NOT s.erased
   AND NOT EXISTS (SELECT FROM vault.signers g WHERE g.signature = s.signature AND g.petition = s.petition)
UNION ALL
SELECT 'signer-latest', NULL, p.id, 'a signer points to a signature that is not in the petition'
  FROM vault.signers g
  LEFT JOIN ledger.petitions p ON p.petition = g.petition
 WHERE NOT EXISTS (SELECT FROM ledger.signatures s WHERE s.signature = g.signature AND s.petition = g.petition)
UNION ALL
SELECT 'signer-once', min(s.position), p.id, 'two signers share a signature'
  FROM vault.signers g
  LEFT JOIN ledger.signatures s ON s.signature = g.signature
  LEFT JOIN ledger.petitions p ON p.petition = g.petition
 GROUP BY g.signature, p.id HAVING count(*) > 1
UNION ALL
SELECT 'signer-once', NULL, p.id, 'a signer has two rows'
  FROM vault.signers g
  LEFT JOIN ledger.petitions p ON p.petition = g.petition
 GROUP BY g.petition, g.signer_ref, p.id HAVING count(*) > 1
ORDER BY 2;

-- name: erased
-- Rule 12: of a signer who was erased nothing is held, but while her erasure is under way.
SELECT 'erased-remains' AS rule, s.position, p.id AS petition, held.rows AS detail
  FROM ledger.signatures s
  LEFT JOIN ledger.petitions p ON p.petition = s.petition
  CROSS JOIN LATERAL (
    SELECT concat_ws(', ',
      CASE WHEN EXISTS (SELECT FROM vault.identities v WHERE v.signature = s.signature) THEN 'identity' END,
      CASE WHEN EXISTS (SELECT FROM vault.signers v WHERE v.signature = s.signature) THEN 'token' END,
      CASE WHEN EXISTS (SELECT FROM vault.evidence v WHERE v.signature = s.signature) THEN 'evidence' END,
      CASE WHEN EXISTS (SELECT FROM vault.comments v WHERE v.signature = s.signature) THEN 'comment' END,
      CASE WHEN EXISTS (SELECT FROM vault.import_keys v WHERE v.signature = s.signature) THEN 'rows of files' END,
      CASE WHEN EXISTS (SELECT FROM vault.answers v WHERE v.signature = s.signature) THEN 'answers' END) AS rows
  ) AS held
 WHERE s.erased AND held.rows <> '' AND NOT EXISTS (SELECT FROM vault.erasing e WHERE e.signature = s.signature)
 ORDER BY s.position;

-- name: corrections
-- Every member of a frozen set is applied, skipped or still to do, and the correction counts them so.
SELECT 'correction-counts' AS rule, NULL::bigint AS position, p.id AS petition,
       format('of %s members %s are applied and %s skipped; it says %s, %s and %s',
              coalesce(m.members, 0), coalesce(m.applied, 0), coalesce(m.skipped, 0),
              c.matched, c.applied, c.skipped) AS detail
  FROM ledger.corrections c
  FULL JOIN (
    SELECT correction, count(*) AS members, count(*) FILTER (WHERE outcome = 'applied') AS applied,
           count(*) FILTER (WHERE outcome = 'skipped') AS skipped
      FROM ledger.correction_members GROUP BY correction
  ) AS m ON m.correction = c.correction
  LEFT JOIN ledger.petitions p ON p.petition = c.petition
 WHERE c.correction IS NULL
    OR c.matched <> coalesce(m.members, 0) OR c.applied <> coalesce(m.applied, 0)
    OR c.skipped <> coalesce(m.skipped, 0)
    OR (c.state = 'completed' AND c.applied + c.skipped <> c.matched)
    OR (c.state = 'running' AND c.applied + c.skipped >= c.matched)
 ORDER BY c.correction;

-- name: notices
-- The public rule of every correction that people opened stands beside the log, which says its SHA-256.
SELECT 'notice' AS rule, e.position, p.id AS petition, NULL AS detail
  FROM ledger.events e
  CROSS JOIN LATERAL (SELECT convert_from(e.leaf, 'UTF8')::jsonb -> 'data' AS data) AS said
  LEFT JOIN ledger.notices n ON n.correction = (said.data ->> 'correction')::uuid
  LEFT JOIN ledger.petitions p ON p.petition = e.petition
 WHERE e.type = 'correction.opened.v1' AND e.signature IS NULL
   AND encode(sha256(convert_to(n.rule, 'UTF8')), 'hex') IS DISTINCT FROM (said.data ->> 'notice_sha256')
 ORDER BY e.position;

-- name: seals
-- Tree heads cover no more than the log, their notes say their size and root (C2SP tlog-checkpoint: the second and
-- third line), what was shown is what was sealed, in order, and subtrees are as many as the newest size completes.
WITH log AS (SELECT coalesce(max(position), 0) AS last FROM ledger.events),
  newest AS (SELECT coalesce(max(size), 0) AS size FROM ledger.tree_heads)
SELECT 'sealed-beyond-the-log' AS rule, log.last + 1 AS position, NULL AS petition,
       format('%s events were sealed, and the log ends at %s', newest.size, log.last) AS detail
  FROM log CROSS JOIN newest WHERE newest.size > log.last
UNION ALL
SELECT 'head-note', h.size, NULL, NULL
  FROM ledger.tree_heads h
  CROSS JOIN LATERAL (SELECT string_to_array(left(encode(h.note, 'escape'), 4096), E'\n') AS lines) AS n
 WHERE (n.lines[2] = h.size::text AND n.lines[3] = encode(h.root, 'base64') AND n.lines[4] = '') IS NOT TRUE
UNION ALL
SELECT 'shown-head', p.size, NULL,
       concat_ws(', ', CASE WHEN p.nth <> p.before + 1 THEN format('%s is followed by %s', p.before, p.nth) END,
         CASE WHEN p.size < p.size_before THEN format('after %s events', p.size_before) END,
         CASE WHEN h.size IS NULL THEN 'it was not sealed' END,
         CASE WHEN substr(p.note, 1, octet_length(h.note)) <> h.note THEN 'another note' END)
  FROM (
    SELECT nth, size, note, lag(nth, 1, 0::bigint) OVER (ORDER BY nth) AS before,
           lag(size, 1, 0::bigint) OVER (ORDER BY nth) AS size_before
      FROM ledger.published_heads
  ) AS p
  LEFT JOIN ledger.tree_heads h ON h.size = p.size
 WHERE p.nth <> p.before + 1 OR p.size < p.size_before OR h.size IS NULL
    OR substr(p.note, 1, octet_length(h.note)) <> h.note
UNION ALL
SELECT 'subtrees-dense', least((s.found << l.height) + 1, newest.size), NULL,
       format('of height %s there are %s up to %s, and %s are complete',
              l.height, s.found, s.last, newest.size >> l.height)
  FROM newest
  CROSS JOIN generate_series(8, 56, 8) AS l (height)
  CROSS JOIN LATERAL (
    SELECT count(*) AS found, coalesce(max(t.index) + 1, 0) AS last FROM ledger.subtrees t WHERE t.height = l.height
  ) AS s
 WHERE s.found <> newest.size >> l.height OR s.last <> s.found
ORDER BY 2, 1;

-- name: triggers
-- Rule 4: what refuses even the owner is there, and fires always.
SELECT 'triggers' AS rule, NULL::bigint AS position, NULL AS petition,
       CASE WHEN t.oid IS NULL THEN format('%s on %s is missing', wanted.name, wanted.relation)
            ELSE format('%s on %s is not what it was', wanted.name, wanted.relation) END AS detail
  FROM (VALUES  -- tgtype: 1 row, 2 before, 8 delete, 16 update, 32 truncate
    ('ledger.events', 'events_never_change', 1 + 2 + 8 + 16),
    ('ledger.events', 'events_are_never_addressed', 2 + 8 + 16),
    ('ledger.events', 'events_are_never_truncated', 2 + 32),
    ('ledger.head', 'the_head_is_never_removed', 2 + 8),
    ('ledger.head', 'the_head_is_never_truncated', 2 + 32),
    ('ledger.sealing', 'sealing_never_change', 2 + 8 + 16),
    ('ledger.sealing', 'sealing_are_never_truncated', 2 + 32),
    ('ledger.seal_keys', 'seal_keys_never_change', 2 + 8 + 16),
    ('ledger.seal_keys', 'seal_keys_are_never_truncated', 2 + 32),
    ('ledger.subtrees', 'subtrees_never_change', 2 + 8 + 16),
    ('ledger.subtrees', 'subtrees_are_never_truncated', 2 + 32),
    ('ledger.tree_heads', 'tree_heads_never_change', 2 + 8 + 16),
    ('ledger.tree_heads', 'tree_heads_are_never_truncated', 2 + 32),
    ('ledger.published_heads', 'published_heads_never_change', 2 + 8 + 16),
    ('ledger.published_heads', 'published_heads_are_never_truncated', 2 + 32)
  ) AS wanted (relation, name, type)
  LEFT JOIN pg_catalog.pg_trigger t
    ON t.tgrelid = wanted.relation::regclass AND t.tgname = wanted.name AND NOT t.tgisinternal
 WHERE t.oid IS NULL OR t.tgenabled <> 'A' OR t.tgtype <> wanted.type OR t.tgqual IS NOT NULL
    OR t.tgfoid <> to_regproc('ledger.refuse_change')
 ORDER BY wanted.relation, wanted.name;

-- name: constraints
-- The rules that the database itself can say are still said, and hold for every row.
SELECT 'constraints' AS rule, NULL::bigint AS position, NULL AS petition,
       format('%s on %s', wanted.definition, wanted.relation) AS detail
  FROM (VALUES
    ('ledger.events', 'PRIMARY KEY ("position")'),
    ('ledger.events', 'UNIQUE (petition, version)'),
    ('ledger.events', 'CHECK ((leaf_hash = sha256(%leaf%'),
    ('ledger.events', 'CHECK ((count_after >= 0))'),
    ('ledger.events', 'CHECK (%delta = ANY%)'),
    ('ledger.events', 'CHECK (%(signature IS NOT NULL) = (type = ANY%)'),
    ('ledger.events', 'CHECK (%(hold IS NOT NULL) = (type = ANY%)'),
    ('ledger.head', 'PRIMARY KEY (singleton)'),
    ('ledger.head', 'CHECK (singleton)'),
    ('ledger.petitions', 'PRIMARY KEY (petition)'),
    ('ledger.petitions', 'UNIQUE (id)'),
    ('ledger.petitions', 'CHECK ((count >= 0))'),
    ('ledger.signatures', 'PRIMARY KEY (signature)'),
    ('vault.erasing', 'PRIMARY KEY (signature)'),
    ('ledger.corrections', 'PRIMARY KEY (correction)'),
    ('ledger.corrections', 'CHECK (%(approver <> actor)%approval = ''required''%'),
    ('ledger.corrections', 'CHECK (%(approval <> ''required''%(approver IS NOT NULL)%'),
    ('ledger.correction_members', 'PRIMARY KEY (correction, ordinal)'),
    ('ledger.tree_heads', 'PRIMARY KEY (size)'),
    ('ledger.subtrees', 'PRIMARY KEY (height, index)'),
    ('ledger.published_heads', 'PRIMARY KEY (nth)'),
    ('ledger.published_heads', 'FOREIGN KEY (size) REFERENCES ledger.tree_heads(size)'),
    ('vault.epochs', 'PRIMARY KEY (epoch)'),
    ('vault.identities', 'PRIMARY KEY (signature)'),
    ('vault.identities', 'CHECK (%sealed IS NULL%octet_length(wrapped_key) = 60%'),
    ('vault.identities', 'CHECK ((sealed IS NOT NULL))'),  -- nothing is plain any more
    ('vault.signers', 'PRIMARY KEY (petition, token)'),
    ('vault.import_keys', 'PRIMARY KEY (petition, key)')
  ) AS wanted (relation, definition)
 WHERE NOT EXISTS (
   SELECT FROM pg_catalog.pg_constraint c
    WHERE c.conrelid = wanted.relation::regclass AND c.convalidated
      AND pg_catalog.pg_get_constraintdef(c.oid) LIKE wanted.definition)
 ORDER BY wanted.relation, wanted.definition;

-- name: grants
-- Rule 4: no role that anything runs as may change the log or its state but through the append functions, or become
-- the owner.
SELECT 'grants' AS rule, NULL::bigint AS position, NULL AS petition,
       format('%s may %s %s', r.rolname, privilege.name, relation.name) AS detail
  FROM pg_catalog.pg_roles r
  CROSS JOIN unnest(ARRAY[
    'ledger.events', 'ledger.head', 'ledger.petitions', 'ledger.signatures', 'ledger.corrections',
    'ledger.correction_members', 'ledger.writable_types', 'ledger.sealing', 'ledger.seal_keys', 'ledger.subtrees',
    'ledger.tree_heads', 'ledger.published_heads', 'vault.signers', 'vault.import_keys'
  ]) AS relation (name)
  CROSS JOIN unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER']) AS privilege (name)
 WHERE r.rolname = ANY ($1)
   AND CASE WHEN privilege.name IN ('INSERT', 'UPDATE')
            THEN has_any_column_privilege(r.oid, relation.name::regclass, privilege.name)
            ELSE has_table_privilege(r.oid, relation.name::regclass, privilege.name) END
UNION ALL
SELECT 'grants', NULL, NULL, format('%s may become %s', r.rolname, o.rolname)
  FROM pg_catalog.pg_roles r
  JOIN pg_catalog.pg_roles o ON o.rolname IN ('ledger_owner', 'ledger_migrator') AND pg_has_role(r.oid, o.oid, 'MEMBER')
 WHERE r.rolname = ANY ($1)
UNION ALL
SELECT 'grants', NULL, NULL, format('%s is a superuser', r.rolname)
  FROM pg_catalog.pg_roles r
 WHERE r.rolname = ANY ($1) AND r.rolsuper
ORDER BY 4;

-- name: head_position
SELECT position, recorded, origin FROM ledger.head;

-- name: leaves
-- The whole log in order, for the fold. A time that no event may have reads as none, and so differs from any leaf's.
SELECT position, petition, version, type::text AS type,
       CASE WHEN effective BETWEEN '1000-01-01Z' AND '9000-01-01Z' THEN effective END AS effective,
       CASE WHEN recorded BETWEEN '1000-01-01Z' AND '9000-01-01Z' THEN recorded END AS recorded,
       delta, count_after, signature, hold, channel, kind, country, region, answers::text AS answers, leaf
  FROM ledger.events ORDER BY position;

-- name: sealed_size
SELECT coalesce(max(size), 0) FROM ledger.tree_heads;

-- name: sealed_roots
SELECT size, root FROM ledger.tree_heads ORDER BY size;

-- name: subtrees_of
-- The stored hash of each of these subtrees, or NULL.
SELECT s.hash
  FROM unnest($1::smallint[], $2::bigint[]) WITH ORDINALITY AS w (height, index, nth)
  LEFT JOIN ledger.subtrees s ON s.height = w.height AND s.index = w.index
 ORDER BY w.nth;

-- name: petition_rows
SELECT petition, id, version, count, last_leaf_hash, declarations, basis, confirmation, identity_policy, public_fields,
       questions::text AS questions, text_version,
       CASE WHEN opens_at BETWEEN '1000-01-01Z' AND '9000-01-01Z' THEN opens_at END AS opens_at,
       CASE WHEN closes_at BETWEEN '1000-01-01Z' AND '9000-01-01Z' THEN closes_at END AS closes_at,
       acceptances::text AS acceptances,
       CASE WHEN observed_at BETWEEN '1000-01-01Z' AND '9000-01-01Z' THEN observed_at END AS observed_at
  FROM ledger.petitions ORDER BY petition;

-- name: signature_rows
SELECT signature, petition, position, version, confirmed, withdrawn, erased, holds,
       CASE WHEN effective BETWEEN '1000-01-01Z' AND '9000-01-01Z' THEN effective END AS effective,
       channel, kind, country, region, answers::text AS answers, previous
  FROM ledger.signatures ORDER BY position;

-- name: signer_rows
SELECT petition, signer_ref, signature FROM vault.signers;

-- name: correction_rows
SELECT correction, petition, kind, reason, actor, state,
       CASE WHEN effective BETWEEN '1000-01-01Z' AND '9000-01-01Z' THEN effective END AS effective,
       lifts, matched, applied, skipped, digest, approval, approver, reverses,
       CASE WHEN opened BETWEEN '1000-01-01Z' AND '9000-01-01Z' THEN opened END AS opened
  FROM ledger.corrections ORDER BY correction;

-- name: member_rows
SELECT correction, ordinal, signature, outcome FROM ledger.correction_members ORDER BY correction, signature;
