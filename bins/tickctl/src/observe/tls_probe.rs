//! The certificate of an address: whether it is accepted now, and in two and in four weeks.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::MS_PER_DAY;
use http_body_util::Full;
use hyper::{Request, Uri};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use ops::doctor::{Certificate, Observed, Unobserved};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

use super::machine_view::unobserved;
use crate::client::innermost_cause;

/// How long a connection and its response may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The time at which certificates are checked.
#[derive(Debug)]
struct At(UnixTime);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        let Self(time) = self;
        Some(*time)
    }
}

/// Looks at the certificate of an address.
pub(crate) async fn probe(uri: &Uri, now_ms: i64) -> Observed<Certificate> {
    if uri.scheme_str() != Some("https") {
        return Ok(match is_loopback(uri) {
            true => Certificate::Loopback,
            false => Certificate::Plain,
        });
    }
    for in_days in Certificate::DAYS_TRIED {
        let at_ms = now_ms + i64::from(in_days) * MS_PER_DAY;
        if let Err(why) = connect(uri, at_ms).await? {
            return Ok(Certificate::Refused { in_days, why });
        }
    }
    Ok(Certificate::Valid)
}

fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// Connects as if it were another time. The inner error is that of the certificate.
async fn connect(uri: &Uri, at_ms: i64) -> Observed<Result<(), String>> {
    let since_epoch = Duration::from_millis(u64::try_from(at_ms).unwrap_or(0));
    let time = Arc::new(At(UnixTime::since_unix_epoch(since_epoch)));
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_details(provider, time)
        .with_safe_default_protocol_versions()
        .map_err(|error| unreachable(&error))?
        .with_native_roots()
        .map_err(|error| unreachable(&error))?
        .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_only()
        .enable_http1()
        .build();
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    let mut request = Request::new(Full::new(Bytes::new()));
    *request.uri_mut() = uri.clone();
    let response = tokio::time::timeout(ANSWER_WITHIN, client.request(request)).await;
    match response {
        // Whatever it answers, the handshake is done.
        Ok(Ok(_)) => Ok(Ok(())),
        Ok(Err(error)) => match certificate_error(&error) {
            Some(why) => Ok(Err(why)),
            None => Err(unreachable(&error)),
        },
        Err(late) => Err(unreachable(&late)),
    }
}

/// What is wrong with the certificate, if that is the cause of an error.
fn certificate_error(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes.find_map(|cause| {
        // An error of I/O has it inside, not as its source.
        let io = cause.downcast_ref::<std::io::Error>();
        let inner = io.and_then(|io| io.get_ref()?.downcast_ref::<rustls::Error>());
        match inner.or_else(|| cause.downcast_ref()) {
            Some(rustls::Error::InvalidCertificate(why)) => Some(why.to_string()),
            Some(_) | None => None,
        }
    })
}

fn unreachable(error: &(dyn std::error::Error + 'static)) -> Unobserved {
    unobserved(
        format!("no connection: {}", innermost_cause(error)),
        "check the address, and that it is reached from here",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_without_tls_is_told_from_one_on_loopback() {
        for (uri, expected) in [
            ("http://127.0.0.1:8080", Certificate::Loopback),
            ("http://[::1]:8080", Certificate::Loopback),
            ("http://localhost", Certificate::Loopback),
            ("http://ticks.example", Certificate::Plain),
            ("http://192.0.2.7:80", Certificate::Plain),
        ] {
            let seen = probe(&uri.parse().unwrap(), 0).await;
            assert_eq!(seen, Ok(expected), "{uri}");
        }
    }

    #[test]
    fn an_error_of_the_certificate_is_found_among_the_causes() {
        use rustls::CertificateError;
        let expired = rustls::Error::InvalidCertificate(CertificateError::Expired);
        let io = std::io::Error::other(expired);
        assert_eq!(certificate_error(&io).unwrap(), "Expired");
        let other = std::io::Error::other(rustls::Error::DecryptError);
        assert_eq!(certificate_error(&other), None);
    }

    #[tokio::test]
    async fn an_address_that_nobody_answers_is_not_seen() {
        let seen = probe(&"https://127.0.0.1:9".parse().unwrap(), 0).await;
        assert!(seen.unwrap_err().why.contains("no connection"));
    }
}
