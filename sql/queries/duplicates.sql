-- Ticks that are in the archive more than once.
--
-- A row is a tick_id with its copies. A delivery whose response was lost is sent again with the same
-- ids; compaction removes the copies of a day. Copies agree in everything but the time of receipt,
-- unless the sender changed the price: then prices_differ is true. Times are timestamps (UTC).
--
-- It reads and groups the id of every tick: query one day or one token at a time.
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
  CAST(from_unixtime(min(ts) / 1e3) AS timestamp(3)) AS first_time,
  CAST(from_unixtime(max(ts) / 1e3) AS timestamp(3)) AS last_time,
  CAST(from_unixtime(min(ingested_at) / 1e3) AS timestamp(3)) AS first_ingested,
  CAST(from_unixtime(max(ingested_at) / 1e3) AS timestamp(3)) AS last_ingested,
  min(price) <> max(price) AS prices_differ
FROM price_archive
WHERE :days
  AND ts >= :from AND ts < :to
  AND (:token = '' OR token IN (:token))
GROUP BY token, quote, tick_id
HAVING count(*) > 1
ORDER BY copies DESC, token, quote, tick_id
