#!/usr/bin/env bash
# Deploys tickstream to AWS, and steers its rollout: infra/deploy.sh VERB [OPTIONS]
#   infra                  stacks and code; the flag stays as it is
#   canary | 10 | 50 | 100 the share of the ticks that goes to the stream, a stage at a time
#   rollback               back to 0 %, until nothing new arrives
#   status                 flag, changes, alarms, what is deployed
# Options of the last six are those of `tickctl rollout`.
#
# Environment: PROJECT (tickstream), AWS_REGION, AWS_ENDPOINT_URL (an emulator), ZIPS (a folder with
# webhook.zip …; without it they are built), ARCHITECTURE (of the zips; this machine's),
# ALERT_EMAIL, DATA_PARAMETERS and SERVICE_PARAMETERS (more `Name=Value` for the stacks),
# AWS_CLI (aws), TICKCTL (built by cargo).
set -euo pipefail
cd "$(dirname "$0")/.."

project=${PROJECT:-tickstream}
verb=${1:-}
[ $# -gt 0 ] && shift
export PROJECT=$project

aws() { command "${AWS_CLI:-aws}" "$@"; }

tickctl() {
  if [ -z "${TICKCTL:-}" ]; then
    # As tools/zips builds it, so that nothing is compiled twice.
    cargo build --release --quiet --locked -p tickctl -p webhook -p analytics -p broadcast -p redrive -p scaler
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
    fail "the AWS CLI is missing; \`pip install awscli\` in a virtual environment is enough, or set AWS_CLI"
  [ -n "${AWS_REGION:-${AWS_DEFAULT_REGION:-}}" ] || fail "set AWS_REGION, such as us-east-1"
}

output() { # stack key
  aws cloudformation describe-stacks --stack-name "$1" --output text \
    --query "Stacks[0].Outputs[?OutputKey=='$2'].OutputValue"
}

deploy_stack() { # stack template parameters…
  local stack=$1 template=$2
  shift 2
  aws cloudformation deploy --stack-name "$stack" --template-file "$template" \
    --capabilities CAPABILITY_IAM CAPABILITY_NAMED_IAM --no-fail-on-empty-changeset \
    --tags "project=$project" --parameter-overrides "Project=$project" "$@" >/dev/null ||
    fail "the stack $stack was not deployed; \`aws cloudformation describe-stack-events --stack-name $stack\` tells why"
  say stack "$stack: $(aws cloudformation describe-stacks --stack-name "$stack" --output text --query 'Stacks[0].StackStatus')"
}

architecture() {
  case ${ARCHITECTURE:-$(uname -m)} in
    arm64 | aarch64) echo arm64 ;;
    x86_64 | amd64) echo x86_64 ;;
    *) fail "ARCHITECTURE is arm64 or x86_64" ;;
  esac
}

# Two secrets may stand here at once; the deploy makes the first one, and never changes any.
make_secret() {
  local name="/$project/webhook-secrets"
  if aws ssm get-parameter --name "$name" --query Parameter.Version --output text >/dev/null 2>&1; then
    say secret "$name is there"
    return
  fi
  # Through a file: other users of the machine can read arguments.
  local file
  file=$(mktemp)
  printf '{"Name":"%s","Type":"SecureString","Value":"%s"}' "$name" "$(head -c 32 /dev/urandom | base64 | tr -d '=+/\n')" >"$file"
  aws ssm put-parameter --cli-input-json "file://$file" >/dev/null || { rm -f "$file"; fail "cannot store $name"; }
  rm -f "$file"
  say secret "$name was made; read it with \`aws ssm get-parameter --with-decryption --name $name\`"
}

deploy_infra() {
  need_aws
  local zips=${ZIPS:-target/lambda}
  if [ -z "${ZIPS:-}" ]; then
    tools/zips "$zips" >/dev/null
  fi
  for name in webhook analytics broadcast redrive scaler; do
    [ -f "$zips/$name.zip" ] || fail "$zips/$name.zip is missing; \`just zips\` builds it"
  done
  local version
  version=$(cat "$zips"/{webhook,analytics,broadcast,redrive,scaler}.zip | sha256sum | cut -c1-16)
  for name in webhook analytics broadcast redrive scaler; do
    say code "$(sha256sum "$zips/$name.zip" | cut -c1-16) $name.zip"
  done

  # An emulator does not compute in jq, which the day of the event needs.
  # An emulator is slower than AWS, and cannot cut a day out of a time.
  local day=event offer_within_ms=400
  [ -n "${AWS_ENDPOINT_URL:-}" ] && day=arrival && offer_within_ms=3000
  # Athena's databases have no hyphen in their names.
  # shellcheck disable=SC2086 # the parameters are words
  deploy_stack "$project-data" infra/data.yaml "Database=${project//-/_}" "ArchiveDay=$day" ${DATA_PARAMETERS:-}
  local bucket
  bucket=$(output "$project-data" ArtifactsBucketName)
  for name in webhook analytics broadcast redrive scaler; do
    aws s3 cp --only-show-errors "$zips/$name.zip" "s3://$bucket/$version/$name.zip"
  done
  say code "s3://$bucket/$version"
  make_secret
  # shellcheck disable=SC2086
  deploy_stack "$project-service" infra/service.yaml "CodeBucket=$bucket" "CodeVersion=$version" \
    "Architecture=$(architecture)" "AlertEmail=${ALERT_EMAIL:-}" \
    "EmulatorEndpoint=${AWS_ENDPOINT_URL:-}" "OfferWithinMs=$offer_within_ms" ${SERVICE_PARAMETERS:-}
  deploy_stack "$project-alarms" infra/alarms.yaml
  if [ -n "${AWS_ENDPOINT_URL:-}" ]; then
    say stack "$project-alarms-math: left out; emulators refuse what is in it"
  else
    # It shares parameters with both; the CLI leaves out what a template does not have.
    # shellcheck disable=SC2086
    deploy_stack "$project-alarms-math" infra/alarms-math.yaml ${DATA_PARAMETERS:-} ${SERVICE_PARAMETERS:-}
  fi
  say webhook "$(output "$project-service" WebhookUrl)/webhooks/SOURCE"
  say live "$(output "$project-service" LiveUrl)"
  say rollout "$(aws ssm get-parameter --name "/$project/rollout" --query Parameter.Value --output text)"
}

case $verb in
  infra) deploy_infra ;;
  canary | 10 | 50 | 100) need_aws && tickctl rollout to "$verb" "$@" ;;
  rollback) need_aws && tickctl rollout back "$@" ;;
  status) need_aws && tickctl rollout status "$@" ;;
  *)
    sed -n '2,12p' "$0" | sed 's/^# \{0,1\}//' >&2
    exit 2
    ;;
esac
