#!/usr/bin/env bash
# Deploys tickstream to AWS and controls its rollout: infra/deploy.sh VERB [OPTIONS]
#   infra                  stacks and code; the rollout flag is unchanged
#   canary | 10 | 50 | 100 the share of ticks that goes to the stream, one stage at a time
#   rollback               back to 0 %; waits until the stream is drained
#   status                 flag, changes, alarms, and which code is deployed
# All verbs except `infra` take the options of `tickctl rollout`.
#
# Environment: PROJECT (tickstream), AWS_REGION, AWS_ENDPOINT_URL (an emulator), ZIPS (a folder with webhook.zip
# …; without it they are built), BUILDER (of the zips: nix or cargo; the default is Nix if it can get nixpkgs,
# else cargo), ARCHITECTURE (of the zips: arm64 or x86_64; the default is as deployed, or this machine's),
# ALERT_EMAIL, DATA_PARAMETERS and SERVICE_PARAMETERS (more `Name=Value` for the stacks), AWS_CLI (aws),
# TICKCTL (built by cargo).
set -euo pipefail
cd "$(dirname "$0")/.."

functions=(webhook analytics broadcast redrive scaler compaction)
# Fetching and evaluating nixpkgs takes at most a minute; without a network it may hang.
NIXPKGS_WITHIN_SECONDS=120
# Longer than the update of the service stack takes, with the 5 minutes that an event may be ahead of our clock.
UPGRADE_WITHIN_SECONDS=900

project=${PROJECT:-tickstream}
verb=${1:-}
[ $# -gt 0 ] && shift
export PROJECT=$project

aws() { command "${AWS_CLI:-aws}" "$@"; }

tickctl() {
  if [ -z "${TICKCTL:-}" ]; then
    # Same arguments as in tools/zips, so nothing is compiled twice.
    tools/reproducible-cargo build --release --quiet --locked -p tickctl -p webhook -p analytics -p broadcast -p redrive -p scaler -p compaction
    TICKCTL=${CARGO_TARGET_DIR:-target}/release/tickctl
  fi
  "$TICKCTL" "$@"
}

say() { printf '%-9s %s\n' "$1" "$2"; }

fail() {
  echo "deploy: $*" >&2
  exit 2
}

need_aws() {
  command -v "${AWS_CLI:-aws}" >/dev/null ||
    fail "the AWS CLI is missing: install it (\`pip install awscli\` in a virtual environment is enough), or set AWS_CLI"
  # The SDKs read the first variable, pip's CLI only the second. If they differ, the first wins.
  AWS_REGION=${AWS_REGION:-${AWS_DEFAULT_REGION:-}}
  [ -n "$AWS_REGION" ] || fail "no AWS region is set: set AWS_REGION, such as us-east-1"
  export AWS_REGION AWS_DEFAULT_REGION=$AWS_REGION
}

output() { # stack key
  aws cloudformation describe-stacks --stack-name "$1" --output text \
    --query "Stacks[0].Outputs[?OutputKey=='$2'].OutputValue"
}

stack_status() { # stack; empty if it does not exist
  aws cloudformation describe-stacks --stack-name "$1" --output text --query 'Stacks[0].StackStatus' 2>/dev/null || true
}

deploy_stack() { # stack template parameters…
  local stack=$1 template=$2
  shift 2
  case $(stack_status "$stack") in
    # The state after a failed first deploy. Such a stack cannot be updated.
    ROLLBACK_COMPLETE | ROLLBACK_FAILED | CREATE_FAILED)
      fail "the first deploy of the stack $stack failed, and the stack cannot be updated: find the cause with \`aws cloudformation describe-stack-events --stack-name $stack\`, delete it with \`aws cloudformation delete-stack --stack-name $stack\`, and deploy again"
      ;;
    REVIEW_IN_PROGRESS) ;; # a change set that was never executed; the deploy creates its own
    *_IN_PROGRESS) fail "the stack $stack is being changed: wait until that ends, see \`aws cloudformation describe-stacks --stack-name $stack\`" ;;
  esac
  aws cloudformation deploy --stack-name "$stack" --template-file "$template" \
    --capabilities CAPABILITY_IAM CAPABILITY_NAMED_IAM --no-fail-on-empty-changeset \
    --tags "project=$project" --parameter-overrides "Project=$project" "$@" >/dev/null ||
    fail "the stack $stack was not deployed: see \`aws cloudformation describe-stack-events --stack-name $stack\`"
  say stack "$stack: $(stack_status "$stack")"
}

# Sets `architecture`. The deployed one takes precedence over this machine's: a deploy from another machine must
# not change it accidentally.
choose_architecture() {
  local chosen=${ARCHITECTURE:-}
  if [ -z "$chosen" ] && [ -n "$(stack_status "$project-service")" ]; then
    chosen=$(aws cloudformation describe-stacks --stack-name "$project-service" --output text \
      --query "Stacks[0].Parameters[?ParameterKey=='Architecture'].ParameterValue") ||
      fail "cannot read the architecture of $project-service: set ARCHITECTURE to arm64 or x86_64"
  fi
  case ${chosen:-$(uname -m)} in
    arm64 | aarch64) architecture=arm64 ;;
    x86_64 | amd64) architecture=x86_64 ;;
    *) fail "the architecture must be arm64 or x86_64: set ARCHITECTURE" ;;
  esac
}

# Prints `NewIdsFromMs=…` for the deploy that upgrades a stack from 1.0, which lacks that parameter: a moment when
# all old webhooks have ended. Otherwise nothing, so the deployed value is kept.
new_ids_from() {
  [ -n "$(stack_status "$project-service")" ] || return 0
  local deployed
  deployed=$(aws cloudformation describe-stacks --stack-name "$project-service" --output text \
    --query "Stacks[0].Parameters[?ParameterKey=='NewIdsFromMs'].ParameterValue") ||
    fail "cannot read the parameters of $project-service"
  case $deployed in
    '' | None) echo "NewIdsFromMs=$((($(date +%s) + UPGRADE_WITHIN_SECONDS) * 1000))" ;;
  esac
}

# The parameter may hold two secrets at once. The deploy creates the first one, and never changes any.
make_secret() {
  local name="/$project/webhook-secrets"
  if aws ssm get-parameter --name "$name" --query Parameter.Version --output text >/dev/null 2>&1; then
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

# Sets `zips` to the folder of the zips.
find_zips() {
  local nix=(--extra-experimental-features 'nix-command flakes')
  zips=${ZIPS:-}
  [ -z "$zips" ] || return 0
  local output=lambda-zips builder=${BUILDER:-}
  [ "$architecture" = arm64 ] || output=lambda-zips-x86_64
  if [ -z "$builder" ]; then
    builder=cargo
    if command -v nix >/dev/null; then
      local refused
      if refused=$(timeout "$NIXPKGS_WITHIN_SECONDS" nix "${nix[@]}" eval --raw ".#$output.drvPath" 2>&1 >/dev/null); then
        builder=nix
      else
        # The last error. A hint about `--show-trace` may follow it, and some versions of Nix indent it.
        local reason
        reason=$(sed -n 's/^ *error: *\(.*[^ ]\) *$/\1/p' <<<"$refused" | tail -n 1)
        echo "deploy: building with cargo, since Nix cannot get nixpkgs: ${reason:-$(tail -n 1 <<<"$refused")}" >&2
      fi
    fi
  fi
  case $builder in
    nix)
      echo "deploy: building with Nix, which also compiles the toolchain if its cache lacks it; BUILDER=cargo avoids that" >&2
      zips=$(nix "${nix[@]}" build --no-link --print-out-paths ".#$output") ||
        fail "Nix did not build .#$output: see its output, or set BUILDER=cargo"
      ;;
    cargo)
      zips=target/lambda
      ARCHITECTURE=$architecture tools/zips "$zips" >/dev/null
      ;;
    *) fail "the builder must be nix or cargo: set BUILDER" ;;
  esac
  say build "with $builder for $architecture"
}

hash_of() { sha256sum "$zips/$1.zip" | cut -d' ' -f1; }

# The hash of each function's zip according to Lambda, in hexadecimal, and the function's name.
deployed_code() {
  local list
  # Compares exact names, since another project's name may begin with this one's.
  list=$(aws lambda list-functions --output text --query 'Functions[].[CodeSha256, FunctionName]')
  while read -r hash function; do
    for name in "${functions[@]}"; do
      [ "$function" = "$project-$name" ] || continue
      printf '%s %s\n' "$(base64 -d <<<"$hash" | od -An -v -tx1 | tr -d ' \n')" "$function"
    done
  done <<<"$list"
}

check_code() {
  local deployed
  deployed=$(deployed_code)
  for name in "${functions[@]}"; do
    grep -qx "$(hash_of "$name") $project-$name" <<<"$deployed" ||
      fail "$project-$name does not run the built $name.zip; Lambda reports: $deployed"
  done
  say code "each function runs the zip above, according to Lambda's hashes"
}

deploy_infra() {
  need_aws
  local architecture zips
  choose_architecture
  find_zips
  for name in "${functions[@]}"; do
    [ -f "$zips/$name.zip" ] || fail "$zips/$name.zip is missing: build it with \`just zips\`"
  done
  local version
  version=$(for name in "${functions[@]}"; do cat "$zips/$name.zip"; done | sha256sum | cut -c1-16)
  for name in "${functions[@]}"; do
    say code "$(hash_of "$name") $name.zip"
  done

  # An emulator cannot compute in jq, which ArchiveDay=event needs. It is also slower than AWS. Parameters that
  # are not set here keep their deployed values, or the template's defaults: a deploy must not revert the
  # choices of an earlier one, least of all the day of the archive's folders.
  local data=() service=()
  if [ -n "${AWS_ENDPOINT_URL:-}" ]; then
    [ -n "$(stack_status "$project-data")" ] || data+=(ArchiveDay=arrival)
    service+=(OfferWithinMs=3000)
  fi
  # If it is set but empty, the address is removed.
  [ -z "${ALERT_EMAIL+set}" ] || service+=("AlertEmail=$ALERT_EMAIL")
  # Names of Athena databases have no hyphens. shellcheck disable=SC2086 # the parameters are words
  deploy_stack "$project-data" infra/data.yaml "Database=${project//-/_}" ${data[@]+"${data[@]}"} ${DATA_PARAMETERS:-}
  local bucket
  bucket=$(output "$project-data" ArtifactsBucketName)
  for name in "${functions[@]}"; do
    aws s3 cp --only-show-errors "$zips/$name.zip" "s3://$bucket/$version/$name.zip"
  done
  say code "s3://$bucket/$version"
  make_secret
  local new_ids
  new_ids=$(new_ids_from)
  [ -z "$new_ids" ] || service+=("$new_ids")
  # shellcheck disable=SC2086
  deploy_stack "$project-service" infra/service.yaml "CodeBucket=$bucket" "CodeVersion=$version" \
    "WebhookCodeSha256=$(hash_of webhook)" "Architecture=$architecture" \
    "EmulatorEndpoint=${AWS_ENDPOINT_URL:-}" ${service[@]+"${service[@]}"} ${SERVICE_PARAMETERS:-}
  check_code
  # Some of its parameters are those of the service; the CLI ignores parameters that a template does not have.
  # shellcheck disable=SC2086
  deploy_stack "$project-alarms" infra/alarms.yaml ${SERVICE_PARAMETERS:-}
  if [ -n "${AWS_ENDPOINT_URL:-}" ]; then
    say stack "$project-alarms-math: skipped, since emulators do not support its resources"
  else
    # It shares parameters with both.
    # shellcheck disable=SC2086
    deploy_stack "$project-alarms-math" infra/alarms-math.yaml ${DATA_PARAMETERS:-} ${SERVICE_PARAMETERS:-}
  fi
  say webhook "$(output "$project-service" WebhookUrl)/webhooks/SOURCE"
  say live "$(output "$project-service" LiveUrl)"
  say rollout "$(share)"
}

# The share in the flag, which is a percentage or JSON.
share() {
  local value
  value=$(aws ssm get-parameter --name "/$project/rollout" --query Parameter.Value --output text)
  case $value in
    *'"use_kinesis":false'*) value=0 ;;
    *'"percentage":'*) value=$(sed 's/.*"percentage": *"\{0,1\}\([0-9.]*\).*/\1/' <<<"$value") ;;
  esac
  echo "$value %"
}

# The flag, and which code is deployed, according to the webhook itself and to Lambda. The flag is shown even if
# the rest cannot be read.
status() {
  need_aws
  local url
  url=$(output "$project-service" WebhookUrl 2>/dev/null) || true
  case $url in http*) export WEBHOOK_URL=$url ;; esac
  local status deployed reported
  status=$(tickctl rollout status "$@") || { local code=$?; echo "$status"; return "$code"; }
  [ -z "$status" ] || echo "$status"
  deployed=$(deployed_code)
  while read -r code; do say lambda "$code"; done <<<"$deployed"
  reported=$(sed -n 's/^code  *\([0-9a-f]\{64\}\) webhook .*/\1/p' <<<"$status")
  [ -z "$reported" ] || grep -qx "$reported $project-webhook" <<<"$deployed" ||
    fail "the webhook reports the hash $reported, which is not Lambda's: an old instance may have responded, so check again; otherwise run \`just deploy infra\`"
}

case $verb in
  infra) deploy_infra ;;
  canary | 10 | 50 | 100) need_aws && tickctl rollout to "$verb" "$@" ;;
  rollback) need_aws && tickctl rollout back "$@" ;;
  status) status "$@" ;;
  *)
    [ -z "$verb" ] || echo "deploy: \`$verb\` is not a verb; the stages are canary, 10, 50 and 100" >&2
    sed -n '2,13p' "$0" | sed 's/^# \{0,1\}//' >&2
    exit 2
    ;;
esac
