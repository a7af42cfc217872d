-- Ticks that are in the archive more than once.
--
-- A row is a tick with its copies: rows with the same token, quote, event time and tick_id. A delivery
-- whose response was lost is sent again with the same ids; compaction removes the copies. Copies agree
-- in everything but the time of receipt, unless the sender changed the price: then prices_differ is
-- true. time, first_ingested and last_ingested are timestamps (UTC).
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
  CAST(from_unixtime(ts / 1e3) AS timestamp(3)) AS time,
  tick_id,
  count(*) AS copies,
  CAST(from_unixtime(min(ingested_at) / 1e3) AS timestamp(3)) AS first_ingested,
  CAST(from_unixtime(max(ingested_at) / 1e3) AS timestamp(3)) AS last_ingested,
  min(price) <> max(price) AS prices_differ
FROM price_archive
WHERE :days
  AND ts >= :from AND ts < :to
  AND (:token = '' OR token IN (:token))
GROUP BY token, quote, ts, tick_id
HAVING count(*) > 1
ORDER BY copies DESC, token, quote, ts, tick_id
