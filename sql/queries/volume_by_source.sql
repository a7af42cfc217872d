-- Traded volume by token and source.
--
-- A row is a token in one quote from one source with trades: volumes of different tokens are never added up, and the
-- quotes of tickers, oracles and price services do not count.
-- volume is in units of the token, quote_volume in units of the quote; both are NULL if no trade of the
-- source has a volume. share_pct is of the token's quote_volume over all sources. A tick that is in the
-- archive twice counts twice (see the query duplicates); compaction removes the copies.
--
-- @param token  token     = ''       Only this token, as symbol or mint address; empty for all
-- @param quote  token     = ''       Only prices in this; empty for all
-- @param from   timestamp = now-1d   First moment
-- @param to     timestamp = now      End, not included
-- @days from to
WITH by_source AS (
  SELECT
    token,
    quote,
    source,
    count(*) AS ticks,
    count(*) - count(volume) AS ticks_without_volume,
    sum(volume) AS volume,
    sum(price * volume) AS quote_volume
  FROM price_archive
  WHERE :days
    AND ts >= :from AND ts < :to
    AND (:token = '' OR token IN (:token))
    AND (:quote = '' OR quote IN (:quote))
    AND method NOT IN ('ticker', 'oracle', 'quote')
  GROUP BY token, quote, source
)
SELECT
  token,
  quote,
  source,
  ticks,
  ticks_without_volume,
  volume,
  quote_volume,
  100 * quote_volume / nullif(sum(quote_volume) OVER (PARTITION BY token, quote), 0) AS share_pct
FROM by_source
ORDER BY token, quote, source
