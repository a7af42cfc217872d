//! Parses the command line, with tips for common mistakes.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory as _, Parser as _};

use crate::cli::Cli;
use crate::named::{self, Query};

/// Reads the command line.
///
/// # Errors
/// What is wrong, with a tip if it looks like a parameter or the column of a chart.
pub(crate) fn parse_args(args: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let args: Vec<OsString> = args.into_iter().collect();
    Cli::try_parse_from(statement_last(&args)).map_err(|mut error| {
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

/// The arguments with a statement that begins with a comment after all options, so that it is not taken
/// for one.
fn statement_last(args: &[OsString]) -> Vec<OsString> {
    let cli = Cli::command();
    let end = args.iter().position(|arg| *arg == END_OF_OPTIONS);
    let (options, rest) = args.split_at(end.unwrap_or(args.len()));
    let is_statement = |arg: &&OsString| {
        let text = arg.to_str();
        text.is_some_and(|text| is_commented_statement(text, &cli))
    };
    let (statements, options): (Vec<_>, Vec<_>) = options.iter().partition(is_statement);
    if statements.is_empty() {
        return args.to_vec();
    }
    let end = OsString::from(END_OF_OPTIONS);
    let rest = rest.iter().skip(1);
    let args = options.into_iter().chain([&end]);
    args.chain(statements).chain(rest).cloned().collect()
}

/// What follows it are no options.
const END_OF_OPTIONS: &str = "--";

/// Whether a text is a comment and more lines: the name of an option has no spaces, and only the value of
/// one has several lines.
fn is_commented_statement(text: &str, cli: &Command) -> bool {
    let Some(comment) = text.strip_prefix("--") else {
        return false;
    };
    let name = comment.split('=').next().unwrap_or_default();
    comment.contains('\n') && !(is_option(name, cli) && comment.contains('='))
}

fn is_option(name: &str, cli: &Command) -> bool {
    let has = |command: &Command| {
        let mut arguments = command.get_arguments();
        arguments.any(|argument| argument.get_long() == Some(name))
    };
    has(cli) || cli.get_subcommands().any(has)
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
    use crate::cli::Command as CliCommand;

    #[test]
    fn a_statement_may_begin_with_a_comment() {
        let statement = |args: &[&str]| {
            let all = ["ticksql"].iter().chain(args).map(OsString::from);
            let cli = parse_args(all).map_err(|error| error.kind())?;
            let query = match cli.command {
                None => cli.query,
                Some(CliCommand::Run { query } | CliCommand::Explain { query, .. }) => query,
                Some(other) => panic!("{other:?}"),
            };
            Ok::<_, ErrorKind>((query.unwrap_or_default(), cli.options.quiet))
        };
        for text in [
            "-- hello\nselect 1",
            "--hello\nselect 1",
            "--\nselect 1",
            "--- a = 1 ---\r\nselect 1",
            "--quiet\nselect 1",
            "--a=b\nselect 1",
            "-- @param x bigint = 1\nselect :x",
        ] {
            for args in [
                &["-q", text][..],
                &[text, "-q"],
                &["run", text, "-q"],
                &["explain", "-q", text],
                &["-q", "--", text],
            ] {
                assert_eq!(statement(args), Ok((text.to_owned(), true)), "{args:?}");
            }
        }
        // Values of options may have several lines, and a comment alone is not a statement.
        let with_value = ["--param=x=1\n2", "select :x"];
        assert_eq!(statement(&with_value), Ok(("select :x".to_owned(), false)));
        for unknown in ["--nothing", "-- hello", "--nothing=1"] {
            assert_eq!(statement(&[unknown]), Err(ErrorKind::UnknownArgument));
        }
        let two = ["-- a\nselect 1", "select 2"];
        assert_eq!(statement(&two), Err(ErrorKind::UnknownArgument));
    }

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
