-- The archive with a real timestamp (`time`, UTC, to the millisecond) and the rollout cohort of each
-- tick (`cohort`, 0 to 9999: a tick is in the stream of a rollout of P percent if cohort < P * 100).
-- Name year, month and day in WHERE, so that only those folders are read.
CREATE OR REPLACE VIEW ticks AS
SELECT
  CAST(from_unixtime(ts / 1e3) AS timestamp(3)) AS time,
  tick_id,
  token,
  quote,
  price,
  volume,
  ts,
  ingested_at,
  source,
  slot,
  method,
  version,
  sequence,
  quality,
  from_base(substr(to_hex(sha256(to_utf8(tick_id))), 1, 8), 16) % 10000 AS cohort,
  year,
  month,
  day
FROM price_archive
