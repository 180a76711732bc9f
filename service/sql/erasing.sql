-- What an erasure asks beside the log. Each question goes to a function of the ledger, in the role `ledger_privacy`; but
-- `unerased` also in the role `ledger_signing`.

-- name: unfinished
-- $1 whether to look for all that is still held of anybody who was erased, and not only for what was noted.
SELECT u AS signature FROM ledger.unfinished_erasures($1) AS u;

-- name: erasures
-- $1 signatures; NULL: every one that was erased.
SELECT signature, petition, position, version, recorded, mode FROM ledger.erasures($1);

-- name: destroy
SELECT ledger.destroy_erased($1);

-- name: unerased
SELECT signature, petition FROM ledger.unerased($1);
