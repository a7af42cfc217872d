-- Anomalies that the analysis of the stream found, as it reported them.
--
-- A row is an anomaly: a tick at which the prices of a venue depart from their past, or from those of the other venues.
-- time is the event time of the tick, a timestamp (UTC). expected and seen are prices, changes, milliseconds between
-- ticks or ticks in a row, as quantity says; window_ms is how much event time they cover. message says it as a sentence.
-- Each anomaly is there once. The query anomalies_around judges the archived ticks anew, in another way.
--
-- @param token   token     = ''      Only this token, as symbol or mint address; empty for all
-- @param quote   token     = ''      Only prices in this; empty for all
-- @param source  varchar   = ''      Only this venue, as in the column source; empty for all
-- @param kind    varchar   = 'all'   [all|jump|spike|jump_after_silence|level_shift|drift|volatility|stuck_feed|silence|out_of_range|wrong_decimals|inverted_pair|divergence] Only this kind
-- @param from    timestamp = now-1d  First moment
-- @param to      timestamp = now     End, not included
-- @days from to
SELECT
  CAST(from_unixtime(ts / 1e3) AS timestamp(3)) AS time,
  token,
  quote,
  source,
  kind,
  direction,
  score,
  price,
  quantity,
  expected,
  seen,
  window_ms,
  message,
  tick_id
FROM anomalies
WHERE :days
  AND ts >= :from AND ts < :to
  AND (:token = '' OR token IN (:token))
  AND (:quote = '' OR quote IN (:quote))
  AND (:source = '' OR source = :source)
  AND (:kind = 'all' OR kind = :kind)
ORDER BY ts, token, quote, tick_id
