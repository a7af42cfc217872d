//! Why a transaction in which tokens were exchanged gives no price.

use domain::Reason;

use crate::refused::Refused;

pub(super) fn several_trades() -> Refused {
    Refused::new(
        Reason::AmbiguousTrade,
        "the transaction contains several trades, in both directions or at different prices: nobody \
         traded at the price that their net amounts would give",
    )
}

pub(super) fn unclear_trade() -> Refused {
    Refused::new(
        Reason::AmbiguousTrade,
        "several accounts gave up one mint for another, and the amounts do not show \
         which of them is the pool",
    )
}

pub(super) fn contradicted_event() -> Refused {
    Refused::new(
        Reason::AmbiguousTrade,
        "`events.swap` names two sides, but neither what moved nor its own `innerSwaps` show such a trade",
    )
}

pub(super) fn loan() -> Refused {
    Refused::new(
        Reason::AmbiguousTrade,
        "a lending program is involved: a deposit and a loan look like a trade, but have no price",
    )
}
