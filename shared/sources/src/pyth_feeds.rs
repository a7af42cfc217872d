//! What Pyth's price feeds price: the built-in table, and an operator's own names.
//!
//! A feed's message has no currency, only the feed's id, so a feed that neither knows is refused: a
//! quote that is assumed would store a price in the wrong currency.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::LazyLock;

use domain::Token;

/// Hexadecimal digits of a feed id.
pub(crate) const FEED_DIGITS: usize = 64;

/// The widely used feeds; its first lines say where they come from.
const TABLE: &str = include_str!("pyth_feeds.csv");

static BUILT_IN: LazyLock<BTreeMap<&'static str, Pair>> = LazyLock::new(|| {
    let line = |line: &'static str| {
        let (id, pair) = line.split_once(',')?;
        let (base, quote) = pair.split_once(',')?;
        let token = |name| Token::new(name).ok();
        Some((id, (token(base)?, token(quote)?)))
    };
    TABLE.lines().filter_map(line).collect()
});

/// Base and quote.
type Pair = (Token, Token);

/// An operator's own names of feeds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PythFeeds(BTreeMap<String, Pair>);

/// The text does not name feeds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{item}`: {rule}; name Pyth's feeds as ID=BASE/QUOTE, separated by commas")]
pub struct PythFeedsError {
    item: String,
    rule: String,
}

impl PythFeeds {
    /// No own names.
    pub const NONE: Self = Self(BTreeMap::new());

    /// Base and quote of a feed, by its [`feed_id`]: an own name takes precedence over the built-in one.
    pub(crate) fn pair(&self, id: &str) -> Option<Pair> {
        self.0.get(id).or_else(|| BUILT_IN.get(id)).cloned()
    }
}

/// The id in lower case, without the `0x` in front of it that some senders use.
pub(crate) fn feed_id(text: &str) -> Option<String> {
    let id = text.to_ascii_lowercase();
    let digits = id.strip_prefix("0x").unwrap_or(&id);
    let is_id = digits.len() == FEED_DIGITS && digits.bytes().all(|b| b.is_ascii_hexdigit());
    is_id.then(|| digits.to_owned())
}

impl FromStr for PythFeeds {
    type Err = PythFeedsError;

    /// Reads `ID=BASE/QUOTE,ID=BASE/QUOTE`; an empty text names nothing.
    fn from_str(text: &str) -> Result<Self, PythFeedsError> {
        let mut feeds = BTreeMap::new();
        for item in text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
        {
            let refused = |rule: String| PythFeedsError {
                item: item.chars().take(90).collect(),
                rule,
            };
            let (id, pair) = item
                .split_once('=')
                .ok_or_else(|| refused("there is no `=`".to_owned()))?;
            let id = feed_id(id.trim()).ok_or_else(|| {
                refused(format!("a feed id has {FEED_DIGITS} hexadecimal digits"))
            })?;
            let (base, quote) = pair
                .split_once('/')
                .ok_or_else(|| refused("there is no `/` between base and quote".to_owned()))?;
            let token = |name: &str| Token::new(name.trim()).map_err(|e| refused(e.to_string()));
            let (base, quote) = (token(base)?, token(quote)?);
            if base == quote {
                return Err(refused("base and quote are the same".to_owned()));
            }
            if feeds.insert(id, (base, quote)).is_some() {
                return Err(refused("the feed is named twice".to_owned()));
            }
        }
        Ok(Self(feeds))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const BTC: &str = "e62df6c8b4a85fe1a67db44dc12de5db330f7ac66b72dc658afedf0f4a415b43";
    const OTHER: &str = "abababababababababababababababababababababababababababababababab";

    fn names(feeds: &PythFeeds, id: &str) -> Option<String> {
        let (base, quote) = feeds.pair(id)?;
        Some(format!("{base}/{quote}"))
    }

    #[test]
    fn every_line_of_the_table_names_another_feed_and_another_pair() {
        let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
        let mut pairs = BTreeSet::new();
        for line in lines.clone() {
            let (id, pair) = line.split_once(',').unwrap();
            assert_eq!(feed_id(id).as_deref(), Some(id), "{line}");
            let (base, quote) = pair.split_once(',').unwrap();
            assert_ne!(base, quote, "{line}");
            assert_eq!(
                names(&PythFeeds::NONE, id),
                Some(format!("{base}/{quote}")),
                "{line}"
            );
            assert!(pairs.insert(pair), "{line}");
        }
        assert_eq!(BUILT_IN.len(), lines.count());
        assert!(BUILT_IN.len() >= 150, "{}", BUILT_IN.len());
    }

    #[test]
    fn base_and_quote_are_in_the_order_of_the_feed() {
        for (id, pair) in [
            (BTC, "BTC/USD"),
            (
                "c96458d393fe9deb7a7d63a0ac41e2898a67a7750dbd166673279e06c868df0a",
                "ETH/BTC",
            ),
            (
                "ef2c98c804ba503c6a707e38be4dfbb16683775f195b091252bf24693042fd52",
                "USD/JPY",
            ),
            (
                "a995d00bb36a63cef7fd2c287dc105fc8f3d93779f062f09551b0af3e81ec30b",
                "EUR/USD",
            ),
            (
                "765d2ba906dbc32ca17cc11f5310a89e9ee1f6420508c63861f2f8ba4ee34bb2",
                "XAU/USD",
            ),
            (
                "3af6a3098c56f58ff47cc46dee4a5b1910e5c157f7f0b665952445867470d61f",
                "STETH/ETH",
            ),
            (
                "2ad31d1c4a85fbf2156ce57fab4104124c5ef76a6386375ecfc8da1ed5ce1486",
                "SYRUPUSDC/USDC",
            ),
        ] {
            assert_eq!(names(&PythFeeds::NONE, id).as_deref(), Some(pair), "{id}");
        }
        assert_eq!(names(&PythFeeds::NONE, OTHER), None);
    }

    #[test]
    fn own_names_come_first() {
        let text = format!("0x{}=OIL/EUR, {BTC}=XBT/USD,", OTHER.to_ascii_uppercase());
        let feeds: PythFeeds = text.parse().unwrap();
        assert_eq!(names(&feeds, OTHER).as_deref(), Some("OIL/EUR"));
        assert_eq!(names(&feeds, BTC).as_deref(), Some("XBT/USD"));
        assert_eq!("".parse(), Ok(PythFeeds::NONE));
        for (text, rule) in [
            (format!("{OTHER}=OIL"), "no `/`"),
            (OTHER.to_owned(), "no `=`"),
            ("abab=OIL/EUR".to_owned(), "64 hexadecimal"),
            (format!("{OTHER}=OIL/E R"), "a name has only"),
            (format!("{OTHER}=OIL/"), "must not be empty"),
            (format!("{OTHER}=OIL/OIL"), "the same"),
            (format!("{OTHER}=A/B,{OTHER}=A/C"), "twice"),
        ] {
            let refused = text.parse::<PythFeeds>().unwrap_err().to_string();
            assert!(refused.contains(rule), "{refused}");
        }
    }
}
