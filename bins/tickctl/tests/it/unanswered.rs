//! What commands say of a tickstream that cannot be reached, does not answer, or refuses the token.

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde_json::Value;

use crate::process::tickctl;

/// The address of a server that refuses everybody, or accepts connections and says nothing.
fn unwilling(status: Option<StatusCode>) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(async {
            let answer = async move || match status {
                Some(status) => status.into_response(),
                None => std::future::pending().await,
            };
            listener.set_nonblocking(true).unwrap();
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let router = Router::new().fallback(answer);
            axum::serve(listener, router).await.unwrap();
        });
    });
    url
}

#[test]
fn a_process_that_cannot_be_asked_is_a_line() {
    let refusing = unwilling(Some(StatusCode::UNAUTHORIZED));
    let hanging = unwilling(None);
    for (url, code, state, why) in [
        (refusing.as_str(), 3, "not seen", "set OPERATOR_TOKEN"),
        ("http://127.0.0.1:9", 3, "not seen", "cannot be reached"),
        (&hanging, 1, "failed", "does not answer"),
    ] {
        let arguments = ["doctor", "--server", url, "--timeout", "1"];
        let run = tickctl(&arguments);
        assert_eq!((run.code, run.stderr.as_str()), (code, ""), "{run:?}");
        assert!(
            run.stdout.starts_with(&format!("{state:<9} process     ")),
            "{run:?}"
        );
        assert!(run.stdout.contains(why), "{run:?}");
        let run = tickctl(&[&arguments[..], &["--json"]].concat());
        let report: Value = serde_json::from_str(&run.stdout).unwrap();
        let line = &report["checks"][0];
        assert_eq!(
            (run.code, &report["state"]),
            (code, &line["state"]),
            "{run:?}"
        );
        assert_eq!(line["check"], "process");
        assert_eq!(line["state"], state.replace(' ', "_"));
    }
}

/// Each says what it could not see, and none takes it for a failure of the tickstream.
#[test]
fn what_only_reads_cannot_see_a_process_that_does_not_answer() {
    let refusing = unwilling(Some(StatusCode::UNAUTHORIZED));
    let hanging = unwilling(None);
    for (url, why) in [
        (refusing.as_str(), "set OPERATOR_TOKEN"),
        ("http://127.0.0.1:9", "cannot be reached"),
        (&hanging, "does not answer"),
    ] {
        for command in [
            "status",
            "verify --from 1h",
            "quarantine list",
            "quarantine show 1-1",
            "quarantine replay",
            "rebuild --from 1h",
            "replay --store --from 1h --into http://127.0.0.1:9 --dry-run",
        ] {
            let mut arguments: Vec<&str> = command.split(' ').collect();
            arguments.extend(["--server", url, "--timeout", "1"]);
            let run = tickctl(&arguments);
            assert_eq!(run.code, 3, "{arguments:?}: {run:?}");
            assert!(run.stderr.contains(why), "{arguments:?}: {run:?}");
        }
        let run = tickctl(&["server", "rollout", "--to", url, "--timeout", "1"]);
        assert_eq!(run.code, 3, "{run:?}");
        // What changes something has failed.
        let change = ["rebuild", "--from", "1h", "--apply", "--timeout", "1"];
        let run = tickctl(&[&change[..], &["--server", url]].concat());
        assert_eq!(run.code, 1, "{run:?}");
    }
}
