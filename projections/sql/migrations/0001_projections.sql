-- The derived: what is served, folded out of the log, and made anew at any time.
--
-- The law of this file
--   1. Rows of a projection and its checkpoint move in one transaction; a checkpoint is the position up to which the
--      rows are folded, and nothing else. Who folds holds the checkpoint's row lock: one projector at a time.
--   2. Every row belongs to a build. Exactly one build of a projection is active; a rebuild makes the next one beside it,
--      and one UPDATE makes that the active one. Readers go through the `current_` views: one statement, one snapshot,
--      one build, and the checkpoint that it is true at.
--   3. Nothing here is truth. A row can be dropped and folded again; nothing is ever read back into the log.

CREATE SCHEMA projections AUTHORIZATION ledger_owner;
REVOKE ALL ON SCHEMA projections FROM PUBLIC;
GRANT USAGE ON SCHEMA projections TO ledger_projector, ledger_reader, ledger_backup;

SET LOCAL ROLE ledger_owner;

CREATE TABLE projections.checkpoints (
  name     text NOT NULL CHECK (name IN ('petitions', 'tally', 'timeline')),
  build    int NOT NULL CHECK (build > 0),
  position bigint NOT NULL CHECK (position >= 0),
  active   boolean NOT NULL,
  PRIMARY KEY (name, build)
) WITH (fillfactor = 10);
CREATE UNIQUE INDEX one_build_is_active ON projections.checkpoints (name) WHERE active;
INSERT INTO projections.checkpoints (name, build, position, active)
  SELECT name, 1, 0, true FROM unnest(ARRAY['petitions', 'tally', 'timeline']) AS name;

-- What each petition says of itself, and its count. `projections/petitions.py` says what each column means.
CREATE TABLE projections.petitions (
  build          int NOT NULL,
  id             text NOT NULL,
  first_position bigint NOT NULL,
  title          text NOT NULL,
  addressee      text NOT NULL,
  basis          text NOT NULL,
  provenance     text NOT NULL,
  confirmation   text NOT NULL,
  timezone       text NOT NULL,
  goals          jsonb NOT NULL,
  milestones     jsonb NOT NULL,
  questions      jsonb,
  public_fields  jsonb NOT NULL,
  opens_at       timestamptz,
  closes_at      timestamptz,
  text_version   bigint NOT NULL,
  text_sha256    text,
  acceptance     text NOT NULL,
  status         text,
  opened_at      timestamptz NOT NULL,
  closed_at      timestamptz,
  created_at     timestamptz NOT NULL,
  updated_at     timestamptz NOT NULL,
  count          bigint NOT NULL CHECK (count >= 0),
  position       bigint NOT NULL,
  recorded       timestamptz NOT NULL,
  version        bigint NOT NULL,
  PRIMARY KEY (build, id),
  UNIQUE (build, first_position)
) WITH (fillfactor = 50);

-- Sums by area, channel, kind of signer and answer. `projections/tally.py` says what each column means.
CREATE TABLE projections.tally (
  build       int NOT NULL,
  petition    text NOT NULL,
  dimension   text NOT NULL,
  value       text NOT NULL,
  standing    bigint NOT NULL CHECK (standing >= 0),
  recorded    bigint NOT NULL,
  confirmed   bigint NOT NULL,
  withdrawn   bigint NOT NULL,
  invalidated bigint NOT NULL,
  reinstated  bigint NOT NULL,
  PRIMARY KEY (build, petition, dimension, value)
) WITH (fillfactor = 50);

-- What happened that is worth a line. `projections/timeline.py` says what each kind and column means.
CREATE TABLE projections.timeline (
  build       int NOT NULL,
  petition    text NOT NULL,
  position    bigint NOT NULL,
  ordinal     int NOT NULL,  -- 0: what the event itself says; from 1: what is inferred at it
  kind        text NOT NULL CHECK (kind IN (
    'opened', 'revised', 'update', 'acceptance', 'status', 'milestone', 'inferred', 'correction', 'published')),
  at          timestamptz,
  recorded_at timestamptz NOT NULL,
  count       bigint NOT NULL,
  rung        bigint,
  crossing    text CHECK (crossing IN ('reached', 'fell-below', 'reached-again')),
  correction  uuid,
  detail      jsonb NOT NULL,
  PRIMARY KEY (build, petition, position, ordinal),
  CHECK ((ordinal = 0) = (kind <> 'inferred')),
  CHECK ((rung IS NOT NULL) = (kind IN ('milestone', 'inferred')) AND (rung IS NULL) = (crossing IS NULL)),
  CHECK ((correction IS NOT NULL) = (kind = 'correction'))
);
-- A rung's first crossing is stamped once, and never again: rule 11 of the design.
CREATE UNIQUE INDEX timeline_first_crossings ON projections.timeline (build, petition, rung)
  WHERE kind = 'milestone' AND crossing = 'reached';
CREATE INDEX timeline_milestones ON projections.timeline (build, petition, rung) WHERE kind = 'milestone';
CREATE INDEX timeline_corrections ON projections.timeline (build, correction) WHERE kind = 'correction';

-- Part of the timeline's state: each petition's ladder of milestones as it stood, a row a rung. A rung holds for the
-- positions between `since` and `until`, where the petition stated its ladder; a crossing is an equality with it.
CREATE TABLE projections.rungs (
  build    int NOT NULL,
  petition bigint NOT NULL,  -- the position of the petition's first event, as in ledger.events
  rung     bigint NOT NULL,
  since    bigint NOT NULL,
  until    bigint NOT NULL,  -- the largest bigint while it holds
  id       text NOT NULL,
  PRIMARY KEY (build, petition, rung, since),
  CHECK (since < until)
);

-- An instant as the log writes it.
CREATE FUNCTION projections.instant(at timestamptz) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;

-- Readers: the active build, and the checkpoint it is true at.
CREATE VIEW projections.current_petitions AS
  SELECT p.*, c.position AS checkpoint FROM projections.petitions p
    JOIN projections.checkpoints c ON c.name = 'petitions' AND c.active AND c.build = p.build;
CREATE VIEW projections.current_tally AS
  SELECT t.*, c.position AS checkpoint FROM projections.tally t
    JOIN projections.checkpoints c ON c.name = 'tally' AND c.active AND c.build = t.build;
CREATE VIEW projections.current_timeline AS
  SELECT t.*, c.position AS checkpoint FROM projections.timeline t
    JOIN projections.checkpoints c ON c.name = 'timeline' AND c.active AND c.build = t.build;
CREATE VIEW projections.current_rungs AS
  SELECT r.*, c.position AS checkpoint FROM projections.rungs r
    JOIN projections.checkpoints c ON c.name = 'timeline' AND c.active AND c.build = r.build;

GRANT SELECT, INSERT, UPDATE, DELETE ON
  projections.checkpoints, projections.petitions, projections.tally, projections.timeline, projections.rungs
  TO ledger_projector;
GRANT SELECT ON ALL TABLES IN SCHEMA projections TO ledger_projector, ledger_reader, ledger_backup;
GRANT EXECUTE ON FUNCTION projections.instant TO ledger_projector, ledger_reader, ledger_backup;
