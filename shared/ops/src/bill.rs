//! What a month on AWS costs: the units that each part uses under a load, times their prices.
//!
//! The units of a tick, a batch and a message are in [`units`], and tests of the functions count them. How often Lambda
//! invokes them follows from the templates' batch sizes and windows. Free tiers are not subtracted.

mod analytics_items;
mod feed_items;
mod flow;
mod item;
pub mod load;
mod monitoring_items;
pub mod prices;
mod stream_items;
pub mod units;
mod webhook_items;

use serde::Serialize;

pub use analytics_items::{Blocks, blocks};
pub use flow::{DAYS_PER_MONTH, HOURS_PER_MONTH};
pub use item::{Item, Part};

use flow::Flow;
use load::{Load, LoadError};
use prices::PriceTable;

/// The bill of a month.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bill {
    /// The region of the prices.
    pub region: String,
    /// When they were read.
    pub prices_read: String,
    /// What it is for.
    pub load: Load,
    /// Its lines, by part.
    pub items: Vec<Item>,
    /// All lines together, in USD.
    pub total_usd: f64,
}

impl Bill {
    /// The bill for a load.
    ///
    /// # Errors
    /// [`LoadError`] for a load that is not possible.
    pub fn of(load: &Load, table: &PriceTable) -> Result<Self, LoadError> {
        load.check()?;
        let flow = Flow::of(load);
        let prices = &table.prices;
        let items: Vec<Item> = [
            webhook_items::items(load, &flow, prices),
            stream_items::items(load, &flow, prices),
            analytics_items::items(load, &flow, prices),
            feed_items::items(load, &flow, prices),
            monitoring_items::items(load, prices),
        ]
        .concat();
        Ok(Self {
            region: table.region.clone(),
            prices_read: table.read.clone(),
            load: load.clone(),
            total_usd: items.iter().map(|it| it.usd).sum(),
            items,
        })
    }

    /// The lines of a part.
    pub fn of_part(&self, part: Part) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(move |it| it.part == part)
    }

    /// What a part costs, in USD.
    #[must_use]
    pub fn part_usd(&self, part: Part) -> f64 {
        self.of_part(part).map(|it| it.usd).sum()
    }
}
