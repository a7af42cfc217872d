//! Where ticks are sent: the options of every subcommand that sends.

use std::convert::Infallible;
use std::fmt;

use clap::Args;
use hyper::Uri;
use hyper::header::HeaderValue;

use crate::process::BadInput;

/// Where to send ticks: the options of every subcommand that sends.
#[derive(Debug, Clone, Args)]
pub struct Target {
    /// The address of the tickstream, http or https; a path in front of /webhooks is kept.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", value_parser = parse_base)]
    pub to: Uri,
    /// The option that the address is from.
    #[arg(skip = "--to")]
    pub option: &'static str,
    /// Sent unchanged in the `Authorization` header, like Helius does. Prefer the environment
    /// variable: other users of the machine can read arguments.
    #[arg(long, value_name = "SECRET", env = "TICKCTL_SECRET", hide_env_values = true, value_parser = Secret::read)]
    pub secret: Option<Secret>,
    /// Seconds after which a request without a response fails.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub timeout: u64,
}

impl Target {
    /// What to do if the server responds with 401.
    #[must_use]
    pub fn about_secret(&self) -> &'static str {
        if self.secret.as_ref().is_some_and(Secret::is_given) {
            "the server does not accept the secret in TICKCTL_SECRET or --secret: use one of its \
             plain WEBHOOK_SECRETS"
        } else {
            "the server requires a secret: set TICKCTL_SECRET to one of its plain \
             WEBHOOK_SECRETS, or pass it with --secret"
        }
    }

    /// The `Authorization` header, if a secret is given.
    ///
    /// # Errors
    /// [`BadInput`] if it cannot be the secret of a server.
    pub(crate) fn authorization(&self) -> Result<Option<HeaderValue>, BadInput> {
        let secret = self.secret.as_ref().filter(|secret| secret.is_given());
        let value = secret.map(|secret| secret.0.clone()).transpose();
        value.map_err(|rule| BadInput(format!("the secret in TICKCTL_SECRET or --secret {rule}")))
    }
}

/// Where an address is from: what to check if a response is not that of a tickstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressFrom {
    /// An option of the command, such as `--server`.
    Option(&'static str),
    /// The data folder, whose process has shown that it is the one.
    DataFolder,
}

impl fmt::Display for AddressFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option(name) => write!(f, "is the address in {name} correct?"),
            Self::DataFolder => f.write_str("use the tickctl of the running version"),
        }
    }
}

/// A secret. It is checked when it is used: an error in the arguments would show it.
#[derive(Clone)]
pub struct Secret(Result<HeaderValue, &'static str>);

impl Secret {
    pub(crate) fn read(text: &str) -> Result<Self, Infallible> {
        Ok(Self(header_value(text)))
    }

    /// The `Authorization` header that sends it as a token; `None` if it is empty.
    pub(crate) fn bearer(&self) -> Result<Option<HeaderValue>, &'static str> {
        let value = self.0.clone()?;
        if value.is_empty() {
            return Ok(None);
        }
        let bytes = [BEARER.as_bytes(), value.as_bytes()].concat();
        let mut value = HeaderValue::from_bytes(&bytes)
            .map_err(|_| "must only have visible ASCII characters")?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    fn is_given(&self) -> bool {
        self.0.as_ref().map_or(true, |value| !value.is_empty())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

fn header_value(text: &str) -> Result<HeaderValue, &'static str> {
    let token = match text.split_at_checked(BEARER.len()) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(BEARER) => token,
        Some(_) | None => text,
    };
    if domain::is_quoted(text) || domain::is_quoted(token) {
        return Err("is in quotes, which are part of the value here: remove them");
    }
    let mut value =
        HeaderValue::from_str(text).map_err(|_| "must only have visible ASCII characters")?;
    // Debug output of a request must not contain it.
    value.set_sensitive(true);
    Ok(value)
}

/// The scheme that some servers expect in front of a secret.
const BEARER: &str = "Bearer ";

/// Parses the complete address of a server.
pub(crate) fn parse_base(text: &str) -> Result<Uri, String> {
    let uri: Uri = text.parse().map_err(|error| format!("{error}"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("use a complete address, such as http://127.0.0.1:8080".to_owned());
    }
    if uri.query().is_some() {
        return Err("use an address without a query".to_owned());
    }
    Ok(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_are_complete_addresses() {
        for good in [
            "http://127.0.0.1:8080",
            "https://ticks.example/stage",
            "http://[::1]:8080/",
        ] {
            assert!(parse_base(good).is_ok(), "{good}");
        }
        for bad in [
            "127.0.0.1:8080",
            "ftp://x",
            "/webhooks",
            "http://x/?a=1",
            "http://",
            "",
        ] {
            assert!(parse_base(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_secret_is_one_line_without_quotes_around_it() {
        let authorization = |text: &str| {
            let target = Target {
                to: Uri::from_static("http://h"),
                option: "--to",
                secret: Some(Secret::read(text).unwrap()),
                timeout: 1,
            };
            target.authorization()
        };
        for good in ["open-sesame", "Bearer open-sesame", "it's", "\"", "a\"b\""] {
            assert_eq!(authorization(good).unwrap().unwrap(), good);
        }
        assert_eq!(authorization("").unwrap(), None);
        for bad in [
            "two\nlines",
            "\"open-sesame\"",
            "'open-sesame'",
            "Bearer \"open-sesame\"",
            "bearer 'open-sesame'",
            "\"Bearer open-sesame\"",
        ] {
            let error = authorization(bad).unwrap_err().to_string();
            assert!(
                error.starts_with("the secret in TICKCTL_SECRET or --secret "),
                "{error}"
            );
            assert!(
                !error.contains("sesame") && !error.contains("lines"),
                "{error}"
            );
        }
    }
}
