//! `infra/deploy.sh` with a fake AWS CLI that records its calls.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use integration::bootstraps::FUNCTIONS;
use tempfile::TempDir;

/// Responds to the calls of the script. A stack's status is in the file with its name.
const CLI: &str = r#"#!/usr/bin/env bash
echo "$AWS_REGION/$AWS_DEFAULT_REGION $*" >>"$HERE/calls"
case "$*" in
  *"'Architecture'"*) cat "$HERE/architecture" ;;
  *"'NewIdsFromMs'"*) cat "$HERE/new-ids-from" ;;
  *StackStatus*) cat "$HERE/$4" 2>/dev/null ;;
  *list-functions*) cat "$HERE/functions" ;;
  *deploy*) echo UPDATE_COMPLETE >"$HERE/$4" ;;
  *describe-stacks*) echo output ;;
  *get-parameter*) cat "$HERE/flag" ;;
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

/// Variables that a developer may have set.
const OPTIONS: [&str; 8] = [
    "ALERT_EMAIL",
    "ARCHITECTURE",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "BUILDER",
    "DATA_PARAMETERS",
    "SERVICE_PARAMETERS",
];

struct Sandbox(TempDir);

struct Outcome {
    code: i32,
    out: String,
    err: String,
    calls: String,
}

impl Sandbox {
    fn new() -> Self {
        let sandbox = Self(tempfile::tempdir().unwrap());
        sandbox.write("aws", CLI);
        sandbox.write("tickctl-output", "");
        sandbox.write("flag", "0\n");
        sandbox.write("architecture", "arm64\n");
        sandbox.write("new-ids-from", "0\n");
        sandbox.write(
            "tickctl",
            "#!/usr/bin/env bash\ncat \"$HERE/tickctl-output\"\n",
        );
        sandbox.write("nix", NIX);
        for program in ["aws", "tickctl", "nix"] {
            sandbox.make_executable(program);
        }
        let empty = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let listed = FUNCTIONS.map(|name| {
            sandbox.write(&format!("{name}.zip"), "");
            format!("{empty}\tprices-{name}\n")
        });
        sandbox.write("functions", &listed.concat());
        sandbox
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
    }

    fn make_executable(&self, name: &str) {
        let runs = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.path().join(name), runs).unwrap();
    }

    fn run(&self, verb: &str, environment: &[(&str, &str)]) -> Outcome {
        self.write("calls", "");
        let mut script = Command::new("bash");
        for name in OPTIONS {
            script.env_remove(name);
        }
        // The fake programs take precedence over the installed ones.
        let output = script
            .args(["-c", r#"PATH="$HERE:$PATH" exec bash "$0" "$@""#])
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/deploy.sh"))
            .arg(verb)
            .env("HERE", self.path())
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
            calls: fs::read_to_string(self.path().join("calls")).unwrap(),
        }
    }
}

const REGION: (&str, &str) = ("AWS_REGION", "eu-central-1");

impl Outcome {
    /// Asserts that it failed with this message before anything was deployed.
    #[track_caller]
    fn assert_refused(&self, message: &str) {
        assert_ne!(self.code, 0);
        assert!(self.err.contains(message), "{}", self.err);
        let deploys = self.calls.contains("deploy --stack-name");
        assert!(!deploys, "{}", self.calls);
    }

    /// The call that deployed a stack.
    #[track_caller]
    fn deploy(&self, stack: &str) -> &str {
        assert_eq!(self.code, 0, "{}\n{}", self.err, self.calls);
        let start = format!("cloudformation deploy --stack-name prices-{stack} ");
        let mut deploys = self.calls.lines().filter(|call| call.contains(&start));
        deploys.next().unwrap()
    }
}

#[test]
fn the_cli_gets_the_region_from_either_variable() {
    for (set, region) in [
        (vec![REGION], "eu-central-1"),
        (vec![("AWS_DEFAULT_REGION", "us-east-1")], "us-east-1"),
        (
            vec![REGION, ("AWS_DEFAULT_REGION", "us-east-1")],
            "eu-central-1",
        ),
    ] {
        let outcome = Sandbox::new().run("infra", &set);
        assert_eq!(outcome.code, 0, "{}", outcome.err);
        let each = outcome.calls.lines();
        let wrong: Vec<&str> = each
            .filter(|call| !call.starts_with(&format!("{region}/{region} ")))
            .collect();
        assert!(!outcome.calls.is_empty() && wrong.is_empty(), "{wrong:?}");
    }
    let outcome = Sandbox::new().run("infra", &[]);
    assert!(
        outcome.code != 0 && outcome.err.contains("set AWS_REGION"),
        "{}",
        outcome.err
    );
}

#[test]
fn parameters_that_are_not_set_keep_their_deployed_values() {
    let sandbox = Sandbox::new();
    let outcome = sandbox.run("infra", &[REGION]);
    assert!(
        !outcome.deploy("data").contains("ArchiveDay="),
        "the default"
    );
    for chosen in ["AlertEmail=", "OfferWithinMs="] {
        assert!(!outcome.deploy("service").contains(chosen), "{chosen}");
    }
    let emails = [
        ("a@example.com", "AlertEmail=a@example.com "),
        ("", "AlertEmail= "),
    ];
    for (email, expected) in emails {
        let outcome = sandbox.run("infra", &[REGION, ("ALERT_EMAIL", email)]);
        let call = format!("{} ", outcome.deploy("service"));
        assert!(call.contains(expected), "{call}");
    }
}

#[test]
fn only_the_upgrade_from_1_0_sets_when_the_new_ids_begin() {
    let now_ms = || {
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        i64::try_from(since.as_millis()).unwrap()
    };
    let sandbox = Sandbox::new();
    let outcome = sandbox.run("infra", &[REGION]);
    assert!(
        !outcome.deploy("service").contains("NewIdsFromMs="),
        "a new stack has the default"
    );

    // A stack of 1.0 has no such parameter; CLIs print that as nothing, or as `None`.
    for absent in ["", "\n", "None\n"] {
        sandbox.write("new-ids-from", absent);
        let earliest_ms = now_ms();
        let outcome = sandbox.run("infra", &[REGION]);
        let call = outcome.deploy("service");
        let (_, value) = call.split_once(" NewIdsFromMs=").unwrap();
        let from_ms: i64 = value.split(' ').next().unwrap().parse().unwrap();
        let allowed = earliest_ms + 899_000..=now_ms() + 900_000;
        assert!(
            allowed.contains(&from_ms),
            "{from_ms} is not in {allowed:?}"
        );
        // An operator's own value comes last, and the last one wins.
        let own = ("SERVICE_PARAMETERS", "NewIdsFromMs=7");
        let outcome = sandbox.run("infra", &[REGION, own]);
        assert!(outcome.deploy("service").ends_with(" NewIdsFromMs=7"));
    }
    for deployed in ["0\n", "1767225600000\n"] {
        sandbox.write("new-ids-from", deployed);
        let outcome = sandbox.run("infra", &[REGION]);
        assert!(
            !outcome.deploy("service").contains("NewIdsFromMs="),
            "{deployed}"
        );
    }
    std::fs::remove_file(sandbox.path().join("new-ids-from")).unwrap();
    let outcome = sandbox.run("infra", &[REGION]);
    assert!(
        outcome
            .err
            .contains("cannot read the parameters of prices-service"),
        "{}",
        outcome.err
    );
}

#[test]
fn the_archive_day_of_an_emulator_is_only_set_by_the_first_deploy() {
    let sandbox = Sandbox::new();
    let emulated = [REGION, ("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")];
    let outcome = sandbox.run("infra", &emulated);
    assert!(outcome.deploy("data").contains("ArchiveDay=arrival"));
    assert!(outcome.deploy("service").contains("OfferWithinMs=3000"));
    let outcome = sandbox.run("infra", &emulated);
    assert!(!outcome.deploy("data").contains("ArchiveDay="));
}

#[test]
fn the_alarm_stacks_get_the_function_url_parameter() {
    let url = ("SERVICE_PARAMETERS", "WebhookFunctionUrl=true");
    let outcome = Sandbox::new().run("infra", &[REGION, url]);
    for stack in ["service", "alarms", "alarms-math"] {
        let call = outcome.deploy(stack);
        assert!(call.contains("WebhookFunctionUrl=true"), "{call}");
    }
}

#[test]
fn a_stack_that_cannot_be_updated_is_reported_with_a_remedy() {
    let sandbox = Sandbox::new();
    sandbox.write("prices-service", "ROLLBACK_COMPLETE\n");
    let outcome = sandbox.run("infra", &[REGION]);
    assert_ne!(outcome.code, 0);
    let remedy = "aws cloudformation delete-stack --stack-name prices-service";
    assert!(outcome.err.contains(remedy), "{}", outcome.err);
    assert!(!outcome.calls.contains("deploy --stack-name prices-service"));

    sandbox.write("prices-service", "UPDATE_IN_PROGRESS\n");
    let outcome = sandbox.run("infra", &[REGION]);
    assert!(outcome.err.contains("is being changed"), "{}", outcome.err);
}

/// No prebuilt zips: the script builds them.
const NO_ZIPS: (&str, &str) = ("ZIPS", "");

#[test]
fn nix_builds_the_zips_if_it_can_get_nixpkgs() {
    let sandbox = Sandbox::new();
    for (architecture, output) in [("arm64", "lambda-zips"), ("x86_64", "lambda-zips-x86_64")] {
        let architecture = ("ARCHITECTURE", architecture);
        for builder in [None, Some(("BUILDER", "nix"))] {
            let given = [REGION, NO_ZIPS, architecture].into_iter().chain(builder);
            let outcome = sandbox.run("infra", &given.collect::<Vec<_>>());
            assert_eq!(outcome.code, 0, "{}", outcome.err);
            let build = format!(" build --no-link --print-out-paths .#{output}\n");
            assert!(outcome.calls.contains(&build), "{}", outcome.calls);
            let expected = format!("build     with nix for {}\n", architecture.1);
            assert!(outcome.out.contains(&expected), "{}", outcome.out);
            let code = "code      e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 webhook.zip\n";
            assert!(outcome.out.contains(code), "{}", outcome.out);
        }
    }
}

#[test]
fn the_share_is_read_from_every_form_of_the_flag() {
    let sandbox = Sandbox::new();
    for (flag, share) in [
        ("0", "0"),
        (
            r#"{"use_kinesis":true,"percentage":"12.5","key":"tick"}"#,
            "12.5",
        ),
        (
            r#"{"use_kinesis":false,"percentage":"12.5","key":"tick"}"#,
            "0",
        ),
    ] {
        sandbox.write("flag", flag);
        let outcome = sandbox.run("infra", &[REGION]);
        let line = format!("\nrollout   {share} %\n");
        assert!(
            outcome.out.contains(&line),
            "{}\n{}",
            outcome.out,
            outcome.err
        );
    }
}

#[test]
fn an_unknown_stage_is_reported_before_the_usage() {
    let outcome = Sandbox::new().run("5", &[REGION]);
    assert_eq!(outcome.code, 2);
    let named = "deploy: `5` is not a verb; the stages are canary, 10, 50 and 100\n";
    assert!(outcome.err.starts_with(named), "{}", outcome.err);
    assert!(
        outcome.err.contains("ALERT_EMAIL") && outcome.err.ends_with("(built by cargo).\n"),
        "{}",
        outcome.err
    );
    assert_eq!(outcome.calls, "");
}

#[test]
fn a_deploy_from_another_machine_keeps_the_architecture() {
    let sandbox = Sandbox::new();
    // The deployed one is kept, whatever this machine has, unless ARCHITECTURE is set.
    for (deployed, requested, expected) in [
        ("arm64", None, "arm64"),
        ("x86_64", None, "x86_64"),
        ("arm64", Some("x86_64"), "x86_64"),
    ] {
        sandbox.write("prices-service", "UPDATE_COMPLETE\n");
        sandbox.write("architecture", &format!("{deployed}\n"));
        let requested = requested.map(|architecture| ("ARCHITECTURE", architecture));
        let given = [REGION, NO_ZIPS].into_iter().chain(requested);
        let outcome = sandbox.run("infra", &given.collect::<Vec<_>>());
        let parameter = format!(" Architecture={expected} ");
        assert!(
            outcome.deploy("service").contains(&parameter),
            "{}",
            outcome.calls
        );
        assert!(
            outcome.out.contains(&format!("for {expected}\n")),
            "{}",
            outcome.out
        );
    }
    // If it cannot be read, it is not guessed.
    fs::remove_file(sandbox.path().join("architecture")).unwrap();
    let outcome = sandbox.run("infra", &[REGION]);
    outcome.assert_refused("set ARCHITECTURE to arm64 or x86_64");
}

#[test]
fn a_builder_that_fails_is_reported_with_the_alternative() {
    let sandbox = Sandbox::new();
    sandbox.write("broken", "");
    let outcome = sandbox.run("infra", &[REGION, NO_ZIPS, ("BUILDER", "nix")]);
    outcome.assert_refused("or set BUILDER=cargo");

    let outcome = sandbox.run("infra", &[REGION, NO_ZIPS, ("BUILDER", "make")]);
    assert!(
        outcome.err.contains("the builder must be nix or cargo"),
        "{}",
        outcome.err
    );
}

#[test]
fn without_nixpkgs_the_deploy_says_why_it_builds_with_cargo() {
    let sandbox = Sandbox::new();
    // Ends before anything is compiled.
    sandbox.write("cargo", "#!/usr/bin/env bash\nexit 1\n");
    sandbox.make_executable("cargo");
    let hint = "(use '--show-trace' to show detailed location information)";
    for (error, reason) in [
        (
            format!("warning: slow\nerror: unable to download 'x'\n{hint}\n"),
            "unable to download 'x'",
        ),
        (
            "error:\n       … while fetching\n\n       error: no network\n".to_owned(),
            "no network",
        ),
        ("killed\n".to_owned(), "killed"),
    ] {
        sandbox.write("broken", &error);
        let outcome = sandbox.run("infra", &[REGION, NO_ZIPS]);
        let line = format!("since Nix cannot get nixpkgs: {reason}\n");
        outcome.assert_refused(&line);
    }
}

#[test]
fn the_status_compares_the_webhooks_hash_with_lambdas() {
    let sandbox = Sandbox::new();
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    sandbox.write(
        "tickctl-output",
        &format!("code      {empty} webhook 0.1.0\n"),
    );
    let outcome = sandbox.run("status", &[REGION]);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    assert!(
        outcome
            .out
            .contains(&format!("lambda    {empty} prices-webhook\n")),
        "{}",
        outcome.out
    );

    let other = "1".repeat(64);
    sandbox.write(
        "tickctl-output",
        &format!("code      {other} webhook 0.1.0\n"),
    );
    let outcome = sandbox.run("status", &[REGION]);
    assert_ne!(outcome.code, 0);
    assert!(
        outcome.out.contains(&other),
        "shown anyway: {}",
        outcome.out
    );
    assert!(
        outcome.err.contains("which is not Lambda's"),
        "{}",
        outcome.err
    );
}
