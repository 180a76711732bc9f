-- What an admin asks before and after a correction is opened. Each question goes to a function of the ledger, in the role
-- `ledger_admin`; but `last_event`, of the log itself, in the role `ledger_reader`.

-- name: last_event
-- $1 the petition's number: where its last event stands, and the count after it.
SELECT e.position, e.count_after FROM ledger.events e WHERE e.petition = $1 ORDER BY e.position DESC LIMIT 1;

-- name: identity_policy
SELECT identity_policy FROM ledger.petition_rules($1);

-- name: signatures_of
SELECT ledger.signatures_of($1, $2);

-- name: matching
-- The parameters are those of the function. Those that are NULL ask for nothing.
SELECT signature, position, recorded, state, moves
  FROM ledger.matching_signatures($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14);

-- name: applied
SELECT signature, position, recorded, state, moves FROM ledger.applied_signatures($1, $2);

-- name: published
SELECT position, count, as_corrected FROM ledger.published_as_corrected($1, $2, $3, $4);

-- name: corrections
SELECT * FROM ledger.corrections_of($1, $2, $3, $4);

-- name: skipped
SELECT signature FROM ledger.skipped_signatures($1, $2) AS signature;

-- name: to_run
SELECT id, correction FROM ledger.corrections_to_run($1);
