//! Which shares were in force in a period, and whether what was counted fits them.

use domain::RolloutKey;

use crate::flag_record::{FlagChange, FlagValue, FlagVersion};

/// How late a process may use a changed share: it may hold the one before for some seconds, and counts a delivery when it
/// is completed.
const IN_FORCE_AFTER_MS: i64 = 60_000;

/// A count does not fit if one so far from the share has a probability below e^-20, about one in 500 million: fewer than
/// one false alarm in a century of looks every ten seconds.
const IMPROBABILITY_MAX: f64 = 20.0;

/// A share, and from when on it was in force.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PastShare {
    /// From when on, in epoch milliseconds.
    pub from_ms: i64,
    /// The share in percent; 0 if the stream was off.
    pub percent: f64,
    /// The key that selected it; `None` if it is not known.
    pub key: Option<RolloutKey>,
}

/// The shares that were in force in a period.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SharesInForce {
    min_percent: f64,
    max_percent: f64,
    /// What all of them were selected by, if that is known and the same.
    key: Option<RolloutKey>,
}

/// Whether what was counted fits the shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// It does.
    Fits,
    /// Only if the share is selected by token, and it is not known whether it is.
    ByTokenOnly,
    /// It does not.
    Not,
}

impl SharesInForce {
    /// Nothing is known of them, so that every count fits.
    pub const UNKNOWN: Self = Self {
        min_percent: 0.0,
        max_percent: 100.0,
        key: None,
    };

    /// Those since a time: the present one, and those of the history, newest first. `before` was in force before the
    /// oldest of these, if the history is complete.
    #[must_use]
    pub fn since(
        from_ms: i64,
        present: PastShare,
        history: impl IntoIterator<Item = PastShare>,
        before: Option<PastShare>,
    ) -> Self {
        let mut shares = Self {
            min_percent: present.percent,
            max_percent: present.percent,
            key: present.key,
        };
        let mut reached_ms = present.from_ms;
        for past in history.into_iter().chain(before) {
            if reached_ms <= from_ms - IN_FORCE_AFTER_MS {
                return shares;
            }
            shares.min_percent = shares.min_percent.min(past.percent);
            shares.max_percent = shares.max_percent.max(past.percent);
            shares.key = match past.key == shares.key {
                true => shares.key,
                // The tokens that one of them selected may send any part.
                false => Some(RolloutKey::Token),
            };
            reached_ms = past.from_ms;
        }
        match reached_ms <= from_ms - IN_FORCE_AFTER_MS {
            true => shares,
            false => Self::UNKNOWN,
        }
    }

    /// Those of the shared flag since a time, by its changes, newest first.
    #[must_use]
    pub fn of_flag(from_ms: i64, present: FlagValue, changes: &[FlagVersion]) -> Self {
        let share = |change: &FlagChange| PastShare {
            from_ms: change.at_ms,
            percent: f64::from(change.value.share()),
            key: change.value.key,
        };
        let mut changes = changes.iter().map(|it| &it.change);
        match changes.next().filter(|newest| newest.value == present) {
            Some(newest) => Self::since(from_ms, share(newest), changes.map(share), None),
            None => Self::UNKNOWN,
        }
    }

    /// Whether so many of some ticks can be in the cohort. Of them, `of_other_shares` may have been selected earlier, by
    /// whatever share there was then. Selected by token, they may be any part, since some tokens send more than others:
    /// then only shares of 0 and 100 % say how many there must be.
    #[must_use]
    pub(super) fn fit(&self, in_cohort: u64, ticks: u64, of_other_shares: u64) -> Fit {
        let of = ticks.saturating_sub(of_other_shares);
        let fewest = in_cohort.saturating_sub(of_other_shares).min(of);
        let most = in_cohort.min(of);
        let too_few = is_improbable(most, of, self.min_percent, Side::Below);
        let too_many = is_improbable(fewest, of, self.max_percent, Side::Above);
        let is_bound = |percent: f64| percent <= 0.0 || percent >= 100.0;
        match self.key {
            _ if !too_few && !too_many => Fit::Fits,
            _ if too_few && is_bound(self.min_percent) => Fit::Not,
            _ if too_many && is_bound(self.max_percent) => Fit::Not,
            Some(RolloutKey::Tick) => Fit::Not,
            Some(RolloutKey::Token) => Fit::Fits,
            None => Fit::ByTokenOnly,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Below,
    Above,
}

/// Whether a count on one side of what a share makes of it is too improbable to be chance, by Chernoff's bound of the
/// binomial distribution: `exp(-n · D(count/n ‖ share))`, D being the relative entropy.
#[expect(
    clippy::cast_precision_loss,
    reason = "a probability of counts far below 2^52"
)]
fn is_improbable(count: u64, of: u64, percent: f64, side: Side) -> bool {
    if of == 0 {
        return false;
    }
    let (n, share) = (of as f64, percent / 100.0);
    let seen = count as f64 / n;
    let is_on_side = match side {
        Side::Below => seen < share,
        Side::Above => seen > share,
    };
    is_on_side && n * (entropy(seen, share) + entropy(1.0 - seen, 1.0 - share)) > IMPROBABILITY_MAX
}

/// One term of the relative entropy: infinite for what happened although it was impossible.
fn entropy(seen: f64, expected: f64) -> f64 {
    if seen <= 0.0 {
        0.0
    } else if expected <= 0.0 {
        f64::INFINITY
    } else {
        seen * (seen / expected).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(from_ms: i64, percent: f64, key: Option<RolloutKey>) -> PastShare {
        PastShare {
            from_ms,
            percent,
            key,
        }
    }

    fn by_tick(percent: f64) -> SharesInForce {
        let present = share(0, percent, Some(RolloutKey::Tick));
        SharesInForce::since(1_000_000, present, [], None)
    }

    #[test]
    fn a_count_fits_its_share_within_the_bounds_of_chance() {
        for (percent, in_cohort, ticks, fits) in [
            (100.0, 1_000, 1_000, true),
            (100.0, 999, 1_000, false),
            (100.0, 0, 1, false),
            (0.0, 0, 1_000, true),
            (0.0, 1, 1_000, false),
            (10.0, 100, 1_000, true),
            (10.0, 60, 1_000, true),
            (10.0, 30, 1_000, false),
            (10.0, 145, 1_000, true),
            (10.0, 250, 1_000, false),
            (10.0, 1_000, 1_000, false),
            (10.0, 0, 100, true),
            (10.0, 0, 200, false),
            (1.0, 0, 1_000, true),
            (1.0, 0, 2_000, false),
            (0.01, 0, 100_000, true),
            (0.01, 0, 300_000, false),
            (50.0, 0, 0, true),
        ] {
            let seen = by_tick(percent).fit(in_cohort, ticks, 0);
            assert_eq!(
                seen == Fit::Fits,
                fits,
                "{in_cohort} of {ticks} at {percent} %"
            );
        }
    }

    #[test]
    fn ticks_of_earlier_deliveries_may_be_of_another_share() {
        assert_eq!(by_tick(100.0).fit(900, 1_000, 100), Fit::Fits);
        assert_eq!(by_tick(100.0).fit(899, 1_000, 100), Fit::Not);
        assert_eq!(by_tick(0.0).fit(100, 1_000, 100), Fit::Fits);
        assert_eq!(by_tick(0.0).fit(101, 1_000, 100), Fit::Not);
        assert_eq!(by_tick(10.0).fit(0, 1_000, 2_000), Fit::Fits);
    }

    #[test]
    fn the_tokens_of_a_cohort_may_send_any_part_of_the_ticks() {
        for (key, expected) in [
            (Some(RolloutKey::Token), Fit::Fits),
            (None, Fit::ByTokenOnly),
        ] {
            let shares =
                |percent| SharesInForce::since(1_000_000, share(0, percent, key), [], None);
            assert_eq!(shares(10.0).fit(0, 1_000_000, 0), expected);
            assert_eq!(shares(10.0).fit(1_000_000, 1_000_000, 0), expected);
            assert_eq!(
                shares(100.0).fit(999, 1_000, 0),
                Fit::Not,
                "all tokens are in it"
            );
            assert_eq!(shares(0.0).fit(1, 1_000, 0), Fit::Not, "no token is in it");
        }
    }

    #[test]
    fn a_share_that_was_changed_in_the_period_is_as_good_as_the_present_one() {
        const TICK: Option<RolloutKey> = Some(RolloutKey::Tick);
        let from_ms = 1_000_000;
        let present = share(1_200_000, 100.0, TICK);
        let changed = |history: &[PastShare], before| {
            SharesInForce::since(from_ms, present, history.iter().copied(), before)
        };
        let old = share(0, 10.0, TICK);
        assert_eq!(changed(&[old], None).fit(100, 1_000, 0), Fit::Fits);
        assert_eq!(changed(&[old], None).fit(0, 1_000, 0), Fit::Not);
        // Of a history that does not reach back far enough, nothing is known before it.
        let recent = share(1_100_000, 10.0, TICK);
        assert_eq!(changed(&[recent], None).fit(0, 1_000, 0), Fit::Fits);
        assert_eq!(
            changed(&[recent], Some(share(i64::MIN, 50.0, TICK))).fit(0, 1_000, 0),
            Fit::Not
        );
        // A process may use the share before for some seconds.
        let just_before = share(from_ms - 5_000, 100.0, TICK);
        assert_eq!(
            SharesInForce::since(from_ms, just_before, [old], None).fit(100, 1_000, 0),
            Fit::Fits
        );
        let long_before = share(from_ms - 90_000, 100.0, TICK);
        assert_eq!(
            SharesInForce::since(from_ms, long_before, [old], None).fit(100, 1_000, 0),
            Fit::Not
        );
        // With another key before, chance says nothing.
        let by_token = share(0, 50.0, Some(RolloutKey::Token));
        assert_eq!(changed(&[by_token], None).fit(0, 1_000_000, 0), Fit::Fits);
    }
}
