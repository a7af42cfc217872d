//! The functions: their environment variables, and who may call them.

use std::collections::BTreeSet;

use integration::bootstraps::FUNCTIONS;
use runtime::lambda::Settings;
use serde_json::json;

use crate::stack::{Resource, Stack, stack, text};

fn function(service: &Stack, name: &str) -> Resource {
    let all = service.all("AWS::Lambda::Function");
    all.into_iter()
        .find(|function| function.text("/FunctionName") == format!("prices-{name}"))
        .unwrap()
}

#[test]
fn five_functions_run_a_bootstrap_of_ours() {
    let given = [
        ("Architecture", "x86_64"),
        ("CodeBucket", "zips"),
        ("CodeVersion", "v1"),
    ];
    let service = stack("service.yaml", &given);
    assert_eq!(service.all("AWS::Lambda::Function").len(), FUNCTIONS.len());
    for name in FUNCTIONS {
        let function = function(&service, name);
        assert_eq!(function.text("/Runtime"), "provided.al2023");
        assert_eq!(function.text("/Handler"), "bootstrap");
        assert_eq!(function.at("/Architectures"), &json!(["x86_64"]));
        assert_eq!(
            function.at("/Code"),
            &json!({"S3Bucket": "zips", "S3Key": format!("v1/{name}.zip")})
        );
    }
    let chosen = stack("service.yaml", &[]);
    assert_eq!(
        function(&chosen, "webhook").at("/Architectures"),
        &json!(["arm64"])
    );
}

#[test]
fn logs_expire() {
    let service = stack("service.yaml", &[("LogRetentionDays", "7")]);
    for name in FUNCTIONS {
        let group = function(&service, name)
            .text("/LoggingConfig/LogGroup")
            .replace("ref:", "");
        let group = service.one(&group);
        assert_eq!(
            group.text("/LogGroupName"),
            format!("/aws/lambda/prices-{name}")
        );
        assert_eq!(group.number("/RetentionInDays"), 7);
    }
    for group in stack("data.yaml", &[]).all("AWS::Logs::LogGroup") {
        assert_eq!(group.number("/RetentionInDays"), 30);
    }
}

#[test]
fn logs_are_json_without_the_lines_of_invocations_that_succeed() {
    let service = stack("service.yaml", &[]);
    for name in FUNCTIONS {
        let function = function(&service, name);
        let logging = |property: &str| {
            function
                .text(&format!("/LoggingConfig/{property}"))
                .to_owned()
        };
        assert_eq!(logging("LogFormat"), "JSON");
        assert_eq!(logging("SystemLogLevel"), "WARN");
        // Lines of metrics have no level, and LogLevel filters in the function.
        assert_eq!(logging("ApplicationLogLevel"), "TRACE");
    }
}

/// Each call has its own limit, and all calls of an invocation one together: what fails is logged, not cut off.
#[test]
fn the_budgets_of_analytics_fit_into_its_timeout() {
    let timeout_s = function(&stack("service.yaml", &[]), "analytics").number("/Timeout");
    let quarantine = aws::client::BATCH.operation;
    let longest = analytics::handler::ANALYSE_WITHIN + quarantine;
    assert!(
        longest.as_secs() + 10 <= timeout_s,
        "{longest:?} of {timeout_s} s"
    );
}

/// Asserts that the function starts with the template's variables: it reads each of them, and accepts
/// their values as flags, which have the same names.
#[track_caller]
fn check_environment<S: Settings>(service: &Stack, name: &str) {
    let function = function(service, name);
    let variables = function.at("/Environment/Variables").as_object().unwrap();
    let known: BTreeSet<String> = S::environment().into_iter().collect();
    let set: BTreeSet<String> = variables.keys().cloned().collect();
    let unknown: Vec<_> = set.difference(&known).collect();
    assert!(unknown.is_empty(), "{name} does not read {unknown:?}");
    let flags = variables.iter().map(|(variable, value)| {
        let flag = variable.to_lowercase().replace('_', "-");
        format!("--{flag}={}", text(value))
    });
    // Lambda sets this one.
    let by_lambda = known
        .contains("AWS_LAMBDA_FUNCTION_NAME")
        .then(|| format!("--function-name={}", function.text("/FunctionName")));
    let line = std::iter::once(name.to_owned())
        .chain(flags)
        .chain(by_lambda);
    if let Err(error) = S::try_parse_from(line) {
        panic!("{name} would not start: {error}");
    }
}

/// A Pyth feed that is not in the built-in table, with its name.
const FEED: &str = "abababababababababababababababababababababababababababababababab=OIL/EUR";

#[test]
fn functions_accept_their_environment() {
    for given in [
        &[][..],
        &[
            ("KinesisPercentage", "12.5"),
            ("KinesisRolloutKey", "token"),
            ("UseKinesis", "false"),
            ("BinanceTrades", "spot=trade,usdm=aggTrade"),
            ("PythFeeds", FEED),
            ("PythWideConfidence", "0.5"),
            ("ScalerDryRun", "true"),
            ("EmulatorEndpoint", "http://127.0.0.1:4566"),
        ],
    ] {
        let service = stack("service.yaml", given);
        check_environment::<webhook::config::Config>(&service, "webhook");
        check_environment::<analytics::config::Config>(&service, "analytics");
        check_environment::<broadcast::config::Config>(&service, "broadcast");
        check_environment::<redrive::config::Config>(&service, "redrive");
        check_environment::<scaler::config::Config>(&service, "scaler");
        check_environment::<compaction::config::Config>(&service, "compaction");
    }
}

#[test]
fn secrets_are_passed_by_name_only() {
    let service = stack("service.yaml", &[]);
    for name in FUNCTIONS {
        let function = function(&service, name);
        let variables = function.at("/Environment/Variables").as_object().unwrap();
        assert!(!variables.contains_key("WEBHOOK_SECRETS"), "{name}");
    }
    assert_eq!(
        function(&service, "webhook").text("/Environment/Variables/WEBHOOK_SECRETS_PARAMETER"),
        "/prices/webhook-secrets"
    );
}

#[test]
fn the_webhook_gets_the_hash_of_its_code() {
    let hash = "5aa78a0b".repeat(8);
    let code_hash = |given: &[(&str, &str)]| {
        let webhook = function(&stack("service.yaml", given), "webhook");
        let variable = webhook.find("/Environment/Variables/CODE_SHA256");
        variable.map(text)
    };
    assert_eq!(
        code_hash(&[("WebhookCodeSha256", hash.as_str())]),
        Some(hash)
    );
    assert_eq!(code_hash(&[]), None);
}

#[test]
fn parameters_reach_the_functions() {
    let given = [
        ("RetentionDays", "45"),
        ("ShardsMax", "8"),
        ("ConnectionTtlSeconds", "600"),
        ("WebhookConcurrency", "100"),
    ];
    let service = stack("service.yaml", &given);
    let variable = |name, variable: &str| {
        text(function(&service, name).at(&format!("/Environment/Variables/{variable}")))
    };
    assert_eq!(variable("webhook", "RETENTION_DAYS"), "45");
    assert_eq!(variable("analytics", "RETENTION_DAYS"), "45");
    assert_eq!(variable("scaler", "SHARDS_MAX"), "8");
    assert_eq!(variable("broadcast", "CONNECTION_TTL_SECONDS"), "600");
    assert_eq!(
        function(&service, "webhook").number("/ReservedConcurrentExecutions"),
        100
    );
    // Reserved concurrency would be taken from the rest of the account.
    for name in FUNCTIONS {
        let function = function(&stack("service.yaml", &[]), name);
        assert!(function.find("/ReservedConcurrentExecutions").is_none());
    }
}

/// The routes of an API: the key and the id of the function.
fn routes(service: &Stack, api: &str) -> BTreeSet<(String, String)> {
    let all = service.all("AWS::ApiGatewayV2::Route");
    let own = all
        .iter()
        .filter(|route| route.text("/ApiId") == format!("ref:{api}"));
    own.map(|route| {
        let integration = route.text("/Target").replace("integrations/ref:", "");
        let uri = service.one(&integration).text("/IntegrationUri").to_owned();
        let (_, alias) = uri.split_once("ref:").unwrap();
        let alias = alias.split('/').next().unwrap();
        (route.text("/RouteKey").to_owned(), alias.to_owned())
    })
    .collect()
}

fn pairs(keys: &[&str], function: &str) -> BTreeSet<(String, String)> {
    keys.iter()
        .map(|key| ((*key).to_owned(), function.to_owned()))
        .collect()
}

#[test]
fn the_apis_call_their_functions() {
    let service = stack("service.yaml", &[]);
    assert_eq!(
        routes(&service, "WebhookApi"),
        pairs(&["POST /webhooks/{source}", "GET /healthz"], "WebhookAlias")
    );
    assert_eq!(
        routes(&service, "LiveApi"),
        pairs(&["$connect", "$disconnect", "$default"], "BroadcastAlias")
    );
    assert_eq!(
        service
            .one("WebhookIntegration")
            .text("/PayloadFormatVersion"),
        "2.0"
    );
    for (stage, name) in [("WebhookStage", "$default"), ("LiveStage", "live")] {
        let stage = service.one(stage);
        assert_eq!(stage.text("/StageName"), name);
        assert_eq!(stage.at("/AutoDeploy"), true);
        assert!(stage.number("/DefaultRouteSettings/ThrottlingRateLimit") > 0);
    }
}

#[test]
fn only_the_apis_may_call_the_functions() {
    let service = stack("service.yaml", &[]);
    let permissions = service.all("AWS::Lambda::Permission");
    let sources: BTreeSet<(String, String)> = permissions
        .iter()
        .map(|permission| {
            assert_eq!(permission.text("/Principal"), "apigateway.amazonaws.com");
            assert_eq!(permission.text("/Action"), "lambda:InvokeFunction");
            let source = permission.text("/SourceArn");
            let (_, path) = source
                .split_once("execute-api:eu-central-1:111122223333:ref:")
                .unwrap();
            (path.to_owned(), permission.text("/FunctionName").to_owned())
        })
        .collect();
    let webhook = "ref:WebhookAlias".to_owned();
    let broadcast = "ref:BroadcastAlias".to_owned();
    assert_eq!(
        sources,
        BTreeSet::from([
            (
                "WebhookApi/*/POST/webhooks/{source}".to_owned(),
                webhook.clone()
            ),
            ("WebhookApi/*/GET/healthz".to_owned(), webhook),
            ("LiveApi/live/*".to_owned(), broadcast),
        ])
    );
}

#[test]
fn a_function_url_is_only_public_if_requested() {
    let service = stack("service.yaml", &[("WebhookFunctionUrl", "true")]);
    let public: BTreeSet<String> = service
        .all("AWS::Lambda::Permission")
        .iter()
        .filter(|permission| permission.text("/Principal") == "*")
        .map(|permission| {
            let for_the_url = permission.find("/FunctionUrlAuthType") == Some(&json!("NONE"))
                || permission.find("/InvokedViaFunctionUrl") == Some(&json!(true));
            assert!(for_the_url, "{} is open to all", permission.id);
            permission.text("/Action").to_owned()
        })
        .collect();
    assert_eq!(
        public,
        BTreeSet::from([
            "lambda:InvokeFunction".to_owned(),
            "lambda:InvokeFunctionUrl".to_owned()
        ])
    );
}

#[test]
fn addresses_are_those_of_the_emulator_if_it_is_set() {
    let aws = stack("service.yaml", &[]);
    assert_eq!(aws.output("WebhookUrl"), "att:WebhookApi.ApiEndpoint");
    let host = "ref:LiveApi.execute-api.eu-central-1.amazonaws.com/live";
    assert_eq!(aws.output("LiveUrl"), format!("wss://{host}"));
    assert_eq!(aws.output("LiveCallbackUrl"), format!("https://{host}"));

    for (endpoint, live) in [("http://127.0.0.1:4566", "ws"), ("https://aws.test", "wss")] {
        let emulated = stack("service.yaml", &[("EmulatorEndpoint", endpoint)]);
        let path = "/_aws/execute-api/ref:LiveApi/live";
        let (_, host) = endpoint.split_once("://").unwrap();
        assert_eq!(
            emulated.output("WebhookUrl"),
            format!("{endpoint}/_aws/execute-api/ref:WebhookApi/$default")
        );
        assert_eq!(emulated.output("LiveUrl"), format!("{live}://{host}{path}"));
        assert_eq!(
            emulated.output("LiveCallbackUrl"),
            format!("{endpoint}{path}")
        );
        let function = function(&emulated, "broadcast");
        assert_eq!(
            function.text("/Environment/Variables/LIVE_CALLBACK_URL"),
            format!("{endpoint}{path}")
        );
    }
}

/// What invoked a function itself would get $LATEST, which a stack has changed and nobody has released.
#[test]
fn everything_invokes_the_functions_through_their_aliases() {
    let service = stack("service.yaml", &[("WebhookFunctionUrl", "true")]);
    for alias in service.all("AWS::Lambda::Alias") {
        assert_eq!(alias.text("/Name"), "live");
        let function = alias.text("/FunctionName").strip_prefix("ref:").unwrap();
        assert_eq!(alias.id.replace("Alias", "Function"), function);
    }
    let count = |kind: &str| service.all(kind).len();
    assert_eq!(count("AWS::Lambda::Alias"), count("AWS::Lambda::Function"));
    for kind in ["AWS::Lambda::EventSourceMapping", "AWS::Lambda::Permission"] {
        for resource in service.all(kind) {
            let invoked = resource.text("/FunctionName");
            assert!(invoked.ends_with("Alias"), "{}: {invoked}", resource.id);
        }
    }
    for schedule in service.all("AWS::Scheduler::Schedule") {
        let invoked = schedule.text("/Target/Arn");
        assert!(invoked.ends_with("Alias"), "{}: {invoked}", schedule.id);
    }
    let url = service.one("WebhookUrl");
    assert_eq!(url.text("/Qualifier"), "live");
    assert_eq!(service.one("CompactionInvoked").text("/Qualifier"), "live");
}
