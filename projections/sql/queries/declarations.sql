-- What a petition's admins declared of it: the events that are about the petition itself, corrections apart.
--
-- The law of this file: it is asked of the log, so that whoever declares next sees what was declared last, whatever the
-- projections have come to.

-- name: declarations
-- $1 petition. Oldest first; their number is that of `ledger.petitions.declarations`.
SELECT e.position, e.type::text AS type, e.effective, e.recorded,
       (convert_from(e.leaf, 'UTF8')::jsonb -> 'data')::text AS data
  FROM ledger.events e
 WHERE e.petition = $1 AND e.signature IS NULL
   AND e.type IN ('petition.opened.v1', 'petition.revised.v1', 'update.posted.v1', 'acceptance.changed.v1',
                  'status.declared.v1')
 ORDER BY e.position
