//! Splits work into requests that a service accepts, by count and by bytes.

/// The limits of one request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The most entries.
    pub(crate) entries_max: usize,
    /// The most bytes over all entries.
    pub(crate) bytes_max: usize,
}

/// How full a request is.
#[derive(Debug, Default)]
pub(crate) struct Filling {
    entries: usize,
    bytes: usize,
}

impl Filling {
    /// Adds an entry if it fits. The first one always fits: an entry that is too large for any
    /// request is refused earlier, or by the service.
    pub(crate) fn take(&mut self, entry_bytes: usize, limits: &Limits) -> bool {
        let bytes = self.bytes.saturating_add(entry_bytes);
        let full = self.entries >= limits.entries_max || bytes > limits.bytes_max;
        if full && self.entries > 0 {
            return false;
        }
        self.entries += 1;
        self.bytes = bytes;
        true
    }
}

/// Splits entries into requests, in order.
pub(crate) fn chunks<T>(
    entries: impl IntoIterator<Item = T>,
    bytes_of: impl Fn(&T) -> usize,
    limits: &Limits,
) -> Vec<Vec<T>> {
    let mut chunks: Vec<Vec<T>> = Vec::new();
    let mut filling = Filling::default();
    for entry in entries {
        let entry_bytes = bytes_of(&entry);
        match chunks.last_mut() {
            Some(chunk) if filling.take(entry_bytes, limits) => chunk.push(entry),
            _ => {
                filling = Filling::default();
                filling.take(entry_bytes, limits);
                chunks.push(vec![entry]);
            }
        }
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn chunks_keep_order_and_limits_and_are_no_smaller_than_needed(
            sizes in prop::collection::vec(0usize..=100, 0..200),
            entries_max in 1usize..20,
            bytes_max in 100usize..400,
        ) {
            let limits = Limits { entries_max, bytes_max };
            let cut = chunks(sizes.clone(), |size| *size, &limits);
            prop_assert_eq!(cut.concat(), sizes);
            for chunk in &cut {
                prop_assert!(!chunk.is_empty() && chunk.len() <= entries_max);
                prop_assert!(chunk.iter().sum::<usize>() <= bytes_max);
            }
            for pair in cut.windows(2) {
                let (full, next) = (&pair[0], pair[1][0]);
                prop_assert!(
                    full.len() == entries_max || full.iter().sum::<usize>() + next > bytes_max
                );
            }
        }
    }

    #[test]
    fn an_entry_that_is_too_large_gets_its_own_chunk() {
        let limits = Limits {
            entries_max: 10,
            bytes_max: 100,
        };
        assert_eq!(
            chunks([1, 500, 1], |size| *size, &limits),
            [vec![1], vec![500], vec![1]]
        );
    }
}
