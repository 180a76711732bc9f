-- Why people signed: whether it is published, and what is.

-- name: decide
-- In the role `ledger_admin`. $1 who decides, $2 the petition, $3 the signature, $4 whether it is released, $5 and $6 the
-- key under which the answer is kept and the request's fingerprint, or NULL.
SELECT outcome, answer, comment FROM ledger.decide_comment($1, $2, $3, $4, $5, $6);

-- name: released
-- In the role `ledger_reader`. $1 the petition, $2 before which position, $3 how many at most.
SELECT signature, position, comment FROM ledger.released_comments($1, $2, $3);
