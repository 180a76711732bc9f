-- Why people signed, published one by one: an admin decides, and may take it back.
--
-- The law of this file
--   1. A comment is shown while an admin says so, who is named, and while its signature counts. Nothing else of the vault
--      is ever shown.
--   2. Who decides waits for the head, as whoever appends does: a comment of a signer who was erased is never released,
--      and an idempotency key is one whichever way it came.
--   3. What was answered is kept by its key without the comment.

SET LOCAL ROLE ledger_owner;

ALTER TABLE vault.comments
  ADD COLUMN petition   bigint,       -- of the signature, from the first decision on
  ADD COLUMN position   bigint,
  ADD COLUMN decided_by text,         -- which admin decided last, and when
  ADD COLUMN decided_at timestamptz,
  ADD CONSTRAINT an_admin_decides CHECK (decided_by ~ '^admin:[0-9a-f]{6,32}$'),
  ADD CONSTRAINT released_by_a_decision CHECK (
    num_nulls(petition, position, decided_by, decided_at) IN (0, 4) AND (decided_by IS NOT NULL OR NOT released));
CREATE INDEX comments_released ON vault.comments (petition, position) WHERE released;

-- Release a comment, or take it back. `outcome`: `decided`, with the answer and the comment as it stands; `repeated`, with
-- the answer that was kept under this key; or why not.
CREATE FUNCTION ledger.decide_comment(
  actor text, id text, named uuid, released boolean, key bytea, fingerprint bytea,
  OUT outcome text, OUT answer text, OUT comment text
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  s ledger.signatures;
  kept vault.answers;
BEGIN
  PERFORM FROM ledger.head FOR UPDATE;
  SELECT c.comment INTO comment
    FROM vault.comments c
    JOIN ledger.signatures g ON g.signature = c.signature AND NOT g.erased
    JOIN ledger.petitions p ON p.petition = g.petition AND p.id = decide_comment.id
   WHERE c.signature = named;
  IF key IS NOT NULL THEN
    SELECT * INTO kept FROM vault.answers a
     WHERE a.credential = decide_comment.actor AND a.petition = decide_comment.id AND a.key = decide_comment.key;
    IF FOUND THEN
      outcome := CASE WHEN kept.fingerprint = decide_comment.fingerprint THEN 'repeated' ELSE 'key-reused' END;
      answer := kept.answer;
      RETURN;
    END IF;
  END IF;
  SELECT g.* INTO s FROM ledger.signatures g JOIN ledger.petitions p ON p.petition = g.petition
   WHERE g.signature = named AND p.id = decide_comment.id;
  IF NOT FOUND THEN
    outcome := 'unknown-signature';
    RETURN;
  END IF;
  IF s.erased THEN
    outcome := 'erased';
    RETURN;
  END IF;
  IF comment IS NULL THEN
    outcome := 'no-comment';
    RETURN;
  END IF;
  UPDATE vault.comments c
     SET released = decide_comment.released, petition = s.petition, position = s.position,
         decided_by = decide_comment.actor, decided_at = clock_timestamp()
   WHERE c.signature = named AND c.released <> decide_comment.released;
  outcome := 'decided';
  answer := jsonb_build_object('signature', named, 'released', decide_comment.released);
  IF key IS NOT NULL THEN
    INSERT INTO vault.answers (credential, petition, key, fingerprint, answer, signature, recorded)
      VALUES (decide_comment.actor, decide_comment.id, decide_comment.key, decide_comment.fingerprint,
              decide_comment.answer, named, clock_timestamp());
  END IF;
END
$$;

-- The released comments of a petition whose signatures count, the newest signature first, before a position; for everybody.
CREATE FUNCTION ledger.released_comments(id text, before bigint, at_most bigint)
RETURNS TABLE (signature uuid, "position" bigint, comment text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT c.signature, c.position, c.comment
    FROM vault.comments c
    JOIN ledger.signatures s ON s.signature = c.signature
   WHERE c.petition = (SELECT p.petition FROM ledger.petitions p WHERE p.id = released_comments.id)
     AND c.released AND c.position < released_comments.before
     AND ledger.stands(s.confirmed, s.withdrawn, s.holds) AND NOT s.erased
   ORDER BY c.position DESC LIMIT released_comments.at_most
$$;

REVOKE EXECUTE ON FUNCTION ledger.decide_comment, ledger.released_comments FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.decide_comment TO ledger_admin;
GRANT EXECUTE ON FUNCTION ledger.released_comments TO ledger_reader;
