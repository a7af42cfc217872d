# One verb a line; `just` lists them.

# List the verbs
default:
    @just --list --unsorted

# Start tickstream on embedded storage
[group: 'dev']
serve *ARGS:
    cargo run --release -- {{ARGS}}

# Start it with the built-in market
[group: 'dev']
demo:
    cargo run --release -- --demo

# Query the archive in SQL: just sql run candles -p token=BTC -p from=now-1h
[group: 'dev']
[positional-arguments]
sql *ARGS:
    cargo run --release -p ticksql -- "$@"

# Merge the small files of closed days in the archive into a few large ones
[group: 'dev']
[positional-arguments]
compact *ARGS:
    cargo run --release -p tickctl -- compact "$@"

# Check a tickstream, here or on AWS: just doctor --aws --project prices
[group: 'dev']
[positional-arguments]
doctor *ARGS:
    cargo run --release -p tickctl -- doctor "$@"

# Format everything
[group: 'check']
fmt:
    cargo fmt --all

# Lints, as in CI
[group: 'check']
lint:
    cargo clippy --workspace --all-targets --locked -- -D warnings

# The README's test command
[group: 'check']
test:
    cargo test --workspace --locked

# Licences, sources and crate boundaries
[group: 'check']
deny:
    cargo deny --locked check bans licenses sources

# Known weaknesses of dependencies; CI checks them where the advisory database can be fetched
[group: 'check']
advisories:
    cargo deny --locked check advisories

# Any bytes as deliveries of each source, RUNS each, starting from its fixtures (needs cargo-fuzz)
[group: 'check']
fuzz RUNS='800000':
    #!/usr/bin/env bash
    set -euo pipefail
    cd fuzz
    for target in $(cargo fuzz list); do
      mkdir -p "corpus/$target"
      cargo fuzz run --sanitizer none "$target" "corpus/$target" "../shared/sources/tests/fixtures/${target//_/-}" \
        -- -runs={{RUNS}} -max_len=8192
    done

# The flake, without nixpkgs: `evaluate`, or names of its checks; without arguments all, built twice
[group: 'check']
nix-check *CHECKS:
    bash tools/nix-host-check {{CHECKS}}

# What CI runs
[group: 'check']
ci:
    bash .ci/run

# Accept changed snapshots, after a look at the diff
[group: 'golden']
bless:
    INSTA_UPDATE=always cargo test --workspace --locked

# Record the answers of Athena's engine to sql/dialect again, and look at the diff (JDK 24 or later, and Maven)
[group: 'golden']
athena-answers:
    cargo test --workspace --locked --test query_it golden
    tools/athena-engine/record

# Run COUNT statements, generated from SEED, on Athena's engine and the local one, and show what differs
[group: 'golden']
athena-generate SEED COUNT *OPTIONS:
    cargo build --locked -p ticksql
    tools/athena-engine/generate {{SEED}} {{COUNT}} --ticksql "${CARGO_TARGET_DIR:-target}/debug/ticksql" {{OPTIONS}}

# Benchmarks of parsing and analysis
[group: 'bench']
bench:
    cargo bench -p sources -p domain -p analytics --benches

# ticksql against DuckDB, and bytes by layout, on 50 million generated ticks (the script says what it needs)
[group: 'bench']
sql-figures FOLDER *OPTIONS:
    cargo build --release --locked -p ticksql -p tickctl
    python3 tools/sql-figures {{FOLDER}} {{OPTIONS}}

# Candles and averages beside DuckDB's, over real trades (CSV: timestamp,id,price,amount)
[group: 'bench']
check-analytics FILE *OPTIONS:
    cargo build --release --locked -p tickstream
    tools/check-analytics {{FILE}} --tickstream "${CARGO_TARGET_DIR:-target}/release/tickstream" {{OPTIONS}}

# CPU time and memory of the Lambdas beside the same functions in Node (needs npm and Node 20 or later)
[group: 'bench']
lambda-figures *OPTIONS:
    cargo build --release --locked -p webhook -p analytics
    tools/lambda-figures/figures {{OPTIONS}}

# What the detector of anomalies and others find of faults in markets: the CSV series of FOLDER, or generated ones
[group: 'bench']
detector-markets *FOLDER:
    cargo run --release --locked --manifest-path tools/detector-markets/Cargo.toml -- {{FOLDER}}

# Open-loop load on a running tickstream
[group: 'bench']
load RATE='4000' SECONDS='60' BATCH='1':
    cargo run --release -p tickctl -- load --rate {{RATE}} --seconds {{SECONDS}} --batch {{BATCH}} --to http://127.0.0.1:8080

# Run emulated AWS on port 4566 until Ctrl-C
[group: 'aws']
emulator:
    cargo build --workspace --bins --locked
    "${CARGO_TARGET_DIR:-target}/debug/emulator" --port 4566

# Deploy to AWS or an emulator: infra, canary, 10, 50 or 100, or `code [VERSION]` for earlier code
[group: 'aws']
[positional-arguments]
deploy STAGE *OPTIONS:
    bash infra/deploy.sh "$@"

# Set the share to 0 % with only the AWS CLI, then wait until no new tick arrives in the stream
[group: 'aws']
[positional-arguments]
rollback *OPTIONS:
    bash infra/deploy.sh rollback "$@"

# The flag, its last changes, the alarms, and which code answers and did before
[group: 'aws']
[positional-arguments]
status *OPTIONS:
    bash infra/deploy.sh status "$@"

# Build the Lambdas' zips, with the same checksums from every folder
[group: 'aws']
zips *FOLDER:
    bash tools/zips {{FOLDER}}

# Build the zips here and in another folder, and compare their checksums
[group: 'aws']
verify-reproducible:
    bash tools/verify-reproducible

# List what each zip is made of, as CycloneDX
[group: 'aws']
sbom FOLDER='target/lambda':
    bash tools/sbom {{FOLDER}}
