//! Which of Binance's two trade streams counts.

use std::str::FromStr;

/// A stream of Binance with trades. They number the same trades differently, so storing both would store
/// each trade twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TradeStream {
    /// `trade`: each trade by itself.
    Trade,
    /// `aggTrade`: the trades of one order at one price, added up.
    AggTrade,
}

impl TradeStream {
    const ALL: [Self; 2] = [Self::Trade, Self::AggTrade];

    /// The name in Binance's messages (`e`) and in the setting.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trade => "trade",
            Self::AggTrade => "aggTrade",
        }
    }

    pub(crate) fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stream| stream.as_str() == name)
    }
}

/// The stream that counts, for each market of Binance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BinanceTrades {
    /// The spot market.
    pub spot: TradeStream,
    /// USD-M futures.
    pub usdm: TradeStream,
    /// COIN-M futures.
    pub coinm: TradeStream,
}

/// The text does not say which streams count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a stream of Binance: use `trade` or `aggTrade` for all markets, or a list such as \
     `spot=trade,usdm=aggTrade,coinm=aggTrade`"
)]
pub struct BinanceTradesError(String);

impl BinanceTrades {
    /// `trade` everywhere.
    pub const DEFAULT: Self = Self::all(TradeStream::Trade);

    const fn all(stream: TradeStream) -> Self {
        Self {
            spot: stream,
            usdm: stream,
            coinm: stream,
        }
    }
}

impl Default for BinanceTrades {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl FromStr for BinanceTrades {
    type Err = BinanceTradesError;

    /// Reads `trade` or `aggTrade`, or a list of `MARKET=STREAM`; the markets that it omits keep `trade`.
    fn from_str(text: &str) -> Result<Self, BinanceTradesError> {
        if let Some(stream) = TradeStream::find(text.trim()) {
            return Ok(Self::all(stream));
        }
        let mut trades = Self::DEFAULT;
        for item in text.split(',').map(str::trim) {
            let refused = || BinanceTradesError(item.chars().take(40).collect());
            let (market, stream) = item.split_once('=').ok_or_else(refused)?;
            let stream = TradeStream::find(stream.trim()).ok_or_else(refused)?;
            match market.trim() {
                "spot" => trades.spot = stream,
                "usdm" => trades.usdm = stream,
                "coinm" => trades.coinm = stream,
                _ => return Err(refused()),
            }
        }
        Ok(trades)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_stream_is_for_all_markets_and_a_list_for_its_own() {
        use TradeStream::{AggTrade, Trade};
        for (text, spot, usdm, coinm) in [
            ("trade", Trade, Trade, Trade),
            (" aggTrade ", AggTrade, AggTrade, AggTrade),
            ("usdm=aggTrade", Trade, AggTrade, Trade),
            ("usdm=aggTrade, coinm = aggTrade", Trade, AggTrade, AggTrade),
            ("spot=aggTrade,usdm=trade", AggTrade, Trade, Trade),
        ] {
            let expected = BinanceTrades { spot, usdm, coinm };
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for text in [
            "",
            "aggtrade",
            "both",
            "usdm",
            "usdm=",
            "margin=trade",
            "usdm=trade,",
        ] {
            let refused = text.parse::<BinanceTrades>().unwrap_err();
            assert!(refused.to_string().contains("aggTrade"), "{text}");
        }
    }
}
