-- Times without ticks, trades and quotes alike, by token.
--
-- A row is a time of at least min_gap_s between two ticks of a token in one quote, or from its last
-- tick to the end of the queried period (still_open). gap_start and gap_end are timestamps (UTC). A token
-- without any tick in that period has no row.
--
-- Ticks are first grouped into spans as long as the shortest gap: two ticks that far apart are never in
-- one span, so the ends of neighbouring spans show all gaps, and no tick needs to be sorted.
--
-- @param token      token     = ''     Only this token, as symbol or mint address; empty for all
-- @param quote      token     = ''     Only prices in this; empty for all
-- @param from       timestamp          First moment
-- @param to         timestamp = now    End, not included
-- @param min_gap_s  bigint    = 300    [1..31536000] The shortest gap reported, in seconds
-- @days from to
WITH placed AS (
  SELECT token, quote, ts, ts - ts % (CAST(:min_gap_s AS bigint) * 1000) AS start_ms
  FROM price_archive
  WHERE :days
    AND ts >= :from AND ts < :to
    AND (:token = '' OR token IN (:token))
    AND (:quote = '' OR quote IN (:quote))
),
spans AS (
  SELECT token, quote, start_ms, min(ts) AS first_ms, max(ts) AS last_ms
  FROM placed
  GROUP BY token, quote, start_ms
),
neighbours AS (
  SELECT
    token,
    quote,
    last_ms,
    lead(first_ms) OVER (PARTITION BY token, quote ORDER BY start_ms) AS next_ms
  FROM spans
),
gaps AS (
  SELECT
    token,
    quote,
    last_ms AS gap_start_ms,
    coalesce(next_ms, :to) AS gap_end_ms,
    next_ms IS NULL AS still_open
  FROM neighbours
)
SELECT
  token,
  quote,
  CAST(from_unixtime(gap_start_ms / 1e3) AS timestamp(3)) AS gap_start,
  CAST(from_unixtime(gap_end_ms / 1e3) AS timestamp(3)) AS gap_end,
  (gap_end_ms - gap_start_ms) / 1e3 AS gap_s,
  still_open
FROM gaps
WHERE gap_end_ms - gap_start_ms >= CAST(:min_gap_s AS bigint) * 1000
ORDER BY gap_s DESC, token, quote, gap_start_ms
