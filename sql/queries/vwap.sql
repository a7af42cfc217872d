-- Volume-weighted average price of one token's trades, by interval.
--
-- A row is an interval with at least one trade, in one quote; start is a timestamp (UTC). Only trades
-- with a volume contribute to vwap, volume (units of the token) and quote_volume (units of the quote);
-- all three are NULL if no trade has a volume, and vwap is NULL if the volumes add up to zero. avg_price
-- is over all trades. The quotes of tickers, oracles and price services are not trades; they and ticks with a quality
-- are left out. A tick that is in the archive twice counts once.
--
-- @param token       token             The token, as symbol or mint address
-- @param quote       token     = ''    Only prices in this; empty for all, each in rows of its own
-- @param source      varchar   = ''    Only this venue, as in the column source; empty for all, combined
-- @param from        timestamp         First moment
-- @param to          timestamp = now   End, not included
-- @param interval_s  bigint    = 3600  [1..31536000] Seconds of an interval
-- @days from to
WITH once AS (
  SELECT token, quote, ts, tick_id, min(price) AS price, min(volume) AS volume
  FROM price_archive
  WHERE :days
    AND token IN (:token)
    AND ts >= :from AND ts < :to
    AND (:quote = '' OR quote IN (:quote))
    AND (:source = '' OR source = :source)
    AND method NOT IN ('ticker', 'oracle', 'quote')
    AND quality IS NULL
  GROUP BY token, quote, ts, tick_id
),
placed AS (
  SELECT quote, price, volume, ts - ts % (CAST(:interval_s AS bigint) * 1000) AS start_ms
  FROM once
)
SELECT
  quote,
  CAST(from_unixtime(start_ms / 1e3) AS timestamp(3)) AS start,
  sum(price * volume) / nullif(sum(volume), 0) AS vwap,
  sum(volume) AS volume,
  sum(price * volume) AS quote_volume,
  avg(price) AS avg_price,
  count(*) AS ticks,
  count(*) - count(volume) AS ticks_without_volume
FROM placed
GROUP BY quote, start_ms
ORDER BY quote, start_ms
