-- What running imported corrections have still to do to the signatures that rows of files name.
--
-- A large correction is applied in chunks, each in a transaction of its own. A row that stands behind it in a file, in
-- this process or in another, is judged after it all the same: the writer asks here, under the head lock, and applies
-- these members first.

SET LOCAL ROLE ledger_owner;

CREATE INDEX corrections_running ON ledger.corrections (petition) WHERE state = 'running';

CREATE FUNCTION ledger.unsettled_members(
  ids        text[],              -- petitions into which rows of files are being imported; none: nothing is read
  signatures ledger.signatures[], -- what those rows name
  OUT running ledger.corrections[],
  OUT members ledger.correction_members[]
)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF cardinality(ids) > 0 THEN
    running := ARRAY(
      SELECT c FROM ledger.petitions p JOIN ledger.corrections c USING (petition)
       WHERE p.id = ANY (ids) AND c.state = 'running' AND c.actor LIKE 'import:%');
  END IF;
  IF cardinality(running) > 0 THEN
    members := ARRAY(
      SELECT m FROM unnest(running) AS c CROSS JOIN unnest(signatures) AS s
        JOIN ledger.correction_members m ON m.correction = c.correction AND m.signature = s.signature
       WHERE m.outcome IS NULL ORDER BY m.correction);
  END IF;
END
$$;

REVOKE EXECUTE ON FUNCTION ledger.unsettled_members FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.unsettled_members TO ledger_signing, ledger_admin, ledger_privacy;
