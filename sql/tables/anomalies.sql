-- Anomalies that the analysis of the stream found: a Parquet file for each UTC day of the event time. Partitions are
-- computed from the query (projection), like those of the archive.
-- {anomalies} is the folder's address with a slash at its end: s3://BUCKET/anomalies/
CREATE EXTERNAL TABLE IF NOT EXISTS anomalies (
  `token` string COMMENT 'The priced asset: a mint address on Solana, a currency code elsewhere',
  `quote` string COMMENT 'The currency of the price',
  `source` string COMMENT 'The venue whose prices depart from their past, as provider:venue; NULL if release 1.0 found it',
  `tick_id` string COMMENT 'Identity of the tick that shows the anomaly',
  `ts` bigint COMMENT 'Event time of the tick, or when a lasting silence was found, milliseconds since the epoch (UTC)',
  `price` double COMMENT 'Price of the tick, units of the quote for one unit of the token',
  `score` double COMMENT 'How anomalous it is, at least 0 and less than 1',
  `kind` string COMMENT 'How the series departs from its past, such as jump or drift',
  `direction` string COMMENT 'up or down: where seen lies from expected',
  `quantity` string COMMENT 'What expected and seen are: value, change, interval_ms or ticks',
  `expected` double COMMENT 'What the past of the series lets expect',
  `seen` double COMMENT 'What was seen',
  `window_ms` bigint COMMENT 'Over which event time, in milliseconds',
  `message` string COMMENT 'The anomaly as a sentence without its subject'
)
PARTITIONED BY (`year` int, `month` int, `day` int)
STORED AS PARQUET
LOCATION '{anomalies}'
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
  'storage.location.template' = '{anomalies}year=${year}/month=${month}/day=${day}/'
)
