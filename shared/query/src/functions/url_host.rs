//! `url_extract_host`, by the rules of Java's URI (RFC 2396): empty if there is no host, NULL if the text is not a URL.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use datafusion::arrow::array::{AsArray as _, StringArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::exec_err;
use datafusion::error::Result;

use super::arg_type::ArgType;
use super::scalar_function::{Returns, Scalar, argument};

/// ASCII characters that no URL has; others that are not letters, digits or marks are left to Athena.
const NEVER: &str = " <>\"{}|\\^`";

/// More digits of a port are no number to Java.
const PORT_DIGITS_MAX: usize = 9;

pub(super) fn function() -> Scalar {
    let takes: &[&[ArgType]] = &[&[ArgType::Text]];
    Scalar::new(
        "url_extract_host",
        takes,
        Returns::Type(DataType::Utf8),
        |texts| {
            let texts = argument(texts, 0)?.as_string_view().iter();
            let hosts = texts.map(|text| match text.map(|text| (text, host(text))) {
            None => Ok(None),
            Some((_, Host::Is(host))) => Ok(Some(host.to_owned())),
            Some((_, Host::Invalid)) => Ok(None),
            Some((text, Host::OnAthena)) => exec_err!(
                "whether '{text}' is a URL is not known on this engine: leave it out with WHERE and regexp_like"
            ),
        });
            Ok(Arc::new(hosts.collect::<Result<StringArray>>()?))
        },
    )
}

#[derive(Debug, PartialEq)]
enum Host<'a> {
    Is(&'a str),
    Invalid,
    /// What only Java knows.
    OnAthena,
}

fn host(text: &str) -> Host<'_> {
    if text.contains(|char: char| char.is_ascii_control() || NEVER.contains(char)) {
        return Host::Invalid;
    }
    if !text.is_ascii() || text.contains('%') || text.matches('#').count() > 1 {
        return Host::OnAthena;
    }
    let rest = match text.find([':', '/', '?', '#']) {
        Some(end) if text.get(end..).is_some_and(|rest| rest.starts_with(':')) => {
            let (scheme, rest) = text.split_at(end);
            let rest = rest.strip_prefix(':').unwrap_or_default();
            let others = |char: char| char.is_ascii_alphanumeric() || "+-.".contains(char);
            if !scheme.starts_with(|char: char| char.is_ascii_alphabetic())
                || !scheme.chars().all(others)
            {
                return Host::Invalid;
            }
            match rest.chars().next() {
                None => return Host::Invalid,
                Some('/') => rest,
                Some(_) if rest.contains(['[', ']', '#']) => return Host::OnAthena,
                Some(_) => return Host::Is(""),
            }
        }
        _ => text,
    };
    let Some(rest) = rest.strip_prefix("//") else {
        return match rest.contains(['[', ']']) {
            true => Host::OnAthena,
            false => Host::Is(""),
        };
    };
    let (authority, after) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if after.contains(['[', ']']) {
        return Host::OnAthena;
    }
    match (authority, after) {
        ("", "") => Host::Invalid,
        ("", _) => Host::Is(""),
        _ => of_authority(authority),
    }
}

fn of_authority(authority: &str) -> Host<'_> {
    let server = match authority.split_once('@') {
        Some((_, server)) if server.contains('@') => return Host::OnAthena,
        Some((_, server)) => server,
        None => authority,
    };
    let end = match server.starts_with('[') {
        true => server.find(']').map(|end| end + 1),
        false => server.find(':'),
    };
    let (host, port) = server.split_at(end.unwrap_or(server.len()));
    if let Some(address) = host.strip_prefix('[') {
        let address = address.strip_suffix(']').unwrap_or_default();
        let is_plain = address.parse::<Ipv6Addr>().is_ok() && is_port(port);
        return if is_plain {
            Host::Is(host)
        } else {
            Host::OnAthena
        };
    }
    if authority.contains(['[', ']']) || port.len() > PORT_DIGITS_MAX {
        return Host::OnAthena;
    }
    // Anything else is an authority without a host.
    match is_port(port) && (host.parse::<Ipv4Addr>().is_ok() || is_hostname(host)) {
        true => Host::Is(host),
        false => Host::Is(""),
    }
}

fn is_port(port: &str) -> bool {
    let digits = port.strip_prefix(':').unwrap_or_default();
    port.is_empty() || digits.len() + 1 == port.len() && digits.bytes().all(|b| b.is_ascii_digit())
}

/// Labels with points between them, of which the last of several begins with a letter.
fn is_hostname(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let is_label = |label: &str| {
        let is_end = |char: Option<char>| char.is_some_and(|char| char.is_ascii_alphanumeric());
        is_end(label.chars().next())
            && is_end(label.chars().next_back())
            && label
                .chars()
                .all(|char| char.is_ascii_alphanumeric() || char == '-')
    };
    let top = host.rsplit_once('.').map(|(_, top)| top);
    host.split('.').all(is_label)
        && top.is_none_or(|top| top.starts_with(|char: char| char.is_ascii_alphabetic()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_those_of_java() {
        for (url, expected) in [
            ("https://www.x.com:80/a?b=c", "www.x.com"),
            ("https://user:pw@x.com/a", "x.com"),
            ("http://[::1]:80/", "[::1]"),
            ("//x.com/a", "x.com"),
            ("HTTP://X.COM", "X.COM"),
            ("http://127.0.0.1/", "127.0.0.1"),
            ("mailto:a@b.c", ""),
            ("", ""),
            ("x", ""),
            ("/a/b", ""),
            ("file:///a", ""),
            ("http://a_b.com/", ""),
            ("http://1.2.3/", ""),
        ] {
            assert_eq!(host(url), Host::Is(expected), "{url}");
        }
        for url in ["http://a b", "http://", "1a:b", "http:"] {
            assert_eq!(host(url), Host::Invalid, "{url}");
        }
        for url in ["http://ä.com", "http://x.com/%zz", "http://[x]/", "a[1]"] {
            assert_eq!(host(url), Host::OnAthena, "{url}");
        }
    }
}
