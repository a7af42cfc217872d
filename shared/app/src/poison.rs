//! Records and messages that cannot be decoded, and ticks that cannot be processed. They are quarantined and
//! acknowledged, since a retry would not help.

use codec::error::CodecError;
use domain::{Malformed, Reason};

use crate::bisect::Suspect;
use crate::ports::{PortError, Quarantine, Quarantined, StreamRecord};

/// A record that is not a tick, for the quarantine.
#[must_use]
pub fn malformed(index: usize, raw: &[u8], why: &CodecError) -> Malformed {
    Malformed::new(index, reason(raw, why), why, raw)
}

/// A tick of the stream for which a consumer fails, for the quarantine.
#[must_use]
pub fn unprocessable(
    consumer: &str,
    shard: u8,
    suspect: &Suspect<StreamRecord>,
    now_ms: i64,
) -> Quarantined {
    let StreamRecord { sequence, tick } = &suspect.record;
    let cause = &suspect.cause;
    let message = format!(
        "the tick is stored, but {consumer} fails for it (shard {shard}, record {sequence}); report this: {cause}"
    );
    let mut raw = Vec::new();
    codec::json::write_json(tick, &mut raw);
    Quarantined {
        received_at_ms: now_ms,
        source: consumer.to_owned(),
        entry: Malformed::new(0, Reason::Unprocessable, message, &raw),
    }
}

/// Quarantines poison from one origin, such as `kinesis`.
///
/// # Errors
/// [`PortError`] if it cannot be quarantined; it must not be acknowledged then.
pub async fn keep(
    quarantine: &dyn Quarantine,
    place: &str,
    entries: Vec<Malformed>,
    now_ms: i64,
) -> Result<(), PortError> {
    if entries.is_empty() {
        return Ok(());
    }
    tracing::warn!(
        place,
        entries = entries.len(),
        "records that cannot be decoded were \
        quarantined"
    );
    let kept: Vec<Quarantined> = entries
        .into_iter()
        .map(|entry| Quarantined {
            received_at_ms: now_ms,
            source: place.to_owned(),
            entry,
        })
        .collect();
    quarantine.keep(&kept).await
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "some variants exist only with the columnar feature of `codec`"
)]
fn reason(raw: &[u8], why: &CodecError) -> Reason {
    match why {
        CodecError::Json(_) if std::str::from_utf8(raw).is_err() => Reason::InvalidUtf8,
        CodecError::Name {
            column: "source", ..
        } => Reason::InvalidSource,
        CodecError::Name { .. } => Reason::InvalidToken,
        CodecError::Amount {
            column: "volume", ..
        } => Reason::InvalidVolume,
        CodecError::Amount { .. } | CodecError::Double { .. } => Reason::InvalidPrice,
        CodecError::Id(_) => Reason::InvalidId,
        CodecError::Method(_) | CodecError::Version { .. } => Reason::WrongType,
        // These errors come only from binary records and columns, so the body is not one of our
        // texts.
        _ => Reason::UnreadableBody,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(raw: &[u8], expected: Reason) {
        let why = codec::json::from_json(raw).unwrap_err();
        let entry = malformed(2, raw, &why);
        assert_eq!((entry.reason, entry.index), (expected, 2), "{why}");
        assert_eq!(entry.raw_bytes, raw.len());
    }

    fn with(field: &str, value: &str) -> Vec<u8> {
        let tick = serde_json::json!({
            "tick_id": "00000000000000000000000000000000", "token": "BTC", "quote": "USD",
            "price": "1", "timestamp": 1, "ingested_at": 1, "source": "made", "method": "reported",
            "version": "1.0",
        });
        let mut tick = tick;
        tick[field] = value.into();
        serde_json::to_vec(&tick).unwrap()
    }

    #[test]
    fn each_kind_of_poison_has_its_reason() {
        check(b"", Reason::UnreadableBody);
        check(b"\xff\xfe", Reason::InvalidUtf8);
        check(b"{}", Reason::UnreadableBody);
        check(&with("price", "-1"), Reason::InvalidPrice);
        check(&with("volume", "much"), Reason::InvalidVolume);
        check(&with("token", "a b"), Reason::InvalidToken);
        check(&with("source", ""), Reason::InvalidSource);
        check(&with("tick_id", "1"), Reason::InvalidId);
        check(&with("version", "2.0"), Reason::WrongType);
        check(&with("method", "guessed"), Reason::WrongType);
    }
}
