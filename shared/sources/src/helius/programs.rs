//! Programs that change how a transaction is read, known by their accounts among its accounts.

/// Pump's curves and pools pay before they are paid, so the first payer may be the pool.
const PAY_FIRST: &[&str] = &[
    "6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P",
    "pAMMBay6oceH9fJKBRHGP5D4bD4sWpmSwMn52FMfXEA",
];

/// Solend, Kamino Lend, marginfi, Drift, and the vaults of Jupiter Lend: a deposit of one token and a
/// loan of another look like a trade, at the price of nothing.
const LEND: &[&str] = &[
    "So1endDq2YkqhipRh3WViPa8hdiSpxWy6z3Z6tMCpAo",
    "KLend2g3cP87fffoy8q1mQqGKjrxjC8boSyAYavgmjD",
    "MFv2hWf31Z9kbCa1snEPYctwafyhdvnV7FZnsebVacA",
    "dRiftyHA39MWEi3m9aunc5MzRF1JYuBsbn6VPcn33UH",
    "jupr81YtYssSyPt8jbnGuiWon5f6x9TcDEFxYe3Bdzi",
];

/// Jupiter's order engine exchanges the tokens of a trader and a market maker: neither is a pool.
const BETWEEN_PEOPLE: &[&str] = &["61DFfeTKM7trxYcPQCM78bJ794ddZprZpAwAnLiwTpYH"];

/// Which of these programs a transaction names.
#[derive(Debug, Default)]
pub(super) struct Programs {
    pub(super) pays_first: bool,
    pub(super) lends: bool,
    pub(super) is_between_people: bool,
}

impl Programs {
    /// Notes an account of the transaction.
    pub(super) fn note(&mut self, account: &str) {
        self.pays_first |= PAY_FIRST.contains(&account);
        self.lends |= LEND.contains(&account);
        self.is_between_people |= BETWEEN_PEOPLE.contains(&account);
    }
}
