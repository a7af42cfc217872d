//! What an operator sets about the sources, from flags or the environment.

use clap::Args;
use domain::Percentage;
use sources::{BinanceTrades, PythFeeds, SourceSettings};

/// Options of every program that reads deliveries.
#[derive(Debug, Args)]
pub struct SourceOptions {
    /// Which of Binance's trade streams counts, since both have the same trades: `trade` or `aggTrade`
    /// for all markets, or a list such as `spot=trade,usdm=aggTrade,coinm=aggTrade`. Messages of the
    /// other stream are ignored.
    #[arg(
        long,
        env = "BINANCE_TRADES",
        default_value = "trade",
        value_name = "STREAM"
    )]
    pub binance_trades: BinanceTrades,

    /// Base and quote of Pyth feeds that are not in the built-in table, as ID=BASE/QUOTE, separated by
    /// commas. A feed that is in neither is refused.
    #[arg(
        long,
        env = "PYTH_FEEDS",
        default_value = "",
        hide_default_value = true,
        value_name = "ID=BASE/QUOTE,…"
    )]
    pub pyth_feeds: PythFeeds,

    /// A Pyth price whose confidence interval is wider than this share of it is marked
    /// `wide_confidence`, and is not used in candles and detection. 0 to 100, with at most two decimals.
    #[arg(
        long,
        env = "PYTH_WIDE_CONFIDENCE",
        default_value = "1",
        value_name = "PERCENT"
    )]
    pub pyth_wide_confidence: Percentage,
}

impl SourceOptions {
    /// The settings, as the sources take them.
    #[must_use]
    pub fn settings(&self) -> SourceSettings {
        SourceSettings {
            binance_trades: self.binance_trades,
            pyth_feeds: self.pyth_feeds.clone(),
            pyth_wide_confidence: self.pyth_wide_confidence,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use sources::TradeStream;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        sources: SourceOptions,
    }

    fn parse(arguments: &[&str]) -> Result<SourceSettings, String> {
        let line = std::iter::once("program").chain(arguments.iter().copied());
        let line = Line::try_parse_from(line).map_err(|error| error.to_string())?;
        Ok(line.sources.settings())
    }

    #[test]
    fn without_options_the_defaults_apply() {
        assert_eq!(parse(&[]).unwrap(), SourceSettings::default());
    }

    #[test]
    fn options_are_read_or_refused_with_the_rule() {
        let feed = format!("{}=OIL/EUR", "ab".repeat(32));
        let settings = parse(&[
            "--binance-trades",
            "usdm=aggTrade",
            "--pyth-feeds",
            &feed,
            "--pyth-wide-confidence",
            "0.5",
        ])
        .unwrap();
        assert_eq!(settings.binance_trades.usdm, TradeStream::AggTrade);
        assert_eq!(settings.pyth_feeds, feed.parse().unwrap());
        assert_eq!(settings.pyth_wide_confidence.basis_points(), 50);
        for (flag, value, rule) in [
            ("--binance-trades", "both", "aggTrade"),
            ("--pyth-feeds", "ab=OIL/EUR", "64 hexadecimal digits"),
            ("--pyth-wide-confidence", "wide", "percentage"),
        ] {
            let refused = parse(&[flag, value]).unwrap_err();
            assert!(refused.contains(rule), "{refused}");
        }
    }
}
