//! A parameter with its value, as it goes into the statement.

use domain::aliases::{mint_of, symbol_of};
use query::Value;

use super::param_type::ParamType;

/// A parameter's value, as it goes into the statement.
pub(super) struct ResolvedParam {
    pub(super) kind: ParamType,
    pub(super) value: Value,
    /// The names of a token that has more than one: as it was given first, its mint last.
    pub(super) names: Vec<String>,
}

impl ResolvedParam {
    /// Its values in an IN list.
    pub(super) fn values(&self) -> Vec<Value> {
        if self.names.is_empty() {
            return vec![self.value.clone()];
        }
        let names = self.names.iter();
        names.map(|name| Value::Varchar(name.clone())).collect()
    }

    /// A note for the user about it.
    pub(super) fn note(&self, name: &str) -> Option<String> {
        let (mint, symbols) = self.names.split_last()?;
        Some(format!(
            "`{name}` matches {} and the mint {mint}; to match one of them alone, pass --param {name}:varchar=NAME",
            symbols.join(", ")
        ))
    }
}

/// The names of a token that is given by a known symbol: ticks of exchanges have the symbol, those
/// of the chain the mint. A mint has no other name: anybody can use the symbol for another token.
pub(super) fn names_of(text: &str) -> Vec<String> {
    let Some(mint) = mint_of(text) else {
        return Vec::new();
    };
    let mut names = vec![text.to_owned()];
    // As its issuer writes it.
    names.extend(
        symbol_of(mint)
            .filter(|symbol| *symbol != text)
            .map(str::to_owned),
    );
    names.push(mint.to_owned());
    names
}

#[cfg(test)]
mod tests {
    use domain::aliases::SOL_MINT;

    use super::*;

    #[test]
    fn a_known_symbol_is_also_named_by_its_mint() {
        let check = |text: &str, expected: &[&str]| assert_eq!(names_of(text), expected, "{text}");
        check("SOL", &["SOL", SOL_MINT]);
        check("sol", &["sol", "SOL", SOL_MINT]);
        check(SOL_MINT, &[]);
        check("BTC", &[]);
        check("", &[]);
    }
}
