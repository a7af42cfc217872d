//! Venues of a pair: one that leaves the others, and one that repeats its price.

use super::super::{AnomalyKind, Direction, Venues};
use super::{Market, SECOND_MS, START_MS};

#[test]
fn a_venue_that_leaves_the_others_is_found_once() {
    let mut market = Market::seeded(5, SECOND_MS);
    let mut venues = Venues::default();
    let mut found = Vec::new();
    for second in 0..5_000 {
        let price = market.next();
        for venue in 0..3_u32 {
            // Each venue has its own premium and noise; the last leaves by 2 % after an hour, and stays there.
            let away = if venue == 2 && second >= 3_600 {
                0.98
            } else {
                1.0
            };
            let noise = 1.0 + 0.000_2 * market.heavy() + 0.001 * f64::from(venue);
            let ms = START_MS + second * SECOND_MS + i64::from(venue);
            found.extend(
                venues
                    .observe(ms, venue, price * noise * away)
                    .map(|it| (second, it)),
            );
        }
    }
    let [(second, divergence)] = found[..] else {
        panic!("{found:?}");
    };
    assert_eq!((second, divergence.kind), (3_602, AnomalyKind::Divergence));
    assert_eq!(divergence.direction, Direction::Down);
    assert!(divergence.message().contains("below the other venues"));
}

#[test]
fn a_venue_that_repeats_its_price_while_the_others_move_is_stuck() {
    let mut market = Market::seeded(5, SECOND_MS);
    let mut venues = Venues::default();
    let mut found = Vec::new();
    let mut stuck_at = 0.0;
    for second in 0..5_000 {
        // The others rise by 2 % after twenty of its ticks.
        let price = market.next() * if second > 3_620 { 1.02 } else { 1.0 };
        for venue in 0..3_u32 {
            let noise = 1.0 + 0.000_2 * market.heavy();
            let price = if venue == 2 && second > 3_600 {
                stuck_at
            } else {
                price * noise
            };
            stuck_at = if venue == 2 { price } else { stuck_at };
            let ms = START_MS + i64::from(second) * SECOND_MS;
            found.extend(venues.observe(ms, venue, price));
        }
    }
    let [detection] = found[..] else {
        panic!("{found:?}");
    };
    let expected = (AnomalyKind::StuckFeed, Direction::Down);
    assert_eq!((detection.kind, detection.direction), expected);
    let message = detection.message();
    assert!(
        message.contains("while the other venues went to"),
        "{message}"
    );
}

#[test]
fn a_venue_that_leaves_the_others_after_an_hour_is_found() {
    let mut market = Market::seeded(5, SECOND_MS);
    let mut venues = Venues::default();
    let mut found = Vec::new();
    for second in 0..1_200 {
        // They trade in turn, every ten seconds; the last one leaves by 1 %.
        let price = market.next();
        let venue = u32::try_from(second % 3).unwrap();
        let away = if venue == 2 && second >= 600 {
            1.01
        } else {
            1.0
        };
        let noise = 1.0 + 0.000_2 * market.heavy();
        let ms = START_MS + second * 10 * SECOND_MS;
        found.extend(
            venues
                .observe(ms, venue, price * noise * away)
                .map(|it| (second, it.kind)),
        );
    }
    assert_eq!(found, [(608, AnomalyKind::Divergence)]);
}

#[test]
fn a_venue_that_moves_before_the_others_trade_again_is_not_a_divergence() {
    let mut market = Market::seeded(7, SECOND_MS);
    let mut venues = Venues::default();
    let mut found = Vec::new();
    let mut jump = 1.0;
    for second in 0..3_000 {
        let price = market.next();
        // All of them jump by 2 %, but one of them trades ten times before the others do.
        if second == 2_000 {
            jump = 1.02;
            for n in 0..10 {
                let ms = START_MS + second * SECOND_MS + n * 10;
                found.extend(venues.observe(ms, 0, price * jump));
            }
        }
        for venue in 0..3_u32 {
            let noise = 1.0 + 0.000_2 * market.heavy();
            let ms = START_MS + second * SECOND_MS + 100 + i64::from(venue);
            found.extend(venues.observe(ms, venue, price * noise * jump));
        }
    }
    assert!(found.is_empty(), "{found:?}");
    // The others do not follow the next move, so it is one.
    for n in 0..6_u32 {
        let ms = START_MS + 3_000 * SECOND_MS + i64::from(n) * 100;
        let away = if n % 2 == 0 { 1.05 } else { 1.0 };
        found.extend(venues.observe(ms, n % 2, market.next() * jump * away));
    }
    assert_eq!(found.len(), 1, "{found:?}");
}
