-- Signals: what reviewers look at first. Figures of a petition's evidence and of its rhythm, for admins alone.
--
-- The law of this file
--   1. Nothing is written, dropped or refused because of a signal. Whoever finds one corrects in the open, or does not.
--   2. Figures are of signatures that a correction can be about: neither withdrawn nor erased. `count` leaves out those
--      that are held already; `matched` does not, and is what a preview of the same conditions finds.
--   3. What comes back is bounded, however many signatures, addresses and domains there are; and the work is linear in
--      the petition's events, also where the planner knows nothing of the tables: nothing is joined but by primary keys,
--      and lists are looked up by hash.

SET LOCAL ROLE ledger_owner;

-- How a petition was signed over time, by when it was recorded: slices of a minute in its first two days, then of an
-- hour, beyond four years of a day; only those in which something was recorded. What a file brought was recorded when it
-- was read: that is no rhythm, and is in `matched` alone.
CREATE FUNCTION ledger.signing_rhythm(id text)
RETURNS TABLE (width interval, slice timestamptz, count bigint, matched bigint, earliest timestamptz, latest timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  number bigint := (SELECT p.petition FROM ledger.petitions p WHERE p.id = signing_rhythm.id);
  life interval :=
    (SELECT e.recorded FROM ledger.events e WHERE e.petition = number ORDER BY e.position DESC LIMIT 1)
    - (SELECT e.recorded FROM ledger.events e WHERE e.petition = number ORDER BY e.position LIMIT 1);
  step interval := CASE WHEN life <= interval '2 days' THEN interval '1 minute'
                        WHEN life <= interval '1461 days' THEN interval '1 hour' ELSE interval '1 day' END;
BEGIN
  RETURN QUERY
    SELECT step, date_bin(step, e.recorded, timestamptz '2000-01-01T00:00:00Z'),
           count(*) FILTER (WHERE cardinality(s.holds) = 0 AND s.channel <> 'import'), count(*),
           min(e.recorded), max(e.recorded)
      FROM ledger.events e
      JOIN ledger.signatures s ON s.signature = e.signature
     WHERE e.petition = number AND e.type = 'signature.recorded.v1' AND s.petition = number
       AND NOT s.erased AND NOT s.withdrawn
     GROUP BY 2 ORDER BY 2;
END
$$;

-- Where signatures came from, within spans of time that begin at `bounds`.
--   `network` (/24 of IPv4, /48 of IPv6) and `email-domain`: a row for each key and span, of the `at_most` keys that are
--     the most frequent and of the `at_most` that are it within one span, none of less than `at_least`. Without a key: of
--     how many in the span it is known. Without a span: how many keys there are.
--   `disposable-domain`: a row for each domain of that list; at most `at_most`, the most frequent.
--   `area`: a row for each area (`COUNTRY/REGION`) of these regions with more signatures than people; likewise.
CREATE FUNCTION ledger.signing_origins(
  id text, bounds timestamptz[], disposable text[], regions text[], populations bigint[], at_least bigint, at_most bigint
) RETURNS TABLE (
  about text, key text, span integer, count bigint, matched bigint, earliest timestamptz, latest timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  number bigint := (SELECT p.petition FROM ledger.petitions p WHERE p.id = signing_origins.id);
BEGIN
  RETURN QUERY
    WITH signed AS MATERIALIZED (
      SELECT width_bucket(e.recorded, bounds) AS span, e.recorded, cardinality(s.holds) = 0 AS is_free,
             network(set_masklen(v.ip, CASE family(v.ip) WHEN 4 THEN 24 ELSE 48 END))::text AS network,
             v.email_domain, s.country, s.region
        FROM ledger.events e
        JOIN ledger.signatures s ON s.signature = e.signature
        LEFT JOIN vault.evidence v ON v.signature = s.signature
       WHERE e.petition = number AND e.type = 'signature.recorded.v1' AND s.petition = number
         AND NOT s.erased AND NOT s.withdrawn
    ), counted AS MATERIALIZED (
      SELECT k.about, k.key, d.span, count(*) FILTER (WHERE d.is_free) AS count, count(*) AS matched,
             min(d.recorded) AS earliest, max(d.recorded) AS latest
        FROM signed d
        CROSS JOIN LATERAL (VALUES ('network', d.network), ('email-domain', d.email_domain)) AS k(about, key)
       WHERE k.key IS NOT NULL
       GROUP BY k.about, k.key, d.span
    ), summed AS (
      SELECT c.about, c.key, sum(c.count)::bigint AS count, max(c.count) AS peak, sum(c.matched)::bigint AS matched,
             min(c.earliest) AS earliest, max(c.latest) AS latest
        FROM counted c GROUP BY c.about, c.key HAVING sum(c.count) > 0
    ), ranked AS (
      SELECT m.about, m.key, row_number() OVER (PARTITION BY m.about ORDER BY m.count DESC, m.key) AS by_count,
             row_number() OVER (PARTITION BY m.about ORDER BY m.peak DESC, m.key) AS by_peak
        FROM summed m WHERE m.count >= at_least
    ), disposables AS (
      SELECT m.key, m.count, m.matched, m.earliest, m.latest
        FROM summed m WHERE m.about = 'email-domain' AND (m.key IN (SELECT unnest(disposable))) IS TRUE
       ORDER BY m.count DESC, m.key LIMIT at_most
    ), areas AS (
      SELECT d.country || '/' || d.region AS key, count(*) FILTER (WHERE d.is_free) AS count, count(*) AS matched,
             min(d.recorded) AS earliest, max(d.recorded) AS latest
        FROM signed d
       WHERE d.country IS NOT NULL AND (d.region IN (SELECT unnest(regions))) IS TRUE
       GROUP BY d.country, d.region
      HAVING count(*) FILTER (WHERE d.is_free) > populations[array_position(regions, d.region)]
       ORDER BY 2 DESC, 1 LIMIT at_most
    )
    -- `IS TRUE` keeps a list a hash that is looked into, here and above, whatever the planner expects.
    SELECT c.about, c.key, c.span, c.count, c.matched, c.earliest, c.latest
      FROM counted c
     WHERE ((c.about, c.key) IN (
             SELECT r.about, r.key FROM ranked r WHERE r.by_count <= at_most OR r.by_peak <= at_most)) IS TRUE
    UNION ALL
    SELECT c.about, NULL, c.span, sum(c.count)::bigint, sum(c.matched)::bigint, min(c.earliest), max(c.latest)
      FROM counted c GROUP BY c.about, c.span
    UNION ALL
    SELECT m.about, NULL, NULL, count(*), NULL, NULL, NULL FROM summed m GROUP BY m.about
    UNION ALL
    SELECT 'disposable-domain', d.key, NULL, d.count, d.matched, d.earliest, d.latest FROM disposables d
    UNION ALL
    SELECT 'area', a.key, NULL, a.count, a.matched, a.earliest, a.latest FROM areas a;
END
$$;

-- Confirmations by the hour in which they were recorded: those of signatures that had been recorded more than a day
-- before that hour began, among all of that hour. Late is said of the hour, so that two windows find exactly those.
CREATE FUNCTION ledger.late_confirmations(id text)
RETURNS TABLE (
  slice timestamptz, count bigint, matched bigint, earliest timestamptz, latest timestamptz, confirmed bigint,
  earliest_signed timestamptz, latest_signed timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  number bigint := (SELECT p.petition FROM ledger.petitions p WHERE p.id = late_confirmations.id);
BEGIN
  RETURN QUERY
    WITH confirmed AS (
      SELECT date_bin(interval '1 hour', c.recorded, timestamptz '2000-01-01T00:00:00Z') AS slice, c.recorded AS at,
             e.recorded AS signed, cardinality(s.holds) = 0 AS is_free
        FROM ledger.events c
        JOIN ledger.signatures s ON s.signature = c.signature
        JOIN ledger.events e ON e.position = s.position
       WHERE c.petition = number AND c.type = 'signature.confirmed.v1' AND NOT s.erased AND NOT s.withdrawn
    ), judged AS (
      SELECT c.*, c.signed < c.slice - interval '1 day' AS is_late FROM confirmed c
    )
    SELECT j.slice, count(*) FILTER (WHERE j.is_late AND j.is_free), count(*) FILTER (WHERE j.is_late),
           min(j.at) FILTER (WHERE j.is_late), max(j.at) FILTER (WHERE j.is_late), count(*) FILTER (WHERE j.is_free),
           min(j.signed) FILTER (WHERE j.is_late), max(j.signed) FILTER (WHERE j.is_late)
      FROM judged j GROUP BY j.slice HAVING bool_or(j.is_late) ORDER BY j.slice;
END
$$;

REVOKE EXECUTE ON FUNCTION
  ledger.signing_rhythm, ledger.signing_origins, ledger.late_confirmations FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
  ledger.signing_rhythm, ledger.signing_origins, ledger.late_confirmations TO ledger_admin;
