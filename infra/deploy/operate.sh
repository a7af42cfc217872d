# shellcheck shell=bash
# What is done while it runs: the way back, and a look.

# How long after the flag a webhook may still use the old one, and how far its log may be behind.
FLAG_SECONDS=5
LOG_SECONDS=10
DRAINED_WITHIN_SECONDS=60

# A step up needs a proof of the stage before, which reads the archive, too. Without the data stack's answer, `--force`
# still works.
step() { # stage
  local stage=$1 bucket
  shift
  bucket=$(output "$project-data" ArchiveBucketName 2>/dev/null) || bucket=
  tickctl rollout to "$stage" ${bucket:+--archive "s3://$bucket/price-archive"} "$@"
}

# The flag first, with nothing but the CLI. Then what is there confirms it.
rollback() {
  aws ssm put-parameter --name "$flag" --value 0 --overwrite >/dev/null ||
    fail "the flag was not set: try \`aws ssm put-parameter --name $flag --value 0 --overwrite\` again"
  local set_at
  set_at=$(date +%s)
  say rollout "$flag is 0 since $(date -u +%FT%TZ); each webhook follows within $FLAG_SECONDS s"
  # In a subshell, since a service that does not answer now must not end this.
  [ -n "${TICKCTL:-}" ] || TICKCTL=$(fetch_tickctl && echo "$TICKCTL") || find_built_tickctl || TICKCTL=
  if [ -n "$TICKCTL" ]; then
    tickctl rollout back "$@"
  else
    watch_logs "$set_at"
  fi
}

# Without `tickctl`: the webhook's log has a line for each delivery that put ticks into the stream.
watch_logs() { # since, epoch seconds
  local from=$((($1 + FLAG_SECONDS) * 1000)) until=$((SECONDS + DRAINED_WITHIN_SECONDS)) late
  say watch "the webhook's log, since there is no \`tickctl\` here"
  sleep "$((FLAG_SECONDS + LOG_SECONDS))"
  while :; do
    late=$(aws logs filter-log-events --log-group-name "/aws/lambda/$project-webhook" --filter-pattern '{ $.Streamed > 0 }' \
      --start-time "$from" --query 'length(events)' --output text) || fail "the flag is at 0, but the log cannot be read"
    if [ "${late:-0}" = 0 ]; then
      say drained "no delivery since $FLAG_SECONDS s after the change put a tick into the stream"
      return
    fi
    [ "$SECONDS" -lt "$until" ] ||
      fail "$late deliveries put ticks into the stream after the change, so a webhook does not read the flag: restart them with \`aws lambda update-function-configuration --function-name $project-webhook --description restarted\` and \`just deploy infra\`"
    from=$(($(date +%s) * 1000))
    sleep "$LOG_SECONDS"
  done
}

# The flag, and which code answers, according to the webhook itself and to Lambda. The flag is shown even if the rest
# cannot be read.
status() {
  local url bucket status reported all name hash webhook before
  need_tickctl
  url=$(output "$project-service" WebhookUrl 2>/dev/null) || true
  case $url in http*) export WEBHOOK_URL=$url ;; esac
  status=$(tickctl rollout status "$@") || { local code=$?; echo "$status"; return "$code"; }
  [ -z "$status" ] || echo "$status"
  # What `tickctl` takes as --webhook or --into, and as --archive.
  say webhook "${url:-unknown}"
  bucket=$(output "$project-data" ArchiveBucketName 2>/dev/null) || bucket=
  say archive "${bucket:+s3://}${bucket:-unknown}${bucket:+/price-archive}"
  all=$(releases)
  say version "$(value_of version "$(sed -n 1p <<<"$all")")"
  before=$(value_of version "$(sed -n 2p <<<"$all")")
  say before "${before:-none}${before:+ (\`just deploy code\` puts it back)}"
  for name in "${functions[@]}"; do
    hash=$(live_hash "$name")
    [ "$name" != webhook ] || webhook=$hash
    say lambda "$hash $project-$name"
  done
  reported=$(sed -n 's/^code  *\([0-9a-f]\{64\}\) webhook .*/\1/p' <<<"$status")
  [ -z "$reported" ] || [ "$reported" = "$webhook" ] ||
    fail "the webhook reports the hash $reported, which is not Lambda's: an old instance may have responded, so check again; otherwise run \`just deploy infra\`"
}
