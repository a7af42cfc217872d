# shellcheck shell=bash
# Which code answers: versions of the functions, and the alias `live`, through which everything invokes them.
#
# Stacks change only a function's $LATEST, which nothing invokes. A release publishes a version of each function and
# moves the aliases. Which numbers belong together is in the parameter /PROJECT/code; SSM keeps its last 100 values.
#
# CodeDeploy can also shift the weights of an alias. But it stops a deployment while one of its alarms is on, which is
# just when earlier code must go back.

ALIAS=live
# The share of deliveries that new code of the webhook gets first.
CANARY_WEIGHT=0.1
CANARY_SECONDS=${CANARY_SECONDS:-$([ -z "${AWS_ENDPOINT_URL:-}" ] && echo 300 || echo 0)}
CANARY_LOOK_SECONDS=10
# The alarms that take the new code back.
CANARY_ALARMS=(webhook-server-errors webhook-errors webhook-throttles webhook-latency ticks-pending)

# Publishes the code that the stack has put into the functions, and lets it answer.
release() {
  local name published released="version=$version" before
  for name in "${functions[@]}"; do
    published=$(aws lambda publish-version --function-name "$project-$name" --description "$version" --output text --query '[Version, CodeSha256]') ||
      fail "no version of $project-$name was published; the code that answers is unchanged"
    [ "$(hexadecimal "$(cut -f2 <<<"$published")")" = "$(hash_of "$name")" ] ||
      fail "the published version of $project-$name is not the built $name.zip, according to Lambda's hash; the code that answers is unchanged"
    released+=" $name=$(cut -f1 <<<"$published")"
  done
  say code "the published versions are the zips above, according to Lambda's hashes"
  ask ParameterNotFound ssm get-parameter --name "/$project/code" --query Parameter.Value --output text
  before=$answer
  # Those that read what the webhook writes are first. All at once: two versions on one shard would keep taking
  # it from each other.
  for name in "${functions[@]:1}"; do answer_with "$name" "$released"; done
  if [ -z "$before" ] || ! is_canary_needed "$before" "$released"; then
    answer_with webhook "$released"
  elif ! canary "$before" "$released"; then
    for name in "${functions[@]}"; do answer_with "$name" "$before"; done
    fail "the new code was taken back, and all functions run version $(value_of version "$before") again. CANARY_SECONDS=0 releases it at once, such as a fix while an alarm is on"
  fi
  remember "$released"
}

hexadecimal() { base64 -d <<<"$1" | od -An -v -tx1 | tr -d ' \n'; }

# The value of a name in the parameter's text.
value_of() { # name text
  tr ' ' '\n' <<<"$2" | sed -n "s/^$1=//p"
}

# Lets a version answer alone.
answer_with() { # function released
  local number
  number=$(value_of "$1" "$2")
  [ -n "$number" ] || return 0 # a function that an earlier version did not have
  aws lambda update-alias --function-name "$project-$1" --name "$ALIAS" --function-version "$number" \
    --routing-config 'AdditionalVersionWeights={}' >/dev/null ||
    fail "$project-$1 does not run version $number: \`aws lambda update-alias --function-name $project-$1 --name $ALIAS --function-version $number --routing-config AdditionalVersionWeights={}\`"
}

is_canary_needed() { # before released
  [ "$CANARY_SECONDS" != 0 ] && [ "$(value_of webhook "$1")" != "$(value_of webhook "$2")" ]
}

# Sends a share of the deliveries to the new version. Fails if that version has errors, or an alarm of the webhook is on.
canary() { # before released
  local old new until bad
  old=$(value_of webhook "$1") new=$(value_of webhook "$2")
  aws lambda update-alias --function-name "$project-webhook" --name "$ALIAS" --function-version "$old" \
    --routing-config "AdditionalVersionWeights={$new=$CANARY_WEIGHT}" >/dev/null || fail "$project-webhook does not send a share to version $new"
  say canary "version $new of the webhook gets $CANARY_WEIGHT of the deliveries for $CANARY_SECONDS s"
  until=$((SECONDS + CANARY_SECONDS))
  while [ "$SECONDS" -lt "$until" ]; do
    sleep "$CANARY_LOOK_SECONDS"
    bad=$(canary_trouble "$new") || bad="its alarms and errors cannot be read"
    [ -z "$bad" ] || { echo "deploy: version $new of the webhook: $bad" >&2; return 1; }
  done
  answer_with webhook "$2"
  say canary "no errors and no alarms; version $new gets all deliveries"
}

# What is wrong with a version; nothing if all is well.
canary_trouble() { # number
  local alarms errors
  alarms=$(aws cloudwatch describe-alarms --state-value ALARM --output text \
    --alarm-names "${CANARY_ALARMS[@]/#/$project-}" --query 'MetricAlarms[].AlarmName') || return 1
  [ -z "$alarms" ] || { echo "in alarm: $(tr '\t' ' ' <<<"$alarms")"; return; }
  # The metric of one version, which Lambda writes for an alias with weights.
  errors=$(aws cloudwatch get-metric-statistics --namespace AWS/Lambda --metric-name Errors --statistics Sum --period 60 \
    --dimensions "Name=FunctionName,Value=$project-webhook" "Name=Resource,Value=$project-webhook:$ALIAS" "Name=ExecutedVersion,Value=$1" \
    --start-time "$(date -u -d "-$CANARY_SECONDS seconds" +%FT%TZ)" --end-time "$(date -u +%FT%TZ)" \
    --output text --query 'sum(Datapoints[].Sum)') || return 1
  case $errors in '' | None | 0 | 0.0) ;; *) echo "$errors errors" ;; esac
}

remember() { # released
  aws ssm put-parameter --name "/$project/code" --type String --overwrite --value "$1" >/dev/null ||
    fail "the code runs, but /$project/code does not say so: \`aws ssm put-parameter --name /$project/code --type String --overwrite --value '$1'\`"
}

# What was released, newest first, each once.
releases() {
  ask ParameterNotFound ssm get-parameter-history --name "/$project/code" --query 'Parameters[].Value' --output text
  tr '\t' '\n' <<<"$answer" | tac | awk 'NF && !seen[$0]++'
}

# Lets code answer that was released before: the versions are still there, with their settings.
deploy_code() { # version
  local all current wanted=${1:-} released name
  all=$(releases)
  [ -n "$all" ] || fail "no version was released: deploy with \`just deploy infra\`"
  current=$(head -n 1 <<<"$all")
  if [ -z "$wanted" ]; then
    wanted=$(sed -n 2p <<<"$all")
    [ -n "$wanted" ] || fail "there is no version before $(value_of version "$current")"
    wanted=$(value_of version "$wanted")
  fi
  released=$(awk -v wanted="version=$wanted" '$1 == wanted { print; exit }' <<<"$all")
  [ -n "$released" ] || fail "version $wanted was not released; these were: $(tr ' ' '\n' <<<"$all" | sed -n 's/^version=//p' | tr '\n' ' ')"
  say from "version $(value_of version "$current")"
  # The webhook is first here: what old code reads, it must also have written.
  for name in "${functions[@]}"; do answer_with "$name" "$released"; done
  remember "$released"
  say version "$wanted answers. \`just deploy infra\` releases this checkout again"
}

# The hash of the zip that answers, in hexadecimal.
live_hash() { # function
  local hash
  hash=$(aws lambda get-function-configuration --function-name "$project-$1" --qualifier "$ALIAS" --query CodeSha256 --output text) ||
    fail "Lambda does not say which code $project-$1 runs"
  hexadecimal "$hash"
}
