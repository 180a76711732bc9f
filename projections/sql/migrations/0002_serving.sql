-- Serving: what a worker asks every few milliseconds, and what a petition's document needs of the log, as index reads.

SET LOCAL ROLE ledger_owner;

-- Which petitions moved since a position: the right end of this index, however many petitions there are.
CREATE INDEX petitions_by_last_event ON projections.petitions (build, position);

-- The organisations that signed, among millions of persons: their names are public, and stand in the leaves alone.
CREATE INDEX events_of_organisations ON ledger.events (petition, position) WHERE kind = 'organisation';
