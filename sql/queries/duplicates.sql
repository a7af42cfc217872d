-- Ticks that are in the archive more than once.
--
-- A row is a tick_id with its copies. A delivery whose answer was lost comes again and gives the same
-- ids; compaction removes the copies of a day. Copies agree in all but the time of receipt, unless
-- the sender changed its mind: then prices_differ. Times are milliseconds since the epoch (UTC).
--
-- It reads and gathers the id of every tick: look at a day or a token at a time.
--
-- @param token  token     = ''       Only this token, as symbol or mint address; empty for all
-- @param from   timestamp = now-1d   First moment
-- @param to     timestamp = now      End, not included
-- @days from to
SELECT
  token,
  quote,
  tick_id,
  count(*) AS copies,
  min(ts) AS first_ms,
  max(ts) AS last_ms,
  min(ingested_at) AS first_ingested_ms,
  max(ingested_at) AS last_ingested_ms,
  min(price) <> max(price) AS prices_differ
FROM price_archive
WHERE :days
  AND ts >= :from AND ts < :to
  AND (:token = '' OR token IN (:token))
GROUP BY token, quote, tick_id
HAVING count(*) > 1
ORDER BY copies DESC, token, quote, tick_id
