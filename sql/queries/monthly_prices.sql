-- Average, lowest and highest price of trades, by token and month.
--
-- A row is a token in one quote and one UTC month: prices in different quotes are never mixed, nor are trades and the
-- quotes of tickers, oracles and price services. The average is over ticks, not weighted by time or volume. A tick
-- that is in the archive twice counts twice in it (see the query duplicates); lowest and highest stay the same.
--
-- @param token   token     = ''        Only this token, as symbol or mint address; empty for all
-- @param quote   token     = ''        Only prices in this; empty for all
-- @param series  varchar   = 'trades'  [trades|quotes] Trades, or the quotes of tickers, oracles and price services
-- @param from    timestamp             First moment
-- @param to      timestamp = now       End, not included
-- @days from to
SELECT
  token,
  quote,
  year,
  month,
  avg(price) AS avg_price,
  min(price) AS min_price,
  max(price) AS max_price,
  count(*) AS ticks
FROM price_archive
WHERE :days
  AND ts >= :from AND ts < :to
  AND (:token = '' OR token IN (:token))
  AND (:quote = '' OR quote IN (:quote))
  AND (:series = 'quotes') = (method IN ('ticker', 'oracle', 'quote'))
GROUP BY token, quote, year, month
ORDER BY token, quote, year, month
