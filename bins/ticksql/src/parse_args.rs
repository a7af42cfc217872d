//! Parses the command line, with tips for common mistakes.

use std::ffi::OsString;

use clap::Parser as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::cli::Cli;
use crate::named::{self, Query};

/// Reads the command line.
///
/// # Errors
/// What is wrong, with a tip if it looks like a parameter or the column of a chart.
pub(crate) fn parse_args(args: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let args: Vec<OsString> = args.into_iter().collect();
    Cli::try_parse_from(&args).map_err(|mut error| {
        if error.kind() == ErrorKind::UnknownArgument
            && let Some(ContextValue::String(unknown)) = error.get(ContextKind::InvalidArg)
            && let Some(hint) = hint(unknown, &args)
        {
            let tip = ContextValue::StyledStrs(vec![hint.into()]);
            _ = error.insert(ContextKind::Suggested, tip);
        }
        error
    })
}

/// What an unknown argument may mean.
fn hint(unknown: &str, args: &[OsString]) -> Option<String> {
    let args: Vec<&str> = args.iter().filter_map(|arg| arg.to_str()).collect();
    let is_it = |arg: &&str| {
        let rest = arg.strip_prefix(unknown);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    };
    let position = args.iter().position(is_it)?;
    let before = position.checked_sub(1).and_then(|at| args.get(at));
    if before == Some(&"--chart") {
        return Some(format!(
            "write the column of a chart after `=`: --chart={unknown}"
        ));
    }
    let whole = args.get(position)?;
    if let Some(flag) = whole.strip_prefix("--") {
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (flag, args.get(position + 1).copied()),
        };
        let value = value.filter(|value| is_value(value)).unwrap_or("VALUE");
        return is_parameter(name).then(|| tip(name, value));
    }
    let (name, value) = whole.split_once('=')?;
    named::is_name(name).then(|| tip(name, value))
}

fn tip(name: &str, value: &str) -> String {
    format!("pass a parameter of a query with -p: -p {name}={value}")
}

/// Whether it is not an option and needs no quotes in a shell.
fn is_value(text: &str) -> bool {
    !text.starts_with('-') && !text.contains(char::is_whitespace)
}

/// Whether a named query has a parameter of this name.
fn is_parameter(name: &str) -> bool {
    let mut names = named::names().into_iter();
    names.any(|query| {
        let query = named::text(&query).and_then(|text| Query::parse(&text).ok());
        query.is_some_and(|query| query.takes(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_argument_gets_a_tip() {
        let check = |args: &[&str], expected: Option<&str>| {
            let all = ["ticksql"].iter().chain(args).map(OsString::from);
            let text = parse_args(all).unwrap_err().to_string();
            match expected {
                Some(hint) => assert!(text.contains(hint), "{args:?}: {text}"),
                None => assert!(!text.contains(" -p "), "{args:?}: {text}"),
            }
        };
        check(&["run", "candles", "--token", "X"], Some("-p token=X\n"));
        check(&["run", "candles", "--token=X"], Some("-p token=X\n"));
        check(&["run", "candles", "token=X"], Some("-p token=X\n"));
        check(&["candles", "token=X"], Some("-p token=X\n"));
        check(
            &["run", "candles", "--interval_s", "-q"],
            Some("-p interval_s=VALUE\n"),
        );
        check(
            &["run", "candles", "--chart", "close"],
            Some("--chart=close\n"),
        );
        check(&["run", "candles", "--nothing"], None);
        check(&["run", "candles", "more"], None);
    }
}
