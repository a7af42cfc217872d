//! Checks that every answered tick is found once in the store, the candles and the archive, and that nothing is
//! found twice.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use arrow::array::AsArray as _;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use crate::load::{End, Ended, TOKENS, tick_id};
use crate::process::Process;
use crate::{Outcome, say};

/// Rows read at once.
const PAGE: usize = 10_000;

pub(crate) async fn verify(process: &Process, folder: &Path, ended: &Ended) -> Outcome {
    process
        .until("/api/ledger", |ledger| ledger["pending"] == 0)
        .await?;
    process
        .until("/api/status", |status| {
            let consumers = status["consumers"].as_array();
            consumers.is_some_and(|all| all.iter().all(|it| it["lag_records"] == 0))
        })
        .await?;
    // The candles of the last step.
    tokio::time::sleep(Duration::from_secs(4)).await;
    process.flush_archive().await?;

    let (mut stored, mut in_candles) = (HashSet::new(), 0);
    for token in 0..TOKENS {
        in_candles += candles(process, token).await?;
        for id in ids(process, token).await? {
            if !stored.insert(id.clone()) {
                return Err(format!("{id} is stored twice").into());
            }
        }
    }
    let answered = ended.iter().filter(|(_, end)| *end == End::Answered);
    let mut count = 0;
    for (delivery, _) in answered {
        for index in 0..delivery.ticks {
            count += 1;
            let id = tick_id(delivery.number, index);
            if !stored.contains(&id) {
                return Err(format!(
                    "tick {} of delivery {} was answered and is lost",
                    index, delivery.number
                )
                .into());
            }
        }
    }
    if in_candles != stored.len() as u64 {
        return Err(format!(
            "the candles count {in_candles} ticks, {} are stored",
            stored.len()
        )
        .into());
    }
    let archived = archived(folder)?;
    let distinct: HashSet<&String> = archived.iter().collect();
    if distinct.len() != archived.len()
        || distinct.len() != stored.len()
        || !archived.iter().all(|id| stored.contains(id))
    {
        return Err(format!(
            "the archive has {} rows, {} ids; {} are stored",
            archived.len(),
            distinct.len(),
            stored.len()
        )
        .into());
    }
    let (_, ledger) = process.get("/api/ledger").await?;
    if ledger["difference"] != 0 || ledger["stored"].as_u64() != Some(stored.len() as u64) {
        return Err(format!("the ledger does not reconcile: {ledger}").into());
    }
    say(&format!(
        "  {count} ticks answered, {} stored: each once in store, candles and archive",
        stored.len()
    ));
    Ok(())
}

/// The ids of a token's ticks, from the latest to the first.
async fn ids(process: &Process, token: u64) -> Outcome<Vec<String>> {
    let (mut all, mut to) = (Vec::new(), i64::MAX / 2);
    loop {
        let path = format!("/api/ticks/T{token}?limit={PAGE}&to={to}");
        let (status, answer) = process.get(&path).await?;
        if status == 404 {
            return Ok(all);
        }
        let rows = answer["ticks"].as_array().cloned().unwrap_or_default();
        let first_ms = rows.first().and_then(|row| row["timestamp"].as_i64());
        let is_last = rows.len() < PAGE;
        // The first millisecond may be cut: it comes again on the next page.
        let kept = rows
            .iter()
            .filter(|row| is_last || row["timestamp"].as_i64() != first_ms);
        all.extend(kept.filter_map(|row| row["tick_id"].as_str().map(str::to_owned)));
        match first_ms {
            Some(first_ms) if !is_last => to = first_ms + 1,
            _ => return Ok(all),
        }
    }
}

/// How many ticks a token's candles of an hour count.
async fn candles(process: &Process, token: u64) -> Outcome<u64> {
    let (_, answer) = process
        .get(&format!("/api/candles/T{token}?interval=1h&limit=10000"))
        .await?;
    let candles = answer["candles"].as_array().cloned().unwrap_or_default();
    Ok(candles
        .iter()
        .filter_map(|candle: &Value| candle["trades"].as_u64())
        .sum())
}

/// The ids in the archive.
fn archived(folder: &Path) -> Outcome<Vec<String>> {
    let mut ids = Vec::new();
    for day in archive::days(&archive::table_folder(folder))? {
        for file in archive::day_files(&day.path)? {
            let file = std::fs::File::open(day.path.join(file.name))?;
            for batch in ParquetRecordBatchReaderBuilder::try_new(file)?.build()? {
                let batch = batch?;
                let column = batch.column_by_name("tick_id").ok_or("no tick_id")?;
                ids.extend(
                    column
                        .as_string::<i32>()
                        .iter()
                        .flatten()
                        .map(str::to_owned),
                );
            }
        }
    }
    Ok(ids)
}
