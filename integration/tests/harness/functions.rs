//! The deployed form of our functions, and a bootstrap that hangs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use integration::bootstraps::{FUNCTIONS, zips};
use integration::event_source::function::BootstrapFunction;
use integration::event_source::{Answer, Function as _};
use serde_json::json;

#[test]
fn each_function_is_zipped_once_for_the_same_build() {
    let first = zips().unwrap();
    let changed = |name: &str| fs::metadata(first.zip(name)).unwrap().modified().unwrap();
    let times = FUNCTIONS.map(changed);
    let second = zips().unwrap();
    assert_eq!(times, FUNCTIONS.map(changed));
    assert_eq!(first.version(), second.version());
    assert_eq!(first.version().len(), 12);
    for function in FUNCTIONS {
        let mut zip = zip::ZipArchive::new(fs::File::open(first.zip(function)).unwrap()).unwrap();
        let bootstrap = zip.by_name("bootstrap").unwrap();
        assert!(
            bootstrap.size() > 1_000_000,
            "{function} has {} bytes",
            bootstrap.size()
        );
    }
}

#[tokio::test]
async fn a_bootstrap_that_does_not_respond_is_a_failed_invocation() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("bootstrap");
    fs::write(&program, "#!/bin/sh\nexec sleep 60\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let timeout = Duration::from_millis(200);
    let function = BootstrapFunction::new("hangs", &program, &[], timeout);
    assert_eq!(
        function.arn(),
        "arn:aws:lambda:us-east-1:000000000000:function:hangs"
    );
    for _ in 0..2 {
        let answer = function.invoke(json!({ "Records": [] })).await;
        assert_eq!(answer, Answer::Raised("timed out after 200 ms".to_owned()));
    }
}
