//! Numbers for pairs and sources, so that a record on disk is small.

use std::collections::HashMap;

use domain::{Pair, SourceName, Token};
use serde::{Deserialize, Serialize};

/// The number of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct PairNumber(u32);

/// The number of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct SourceNumber(u32);

/// The names of one comparison, which grow with the number of pairs and not with that of ticks: about 200 bytes each.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// By token, the numbers of its quotes: a look-up needs no new text.
    pairs: HashMap<Token, Vec<(Token, PairNumber)>>,
    pair_names: Vec<Pair>,
    sources: HashMap<SourceName, SourceNumber>,
    source_names: Vec<SourceName>,
}

impl Names {
    pub(super) fn pair(&mut self, token: &Token, quote: &Token) -> PairNumber {
        if let Some(quotes) = self.pairs.get(token)
            && let Some((_, number)) = quotes.iter().find(|(known, _)| known == quote)
        {
            return *number;
        }
        let number = PairNumber(u32::try_from(self.pair_names.len()).unwrap_or(u32::MAX));
        self.pair_names.push(Pair {
            token: token.clone(),
            quote: quote.clone(),
        });
        let quotes = self.pairs.entry(token.clone()).or_default();
        quotes.push((quote.clone(), number));
        number
    }

    pub(super) fn source(&mut self, source: &SourceName) -> SourceNumber {
        if let Some(number) = self.sources.get(source) {
            return *number;
        }
        let number = SourceNumber(u32::try_from(self.source_names.len()).unwrap_or(u32::MAX));
        self.source_names.push(source.clone());
        self.sources.insert(source.clone(), number);
        number
    }

    pub(super) fn pair_name(&self, number: PairNumber) -> Option<&Pair> {
        self.pair_names.get(number.0 as usize)
    }

    pub(super) fn source_name(&self, number: SourceNumber) -> Option<&SourceName> {
        self.source_names.get(number.0 as usize)
    }
}
