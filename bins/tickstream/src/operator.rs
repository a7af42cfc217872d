//! Who may change things, and, if reading is protected, who may read.

use axum::http::{HeaderMap, Method, StatusCode, header};
use runtime::problem::Problem;
use webhook::auth::OperatorToken;

/// What a browser is asked for. It shows the text to the person.
const ASK_FOR_PASSWORD: &str =
    r#"Basic realm="tickstream: any name, and OPERATOR_TOKEN as the password", charset="UTF-8""#;

/// What a program is asked for; browsers ignore it.
const ASK_FOR_BEARER: &str = r#"Bearer realm="tickstream""#;

/// The rules for operators and readers.
#[derive(Debug)]
pub(crate) struct Operator {
    token: Option<OperatorToken>,
    /// Whether deliveries need a secret, so that strangers may reach the process.
    secured: bool,
    protect_reads: bool,
}

impl Operator {
    pub(crate) fn new(token: Option<OperatorToken>, secured: bool, protect_reads: bool) -> Self {
        Self {
            token,
            secured,
            protect_reads,
        }
    }

    /// Whether anybody can change something over HTTP.
    pub(crate) fn is_possible(&self) -> bool {
        self.token.is_some() || !self.secured
    }

    /// A request that changes something needs the token. Without a token and without senders' secrets,
    /// which is for loopback only, it needs none.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(token) = &self.token else {
            if !self.secured {
                return Ok(());
            }
            let detail = "changes over HTTP are off, since OPERATOR_TOKEN is not set: restart tickstream \
                          with OPERATOR_TOKEN (at least 32 random characters), and send it as \
                          `Authorization: Bearer TOKEN`";
            let problem = Problem::new(StatusCode::FORBIDDEN, detail);
            return Err(problem.with_code("operator_token_not_set"));
        };
        if token.is_sent(headers.get(header::AUTHORIZATION)) {
            return Ok(());
        }
        let detail = "only operators may do this: send OPERATOR_TOKEN as `Authorization: Bearer TOKEN` \
                      (a secret of WEBHOOK_SECRETS is for deliveries only)";
        Err(unauthorized(detail, ASK_FOR_BEARER))
    }

    /// With `--protect-reads`, everything needs the token except deliveries, which have secrets of their
    /// own, and `/healthz`, which load balancers query.
    pub(crate) fn check_reader(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<(), Problem> {
        let is_delivery = method == Method::POST && path.starts_with("/webhooks/");
        if !self.protect_reads || is_delivery || path == "/healthz" {
            return Ok(());
        }
        let sent = headers.get(header::AUTHORIZATION);
        let known = |token: &OperatorToken| token.is_sent(sent) | token.is_entered(sent);
        if self.token.as_ref().is_some_and(known) {
            return Ok(());
        }
        let detail = "reading is protected: send OPERATOR_TOKEN as `Authorization: Bearer TOKEN`, or enter \
                      it as the password in the browser";
        Err(unauthorized(detail, ASK_FOR_PASSWORD))
    }
}

fn unauthorized(detail: &str, ask: &'static str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, detail)
        .with_code("unauthorized")
        .authenticate(ask)
}
