//! Why a transaction in which tokens were exchanged gives no price.

use domain::Reason;

use crate::refused::Refused;

pub(super) fn several_trades() -> Refused {
    Refused::new(
        Reason::AmbiguousTrade,
        "the transaction holds several trades, in both directions or at prices of their own: their \
         net amounts are no price that anybody traded at",
    )
}

pub(super) fn unclear_trade() -> Refused {
    Refused::new(
        Reason::AmbiguousTrade,
        "several accounts gave up one mint for another, and which of them is the pool cannot be told \
         from the amounts",
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
