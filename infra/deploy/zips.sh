# shellcheck shell=bash
# The files of a version: the functions' zips, and `tickctl` for the machine of whoever deploys.

# Fetching and evaluating nixpkgs takes at most a minute; without a network it may hang.
NIXPKGS_WITHIN_SECONDS=120

# Sets `architecture`. The deployed one takes precedence over this machine's: a deploy from another machine must
# not change it accidentally.
choose_architecture() {
  local chosen=${ARCHITECTURE:-} answer
  if [ -z "$chosen" ]; then
    ask_stack "$project-service"
    if [ -n "$answer" ]; then
      ask_stack_parameter "$project-service" Architecture
      [ -n "$answer" ] || fail "cannot read the architecture of $project-service: set ARCHITECTURE to arm64 or x86_64"
    fi
    chosen=$answer
  fi
  case ${chosen:-$(uname -m)} in
    arm64 | aarch64) architecture=arm64 ;;
    x86_64 | amd64) architecture=x86_64 ;;
    *) fail "the architecture must be arm64 or x86_64: set ARCHITECTURE" ;;
  esac
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

# The name of `tickctl` for this machine among the files of a version.
tickctl_name() { echo "tickctl-$(uname -s)-$(uname -m)"; }

# Sets `tool` to the program for operators, `sums` to the list of all files, and `version` to the hash of that list: who
# knows the version can check each file.
list_files() {
  local name
  tool=$zips/$(tickctl_name)
  if [ ! -f "$tool" ]; then
    tool=
    # Not for a folder that was given: its files are what somebody chose to deploy.
    if [ -z "${ZIPS:-}" ] && command -v cargo >/dev/null; then
      build_tickctl
      tool=$TICKCTL
    fi
  fi
  sums=$(for name in "${functions[@]}"; do echo "$(hash_of "$name")  $name.zip"; done)
  if [ -n "$tool" ]; then
    sums+=$'\n'"$(sha256sum "$tool" | cut -d' ' -f1)  $(tickctl_name)"
  else
    echo "deploy: there is no $(tickctl_name) beside the zips, so other machines need cargo or their own \`tickctl\` for the stages" >&2
  fi
  version=$(version_of "$sums")
  while read -r line; do say file "$line"; done <<<"$sums"
}

version_of() { sha256sum <<<"$1" | cut -c1-16; }

upload_files() {
  local folder="s3://$bucket/$version" name
  for name in "${functions[@]}"; do
    aws s3 cp --only-show-errors "$zips/$name.zip" "$folder/$name.zip"
  done
  [ -z "$tool" ] || aws s3 cp --only-show-errors "$tool" "$folder/$(tickctl_name)"
  aws s3 cp --only-show-errors - "$folder/SHA256SUMS" <<<"$sums"
  say version "$version, in $folder"
}

tickctl() { "$TICKCTL" "$@"; }

# Sets TICKCTL, so that no compiler is needed where one was deployed.
need_tickctl() {
  [ -n "${TICKCTL:-}" ] || fetch_tickctl || find_built_tickctl || {
    command -v cargo >/dev/null ||
      fail "there is no \`tickctl\`: \`just deploy infra\` puts it beside the zips, for machines like the one where it runs; or set TICKCTL"
    build_tickctl
  }
}

# Sets TICKCTL to what this checkout has built.
find_built_tickctl() {
  local built=${CARGO_TARGET_DIR:-target}/release/tickctl
  [ -x "$built" ] || return 1
  TICKCTL=$built
}

build_tickctl() {
  # Same arguments as in tools/zips, so nothing is compiled twice.
  tools/reproducible-cargo build --release --quiet --locked -p tickctl -p webhook -p analytics -p broadcast -p redrive -p scaler -p compaction ||
    fail "cargo did not build \`tickctl\`: see its output, or set TICKCTL"
  TICKCTL=${CARGO_TARGET_DIR:-target}/release/tickctl
}

# Sets TICKCTL to that of the deployed version, unless that has none for this machine.
fetch_tickctl() {
  local answer deployed folder name list file
  name=$(tickctl_name)
  ask_stack_parameter "$project-service" CodeVersion
  deployed=$answer
  ask_stack_parameter "$project-service" CodeBucket
  [ -n "$deployed" ] && [ -n "$answer" ] || return 1
  folder="s3://$answer/$deployed"
  list=$(aws s3 cp --only-show-errors "$folder/SHA256SUMS" - 2>/dev/null) || return 1
  [ "$(version_of "$list")" = "$deployed" ] ||
    fail "$folder/SHA256SUMS is not the list of version $deployed: deploy again with \`just deploy infra\`"
  list=$(grep " $name\$" <<<"$list") || return 1
  file=${XDG_CACHE_HOME:-$HOME/.cache}/tickstream/tickctl/$deployed/$name
  if ! is_listed "$file" "$list"; then
    mkdir -p "${file%/*}"
    aws s3 cp --only-show-errors "$folder/$name" "$file.part" || fail "cannot fetch $folder/$name"
    is_listed "$file.part" "$list" || { rm -f "$file.part"; fail "$folder/$name does not have the hash of version $deployed"; }
    chmod 755 "$file.part"
    mv "$file.part" "$file"
  fi
  TICKCTL=$file
}

is_listed() { # file line
  [ -f "$1" ] && [ "$(sha256sum "$1" | cut -d' ' -f1)" = "${2%% *}" ]
}
