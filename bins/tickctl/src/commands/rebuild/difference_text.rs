//! What `tickctl rebuild` prints.

use app::candle_rebuild::{Difference, Figures, RebuildReport};
use domain::count_of;

use crate::moment::time_text;

pub(super) fn text(report: &RebuildReport, after: Option<&RebuildReport>, apply: bool) -> String {
    let mut lines = vec![format!(
        "compared  {}, {}; candles: {} as they should be, {} differ, {} missing",
        count_of(report.tokens, "token"),
        count_of(report.ticks, "tick"),
        report.same,
        report.different,
        report.missing
    )];
    for (count, why) in [
        (report.growing, "may still get ticks"),
        (report.without_ticks, "have no stored ticks"),
        (
            report.undecided,
            "have ticks of a release before 1.1, which did not keep whether they belong to the stream",
        ),
    ] {
        if count > 0 {
            lines.push(format!(
                "left      {}: they {why}",
                count_of(count, "candle")
            ));
        }
    }
    lines.extend(report.examples.iter().map(line));
    let shown = report.examples.len() as u64;
    if report.changes() > shown {
        lines.push(format!("          and {} more", report.changes() - shown));
    }
    lines.push(match (report.changes(), apply) {
        (0, _) if report.stopped => "stopped   before all was compared".to_owned(),
        (0, _) => "nothing to change".to_owned(),
        (changes, false) => format!(
            "dry run   would replace {}; add --apply to replace them",
            count_of(changes, "candle")
        ),
        (_, true) => format!("replaced  {}", count_of(report.replaced, "candle")),
    });
    if let Some(after) = after {
        lines.push(match after.changes() {
            0 => "compared again: nothing to change".to_owned(),
            left => format!(
                "compared again, and still different: {}",
                count_of(left, "candle")
            ),
        });
    }
    lines.join("\n")
}

/// Why there was nothing to compare, of the range or of tokens that are named.
pub(super) fn unseen(report: &RebuildReport) -> Option<String> {
    let of_none =
        |tokens: &str| format!("no stored stream tick{tokens} has an event time in the range");
    match report.tokens_without_ticks.as_slice() {
        [] if report.ticks > 0 => None,
        [] => Some(format!("nothing was compared: {}", of_none(""))),
        tokens => Some(format!(
            "not everything was compared: {}",
            of_none(&format!(" of {}", tokens.join(", ")))
        )),
    }
}

fn line(difference: &Difference) -> String {
    let Difference {
        token,
        quote,
        series,
        interval,
        start,
        before,
        after,
    } = difference;
    let place = format!(
        "          {token}/{quote} {series} {interval} {}:",
        time_text(*start)
    );
    let Some(before) = before else {
        return format!(
            "{place} missing; {}, close {}",
            count_of(after.tick_count, "tick"),
            after.prices[3]
        );
    };
    let mut changed = Vec::new();
    let names = ["open", "high", "low", "close"];
    for ((name, before), after) in names.into_iter().zip(&before.prices).zip(&after.prices) {
        if before != after {
            changed.push(format!("{name} {before} becomes {after}"));
        }
    }
    let volume = |figures: &Figures| figures.volume.clone().unwrap_or_else(|| "none".to_owned());
    if before.volume != after.volume {
        changed.push(format!(
            "volume {} becomes {}",
            volume(before),
            volume(after)
        ));
    }
    if before.tick_count != after.tick_count {
        changed.push(format!(
            "ticks {} becomes {}",
            before.tick_count, after.tick_count
        ));
    }
    if changed.is_empty() {
        changed.push("other ticks with the same figures".to_owned());
    }
    format!("{place} {}", changed.join(", "))
}

#[cfg(test)]
mod tests {
    use domain::analytics::{Interval, SeriesKind};

    use super::*;

    fn figures(close: &str, tick_count: u64) -> Figures {
        Figures {
            prices: ["1", "9", "1", close].map(str::to_owned),
            volume: None,
            tick_count,
        }
    }

    #[test]
    fn each_change_is_a_line_with_what_becomes_of_it() {
        let example = |before| Difference {
            token: "BTC".to_owned(),
            quote: "USD".to_owned(),
            series: SeriesKind::Trades,
            interval: Interval::OneMinute,
            start: 1_767_312_000_000,
            before,
            after: figures("5", 60),
        };
        let report = RebuildReport {
            tokens: 1,
            ticks: 120,
            same: 3,
            missing: 1,
            different: 30,
            growing: 2,
            replaced: 31,
            examples: vec![example(Some(figures("4", 59))), example(None)],
            ..RebuildReport::default()
        };
        let expected = "\
compared  1 token, 120 ticks; candles: 3 as they should be, 30 differ, 1 missing
left      2 candles: they may still get ticks
          BTC/USD trades 1m 2026-01-02T00:00:00Z: close 4 becomes 5, ticks 59 becomes 60
          BTC/USD trades 1m 2026-01-02T00:00:00Z: missing; 60 ticks, close 5
          and 29 more
";
        assert_eq!(
            text(&report, None, false),
            format!("{expected}dry run   would replace 31 candles; add --apply to replace them")
        );
        assert_eq!(unseen(&report), None);
        let stopped = RebuildReport {
            stopped: true,
            ..RebuildReport::default()
        };
        let said = text(&stopped, None, false);
        assert!(
            said.ends_with("\nstopped   before all was compared"),
            "{said}"
        );
        let after = RebuildReport::default();
        assert_eq!(
            text(&report, Some(&after), true),
            format!("{expected}replaced  31 candles\ncompared again: nothing to change")
        );
    }
}
