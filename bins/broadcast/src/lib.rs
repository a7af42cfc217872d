//! Lambda: queued ticks and results go to the connections of the WebSocket API.
//!
//! One function handles two shapes of event: batches of the broadcast queue, and events of
//! connections (`$connect`, `$disconnect`, and messages by `$default`).
//!
//! A client names its tokens on connect (`wss://…/live?tokens=SOL,BTC`; none means all), or by
//! messages: `{"action":"subscribe","tokens":["SOL"]}`, `{"action":"unsubscribe","tokens":["SOL"]}`,
//! and `{"action":"snapshot","tokens":["SOL"]}`. The API cannot send anything while a connection is
//! being established, so the latest values are not sent automatically: `subscribe` returns them, even
//! for tokens that were named on connect, and `snapshot` returns them without subscribing.
//! `unsubscribe` without tokens ends all subscriptions of the connection.
//!
//! While nobody watches, the first to connect gets the updates of a second later on.

pub mod config;
pub mod handler;
pub mod lambda;
mod queue;
mod tokens;
pub mod wire;
