//! `infra/deploy.sh` with a fake AWS CLI that records its calls.

mod code;
pub(crate) mod sandbox;
mod way_back;

use std::fs;

use sandbox::{EMPTY_SHA256, NO_ZIPS, REGION, Sandbox};

#[test]
fn the_cli_gets_the_region_from_either_variable() {
    for (set, region) in [
        (vec![REGION], "eu-central-1"),
        (vec![("AWS_DEFAULT_REGION", "us-east-1")], "us-east-1"),
        (
            vec![REGION, ("AWS_DEFAULT_REGION", "us-east-1")],
            "eu-central-1",
        ),
    ] {
        let outcome = Sandbox::new().run("infra", &set);
        assert_eq!(outcome.code, 0, "{}", outcome.err);
        let each = outcome.calls.lines();
        let wrong: Vec<&str> = each
            .filter(|call| !call.starts_with(&format!("{region}/{region} ")))
            .collect();
        assert!(!outcome.calls.is_empty() && wrong.is_empty(), "{wrong:?}");
    }
    let outcome = Sandbox::new().run("infra", &[]);
    assert!(
        outcome.code != 0 && outcome.err.contains("set AWS_REGION"),
        "{}",
        outcome.err
    );
}

#[test]
fn parameters_that_are_not_set_keep_their_deployed_values() {
    let sandbox = Sandbox::new();
    let outcome = sandbox.run("infra", &[REGION]);
    assert!(
        !outcome.deploy("data").contains("ArchiveDay="),
        "the default"
    );
    for chosen in ["AlertEmail=", "OfferWithinMs="] {
        assert!(!outcome.deploy("service").contains(chosen), "{chosen}");
    }
    let emails = [
        ("a@example.com", "AlertEmail=a@example.com "),
        ("", "AlertEmail= "),
    ];
    for (email, expected) in emails {
        let outcome = sandbox.run("infra", &[REGION, ("ALERT_EMAIL", email)]);
        let call = format!("{} ", outcome.deploy("service"));
        assert!(call.contains(expected), "{call}");
    }
}

#[test]
fn only_the_upgrade_from_1_0_sets_when_the_new_ids_begin() {
    let now_ms = || {
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        i64::try_from(since.as_millis()).unwrap()
    };
    let sandbox = Sandbox::new();
    let outcome = sandbox.run("infra", &[REGION]);
    assert!(
        !outcome.deploy("service").contains("NewIdsFromMs="),
        "a new stack has the default"
    );

    // A stack of 1.0 has no such parameter; CLIs print that as nothing, or as `None`.
    for absent in ["", "\n", "None\n"] {
        sandbox.write("parameter-NewIdsFromMs", absent);
        let earliest_ms = now_ms();
        let outcome = sandbox.run("infra", &[REGION]);
        let call = outcome.deploy("service");
        let (_, value) = call.split_once(" NewIdsFromMs=").unwrap();
        let from_ms: i64 = value.split(' ').next().unwrap().parse().unwrap();
        let allowed = earliest_ms + 899_000..=now_ms() + 900_000;
        assert!(
            allowed.contains(&from_ms),
            "{from_ms} is not in {allowed:?}"
        );
        // An operator's own value comes last, and the last one wins.
        let own = ("SERVICE_PARAMETERS", "NewIdsFromMs=7");
        let outcome = sandbox.run("infra", &[REGION, own]);
        assert!(outcome.deploy("service").ends_with(" NewIdsFromMs=7"));
    }
    for deployed in ["0\n", "1767225600000\n"] {
        sandbox.write("parameter-NewIdsFromMs", deployed);
        let outcome = sandbox.run("infra", &[REGION]);
        assert!(
            !outcome.deploy("service").contains("NewIdsFromMs="),
            "{deployed}"
        );
    }
}

#[test]
fn the_archive_day_of_an_emulator_is_only_set_by_the_first_deploy() {
    let sandbox = Sandbox::new();
    let emulated = [REGION, ("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")];
    let outcome = sandbox.run("infra", &emulated);
    assert!(outcome.deploy("data").contains("ArchiveDay=arrival"));
    assert!(outcome.deploy("service").contains("OfferWithinMs=3000"));
    let outcome = sandbox.run("infra", &emulated);
    assert!(!outcome.deploy("data").contains("ArchiveDay="));
}

#[test]
fn the_alarm_stacks_get_the_function_url_parameter() {
    let url = ("SERVICE_PARAMETERS", "WebhookFunctionUrl=true");
    let outcome = Sandbox::new().run("infra", &[REGION, url]);
    for stack in ["service", "alarms", "alarms-math"] {
        let call = outcome.deploy(stack);
        assert!(call.contains("WebhookFunctionUrl=true"), "{call}");
    }
}

#[test]
fn a_stack_that_cannot_be_updated_is_reported_with_a_remedy() {
    let sandbox = Sandbox::new();
    sandbox.write("stack-prices-service", "ROLLBACK_COMPLETE\n");
    let outcome = sandbox.run("infra", &[REGION]);
    assert_ne!(outcome.code, 0);
    let remedy = "aws cloudformation delete-stack --stack-name prices-service";
    assert!(outcome.err.contains(remedy), "{}", outcome.err);
    assert!(!outcome.calls.contains("deploy --stack-name prices-service"));

    sandbox.write("stack-prices-service", "UPDATE_IN_PROGRESS\n");
    let outcome = sandbox.run("infra", &[REGION]);
    assert!(outcome.err.contains("is being changed"), "{}", outcome.err);
}

#[test]
fn nix_builds_the_zips_if_it_can_get_nixpkgs() {
    let sandbox = Sandbox::new();
    for (architecture, output) in [("arm64", "lambda-zips"), ("x86_64", "lambda-zips-x86_64")] {
        let architecture = ("ARCHITECTURE", architecture);
        for builder in [None, Some(("BUILDER", "nix"))] {
            let given = [REGION, NO_ZIPS, architecture].into_iter().chain(builder);
            let outcome = sandbox.run("infra", &given.collect::<Vec<_>>());
            assert_eq!(outcome.code, 0, "{}", outcome.err);
            let build = format!(" build --no-link --print-out-paths .#{output}\n");
            assert!(outcome.calls.contains(&build), "{}", outcome.calls);
            let expected = format!("build     with nix for {}\n", architecture.1);
            assert!(outcome.out.contains(&expected), "{}", outcome.out);
            let file = format!("file      {EMPTY_SHA256}  webhook.zip\n");
            assert!(outcome.out.contains(&file), "{}", outcome.out);
        }
    }
}

#[test]
fn the_share_is_read_from_every_form_of_the_flag() {
    let sandbox = Sandbox::new();
    for (flag, share) in [
        ("0", "0"),
        (
            r#"{"use_kinesis":true,"percentage":"12.5","key":"tick"}"#,
            "12.5",
        ),
        (
            r#"{"use_kinesis":false,"percentage":"12.5","key":"tick"}"#,
            "0",
        ),
    ] {
        sandbox.write("ssm/prices/rollout", flag);
        let outcome = sandbox.run("infra", &[REGION]);
        let line = format!("\nrollout   {share} %\n");
        assert!(
            outcome.out.contains(&line),
            "{}\n{}",
            outcome.out,
            outcome.err
        );
    }
}

#[test]
fn an_unknown_stage_is_reported_before_the_usage() {
    let outcome = Sandbox::new().run("5", &[REGION]);
    assert_eq!(outcome.code, 2);
    let named = "deploy: `5` is not a verb; the stages are canary, 10, 50 and 100\n";
    assert!(outcome.err.starts_with(named), "{}", outcome.err);
    assert!(
        outcome.err.contains("ALERT_EMAIL") && outcome.err.ends_with("else cargo builds it).\n"),
        "{}",
        outcome.err
    );
    assert_eq!(outcome.calls, "");
}

#[test]
fn a_deploy_from_another_machine_keeps_the_architecture() {
    let sandbox = Sandbox::new();
    // The deployed one is kept, whatever this machine has, unless ARCHITECTURE is set.
    for (deployed, requested, expected) in [
        ("arm64", None, "arm64"),
        ("x86_64", None, "x86_64"),
        ("arm64", Some("x86_64"), "x86_64"),
    ] {
        sandbox.write("stack-prices-service", "UPDATE_COMPLETE\n");
        sandbox.write("parameter-Architecture", &format!("{deployed}\n"));
        let requested = requested.map(|architecture| ("ARCHITECTURE", architecture));
        let given = [REGION, NO_ZIPS].into_iter().chain(requested);
        let outcome = sandbox.run("infra", &given.collect::<Vec<_>>());
        let parameter = format!(" Architecture={expected} ");
        assert!(
            outcome.deploy("service").contains(&parameter),
            "{}",
            outcome.calls
        );
        assert!(
            outcome.out.contains(&format!("for {expected}\n")),
            "{}",
            outcome.out
        );
    }
    // If it cannot be read, it is not guessed.
    fs::remove_file(sandbox.path().join("parameter-Architecture")).unwrap();
    let outcome = sandbox.run("infra", &[REGION]);
    outcome.assert_refused("set ARCHITECTURE to arm64 or x86_64");
}

#[test]
fn a_builder_that_fails_is_reported_with_the_alternative() {
    let sandbox = Sandbox::new();
    sandbox.write("broken", "");
    let outcome = sandbox.run("infra", &[REGION, NO_ZIPS, ("BUILDER", "nix")]);
    outcome.assert_refused("or set BUILDER=cargo");

    let outcome = sandbox.run("infra", &[REGION, NO_ZIPS, ("BUILDER", "make")]);
    assert!(
        outcome.err.contains("the builder must be nix or cargo"),
        "{}",
        outcome.err
    );
}

#[test]
fn without_nixpkgs_the_deploy_says_why_it_builds_with_cargo() {
    let sandbox = Sandbox::new();
    // The fake cargo fails, so nothing is compiled.
    let hint = "(use '--show-trace' to show detailed location information)";
    for (error, reason) in [
        (
            format!("warning: slow\nerror: unable to download 'x'\n{hint}\n"),
            "unable to download 'x'",
        ),
        (
            "error:\n       … while fetching\n\n       error: no network\n".to_owned(),
            "no network",
        ),
        ("killed\n".to_owned(), "killed"),
    ] {
        sandbox.write("broken", &error);
        let outcome = sandbox.run("infra", &[REGION, NO_ZIPS]);
        let line = format!("since Nix cannot get nixpkgs: {reason}\n");
        outcome.assert_refused(&line);
    }
}

#[test]
fn a_deploy_says_who_and_where_first() {
    let outcome = Sandbox::new().run("infra", &[REGION]);
    let first: Vec<&str> = outcome.ok().lines().take(2).collect();
    assert_eq!(
        first,
        [
            "who       arn:aws:iam::123456789012:user/ann",
            "where     account 123456789012, region eu-central-1, project prices",
        ]
    );
}

#[test]
fn a_parameter_that_no_template_has_is_refused() {
    for (variable, words, message) in [
        (
            "SERVICE_PARAMETERS",
            "RetentionDay=7",
            "no template of SERVICE_PARAMETERS has a parameter RetentionDay: the names are under `Parameters` in \
             infra/service.yaml infra/alarms.yaml infra/alarms-math.yaml",
        ),
        (
            "DATA_PARAMETERS",
            "StreamMode=PROVISIONED RetentionDay=7",
            "no template of DATA_PARAMETERS has a parameter RetentionDay:",
        ),
        (
            "SERVICE_PARAMETERS",
            "RetentionDays 7",
            "`RetentionDays` in SERVICE_PARAMETERS is not `Name=Value`",
        ),
    ] {
        let outcome = Sandbox::new().run("infra", &[REGION, (variable, words)]);
        outcome.assert_refused(message);
    }
}

#[test]
fn a_low_quota_is_refused_unless_it_is_ignored() {
    let sandbox = Sandbox::new();
    sandbox.write("quota-functions", "10\n");
    sandbox.run("infra", &[REGION]).assert_refused(
        "the account allows 10 concurrent functions in eu-central-1, and tickstream needs 100: \
         `aws service-quotas request-service-quota-increase --service-code lambda",
    );
    let ignored = sandbox.run("infra", &[REGION, ("QUOTAS", "ignore")]);
    assert!(ignored.ok().contains("quota     10 concurrent functions\n"));

    sandbox.write("quota-functions", "1000\n");
    sandbox.write("quota-writes", "1000\n");
    let outcome = sandbox.run("infra", &[REGION]);
    outcome.assert_refused("the account allows 1000 write units of a table");

    // What cannot be seen is not passed over, except on an emulator.
    fs::remove_file(sandbox.path().join("quota-writes")).unwrap();
    let outcome = sandbox.run("infra", &[REGION]);
    outcome.assert_refused("cannot be read: allow `aws dynamodb describe-limits`");
    let emulated = [REGION, ("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")];
    let outcome = sandbox.run("infra", &emulated);
    assert!(outcome.ok().contains("write units of a table: not seen"));
}

#[test]
fn no_answer_is_not_taken_for_no_stack() {
    let sandbox = Sandbox::new();
    for (verb, message) in [
        ("infra", "AWS does not know who you are"),
        (
            "code",
            "AWS did not answer `aws ssm get-parameter-history`: Could not connect",
        ),
        (
            "rollback",
            "aws ssm put-parameter --name /prices/rollout --value 0 --overwrite",
        ),
    ] {
        sandbox.write("silent", "");
        let outcome = sandbox.run(verb, &[REGION]);
        outcome.assert_refused(message);
    }
    // Between the first calls and the stacks.
    fs::remove_file(sandbox.path().join("silent")).unwrap();
    let aws = sandbox.read("aws");
    let forgetful = aws.replace("case \"$1 $2\" in", "[ \"$2\" != describe-stacks ] || { echo 'Read timeout' >&2; exit 255; }\ncase \"$1 $2\" in");
    sandbox.write("aws", &forgetful);
    sandbox
        .run("infra", &[REGION])
        .assert_refused("AWS did not answer `aws cloudformation describe-stacks`: Read timeout");
}

#[test]
fn a_failed_way_back_of_a_stack_is_named_with_its_remedy() {
    let sandbox = Sandbox::new();
    sandbox.write("stack-prices-data", "UPDATE_ROLLBACK_FAILED\n");
    sandbox
        .run("infra", &[REGION])
        .assert_refused("aws cloudformation continue-update-rollback --stack-name prices-data");
}

#[test]
fn the_first_deploy_protects_the_data_once_it_is_there() {
    let sandbox = Sandbox::new();
    let outcome = sandbox.run("infra", &[REGION]);
    let calls = outcome.ok_calls();
    let place = |text: &str| {
        calls
            .find(text)
            .unwrap_or_else(|| panic!("no {text} in {calls}"))
    };
    let created = place("deploy --stack-name prices-data");
    let protected = place(
        "update-termination-protection --enable-termination-protection --stack-name prices-data",
    );
    assert!(created < protected && protected < place("TableDeletionProtection=true"));
    // Later ones keep the deployed value, which an operator may have changed.
    let outcome = sandbox.run("infra", &[REGION]);
    assert!(
        !outcome.ok_calls().contains("rotection"),
        "{}",
        outcome.calls
    );
}

#[test]
fn the_deploy_makes_the_flag_and_never_changes_it() {
    let sandbox = Sandbox::new();
    let outcome = sandbox.run("infra", &[REGION]);
    assert!(
        outcome
            .ok()
            .contains("flag      /prices/rollout was created, at 0 %\n")
    );
    assert_eq!(sandbox.read("ssm/prices/rollout"), "0\n");
    sandbox.write("ssm/prices/rollout", "50\n");
    let outcome = sandbox.run("infra", &[REGION]);
    assert!(
        outcome.ok().ends_with("rollout   50 %\n"),
        "{}",
        outcome.out
    );
    assert_eq!(sandbox.read("ssm/prices/rollout"), "50\n");
}
