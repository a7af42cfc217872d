-- The tokens whose traded prices moved most, up or down.
--
-- A row is a token in one quote, by the distance from its first price to its last in the period. Ticks
-- in the same millisecond are ordered by sequence, and then by tick_id. Ticks that are in the archive
-- twice change only the number of ticks; if their prices differ, the lowest counts as first or last.
-- Ticks with a quality are left out. Either trades count, or the quotes of tickers, oracles and price services.
--
-- @param quote      token     = ''        Only prices in this; empty for all, each in rows of its own
-- @param series     varchar   = 'trades'  [trades|quotes] Trades, or the quotes of tickers, oracles and price services
-- @param from       timestamp = now-1d    First moment
-- @param to         timestamp = now       End, not included
-- @param top        bigint    = 20        [1..] Most rows
-- @param min_ticks  bigint    = 2         [1..] Tokens with fewer ticks are left out
-- @days from to
WITH moves AS (
  SELECT
    token,
    quote,
    min_by(price, ROW(ts, coalesce(sequence, -1), tick_id, price)) AS first_price,
    max_by(price, ROW(ts, coalesce(sequence, -1), tick_id, -price)) AS last_price,
    min(price) AS low,
    max(price) AS high,
    count(*) AS ticks
  FROM price_archive
  WHERE :days
    AND ts >= :from AND ts < :to
    AND (:quote = '' OR quote IN (:quote))
    AND (:series = 'quotes') = (method IN ('ticker', 'oracle', 'quote'))
    AND quality IS NULL
  GROUP BY token, quote
),
ranked AS (
  SELECT
    token,
    quote,
    first_price,
    last_price,
    100 * (last_price / first_price - 1) AS change_pct,
    low,
    high,
    ticks,
    row_number() OVER (ORDER BY abs(last_price / first_price - 1) DESC, token, quote) AS place
  FROM moves
  WHERE ticks >= :min_ticks AND first_price > 0
)
SELECT place, token, quote, first_price, last_price, change_pct, low, high, ticks
FROM ranked
WHERE place <= :top
ORDER BY place
