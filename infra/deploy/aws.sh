# shellcheck shell=bash
# What every verb needs: the CLI, messages, and answers about stacks and parameters.

aws() { command "${AWS_CLI:-aws}" "$@"; }

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

# Sets `answer` to the output of a CLI call. If the call fails with an error that matches the pattern, which is that of
# something that does not exist, `answer` is empty. Any other error ends the script: a timeout is not a missing stack.
ask() { # pattern arguments…
  local pattern=$1 errors code=0
  shift
  errors=$(mktemp)
  answer=$(aws "$@" 2>"$errors") || code=$?
  if [ "$code" != 0 ] && ! grep -q "$pattern" "$errors"; then
    local reason
    reason=$(grep -v '^ *$' "$errors" | tail -n 1) || true
    rm -f "$errors"
    fail "AWS did not answer \`aws $1 $2\`: ${reason:-exit code $code}"
  fi
  rm -f "$errors"
  [ "$code" = 0 ] || answer=
  [ "$answer" != None ] || answer=
}

# Sets `answer` to the status of a stack; empty if it does not exist.
ask_stack() { # stack
  ask 'does not exist' cloudformation describe-stacks --stack-name "$1" --output text --query 'Stacks[0].StackStatus'
}

# Sets `answer` to the deployed value of a stack's parameter; empty if there is no such stack or parameter.
ask_stack_parameter() { # stack name
  ask 'does not exist' cloudformation describe-stacks --stack-name "$1" --output text \
    --query "Stacks[0].Parameters[?ParameterKey=='$2'].ParameterValue"
}

output() { # stack key
  aws cloudformation describe-stacks --stack-name "$1" --output text \
    --query "Stacks[0].Outputs[?OutputKey=='$2'].OutputValue"
}

# The share in the flag, which is a percentage or JSON.
share() {
  local value
  value=$(aws ssm get-parameter --name "$flag" --query Parameter.Value --output text)
  case $value in
    *'"use_kinesis":false'*) value=0 ;;
    *'"percentage":'*) value=$(sed 's/.*"percentage": *"\{0,1\}\([0-9.]*\).*/\1/' <<<"$value") ;;
  esac
  echo "$value %"
}
