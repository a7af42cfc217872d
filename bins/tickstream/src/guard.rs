//! What every request passes: the name under which it reached the server, the page that sent it, and
//! whether it may read.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use runtime::problem::Problem;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::operator::Operator;

/// The most characters of a host's name that are repeated in a message: the longest name of DNS.
const HOST_CHARS_SHOWN_MAX: usize = 253;

/// The names under which the server is reached. A page of another site can have its own name resolve to
/// this server's address, and is then of the same origin for the browser; but its requests still carry
/// that name.
#[derive(Debug)]
pub(crate) struct Hosts {
    listens: IpAddr,
    /// In lower case: `localhost`, the name to listen on, and those of `--public-host`.
    names: HashSet<String>,
    public: HashSet<String>,
}

/// What every request is checked against.
struct Guard {
    hosts: Hosts,
    operator: Arc<Operator>,
}

impl Hosts {
    /// The names of a server that listens on an address, which was `named` by the operator, and has public
    /// names.
    pub(crate) fn new(address: SocketAddr, named: &str, public: &[String]) -> Self {
        let public: HashSet<_> = public.iter().map(|name| name_of(name)).collect();
        let mut names = public.clone();
        names.extend(["localhost".to_owned(), name_of(named)]);
        Self {
            listens: address.ip().to_canonical(),
            names,
            public,
        }
    }

    /// Whether a request may name this host. The port does not matter, since others may forward theirs.
    fn accept(&self, authority: &Authority) -> bool {
        let name = name_of(authority.host());
        if self.names.contains(&name) {
            return true;
        }
        // No name of DNS can be an address. So if the server listens on all of the machine's addresses,
        // whichever the machine has, an address means that the request was sent to it.
        name.parse()
            .map(|ip: IpAddr| ip.to_canonical())
            .is_ok_and(|ip| ip.is_loopback() || ip == self.listens || self.listens.is_unspecified())
    }

    /// Checks the host that the caller named, in the header and, if it is there too, in the target.
    fn check_host(&self, request: &Request) -> Result<(), Problem> {
        let host = host(request.headers())?;
        let target = request.uri().authority().cloned();
        for named in host.iter().chain(&target) {
            if !self.accept(named) {
                let name: String = name_of(named.host())
                    .chars()
                    .take(HOST_CHARS_SHOWN_MAX)
                    .collect();
                let detail = format!(
                    "`{name}` is not a name of this server: if it should be, start tickstream with \
                     `--public-host {name}`"
                );
                let problem = Problem::new(StatusCode::MISDIRECTED_REQUEST, detail);
                return Err(problem.with_code("unknown_host"));
            }
        }
        if host.is_none() && target.is_none() {
            let detail = "the request names no host: send the header `Host`";
            return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
        }
        Ok(())
    }

    /// Browsers send the origin of the requesting page: a page of another host must not read the feed or
    /// change the rollout on the visitor's behalf. A proxy may have replaced the host, but not the origin,
    /// which then is one of the public names.
    fn check_origin(&self, request: &Request) -> Result<(), Problem> {
        let headers = request.headers();
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let Some(origin) = origins.next() else {
            return Ok(());
        };
        let page = origin.to_str().ok().and_then(|origin| {
            let (_, authority) = origin.split_once("://")?;
            authority.parse::<Authority>().ok()
        });
        let is_same = |page: &Authority| {
            let host = host(headers).ok().flatten();
            let host = host.as_ref().or(request.uri().authority());
            let is_host = host.is_some_and(|host| {
                name_of(host.as_str()) == name_of(page.as_str()) && self.accept(page)
            });
            is_host || self.public.contains(&name_of(page.host()))
        };
        if origins.next().is_none() && page.as_ref().is_some_and(is_same) {
            return Ok(());
        }
        let detail = "requests from pages of other origins are refused";
        Err(Problem::new(StatusCode::FORBIDDEN, detail).with_code("other_origin"))
    }
}

/// The `Host` header; an error if it is repeated or unreadable.
fn host(headers: &HeaderMap) -> Result<Option<Authority>, Problem> {
    let mut values = headers.get_all(header::HOST).iter();
    let Some(first) = values.next() else {
        return Ok(None);
    };
    let authority = first.to_str().ok().and_then(|host| host.parse().ok());
    match authority {
        Some(authority) if values.next().is_none() => Ok(Some(authority)),
        Some(_) | None => {
            let detail = "the header `Host` is repeated or not a host: send it once, as HOST:PORT";
            Err(Problem::new(StatusCode::BAD_REQUEST, detail))
        }
    }
}

/// A host as it is compared: in lower case, without the brackets of an address, and without the full stop
/// that may end a name.
fn name_of(host: &str) -> String {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.trim_end_matches('.').to_ascii_lowercase()
}

/// Wraps all routes: hosts, origins and readers are checked, unknown paths and panics get the common form of
/// errors, and browsers do not guess content types.
pub(crate) fn guard(router: Router, hosts: Hosts, operator: Arc<Operator>) -> Router {
    let nosniff = SetResponseHeaderLayer::overriding(
        HeaderName::from_static("x-content-type-options"),
        HeaderValue::from_static("nosniff"),
    );
    let guard = Arc::new(Guard { hosts, operator });
    router
        .fallback(async || {
            Problem::new(
                StatusCode::NOT_FOUND,
                "there is nothing here; the API is under /api, and deliveries go to /webhooks/{source}",
            )
        })
        .method_not_allowed_fallback(async || {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "this path does not accept that method",
            )
        })
        .layer(axum::middleware::from_fn_with_state(guard, check))
        .layer(nosniff)
        .layer(CatchPanicLayer::custom(|_| {
            tracing::error!("a request ended with a panic");
            Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "an internal error; it is in the log",
            )
            .into_response()
        }))
}

async fn check(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let Guard { hosts, operator } = &*guard;
    hosts.check_host(&request)?;
    hosts.check_origin(&request)?;
    operator.check_reader(request.method(), request.uri().path(), request.headers())?;
    Ok(next.run(request).await)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn hosts(listens: &str, named: &str, public: &[&str]) -> Hosts {
        let public: Vec<_> = public.iter().map(|name| (*name).to_owned()).collect();
        Hosts::new(listens.parse().unwrap(), named, &public)
    }

    /// Requests with these headers, and what becomes of them.
    #[track_caller]
    fn check(hosts: &Hosts, target: &str, headers: &[(&str, &str)], expected: u16) {
        let mut request = Request::get(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        let checked = hosts
            .check_host(&request)
            .and_then(|()| hosts.check_origin(&request));
        let status = checked
            .err()
            .map_or(200, |problem| problem.status().as_u16());
        assert_eq!(status, expected, "{target} {headers:?}");
    }

    #[test]
    fn a_host_is_on_the_list_or_refused() {
        let loopback = hosts("127.0.0.1:8080", "localhost", &["ticks.example"]);
        let one = hosts("192.0.2.7:8080", "ticks.internal", &[]);
        let all = hosts("[::]:8080", "::", &["a.example", "b.example"]);
        for (hosts, host, status) in [
            (&loopback, "127.0.0.1:8080", 200),
            (&loopback, "127.0.0.1", 200),
            (&loopback, "127.1.2.3:9", 200),
            (&loopback, "[::1]:8080", 200),
            (&loopback, "localhost:9000", 200),
            (&loopback, "LOCALHOST.", 200),
            (&loopback, "Ticks.Example", 200),
            (&loopback, "ticks.example:443", 200),
            (&loopback, "evil.example", 421),
            (&loopback, "evil.example:8080", 421),
            (&loopback, "localhost.evil.example", 421),
            (&loopback, "127.0.0.1.evil.example", 421),
            (&loopback, "ticks.example.evil.example", 421),
            (&loopback, "192.0.2.7:8080", 421),
            (&loopback, "0.0.0.0:8080", 421),
            (&loopback, "a@evil.example", 421),
            (&loopback, "localhost@evil.example", 421),
            (&loopback, "", 400),
            (&loopback, "local host", 400),
            (&one, "192.0.2.7:8080", 200),
            (&one, "[::ffff:192.0.2.7]", 200),
            (&one, "ticks.internal:8080", 200),
            (&one, "localhost:8080", 200),
            (&one, "192.0.2.8:8080", 421),
            (&one, "evil.example", 421),
            (&all, "192.0.2.7:8080", 200),
            (&all, "[2001:db8::7]:8080", 200),
            (&all, "a.example", 200),
            (&all, "b.example", 200),
            (&all, "c.example", 421),
        ] {
            check(hosts, "/", &[("host", host)], status);
        }
        check(&loopback, "/", &[], 400);
        let twice = [("host", "localhost"), ("host", "evil.example")];
        check(&loopback, "/", &twice, 400);
        // The target of HTTP/2, and of requests to a proxy.
        check(&loopback, "http://localhost/", &[], 200);
        check(&loopback, "http://evil.example/", &[], 421);
        let both = [("host", "localhost")];
        check(&loopback, "http://evil.example/", &both, 421);
    }

    #[test]
    fn a_page_is_of_the_same_host_or_of_a_public_one() {
        let hosts = hosts("127.0.0.1:8080", "127.0.0.1", &["ticks.example"]);
        for (host, origin, status) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080", 200),
            ("localhost:8080", "http://LOCALHOST:8080", 200),
            ("localhost:8080", "http://localhost:3000", 403),
            ("localhost:8080", "http://127.0.0.1:8080", 403),
            ("ticks.example", "https://ticks.example", 200),
            // A proxy that does not pass the host on.
            ("127.0.0.1:8080", "https://ticks.example", 200),
            ("127.0.0.1:8080", "https://evil.example", 403),
            ("127.0.0.1:8080", "null", 403),
            ("127.0.0.1:8080", "", 403),
            ("evil.example", "http://evil.example", 421),
        ] {
            check(&hosts, "/", &[("host", host), ("origin", origin)], status);
        }
        let twice = [
            ("host", "localhost"),
            ("origin", "http://localhost"),
            ("origin", "http://evil.example"),
        ];
        check(&hosts, "/", &twice, 403);
    }
}
