-- OHLCV candles of one token's trades, at any interval.
--
-- A row is an interval with at least one tick, in one quote. Intervals start at multiples of their
-- length since the epoch, in event time; start is a timestamp (UTC). Open and close are chosen by event
-- time, among ticks in the same millisecond by sequence (ticks without one come first), and then by
-- tick_id, as in the candles of the stream. Volume is in units of the token, NULL if no tick has one.
-- Ticks with a quality are left out. A tick that is in the archive twice counts once.
--
-- Candles are made of trades alone. Quotes make a series of their own, with series = 'quotes': close is the last one
-- of the interval, and volume is NULL.
--
-- @param token       token                 The token, as symbol or mint address
-- @param quote       token     = ''        Only prices in this; empty for all, each in rows of its own
-- @param source      varchar   = ''        Only this venue, as in the column source; empty for all, combined
-- @param series      varchar   = 'trades'  [trades|quotes] Trades, or the quotes of tickers, oracles and price services
-- @param from        timestamp             First moment
-- @param to          timestamp = now       End, not included
-- @param interval_s  bigint    = 60        [1..31536000] Seconds of a candle
-- @days from to
WITH once AS (
  SELECT
    token,
    quote,
    ts,
    tick_id,
    min(sequence) AS sequence,
    min(price) AS price,
    min(volume) AS volume
  FROM price_archive
  WHERE :days
    AND token IN (:token)
    AND ts >= :from AND ts < :to
    AND (:quote = '' OR quote IN (:quote))
    AND (:source = '' OR source = :source)
    AND (:series = 'quotes') = (method IN ('ticker', 'oracle', 'quote'))
    AND quality IS NULL
  GROUP BY token, quote, ts, tick_id
),
placed AS (
  SELECT
    quote,
    ts,
    coalesce(sequence, -1) AS number,
    tick_id,
    price,
    volume,
    ts - ts % (CAST(:interval_s AS bigint) * 1000) AS start_ms
  FROM once
)
SELECT
  quote,
  CAST(from_unixtime(start_ms / 1e3) AS timestamp(3)) AS start,
  min_by(price, ROW(ts, number, tick_id)) AS open,
  max(price) AS high,
  min(price) AS low,
  max_by(price, ROW(ts, number, tick_id)) AS close,
  sum(CASE WHEN :series = 'trades' THEN volume END) AS volume,
  count(*) AS ticks
FROM placed
GROUP BY quote, start_ms
ORDER BY quote, start_ms
