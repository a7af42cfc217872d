//! Metrics, alarms and the dashboard.

use super::item::{Item, Part};
use super::load::{Load, StreamMode};
use super::prices::Prices;
use super::units::{
    ALARM_METRICS, ALARM_METRICS_PROVISIONED, COMPOSITE_ALARMS, DASHBOARDS, METRICS,
};

pub(super) fn items(load: &Load, prices: &Prices) -> Vec<Item> {
    let item = |name, quantity, price| Item::new(Part::Monitoring, name, quantity, price);
    let alarms = match load.stream {
        StreamMode::OnDemand => ALARM_METRICS,
        StreamMode::Provisioned => ALARM_METRICS_PROVISIONED,
    };
    // A metric without a value in an hour costs nothing in it.
    let metrics = if load.ticks_per_day > 0.0 {
        METRICS
    } else {
        0.0
    };
    vec![
        item("custom metrics", metrics, &prices.metrics),
        item("alarms", alarms, &prices.alarms),
        item(
            "composite alarms",
            COMPOSITE_ALARMS,
            &prices.composite_alarms,
        ),
        item("dashboard", DASHBOARDS, &prices.dashboards),
    ]
}
