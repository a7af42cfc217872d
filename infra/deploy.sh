#!/usr/bin/env bash
# Deploys tickstream to AWS and controls its rollout: infra/deploy.sh VERB [OPTIONS]
#   infra                  stacks and code; the rollout flag is unchanged
#   code [VERSION]         code that was deployed before; without VERSION, the one before the current one
#   canary | 10 | 50 | 100 the share of ticks that goes to the stream, one stage at a time
#   rollback               0 % at once, with only the AWS CLI; then waits until the stream is drained
#   status                 flag, changes, alarms, and which code is deployed
# The stages, `rollback` and `status` take the options of `tickctl rollout`.
#
# Environment: PROJECT (tickstream), AWS_REGION, AWS_ENDPOINT_URL (an emulator), ZIPS (a folder with webhook.zip
# …; without it they are built), BUILDER (of the zips: nix or cargo; the default is Nix if it can get nixpkgs,
# else cargo), ARCHITECTURE (of the zips: arm64 or x86_64; the default is as deployed, or this machine's),
# ALERT_EMAIL, DATA_PARAMETERS and SERVICE_PARAMETERS (more `Name=Value` for the stacks), CANARY_SECONDS (how long
# a tenth of the deliveries goes to new code of the webhook first: 300, on an emulator 0), QUOTAS=ignore (deploy
# although a quota is low), AWS_CLI (aws), TICKCTL (the default is the deployed one, else cargo builds it).
set -euo pipefail
cd "$(dirname "$0")/.."

functions=(webhook analytics broadcast redrive scaler compaction)
project=${PROJECT:-tickstream}
verb=${1:-}
[ $# -gt 0 ] && shift
export PROJECT=$project
flag="/$project/rollout"

# shellcheck source=infra/deploy/aws.sh
. infra/deploy/aws.sh
# shellcheck source=infra/deploy/stacks.sh
. infra/deploy/stacks.sh
# shellcheck source=infra/deploy/zips.sh
. infra/deploy/zips.sh
# shellcheck source=infra/deploy/code.sh
. infra/deploy/code.sh
# shellcheck source=infra/deploy/operate.sh
. infra/deploy/operate.sh

deploy_infra() {
  need_aws
  show_who_and_where
  check_parameters
  check_quotas
  local architecture zips tool sums version bucket
  choose_architecture
  find_zips
  for name in "${functions[@]}"; do
    [ -f "$zips/$name.zip" ] || fail "$zips/$name.zip is missing: build it with \`just zips\`"
  done
  list_files
  deploy_data_stack
  bucket=$(output "$project-data" ArtifactsBucketName)
  upload_files
  make_secret
  make_flag
  deploy_service_stack
  deploy_alarm_stacks
  release
  say webhook "$(output "$project-service" WebhookUrl)/webhooks/SOURCE"
  say live "$(output "$project-service" LiveUrl)"
  say rollout "$(share)"
}

case $verb in
  infra) deploy_infra ;;
  code) need_aws && deploy_code "$@" ;;
  canary | 10 | 50 | 100) need_aws && need_tickctl && step "$verb" "$@" ;;
  rollback) need_aws && rollback "$@" ;;
  status) need_aws && status "$@" ;;
  *)
    [ -z "$verb" ] || echo "deploy: \`$verb\` is not a verb; the stages are canary, 10, 50 and 100" >&2
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
