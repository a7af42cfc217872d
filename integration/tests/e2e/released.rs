//! Code that goes out through aliases, and comes back.

use testkit::ticks::ticks;

use crate::project::Project;

/// Which code answers, as `status` prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Answering {
    /// The hash that the webhook itself reports.
    by_itself: String,
    /// The hash of the zip that Lambda runs.
    by_lambda: String,
    version: String,
    before: String,
}

async fn answering(project: &Project) -> Answering {
    let status = project.run(&["status"]).await.ok();
    println!("{status}");
    let word = |start: &str, end: &str| {
        let lines = status.lines().filter(|line| line.contains(end));
        let mut words =
            lines.filter_map(|line| line.strip_prefix(start)?.split_whitespace().next());
        words
            .next()
            .unwrap_or_else(|| panic!("no {start} in {status}"))
            .to_owned()
    };
    Answering {
        by_itself: word("code ", " webhook "),
        by_lambda: word("lambda ", "-webhook"),
        version: word("version ", ""),
        before: word("before ", ""),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn earlier_code_answers_again_without_a_stack() {
    let project = Project::deploy().await;
    let first = answering(&project).await;
    assert_eq!(
        (&first.by_itself, first.before.as_str()),
        (&first.by_lambda, "none")
    );
    let folder = tempfile::tempdir().unwrap();
    project.other_zips(folder.path(), "webhook").await;
    println!(
        "{}",
        project.run_with_zips(&["infra"], folder.path()).await.ok()
    );
    let second = answering(&project).await;
    assert_eq!(second.by_itself, second.by_lambda);
    assert_ne!(second.by_itself, first.by_itself);
    assert_eq!(second.before, first.version);

    println!("{}", project.run(&["code"]).await.ok());
    let back = answering(&project).await;
    assert_eq!(
        (back.by_itself, back.by_lambda, back.version),
        (first.by_itself.clone(), first.by_itself, first.version)
    );
    let answer = project.post_ticks(&ticks(&["released"], 3)).await;
    assert_eq!(answer["stored"], 3, "{answer}");
    // What was taken back can go out again.
    project.run_with_zips(&["infra"], folder.path()).await.ok();
    assert_eq!(answering(&project).await, second);
}
