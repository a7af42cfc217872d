//! The load for both engines: the writes of one group commit of the product. Everything is derived from
//! the tick's number, so a run can be repeated and continued.

/// The number of tokens, which get ticks in turn.
pub(crate) const TOKENS: u64 = 1_000;
/// Shards of the stream.
pub(crate) const SHARDS: u8 = 4;
/// The counters that every commit rewrites; the first one is the number of ticks written.
pub(crate) const COUNTERS: [&str; 4] = ["ticks", "stored", "streamed", "queued"];
/// Queue blocks for the broadcast that are kept before the oldest is deleted.
const QUEUE_DEPTH: u64 = 64;
/// The time of tick 0 in epoch ms; each round of all tokens is one millisecond later.
const START_MS: u64 = 1_760_000_000_000;
/// The size of an encoded tick without its random part.
const VALUE_TEXT: &[u8] = b"EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v|helius:raydium|1.0|";
/// The random part of an encoded tick: prices, volumes, times and slots.
const VALUE_RANDOM_BYTES: usize = 48;
/// The letters of a base58 address.
const BASE58: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// A key and its value.
pub(crate) type Entry = (Vec<u8>, Vec<u8>);

/// Everything that becomes durable with one sync.
pub(crate) struct Commit {
    /// One row a tick.
    pub(crate) ticks: Vec<Entry>,
    /// One block of ticks for each shard.
    pub(crate) stream: Vec<Entry>,
    /// The block for the broadcast.
    pub(crate) queued: Entry,
    /// The key of the block that the broadcast has sent, if there is one.
    pub(crate) sent: Option<Vec<u8>>,
    /// The value of every counter.
    pub(crate) counter: u64,
}

/// Generates commits, one after the other.
pub(crate) struct Load {
    tokens: Vec<Vec<u8>>,
    next_tick: u64,
    next_sequence: u64,
}

impl Load {
    /// Continues after `ticks_written` ticks.
    pub(crate) fn from(ticks_written: u64) -> Self {
        Self {
            tokens: (0..TOKENS).map(token).collect(),
            next_tick: ticks_written,
            // A commit holds at least one tick, so this number is not yet taken.
            next_sequence: ticks_written,
        }
    }

    /// The commit with the next `size` ticks.
    pub(crate) fn commit(&mut self, size: u64) -> Commit {
        let mut commit = Commit {
            ticks: Vec::new(),
            stream: (0..SHARDS)
                .map(|shard| (stream_key(shard, self.next_sequence), Vec::new()))
                .collect(),
            queued: (self.next_sequence.to_be_bytes().to_vec(), Vec::new()),
            sent: self
                .next_sequence
                .checked_sub(QUEUE_DEPTH * size)
                .map(|sequence| sequence.to_be_bytes().to_vec()),
            counter: self.next_tick + size,
        };
        for number in self.next_tick..self.next_tick + size {
            let value = value(number);
            let shards = commit.stream.len();
            let shard = usize::try_from(number).unwrap_or(0) % shards;
            if let Some((_, block)) = commit.stream.get_mut(shard) {
                block.extend_from_slice(&value);
            }
            commit.queued.1.extend_from_slice(&value);
            commit.ticks.push((self.key(number), value));
        }
        self.next_tick += size;
        self.next_sequence += size;
        commit
    }

    /// The number of ticks generated so far.
    pub(crate) fn ticks_written(&self) -> u64 {
        self.next_tick
    }

    /// The first key of a token's ticks at or after a tick's number.
    pub(crate) fn seek(&self, token: u64, number: u64) -> Vec<u8> {
        let mut key = self.prefix(token);
        key.extend_from_slice(&(START_MS + number / TOKENS).to_be_bytes());
        key
    }

    /// The prefix of all keys of a token.
    pub(crate) fn prefix(&self, token: u64) -> Vec<u8> {
        let index = usize::try_from(token % TOKENS).unwrap_or(0);
        let mut key = self.tokens.get(index).cloned().unwrap_or_default();
        key.push(0);
        key
    }

    fn key(&self, number: u64) -> Vec<u8> {
        let mut key = self.seek(number % TOKENS, number);
        key.extend_from_slice(&mix(number).to_be_bytes());
        key.extend_from_slice(&mix(!number).to_be_bytes());
        key
    }
}

/// Blocks sort by sequence number, then by shard, since compaction does not rewrite ascending keys.
fn stream_key(shard: u8, sequence: u64) -> Vec<u8> {
    let mut key = sequence.to_be_bytes().to_vec();
    key.push(shard);
    key
}

fn value(number: u64) -> Vec<u8> {
    let random = (0..).flat_map(|word| mix(number ^ (word << 48)).to_be_bytes());
    VALUE_TEXT
        .iter()
        .copied()
        .chain(random.take(VALUE_RANDOM_BYTES))
        .collect()
}

/// An address of 44 letters, like those of mints.
fn token(index: u64) -> Vec<u8> {
    (0..44_u64)
        .filter_map(|place| {
            let letter = mix(index * 44 + place) % 58;
            BASE58.get(usize::try_from(letter).unwrap_or(0)).copied()
        })
        .collect()
}

/// SplitMix64's finaliser: spreads consecutive numbers over all 64 bits.
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}
