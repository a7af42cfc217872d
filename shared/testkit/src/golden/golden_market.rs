//! The generated market of the golden results: the same ticks at every run, forever.

use app::ports::Quarantined;
use domain::aliases::SOL_MINT;
use domain::analytics::Anomaly;
use domain::detection::{AnomalyKind, Detection, Direction, Quantity};
use domain::{Malformed, Method, Price, Reason, SourceName, Tick, TickId, Token, Volume};
use rust_decimal::Decimal;

/// 2026-03-30T00:00:00Z, two days before the end of the month.
const START_MS: i64 = 1_774_828_800_000;

const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// USDC's mint address.
const USDC_MINT: &str = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v";

/// Our own random number generator: those of crates may change with their versions.
struct Random(u64);

impl Random {
    /// 0 to `below` - 1.
    fn next(&mut self, below: u32) -> i64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        i64::try_from((self.0 >> 33) % u64::from(below)).unwrap_or(0)
    }

    /// A step of a price, up or down by at most `most`.
    fn step(&mut self, most: u32) -> i64 {
        self.next(2 * most + 1) - i64::from(most)
    }
}

/// What the ticks of one feed have in common.
#[derive(Clone, Copy)]
struct Feed {
    token: &'static str,
    quote: &'static str,
    source: &'static str,
    method: Method,
}

const COINBASE: Feed = Feed {
    token: "BTC",
    quote: "USD",
    source: "coinbase:BTC-USD",
    method: Method::Trade,
};
const PYTH: Feed = Feed {
    token: "BTC",
    quote: "USD",
    source: "pyth:BTC",
    method: Method::Oracle,
};
const PYTH_ETH: Feed = Feed {
    token: "ETH",
    source: "pyth:ETH",
    ..PYTH
};
const RAYDIUM: Feed = Feed {
    token: SOL_MINT,
    quote: USDC_MINT,
    source: "helius:raydium",
    method: Method::SwapEvent,
};
const METEORA: Feed = Feed {
    source: "helius:meteora",
    method: Method::NetBalances,
    ..RAYDIUM
};
const RAYDIUM_BTC: Feed = Feed {
    token: "BTC",
    ..RAYDIUM
};
const KRAKEN: Feed = Feed {
    source: "kraken:spot",
    ..COINBASE
};
const KRAKEN_TICKER: Feed = Feed {
    source: "kraken:ticker",
    method: Method::Ticker,
    ..COINBASE
};
const JUPITER: Feed = Feed {
    source: "jupiter:price",
    method: Method::Quote,
    ..RAYDIUM
};
const DESK_ETH: Feed = Feed {
    token: "ETH",
    source: "ticks:desk",
    method: Method::Reported,
    ..COINBASE
};
const KRAKEN_XRP: Feed = Feed {
    token: "XRP",
    ..KRAKEN
};
const KRAKEN_ADA: Feed = Feed {
    token: "ADA",
    ..KRAKEN
};

/// The ticks generated so far.
struct Market {
    random: Random,
    ticks: Vec<Tick>,
}

impl Market {
    /// Adds a tick: price in cents, volume in thousandths.
    #[expect(
        clippy::unwrap_used,
        reason = "an invalid market should fail its tests"
    )]
    fn add(&mut self, feed: Feed, timestamp_ms: i64, cents: i64, volume: Option<i64>) {
        let number = self.ticks.len();
        // Most ticks arrive at once, some after minutes, a few after the end of their day.
        let delay_ms = match number {
            n if n % 41 == 40 => 26 * HOUR_MS,
            n if n % 17 == 16 => 90 * SECOND_MS,
            _ => 20 + self.random.next(400),
        };
        let tick = Tick {
            tick_id: TickId::derive("golden", &[feed.source, feed.quote, &number.to_string()]),
            token: Token::new(feed.token).unwrap(),
            quote: Token::new(feed.quote).unwrap(),
            price: Price::new(Decimal::new(cents, 2)).unwrap(),
            volume: volume.map(|volume| Volume::new(Decimal::new(volume, 3)).unwrap()),
            timestamp_ms,
            ingested_at_ms: timestamp_ms + delay_ms,
            source: SourceName::new(feed.source).unwrap(),
            slot: (feed.quote == USDC_MINT).then_some(400_000_000 + number as u64),
            method: feed.method,
            sequence: None,
            quality: None,
        };
        self.ticks.push(tick);
    }

    /// Bitcoin: trades every half an hour, an oracle without volumes every two hours, and ten busy
    /// minutes with a price that stands out.
    fn bitcoin(&mut self) {
        let mut cents = 6_000_000;
        for half_hour in 0..6 * 24 {
            cents += self.random.step(9_000);
            let volume = 1 + self.random.next(2_500);
            let at = START_MS + half_hour * 30 * MINUTE_MS;
            self.add(COINBASE, at + 10 * SECOND_MS, cents, Some(volume));
            if half_hour % 4 == 1 {
                let seen = cents + self.random.step(3_000);
                self.add(PYTH, at + 15 * MINUTE_MS, seen, None);
            }
        }
        let noon = START_MS + DAY_MS + 12 * HOUR_MS;
        let mut cents = 6_010_000;
        for turn in 0..60 {
            cents += self.random.step(1_500);
            let spike = if turn == 40 { 300_000 } else { 0 };
            let volume = 1 + self.random.next(900);
            self.add(
                COINBASE,
                noon + turn * 10 * SECOND_MS,
                cents + spike,
                Some(volume),
            );
        }
        // At the times of the first tick of these minutes, and of the last.
        for (turn, cents) in [
            (0, 6_020_050),
            (0, 5_999_950),
            (59, 6_031_000),
            (59, 6_000_001),
        ] {
            self.add(COINBASE, noon + turn * 10 * SECOND_MS, cents, Some(250));
        }
        for hour in 0..8 {
            let cents = 6_005_000 + self.random.step(5_000);
            self.add(RAYDIUM_BTC, noon + hour * HOUR_MS, cents, Some(10 + hour));
        }
    }

    /// Solana from two venues every hour, with no tick from 06:00 of the second day to 03:00 of the
    /// third, and with one swap of nothing.
    fn solana(&mut self) {
        let mut cents = 15_000;
        for hour in 0..3 * 24 {
            if (30..51).contains(&hour) {
                continue;
            }
            cents += self.random.step(120);
            let feed = if hour % 3 == 2 { METEORA } else { RAYDIUM };
            let volume = match hour {
                54..60 => 0,
                _ => 500 + self.random.next(40_000),
            };
            self.add(feed, START_MS + hour * HOUR_MS + 1_234, cents, Some(volume));
        }
    }

    /// Ether stays constant for half an hour, and then moves a little.
    fn ether(&mut self) {
        let morning = START_MS + 2 * DAY_MS + 9 * HOUR_MS;
        for minute in 0..30 {
            self.add(PYTH_ETH, morning + minute * MINUTE_MS, 300_000, None);
        }
        self.add(PYTH_ETH, morning + 30 * MINUTE_MS, 300_200, None);
    }

    /// Trades of one millisecond, numbered by the exchange. Their ids are in the opposite order.
    fn burst(&mut self, feed: Feed, timestamp_ms: i64, cents: &[i64]) {
        let first = self.ticks.len();
        for cents in cents {
            self.add(feed, timestamp_ms, *cents, Some(100));
        }
        let burst = self.ticks.get_mut(first..).unwrap_or_default();
        let mut ids: Vec<TickId> = burst.iter().map(|tick| tick.tick_id).collect();
        ids.sort();
        let numbered = (7_000 + first as u64..).zip(ids.into_iter().rev());
        for (tick, (sequence, tick_id)) in burst.iter_mut().zip(numbered) {
            tick.sequence = Some(sequence);
            tick.tick_id = tick_id;
        }
    }

    /// Ripple and Cardano in bursts: each opens, closes and ends with the price that its exchange
    /// numbered so. And what identifies a tick: the same id at two times, and in two tokens.
    fn exchange(&mut self) {
        let noon = START_MS + DAY_MS + 12 * HOUR_MS;
        // The second of three stands out from those before it, but the third does not.
        self.burst(
            KRAKEN,
            noon + 20 * MINUTE_MS,
            &[6_011_000, 6_299_000, 6_012_000],
        );
        for (hour, cents) in [
            (0, [51, 58, 47, 52]),
            (1, [53, 59, 50, 54]),
            (2, [55, 60, 49, 51]),
            (3, [52, 57, 48, 56]),
        ] {
            self.burst(KRAKEN_XRP, noon - 5 * HOUR_MS + hour * HOUR_MS, &cents);
        }
        // A tick without a number comes before those of its millisecond that have one.
        self.add(KRAKEN_XRP, noon - 2 * HOUR_MS, 61, Some(100));
        let last = self.ticks.last().cloned();
        let again = |feed: Feed, after_ms: i64, cents: i64| {
            let (mut tick, price) = (last.clone()?, Price::new(Decimal::new(cents, 2)).ok()?);
            tick.token = Token::new(feed.token).ok()?;
            tick.price = price;
            tick.timestamp_ms += after_ms;
            tick.ingested_at_ms += after_ms;
            Some(tick)
        };
        let more = [
            again(KRAKEN_XRP, SECOND_MS, 62),
            again(KRAKEN_ADA, 0, 33),
            again(KRAKEN_ADA, SECOND_MS, 34),
        ];
        self.ticks.extend(more.into_iter().flatten());
    }

    /// Tickers with a volume, which are not trades, at the times of the first and the last trade of the busy minutes, and
    /// outside of their prices; quotes of a price service; and trades that somebody reports without volumes.
    fn quotes_and_reports(&mut self) {
        let noon = START_MS + DAY_MS + 12 * HOUR_MS;
        for (turn, cents) in [
            (0, 5_500_000),
            (0, 6_500_000),
            (59, 6_600_000),
            (59, 5_400_000),
        ] {
            let volume = Some(900_000);
            self.add(KRAKEN_TICKER, noon + turn * 10 * SECOND_MS, cents, volume);
        }
        for hour in 0..8 {
            let cents = 14_000 + 50 * hour;
            self.add(JUPITER, noon + hour * HOUR_MS + 1_234, cents, None);
        }
        for (hour, cents) in [(21, 300_150), (22, 299_900), (27, 300_400)] {
            self.add(DESK_ETH, noon + hour * HOUR_MS, cents, None);
        }
    }
}

/// The ticks in ranges, each of which becomes separate files. The first range has every tick once;
/// the others have copies, like those of deliveries whose response was lost.
#[must_use]
pub fn ranges() -> Vec<Vec<Tick>> {
    let mut market = Market {
        random: Random(7),
        ticks: Vec::new(),
    };
    market.bitcoin();
    market.solana();
    market.ether();
    let of_one_feed_each = market.ticks.len();
    market.exchange();
    market.quotes_and_reports();
    let mut ticks = market.ticks;
    if let Some(ahead) = ticks.get_mut(3) {
        ahead.ingested_at_ms = ahead.timestamp_ms - 150;
    }
    let again = |number: usize, delay_ms: i64| {
        let tick = ticks.get(number)?.clone();
        let ingested_at_ms = tick.ingested_at_ms + delay_ms;
        Some(Tick {
            ingested_at_ms,
            ..tick
        })
    };
    let mut copies: Vec<Tick> = [5, 100, 190, 230, of_one_feed_each - 1]
        .into_iter()
        .filter_map(|number| again(number, MINUTE_MS))
        .collect();
    // A sender that changed its mind.
    if let (Some(changed), Ok(price)) = (copies.last_mut(), Price::new(Decimal::new(300_300, 2))) {
        changed.price = price;
    }
    // A copy as release 1.0 kept it, without the number.
    copies.extend(again(of_one_feed_each, MINUTE_MS).map(|copy| Tick {
        sequence: None,
        ..copy
    }));
    let third: Vec<Tick> = again(100, 2 * HOUR_MS).into_iter().collect();
    vec![ticks, copies, third]
}

/// All ticks of [`ranges`].
#[must_use]
pub fn ticks() -> Vec<Tick> {
    ranges().into_iter().flatten().collect()
}

/// What the analysis found: four of the ticks, and one of release 1.0, which did not know the venue.
#[must_use]
#[expect(
    clippy::unwrap_used,
    reason = "an invalid anomaly should fail its tests"
)]
pub fn anomalies() -> Vec<Anomaly> {
    let ticks = ticks();
    let of = |number: usize, detection: Detection| {
        let tick = ticks.get(number).unwrap();
        Anomaly {
            token: tick.token.clone(),
            quote: tick.quote.clone(),
            source: Some(tick.source.clone()),
            tick_id: tick.tick_id,
            timestamp_ms: tick.timestamp_ms,
            price: tick.price,
            score: 0.5 + detection.expected.fract() / 10.0,
            detection,
            notifies: true,
        }
    };
    let jump = |direction, expected, seen| Detection {
        kind: AnomalyKind::Jump,
        direction,
        quantity: Quantity::Value,
        expected,
        seen,
        window_ms: 10 * SECOND_MS,
    };
    let volatile = Detection {
        kind: AnomalyKind::Volatility,
        quantity: Quantity::Change,
        ..jump(Direction::Up, 0.001_25, 0.0131)
    };
    let spike = Detection {
        kind: AnomalyKind::Spike,
        ..jump(Direction::Down, 63_105.25, 60_120.5)
    };
    let silent = Detection {
        kind: AnomalyKind::Silence,
        quantity: Quantity::IntervalMs,
        window_ms: 90 * MINUTE_MS,
        ..jump(Direction::Up, 3_600_000.0, 5_400_000.0)
    };
    vec![
        of(50, jump(Direction::Up, 58_000.5, 60_011.75)),
        of(200, jump(Direction::Down, 63_105.25, 60_100.5)),
        of(221, spike),
        Anomaly {
            source: None,
            ..of(85, volatile)
        },
        of(290, silent),
    ]
}

/// The content of the quarantine.
#[must_use]
pub fn quarantined() -> Vec<Quarantined> {
    let entry = |minutes: i64, source: &str, index, reason, message: &str, raw: &str| Quarantined {
        received_at_ms: START_MS + minutes * MINUTE_MS,
        source: source.to_owned(),
        entry: Malformed::new(index, reason, message, raw.as_bytes()),
    };
    let negative = r#"{"token": "BTC", "price": -1}"#;
    vec![
        entry(
            10,
            "ticks",
            0,
            Reason::InvalidPrice,
            "price -1: give more than 0",
            negative,
        ),
        entry(
            11,
            "ticks",
            4,
            Reason::InvalidPrice,
            "price 0: give more than 0",
            "{\"price\": 0}",
        ),
        entry(
            700,
            "ticks",
            1,
            Reason::MissingField,
            "no `token`",
            "{\"price\": \"1.5\"}",
        ),
        entry(
            1_500,
            "helius",
            0,
            Reason::AmbiguousTrade,
            "three tokens moved",
            "{}",
        ),
        entry(
            1_500,
            "helius",
            1,
            Reason::AmbiguousTrade,
            "two tokens came, none went",
            "{}",
        ),
        entry(
            2_000,
            "nowhere",
            0,
            Reason::UnknownSource,
            "no source `nowhere`",
            "<html>\n</html>",
        ),
        entry(
            4_000,
            "ticks",
            0,
            Reason::InvalidPrice,
            "price \"x\", no number",
            "{\"price\": \"x\"}",
        ),
    ]
}
