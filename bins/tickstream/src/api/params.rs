//! Parameters of requests: times, limits and tokens, with errors in the common form.

use std::collections::HashSet;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use chrono::DateTime;
use domain::analytics::SeriesKindError;
use domain::{Pair, SourceName, Token, aliases};
use runtime::problem::Problem;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use store::{CandleFilter, TickRange};

use super::Api;
use super::read_error::unreadable;

/// The parameters of a path.
pub(super) trait Parameters: DeserializeOwned {
    /// Their names.
    const NAMES: &'static [&'static str];
}

/// The query string, with errors in the common form.
pub(super) struct Query<T>(pub(super) T);

impl<S: Send + Sync, T: Parameters> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let pairs = axum::extract::Query::from_request_parts(parts, state).await;
        let axum::extract::Query(pairs): axum::extract::Query<Vec<(String, String)>> =
            pairs.map_err(|rejected| bad(rejected.body_text()))?;
        check_names(pairs.iter().map(|(name, _)| name.as_str()), T::NAMES)?;
        let query = axum::extract::Query::from_request_parts(parts, state).await;
        query
            .map(|axum::extract::Query(query)| Self(query))
            .map_err(|rejected| bad(rejected.body_text()))
    }
}

/// Checks that each parameter is one of the path's and is not repeated.
fn check_names<'a>(given: impl Iterator<Item = &'a str>, taken: &[&'a str]) -> Result<(), Problem> {
    let mut seen = HashSet::new();
    for name in given {
        let shown = short(name);
        if !taken.contains(&name) {
            return Err(bad(match taken {
                [] => format!("`{shown}` is not a parameter: this path has none"),
                taken => format!(
                    "`{shown}` is not a parameter of this path; its parameters are `{}`",
                    taken.join("`, `")
                ),
            }));
        }
        if !seen.insert(name) {
            return Err(bad(format!("`{shown}` is repeated: pass it once")));
        }
    }
    Ok(())
}

/// A path's last segment, with errors in the common form.
pub(super) struct Path(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Path {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(path)| Self(path))
            .map_err(|rejected| bad(rejected.body_text()))
    }
}

/// A bad request.
pub(super) fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail)
}

/// The default number of rows.
pub(super) const LIMIT_DEFAULT: usize = 100;

/// The number of pairs on a page if none is named.
const TOKENS_DEFAULT: usize = 1_000;

/// The most rows in a response.
pub(super) const LIMIT_MAX: usize = 10_000;

/// The parameters of `/api/ticks/{token}`: a range in time and in rows.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ticks {
    from: Option<String>,
    to: Option<String>,
    limit: Option<String>,
    pub(super) quote: Option<String>,
}

/// The parameters of `/api/candles/{token}`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Candles {
    from: Option<String>,
    to: Option<String>,
    limit: Option<String>,
    pub(super) quote: Option<String>,
    pub(super) interval: Option<String>,
    series: Option<String>,
    source: Option<String>,
}

impl Candles {
    /// The series that are asked for.
    pub(super) fn filter(&self) -> Result<CandleFilter, Problem> {
        let series = self.series.as_deref().map(str::parse).transpose();
        let source = self.source.as_deref().map(SourceName::new).transpose();
        Ok(CandleFilter {
            series: series.map_err(|error: SeriesKindError| bad(error.to_string()))?,
            source: source
                .map_err(|error| bad(format!("`source`: {error}")))?
                .map(String::from),
        })
    }
}

/// The parameters of paths about current values.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Now {
    pub(super) quote: Option<String>,
}

/// The parameters of `/api/anomalies`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Anomalies {
    pub(super) limit: Option<String>,
    pub(super) token: Option<String>,
}

/// The parameters of `/api/tokens`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tokens {
    pub(super) limit: Option<String>,
    after: Option<String>,
    pub(super) token: Option<String>,
}

/// The parameters of `/api/quarantine`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entries {
    from: Option<String>,
    to: Option<String>,
    limit: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) source: Option<String>,
}

/// The parameters of a path that has none.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoParameters {}

impl Parameters for Ticks {
    const NAMES: &'static [&'static str] = &["from", "to", "limit", "quote"];
}

impl Parameters for Candles {
    const NAMES: &'static [&'static str] = &[
        "interval", "from", "to", "limit", "quote", "series", "source",
    ];
}

impl Parameters for Now {
    const NAMES: &'static [&'static str] = &["quote"];
}

impl Parameters for Anomalies {
    const NAMES: &'static [&'static str] = &["limit", "token"];
}

impl Parameters for Tokens {
    const NAMES: &'static [&'static str] = &["limit", "after", "token"];
}

impl Parameters for Entries {
    const NAMES: &'static [&'static str] = &["from", "to", "limit", "reason", "source"];
}

impl Parameters for NoParameters {
    const NAMES: &'static [&'static str] = &[];
}

impl Ticks {
    pub(super) fn range(&self) -> Result<TickRange, Problem> {
        range(&self.from, &self.to, self.limit.as_deref())
    }
}

impl Entries {
    pub(super) fn range(&self) -> Result<TickRange, Problem> {
        range(&self.from, &self.to, self.limit.as_deref())
    }
}

impl Tokens {
    /// The number of rows.
    pub(super) fn limit(&self) -> Result<usize, Problem> {
        match self.limit.as_deref() {
            Some(text) => limit(Some(text)),
            None => Ok(TOKENS_DEFAULT),
        }
    }

    /// The pair after which the page begins.
    pub(super) fn after(&self) -> Result<Option<Pair>, Problem> {
        let Some(text) = self.after.as_deref() else {
            return Ok(None);
        };
        let pair = text.split_once('/').and_then(|(token, quote)| {
            let (token, quote) = (Token::new(token).ok()?, Token::new(quote).ok()?);
            Some(Pair { token, quote })
        });
        let not_a_pair = || {
            bad(format!(
                "`after` must be a pair such as BTC/USD, the `next` of the previous page, not `{}`",
                short(text)
            ))
        };
        pair.map(Some).ok_or_else(not_a_pair)
    }
}

impl Candles {
    pub(super) fn range(&self) -> Result<TickRange, Problem> {
        range(&self.from, &self.to, self.limit.as_deref())
    }
}

fn range(
    from: &Option<String>,
    to: &Option<String>,
    rows: Option<&str>,
) -> Result<TickRange, Problem> {
    let time = |name: &str, text: &Option<String>, default| {
        match text {
        Some(text) => moment(text).ok_or_else(|| {
            bad(format!(
                "`{name}` must be epoch milliseconds or RFC 3339 such as 2026-01-31T12:00:00Z, not `{}`",
                short(text)
            ))
        }),
        None => Ok(default),
    }
    };
    let from_ms = time("from", from, 0)?;
    let to_ms = time("to", to, i64::MAX)?;
    if from_ms > to_ms {
        return Err(bad("`from` is after `to`"));
    }
    Ok(TickRange {
        from_ms,
        to_ms,
        limit: limit(rows)?,
    })
}

/// Reads a number of rows.
pub(super) fn limit(text: Option<&str>) -> Result<usize, Problem> {
    let Some(text) = text else {
        return Ok(LIMIT_DEFAULT);
    };
    let limit: Option<usize> = text.parse().ok();
    limit
        .filter(|limit| (1..=LIMIT_MAX).contains(limit))
        .ok_or_else(|| {
            bad(format!(
                "`limit` must be a number from 1 to {LIMIT_MAX}, not `{}`",
                short(text)
            ))
        })
}

/// Reads epoch milliseconds or RFC 3339.
fn moment(text: &str) -> Option<i64> {
    if let Ok(epoch_ms) = text.parse() {
        return Some(epoch_ms);
    }
    // The `+` of a time zone's offset arrives as a space if the caller did not escape it.
    let text = text.replace(' ', "+");
    DateTime::parse_from_rfc3339(&text)
        .ok()
        .map(|time| time.timestamp_millis())
}

fn short(text: &str) -> &str {
    text.get(..text.floor_char_boundary(40)).unwrap_or_default()
}

impl Api {
    /// Resolves a token: a stored name, or a known symbol of a mint.
    pub(super) async fn token(&self, text: &str) -> Result<String, Problem> {
        self.meant(text, None).await
    }

    /// Resolves a quote of a token.
    pub(super) async fn quote(
        &self,
        token: &str,
        text: Option<&str>,
    ) -> Result<Option<String>, Problem> {
        match text {
            Some(text) => self.meant(text, Some(token)).await.map(Some),
            None => Ok(None),
        }
    }

    /// The name itself, unless it is only known as the symbol of a mint: as a token, or as a quote of one.
    async fn meant(&self, text: &str, quote_of: Option<&str>) -> Result<String, Problem> {
        for name in names(text) {
            let known = match quote_of {
                Some(token) => self.store.has_pair(token, Some(name)).await,
                None => self.store.has_pair(name, None).await,
            };
            if known.map_err(unreadable)? {
                return Ok(name.to_owned());
            }
        }
        Ok(text.to_owned())
    }
}

/// The names that a text may stand for; a stored one takes precedence in this order.
fn names(text: &str) -> impl Iterator<Item = &str> {
    std::iter::once(text).chain(aliases::mint_of(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_milliseconds_or_rfc_3339() {
        for (text, expected) in [
            ("1610064000278", Some(1_610_064_000_278)),
            ("2021-01-08T00:00:00.278Z", Some(1_610_064_000_278)),
            ("2021-01-08T01:00:00.278+01:00", Some(1_610_064_000_278)),
            ("2021-01-08T01:00:00.278 01:00", Some(1_610_064_000_278)),
            ("yesterday", None),
            ("2021-01-08", None),
            ("", None),
        ] {
            assert_eq!(moment(text), expected, "{text}");
        }
    }

    #[test]
    fn a_stored_name_takes_precedence_over_a_symbol() {
        let mint = aliases::mint_of("USDC").unwrap();
        let all = |text| names(text).collect::<Vec<_>>();
        assert_eq!(all("usdc"), ["usdc", mint]);
        assert_eq!(all("BTC"), ["BTC"]);
    }

    #[test]
    fn limits_are_bounded() {
        assert_eq!(limit(None).unwrap(), LIMIT_DEFAULT);
        assert_eq!(limit(Some("10000")).unwrap(), LIMIT_MAX);
        for text in ["0", "10001", "-1", "all", ""] {
            assert!(limit(Some(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn a_range_that_ends_before_it_begins_is_refused() {
        let backwards = Ticks {
            from: Some("2".into()),
            to: Some("1".into()),
            ..Ticks::default()
        };
        assert!(backwards.range().is_err());
    }
}
