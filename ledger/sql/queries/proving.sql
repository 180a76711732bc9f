-- Where the events stand that receipts are for. Positions of events never change, so that what these find agrees with a
-- head that was read before or after them.

-- name: signature
-- $1 petition, $2 a signature's id: the position at which it was recorded; NULL where the petition has no such one.
SELECT ledger.position_of_signature($1, $2);

-- name: last_covered
-- $1 petition, $2 a position: the petition's last event up to it; NULL where it has none.
SELECT e.position FROM ledger.events e WHERE e.petition = $1 AND e.position <= $2 ORDER BY e.position DESC LIMIT 1;
