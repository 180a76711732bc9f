-- The vault's rows for whoever audits them with the keys: the one place where a query answers what the vault holds. It is
-- sealed, and it never stands in what a finding says.

-- name: identities
-- Each row beside the leaf that commits to it: that of the last amendment, else that which recorded the signature.
SELECT i.signature, i.pii, i.nonce, i.epoch, i.wrapped_key, i.sealed, coalesce(a.position, e.position) AS position,
       p.id AS petition, coalesce(a.leaf, e.leaf) AS leaf
  FROM vault.identities i
  LEFT JOIN ledger.signatures s ON s.signature = i.signature
  LEFT JOIN ledger.events e ON e.position = s.position AND e.signature = i.signature
  LEFT JOIN ledger.petitions p ON p.petition = s.petition
  LEFT JOIN (
    SELECT DISTINCT ON (m.signature) m.signature, m.position, m.leaf FROM ledger.events m
     WHERE m.type = 'signature.amended.v1' ORDER BY m.signature, m.position DESC
  ) AS a ON a.signature = i.signature
 ORDER BY e.position;
