-- Prices of one token that stand out from those before them, around a time: judged anew from the archived ticks.
--
-- A row is a tick whose price is at least threshold spreads away from the mean of the 100 ticks before
-- it in the same quote. The spread is their standard deviation, and at least a hundredth of a percent of
-- their mean, so that not every step stands out after a constant price. Ticks with fewer than 20 before
-- them are not judged; ticks since the start of the first day count as before. Ticks in the same
-- millisecond are ordered by sequence, and then by tick_id. time is a timestamp (UTC). A tick that is
-- in the archive twice counts once. Ticks with a quality are left out. Either trades are judged, or
-- the quotes of tickers, oracles and price services. The detector of the stream works in another way: this is a second
-- opinion, and the query anomalies has what the detector reported.
--
-- @param token      token                 The token, as symbol or mint address
-- @param quote      token     = ''        Only prices in this; empty for all, each judged by itself
-- @param series     varchar   = 'trades'  [trades|quotes] Trades, or the quotes of tickers, oracles and price services
-- @param from       timestamp             First moment of the time around
-- @param to         timestamp = now       End, not included
-- @param threshold  double    = 5         [0..] Spreads from which a price stands out
-- @days from to
WITH once AS (
  SELECT
    token,
    quote,
    ts,
    tick_id,
    min(sequence) AS sequence,
    min(price) AS price,
    min(source) AS source
  FROM price_archive
  WHERE :days
    AND token IN (:token)
    AND ts < :to
    AND (:quote = '' OR quote IN (:quote))
    AND (:series = 'quotes') = (method IN ('ticker', 'oracle', 'quote'))
    AND quality IS NULL
  GROUP BY token, quote, ts, tick_id
),
numbered AS (
  SELECT quote, ts, coalesce(sequence, -1) AS number, tick_id, price, source
  FROM once
),
windows AS (
  SELECT
    quote,
    ts,
    number,
    tick_id,
    price,
    source,
    count(*) OVER (PARTITION BY quote ORDER BY ts, number, tick_id ROWS BETWEEN 100 PRECEDING AND 1 PRECEDING) AS ticks_before,
    avg(price) OVER (PARTITION BY quote ORDER BY ts, number, tick_id ROWS BETWEEN 100 PRECEDING AND 1 PRECEDING) AS mean,
    stddev_samp(price) OVER (PARTITION BY quote ORDER BY ts, number, tick_id ROWS BETWEEN 100 PRECEDING AND 1 PRECEDING) AS spread
  FROM numbered
),
scored AS (
  SELECT
    quote,
    ts,
    number,
    tick_id,
    price,
    source,
    mean,
    (price - mean) / greatest(spread, mean * 1e-4) AS score
  FROM windows
  WHERE ticks_before >= 20
)
SELECT
  quote,
  CAST(from_unixtime(ts / 1e3) AS timestamp(3)) AS time,
  price,
  mean,
  100 * (price / mean - 1) AS deviation_pct,
  score,
  source,
  tick_id
FROM scored
WHERE ts >= :from AND abs(score) >= :threshold
ORDER BY quote, ts, number, tick_id
