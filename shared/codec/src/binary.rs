//! The compact binary record of the embedded store: one tick, or a block of ticks that share their
//! names.
//!
//! ```text
//! tick   = format 1 | fields | token | quote | source
//! block  = format 2 | n names | names | n sources | sources | n ticks | (fields | 3 positions)*
//! fields = flags and method | tick_id | timestamp | delay | price | volume? | slot?
//! ```
//! Numbers are LEB128, with zigzag encoding if they may be negative; `delay` is the ingestion time
//! minus the event time; an amount is its scale and its mantissa. A format never changes once
//! records in it exist: a new format gets the next number, and the old one stays readable.

mod amounts;
mod block;
mod bytes;
mod names;
mod record;

pub use block::{decode_block, encode_block};
pub use record::{decode, encode};
