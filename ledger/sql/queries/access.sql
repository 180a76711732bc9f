-- Credentials, as the role ledger_admin sees them. The token itself is nowhere: only its SHA-256.

-- name: one_principal_at_a_time
-- Two tokens of one name that are made at once must not become two actors.
SELECT pg_advisory_xact_lock(hashtext('access.tokens'), hashtext($1));

-- name: actor_of
SELECT actor FROM access.tokens WHERE role = $1 AND name = $2 LIMIT 1;

-- name: create
INSERT INTO access.tokens (sha256, actor, role, name, petition, rate, expires) VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: list
SELECT left(encode(sha256, 'hex'), 12) AS id, actor, role, name, petition, rate, created, expires, revoked, last_used
  FROM access.tokens ORDER BY created, sha256;

-- name: revoke
UPDATE access.tokens SET revoked = clock_timestamp()
 WHERE left(encode(sha256, 'hex'), 12) = $1 AND revoked IS NULL RETURNING actor;
