-- What stands beside the log, what a serving process needs of the credentials, and what expires.
--
-- The law of this file
--   1. Evidence, comments and the texts of petitions are written in the transaction that writes their events, by a second
--      function after `append_<role>`, and never without one. None of them is ever in a leaf; all of them can be erased.
--   2. Each function adds and never changes: a role that is taken over can add beside the log, not rewrite what is there.
--   3. A text stands beside the log only where an event says its SHA-256.

SET LOCAL ROLE ledger_owner;

-- Where a signature came from, as its site saw it: what fraud is found by. Purged when its time is over.
CREATE TABLE vault.evidence (
  signature  uuid PRIMARY KEY,
  ip         inet,
  user_agent text CHECK (char_length(user_agent) <= 1000),
  recorded   timestamptz NOT NULL,
  CHECK (ip IS NOT NULL OR user_agent IS NOT NULL)
);
CREATE INDEX evidence_by_age ON vault.evidence (recorded);

-- Why somebody signed, in their own words. Nothing of it is public until an admin releases it.
CREATE TABLE vault.comments (
  signature uuid PRIMARY KEY,
  comment   text NOT NULL CHECK (char_length(comment) BETWEEN 1 AND 2000),
  released  boolean NOT NULL DEFAULT false,
  recorded  timestamptz NOT NULL
);

-- The words of a petition, of which the log says the SHA-256. Public.
CREATE TABLE ledger.texts (
  petition     bigint NOT NULL,  -- the position of the petition's first event
  text_version bigint NOT NULL CHECK (text_version > 0),
  text         text NOT NULL,
  PRIMARY KEY (petition, text_version)
);

GRANT SELECT ON vault.evidence, vault.comments, ledger.texts TO ledger_backup;
GRANT SELECT ON ledger.texts TO ledger_reader, ledger_projector;

-- Pairwise: which signature, and what its site said of where it came from; which signature, and its comment.
CREATE FUNCTION ledger.keep_beside(
  evidence_of uuid[], ips inet[], user_agents text[], comments_on uuid[], comments text[]
) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF EXISTS (
    SELECT FROM unnest(evidence_of || comments_on) AS named(signature)
     WHERE NOT EXISTS (SELECT FROM vault.identities i WHERE i.signature = named.signature)
  ) THEN
    RAISE EXCEPTION 'Evidence and comments are those of a signature';
  END IF;
  INSERT INTO vault.evidence (signature, ip, user_agent, recorded)
    SELECT e.signature, e.ip, e.user_agent, clock_timestamp()
      FROM unnest(evidence_of, ips, user_agents) AS e(signature, ip, user_agent);
  INSERT INTO vault.comments (signature, comment, recorded)
    SELECT c.signature, c.comment, clock_timestamp() FROM unnest(comments_on, comments) AS c(signature, comment);
END
$$;

-- Pairwise: the petition's id, the version of its text, the text. The log must say its SHA-256 already.
CREATE FUNCTION ledger.keep_texts(ids text[], text_versions bigint[], texts text[]) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  kept bigint;
BEGIN
  WITH said AS (
    SELECT DISTINCT p.petition, t.text_version, t.text
      FROM unnest(ids, text_versions, texts) AS t(id, text_version, text)
      JOIN ledger.petitions p ON p.id = t.id
      JOIN ledger.events e ON e.petition = p.petition AND e.signature IS NULL
       AND e.type IN ('petition.opened.v1', 'petition.revised.v1')
      CROSS JOIN LATERAL (SELECT convert_from(e.leaf, 'UTF8')::jsonb -> 'data' AS data) AS leaf
     WHERE leaf.data ->> 'text_sha256' = encode(sha256(convert_to(t.text, 'UTF8')), 'hex')
       AND coalesce((leaf.data ->> 'text_version')::bigint, 1) = t.text_version
  ), written AS (
    INSERT INTO ledger.texts SELECT petition, text_version, text FROM said
      ON CONFLICT (petition, text_version) DO NOTHING
  )
  SELECT count(*) INTO kept FROM said;
  IF kept <> cardinality(ids) THEN
    RAISE EXCEPTION 'A text is one of which the log says the SHA-256';
  END IF;
END
$$;

-- Credentials that are good now. Expiry is judged again by whoever serves: this list may be a second old.
CREATE FUNCTION access.current_tokens() RETURNS TABLE (
  sha256 bytea, actor text, role text, name text, petition text, rate text, expires timestamptz
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT t.sha256, t.actor, t.role, t.name, t.petition, t.rate, t.expires
    FROM access.tokens t
   WHERE t.revoked IS NULL AND (t.expires IS NULL OR t.expires > clock_timestamp())
$$;

-- In the order of the hashes, so that processes which note the same tokens do not wait for each other in a circle.
CREATE FUNCTION access.note_use(hashes bytea[]) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  UPDATE access.tokens t SET last_used = clock_timestamp()
    FROM (SELECT u.sha256 FROM access.tokens u WHERE u.sha256 = ANY (hashes) ORDER BY u.sha256 FOR UPDATE) AS used
   WHERE t.sha256 = used.sha256
$$;

-- Answers are kept 30 days: a repeat after that is a new request. At most so many at once; the number that went.
CREATE FUNCTION ledger.purge_answers(at_most bigint DEFAULT 10000) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  WITH old AS (
    SELECT a.credential, a.petition, a.key FROM vault.answers a
     WHERE a.recorded < clock_timestamp() - interval '30 days'
     ORDER BY a.recorded LIMIT at_most
  ), gone AS (
    DELETE FROM vault.answers a USING old
     WHERE (a.credential, a.petition, a.key) = (old.credential, old.petition, old.key) RETURNING 1
  )
  SELECT count(*) FROM gone
$$;

-- Evidence is kept as long as the deployment says.
CREATE FUNCTION ledger.purge_evidence(kept interval, at_most bigint DEFAULT 10000) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  WITH old AS (
    SELECT e.signature FROM vault.evidence e
     WHERE e.recorded < clock_timestamp() - kept ORDER BY e.recorded LIMIT at_most
  ), gone AS (
    DELETE FROM vault.evidence e USING old WHERE e.signature = old.signature RETURNING 1
  )
  SELECT count(*) FROM gone
$$;

GRANT EXECUTE ON FUNCTION ledger.keep_beside TO ledger_signing, ledger_admin;
GRANT EXECUTE ON FUNCTION ledger.keep_texts TO ledger_admin;
GRANT EXECUTE ON FUNCTION access.current_tokens, access.note_use TO ledger_signing, ledger_admin;
GRANT EXECUTE ON FUNCTION ledger.purge_answers, ledger.purge_evidence TO ledger_admin;
-- What its first event says publicly, and what signing needs before it can read an identity.
GRANT EXECUTE ON FUNCTION ledger.petition_rules TO ledger_signing, ledger_reader;
