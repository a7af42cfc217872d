//! Releases: versions of the functions, the aliases that point to them, and earlier code.

use super::sandbox::{EMPTY_SHA256, REGION, Sandbox, tickctl_name};

/// Nothing is shifted slowly.
const AT_ONCE: (&str, &str) = ("CANARY_SECONDS", "0");

/// Where the aliases of a function have pointed, with their weights.
fn pointed(sandbox: &Sandbox, function: &str) -> Vec<String> {
    let text = sandbox.read(&format!("alias-prices-{function}"));
    text.lines().map(str::to_owned).collect()
}

const ALONE: &str = "AdditionalVersionWeights={}";

/// The version that a deploy has printed.
fn version(out: &str) -> String {
    let line = out.lines().find_map(|it| it.strip_prefix("version   "));
    line.unwrap().split(',').next().unwrap().to_owned()
}

/// Deploys a first version, and makes the next ones number 8.
fn first(sandbox: &Sandbox) -> String {
    let outcome = sandbox.run("infra", &[REGION]);
    let first = version(outcome.ok());
    for name in integration::bootstraps::FUNCTIONS {
        sandbox.write(&format!("next-prices-{name}"), "8\n");
    }
    sandbox.write(&tickctl_name(), "#!/usr/bin/env bash\n# another\n");
    first
}

#[test]
fn the_first_release_points_each_alias_to_a_published_version() {
    let sandbox = Sandbox::new();
    let first = first(&sandbox);
    for name in integration::bootstraps::FUNCTIONS {
        assert_eq!(pointed(&sandbox, name), [format!("7 {ALONE}")], "{name}");
    }
    let remembered = sandbox.read("ssm/prices/code");
    assert_eq!(
        remembered,
        format!(
            "version={first} webhook=7 analytics=7 broadcast=7 redrive=7 scaler=7 compaction=7\n"
        )
    );
    // The version is the hash of the list of files, which has the hash of each.
    let sums = sandbox.read(&format!("s3/output/{first}/SHA256SUMS"));
    assert!(
        sums.contains(&format!("{EMPTY_SHA256}  analytics.zip\n")),
        "{sums}"
    );
    assert!(sums.contains("  tickctl-"), "{sums}");
}

#[test]
fn new_code_of_the_webhook_gets_a_tenth_first_and_the_others_change_at_once() {
    let sandbox = Sandbox::new();
    first(&sandbox);
    let outcome = sandbox.run("infra", &[REGION, ("CANARY_SECONDS", "1")]);
    assert!(
        outcome
            .ok()
            .contains("canary    version 8 of the webhook gets 0.1 of the deliveries for 1 s\n")
    );
    let expected = [
        format!("7 {ALONE}"),
        "7 AdditionalVersionWeights={8=0.1}".to_owned(),
        format!("8 {ALONE}"),
    ];
    assert_eq!(pointed(&sandbox, "webhook"), expected);
    assert_eq!(
        pointed(&sandbox, "analytics"),
        [format!("7 {ALONE}"), format!("8 {ALONE}")]
    );
}

#[test]
fn an_alarm_or_an_error_of_the_new_code_brings_the_old_one_back() {
    for (file, content, message) in [
        (
            "alarms-on",
            "prices-webhook-latency\tprices-ticks-pending\n",
            "in alarm: prices-webhook-latency prices-ticks-pending",
        ),
        ("errors", "3.0\n", "3.0 errors"),
    ] {
        let sandbox = Sandbox::new();
        let first = first(&sandbox);
        sandbox.write(file, content);
        let outcome = sandbox.run("infra", &[REGION, ("CANARY_SECONDS", "1")]);
        assert_ne!(outcome.code, 0);
        let expected = format!("version 8 of the webhook: {message}\n");
        assert!(outcome.err.contains(&expected), "{}", outcome.err);
        assert!(
            outcome
                .err
                .contains(&format!("all functions run version {first} again")),
            "{}",
            outcome.err
        );
        for name in integration::bootstraps::FUNCTIONS {
            assert_eq!(
                pointed(&sandbox, name).last(),
                Some(&format!("7 {ALONE}")),
                "{name}"
            );
        }
        assert_eq!(
            sandbox.read("ssm/prices/code").lines().count(),
            1,
            "not remembered"
        );
    }
}

#[test]
fn earlier_code_is_put_back_by_its_version_without_a_stack() {
    let sandbox = Sandbox::new();
    let first = first(&sandbox);
    let second = version(sandbox.run("infra", &[REGION, AT_ONCE]).ok());
    assert_ne!(first, second);
    let back = |arguments: &[&str]| sandbox.run_with(arguments, &[REGION]);

    let outcome = back(&["code", &first]);
    assert!(
        outcome
            .ok()
            .contains(&format!("version   {first} answers.")),
        "{}",
        outcome.out
    );
    assert!(
        !outcome.calls.contains("cloudformation deploy"),
        "{}",
        outcome.calls
    );
    for name in integration::bootstraps::FUNCTIONS {
        assert_eq!(
            pointed(&sandbox, name).last(),
            Some(&format!("7 {ALONE}")),
            "{name}"
        );
    }
    // Without a version, it is the one before: now the second one.
    back(&["code"]).ok();
    assert_eq!(
        pointed(&sandbox, "webhook").last(),
        Some(&format!("8 {ALONE}"))
    );

    let unknown = back(&["code", "abc"]);
    unknown.assert_refused("version abc was not released; these were: ");
    assert!(
        unknown.err.contains(&first) && unknown.err.contains(&second),
        "{}",
        unknown.err
    );
}

#[test]
fn without_a_release_there_is_nothing_to_put_back() {
    let sandbox = Sandbox::new();
    sandbox
        .run("code", &[REGION])
        .assert_refused("no version was released");
    first(&sandbox);
    sandbox
        .run("code", &[REGION])
        .assert_refused("there is no version before");
}

#[test]
fn code_that_is_not_the_built_one_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("hash-prices-redrive", "AAAA\n");
    let outcome = sandbox.run("infra", &[REGION]);
    assert_ne!(outcome.code, 0);
    let message = "the published version of prices-redrive is not the built redrive.zip";
    assert!(outcome.err.contains(message), "{}", outcome.err);
    assert!(!outcome.calls.contains("update-alias"), "{}", outcome.calls);
}
