-- Whether the archived ticks are those that the rollout lets in, by day.
--
-- A tick's bucket is the first four bytes of SHA-256 over its key as a big-endian number, modulo
-- 10,000; it is in the cohort of P percent if its bucket is below P * 100. At a stage of P percent all
-- ticks must be in_cohort. highest_bucket tells the highest stage that a day saw: 99 is the top of
-- 1 %, 9999 that of 100 %.
--
-- @param percentage  double               [0..100] The share that was let in, in percent
-- @param key         varchar   = 'tick'   [tick|token] What the rollout goes by (KINESIS_ROLLOUT_KEY)
-- @param from        timestamp = now-1d   First moment
-- @param to          timestamp = now      End, not included
-- @days from to
WITH hashed AS (
  SELECT
    year,
    month,
    day,
    from_base(
      substr(to_hex(sha256(to_utf8(CASE WHEN :key = 'token' THEN token ELSE tick_id END))), 1, 8),
      16
    ) % 10000 AS bucket
  FROM price_archive
  WHERE :days
    AND ts >= :from AND ts < :to
)
SELECT
  year,
  month,
  day,
  count(*) AS ticks,
  count(*) FILTER (WHERE bucket < round(:percentage * 100)) AS in_cohort,
  count(*) FILTER (WHERE bucket >= round(:percentage * 100)) AS outside,
  max(bucket) AS highest_bucket
FROM hashed
GROUP BY year, month, day
ORDER BY year, month, day
