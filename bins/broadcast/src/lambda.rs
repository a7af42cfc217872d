//! Connects the handler to its ports on AWS and to the Lambda runtime.

use std::sync::Arc;

use app::live::Fanout;
use app::ports::Clock;
use aws::dynamodb::{ConnectionTable, StoreTimeout, TickTable, TickTableConfig};
use aws::gateway::GatewayPush;
use aws::{client, clients};

use crate::config::Config;
use crate::handler::Broadcast;

/// Serves events until Lambda ends the process.
///
/// # Errors
/// If the Lambda runtime interface fails.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let sdk = client::config(client::BATCH).await;
    let clock: Arc<dyn Clock> = Arc::new(runtime::clock::now_ms);
    let tables = clients::dynamodb(&sdk);
    let latest = TickTable::new(
        tables.clone(),
        // Ticks are only read here, so only the table's name matters.
        TickTableConfig {
            table: config.ticks_table,
            retention_days: 1,
            timeout: StoreTimeout::default(),
            new_ids_from_ms: 0,
        },
        Arc::clone(&clock),
    );
    let subscribers = ConnectionTable::new(
        tables,
        config.connections_table,
        config.connection_ttl_seconds,
        clock,
    );
    let broadcast = Broadcast {
        fanout: Fanout::new(
            Arc::new(subscribers),
            Arc::new(GatewayPush::new(&sdk, &config.live_callback_url)),
            Arc::new(latest),
        ),
    };
    runtime::lambda::serve(async |event| broadcast.handle(event).await).await
}
