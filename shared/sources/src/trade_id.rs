//! An exchange's id of a trade: a number, or a text such as a UUID.

use domain::Reason;

use crate::refused::Refused;
use crate::value::Value;

/// The longest id in bytes. A UUID has 36.
const ID_BYTES_MAX: usize = 128;

impl Value<'_> {
    /// The id, and its number if it is one that orders trades. Leading zeros do not make another id.
    pub(crate) fn trade_id(self) -> Result<(String, Option<u64>), Refused> {
        if let Ok(number) = self.sequence() {
            return Ok((number.to_string(), Some(number)));
        }
        let id = self.text()?.into_owned();
        if id.is_empty() || id.len() > ID_BYTES_MAX {
            let rule = format_args!(
                "an id must have 1 to {ID_BYTES_MAX} bytes, not {}",
                id.len()
            );
            return Err(self.refused(Reason::InvalidId, rule));
        }
        Ok((id, None))
    }
}
