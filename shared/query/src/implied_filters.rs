//! Filters on the event time that the files' statistics imply: they hold for every row, so they are
//! left out, and the column need not be read for them.
//!
//! Every named query of whole days has two. The engine uses statistics to skip files and row
//! groups; for those that it reads, it evaluates each filter on each row, even if the statistics
//! prove it (as of DataFusion 55: "fully matched" row groups only spare the page index).

use datafusion::common::stats::Precision;
use datafusion::common::{ScalarValue, Statistics};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

/// The event time's column.
pub(crate) const TIME: &str = "ts";

/// The comparisons that a range of times may imply.
const OPERATORS: [Operator; 4] = [Operator::Gt, Operator::GtEq, Operator::Lt, Operator::LtEq];

/// A comparison of the event time with a number, such as `ts >= 1772841600000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct OnTime {
    /// One of [`OPERATORS`].
    operator: Operator,
    ms: i64,
}

/// Whether a filter compares the event time with a number, and does nothing else.
pub(crate) fn is_on_time(filter: &Expr) -> bool {
    on_time(filter).is_some()
}

/// The filters on the event time that the files' statistics do not imply. `time` is the position of its
/// column in the statistics.
pub(crate) fn not_implied<'a, I>(filters: &[Expr], time: usize, files: impl Fn() -> I) -> Vec<Expr>
where
    I: Iterator<Item = Option<&'a Statistics>>,
{
    let on_time = filters.iter().filter(|filter| is_on_time(filter));
    on_time
        .filter(|filter| !holds_for_all(filter, time, files()))
        .cloned()
        .collect()
}

/// Whether a filter on the event time holds for each row of the files; `false` if a file has no
/// statistics.
fn holds_for_all<'a>(
    filter: &Expr,
    time: usize,
    files: impl IntoIterator<Item = Option<&'a Statistics>>,
) -> bool {
    let Some(comparison) = on_time(filter) else {
        return false;
    };
    files
        .into_iter()
        .all(|file| file.is_some_and(|file| holds(comparison, file, time)))
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "few of the engine's operators compare"
)]
fn holds(comparison: OnTime, file: &Statistics, time: usize) -> bool {
    let Some(column) = file.column_statistics.get(time) else {
        return false;
    };
    // A comparison with NULL is not true.
    let no_null = column.null_count == Precision::Exact(0);
    let (Some(min), Some(max)) = (exact(&column.min_value), exact(&column.max_value)) else {
        return false;
    };
    let OnTime { operator, ms } = comparison;
    no_null
        && match operator {
            Operator::Gt => min > ms,
            Operator::GtEq => min >= ms,
            Operator::Lt => max < ms,
            Operator::LtEq => max <= ms,
            _ => false,
        }
}

fn exact(value: &Precision<ScalarValue>) -> Option<i64> {
    if let Precision::Exact(ScalarValue::Int64(value)) = value {
        *value
    } else {
        None
    }
}

fn on_time(filter: &Expr) -> Option<OnTime> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = filter else {
        return None;
    };
    let is_time = |side: &Expr| matches!(side, Expr::Column(column) if column.name == TIME);
    let (operator, number) = if is_time(left) {
        (*op, right)
    } else if is_time(right) {
        (op.swap()?, left)
    } else {
        return None;
    };
    let Expr::Literal(ScalarValue::Int64(Some(ms)), _) = **number else {
        return None;
    };
    let compares = OPERATORS.contains(&operator);
    compares.then_some(OnTime { operator, ms })
}

#[cfg(test)]
mod tests {
    use datafusion::common::ColumnStatistics;
    use datafusion::prelude::{col, lit};

    use super::*;

    fn file(min: i64, max: i64) -> Statistics {
        let exact = |ms| Precision::Exact(ScalarValue::Int64(Some(ms)));
        let mut column = ColumnStatistics::new_unknown();
        column.min_value = exact(min);
        column.max_value = exact(max);
        column.null_count = Precision::Exact(0);
        Statistics {
            num_rows: Precision::Exact(2),
            total_byte_size: Precision::Absent,
            column_statistics: vec![column],
        }
    }

    #[track_caller]
    fn check(filter: &Expr, expected: bool) {
        let file = file(10, 20);
        assert_eq!(
            holds_for_all(filter, 0, [Some(&file)]),
            expected,
            "{filter}"
        );
    }

    #[test]
    fn what_the_first_and_last_time_imply_holds() {
        let ts = || col("ts");
        check(&ts().gt_eq(lit(10_i64)), true);
        check(&ts().gt_eq(lit(11_i64)), false);
        check(&ts().gt(lit(9_i64)), true);
        check(&ts().gt(lit(10_i64)), false);
        check(&ts().lt(lit(21_i64)), true);
        check(&ts().lt(lit(20_i64)), false);
        check(&ts().lt_eq(lit(20_i64)), true);
        check(&ts().lt_eq(lit(19_i64)), false);
        check(&lit(21_i64).gt(ts()), true);
        check(&lit(20_i64).gt(ts()), false);
    }

    #[test]
    fn everything_else_is_left_to_be_checked() {
        let ts = || col("ts");
        check(&ts().eq(lit(10_i64)), false);
        check(&ts().not_eq(lit(1_i64)), false);
        check(&col("slot").gt_eq(lit(10_i64)), false);
        check(&ts().gt_eq(lit(5_i32)), false);
        check(&ts().gt_eq(lit(5_i64)).or(ts().lt(lit(0_i64))), false);
        check(&(ts() % lit(5_i64)).gt_eq(lit(0_i64)), false);
    }

    #[test]
    fn every_file_must_have_statistics_and_a_time_in_every_row() {
        let filter = col("ts").gt_eq(lit(0_i64));
        let known = file(10, 20);
        let holds = |other: Option<&Statistics>| holds_for_all(&filter, 0, [Some(&known), other]);
        assert!(holds(Some(&known)));
        assert!(!holds(None));
        let mut with_null = known.clone();
        let mut inexact = known.clone();
        for column in &mut with_null.column_statistics {
            column.null_count = Precision::Exact(1);
        }
        for column in &mut inexact.column_statistics {
            column.min_value = column.min_value.clone().to_inexact();
        }
        assert!(!holds(Some(&with_null)));
        assert!(!holds(Some(&inexact)));
        assert!(!holds(Some(&Statistics::default())));
        assert!(!holds_for_all(&filter, 1, [Some(&known)]));
    }
}
