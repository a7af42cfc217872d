//! What a query may use.

/// The limits of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Rows of an answer. One row more is read, which shows that there are more. `usize::MAX` is no
    /// limit.
    pub rows_max: usize,
    /// Bytes that the operators of a query may hold (sorting, grouping, joining). Batches on their
    /// way between operators are not counted.
    pub memory_bytes_max: usize,
    /// Bytes of temporary files that operators may write when that memory does not suffice.
    pub spill_bytes_max: u64,
    /// Rows of a batch. The memory of batches between operators, which is not counted, grows with it.
    pub batch_rows: usize,
    /// Threads that work on a query.
    pub threads: usize,
}
