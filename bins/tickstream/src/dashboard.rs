//! The dashboard's files, built into the binary.

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use runtime::problem::Problem;
use rust_embed::Embed;

/// What a browser may load and where it may connect: this server only.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";

#[derive(Embed)]
#[folder = "assets/"]
struct Assets;

/// The routes.
pub(crate) fn router() -> Router {
    Router::new()
        .route(
            "/",
            get(async |headers: HeaderMap| file("dashboard.html", &headers)),
        )
        .route(
            "/assets/{name}",
            get(async |Path(name): Path<String>, headers: HeaderMap| file(&name, &headers)),
        )
}

fn file(name: &str, headers: &HeaderMap) -> Response {
    let Some(asset) = Assets::get(name) else {
        return Problem::new(StatusCode::NOT_FOUND, "there is no such file").into_response();
    };
    let hash = asset.metadata.sha256_hash();
    let tag: String = hash
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let tag = format!("\"{tag}\"");
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY.to_owned()),
        (header::REFERRER_POLICY, "no-referrer".to_owned()),
        (header::CACHE_CONTROL, "no-cache".to_owned()),
        (header::ETAG, tag.clone()),
    ];
    if headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|held| held.as_bytes() == tag.as_bytes())
    {
        return (StatusCode::NOT_MODIFIED, fixed).into_response();
    }
    let kind = match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    (
        fixed,
        [(header::CONTENT_TYPE, kind)],
        asset.data.into_owned(),
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use domain::Method;

    use super::*;

    /// The page sorts live ticks into trades and quotes by itself.
    #[test]
    fn the_pages_quotes_are_the_methods_that_are_not_trades() {
        let script = Assets::get("series.js").unwrap();
        let script = str::from_utf8(&script.data).unwrap();
        let quotes = Method::ALL.into_iter().filter(|it| !it.is_trade());
        let quotes: Vec<_> = quotes.map(|it| format!("\"{}\"", it.as_str())).collect();
        let list = format!("[{}].includes(method)", quotes.join(", "));
        assert!(script.contains(&list), "series.js does not have {list}");
    }
}
