-- Seals: what makes the log public. Tree heads, the subtrees that proofs are made of, and which heads were shown.
--
-- The law of this file
--   1. One sealer at a time: whoever seals, copies or shows a head holds the row lock of `ledger.sealing`. Sealing
--      never touches the head of the log, and never runs inside an append: a count is public when it is committed,
--      provable when it is sealed.
--   2. At most one root for a size: `size` is the primary key of `tree_heads`. A head only grows, and covers nothing
--      that is not committed: the function looks at `ledger.head`.
--   3. A head is shown (`published_heads`) only after it was copied outside the database; that is the caller's to do,
--      between `seal` and `publish`. The same size may be shown again where a witness signed it later, never another
--      root.
--   4. Nothing here is ever updated, deleted or truncated, by anybody.
--
-- Formats: C2SP tlog-checkpoint (the note of a head), C2SP tlog-tiles (a subtree of 256^k leaves is one hash of a
-- tile). Notes are compared as bytes, so that nothing here depends on the encoding of the database.

DO $$
BEGIN
  CREATE ROLE ledger_sealer NOLOGIN NOINHERIT;  -- EXECUTE the sealing functions, SELECT what a seal is made of
EXCEPTION WHEN duplicate_object OR unique_violation THEN
  NULL;  -- made by another ledger on this server, or by one that migrates at this moment
END
$$;

GRANT USAGE ON SCHEMA ledger TO ledger_sealer;
GRANT SELECT ON public.ledger_migrations TO ledger_sealer;

SET LOCAL ROLE ledger_owner;

CREATE TABLE ledger.sealing (singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton));
INSERT INTO ledger.sealing DEFAULT VALUES;

-- The keys that seal, each from the first size that it may seal on, as C2SP verifier keys.
CREATE TABLE ledger.seal_keys (
  vkey   text PRIMARY KEY CHECK (vkey ~ '^[!-*,-~]+[+][0-9a-f]{8}[+][A-Za-z0-9+/]{44}$'),
  since  bigint NOT NULL CHECK (since >= 0),  -- the newest sealed size when it was stated
  stated timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Hashes of complete subtrees of 256, 256^2, ... leaves: what tiles above level 0 are made of. Dense from index 0.
CREATE TABLE ledger.subtrees (
  height smallint NOT NULL CHECK (height > 0 AND height % 8 = 0 AND height <= 56),  -- 2^height leaves
  index  bigint NOT NULL CHECK (index >= 0),
  hash   bytea NOT NULL CHECK (octet_length(hash) = 32),
  PRIMARY KEY (height, index)
);

CREATE TABLE ledger.tree_heads (
  size   bigint PRIMARY KEY CHECK (size > 0),
  root   bytea NOT NULL CHECK (octet_length(root) = 32),
  note   bytea NOT NULL CHECK (octet_length(note) <= 65536),  -- as signed by the ledger's own keys alone
  sealed timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE ledger.published_heads (
  nth       bigint PRIMARY KEY CHECK (nth > 0),  -- in the order in which they were shown, from 1
  size      bigint NOT NULL REFERENCES ledger.tree_heads,
  note      bytea NOT NULL CHECK (octet_length(note) <= 65536),  -- with the witnesses' lines, where there are any
  published timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX published_heads_by_size ON ledger.published_heads (size, nth);

DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['sealing', 'seal_keys', 'subtrees', 'tree_heads', 'published_heads'] LOOP
    EXECUTE format(
      'CREATE TRIGGER %I BEFORE UPDATE OR DELETE ON ledger.%I'
      ' FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()', name || '_never_change', name);
    EXECUTE format(
      'CREATE TRIGGER %I BEFORE TRUNCATE ON ledger.%I'
      ' FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()', name || '_are_never_truncated', name);
    EXECUTE format('ALTER TABLE ledger.%I ENABLE ALWAYS TRIGGER %I', name, name || '_never_change');
    EXECUTE format('ALTER TABLE ledger.%I ENABLE ALWAYS TRIGGER %I', name, name || '_are_never_truncated');
  END LOOP;
END
$$;

-- Waits for its turn, which lasts until the caller's transaction ends. What is sealed must be read in a statement after
-- this one: its snapshot is then later than the wait.
CREATE FUNCTION ledger.lock_sealing() RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT FROM ledger.sealing FOR UPDATE
$$;

-- Seal a head. `expected` is the size of the newest one (0: none); the subtrees are those that it completes, pairwise.
CREATE FUNCTION ledger.seal(
  expected bigint, size bigint, root bytea, note bytea, heights smallint[], indexes bigint[], hashes bytea[]
) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  newest bigint;
  last ledger.head;
  beginning bytea;
BEGIN
  PERFORM FROM ledger.sealing FOR UPDATE;
  SELECT max(h.size) INTO newest FROM ledger.tree_heads h;
  SELECT * INTO last FROM ledger.head;
  IF coalesce(newest, 0) IS DISTINCT FROM expected THEN
    RAISE EXCEPTION 'The newest sealed head is of size %, not %', coalesce(newest, 0), expected;
  END IF;
  IF (seal.size > expected AND seal.size <= last.position) IS NOT TRUE THEN
    RAISE EXCEPTION 'A head grows, and covers what is committed: size % after %, of % events',
      seal.size, expected, last.position;
  END IF;
  -- The three lines of C2SP tlog-checkpoint, a blank one, and a line of the key that has the origin's name. Such a line
  -- begins with an em dash (U+2014, in UTF-8 E2 80 94) and a space.
  beginning := convert_to(last.origin || E'\n' || seal.size || E'\n' || encode(seal.root, 'base64') || E'\n\n', 'UTF8')
    || '\xe2809420'::bytea || convert_to(last.origin || ' ', 'UTF8');
  IF substr(seal.note, 1, octet_length(beginning)) IS DISTINCT FROM beginning THEN
    RAISE EXCEPTION 'The note is not that of the head of size %', seal.size;
  END IF;
  INSERT INTO ledger.subtrees (height, index, hash)
    SELECT s.height, s.index, s.hash FROM unnest(seal.heights, seal.indexes, seal.hashes) AS s(height, index, hash);
  -- Dense: as many as the size completes at each height, and the last one's index says that none is missing.
  FOR level IN 8..56 BY 8 LOOP
    IF (SELECT coalesce(max(s.index) + 1, 0) FROM ledger.subtrees s WHERE s.height = level) <> seal.size >> level
       OR (SELECT count(*) FROM unnest(seal.heights) AS h(height) WHERE h.height = level)
          <> (seal.size >> level) - (expected >> level)
    THEN
      RAISE EXCEPTION 'The subtrees of height % are not those that the size % completes', level, seal.size;
    END IF;
  END LOOP;
  INSERT INTO ledger.tree_heads (size, root, note) VALUES (seal.size, seal.root, seal.note);
END
$$;

-- Show a head, which was copied outside the database. `expected` is how many were shown so far.
CREATE FUNCTION ledger.publish(expected bigint, size bigint, note bytea) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  shown ledger.published_heads;
  head ledger.tree_heads;
  behind text;
BEGIN
  PERFORM FROM ledger.sealing FOR UPDATE;
  SELECT * INTO shown FROM ledger.published_heads p ORDER BY p.nth DESC LIMIT 1;
  IF coalesce(shown.nth, 0) IS DISTINCT FROM expected THEN
    RAISE EXCEPTION '% heads were shown, not %', coalesce(shown.nth, 0), expected;
  END IF;
  SELECT * INTO head FROM ledger.tree_heads h WHERE h.size = publish.size;
  IF head.size IS NULL OR publish.size < shown.size OR publish.note = shown.note THEN
    RAISE EXCEPTION 'A head is shown once it is sealed, and never a smaller one after a larger one';
  END IF;
  -- What was sealed, and behind it only further lines of signatures. `escape` shows an em dash as \342\200\224.
  behind := encode(substr(publish.note, octet_length(head.note) + 1), 'escape');
  IF substr(publish.note, 1, octet_length(head.note)) IS DISTINCT FROM head.note
     OR behind !~ E'^(\\\\342\\\\200\\\\224 [!-*,-~]+ [A-Za-z0-9+/]+={0,2}\n)*$'
  THEN
    RAISE EXCEPTION 'What is shown is not what was sealed at size %', publish.size;
  END IF;
  -- The first line of a note is the origin. What was sealed before a log was continued is not shown after that.
  IF NOT EXISTS (SELECT FROM ledger.head h
                  WHERE convert_to(h.origin || E'\n', 'UTF8') = substr(publish.note, 1, octet_length(h.origin) + 1)) THEN
    RAISE EXCEPTION 'A head that is shown is one of the present origin';
  END IF;
  INSERT INTO ledger.published_heads (nth, size, note) VALUES (expected + 1, publish.size, publish.note);
END
$$;

-- State a key that seals; nothing where it is stated already.
CREATE FUNCTION ledger.state_seal_key(vkey text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM FROM ledger.sealing FOR UPDATE;
  INSERT INTO ledger.seal_keys (vkey, since)
    SELECT state_seal_key.vkey, coalesce(max(h.size), 0) FROM ledger.tree_heads h
    ON CONFLICT DO NOTHING;
END
$$;

-- Where a signature was recorded: what its receipt proves. NULL where the petition has no such signature.
CREATE FUNCTION ledger.position_of_signature(petition bigint, signature uuid) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT s.position FROM ledger.signatures s
   WHERE s.signature = position_of_signature.signature AND s.petition = position_of_signature.petition
$$;

REVOKE EXECUTE ON FUNCTION
  ledger.lock_sealing, ledger.seal, ledger.publish, ledger.state_seal_key, ledger.position_of_signature FROM PUBLIC;
GRANT SELECT ON ledger.events, ledger.head TO ledger_sealer;
GRANT SELECT ON ledger.seal_keys, ledger.subtrees, ledger.tree_heads, ledger.published_heads
  TO ledger_sealer, ledger_reader, ledger_backup;
GRANT SELECT ON ledger.sealing TO ledger_backup;
GRANT EXECUTE ON FUNCTION ledger.lock_sealing, ledger.seal, ledger.publish, ledger.state_seal_key TO ledger_sealer;
GRANT EXECUTE ON FUNCTION ledger.position_of_signature TO ledger_reader;
