-- How much traded prices vary: the standard deviation of logarithmic returns from interval to interval.
--
-- A row is a token in one quote with at least two returns. A return is from the last price of an
-- interval to that of the next; there is none if an interval has no tick, since a step across a gap is
-- not a step of one interval. volatility_per_year scales by the square root of the intervals per year
-- (365 days). Either trades count, or the quotes of tickers, oracles and price services. Ticks with a quality are left
-- out. Ticks that are in the archive twice change nothing.
--
-- @param token       token     = ''        Only this token, as symbol or mint address; empty for all
-- @param quote       token     = ''        Only prices in this; empty for all
-- @param series      varchar   = 'trades'  [trades|quotes] Trades, or the quotes of tickers, oracles and price services
-- @param from        timestamp             First moment
-- @param to          timestamp = now       End, not included
-- @param interval_s  bigint    = 3600      [1..31536000] Seconds of an interval
-- @days from to
WITH placed AS (
  SELECT token, quote, ts, sequence, tick_id, price, ts - ts % (CAST(:interval_s AS bigint) * 1000) AS start_ms
  FROM price_archive
  WHERE :days
    AND ts >= :from AND ts < :to
    AND (:token = '' OR token IN (:token))
    AND (:quote = '' OR quote IN (:quote))
    AND (:series = 'quotes') = (method IN ('ticker', 'oracle', 'quote'))
    AND quality IS NULL
),
closes AS (
  SELECT token, quote, start_ms, max_by(price, ROW(ts, coalesce(sequence, -1), tick_id, -price)) AS close
  FROM placed
  GROUP BY token, quote, start_ms
),
steps AS (
  SELECT
    token,
    quote,
    close,
    lag(close) OVER (PARTITION BY token, quote ORDER BY start_ms) AS close_before,
    start_ms - lag(start_ms) OVER (PARTITION BY token, quote ORDER BY start_ms) AS step_ms
  FROM closes
),
returns AS (
  SELECT token, quote, ln(close / close_before) AS log_return
  FROM steps
  WHERE step_ms = CAST(:interval_s AS bigint) * 1000 AND close > 0 AND close_before > 0
)
SELECT
  token,
  quote,
  count(*) AS returns,
  stddev_samp(log_return) AS volatility,
  stddev_samp(log_return) * sqrt(31536000e0 / :interval_s) AS volatility_per_year,
  min(log_return) AS least_return,
  max(log_return) AS greatest_return
FROM returns
GROUP BY token, quote
HAVING count(*) >= 2
ORDER BY volatility DESC, token, quote
