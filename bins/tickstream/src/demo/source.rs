//! The demo's feeds as sources: in their providers' formats, with names that mark their prices as
//! generated.

use domain::SourceName;
use sources::{Entry, ParseContext, Source, Unreadable};

/// A provider's format under the demo's name.
pub(crate) struct DemoSource {
    format: &'static dyn Source,
    name: &'static str,
    label: SourceName,
}

impl DemoSource {
    /// The demo's source for deliveries in a provider's format.
    pub(crate) fn find(provider: &str) -> Option<Self> {
        let (format, name) = match provider {
            "ticks" => ("ticks", "demo:market"),
            "pool" => ("ticks", "demo:pool"),
            "binance" => ("binance", "demo:binance"),
            "coinbase" => ("coinbase", "demo:coinbase"),
            _ => return None,
        };
        Some(Self {
            format: sources::find(format)?,
            name,
            label: SourceName::new(name).ok()?,
        })
    }
}

impl Source for DemoSource {
    fn name(&self) -> &'static str {
        self.name
    }

    fn read(&self, body: &[u8], context: &ParseContext<'_>) -> Result<Vec<Entry>, Unreadable> {
        let mut entries = self.format.parse(body, context)?;
        for entry in &mut entries {
            if let Entry::Tick(tick) | Entry::ArrivalStamped(tick) = entry {
                tick.source = self.label.clone();
            }
        }
        Ok(entries)
    }
}
