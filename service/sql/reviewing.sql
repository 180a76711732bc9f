-- What reviewers ask: figures of a petition's evidence and rhythm. Each question goes to a function of the ledger, in the
-- role `ledger_admin`.

-- name: patience
-- For this transaction: of a million signatures, minutes on a busy machine, and memory so that not all of it goes by disk.
SELECT set_config('statement_timeout', '120s', true), set_config('work_mem', '64MB', true);

-- name: rhythm
SELECT width, slice, count, matched, earliest, latest FROM ledger.signing_rhythm($1);

-- name: origins
-- $2 where the spans begin, $3 disposable domains, $4 and $5 pairwise regions and how many people live there, $6 of how
-- many signatures at least, $7 how many keys.
SELECT about, key, span, count, matched, earliest, latest FROM ledger.signing_origins($1, $2, $3, $4, $5, $6, $7);

-- name: late
SELECT slice, count, matched, earliest, latest, confirmed, earliest_signed, latest_signed
  FROM ledger.late_confirmations($1);
