//! The outcome of every fixture. Fixtures are our own texts in the providers' formats.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use sources::Entry;

use crate::{entries, line};

fn fixtures_of(source: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(source);
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    files
}

/// The source and text of every fixture.
pub(crate) fn all() -> Vec<(&'static str, String)> {
    let sources = sources::ALL.iter().map(|source| source.name());
    let read = |source| {
        fixtures_of(source)
            .into_iter()
            .map(move |file| (source, std::fs::read_to_string(file).unwrap()))
    };
    sources.flat_map(read).collect()
}

#[test]
fn fixtures_match_their_snapshots() {
    for source in sources::ALL.iter().map(|source| source.name()) {
        for file in fixtures_of(source) {
            let mut seen = String::new();
            for (index, entry) in entries(source, &std::fs::read_to_string(&file).unwrap())
                .iter()
                .enumerate()
            {
                writeln!(seen, "{index:2} {}", line(entry)).unwrap();
                if let Entry::Tick(tick) | Entry::ArrivalStamped(tick) = entry {
                    let slot = tick.slot.map_or("-".to_owned(), |slot| slot.to_string());
                    let (id, time) = (tick.tick_id, tick.timestamp_ms);
                    writeln!(seen, "   {id} at {time} slot {slot} from {}", tick.source).unwrap();
                }
            }
            let name = file.file_stem().unwrap().to_str().unwrap();
            insta::assert_snapshot!(format!("{source}__{name}"), seen);
        }
    }
}
