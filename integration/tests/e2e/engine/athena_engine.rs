//! Athena's engine with Athena's API in front of it, as a process of `tools/athena-engine/athena-api`. Its tables are
//! on the emulator's S3, and so are the results.

use std::io::{BufRead as _, BufReader, Read as _, Seek as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use integration::build_folder;
use integration::emulator::Emulator;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// The exit code if this machine cannot run the engine.
const NOT_HERE: i32 = 3;

/// The engine of this test binary. It ends with it, since its standard input ends then.
pub(crate) struct AthenaEngine {
    /// The address of the API.
    pub(crate) api: String,
    /// The address of the engine itself.
    address: String,
    http: reqwest::Client,
    _process: Child,
}

/// The engine; the first call starts it. `None` if this machine cannot run it, which is printed together with what is
/// not shown because of that.
pub(crate) async fn start(emulator: &Emulator, unshown: &str) -> Option<&'static AthenaEngine> {
    static SHARED: OnceCell<Result<AthenaEngine, String>> = OnceCell::const_new();
    let started = SHARED.get_or_init(|| async {
        let (endpoint, environment) = (emulator.endpoint().to_owned(), emulator.environment());
        let started = tokio::task::spawn_blocking(move || spawn(&endpoint, environment)).await;
        started.unwrap()
    });
    match started.await {
        Ok(engine) => Some(engine),
        Err(why) => {
            // Not with `eprintln`, which a passing test hides.
            let mut stderr = std::io::stderr();
            writeln!(stderr, "== NOT SHOWN HERE: {unshown}: {why}").unwrap();
            None
        }
    }
}

/// Starts the process; the error is why this machine cannot run it.
fn spawn(s3: &str, environment: Vec<(&str, String)>) -> Result<AthenaEngine, String> {
    let mut log = tempfile::tempfile().unwrap();
    let program = build_folder::checkout().join("tools/athena-engine/athena-api");
    let mut process = Command::new(program)
        .args(["--s3", s3, "--until-eof"])
        .envs(environment)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log.try_clone().unwrap())
        // A Ctrl-C must not reach it before the tests have ended.
        .process_group(0)
        .spawn()
        .unwrap();
    let (mut address, mut api) = (None, None);
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    while api.is_none()
        && let Some(line) = lines.next()
    {
        match line.unwrap().split_once(' ') {
            Some(("engine", url)) => address = Some(url.to_owned()),
            Some(("listening", url)) => api = Some(url.to_owned()),
            _ => {}
        }
    }
    if let (Some(address), Some(api)) = (address, api) {
        return Ok(AthenaEngine {
            api,
            address,
            http: reqwest::Client::new(),
            _process: process,
        });
    }
    let ended = process.wait().unwrap();
    let mut said = String::new();
    log.rewind().unwrap();
    log.read_to_string(&mut said).unwrap();
    assert_eq!(ended.code(), Some(NOT_HERE), "{said}");
    Err(said.lines().last().unwrap_or_default().to_owned())
}

impl AthenaEngine {
    /// What the engine itself says of a query, whose id is Athena's.
    pub(crate) async fn query(&self, id: &str) -> Value {
        let request = self.http.get(format!("{}/v1/query/{id}", self.address));
        let response = request.header("X-Trino-User", "analyst").send().await;
        response.unwrap().json().await.unwrap()
    }

    /// Creates a workgroup whose results stay in the service, so that they can only be read by page.
    pub(crate) async fn create_workgroup_without_objects(&self, name: &str) {
        let group = json!({
            "Name": name,
            "Configuration": {"ManagedQueryResultsConfiguration": {"Enabled": true}},
        });
        let request = self.http.post(&self.api).body(group.to_string());
        let request = request.header("X-Amz-Target", "AmazonAthena.CreateWorkGroup");
        assert!(request.send().await.unwrap().status().is_success());
    }
}
