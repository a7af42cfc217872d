//! Numbers for names, so that a record on disk is small.

use std::collections::HashMap;
use std::hash::Hash;

use domain::{SourceName, Token};
use serde::{Deserialize, Serialize};

/// The number of a token; that of a quote, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct TokenNumber(pub(super) u32);

/// The numbers of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct PairNumbers {
    pub(super) token: TokenNumber,
    pub(super) quote: TokenNumber,
}

/// The number of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct SourceNumber(u32);

/// The names of one comparison, which grow with the number of tokens and not with that of ticks: about 150 bytes each.
#[derive(Debug, Default)]
pub(super) struct Names {
    tokens: Numbered<Token>,
    sources: Numbered<SourceName>,
}

impl Names {
    pub(super) fn pair(&mut self, token: &Token, quote: &Token) -> PairNumbers {
        PairNumbers {
            token: TokenNumber(self.tokens.number(token)),
            quote: TokenNumber(self.tokens.number(quote)),
        }
    }

    pub(super) fn source(&mut self, source: &SourceName) -> SourceNumber {
        SourceNumber(self.sources.number(source))
    }

    pub(super) fn token_name(&self, number: TokenNumber) -> Option<&Token> {
        self.tokens.names.get(number.0 as usize)
    }

    pub(super) fn source_name(&self, number: SourceNumber) -> Option<&SourceName> {
        self.sources.names.get(number.0 as usize)
    }
}

/// Names in the order in which they were first seen.
#[derive(Debug)]
struct Numbered<T> {
    numbers: HashMap<T, u32>,
    names: Vec<T>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self {
            numbers: HashMap::new(),
            names: Vec::new(),
        }
    }
}

impl<T: Clone + Eq + Hash> Numbered<T> {
    fn number(&mut self, name: &T) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(name.clone());
        self.numbers.insert(name.clone(), number);
        number
    }
}
