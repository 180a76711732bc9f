-- The log: one row an event, appended and never touched again.
--
-- The law of this file
--   1. A position is the count of events so far. It comes from the head row, which the append transaction locks; never
--      from a sequence, whose numbers survive a rollback and show before their neighbours are committed.
--   2. `leaf` is the event. Every other column repeats what the leaf says, or what folding up to here gives (`delta`,
--      `count_after`), so that questions as of a position are index reads. A pure fold never reads those columns, and
--      `ledger fsck` recomputes them.
--   3. Nobody updates, deletes or truncates. Runtime roles have no grant to; the triggers refuse the owner as well, and
--      fire always, also under `session_replication_role = replica`. A superuser can still do it, and is found out.

SET LOCAL ROLE ledger_owner;

CREATE TYPE ledger.event_type AS ENUM (
  'petition.opened.v1', 'petition.revised.v1', 'update.posted.v1', 'acceptance.changed.v1', 'status.declared.v1',
  'signature.recorded.v1', 'signature.confirmed.v1', 'signature.amended.v1', 'signature.withdrawn.v1',
  'signature.invalidated.v1', 'signature.reinstated.v1',
  'correction.opened.v1', 'correction.approved.v1', 'correction.completed.v1', 'correction.cancelled.v1',
  'count.observed.v1', 'count.published.v1', 'signer.erased.v1', 'log.continued.v1'
);

-- The head: how long the log is, and when it last grew. Its row lock is what orders all appends.
CREATE TABLE ledger.head (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  position  bigint NOT NULL CHECK (position >= 0),
  recorded  timestamptz NOT NULL,
  origin    text CHECK ((origin IS NULL) = (position = 0))
) WITH (fillfactor = 10);

INSERT INTO ledger.head (position, recorded) VALUES (0, '2000-01-01T00:00:00Z');

CREATE TABLE ledger.events (
  position    bigint PRIMARY KEY CHECK (position > 0),
  petition    bigint NOT NULL CHECK (petition BETWEEN 1 AND position),  -- the position of the petition's first event
  version     bigint NOT NULL CHECK (version > 0),
  type        ledger.event_type NOT NULL,
  effective   timestamptz NOT NULL,
  recorded    timestamptz NOT NULL,
  delta       bigint NOT NULL,
  count_after bigint NOT NULL CHECK (count_after >= 0),
  signature   uuid,    -- which signature this is about
  hold        uuid,    -- which correction's hold is put (invalidated) or lifted (reinstated)
  channel     text,    -- from here on: the tally keys of the signature, as far as its leaf states them
  kind        text,
  country     text,
  region      text,
  answers     jsonb,
  leaf        bytea NOT NULL CHECK (octet_length(leaf) BETWEEN 2 AND 16384),
  leaf_hash   bytea NOT NULL CHECK (leaf_hash = sha256('\x00'::bytea || leaf)),  -- RFC 6962 section 2.1
  UNIQUE (petition, version),
  CONSTRAINT a_delta_is_that_of_its_type CHECK (
    CASE
      WHEN type IN ('signature.recorded.v1', 'signature.confirmed.v1', 'signature.reinstated.v1') THEN delta IN (0, 1)
      WHEN type IN ('signature.withdrawn.v1', 'signature.invalidated.v1') THEN delta IN (-1, 0)
      WHEN type = 'count.observed.v1' THEN true
      ELSE delta = 0
    END
  ),
  CONSTRAINT a_signature_event_names_its_signature CHECK (
    (signature IS NOT NULL) = (type IN (
      'signature.recorded.v1', 'signature.confirmed.v1', 'signature.amended.v1', 'signature.withdrawn.v1',
      'signature.invalidated.v1', 'signature.reinstated.v1', 'signer.erased.v1'))
    AND (signature IS NULL) = (channel IS NULL) AND (signature IS NULL) = (kind IS NULL)
  ),
  CONSTRAINT a_hold_is_put_or_lifted CHECK (
    (hold IS NOT NULL) = (type IN ('signature.invalidated.v1', 'signature.reinstated.v1'))
  )
);

-- A petition's events in order of position: the count as of a position is the last row at or below it.
CREATE INDEX events_by_petition ON ledger.events (petition, position);
-- What a petition says of itself, without the millions of signatures between.
CREATE INDEX events_declared ON ledger.events (petition, position) WHERE signature IS NULL;
-- Who is held, for counts as corrected.
CREATE INDEX events_of_holds ON ledger.events (petition, position) WHERE hold IS NOT NULL;

CREATE FUNCTION ledger.refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  RAISE EXCEPTION 'Events never change: % on %.% is refused', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
    USING ERRCODE = 'insufficient_privilege',
          HINT = 'A correction is another event.';
END
$$;

CREATE TRIGGER events_never_change BEFORE UPDATE OR DELETE ON ledger.events
  FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER events_are_never_truncated BEFORE TRUNCATE ON ledger.events
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
-- An UPDATE or DELETE that matches no row fires no row trigger; refuse the statement as well.
CREATE TRIGGER events_are_never_addressed BEFORE UPDATE OR DELETE ON ledger.events
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
ALTER TABLE ledger.events ENABLE ALWAYS TRIGGER events_never_change;
ALTER TABLE ledger.events ENABLE ALWAYS TRIGGER events_are_never_truncated;
ALTER TABLE ledger.events ENABLE ALWAYS TRIGGER events_are_never_addressed;

CREATE TRIGGER the_head_is_never_removed BEFORE DELETE ON ledger.head
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER the_head_is_never_truncated BEFORE TRUNCATE ON ledger.head
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
ALTER TABLE ledger.head ENABLE ALWAYS TRIGGER the_head_is_never_removed;
ALTER TABLE ledger.head ENABLE ALWAYS TRIGGER the_head_is_never_truncated;

-- The last position recorded by a time, by halving: recorded times never decrease by position, so the primary key is
-- all the index that the question needs. 0 where nothing was recorded by then.
CREATE FUNCTION ledger.last_position_recorded_by(at timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
DECLARE
  low bigint := 0;
  high bigint := coalesce((SELECT max(position) FROM ledger.events), 0);
  middle bigint;
BEGIN
  WHILE low < high LOOP
    middle := (low + high + 1) / 2;
    IF (SELECT recorded FROM ledger.events WHERE position = middle) <= at THEN
      low := middle;
    ELSE
      high := middle - 1;
    END IF;
  END LOOP;
  RETURN low;
END
$$;

GRANT SELECT ON ledger.events TO ledger_projector, ledger_reader, ledger_backup;
GRANT SELECT ON ledger.head TO ledger_projector, ledger_reader, ledger_backup;
GRANT EXECUTE ON FUNCTION ledger.last_position_recorded_by TO ledger_projector, ledger_reader, ledger_backup;
