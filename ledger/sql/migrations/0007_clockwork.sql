-- The clockwork: which petitions are to be closed because their closing time has passed and nobody wrote since.
--
-- The same question as `PetitionState.closing_due`: a petition that was taken up again after its closing time stays open.
-- The function only says which; closing is an event, and takes the way of every event.

SET LOCAL ROLE ledger_owner;

-- Petitions that may still have to be closed, soonest first: those that have closed are not in it.
CREATE INDEX petitions_to_close ON ledger.petitions (closes_at)
  WHERE closes_at IS NOT NULL AND acceptances -> -1 ->> 2 IN ('open', 'paused');

CREATE FUNCTION ledger.due_petitions(at_most bigint) RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT p.id FROM ledger.petitions p
   WHERE p.closes_at <= clock_timestamp() AND p.acceptances -> -1 ->> 2 IN ('open', 'paused')
     AND (jsonb_array_length(p.acceptances) = 1 OR (p.acceptances -> -1 ->> 1)::timestamptz < p.closes_at)
   ORDER BY p.closes_at, p.id LIMIT at_most
$$;

GRANT EXECUTE ON FUNCTION ledger.due_petitions TO ledger_signing, ledger_admin;
