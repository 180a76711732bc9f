-- Sealed builds: of each projection a second build that is folded exactly up to a sealed tree head, for whoever audits
-- what this ledger claims. It moves by the same statements as the active build, from seal to seal, and only there.
--
-- Who moves it holds its checkpoint's row lock, not that of the active build: sealing and serving do not wait for each
-- other. Readers may read every build, so no grant is needed; they take the one whose checkpoint is `sealed`.

SET LOCAL ROLE ledger_owner;

ALTER TABLE projections.checkpoints
  ADD COLUMN sealed boolean NOT NULL DEFAULT false,
  ADD CONSTRAINT a_sealed_build_is_not_served CHECK (NOT (active AND sealed));
CREATE UNIQUE INDEX one_build_is_sealed ON projections.checkpoints (name) WHERE sealed;
