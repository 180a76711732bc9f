-- What continuing a log under a new origin asks and writes. The law is that of the migration `log_continued`.

-- name: head
SELECT position, origin FROM ledger.head;

-- name: leaf_hashes
SELECT string_agg(e.leaf_hash, ''::bytea ORDER BY e.position) FROM ledger.events e
 WHERE e.position > $1::bigint AND e.position <= $2::bigint;

-- name: lock_head
SELECT position, recorded, origin FROM ledger.lock_head();

-- name: now
SELECT greatest(clock_timestamp(), $1::timestamptz);

-- name: last_continuation
SELECT first, version, leaf_hash FROM ledger.last_continuation();

-- name: continue
SELECT ledger.continue_log($1, $2, $3, $4);
