//! What goes wrong in the market, one after the other, so that each kind of anomaly can be watched.

use domain::detection::AnomalyKind;

use super::asset::Asset;

/// When each of them first happens after the start: late enough for a detector to know what is usual, and early enough
/// to be seen soon. What the statistics show needs five minutes, and so does a silence, since the pace of the market changes.
const FIRST_AFTER_S: [i64; Fault::ALL.len()] = [90, 105, 120, 165, 180, 300, 390, 405, 420, 435];
/// When it happens again. A fault that comes more often is usual.
const ROUND_MS: i64 = 900_000;

/// A fault of the market.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A price that is a thousand times too high.
    WrongDecimals,
    /// A reciprocal price.
    InvertedPair,
    /// A price that jumps and stays.
    Jump,
    /// A price that jumps and comes back.
    Spike,
    /// No trades for a while.
    Silence,
    /// Trades at the same price.
    StuckFeed,
    /// A venue whose price differs from that of the other one.
    Divergence,
    /// Wild prices.
    Volatility,
    /// A price that moves to another level within seconds.
    LevelShift,
    /// A price that moves away by small steps.
    Drift,
}

/// How long each fault lasts.
const SPIKE_MS: i64 = 3_000;
const DIVERGENCE_MS: i64 = 10_000;
const STUCK_MS: i64 = 25_000;
const SILENCE_MS: i64 = 25_000;
const VOLATILITY_MS: i64 = 40_000;
const LEVEL_SHIFT_MS: i64 = 10_000;
const DRIFT_MS: i64 = 60_000;

impl Fault {
    /// All of them, in the order in which they happen.
    pub(crate) const ALL: [Self; 10] = [
        Self::WrongDecimals,
        Self::InvertedPair,
        Self::Jump,
        Self::StuckFeed,
        Self::Divergence,
        Self::Silence,
        Self::Volatility,
        Self::LevelShift,
        Self::Drift,
        Self::Spike,
    ];

    /// The kind of anomaly that it is.
    pub(crate) fn kind(self) -> AnomalyKind {
        match self {
            Self::WrongDecimals => AnomalyKind::WrongDecimals,
            Self::InvertedPair => AnomalyKind::InvertedPair,
            Self::Jump => AnomalyKind::Jump,
            Self::Spike => AnomalyKind::Spike,
            Self::Silence => AnomalyKind::Silence,
            Self::StuckFeed => AnomalyKind::StuckFeed,
            Self::Divergence => AnomalyKind::Divergence,
            Self::Volatility => AnomalyKind::Volatility,
            Self::LevelShift => AnomalyKind::LevelShift,
            Self::Drift => AnomalyKind::Drift,
        }
    }

    /// Whether it may be called that: with minutes of history, a large move is a jump or a drift, whatever comes of it.
    #[cfg(test)]
    pub(super) fn is_seen_as(self, kind: AnomalyKind) -> bool {
        let of_moves = [
            AnomalyKind::Jump,
            AnomalyKind::Drift,
            AnomalyKind::LevelShift,
            AnomalyKind::Volatility,
        ];
        match self {
            Self::Volatility | Self::LevelShift | Self::Drift => of_moves.contains(&kind),
            Self::WrongDecimals
            | Self::InvertedPair
            | Self::Jump
            | Self::Spike
            | Self::Silence
            | Self::StuckFeed
            | Self::Divergence => kind == self.kind(),
        }
    }

    /// How long after its beginning it is found at the latest: within a second of when it shows.
    #[cfg(test)]
    pub(super) fn found_within_ms(self) -> i64 {
        match self {
            // Until it comes back, it is a jump.
            Self::Spike => SPIKE_MS + 1_000,
            Self::WrongDecimals
            | Self::InvertedPair
            | Self::Jump
            | Self::StuckFeed
            | Self::Divergence
            | Self::Silence
            | Self::Volatility
            | Self::LevelShift
            | Self::Drift => 1_000,
        }
    }

    /// The token that it happens to. Each has one fault at a time. A silence and a drift show within a second where there are
    /// many trades a second.
    pub(crate) fn token(self) -> &'static str {
        match self {
            Self::Jump | Self::Silence => "BTC",
            Self::InvertedPair | Self::Spike => "ETH",
            Self::Divergence | Self::Drift => "SOL",
            Self::LevelShift => "WIF",
            Self::Volatility => "JUP",
            Self::StuckFeed => "BONK",
            Self::WrongDecimals => "BABYDOGE",
        }
    }

    /// Begins. The direction alternates, so that prices stay where they are over a long time.
    fn begin(self, asset: &mut Asset, at_ms: i64, up: bool) {
        let signed = |share: f64| if up { share } else { -share };
        match self {
            Self::WrongDecimals => asset.distort_next_trade(|price| price * 1_000.0),
            Self::InvertedPair => asset.distort_next_trade(|price| 1.0 / price),
            Self::Jump => asset.move_by(signed(0.04)),
            Self::Spike => asset.spike(at_ms + SPIKE_MS, signed(0.2)),
            Self::Silence => asset.fall_silent(at_ms + SILENCE_MS),
            Self::StuckFeed => asset.repeat_price(at_ms + STUCK_MS),
            Self::Divergence => asset.move_pool(at_ms + DIVERGENCE_MS, signed(0.04)),
            Self::Volatility => asset.raise_volatility(at_ms + VOLATILITY_MS),
            Self::LevelShift => asset.drift(at_ms, at_ms + LEVEL_SHIFT_MS, signed(0.15)),
            Self::Drift => asset.drift(at_ms, at_ms + DRIFT_MS, signed(0.6)),
        }
    }
}

/// When which fault happens.
#[derive(Debug)]
pub(super) struct Faults {
    round_at_ms: i64,
    round: u32,
    count: usize,
}

impl Faults {
    pub(super) fn new(now_ms: i64) -> Self {
        Self {
            round_at_ms: now_ms,
            round: 0,
            count: 0,
        }
    }

    /// Begins the next one if it is due.
    pub(super) fn begin_due(&mut self, now_ms: i64, assets: &mut [Asset]) -> Option<Fault> {
        if self.count >= Fault::ALL.len() && now_ms >= self.round_at_ms + ROUND_MS {
            (self.round_at_ms, self.count) = (now_ms, 0);
            self.round += 1;
        }
        let fault = *Fault::ALL.get(self.count)?;
        let due_s = *FIRST_AFTER_S.get(self.count)?;
        if now_ms < self.round_at_ms + due_s * 1_000 {
            return None;
        }
        self.count += 1;
        let asset = assets.iter_mut().find(|it| it.token() == fault.token())?;
        fault.begin(asset, now_ms, self.round.is_multiple_of(2));
        Some(fault)
    }
}
