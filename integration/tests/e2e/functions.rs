//! The deployed functions through Lambda's API: their variables, their mappings, an invocation.

use serde_json::{Map, Value, json};

use crate::project::Project;

impl Project {
    /// A function's deployed environment variables.
    pub(crate) async fn variables(&self, function: &str) -> Map<String, Value> {
        let name = self.function(function);
        let described = self
            .lambda(&["get-function-configuration", "--function-name", &name])
            .await;
        let variables = described["Environment"]["Variables"].as_object();
        variables.unwrap().clone()
    }

    /// Sets environment variables of a function, and keeps the others. They count in a new version, to which the alias is
    /// moved.
    pub(crate) async fn set_variables(&self, function: &str, changes: &[(&str, &str)]) {
        let name = self.function(function);
        let mut variables = self.variables(function).await;
        for (variable, value) in changes {
            variables.insert((*variable).to_owned(), (*value).into());
        }
        let environment = json!({ "Variables": variables }).to_string();
        self.lambda(&[
            "update-function-configuration",
            "--function-name",
            &name,
            "--environment",
            &environment,
        ])
        .await;
        let published = self
            .lambda(&["publish-version", "--function-name", &name])
            .await;
        let version = published["Version"].as_str().unwrap();
        self.lambda(&[
            "update-alias",
            "--function-name",
            &name,
            "--name",
            "live",
            "--function-version",
            version,
        ])
        .await;
    }

    /// The only mapping between the project's stream and a function.
    pub(crate) async fn stream_mapping(&self, function: &str) -> Value {
        let name = self.function(function);
        let listed = self
            .lambda(&["list-event-source-mappings", "--function-name", &name])
            .await;
        let [mapping] = &listed["EventSourceMappings"].as_array().unwrap()[..] else {
            panic!("{listed}")
        };
        mapping.clone()
    }

    /// Invokes a function and returns its response; it must not fail.
    pub(crate) async fn invoke(&self, function: &str, event: &Value) -> Value {
        let name = self.function(function);
        // Both versions of the CLI read `fileb://` unchanged.
        let folder = tempfile::tempdir().unwrap();
        let (payload, answer) = (folder.path().join("event"), folder.path().join("answer"));
        std::fs::write(&payload, event.to_string()).unwrap();
        let invoked = self
            .lambda(&[
                "invoke",
                "--function-name",
                &name,
                "--qualifier",
                "live",
                "--payload",
                &format!("fileb://{}", payload.display()),
                answer.to_str().unwrap(),
            ])
            .await;
        let text = std::fs::read_to_string(&answer).unwrap();
        assert!(invoked["FunctionError"].is_null(), "{invoked}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    fn function(&self, function: &str) -> String {
        format!("{}-{function}", self.name)
    }

    async fn lambda(&self, arguments: &[&str]) -> Value {
        let tools = integration::emulator::tools().await.unwrap();
        let output = tokio::process::Command::new(tools.aws)
            .arg("lambda")
            .args(arguments)
            .args(["--output", "json"])
            .envs(self.emulator.environment())
            .output()
            .await
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}
