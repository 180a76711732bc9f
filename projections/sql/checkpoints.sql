-- Checkpoints: how far each projection has come, and which build of it is the active one.

-- name: lock_active
-- One projector at a time. Whoever waited here while a rebuild swapped gets fewer rows than projections, and asks again.
SELECT name, build, position FROM projections.checkpoints WHERE active ORDER BY name, build FOR UPDATE;

-- name: lock_build
SELECT position FROM projections.checkpoints WHERE name = $1 AND build = $2 FOR UPDATE;

-- name: active
SELECT name, build, position FROM projections.checkpoints WHERE active ORDER BY name;

-- name: head
SELECT position FROM ledger.head;

-- name: move
UPDATE projections.checkpoints SET position = $3 WHERE name = $1 AND build = $2;

-- name: types
-- Every type that the database knows; what a projector does not know of them, it must not meet.
SELECT unnest(enum_range(NULL::ledger.event_type))::text AS type;

-- name: first_of_types
SELECT min(position) FROM ledger.events
 WHERE position > $1 AND position <= $2 AND type = ANY ($3::text[]::ledger.event_type[]);

-- name: leftover_builds
SELECT build FROM projections.checkpoints WHERE name = $1 AND NOT active AND NOT sealed ORDER BY build FOR UPDATE;

-- name: begin_build
INSERT INTO projections.checkpoints (name, build, position, active)
SELECT $1::text, max(build) + 1, 0, false FROM projections.checkpoints WHERE name = $1
RETURNING build;

-- name: sealed
SELECT name, build, position FROM projections.checkpoints WHERE sealed ORDER BY name;

-- name: lock_sealed
-- One who moves the sealed builds at a time.
SELECT name, build, position FROM projections.checkpoints WHERE sealed ORDER BY name FOR UPDATE;

-- name: lock_sealed_build
SELECT build FROM projections.checkpoints WHERE name = $1 AND sealed FOR UPDATE;

-- name: begin_sealed_build
-- Under the lock of the active builds, as any build is begun; nothing where there is one.
INSERT INTO projections.checkpoints (name, build, position, active, sealed)
SELECT $1::text, max(build) + 1, 0, false, true FROM projections.checkpoints WHERE name = $1 HAVING NOT bool_or(sealed);

-- name: deactivate
UPDATE projections.checkpoints SET active = false WHERE name = $1 AND build = $2;

-- name: activate
UPDATE projections.checkpoints SET active = true WHERE name = $1 AND build = $2;

-- name: forget_build
DELETE FROM projections.checkpoints WHERE name = $1 AND build = $2;
