//! Anomalies as items: readable attributes for people, and the bytes from which they are restored without loss.

use domain::analytics::Anomaly;

use super::attributes::{
    EXPIRES_AT, Item, ItemError, SK, day_of, expires_at, key, number, packed, sortable, text,
    unpacked,
};

/// The attribute with the complete anomaly.
const PACKED: &str = "anomaly";

/// The partition key of the anomalies of one UTC day.
pub(crate) fn anomaly_partition(timestamp_ms: i64) -> Result<String, ItemError> {
    Ok(partition_of_day(&day_of(timestamp_ms)?))
}

/// The same of a day as `YYYY-MM-DD`.
pub(crate) fn partition_of_day(day: &str) -> String {
    format!("anomaly#{day}")
}

/// The item of an anomaly. The same anomaly found again gives the same item.
pub(crate) fn anomaly_item(anomaly: &Anomaly, now_ms: i64, days: u32) -> Result<Item, ItemError> {
    let Anomaly { token, quote, .. } = anomaly;
    let time = sortable(anomaly.timestamp_ms);
    let sort = format!("{time}#{}#{token}/{quote}", anomaly.tick_id);
    let mut item = key(anomaly_partition(anomaly.timestamp_ms)?, sort);
    item.extend(
        [
            ("token", text(anomaly.token.as_str())),
            ("quote", text(anomaly.quote.as_str())),
            ("tick_id", text(anomaly.tick_id.to_string())),
            ("timestamp", number(anomaly.timestamp_ms)),
            ("price", number(anomaly.price)),
            ("kind", text(anomaly.detection.kind.as_str())),
            ("message", text(anomaly.message())),
            (PACKED, packed(anomaly)?),
            (EXPIRES_AT, expires_at(now_ms, days)),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    Ok(item)
}

/// The anomalies of items. One that cannot be read, such as one of an earlier build, is left out, and logged.
pub(crate) fn anomalies_of(items: &[Item]) -> Vec<Anomaly> {
    let readable = items.iter().filter_map(|item| match unpacked(item, PACKED) {
        Ok(anomaly) => Some(anomaly),
        Err(error) => {
            tracing::warn!(error = %error, key = ?item.get(SK), "an anomaly cannot be read and is left out");
            None
        }
    });
    readable.collect()
}

#[cfg(test)]
mod tests {
    use domain::Token;
    use testkit::anomalies::jump_at;
    use testkit::ticks::tick;

    use super::super::attributes::PK;
    use super::*;

    #[test]
    fn an_anomaly_round_trips() {
        let anomaly = jump_at(&tick("BTC", 7));
        let item = anomaly_item(&anomaly, 0, 30).unwrap();
        let mut earlier = item.clone();
        let bytes = earlier.remove(PACKED).unwrap();
        earlier.insert("packed".to_owned(), bytes);
        let read = anomalies_of(&[earlier, item.clone()]);
        assert_eq!(read.first(), Some(&anomaly));
        assert_eq!(read.len(), 1);
        assert_eq!(item[PK], text("anomaly#2026-01-01"));
        // The same id and time in another pair is another item.
        let other = Anomaly {
            quote: Token::new("EUR").unwrap(),
            ..anomaly
        };
        let of_other = anomaly_item(&other, 0, 30).unwrap();
        assert_eq!(of_other[PK], item[PK]);
        assert_ne!(of_other[SK], item[SK]);
    }
}
