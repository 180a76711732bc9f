-- Write-side state: what `decide` needs to know of the past without folding it again.
--
-- Every row here is a fold of the events and can be made anew from them; `ledger fsck --deep` does and compares. It is
-- written only by the append functions, in the transaction that writes the events.

SET LOCAL ROLE ledger_owner;

CREATE TABLE ledger.petitions (
  petition        bigint PRIMARY KEY,
  id              text NOT NULL UNIQUE CHECK (id ~ '^[a-z0-9][a-z0-9-]{0,99}$' AND id <> 'ledger'),
  version         bigint NOT NULL CHECK (version > 0),
  count           bigint NOT NULL CHECK (count >= 0),
  last_leaf_hash  bytea NOT NULL CHECK (octet_length(last_leaf_hash) = 32),
  declarations    bigint NOT NULL CHECK (declarations > 0),  -- events that are about the petition itself
  basis           text NOT NULL CHECK (basis IN ('itemised', 'observed')),
  confirmation    text NOT NULL CHECK (confirmation IN ('none', 'required')),
  identity_policy text NOT NULL,
  public_fields   text[] NOT NULL,
  questions       jsonb,
  text_version    bigint NOT NULL CHECK (text_version > 0),
  opens_at        timestamptz,
  closes_at       timestamptz,
  acceptances     jsonb NOT NULL,  -- every change so far: [[position, effective time, acceptance], ...] in order
  observed_at     timestamptz,     -- the effective time of the latest observation that counts
  CHECK (observed_at IS NULL OR basis = 'observed')
) WITH (fillfactor = 50);

CREATE TABLE ledger.signatures (
  signature uuid PRIMARY KEY,
  petition  bigint NOT NULL,
  position  bigint NOT NULL,  -- where it was recorded
  version   bigint NOT NULL,
  confirmed boolean NOT NULL,
  withdrawn boolean NOT NULL,
  erased    boolean NOT NULL,
  holds     uuid[] NOT NULL,  -- corrections that hold it and were not lifted
  effective timestamptz,      -- of its latest event whose time is known
  channel   text NOT NULL,
  kind      text NOT NULL,
  country   text,
  region    text,
  answers   jsonb
) WITH (fillfactor = 90);

-- A signature that counts now: confirmed, not withdrawn, and with no hold.
CREATE FUNCTION ledger.stands(confirmed boolean, withdrawn boolean, holds uuid[]) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$ SELECT coalesce(confirmed AND NOT withdrawn AND cardinality(holds) = 0, false) $$;

CREATE TABLE ledger.corrections (
  correction uuid PRIMARY KEY,
  petition   bigint NOT NULL,
  kind       text NOT NULL CHECK (kind IN ('invalidate', 'reinstate')),
  reason     text NOT NULL,
  actor      text NOT NULL,
  state      text NOT NULL CHECK (state IN ('running', 'completed', 'cancelled')),
  effective  timestamptz,  -- of its compensating events, where they were imported; NULL: when each is decided
  lifts      uuid,         -- whose holds a reinstating correction lifts; NULL: every open one
  matched    bigint NOT NULL CHECK (matched >= 0),
  applied    bigint NOT NULL CHECK (applied >= 0),
  skipped    bigint NOT NULL CHECK (skipped >= 0),
  CHECK (applied + skipped <= matched),
  CHECK (state <> 'completed' OR applied + skipped = matched)
);

-- The frozen set of a correction, and what became of each member.
CREATE TABLE ledger.correction_members (
  correction uuid NOT NULL REFERENCES ledger.corrections,
  ordinal    bigint NOT NULL CHECK (ordinal > 0),
  signature  uuid NOT NULL,
  outcome    text CHECK (outcome IN ('applied', 'skipped')),  -- NULL: not yet
  PRIMARY KEY (correction, ordinal),
  UNIQUE (correction, signature)
);
CREATE INDEX correction_members_to_do ON ledger.correction_members (correction, ordinal) WHERE outcome IS NULL;

GRANT SELECT ON ledger.petitions, ledger.signatures, ledger.corrections, ledger.correction_members TO ledger_backup;
GRANT EXECUTE ON FUNCTION ledger.stands TO ledger_backup;
