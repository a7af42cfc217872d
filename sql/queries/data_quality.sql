-- What could not become a tick, by reason.
--
-- A row is a reason of a source. Times are milliseconds since the epoch (UTC), of receipt. example is
-- the message of the newest entry.
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
  min(received_at) AS first_received_ms,
  max(received_at) AS last_received_ms,
  max_by(message, ROW(received_at, message)) AS example
FROM quarantine
WHERE :days
  AND received_at >= :from AND received_at < :to
  AND (:source = '' OR source = :source)
GROUP BY reason, severity, source
ORDER BY entries DESC, reason, severity, source
