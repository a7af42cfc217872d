# shellcheck shell=bash
# The stacks, the parameters that they do not make, and what is checked before any of them is changed.

# Longer than the update of the service stack takes, with the 5 minutes that an event may be ahead of our clock.
UPGRADE_WITHIN_SECONDS=900
# Accounts start with as few as 10 concurrent functions in a region, with which the webhook answers 429 under load.
CONCURRENT_FUNCTIONS_MIN=100
# What a new on-demand table takes at once. An account's limit for a table must not be below it.
TABLE_WRITE_UNITS_MIN=4000

show_who_and_where() {
  local who
  who=$(aws sts get-caller-identity --query '[Account, Arn]' --output text) ||
    fail "AWS does not know who you are: check the credentials with \`aws sts get-caller-identity\`"
  say who "$(cut -f2 <<<"$who")"
  say where "account $(cut -f1 <<<"$who"), region $AWS_REGION, project $project${AWS_ENDPOINT_URL:+, emulated at $AWS_ENDPOINT_URL}"
}

template_parameters() { # templates…
  for template in "$@"; do
    awk '/^[A-Za-z]/ { inside = $1 == "Parameters:" } inside && /^  [A-Za-z0-9]+:$/ { sub(":", "", $1); print $1 }' "infra/$template.yaml"
  done
}

# The CLI ignores a parameter that a template does not have, so a misspelled one would have no effect.
check_parameters() {
  local word
  # shellcheck disable=SC2086 # the parameters are words
  for word in ${DATA_PARAMETERS:-}; do check_parameter DATA_PARAMETERS "$word" data service alarms-math; done
  # shellcheck disable=SC2086
  for word in ${SERVICE_PARAMETERS:-}; do check_parameter SERVICE_PARAMETERS "$word" service alarms alarms-math; done
}

check_parameter() { # variable word templates…
  local variable=$1 word=$2
  shift 2
  case $word in
    [A-Z]*=*) ;;
    *) fail "\`$word\` in $variable is not \`Name=Value\`" ;;
  esac
  # Not a pipe: grep would end it before all names are written.
  grep -qx "${word%%=*}" <<<"$(template_parameters "$@")" ||
    fail "no template of $variable has a parameter ${word%%=*}: the names are under \`Parameters\` in $(printf 'infra/%s.yaml ' "$@")"
}

check_quotas() {
  check_quota "concurrent functions" "$CONCURRENT_FUNCTIONS_MIN" \
    "\`aws service-quotas request-service-quota-increase --service-code lambda --quota-code L-B99A9384 --desired-value 1000\`" \
    lambda get-account-settings --query AccountLimit.ConcurrentExecutions
  check_quota "write units of a table" "$TABLE_WRITE_UNITS_MIN" \
    "raise DynamoDB's quota \"Table-level write throughput limit\" in the console under Service Quotas" \
    dynamodb describe-limits --query TableMaxWriteCapacityUnits
}

check_quota() { # what least remedy call…
  local what=$1 least=$2 remedy=$3 quota
  shift 3
  quota=$(aws "$@" --output text 2>/dev/null) || quota=
  case $quota in
    '' | *[!0-9]*)
      [ -n "${AWS_ENDPOINT_URL:-}" ] || fail "the quota of $what cannot be read: allow \`aws $1 $2\`"
      say quota "$what: not seen, since the emulator does not answer \`aws $1 $2\`"
      ;;
    *)
      if [ "$quota" -lt "$least" ] && [ "${QUOTAS:-}" != ignore ]; then
        fail "the account allows $quota $what in $AWS_REGION, and tickstream needs $least: $remedy, or set QUOTAS=ignore"
      fi
      say quota "$quota $what"
      ;;
  esac
}

deploy_stack() { # stack template parameters…
  local stack=$1 template=$2 answer
  shift 2
  ask_stack "$stack"
  case $answer in
    # The state after a failed first deploy. Such a stack cannot be updated.
    ROLLBACK_COMPLETE | ROLLBACK_FAILED | CREATE_FAILED)
      fail "the first deploy of the stack $stack failed, and the stack cannot be updated: find the cause with \`aws cloudformation describe-stack-events --stack-name $stack\`, delete it with \`aws cloudformation delete-stack --stack-name $stack\`, and deploy again"
      ;;
    UPDATE_ROLLBACK_FAILED)
      fail "an update of the stack $stack failed, and so did the way back: find the cause with \`aws cloudformation describe-stack-events --stack-name $stack\`, remove it, finish the way back with \`aws cloudformation continue-update-rollback --stack-name $stack\`, and deploy again"
      ;;
    REVIEW_IN_PROGRESS) ;; # a change set that was never executed; the deploy creates its own
    *_IN_PROGRESS) fail "the stack $stack is being changed: wait until that ends, see \`aws cloudformation describe-stacks --stack-name $stack\`" ;;
  esac
  aws cloudformation deploy --stack-name "$stack" --template-file "$template" \
    --capabilities CAPABILITY_IAM CAPABILITY_NAMED_IAM --no-fail-on-empty-changeset \
    --tags "project=$project" --parameter-overrides "Project=$project" "$@" >/dev/null ||
    fail "the stack $stack was not deployed: see \`aws cloudformation describe-stack-events --stack-name $stack\`"
  ask_stack "$stack"
  say stack "$stack: $answer"
}

# An emulator cannot compute in jq, which ArchiveDay=event needs. Parameters that are not set keep their deployed
# values, or the template's defaults: a deploy must not revert the choices of an earlier one, least of all the day
# of the archive's folders.
deploy_data_stack() {
  local data=() answer is_first=
  ask_stack "$project-data"
  if [ -z "$answer" ]; then
    is_first=yes
    [ -z "${AWS_ENDPOINT_URL:-}" ] || data+=(ArchiveDay=arrival)
  fi
  # Names of Athena databases have no hyphens. shellcheck disable=SC2086 # the parameters are words
  deploy_stack "$project-data" infra/data.yaml "Database=${project//-/_}" ${data[@]+"${data[@]}"} ${DATA_PARAMETERS:-}
  [ -n "$is_first" ] || return 0
  # Not before, so that a failed first deploy can be undone.
  aws cloudformation update-termination-protection --enable-termination-protection --stack-name "$project-data" >/dev/null ||
    fail "the stack $project-data is not protected from deletion: \`aws cloudformation update-termination-protection --enable-termination-protection --stack-name $project-data\`"
  # shellcheck disable=SC2086
  deploy_stack "$project-data" infra/data.yaml TableDeletionProtection=true ${DATA_PARAMETERS:-}
  say protected "$project-data and its tables cannot be deleted by mistake"
}

# The parameter may hold two secrets at once. The deploy creates the first one, and never changes any.
make_secret() {
  local name="/$project/webhook-secrets" answer
  ask ParameterNotFound ssm get-parameter --name "$name" --query Parameter.Version --output text
  if [ -n "$answer" ]; then
    say secret "$name exists"
    return
  fi
  # Through a file, since other users of the machine can read arguments.
  local file
  file=$(mktemp)
  printf '{"Name":"%s","Type":"SecureString","Value":"%s"}' "$name" "$(head -c 32 /dev/urandom | base64 | tr -d '=+/\n')" >"$file"
  aws ssm put-parameter --cli-input-json "file://$file" >/dev/null || { rm -f "$file"; fail "cannot store $name"; }
  rm -f "$file"
  say secret "$name was created; read it with \`aws ssm get-parameter --with-decryption --name $name\`"
}

# The flag is not in a stack, so that no update of one can write it. Without --overwrite: another deploy may have
# created it meanwhile.
make_flag() {
  local answer
  ask ParameterNotFound ssm get-parameter --name "$flag" --query Parameter.Version --output text
  [ -z "$answer" ] || return 0
  ask ParameterAlreadyExists ssm put-parameter --name "$flag" --type String --value 0 \
    --description "The share of ticks that goes to the stream" --query Version --output text
  say flag "$flag was created, at 0 %"
}

# Prints `NewIdsFromMs=…` for the deploy that upgrades a stack from 1.0, which lacks that parameter: a moment when
# all old webhooks have ended. Otherwise nothing, so the deployed value is kept.
new_ids_from() {
  local answer
  ask_stack "$project-service"
  [ -n "$answer" ] || return 0
  ask_stack_parameter "$project-service" NewIdsFromMs
  [ -n "$answer" ] || echo "NewIdsFromMs=$((($(date +%s) + UPGRADE_WITHIN_SECONDS) * 1000))"
}

deploy_service_stack() {
  local service=() new_ids
  [ -z "${AWS_ENDPOINT_URL:-}" ] || service+=(OfferWithinMs=3000) # an emulator is slower than AWS
  # If it is set but empty, the address is removed.
  [ -z "${ALERT_EMAIL+set}" ] || service+=("AlertEmail=$ALERT_EMAIL")
  new_ids=$(new_ids_from)
  [ -z "$new_ids" ] || service+=("$new_ids")
  # It shares StreamMode with the data stack; the CLI ignores parameters that a template does not have.
  # shellcheck disable=SC2086
  deploy_stack "$project-service" infra/service.yaml "CodeBucket=$bucket" "CodeVersion=$version" \
    "WebhookCodeSha256=$(hash_of webhook)" "Architecture=$architecture" \
    "EmulatorEndpoint=${AWS_ENDPOINT_URL:-}" ${service[@]+"${service[@]}"} ${DATA_PARAMETERS:-} ${SERVICE_PARAMETERS:-}
}

deploy_alarm_stacks() {
  # Some of its parameters are those of the service.
  # shellcheck disable=SC2086
  deploy_stack "$project-alarms" infra/alarms.yaml ${SERVICE_PARAMETERS:-}
  if [ -n "${AWS_ENDPOINT_URL:-}" ]; then
    say stack "$project-alarms-math: skipped, since emulators do not support its resources"
  else
    # It shares parameters with both.
    # shellcheck disable=SC2086
    deploy_stack "$project-alarms-math" infra/alarms-math.yaml ${DATA_PARAMETERS:-} ${SERVICE_PARAMETERS:-}
  fi
}
