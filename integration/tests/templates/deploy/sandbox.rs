//! A folder with fake programs, in which the script runs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use integration::bootstraps::FUNCTIONS;
use tempfile::TempDir;

/// Responds like AWS from files of the folder: `stack-NAME` is the status of a stack, `parameter-NAME` a deployed
/// parameter of one, `ssm/NAME` the values of a parameter, the newest last, and `s3/` the buckets. If `silent` exists,
/// AWS does not respond.
const CLI: &str = r#"#!/usr/bin/env bash
cd "$HERE"
echo "$AWS_REGION/$AWS_DEFAULT_REGION $*" >>calls
[ ! -e silent ] || { echo 'Could not connect to the endpoint URL: "https://…"' >&2; exit 255; }
refuse() { echo "An error occurred ($1) when calling an operation: $2" >&2; exit 254; }
option() { while [ $# -gt 1 ]; do [ "$1" != "$wanted" ] || { echo "$2"; return; }; shift; done; }
value() { wanted=$1; shift; option "$@"; }
file() { case $1 in s3://*) echo "s3/${1#s3://}" ;; *) echo "$1" ;; esac; }
name=$(value --name "$@")
function=$(value --function-name "$@")
case "$1 $2" in
  "sts get-caller-identity") printf '123456789012\tarn:aws:iam::123456789012:user/ann\n' ;;
  "lambda get-account-settings") cat quota-functions 2>/dev/null || refuse AccessDenied "not allowed" ;;
  "dynamodb describe-limits") cat quota-writes 2>/dev/null || refuse AccessDenied "not allowed" ;;
  "cloudformation deploy") echo UPDATE_COMPLETE >"stack-$(value --stack-name "$@")" ;;
  "cloudformation describe-stacks")
    stack=$(value --stack-name "$@")
    case "$*" in
      *Outputs*) echo output; exit ;;
    esac
    [ -e "stack-$stack" ] || refuse ValidationError "Stack with id $stack does not exist"
    case "$*" in
      *StackStatus*) cat "stack-$stack" ;;
      *) cat "parameter-$(sed "s/.*ParameterKey=='\([A-Za-z]*\)'.*/\1/" <<<"$*")" 2>/dev/null || echo None ;;
    esac
    ;;
  "ssm get-parameter" | "ssm get-parameter-history")
    [ -e "ssm$name" ] || refuse ParameterNotFound "no such parameter"
    case "$*" in
      *Parameter.Version*) wc -l <"ssm$name" ;;
      *get-parameter-history*) paste -s -d '\t' "ssm$name" ;;
      *) tail -n 1 "ssm$name" ;;
    esac
    ;;
  "ssm put-parameter")
    [ -n "$name" ] || name=$(sed 's/.*"Name":"\([^"]*\)".*/\1/' "$(value --cli-input-json "$@" | sed 's,^file://,,')")
    mkdir -p "ssm${name%/*}"
    case "$*" in
      *--overwrite*) [ -e "ssm$name" ] || case "$*" in *--type*) ;; *) refuse ParameterNotFound "no such parameter" ;; esac ;;
      *) [ ! -e "ssm$name" ] || refuse ParameterAlreadyExists "it exists" ;;
    esac
    value --value "$@" >>"ssm$name"
    echo 1
    ;;
  "s3 cp")
    from=$(file "$4") to=$(file "$5")
    [ "$to" = - ] || mkdir -p "${to%/*}"
    case $from in -) cat >"$to" ;; *) [ -e "$from" ] || refuse 404 "Not Found"; [ "$to" = - ] && cat "$from" || cp "$from" "$to" ;; esac
    ;;
  "lambda publish-version") printf '%s\t%s\n' "$(cat "next-$function" 2>/dev/null || echo 7)" "$(cat "hash-$function")" ;;
  "lambda update-alias") echo "$(value --function-version "$@") $(value --routing-config "$@")" >>"alias-$function" ;;
  "lambda get-function-configuration") cat "hash-$function" ;;
  "cloudwatch describe-alarms") cat alarms-on 2>/dev/null || true ;;
  "cloudwatch get-metric-statistics") cat errors 2>/dev/null || true ;;
  "logs filter-log-events") cat late 2>/dev/null || echo 0 ;;
esac
"#;

/// Responds to `nix eval` and `nix build` as if nixpkgs were available, unless a file `broken` exists, which
/// is its error.
const NIX: &str = r#"#!/usr/bin/env bash
echo "nix $*" >>"$HERE/calls"
[ ! -e "$HERE/broken" ] || { cat "$HERE/broken" >&2; exit 1; }
case "$*" in
  *" build "*) echo "$HERE" ;;
esac
"#;

const TICKCTL: &str = r#"#!/usr/bin/env bash
echo "tickctl $*" >>"$HERE/calls"
cat "$HERE/tickctl-output"
"#;

/// Fakes that must not be waited for or compile anything.
const NOTHING: &str = "#!/usr/bin/env bash\nexit 1\n";

/// Variables that a developer may have set.
const OPTIONS: [&str; 11] = [
    "ALERT_EMAIL",
    "ARCHITECTURE",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "BUILDER",
    "CANARY_SECONDS",
    "CARGO_TARGET_DIR",
    "DATA_PARAMETERS",
    "QUOTAS",
    "SERVICE_PARAMETERS",
];

pub(crate) const REGION: (&str, &str) = ("AWS_REGION", "eu-central-1");

/// No prebuilt zips: the script builds them.
pub(crate) const NO_ZIPS: (&str, &str) = ("ZIPS", "");

/// Without a program that was given or built: it is fetched.
pub(crate) const NO_TICKCTL: (&str, &str) = ("TICKCTL", "");

/// The SHA-256 of no bytes, which is what each zip has.
pub(crate) const EMPTY_SHA256: &str =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The same as Lambda writes it.
const EMPTY_BASE64: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n";

/// The name of `tickctl` for this machine among the files of a version.
pub(crate) fn tickctl_name() -> String {
    let system = Command::new("uname").args(["-s", "-m"]).output().unwrap();
    let system = String::from_utf8(system.stdout).unwrap();
    format!("tickctl-{}", system.trim().replace(' ', "-"))
}

pub(crate) struct Sandbox(TempDir);

pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) calls: String,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        let sandbox = Self(tempfile::tempdir().unwrap());
        sandbox.write("tickctl-output", "");
        sandbox.write("parameter-Architecture", "arm64\n");
        sandbox.write("parameter-NewIdsFromMs", "0\n");
        sandbox.write("quota-functions", "1000\n");
        sandbox.write("quota-writes", "40000\n");
        for (program, text) in [
            ("aws", CLI),
            ("tickctl", TICKCTL),
            ("nix", NIX),
            ("cargo", NOTHING),
            ("sleep", "#!/usr/bin/env bash\n"),
        ] {
            sandbox.write(program, text);
            sandbox.make_executable(program);
        }
        // The operators' program beside the zips.
        sandbox.write(&tickctl_name(), TICKCTL);
        for name in FUNCTIONS {
            sandbox.write(&format!("{name}.zip"), "");
            sandbox.write(&format!("hash-prices-{name}"), EMPTY_BASE64);
        }
        sandbox
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The content of a file; empty if it does not exist.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap_or_default()
    }

    pub(crate) fn make_executable(&self, name: &str) {
        let runs = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.path().join(name), runs).unwrap();
    }

    pub(crate) fn run(&self, verb: &str, environment: &[(&str, &str)]) -> Outcome {
        self.run_with(&[verb], environment)
    }

    pub(crate) fn run_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Outcome {
        self.write("calls", "");
        let mut script = Command::new("bash");
        for name in OPTIONS {
            script.env_remove(name);
        }
        // The fake programs take precedence over the installed ones.
        let output = script
            .args(["-c", r#"PATH="$HERE:$PATH" exec bash "$0" "$@""#])
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/deploy.sh"))
            .args(arguments)
            .env("HERE", self.path())
            .env("XDG_CACHE_HOME", self.path().join("cache"))
            // A folder without programs that were built.
            .env("CARGO_TARGET_DIR", self.path().join("target"))
            .env("ZIPS", self.path())
            .env("AWS_CLI", self.path().join("aws"))
            .env("TICKCTL", self.path().join("tickctl"))
            .env("PROJECT", "prices")
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        Outcome {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
            calls: self.read("calls"),
        }
    }
}

impl Outcome {
    /// Asserts that it failed with this message before anything was deployed.
    #[track_caller]
    pub(crate) fn assert_refused(&self, message: &str) {
        assert_ne!(self.code, 0);
        assert!(self.err.contains(message), "{}", self.err);
        let deploys = self.calls.contains("deploy --stack-name");
        assert!(!deploys, "{}", self.calls);
    }

    /// The output; it must have succeeded.
    #[track_caller]
    pub(crate) fn ok(&self) -> &str {
        assert_eq!(self.code, 0, "{}\n{}", self.out, self.err);
        &self.out
    }

    /// The calls; it must have succeeded.
    #[track_caller]
    pub(crate) fn ok_calls(&self) -> &str {
        self.ok();
        &self.calls
    }

    /// The first call that deployed a stack.
    #[track_caller]
    pub(crate) fn deploy(&self, stack: &str) -> &str {
        assert_eq!(self.code, 0, "{}\n{}", self.err, self.calls);
        let start = format!("cloudformation deploy --stack-name prices-{stack} ");
        let mut deploys = self.calls.lines().filter(|call| call.contains(&start));
        deploys.next().unwrap()
    }
}
