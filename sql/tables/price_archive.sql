-- The archive of ticks: Parquet files by the UTC day of the event time. Partitions are computed
-- from the query (projection), so that neither a crawler nor MSCK REPAIR TABLE is needed.
-- {archive} is the folder's address with a slash at its end: s3://BUCKET/price-archive/
CREATE EXTERNAL TABLE IF NOT EXISTS price_archive (
  `tick_id` string COMMENT 'Identity of the tick: a replayed delivery has the same id',
  `token` string COMMENT 'The priced asset: a mint address on Solana, a currency code elsewhere',
  `quote` string COMMENT 'The currency of the price',
  `price` double COMMENT 'Units of the quote for one unit of the token',
  `volume` double COMMENT 'Units of the token traded, if the source reports them',
  `ts` bigint COMMENT 'Event time, milliseconds since the epoch (UTC)',
  `ingested_at` bigint COMMENT 'When it was received, milliseconds since the epoch (UTC)',
  `source` string COMMENT 'Origin of the price, as provider:venue',
  `slot` bigint COMMENT 'The Solana slot, if there is one',
  `method` string COMMENT 'How the price was derived',
  `version` string COMMENT 'Version of the format of the tick',
  `sequence` bigint COMMENT 'Number of the trade at the provider, which orders trades of one millisecond',
  `quality` string COMMENT 'Why the price is not used in candles: low_precision or wide_confidence'
)
PARTITIONED BY (`year` int, `month` int, `day` int)
STORED AS PARQUET
LOCATION '{archive}'
TBLPROPERTIES (
  'projection.enabled' = 'true',
  'projection.year.type' = 'integer',
  'projection.year.range' = '2000,2099',
  'projection.month.type' = 'integer',
  'projection.month.range' = '1,12',
  'projection.month.digits' = '2',
  'projection.day.type' = 'integer',
  'projection.day.range' = '1,31',
  'projection.day.digits' = '2',
  'storage.location.template' = '{archive}year=${year}/month=${month}/day=${day}/'
)
