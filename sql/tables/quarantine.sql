-- What could not become a tick: JSON lines by the UTC day of receipt. Partitions are computed from
-- the query (projection), like those of the archive.
-- {quarantine} is the folder's address with a slash at its end: s3://BUCKET/quarantine/
CREATE EXTERNAL TABLE IF NOT EXISTS quarantine (
  `received_at` bigint COMMENT 'When it was received, milliseconds since the epoch (UTC)',
  `source` string COMMENT 'The source in the address that it was sent to',
  `reason` string COMMENT 'The rule that it breaks',
  `severity` string COMMENT 'warning, error or critical',
  `message` string COMMENT 'The rule in words, with the value and what to do',
  `raw` string COMMENT 'The entry as it came, at most 4 KiB of it',
  `raw_bytes` bigint COMMENT 'The full size of the entry',
  `index` bigint COMMENT 'Its position in its delivery, from 0'
)
PARTITIONED BY (`year` int, `month` int, `day` int)
ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
LOCATION '{quarantine}'
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
  'storage.location.template' = '{quarantine}year=${year}/month=${month}/day=${day}/'
)
