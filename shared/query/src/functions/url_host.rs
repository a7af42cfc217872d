//! `url_extract_host` of plain URLs. What Java's URI makes of others is left to Athena.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray as _, StringArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::exec_err;
use datafusion::error::{DataFusionError, Result};
use regex::Regex;

use super::arg_type::ArgType;
use super::scalar_function::{Returns, Scalar, argument};

/// A scheme, a host name whose last label begins with a letter, perhaps a port, and characters that need no escapes.
const PLAIN: &str = r"(?x)^[A-Za-z][A-Za-z0-9+.-]*://
    ((?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)*[A-Za-z](?:[A-Za-z0-9-]*[A-Za-z0-9])?)
    (?::[0-9]{1,9})?
    (?:[/?][A-Za-z0-9;/?:@&=+$,._!~*'()-]*)?(?:\#[A-Za-z0-9;/?:@&=+$,._!~*'()-]*)?$";

pub(super) fn function() -> Scalar {
    let takes: &[&[ArgType]] = &[&[ArgType::Text]];
    Scalar::new(
        "url_extract_host",
        takes,
        Returns::Type(DataType::Utf8),
        |texts| {
            let plain =
                Regex::new(PLAIN).map_err(|it| DataFusionError::Internal(it.to_string()))?;
            let texts = argument(texts, 0)?.as_string_view().iter();
            let hosts = texts.map(|text| text.map_or(Ok(None), |text| host(text, &plain)));
            Ok(Arc::new(hosts.collect::<Result<StringArray>>()?))
        },
    )
}

/// The host; `None` if the text is not a URL.
fn host(text: &str, plain: &Regex) -> Result<Option<String>> {
    match plain.captures(text).and_then(|found| found.get(1)) {
        Some(host) => Ok(Some(host.as_str().to_owned())),
        None if text.contains(' ') => Ok(None),
        None => exec_err!(
            "url_extract_host knows only plain URLs such as https://a.org/b on this engine, not '{text}': leave others out with WHERE and regexp_like"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_plain_urls_are_known() {
        let plain = Regex::new(PLAIN).unwrap();
        for (url, expected) in [
            ("http://a.b/c?d=1", Some("a.b")),
            ("https://www.x-y.com:80/a?b=c#d", Some("www.x-y.com")),
            ("HTTP://X.COM", Some("X.COM")),
            ("not a url", None),
        ] {
            let found = host(url, &plain).unwrap();
            assert_eq!(found.as_deref(), expected, "{url}");
        }
        for url in [
            "",
            "x",
            "http:",
            "http://",
            "http://a_b.com/",
            "http://a-.com/",
            "http://1.2.3/",
            "http://[::1]/",
            "http://u@x.com/",
            "http://x.com/%zz",
            "http://ä.com",
        ] {
            assert!(host(url, &plain).is_err(), "{url}");
        }
    }
}
