-- How late ticks arrive, by source.
--
-- A tick's delay is from its event time to its receipt, in milliseconds (a number). after_its_day counts
-- ticks that were received after the UTC day of their event had ended: earlier answers for that day lack
-- them. A negative delay means that the source's clock runs ahead.
--
-- @param token         token     = ''       Only this token, as symbol or mint address; empty for all
-- @param from          timestamp = now-1d   First moment of event time
-- @param to            timestamp = now      End, not included
-- @param late_after_s  bigint    = 60       [0..31536000] Seconds from which a tick is late
-- @days from to
SELECT
  source,
  count(*) AS ticks,
  count(*) FILTER (WHERE ingested_at - ts >= CAST(:late_after_s AS bigint) * 1000) AS late,
  1e2 * count(*) FILTER (WHERE ingested_at - ts >= CAST(:late_after_s AS bigint) * 1000) / count(*) AS late_pct,
  count(*) FILTER (WHERE ingested_at - ts > ingested_at % 86400000) AS after_its_day,
  avg(ingested_at - ts) AS avg_delay_ms,
  min(ingested_at - ts) AS min_delay_ms,
  max(ingested_at - ts) AS max_delay_ms
FROM price_archive
WHERE :days
  AND ts >= :from AND ts < :to
  AND (:token = '' OR token IN (:token))
GROUP BY source
ORDER BY late DESC, source
