//! The drill of point-in-time recovery, run by the AWS CLI as `docs/operations.md` has it.
//!
//! The emulator copies the items as they are, so this does not show that a restore returns to its moment.
//! It shows that the commands are valid, that their names are those of the template, and that the restored
//! table gets back the settings that a restore does not take over.

use std::fs;
use std::process::{Command, Output};

use integration::build_folder::checkout;
use integration::emulator::{self, Emulator};
use integration::python::Tools;
use serde_json::{Value, json};

/// The comment in front of the commands that remove everything.
const END: &str = "# The end of a drill";

struct Shell {
    emulator: &'static Emulator,
    tools: Tools,
}

impl Shell {
    fn run(&self, script: &str) -> Output {
        let path = std::env::join_paths(
            [self.tools.programs.clone()]
                .into_iter()
                .chain(["/usr/local/bin", "/usr/bin", "/bin"].map(Into::into)),
        );
        Command::new("bash")
            .args(["-euo", "pipefail", "-c", script])
            .current_dir(checkout())
            .envs(self.emulator.environment())
            .env("PATH", path.unwrap())
            .output()
            .unwrap()
    }

    /// Runs a script, which must succeed; returns what it prints.
    #[track_caller]
    fn output(&self, script: &str) -> String {
        let output = self.run(script);
        let text = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}\n{text}{errors}");
        text
    }

    #[track_caller]
    fn json(&self, command: &str) -> Value {
        serde_json::from_str(&self.output(command)).unwrap()
    }
}

/// The commands of the drill, for a project: up to the comparison, and those that remove everything.
fn drill(project: &str) -> (String, String) {
    let page = fs::read_to_string(checkout().join("docs/operations.md")).unwrap();
    let (_, section) = page.split_once("### The drill").unwrap();
    let (_, commands) = section.split_once("```sh\n").unwrap();
    let (commands, _) = commands.split_once("```").unwrap();
    let commands = commands.replacen("P=tickstream ", &format!("P={project} "), 1);
    assert!(commands.starts_with(&format!("P={project} ")), "{commands}");
    let (restore, end) = commands.split_once(END).unwrap();
    let names = restore.lines().take_while(|line| !line.is_empty());
    let names: Vec<&str> = names.collect();
    (
        restore.to_owned(),
        format!("{}\n{END}{end}", names.join("\n")),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_drill_of_point_in_time_recovery_runs_as_written() {
    let emulator = emulator::start().await.unwrap();
    let tools = emulator::tools().await.unwrap();
    let shell = Shell { emulator, tools };
    let project = emulator.unique_project();
    shell.output(&format!(
        "aws cloudformation deploy --stack-name {project}-data --template-file infra/data.yaml \
         --capabilities CAPABILITY_IAM --parameter-overrides Project={project} \
         Database={project} ArchiveDay=arrival"
    ));
    // Three ticks, and a claim, which is not compared.
    let expires = r#""expires_at": {"N": "9999999999"}"#;
    for number in 1..=3 {
        let keys = format!(r#""pk": {{"S": "BTC#20000"}}, "sk": {{"S": "{number}"}}"#);
        let received = format!(r#""ingested_at": {{"N": "{number}000"}}"#);
        shell.output(&format!(
            "aws dynamodb put-item --table-name {project}-ticks --item '{{{keys}, {received}, {expires}}}'"
        ));
    }
    shell.output(&format!(
        r#"aws dynamodb put-item --table-name {project}-ticks --item '{{"pk": {{"S": "claim#1"}}, "sk": {{"S": "claim"}}, {expires}}}'"#
    ));

    let (restore, end) = drill(&project);
    let restored = format!("{project}-ticks-restored");
    let printed = shell.output(&restore);
    let compared = format!("in {project}-ticks: 3, in {restored}: 3");
    assert!(printed.contains(&compared), "{printed}");

    // What the template says, see `tables_expire_and_recover` in `integration/tests/templates`.
    let of = |command: &str, query: &str| {
        let table = format!("--table-name {restored}");
        shell.json(&format!("aws dynamodb {command} {table} --query {query}"))
    };
    let expiry = of("describe-time-to-live", "TimeToLiveDescription");
    assert_eq!(
        expiry,
        json!({"AttributeName": "expires_at", "TimeToLiveStatus": "ENABLED"})
    );
    let recovery = of(
        "describe-continuous-backups",
        "ContinuousBackupsDescription.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus",
    );
    assert_eq!(recovery, "ENABLED");
    let table = of("describe-table", "Table");
    let keys = json!([
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
    ]);
    assert_eq!(table["KeySchema"], keys);

    shell.output(&end);
    let gone = shell.run(&format!(
        "aws dynamodb describe-table --table-name {restored}"
    ));
    assert!(!gone.status.success(), "the drill leaves nothing");
    let kept = format!("aws dynamodb describe-table --table-name {project}-ticks");
    assert_eq!(shell.json(&kept)["Table"]["TableStatus"], "ACTIVE");
}
