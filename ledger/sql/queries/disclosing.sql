-- What the vault tells people, as the role `ledger_privacy` asks for it. Each of the two that read sealed rows writes down
-- who asked: they are never called in a transaction that may be rolled back.

-- name: identity_policies
SELECT id, identity_policy FROM ledger.identity_policies();

-- name: subject
-- $1 who asks, $2 petitions, $3 the person's token in each.
SELECT id, signature, position, recorded, state, epoch, wrapped_key, sealed, host(ip) AS ip, user_agent, email_domain, seen,
       comment, released
  FROM ledger.disclose_subject($1, $2, $3);

-- name: openings
-- $1 who asks, $2 the petition, $3 its signatures.
SELECT signature, position, erased, epoch, wrapped_key, sealed FROM ledger.disclose_openings($1, $2, $3);
