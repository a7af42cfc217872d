//! Starts a Lambda function: settings from the environment, logging, and the handler. If it cannot
//! start, it exits with a message that says what to do.
//!
//! The process serves many invocations. If a handler panics, that invocation fails, and the process
//! continues.

use std::fmt;
use std::future::Future;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::causes;
use crate::telemetry::{self, LogFormat};

/// The exit code for invalid settings.
const EXIT_SETTINGS: u8 = 2;

/// The log filter until the settings are read.
const LOG_DEFAULT: &str = "info";

/// The settings of every function.
#[derive(Debug, Clone, clap::Args)]
pub struct Common {
    /// What is logged, such as `info` or `warn,app=debug`.
    #[arg(long, env = "LOG", default_value = LOG_DEFAULT)]
    pub log: String,
}

/// The settings of a function: one struct for flags and environment.
pub trait Settings: Parser {
    /// The settings of every function.
    fn common(&self) -> &Common;

    /// The names of all environment variables that the function reads, sorted, so that a template
    /// can be compared with them.
    #[must_use]
    fn environment() -> Vec<String> {
        let command = Self::command();
        let names = command
            .get_arguments()
            .filter_map(|argument| argument.get_env())
            .map(|name| name.to_string_lossy().into_owned());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

/// Runs a function from its settings to its end; all of `main`.
///
/// Invalid settings and a failed start are logged as one line, and the process exits with a code
/// other than 0, which Lambda reports as a failed start.
#[must_use]
pub fn main<C, F, Fut>(run: F) -> ExitCode
where
    C: Settings,
    F: FnOnce(C) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    let settings = match C::try_parse() {
        Ok(settings) => settings,
        Err(asked)
            if matches!(
                asked.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            ) =>
        {
            return if asked.print().is_ok() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            };
        }
        Err(error) => return refuse(&settings_error::<C>(&error)),
    };
    if let Err(error) = telemetry::start(&settings.common().log, LogFormat::Json) {
        return refuse(&error);
    }
    if !inside_lambda() {
        return refuse(
            &"AWS_LAMBDA_RUNTIME_API is not set: this program is the bootstrap of a Lambda function \
              and is started by it; to run the whole pipeline here, start `tickstream`",
        );
    }
    // An instance has one invocation at a time and mostly less than one CPU: waking other threads costs more than they do.
    let outcome = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(run(settings)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %format!("{error:#}"), "the function ended");
            ExitCode::FAILURE
        }
    }
}

/// Logs why the function cannot start.
fn refuse(why: &dyn fmt::Display) -> ExitCode {
    // If logging has started already, this has no effect.
    drop(telemetry::start(LOG_DEFAULT, LogFormat::Json));
    tracing::error!(error = %why, "the function cannot start with these settings");
    ExitCode::from(EXIT_SETTINGS)
}

/// The error on one line, with the variables of the function's environment that it is about.
fn settings_error<C: Settings>(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"))
        .filter(|line| !line.is_empty())
        .collect();
    let line = lines.join(" ");
    let line = line.strip_prefix("error: ").unwrap_or(&line);
    let command = C::command();
    let variables: Vec<String> = command
        .get_arguments()
        .filter_map(|argument| {
            let flag = format!("--{}", argument.get_long()?);
            let word = |word: &str| word.trim_matches(['\'', ':']) == flag;
            let variable = argument.get_env()?.to_string_lossy().into_owned();
            line.split_whitespace().any(word).then_some(variable)
        })
        .collect();
    if variables.is_empty() {
        return line.to_owned();
    }
    format!(
        "{line}; in the function's environment: {}",
        variables.join(", ")
    )
}

#[expect(
    clippy::disallowed_methods,
    reason = "whether this process is a Lambda function must be known before our settings are read"
)]
fn inside_lambda() -> bool {
    std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some()
}

/// Polls for events and handles them with `handle` until Lambda ends the process. An error is
/// logged here, once, with its causes, and counts as an error of the invocation.
///
/// # Errors
/// If the runtime's interface fails.
pub async fn serve<E, A, X>(handle: impl AsyncFn(E) -> Result<A, X>) -> anyhow::Result<()>
where
    E: DeserializeOwned,
    A: Serialize,
    X: std::error::Error + 'static,
{
    let handle = &handle;
    let service = service_fn(|event: LambdaEvent<Whole<E>>| async move {
        let Whole(event) = event.payload;
        handle(event).await.map_err(|error| failed(&error))
    });
    lambda_runtime::run(service).await.map_err(runtime_error)
}

/// An event that is read as a whole: the runtime would keep track of the path of each value in it, which costs more than
/// reading it.
struct Whole<E>(E);

impl<'de, E: DeserializeOwned> Deserialize<'de> for Whole<E> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?.get();
        serde_json::from_str(text)
            .map(Self)
            .map_err(D::Error::custom)
    }
}

/// Logs an error of an invocation, and reports it to Lambda.
fn failed<X: std::error::Error + 'static>(error: &X) -> Diagnostic {
    let causes = causes::joined(error);
    tracing::error!(error = %causes, "the invocation failed");
    Diagnostic {
        error_type: short_name::<X>().to_owned(),
        error_message: causes,
    }
}

/// Serves a router to HTTP events: HTTP APIs (payload 2.0) and function URLs. A base64
/// body is decoded before the router sees it.
///
/// # Errors
/// If the runtime's interface fails.
pub async fn serve_http(router: axum::Router) -> anyhow::Result<()> {
    lambda_http::run(router).await.map_err(runtime_error)
}

fn runtime_error(error: lambda_runtime::Error) -> anyhow::Error {
    anyhow::Error::from_boxed(error).context("the Lambda runtime interface failed")
}

/// A type's name without its path, which is the same in every release.
fn short_name<T>() -> &'static str {
    let name = std::any::type_name::<T>();
    name.rsplit("::").next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Parser)]
    struct Example {
        /// A name.
        #[arg(long, env = "TICKSTREAM_TEST_STREAM_NAME")]
        stream_name: String,
        #[command(flatten)]
        common: Common,
    }

    impl Settings for Example {
        fn common(&self) -> &Common {
            &self.common
        }
    }

    #[test]
    fn the_environment_of_a_function_is_listed() {
        assert_eq!(
            Example::environment(),
            ["LOG", "TICKSTREAM_TEST_STREAM_NAME"]
        );
    }

    #[test]
    fn a_setting_that_is_missing_or_wrong_is_named_on_one_line() {
        let refused = |arguments: &[&str]| {
            let line = std::iter::once(&"bootstrap").chain(arguments);
            settings_error::<Example>(&Example::try_parse_from(line).unwrap_err())
        };
        for text in [refused(&[]), refused(&["--stream-name"])] {
            let end = "; in the function's environment: TICKSTREAM_TEST_STREAM_NAME";
            assert!(text.contains("--stream-name <STREAM_NAME>"), "{text}");
            assert!(text.ends_with(end) && !text.contains('\n'), "{text}");
            assert!(
                !text.contains("Usage") && !text.contains("--help"),
                "{text}"
            );
        }
        let given = Example::try_parse_from(["bootstrap", "--stream-name", "s"]).unwrap();
        assert_eq!(given.stream_name, "s");
        assert_eq!(given.common().log, "info");
    }

    #[test]
    fn an_error_has_a_short_name() {
        assert_eq!(short_name::<std::io::Error>(), "Error");
    }
}
