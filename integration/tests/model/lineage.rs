//! After a reshard, parents are read before their children.

use std::collections::BTreeSet;

use integration::event_source::lineage::{Listed, readable};

/// Shard 0 was split into 2 and 3; 3 and 1 were merged into 4.
fn listed() -> Vec<Listed> {
    let shards: [(&str, &[&str]); 5] = [
        ("0", &[]),
        ("1", &[]),
        ("2", &["0"]),
        ("3", &["0"]),
        ("4", &["3", "1"]),
    ];
    let listed = shards.into_iter().map(|(id, parents)| Listed {
        id: id.to_owned(),
        parents: parents.iter().map(|parent| (*parent).to_owned()).collect(),
    });
    listed.collect()
}

#[test]
fn a_child_waits_for_all_of_its_parents() {
    let cases: [(&[&str], &[&str]); 6] = [
        (&[], &["0", "1"]),
        (&["1"], &["0"]),
        (&["0"], &["1", "2", "3"]),
        (&["0", "3"], &["1", "2"]),
        (&["0", "1", "3"], &["2", "4"]),
        (&["0", "1", "2", "3", "4"], &[]),
    ];
    for (finished, expected) in cases {
        let finished: BTreeSet<String> = finished.iter().map(|id| (*id).to_owned()).collect();
        assert_eq!(readable(&listed(), &finished), expected, "{finished:?}");
    }
}

#[test]
fn a_parent_that_is_no_longer_listed_is_not_waited_for() {
    let mut listed = listed();
    listed.retain(|shard| shard.id != "0");
    assert_eq!(readable(&listed, &BTreeSet::new()), ["1", "2", "3"]);
}
