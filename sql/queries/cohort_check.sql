-- Whether the archived ticks are those that the rollout lets in, by day.
--
-- A tick's bucket is the first four bytes of SHA-256 over its key as a big-endian number, modulo
-- 10,000; it is in the cohort of P percent if its bucket is below P * 100. At a stage of P percent all
-- ticks must be in_cohort. highest_bucket shows the highest stage of a day: 99 is the top of 1 %, 9999
-- that of 100 %.
--
-- The key is known before anything is read, so one half of the union is empty. By token, each token of
-- a day is hashed once, not once per tick.
--
-- @param percentage  double               [0..100] The share that was let in, in percent
-- @param key         varchar   = 'tick'   [tick|token] What the rollout goes by (KINESIS_ROLLOUT_KEY)
-- @param from        timestamp = now-1d   First moment
-- @param to          timestamp = now      End, not included
-- @days from to
WITH keys AS (
  SELECT year, month, day, token AS rollout_key, count(*) AS ticks
  FROM price_archive
  WHERE :key = 'token'
    AND :days
    AND ts >= :from AND ts < :to
  GROUP BY year, month, day, token
  UNION ALL
  SELECT year, month, day, tick_id AS rollout_key, 1 AS ticks
  FROM price_archive
  WHERE :key = 'tick'
    AND :days
    AND ts >= :from AND ts < :to
),
hashed AS (
  SELECT
    year,
    month,
    day,
    ticks,
    from_base(substr(to_hex(sha256(to_utf8(rollout_key))), 1, 8), 16) % 10000 AS bucket
  FROM keys
)
SELECT
  year,
  month,
  day,
  sum(ticks) AS ticks,
  coalesce(sum(ticks) FILTER (WHERE bucket < round(:percentage * 100)), 0) AS in_cohort,
  coalesce(sum(ticks) FILTER (WHERE bucket >= round(:percentage * 100)), 0) AS outside,
  max(bucket) AS highest_bucket
FROM hashed
GROUP BY year, month, day
ORDER BY year, month, day
