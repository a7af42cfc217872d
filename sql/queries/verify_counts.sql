-- How many ticks the archive has, by hour of receipt and by cohort: the archive's side of `tickctl verify`.
--
-- stage is the lowest stage of the rollout that lets a tick in: 1, 10, 50 or 100 percent. At a stage of
-- P percent, all ticks are at stages up to P. ticks counts each event once, and repeated its further
-- copies, which a compaction removes. Compare ticks with `by_hour` of `tickctl verify --json`: there,
-- an hour's archive has matched, late (not yet) and different.
--
-- The folders go by event time. Ticks of earlier days that were received late are only found if earliest
-- is before them.
--
-- @param from      timestamp = now-1d  First moment of receipt
-- @param to        timestamp = now     End, not included
-- @param earliest  timestamp = now-2d  First moment of event time
-- @param key       varchar   = 'tick'  [tick|token] What the rollout goes by (KINESIS_ROLLOUT_KEY)
-- @days earliest to
WITH received AS (
  SELECT
    ingested_at - ingested_at % 3600000 AS hour_ms,
    token,
    quote,
    ts,
    tick_id,
    count(*) AS copies
  FROM price_archive
  WHERE :days
    AND ts >= :earliest
    AND ingested_at >= :from AND ingested_at < :to
  GROUP BY ingested_at - ingested_at % 3600000, token, quote, ts, tick_id
),
staged AS (
  SELECT
    hour_ms,
    copies,
    from_base(substr(to_hex(sha256(to_utf8(CASE WHEN :key = 'token' THEN token ELSE tick_id END))), 1, 8), 16) % 10000 AS bucket
  FROM received
)
SELECT
  CAST(from_unixtime(hour_ms / 1e3) AS timestamp(3)) AS hour,
  CASE WHEN bucket < 100 THEN 1 WHEN bucket < 1000 THEN 10 WHEN bucket < 5000 THEN 50 ELSE 100 END AS stage,
  count(*) AS ticks,
  sum(copies) - count(*) AS repeated
FROM staged
GROUP BY
  hour_ms,
  CASE WHEN bucket < 100 THEN 1 WHEN bucket < 1000 THEN 10 WHEN bucket < 5000 THEN 50 ELSE 100 END
ORDER BY hour, stage
