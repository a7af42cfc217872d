//! A statement with its values.

use query::Value;

use super::source_map::{BoundPlaceholder, SourceMap};

/// A statement with its values, ready for an engine.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BoundQuery {
    /// The statement, with `?` for each value.
    pub(crate) sql: String,
    /// The values, in the order of the `?`.
    pub(crate) values: Vec<Value>,
    /// The parameters by name, with the given text or the default.
    pub(crate) given: Vec<(String, String)>,
    /// Notes for the user: a symbol that also matches a mint, an empty range.
    pub(crate) notes: Vec<String>,
    /// The requested tokens: the parameter, and the text as given.
    pub(crate) tokens: Vec<(String, String)>,
    /// Whether the range of `:days` is empty.
    pub(crate) range_is_empty: bool,
    /// The `?`, in their order.
    pub(crate) placeholders: Vec<BoundPlaceholder>,
    pub(crate) source_map: SourceMap,
}

impl BoundQuery {
    /// A note for an answer without rows, if a token was requested.
    pub(crate) fn note_on_tokens(&self) -> Option<String> {
        let tokens = self.tokens.iter();
        let tokens: Vec<String> = tokens
            .map(|(name, text)| format!("`{name}` {text}"))
            .collect();
        (!tokens.is_empty()).then(|| {
            format!(
                "no rows for {}: names are case-sensitive (BTC is not btc); `ticksql run last_price -p from=…` lists those in the archive",
                tokens.join(" with ")
            )
        })
    }
}
