//! The function's configuration, from flags or the environment.

use clap::Parser;
use runtime::lambda::{Common, Settings};

/// Lambda: queued ticks and results go to the connections of the WebSocket API.
#[derive(Debug, Parser)]
#[command(name = "broadcast", version)]
pub struct Config {
    /// DynamoDB table of connections and their subscriptions.
    #[arg(long, env = "CONNECTIONS_TABLE")]
    pub connections_table: String,

    /// DynamoDB table of ticks, for the latest ones.
    #[arg(long, env = "TICKS_TABLE")]
    pub ticks_table: String,

    /// Address for messages to connections: `https://…/live`.
    #[arg(long, env = "LIVE_CALLBACK_URL")]
    pub live_callback_url: String,

    /// Seconds after which a connection without a $disconnect expires. The API closes every connection
    /// after two hours.
    #[arg(long, env = "CONNECTION_TTL_SECONDS", default_value_t = 7_200,
          value_parser = clap::value_parser!(u32).range(60..=86_400))]
    pub connection_ttl_seconds: u32,

    /// The settings of every function.
    #[command(flatten)]
    pub common: Common,
}

impl Settings for Config {
    fn common(&self) -> &Common {
        &self.common
    }
}
