//! `infra/deploy.sh` against a CLI of the tests, which writes down what it is called with.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// Answers what the script asks for. A stack's status is in a file of its name.
const CLI: &str = r#"#!/usr/bin/env bash
echo "$AWS_REGION/$AWS_DEFAULT_REGION $*" >>"$HERE/calls"
case "$*" in
  *"'Architecture'"*) cat "$HERE/architecture" ;;
  *StackStatus*) cat "$HERE/$4" 2>/dev/null ;;
  *list-functions*) cat "$HERE/functions" ;;
  *deploy*) echo UPDATE_COMPLETE >"$HERE/$4" ;;
  *describe-stacks*) echo output ;;
  *get-parameter*) cat "$HERE/flag" ;;
esac
"#;

/// Answers `nix eval` and `nix build` as a machine that can have nixpkgs, unless there is a file `broken`.
const NIX: &str = r#"#!/usr/bin/env bash
echo "nix $*" >>"$HERE/calls"
[ ! -e "$HERE/broken" ] || exit 1
case "$*" in
  *" build "*) echo "$HERE" ;;
esac
"#;

const FUNCTIONS: [&str; 5] = ["webhook", "analytics", "broadcast", "redrive", "scaler"];

/// What a person's own environment may hold.
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

struct Desk(TempDir);

struct Told {
    code: i32,
    out: String,
    err: String,
    calls: String,
}

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        desk.write("aws", CLI);
        desk.write("told", "");
        desk.write("flag", "0\n");
        desk.write("architecture", "arm64\n");
        desk.write("tickctl", "#!/usr/bin/env bash\ncat \"$HERE/told\"\n");
        desk.write("nix", NIX);
        for program in ["aws", "tickctl", "nix"] {
            let runs = fs::Permissions::from_mode(0o755);
            fs::set_permissions(desk.path().join(program), runs).unwrap();
        }
        let empty = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let listed = FUNCTIONS.map(|name| {
            desk.write(&format!("{name}.zip"), "");
            format!("{empty}\tprices-{name}\n")
        });
        desk.write("functions", &listed.concat());
        desk
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
    }

    fn run(&self, verb: &str, environment: &[(&str, &str)]) -> Told {
        self.write("calls", "");
        let mut script = Command::new("bash");
        for name in OPTIONS {
            script.env_remove(name);
        }
        // Programs of the desk go before the machine's.
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
        Told {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
            calls: fs::read_to_string(self.path().join("calls")).unwrap(),
        }
    }
}

const REGION: (&str, &str) = ("AWS_REGION", "eu-central-1");

impl Told {
    /// It was refused before anything was deployed, with these words.
    #[track_caller]
    fn refused(&self, words: &str) {
        assert_ne!(self.code, 0);
        assert!(self.err.contains(words), "{}", self.err);
        let deploys = self.calls.contains("deploy --stack-name");
        assert!(!deploys, "{}", self.calls);
    }

    /// What a stack was deployed with.
    #[track_caller]
    fn deploy(&self, stack: &str) -> &str {
        assert_eq!(self.code, 0, "{}\n{}", self.err, self.calls);
        let start = format!("cloudformation deploy --stack-name prices-{stack} ");
        let mut deploys = self.calls.lines().filter(|call| call.contains(&start));
        deploys.next().unwrap()
    }
}

#[test]
fn the_cli_gets_the_region_however_it_is_set() {
    for (set, region) in [
        (vec![REGION], "eu-central-1"),
        (vec![("AWS_DEFAULT_REGION", "us-east-1")], "us-east-1"),
        (
            vec![REGION, ("AWS_DEFAULT_REGION", "us-east-1")],
            "eu-central-1",
        ),
    ] {
        let told = Desk::new().run("infra", &set);
        assert_eq!(told.code, 0, "{}", told.err);
        let each = told.calls.lines();
        let wrong: Vec<&str> = each
            .filter(|call| !call.starts_with(&format!("{region}/{region} ")))
            .collect();
        assert!(!told.calls.is_empty() && wrong.is_empty(), "{wrong:?}");
    }
    let told = Desk::new().run("infra", &[]);
    assert!(
        told.code != 0 && told.err.contains("set AWS_REGION"),
        "{}",
        told.err
    );
}

#[test]
fn what_is_not_given_stays_as_it_is_deployed() {
    let desk = Desk::new();
    let told = desk.run("infra", &[REGION]);
    assert!(!told.deploy("data").contains("ArchiveDay="), "the default");
    for chosen in ["AlertEmail=", "OfferWithinMs="] {
        assert!(!told.deploy("service").contains(chosen), "{chosen}");
    }
    let emails = [
        ("a@example.com", "AlertEmail=a@example.com "),
        ("", "AlertEmail= "),
    ];
    for (email, said) in emails {
        let told = desk.run("infra", &[REGION, ("ALERT_EMAIL", email)]);
        let call = format!("{} ", told.deploy("service"));
        assert!(call.contains(said), "{call}");
    }
}

#[test]
fn an_emulators_day_is_chosen_once() {
    let desk = Desk::new();
    let emulated = [REGION, ("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")];
    let told = desk.run("infra", &emulated);
    assert!(told.deploy("data").contains("ArchiveDay=arrival"));
    assert!(told.deploy("service").contains("OfferWithinMs=3000"));
    let told = desk.run("infra", &emulated);
    assert!(!told.deploy("data").contains("ArchiveDay="));
}

#[test]
fn the_alarms_hear_of_the_function_url() {
    let url = ("SERVICE_PARAMETERS", "WebhookFunctionUrl=true");
    let told = Desk::new().run("infra", &[REGION, url]);
    for stack in ["service", "alarms", "alarms-math"] {
        let call = told.deploy(stack);
        assert!(call.contains("WebhookFunctionUrl=true"), "{call}");
    }
}

#[test]
fn a_stack_that_takes_no_update_is_named_with_the_way_out() {
    let desk = Desk::new();
    desk.write("prices-service", "ROLLBACK_COMPLETE\n");
    let told = desk.run("infra", &[REGION]);
    assert_ne!(told.code, 0);
    let way_out = "aws cloudformation delete-stack --stack-name prices-service";
    assert!(told.err.contains(way_out), "{}", told.err);
    assert!(!told.calls.contains("deploy --stack-name prices-service"));

    desk.write("prices-service", "UPDATE_IN_PROGRESS\n");
    let told = desk.run("infra", &[REGION]);
    assert!(told.err.contains("is being changed"), "{}", told.err);
}

/// The zips are to be built.
const NO_ZIPS: (&str, &str) = ("ZIPS", "");

#[test]
fn the_zips_are_nixs_where_nix_can_have_nixpkgs() {
    let desk = Desk::new();
    for (architecture, output) in [("arm64", "lambda-zips"), ("x86_64", "lambda-zips-x86_64")] {
        let architecture = ("ARCHITECTURE", architecture);
        for builder in [None, Some(("BUILDER", "nix"))] {
            let given = [REGION, NO_ZIPS, architecture].into_iter().chain(builder);
            let told = desk.run("infra", &given.collect::<Vec<_>>());
            assert_eq!(told.code, 0, "{}", told.err);
            let build = format!(" build --no-link --print-out-paths .#{output}\n");
            assert!(told.calls.contains(&build), "{}", told.calls);
            let said = format!("build     with nix for {}\n", architecture.1);
            assert!(told.out.contains(&said), "{}", told.out);
            let code = "code      e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 webhook.zip\n";
            assert!(told.out.contains(code), "{}", told.out);
        }
    }
}

#[test]
fn the_share_is_told_however_the_flag_says_it() {
    let desk = Desk::new();
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
        desk.write("flag", flag);
        let told = desk.run("infra", &[REGION]);
        let line = format!("\nrollout   {share} %\n");
        assert!(told.out.contains(&line), "{}\n{}", told.out, told.err);
    }
}

#[test]
fn a_stage_that_is_none_is_named_before_the_usage() {
    let told = Desk::new().run("5", &[REGION]);
    assert_eq!(told.code, 2);
    let named = "deploy: `5` is not a verb; the stages are canary, 10, 50 and 100\n";
    assert!(told.err.starts_with(named), "{}", told.err);
    assert!(
        told.err.contains("ALERT_EMAIL") && told.err.ends_with("TICKCTL (built by cargo).\n"),
        "{}",
        told.err
    );
    assert_eq!(told.calls, "");
}

#[test]
fn another_machine_does_not_change_the_architecture_in_passing() {
    let desk = Desk::new();
    // As it is deployed, whatever this machine is, unless it is asked for.
    for (deployed, asked, is) in [
        ("arm64", None, "arm64"),
        ("x86_64", None, "x86_64"),
        ("arm64", Some("x86_64"), "x86_64"),
    ] {
        desk.write("prices-service", "UPDATE_COMPLETE\n");
        desk.write("architecture", &format!("{deployed}\n"));
        let asked = asked.map(|asked| ("ARCHITECTURE", asked));
        let given = [REGION, NO_ZIPS].into_iter().chain(asked);
        let told = desk.run("infra", &given.collect::<Vec<_>>());
        let parameter = format!(" Architecture={is} ");
        assert!(
            told.deploy("service").contains(&parameter),
            "{}",
            told.calls
        );
        assert!(told.out.contains(&format!("for {is}\n")), "{}", told.out);
    }
    // What cannot be seen is not guessed.
    fs::remove_file(desk.path().join("architecture")).unwrap();
    let told = desk.run("infra", &[REGION]);
    told.refused("set ARCHITECTURE to arm64 or x86_64");
}

#[test]
fn a_builder_that_cannot_build_is_named_with_the_other_one() {
    let desk = Desk::new();
    desk.write("broken", "");
    let told = desk.run("infra", &[REGION, NO_ZIPS, ("BUILDER", "nix")]);
    told.refused("or set BUILDER=cargo");

    let told = desk.run("infra", &[REGION, NO_ZIPS, ("BUILDER", "make")]);
    assert!(told.err.contains("BUILDER"), "{}", told.err);
}

#[test]
fn the_status_compares_what_the_webhook_tells_with_lambdas_own_hash() {
    let desk = Desk::new();
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    desk.write("told", &format!("code      {empty} webhook 0.1.0\n"));
    let told = desk.run("status", &[REGION]);
    assert_eq!(told.code, 0, "{}", told.err);
    assert!(
        told.out
            .contains(&format!("lambda    {empty} prices-webhook\n")),
        "{}",
        told.out
    );

    let other = "1".repeat(64);
    desk.write("told", &format!("code      {other} webhook 0.1.0\n"));
    let told = desk.run("status", &[REGION]);
    assert_ne!(told.code, 0);
    assert!(
        told.out.contains(&other),
        "shown all the same: {}",
        told.out
    );
    assert!(told.err.contains("which is not Lambda's"), "{}", told.err);
}
