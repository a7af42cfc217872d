//! A comparison of places in memory, with faults of each kind.

mod into_stream;
mod memory;
mod not_seen;

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use app::read_back::{StoredTick, UnseenPart};
use domain::{Price, TickId};
use rust_decimal::Decimal;
use testkit::ticks::{START_MS, tick};
use twox_hash::XxHash64;

use super::*;
use memory::{Memory, Quiet, healthy};

const COUNT: u32 = 1_000;
const COHORT: u64 = 900;

/// Long after all ticks.
const NOW_MS: i64 = START_MS + 3_600_000;

struct Options {
    request: VerifyRequest,
    now_ms: i64,
    pending_is_known: bool,
    stopped: Arc<AtomicBool>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            request: VerifyRequest {
                from_ms: START_MS,
                to_ms: NOW_MS,
                one_in: 1,
                repeats_max: 0,
                due_after: None,
                repair: false,
            },
            now_ms: NOW_MS,
            pending_is_known: true,
            stopped: Arc::default(),
        }
    }
}

impl Options {
    /// The comparison begins at another time, and compares until then.
    fn until(&mut self, now_ms: i64) {
        (self.now_ms, self.request.to_ms) = (now_ms, now_ms);
    }
}

async fn verified(
    memory: &Memory,
    change: impl FnOnce(&mut Options),
) -> Result<Proof, VerifyError> {
    let mut options = Options::default();
    change(&mut options);
    compared(memory, &options, async |verify| {
        verify.run(&options.request).await
    })
    .await
}

async fn compared<T>(
    memory: &Memory,
    options: &Options,
    compare: impl AsyncFnOnce(&Verify<'_>) -> T,
) -> T {
    let folder = tempfile::tempdir().unwrap();
    let verify = Verify {
        places: Places {
            store: memory,
            stream: memory,
            archive: memory,
            pending: options.pending_is_known.then_some(memory as _),
        },
        repair: memory,
        due_after: DueAfter {
            stored_ms: 10_000,
            streamed_ms: 20_000,
            archived_ms: 300_000,
        },
        now_ms: options.now_ms,
        temp_folder: folder.path().to_owned(),
        watch: &Quiet {
            stopped: Arc::clone(&options.stopped),
        },
    };
    let result = compare(&verify).await;
    let left = folder.path().read_dir().unwrap().count();
    assert_eq!(left, 0, "files are left");
    result
}

async fn proof_of(memory: &Memory) -> Proof {
    verified(memory, |_| {}).await.unwrap()
}

#[tokio::test]
async fn places_that_agree_are_proven() {
    let proof = proof_of(&healthy(COUNT)).await;
    assert_eq!(proof.verdict(), Verdict::Proven, "{proof:?}");
    let matched = PlaceCounts {
        matched: COHORT,
        ..PlaceCounts::default()
    };
    let expected = Counts {
        stored: u64::from(COUNT),
        cohort: COHORT,
        matched: COHORT,
        undecided: 0,
        stream: matched,
        archive: matched,
    };
    assert_eq!(proof.counts, expected);
    for groups in [
        proof.by_hour.values().collect::<Vec<_>>(),
        proof.by_source.values().collect(),
        proof.by_token.values().collect(),
    ] {
        let mut sum = Counts::default();
        groups.into_iter().for_each(|counts| sum.add(counts));
        assert_eq!(sum, expected);
    }
    assert_eq!(proof.by_token.len(), 7);
}

/// Each fault, where it must be found, and what its example says.
#[tokio::test]
async fn each_fault_is_found_at_its_place() {
    type Break = fn(&mut Memory);
    let faults: [(&str, Break, Finding, Place); 9] = [
        (
            "one is missing in the stream",
            |it| drop(it.streamed.get_mut().unwrap().remove(500)),
            Finding::Missing,
            Place::Stream,
        ),
        (
            "one is missing in the archive",
            |it| drop(it.archived.get_mut().unwrap().remove(500)),
            Finding::Missing,
            Place::Archive,
        ),
        (
            "one is twice in the stream",
            |it| {
                let streamed = it.streamed.get_mut().unwrap();
                streamed.push(streamed[500].clone());
            },
            Finding::Repeated,
            Place::Stream,
        ),
        (
            "one is twice in the archive",
            |it| {
                let archived = it.archived.get_mut().unwrap();
                archived.push(archived[500].clone());
            },
            Finding::Repeated,
            Place::Archive,
        ),
        (
            "one has another price in the stream",
            |it| {
                let tick = &mut it.streamed.get_mut().unwrap()[500];
                let price = tick.price.decimal() + Decimal::new(1, 8);
                tick.price = Price::new(price).unwrap();
            },
            Finding::Different,
            Place::Stream,
        ),
        (
            "one has another price in the archive",
            |it| it.archived.get_mut().unwrap()[500].price += 1e-8,
            Finding::Different,
            Place::Archive,
        ),
        (
            "one is in the stream, but outside the cohort",
            |it| {
                let outside = it.stored[9].tick.clone();
                it.streamed.get_mut().unwrap().push(outside);
            },
            Finding::OutsideCohort,
            Place::Stream,
        ),
        (
            "one is in the archive, but outside the cohort",
            |it| {
                let outside = testkit::ticks::archived(&it.stored[9].tick);
                it.archived.get_mut().unwrap().push(outside);
            },
            Finding::OutsideCohort,
            Place::Archive,
        ),
        (
            "one is not in the store",
            |it| drop(it.stored.remove(500)),
            Finding::NotStored,
            Place::Archive,
        ),
    ];
    for (what, fault, finding, place) in faults {
        let mut memory = healthy(COUNT);
        fault(&mut memory);
        let proof = proof_of(&memory).await;
        assert_eq!(proof.verdict(), Verdict::Differences, "{what}");
        let found = proof.examples.iter();
        let found = found.filter(|it| it.finding == finding && it.place == place);
        assert_eq!(found.count(), 1, "{what}: {:?}", proof.examples);
        let of_place = proof.counts.of(place);
        let total = of_place.missing + of_place.different + of_place.repeated + of_place.extra;
        assert_eq!(total, 1, "{what}: {of_place:?}");
        assert!(
            proof.counts.matched < COHORT || finding == Finding::OutsideCohort,
            "{what}"
        );
    }
}

#[tokio::test]
async fn tokens_beyond_a_number_are_counted_together() {
    let mut memory = Memory::default();
    let count = u32::try_from(TOKENS_MAX).unwrap() + 50;
    for n in 0..count {
        let tick = tick(&format!("T{n}"), n % 1_000);
        memory.streamed.get_mut().unwrap().push(tick.clone());
        let archived = testkit::ticks::archived(&tick);
        memory.archived.get_mut().unwrap().push(archived);
        memory.stored.push(StoredTick {
            tick,
            in_cohort: Some(true),
        });
    }
    let proof = proof_of(&memory).await;
    assert_eq!(proof.verdict(), Verdict::Proven);
    // The name of the quote takes one of the places.
    assert_eq!(proof.by_token.len(), TOKENS_MAX);
    assert_eq!(proof.by_token[OTHER_TOKENS].matched, 51);
    let matched = proof.by_token.values().map(|it| it.matched);
    assert_eq!(matched.sum::<u64>(), u64::from(count));
}

/// A copy is found even if its time of receipt differs or is missing, and a repair does not add another one.
#[tokio::test]
async fn a_copy_with_another_time_of_receipt_is_found() {
    let out_of_range_ms = START_MS - 1;
    for received_ms in [None, Some(out_of_range_ms), Some(NOW_MS)] {
        let mut memory = healthy(COUNT);
        let archived = memory.archived.get_mut().unwrap();
        let mut copy = archived[500].clone();
        copy.ingested_at_ms = received_ms;
        archived.push(copy.clone());
        let proof = proof_of(&memory).await;
        let of_archive = proof.counts.archive;
        assert_eq!(of_archive.repeated, 1, "{received_ms:?}: {of_archive:?}");

        memory.archived.get_mut().unwrap().swap_remove(500);
        let proof = verified(&memory, |it| it.request.repair = true);
        let proof = proof.await.unwrap();
        assert_eq!(proof.repaired, Some(Repaired::default()), "{received_ms:?}");
        let of_archive = proof.counts.archive;
        assert_eq!((of_archive.different, of_archive.missing), (1, 0));
        let [field] = proof.examples[0].fields.as_slice() else {
            panic!("{:?}", proof.examples);
        };
        let found = received_ms.map_or_else(String::new, |at| at.to_string());
        assert_eq!(
            (field.field.as_str(), &field.found),
            ("ingested_at", &found)
        );
    }
    for pending_is_known in [true, false] {
        let mut memory = healthy(COUNT);
        let streamed = memory.streamed.get_mut().unwrap();
        let mut copy = streamed[500].clone();
        copy.ingested_at_ms = out_of_range_ms;
        streamed.push(copy);
        let proof = verified(&memory, |it| it.pending_is_known = pending_is_known);
        assert_eq!(proof.await.unwrap().counts.stream.repeated, 1);
    }
}

/// What was received at other times is not compared.
#[tokio::test]
async fn ticks_of_other_times_are_passed_over() {
    let mut memory = healthy(COUNT);
    memory.streamed.get_mut().unwrap().remove(10);
    memory.archived.get_mut().unwrap().remove(890);
    for pending_is_known in [true, false] {
        let proof = verified(&memory, |it| {
            it.request.from_ms = START_MS + 100_000;
            it.request.to_ms = START_MS + 900_000;
            it.pending_is_known = pending_is_known;
        });
        let proof = proof.await.unwrap();
        assert_eq!(proof.verdict(), Verdict::Proven, "{:?}", proof.examples);
        assert_eq!((proof.counts.stored, proof.counts.matched), (800, 720));
    }
}

#[tokio::test]
async fn a_difference_is_shown_field_by_field() {
    let mut memory = healthy(20);
    {
        let tick = &mut memory.streamed.get_mut().unwrap()[3];
        tick.price = Price::parse("10.030000001").unwrap();
        tick.volume = None;
        tick.slot = Some(7);
    }
    let proof = proof_of(&memory).await;
    let [example] = proof.examples.as_slice() else {
        panic!("{:?}", proof.examples);
    };
    let fields: Vec<_> = example
        .fields
        .iter()
        .map(|it| (it.field.as_str(), it.stored.as_str(), it.found.as_str()))
        .collect();
    assert_eq!(
        fields,
        [
            ("price", "10.03", "10.030000001"),
            ("volume", "0.4", ""),
            ("slot", "", "7")
        ]
    );
    assert_eq!(
        example.tick_id,
        TickId::derive("testkit", &["T3", "3"]).to_string()
    );
}

/// Amounts are compared with the archive after rounding, and a slot that its column cannot hold is left out.
#[tokio::test]
async fn the_archive_is_compared_as_far_as_its_columns_go() {
    let mut memory = healthy(1);
    let digits = Price::parse("0.1234567890123456789012345").unwrap();
    memory.stored[0].tick.price = digits;
    memory.stored[0].tick.slot = Some(u64::MAX);
    memory.streamed = Mutex::new(vec![memory.stored[0].tick.clone()]);
    let mut archived = testkit::ticks::archived(&memory.stored[0].tick);
    archived.slot = None;
    memory.archived = Mutex::new(vec![archived]);
    assert_eq!(proof_of(&memory).await.verdict(), Verdict::Proven);
}

#[tokio::test]
async fn repeats_are_allowed_up_to_a_number() {
    let memory = healthy(COUNT);
    let twice = memory.streamed.lock().unwrap()[..3].to_vec();
    memory.streamed.lock().unwrap().extend(twice);
    for (repeats_max, verdict) in [(2, Verdict::Differences), (3, Verdict::Proven)] {
        let proof = verified(&memory, |it| it.request.repeats_max = repeats_max)
            .await
            .unwrap();
        assert_eq!(proof.verdict(), verdict);
        assert_eq!(proof.counts.stream.repeated, 3);
        let advice = proof.advice_on_repeats();
        let advises = advice
            .as_ref()
            .is_some_and(|it| it.contains("--repeats-max 3"));
        assert_eq!(advises, verdict == Verdict::Differences);
        let is_honest = |it: &String| it.contains("has counted each copy") && !it.contains("  ");
        assert!(advice.iter().all(is_honest), "{advice:?}");
    }
    // If everything is there twice, there was still something to compare.
    let all = memory.streamed.lock().unwrap().clone();
    memory.streamed.lock().unwrap().extend(all);
    let proof = verified(&memory, |it| it.request.repeats_max = u64::MAX);
    let proof = proof.await.unwrap();
    assert_eq!(proof.counts.matched, 0);
    assert_eq!(proof.verdict(), Verdict::Proven);
}

#[tokio::test]
async fn a_repair_puts_back_what_is_missing_and_a_second_run_finds_nothing() {
    let memory = healthy(COUNT);
    memory.archived.lock().unwrap().drain(100..130);
    let lost = memory
        .streamed
        .lock()
        .unwrap()
        .drain(700..702)
        .collect::<Vec<_>>();
    // On one machine, the two were in the stream, since the archive has them: they have been counted.
    let proof = verified(&memory, |it| it.request.repair = true)
        .await
        .unwrap();
    let repaired = Repaired {
        archived: 30,
        left_out: 2,
        ..Repaired::default()
    };
    assert_eq!(proof.repaired, Some(repaired));
    assert_eq!(proof.counts.stream.missing, 2);
    // On AWS, its consumers count a tick once.
    let repair_there = async || {
        let proof = verified(&memory, |it| {
            (it.request.repair, it.pending_is_known) = (true, false);
        });
        proof.await.unwrap()
    };
    let proof = repair_there().await;
    let repaired = Repaired {
        appended: 2,
        ..Repaired::default()
    };
    assert_eq!(proof.repaired, Some(repaired));
    assert!(memory.streamed.lock().unwrap().ends_with(&lost));
    let proof = repair_there().await;
    assert_eq!(proof.verdict(), Verdict::Proven, "{:?}", proof.examples);
    assert_eq!(proof.repaired, Some(Repaired::default()));
}

#[tokio::test]
async fn a_sample_is_the_same_everywhere() {
    let proof = verified(&healthy(COUNT), |it| it.request.one_in = 5)
        .await
        .unwrap();
    assert_eq!(proof.verdict(), Verdict::Proven, "{:?}", proof.counts);
    assert!(
        (50..400).contains(&proof.counts.cohort),
        "{:?}",
        proof.counts
    );
}

/// Whatever is lost, doubled or changed, the counts are those of a plain comparison in memory.
#[tokio::test]
async fn the_counts_are_those_of_a_plain_comparison() {
    for seed in 0..20 {
        let mut rng = seed;
        let mut chance = |one_in: u64| {
            rng = XxHash64::oneshot(seed, &u64::to_le_bytes(rng));
            rng.is_multiple_of(one_in)
        };
        let mut memory = Memory::default();
        let mut expected = Counts::default();
        for n in 0..2_000 {
            let tick = tick(&format!("T{}", n % 5), n);
            let in_cohort = !chance(4);
            memory.stored.push(StoredTick {
                tick: tick.clone(),
                in_cohort: Some(in_cohort),
            });
            expected.stored += 1;
            expected.cohort += u64::from(in_cohort);
            let mut copies = [u64::from(in_cohort); 2];
            let mut changed = [false; 2];
            for (copies, changed) in copies.iter_mut().zip(&mut changed) {
                if chance(50) {
                    *copies = 0;
                } else if chance(50) {
                    *copies += 1;
                }
                *changed = *copies > 0 && in_cohort && chance(50);
            }
            for _ in 0..copies[0] {
                let mut copy = tick.clone();
                if changed[0] {
                    copy.sequence = Some(1);
                }
                memory.streamed.get_mut().unwrap().push(copy);
            }
            for _ in 0..copies[1] {
                let mut copy = testkit::ticks::archived(&tick);
                if changed[1] {
                    copy.price = f64::from_bits(copy.price.to_bits() + 1);
                }
                memory.archived.get_mut().unwrap().push(copy);
            }
            let mut of_places = [PlaceCounts::default(); 2];
            for ((counts, copies), changed) in of_places.iter_mut().zip(copies).zip(changed) {
                counts.repeated = copies.saturating_sub(1);
                counts.extra = u64::from(!in_cohort && copies > 0);
                counts.missing = u64::from(in_cohort && copies == 0);
                counts.different = u64::from(changed);
                counts.matched = u64::from(in_cohort && copies == 1 && !changed);
            }
            expected.matched += u64::from(of_places.iter().all(|it| it.matched == 1));
            let [stream, archive] = of_places;
            expected.add(&Counts {
                stream,
                archive,
                ..Counts::default()
            });
        }
        assert_eq!(proof_of(&memory).await.counts, expected, "seed {seed}");
    }
}
