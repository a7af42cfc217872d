//! A bill as a table.

use std::fmt::Write as _;

use ops::bill::load::{CandleInterval, Load, StreamMode};
use ops::bill::{Bill, HOURS_PER_MONTH, Item, Part};

/// The table: a line for each item that costs something, the parts and the total, and what it is for.
#[must_use]
pub fn text(bill: &Bill) -> String {
    let mut text = String::new();
    for line in lines(bill) {
        // Writing to a String cannot fail.
        _ = writeln!(text, "{}", line.trim_end());
    }
    text.trim_end().to_owned()
}

fn lines(bill: &Bill) -> Vec<String> {
    let mut lines = vec![
        row("", "units a month", "USD for", "", "USD"),
        String::new(),
    ];
    for part in Part::ALL {
        lines.push(row(part.name(), "", "", "", &amount(bill.part_usd(part))));
        let used = bill.of_part(part).filter(|it| it.quantity > 0.0);
        lines.extend(used.map(of_item));
    }
    lines.extend([
        row("total", "", "", "", &amount(bill.total_usd)),
        String::new(),
    ]);
    lines.extend(about(bill));
    lines
}

fn row(name: &str, units: &str, usd: &str, per: &str, cost: &str) -> String {
    format!("{name:<26}{units:>15}  {usd:>12} {per:<31}{cost:>10}")
}

fn of_item(item: &Item) -> String {
    let per = if item.per > 1.0 {
        format!("{} x {}", grouped(item.per), item.unit)
    } else {
        item.unit.clone()
    };
    let price = price(item.price_usd);
    row(
        &format!("  {}", item.item),
        &units(item.quantity),
        &price,
        &per,
        &amount(item.usd),
    )
}

/// A price, whose digits all count.
fn price(usd: f64) -> String {
    let text = format!("{usd}");
    let decimals = text
        .split_once('.')
        .map_or(0, |(_, decimals)| decimals.len());
    if decimals < 2 {
        format!("{usd:.2}")
    } else {
        text
    }
}

fn units(quantity: f64) -> String {
    if quantity < 1_000.0 {
        format!("{quantity:.1}")
    } else {
        grouped(quantity)
    }
}

fn amount(usd: f64) -> String {
    let cents = format!("{usd:.2}");
    let (whole, cents) = cents.split_once('.').unwrap_or((&cents, "00"));
    format!("{}.{cents}", with_separators(whole))
}

/// A whole number with separators.
fn grouped(number: f64) -> String {
    with_separators(&format!("{number:.0}"))
}

fn with_separators(digits: &str) -> String {
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// What the bill is for, and whose prices these are.
fn about(bill: &Bill) -> [String; 3] {
    let load = &bill.load;
    [
        traffic(load),
        options(load),
        format!(
            "Prices of {}, read {}, without free tiers; a month has {HOURS_PER_MONTH} hours.",
            bill.region, bill.prices_read
        ),
    ]
}

fn traffic(load: &Load) -> String {
    let watched = match load.watched_tokens {
        None => "everything".to_owned(),
        Some(tokens) => format!("{} tokens each", grouped(tokens)),
    };
    let watchers = match load.watchers > 0.0 {
        false => "nobody watches".to_owned(),
        true => format!("{} watchers of {watched}", grouped(load.watchers)),
    };
    format!(
        "{} ticks a day of {} tokens, {} a delivery, {} % of them in the stream; {watchers}.",
        grouped(load.ticks_per_day),
        grouped(load.tokens),
        grouped(load.batch),
        load.percent
    )
}

fn options(load: &Load) -> String {
    let stream = match load.stream {
        StreamMode::OnDemand => "An on-demand stream",
        StreamMode::Provisioned => "A provisioned stream",
    };
    let candles = match load.candles {
        CandleInterval::OneSecond => "1 second",
        CandleInterval::OneMinute => "1 minute",
        CandleInterval::FiveMinutes => "5 minutes",
    };
    format!(
        "{stream}, candles of {candles}, DynamoDB for {} days, an archive of {} days.",
        grouped(load.retention_days),
        grouped(load.archive_days)
    )
}
