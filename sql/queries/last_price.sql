-- The last price at which each token traded before a moment.
--
-- A row is a token in one quote with a trade in the period; with series = 'quotes', with a quote of a ticker, an
-- oracle or a price service. Of ticks in the same millisecond, the one with the greatest sequence counts, and then
-- the one with the greatest tick_id. last is its event time, a timestamp (UTC); age_ms is its age at the moment in
-- milliseconds, a number for scripts that compare it with a limit.
--
-- @param token   token     = ''        Only this token, as symbol or mint address; empty for all
-- @param quote   token     = ''        Only prices in this; empty for all
-- @param series  varchar   = 'trades'  [trades|quotes] Trades, or the quotes of tickers, oracles and price services
-- @param from    timestamp = now-1d    How far back to look; for a moment in the past, name it too
-- @param at      timestamp = now       The moment: ticks before it count
-- @days from at
SELECT
  token,
  quote,
  max_by(price, ROW(ts, coalesce(sequence, -1), tick_id, -price)) AS price,
  max_by(source, ROW(ts, coalesce(sequence, -1), tick_id, -price)) AS source,
  CAST(from_unixtime(max(ts) / 1e3) AS timestamp(3)) AS last,
  :at - max(ts) AS age_ms
FROM price_archive
WHERE :days
  AND ts >= :from AND ts < :at
  AND (:token = '' OR token IN (:token))
  AND (:quote = '' OR quote IN (:quote))
  AND (:series = 'quotes') = (method IN ('ticker', 'oracle', 'quote'))
GROUP BY token, quote
ORDER BY token, quote
