//! What a comparison on AWS costs, before it begins.

use serde::Serialize;

use crate::bill::prices::{Price, Prices};
use crate::bill::units::{RECORD_BYTES, TICK_ITEM_BYTES};

const GIB: f64 = 1_024.0 * 1_024.0 * 1_024.0;

/// A read unit is 4 KB, and an eventually consistent read costs half.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html>
const BYTES_PER_READ_UNIT: f64 = 2.0 * 4_096.0;

/// Athena's smallest charge for a query, in bytes, and what it charges for.
/// <https://aws.amazon.com/athena/pricing/>
const ATHENA_BYTES_MIN: f64 = 10e6;
const TB: f64 = 1e12;

/// What a comparison would read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReadPlan {
    /// Bytes of the table: of the partitions that have ticks of the range, or of all of them for a scan.
    pub table_bytes: f64,
    /// Bytes of the stream since the start of the range. Its share of the ticks is not known, so all of them.
    pub stream_bytes: f64,
    /// Files of the archive.
    pub objects: u64,
    /// Their size.
    pub archive_bytes: u64,
    /// Whether Athena reads them.
    pub by_athena: bool,
}

impl ReadPlan {
    /// The bytes of a number of ticks in the table and in the stream.
    #[must_use]
    pub fn of_ticks(ticks: f64, objects: u64, archive_bytes: u64) -> Self {
        Self {
            table_bytes: ticks * TICK_ITEM_BYTES,
            stream_bytes: ticks * RECORD_BYTES,
            objects,
            archive_bytes,
            by_athena: false,
        }
    }
}

/// A line of an estimate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EstimateLine {
    /// What is read.
    pub what: &'static str,
    /// How much of it.
    pub quantity: f64,
    /// In which unit.
    pub unit: &'static str,
    /// USD, at most.
    pub usd: f64,
}

/// What a comparison costs at most, by what it reads.
#[must_use]
pub fn estimate(plan: &ReadPlan, prices: &Prices) -> Vec<EstimateLine> {
    let line = |what, quantity: f64, unit, price: &Price| EstimateLine {
        what,
        quantity,
        unit,
        usd: price.of(quantity),
    };
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let (objects, archive_bytes) = (plan.objects as f64, plan.archive_bytes as f64);
    let all_bytes = plan.table_bytes + plan.stream_bytes + archive_bytes;
    let archive = if plan.by_athena {
        // A query reads at most all columns of the days.
        let tb = archive_bytes.max(ATHENA_BYTES_MIN) / TB;
        line("archive", tb, "TB read by Athena", &prices.athena_scans)
    } else {
        // A GET costs less than a PUT, whose price the table has.
        line("archive", objects, "GETs", &prices.s3_puts)
    };
    vec![
        line(
            "table",
            (plan.table_bytes / BYTES_PER_READ_UNIT).ceil(),
            "read units",
            &prices.dynamodb_reads,
        ),
        line(
            "stream",
            plan.stream_bytes / GIB,
            "GB read from an on-demand stream",
            &prices.kinesis_out,
        ),
        archive,
        line(
            "transfer",
            all_bytes / GIB,
            "GB to this machine, if it is outside of AWS",
            &prices.data_transfer_out,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bill::prices::PriceTable;

    #[test]
    fn a_day_of_ten_million_ticks_costs_less_than_two_dollars() {
        let prices = PriceTable::us_east_1().unwrap().prices;
        let plan = ReadPlan::of_ticks(1e7, 300, 600_000_000);
        let lines = estimate(&plan, &prices);
        let quantities: Vec<f64> = lines.iter().map(|line| line.quantity.round()).collect();
        assert_eq!(quantities, [501_709.0, 3.0, 300.0, 7.0]);
        let usd: f64 = lines.iter().map(|line| line.usd).sum();
        assert!((0.1..2.0).contains(&usd), "{lines:?}");
        assert!(lines.iter().all(|line| line.usd > 0.0));
    }

    #[test]
    fn athena_charges_for_what_it_reads_and_at_least_ten_megabytes() {
        let prices = PriceTable::us_east_1().unwrap().prices;
        let archive = |bytes| {
            let plan = ReadPlan {
                by_athena: true,
                ..ReadPlan::of_ticks(1e7, 300, bytes)
            };
            let lines = estimate(&plan, &prices);
            let line = lines.into_iter().find(|line| line.what == "archive");
            line.unwrap().usd
        };
        assert!((archive(2_000_000_000_000) - 10.0).abs() < 1e-9);
        assert!((archive(1) - 0.000_05).abs() < 1e-9);
    }
}
