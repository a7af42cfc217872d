//! Lambda: queued ticks and results go to the connections of the WebSocket API.
//!
//! One function handles two shapes of event: batches of the broadcast queue, and what the
//! connections do (`$connect`, `$disconnect`, and messages by `$default`).
//!
//! A client names its tokens on connect (`wss://…/live?tokens=SOL,BTC`; none means all), or by
//! messages: `{"action":"subscribe","tokens":["SOL"]}`, `{"action":"unsubscribe","tokens":["SOL"]}`,
//! and `{"action":"snapshot","tokens":["SOL"]}`. The API cannot send anything while a connection is
//! being made, so that the latest values do not come by themselves: `subscribe` answers with them,
//! also for tokens that were named on connect, and `snapshot` alone changes nothing else.
//! `unsubscribe` without tokens ends all subscriptions of the connection.

pub mod config;
pub mod handler;
pub mod lambda;
mod queue;
mod tokens;
pub mod wire;
