-- What could not become a tick, by reason.
--
-- A row is a reason of a source. first_received and last_received are timestamps (UTC). example is the
-- message of the newest entry.
--
-- @param source  varchar   = ''       Only this source; empty for all
-- @param from    timestamp = now-1d   First moment of receipt
-- @param to      timestamp = now      End, not included
-- @days from to
SELECT
  reason,
  severity,
  source,
  count(*) AS entries,
  sum(raw_bytes) AS raw_bytes,
  CAST(from_unixtime(min(received_at) / 1e3) AS timestamp(3)) AS first_received,
  CAST(from_unixtime(max(received_at) / 1e3) AS timestamp(3)) AS last_received,
  max_by(message, ROW(received_at, message)) AS example
FROM quarantine
WHERE :days
  AND received_at >= :from AND received_at < :to
  AND (:source = '' OR source = :source)
GROUP BY reason, severity, source
ORDER BY entries DESC, reason, severity, source
