//! The Python tools: MiniStack, the AWS CLI, cfn-lint, sqlglot. They are in a separate environment,
//! created once per version of `tools/python/requirements.txt`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use anyhow::{Context as _, bail, ensure};
use sha2::{Digest as _, Sha256};

use crate::build_folder;

/// Written last, so an environment without it is incomplete.
const FINISHED: &str = "finished";

/// What to install, for error messages.
const WHAT_TO_INSTALL: &str = "install Python 3.10 or later with venv and pip (Debian, Ubuntu: \
    apt-get install python3 python3-venv; Fedora: dnf install python3; macOS: brew install python)";

/// The programs of the environment.
#[derive(Debug, Clone)]
pub struct Tools {
    /// The folder of the programs, to put on a script's `PATH`.
    pub programs: PathBuf,
    /// The AWS CLI.
    pub aws: PathBuf,
    /// The linter of CloudFormation templates.
    pub cfn_lint: PathBuf,
    /// The emulator.
    pub ministack: PathBuf,
    /// The interpreter, which has sqlglot and DuckDB.
    pub python: PathBuf,
}

impl Tools {
    fn of(environment: &Path) -> Self {
        let programs = environment.join("bin");
        Self {
            aws: programs.join("aws"),
            cfn_lint: programs.join("cfn-lint"),
            ministack: programs.join("ministack"),
            python: programs.join("python"),
            programs,
        }
    }
}

/// The tools. The first call on a machine installs them, which takes about a minute. This blocks.
///
/// # Errors
///
/// There is no suitable Python, or pip fails; the error says what to do.
pub fn tools() -> anyhow::Result<Tools> {
    static TOOLS: OnceLock<Result<Tools, String>> = OnceLock::new();
    // An error is kept, so each test reports it without another attempt.
    let tools = TOOLS.get_or_init(|| make().map_err(|error| format!("{error:#}")));
    tools.clone().map_err(anyhow::Error::msg)
}

fn make() -> anyhow::Result<Tools> {
    let requirements = build_folder::checkout().join("tools/python/requirements.txt");
    let text = fs::read(&requirements)
        .with_context(|| format!("cannot read {}", requirements.display()))?;
    let hash = Sha256::digest(&text);
    let short: String = hash
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let folder = build_folder::kept()?.join(format!("python-{short}"));
    let tools = Tools::of(&folder);
    let _lock = build_folder::lock("python")?;
    if folder.join(FINISHED).exists() {
        return Ok(tools);
    }
    if folder.exists() {
        fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot remove the unfinished {}", folder.display()))?;
    }
    check_python()?;
    tracing::info!("creating the Python environment {}", folder.display());
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder)).context(WHAT_TO_INSTALL)?;
    run(Command::new(&tools.python)
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--requirement",
        ])
        .arg(&requirements))
    .context(
        "pip could not install the tools; without a network, configure a mirror or wheels for pip",
    )?;
    fs::write(folder.join(FINISHED), b"")?;
    Ok(tools)
}

fn check_python() -> anyhow::Result<()> {
    let check = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))";
    match Command::new("python3").args(["-c", check]).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => bail!(
            "python3 is older than 3.10 or has no venv and pip: {WHAT_TO_INSTALL}{}",
            stderr_tail(&output)
        ),
        Err(error) => bail!("python3 cannot be run ({error}): {WHAT_TO_INSTALL}"),
    }
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let program = Path::new(command.get_program()).display().to_string();
    let output = command
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    ensure!(
        output.status.success(),
        "{program} ended with {}{}",
        output.status,
        stderr_tail(&output)
    );
    Ok(())
}

fn stderr_tail(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text.lines().rev().take(12).collect();
    lines
        .iter()
        .rev()
        .fold(String::new(), |all, line| all + "\n  " + line)
}
