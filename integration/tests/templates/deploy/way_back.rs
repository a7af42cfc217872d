//! The way back, and a look: what a machine without a compiler can do.

use super::sandbox::{EMPTY_SHA256, NO_TICKCTL, REGION, Sandbox, tickctl_name};

#[test]
fn a_rollback_sets_the_flag_first_and_with_the_cli_alone() {
    let sandbox = Sandbox::new();
    sandbox.write("ssm/prices/rollout", "50\n");
    let outcome = sandbox.run_with(&["rollback", "--why", "late"], &[REGION]);
    outcome.ok();
    let calls: Vec<&str> = outcome.calls.lines().collect();
    assert_eq!(
        calls,
        [
            "eu-central-1/eu-central-1 ssm put-parameter --name /prices/rollout --value 0 --overwrite",
            "tickctl rollout back --why late",
        ]
    );
}

#[test]
fn without_tickctl_a_rollback_watches_the_log() {
    let sandbox = Sandbox::new();
    sandbox.write("ssm/prices/rollout", "50\n");
    let outcome = sandbox.run("rollback", &[REGION, NO_TICKCTL]);
    assert!(
        outcome.ok().contains("\ndrained   no delivery since 5 s"),
        "{}",
        outcome.out
    );
    assert_eq!(sandbox.read("ssm/prices/rollout"), "50\n0\n");
    assert!(!outcome.calls.contains("cargo"), "{}", outcome.calls);
    let pattern = "--filter-pattern { $.Streamed > 0 }";
    assert!(outcome.calls.contains(pattern), "{}", outcome.calls);
}

#[test]
fn a_step_fetches_tickctl_by_its_hash_and_keeps_it() {
    let sandbox = Sandbox::new();
    let deployed = sandbox.run("infra", &[REGION]);
    let version = deployed
        .ok()
        .lines()
        .find_map(|it| it.strip_prefix("version   "));
    let version = version.unwrap().split(',').next().unwrap();
    sandbox.write("parameter-CodeVersion", version);
    sandbox.write("parameter-CodeBucket", "output");
    for fetches in [true, false] {
        let outcome = sandbox.run("canary", &[REGION, NO_TICKCTL]);
        outcome.ok();
        assert!(
            outcome
                .calls
                .ends_with("tickctl rollout to canary --archive s3://output/price-archive\n"),
            "{}",
            outcome.calls
        );
        let fetched = outcome.calls.contains("/tickctl-");
        assert_eq!(fetched, fetches, "{}", outcome.calls);
    }

    // Another program under that name is not run, wherever it lies, nor another list.
    let name = tickctl_name();
    let kept = format!("cache/tickstream/tickctl/{version}/{name}");
    assert_ne!(sandbox.read(&kept), "");
    let other = "#!/usr/bin/env bash\ntouch \"$HERE/ran\"\n";
    sandbox.write(&kept, other);
    sandbox.run("canary", &[REGION, NO_TICKCTL]).ok();
    sandbox.write(&kept, other);
    sandbox.write(&format!("s3/output/{version}/{name}"), other);
    let outcome = sandbox.run("canary", &[REGION, NO_TICKCTL]);
    outcome.assert_refused("does not have the hash of version");
    sandbox.write(&format!("s3/output/{version}/SHA256SUMS"), "0  tickctl\n");
    let outcome = sandbox.run("canary", &[REGION, NO_TICKCTL]);
    outcome.assert_refused("is not the list of version");
    assert_eq!(sandbox.read("ran"), "");
    assert!(!sandbox.path().join("ran").exists());
}

#[test]
fn the_status_compares_the_webhooks_hash_with_lambdas() {
    let sandbox = Sandbox::new();
    sandbox.run("infra", &[REGION]).ok();
    sandbox.write(
        "tickctl-output",
        &format!("code      {EMPTY_SHA256} webhook 0.1.0\n"),
    );
    let outcome = sandbox.run("status", &[REGION]);
    let line = format!("lambda    {EMPTY_SHA256} prices-webhook\n");
    assert!(outcome.ok().contains(&line), "{}", outcome.out);
    // The advice of `tickctl doctor` and `tickctl verify` relies on these.
    for line in [
        "webhook   output\n",
        "archive   s3://output/price-archive\n",
    ] {
        assert!(outcome.out.contains(line), "{}", outcome.out);
    }

    let other = "1".repeat(64);
    sandbox.write(
        "tickctl-output",
        &format!("code      {other} webhook 0.1.0\n"),
    );
    let outcome = sandbox.run("status", &[REGION]);
    assert_ne!(outcome.code, 0);
    assert!(
        outcome.out.contains(&other),
        "shown anyway: {}",
        outcome.out
    );
    assert!(
        outcome.err.contains("which is not Lambda's"),
        "{}",
        outcome.err
    );
}

#[test]
fn the_status_shows_this_version_and_the_one_before() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "ssm/prices/code",
        "version=aaa webhook=1\nversion=bbb webhook=2\nversion=aaa webhook=1\n",
    );
    let outcome = sandbox.run("status", &[REGION]);
    let out = outcome.ok();
    assert!(
        out.contains("version   aaa\nbefore    bbb (`just deploy code` puts it back)\n"),
        "{out}"
    );
}
