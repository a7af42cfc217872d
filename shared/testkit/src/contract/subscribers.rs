//! The contract of the live API's subscribers.

use app::ports::{Subscribers, Topic};
use domain::Token;

/// More topics than fit into one batch of any service.
const TOPICS_MANY: usize = 60;

/// Connections come and go, and each topic has its own.
///
/// # Panics
/// If the adapter breaks the contract.
#[expect(clippy::unwrap_used, reason = "a contract suite fails by panicking")]
pub async fn subscribers(subscribers: &dyn Subscribers) {
    let token = |name: &str| Topic::Token(Token::new(name).unwrap());
    let (a, b, c) = (token("watched-a"), token("watched-b"), token("watched-c"));
    let watching = async |topics: &[Topic]| {
        let watchers = subscribers.watchers().await.unwrap();
        assert!(watchers.iter().all(|watcher| !watcher.topics.is_empty()));
        let of = |topic: &Topic| {
            let watching = watchers.iter().filter(|it| it.topics.contains(topic));
            let mut names: Vec<String> = watching.map(|it| it.connection.clone()).collect();
            names.sort();
            names
        };
        topics.iter().map(of).collect::<Vec<_>>()
    };

    assert_eq!(subscribers.watchers().await.unwrap(), []);
    subscribers
        .subscribe("one", &[a.clone(), b.clone()])
        .await
        .unwrap();
    subscribers
        .subscribe("two", &[b.clone(), Topic::All])
        .await
        .unwrap();
    subscribers.subscribe("three", &[]).await.unwrap();
    let asked = [Topic::All, a.clone(), b.clone(), c.clone()];
    assert_eq!(
        watching(&asked).await,
        [vec!["two"], vec!["one"], vec!["one", "two"], vec![]]
    );
    assert_eq!(
        subscribers.watchers().await.unwrap().len(),
        2,
        "without topics, a connection watches nothing"
    );

    for _ in 0..2 {
        subscribers
            .subscribe("one", &[a.clone(), c.clone()])
            .await
            .unwrap();
        assert_eq!(
            watching(&[a.clone(), c.clone()]).await,
            [["one"], ["one"]],
            "topics are added, and once only"
        );
    }
    for _ in 0..2 {
        subscribers
            .unsubscribe("one", &[b.clone(), c.clone()])
            .await
            .unwrap();
        assert_eq!(
            watching(&[a.clone(), b.clone(), c.clone()]).await,
            [vec!["one"], vec!["two"], vec![]],
            "other connections and topics stay"
        );
    }

    let many: Vec<Topic> = (0..TOPICS_MANY)
        .map(|n| token(&format!("watched-{n}")))
        .collect();
    subscribers.subscribe("three", &many).await.unwrap();
    assert_eq!(watching(&many).await, vec![vec!["three"]; TOPICS_MANY]);
    for _ in 0..2 {
        subscribers.forget("three").await.unwrap();
        assert_eq!(
            watching(&many).await,
            vec![Vec::<String>::new(); TOPICS_MANY],
            "forgotten with all its topics"
        );
    }
    subscribers.forget("never-seen").await.unwrap();
    subscribers
        .unsubscribe("never-seen", std::slice::from_ref(&a))
        .await
        .unwrap();
    assert_eq!(watching(&[a, b]).await, [["one"], ["two"]]);
}
