-- What the clockwork of a service asks and clears away.

-- name: due_petitions
SELECT id FROM ledger.due_petitions($1) AS id;

-- name: purge_answers
SELECT ledger.purge_answers($1);

-- name: purge_evidence
SELECT ledger.purge_evidence(make_interval(days => $1), $2);
