//! Which group each row of a batch belongs to, by its text.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array as _, StringViewArray};
use datafusion::common::hash_utils::RandomState;

/// Pointers that are remembered within a batch: so many bits of a number.
const SEEN_BITS: u32 = 12;

/// A group's entry in the map and the list, and what its text is kept with.
const GROUP_BYTES: usize = 96;

/// The groups by text, numbered as they come.
#[derive(Default)]
pub(super) struct Groups {
    by_text: HashMap<Arc<str>, usize, RandomState>,
    of_null: Option<usize>,
    pub(super) texts: Vec<Option<Arc<str>>>,
    text_bytes: usize,
    /// The groups of a batch's rows.
    pub(super) rows: Vec<usize>,
    /// Pointers, each with its group and the batch that it was seen in.
    seen: Vec<Seen>,
    /// The number of the batch.
    batch: u64,
}

/// What a pointer points at is known within its batch alone: others have other texts there.
#[derive(Clone, Copy, Default)]
struct Seen {
    pointer: u128,
    batch: u64,
    group: usize,
}

impl Groups {
    /// Begins anew.
    pub(super) fn clear(&mut self) {
        self.by_text.clear();
        self.of_null = None;
        self.texts.clear();
        self.text_bytes = 0;
    }

    /// The groups' bytes, about.
    pub(super) fn bytes(&self) -> usize {
        self.texts.len() * GROUP_BYTES + self.text_bytes
    }

    /// Finds the group of each row.
    pub(super) fn of_rows(&mut self, texts: &StringViewArray) {
        let mut rows = std::mem::take(&mut self.rows);
        let mut seen = std::mem::take(&mut self.seen);
        seen.resize(1 << SEEN_BITS, Seen::default());
        self.batch += 1;
        let batch = self.batch;
        rows.clear();
        rows.extend(texts.views().iter().enumerate().map(|(row, &pointer)| {
            if texts.is_null(row) {
                return self.of_null();
            }
            match seen.get_mut(place(pointer)) {
                Some(seen) if seen.pointer == pointer && seen.batch == batch => seen.group,
                Some(seen) => {
                    let group = self.of_text(texts.value(row));
                    *seen = Seen {
                        pointer,
                        batch,
                        group,
                    };
                    group
                }
                None => self.of_text(texts.value(row)),
            }
        }));
        self.rows = rows;
        self.seen = seen;
    }

    fn of_text(&mut self, text: &str) -> usize {
        if let Some(group) = self.by_text.get(text) {
            return *group;
        }
        let group = self.texts.len();
        let text: Arc<str> = Arc::from(text);
        self.text_bytes += text.len();
        self.texts.push(Some(Arc::clone(&text)));
        self.by_text.insert(text, group);
        group
    }

    fn of_null(&mut self) -> usize {
        *self.of_null.get_or_insert_with(|| {
            self.texts.push(None);
            self.texts.len() - 1
        })
    }
}

/// Where a pointer is remembered.
#[expect(
    clippy::cast_possible_truncation,
    reason = "two halves of 64 bits, and so many bits as there are places"
)]
fn place(pointer: u128) -> usize {
    // Length and first bytes are in one half, buffer and place in the other; short texts are there whole.
    let [low, high] = [pointer, pointer >> 64].map(|half| half as u64);
    let mixed = (low ^ high.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> (64 - SEEN_BITS)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_texts_than_are_remembered_have_their_own_groups() {
        let count = 3 << SEEN_BITS;
        for long in ["", "longer than twelve bytes "] {
            let texts = (0..count).chain(0..count).map(|n| format!("{long}{n}"));
            let texts = StringViewArray::from_iter_values(texts);
            let mut groups = Groups::default();
            groups.of_rows(&texts);
            assert_eq!(groups.texts.len(), count);
            assert!(groups.rows.iter().copied().eq((0..count).chain(0..count)));
            // In the next batch the same bytes stand elsewhere, and other ones in their place.
            groups.of_rows(&texts.slice(count / 2, count));
            let second_half = (count / 2..count).chain(0..count / 2);
            assert!(groups.rows.iter().copied().eq(second_half));
        }
    }

    #[test]
    fn a_pointer_is_known_within_its_batch_alone() {
        let mut groups = Groups::default();
        for (text, group) in [
            ("helius:jupiter", 0),
            ("helius:raydium", 1),
            ("helius:jupiter", 0),
        ] {
            // One length, one beginning, one place in its buffer: the pointers are the same.
            groups.of_rows(&StringViewArray::from_iter_values([text]));
            assert_eq!(groups.rows, [group], "{text}");
        }
    }
}
