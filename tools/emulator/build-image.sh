#!/usr/bin/env bash
# Builds the emulator's image on a machine that cannot pull images: debootstrap creates the Debian base,
# the wheels are downloaded here, and the build runs without network.
#
#   tools/emulator/build-image.sh [NAME:TAG]      default local/ministack:1.5.33; the tag is the version
#
# Needs root, docker, debootstrap, and python3 with pip. Takes about two minutes; the image has 385 MB.
set -euo pipefail

image=${1:-local/ministack:1.5.33}
version=${image##*:}
base=local/bookworm-python:1
requirements=$(cd "$(dirname "$0")/../python" && pwd)/requirements.txt
here=$(cd "$(dirname "$0")" && pwd)

for tool in docker debootstrap python3; do
  command -v "$tool" >/dev/null || {
    echo "build-image: '$tool' is missing; on Debian: apt-get install docker.io debootstrap python3-venv" >&2
    exit 1
  }
done
[ "$(id -u)" = 0 ] || { echo "build-image: debootstrap needs root; run it with sudo" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if ! docker image inspect "$base" >/dev/null 2>&1; then
  echo "build-image: the base $base from Debian 12" >&2
  debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$work/system" \
    >"$work/debootstrap.log" 2>&1 || { tail -20 "$work/debootstrap.log" >&2; exit 1; }
  rm -rf "$work"/system/var/cache/apt/archives/*.deb "$work"/system/var/lib/apt/lists/* \
    "$work"/system/usr/share/{doc,man,locale}/*
  tar -C "$work/system" --numeric-owner -c . | docker import - "$base" >/dev/null
fi

# The image's Python is Debian 12's, whatever Python runs here. DuckDB in the version of the tests.
echo "build-image: wheels of MiniStack $version" >&2
duckdb=$(grep -m1 '^duckdb==' "$requirements")
# For CloudWatch's protocol; MiniStack does not declare this dependency.
cbor=$(grep -m1 '^cbor2==' "$requirements")
mkdir "$work/context"
cp -r "$here/Dockerfile" "$here/ready.d" "$work/context/"
chmod 755 "$work"/context/ready.d/*
python3 -m pip download --quiet --disable-pip-version-check --only-binary=:all: --python-version 3.11 \
  --dest "$work/context/wheels" "ministack[full]==$version" "$duckdb" "$cbor"
docker build --quiet --network none --build-arg "MINISTACK_VERSION=$version" --tag "$image" "$work/context" >/dev/null
echo "build-image: $image is ready" >&2
