//! A statement with its values.

use query::Value;

use super::source_map::{BoundPlaceholder, SourceMap};

/// A statement with its values, ready for an engine.
#[derive(Debug, Clone, PartialEq)]
pub struct BoundQuery {
    /// The statement, with `?` for each value.
    pub sql: String,
    /// The values, in the order of the `?`.
    pub values: Vec<Value>,
    /// The parameters by name, as they were given or as their defaults are.
    pub given: Vec<(String, String)>,
    /// What a person should know: a symbol that also stands for a mint, an empty range.
    pub notes: Vec<String>,
    /// The tokens that were asked for, by parameter and as they were given.
    pub tokens: Vec<(String, String)>,
    /// Whether the range that `:days` goes by is empty.
    pub is_of_no_time: bool,
    /// The `?`, in their order.
    pub(crate) placeholders: Vec<BoundPlaceholder>,
    pub(crate) source_map: SourceMap,
}

impl BoundQuery {
    /// What a person should know if the answer has no rows and a token was asked for.
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
