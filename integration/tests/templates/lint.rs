//! `cfn-lint` knows the properties of each resource type, unlike the emulator and the other tests.

use std::process::Command;

use integration::python;

use crate::stack::TEMPLATES;

#[test]
fn the_linter_finds_nothing() {
    let output = Command::new(python::tools().unwrap().cfn_lint)
        // All rules, also those that only inform and those that may still change. I4010 wants each resource described
        // once more for generators of code; descriptions and comments are for readers of any kind.
        .args(["--include-checks", "I", "--include-experimental"])
        .args(["--ignore-checks", "I4010", "--"])
        .args(TEMPLATES)
        .arg("operators.yaml")
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../infra"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The AWS CLI needs a bucket for larger templates, and the first deploy does not have one yet.
const TEMPLATE_BYTES_MAX: u64 = 51_200;

#[test]
fn templates_are_small_enough_to_deploy_without_a_bucket() {
    for file in TEMPLATES {
        let path = format!("{}/../infra/{file}", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::metadata(path).unwrap().len();
        assert!(bytes <= TEMPLATE_BYTES_MAX, "{file} has {bytes} bytes");
    }
}
