-- The archive with the column names of the JSON record: `timestamp` is milliseconds since the
-- epoch (UTC). Name year, month and day in WHERE, so that only those folders are read.
CREATE OR REPLACE VIEW price_history AS
SELECT
  tick_id,
  token,
  quote,
  price,
  volume,
  ts AS "timestamp",
  ingested_at,
  source,
  slot,
  method,
  version,
  sequence,
  quality,
  year,
  month,
  day
FROM price_archive
