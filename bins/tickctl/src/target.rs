//! Where ticks are sent: the options of every subcommand that sends.

use clap::Args;
use hyper::Uri;
use hyper::header::HeaderValue;

/// Where to send ticks: the options of every subcommand that sends.
#[derive(Debug, Clone, Args)]
pub struct Target {
    /// The address of the tickstream, http or https; a path in front of /webhooks is kept.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", value_parser = parse_base)]
    pub to: Uri,
    /// Sent unchanged in the `Authorization` header, like Helius does. Prefer the environment
    /// variable: other users of the machine can read arguments.
    #[arg(long, value_name = "SECRET", env = "TICKCTL_SECRET", hide_env_values = true, value_parser = parse_secret)]
    pub secret: Option<HeaderValue>,
    /// Seconds after which a request without a response fails.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub timeout: u64,
}

impl Target {
    /// What to do if the server responds with 401.
    #[must_use]
    pub fn about_secret(&self) -> &'static str {
        if self
            .secret
            .as_ref()
            .is_some_and(|secret| !secret.is_empty())
        {
            "the server does not accept the secret in TICKCTL_SECRET or --secret: use one of its \
             plain WEBHOOK_SECRETS"
        } else {
            "the server requires a secret: set TICKCTL_SECRET to one of its plain \
             WEBHOOK_SECRETS, or pass it with --secret"
        }
    }
}

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

fn parse_secret(text: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| "a secret must only have visible ASCII characters".to_owned())?;
    // Debug output of the arguments must not contain it.
    value.set_sensitive(true);
    Ok(value)
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
    fn a_secret_is_one_line() {
        assert!(parse_secret("two\nlines").is_err());
    }
}
