-- The vault: what is known of people and clients. Apart from the log, and erasable; nothing here is ever in a leaf.

SET LOCAL ROLE ledger_owner;

-- At most one standing signature for a signer in a petition: this primary key says so, and no isolation level does.
-- A row points to the signer's latest signature, the only one of hers that may stand.
CREATE TABLE vault.signers (
  petition   bigint NOT NULL,
  token      bytea NOT NULL CHECK (octet_length(token) = 16),  -- keyed hash of the normalised identity
  signer_ref bytea NOT NULL CHECK (octet_length(signer_ref) = 16),
  signature  uuid NOT NULL,
  PRIMARY KEY (petition, token)
) WITH (fillfactor = 90);

-- A file may name a signer by a reference of its own as well as by an address: which signer the reference means.
CREATE TABLE vault.aliases (
  petition bigint NOT NULL,
  alias    bytea NOT NULL CHECK (octet_length(alias) = 16),  -- keyed hash of the reference
  token    bytea NOT NULL,
  PRIMARY KEY (petition, alias)
);

CREATE TABLE vault.identities (
  signature uuid PRIMARY KEY,
  pii       bytea NOT NULL,  -- the canonical identity
  nonce     bytea NOT NULL CHECK (octet_length(nonce) = 32)
);

-- Which rows of files were imported. Never expires.
CREATE TABLE vault.import_keys (
  petition  bigint NOT NULL,
  key       bytea NOT NULL CHECK (octet_length(key) = 16),
  position  bigint NOT NULL,  -- of the event that the row became
  signature uuid,
  PRIMARY KEY (petition, key)
);

-- Answers by idempotency key: a repeat gets the first one's answer. Kept 30 days. Refusals are not stored.
CREATE TABLE vault.answers (
  credential  text NOT NULL,
  petition    text NOT NULL,
  key         bytea NOT NULL CHECK (octet_length(key) = 16),
  fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 16),
  answer      text NOT NULL,
  signature   uuid,
  recorded    timestamptz NOT NULL,
  PRIMARY KEY (credential, petition, key)
);
CREATE INDEX answers_by_age ON vault.answers (recorded);

GRANT SELECT ON ALL TABLES IN SCHEMA vault TO ledger_backup;

-- Credentials. The token itself is shown once, when it is made; here lies its SHA-256.
CREATE TABLE access.tokens (
  sha256    bytea PRIMARY KEY CHECK (octet_length(sha256) = 32),
  actor     text NOT NULL CHECK (actor ~ '^(site|admin|auditor|privacy):[0-9a-f]{6,32}$'),
  role      text NOT NULL CHECK (role IN ('site', 'admin', 'auditor', 'privacy')),
  name      text NOT NULL CHECK (name <> ''),  -- the principal; two tokens of one name are one principal
  petition  text,
  rate      text,
  created   timestamptz NOT NULL DEFAULT clock_timestamp(),
  expires   timestamptz,
  revoked   timestamptz,
  last_used timestamptz
);
GRANT SELECT ON access.tokens TO ledger_backup;
GRANT SELECT, INSERT ON access.tokens TO ledger_admin;
GRANT UPDATE (revoked, last_used) ON access.tokens TO ledger_admin;
