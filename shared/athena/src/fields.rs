//! A streaming parser of the service's CSV.
//!
//! The service quotes every value and writes NULL as nothing, so NULL and the empty text differ.
//! General CSV readers do not make this distinction.

/// Receives the fields.
pub(super) trait Fields {
    /// The error for a field that is refused.
    type Error;
    /// The next field of the row; `None` is NULL.
    fn field(&mut self, value: Option<&[u8]>) -> Result<(), Self::Error>;
    /// The row is complete.
    fn end_of_row(&mut self) -> Result<(), Self::Error>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// At the start of a row.
    Row,
    /// At the start of another field.
    Field,
    /// In an unquoted field.
    Plain,
    /// In a quoted field.
    Quoted,
    /// After a quote in a quoted field: it ends the field, or is the first half of an escaped quote.
    Quote,
}

/// Splits bytes into fields, in whatever chunks they arrive.
#[derive(Debug)]
pub(super) struct Cutter {
    at: At,
    /// The field so far.
    value: Vec<u8>,
}

impl Cutter {
    pub(super) fn new() -> Self {
        Self {
            at: At::Row,
            value: Vec::new(),
        }
    }

    /// Parses more bytes.
    pub(super) fn push<F: Fields>(&mut self, bytes: &[u8], to: &mut F) -> Result<(), F::Error> {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            match (self.at, byte) {
                (At::Quoted, _) => {
                    // Most of a result is quoted, so copy everything up to the next quote at once.
                    let text = bytes
                        .get(bytes.len() - after.len() - 1..)
                        .unwrap_or_default();
                    let end = text.iter().position(|byte| *byte == b'"');
                    let (value, after) = text.split_at(end.unwrap_or(text.len()));
                    self.value.extend_from_slice(value);
                    if let Some((_, after)) = after.split_first() {
                        self.at = At::Quote;
                        rest = after;
                    } else {
                        rest = &[];
                    }
                }
                (At::Quote, b'"') => {
                    self.value.push(b'"');
                    self.at = At::Quoted;
                }
                (At::Row | At::Field, b'"') => self.at = At::Quoted,
                (_, b',') => {
                    self.end_of_field(to)?;
                    self.at = At::Field;
                }
                (_, b'\n') => {
                    self.end_of_field(to)?;
                    self.at = At::Row;
                    to.end_of_row()?;
                }
                // The first half of a CRLF.
                (At::Quote | At::Row | At::Field, b'\r') => {}
                (At::Quote | At::Row | At::Field | At::Plain, _) => {
                    if self.at != At::Quote {
                        self.at = At::Plain;
                    }
                    self.value.push(byte);
                }
            }
        }
        Ok(())
    }

    /// Ends the input. Returns whether it was truncated in a quoted field.
    pub(super) fn finish<F: Fields>(&mut self, to: &mut F) -> Result<bool, F::Error> {
        if self.at == At::Quoted {
            return Ok(true);
        }
        if self.at != At::Row {
            self.end_of_field(to)?;
            self.at = At::Row;
            to.end_of_row()?;
        }
        Ok(false)
    }

    fn end_of_field<F: Fields>(&mut self, to: &mut F) -> Result<(), F::Error> {
        let value = match self.at {
            At::Row | At::Field => None,
            At::Plain => Some(self.value.strip_suffix(b"\r").unwrap_or(&self.value)),
            At::Quoted | At::Quote => Some(self.value.as_slice()),
        };
        let taken = to.field(value.filter(|value| !value.is_empty() || self.at == At::Quote));
        self.value.clear();
        taken
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Row = Vec<Option<String>>;

    #[derive(Debug, Default)]
    struct Rows {
        rows: Vec<Row>,
        row: Row,
    }

    impl Fields for Rows {
        type Error = std::convert::Infallible;

        fn field(&mut self, value: Option<&[u8]>) -> Result<(), Self::Error> {
            let value = value.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
            self.row.push(value);
            Ok(())
        }

        fn end_of_row(&mut self) -> Result<(), Self::Error> {
            self.rows.push(std::mem::take(&mut self.row));
            Ok(())
        }
    }

    fn cut(text: &str, piece: usize) -> (Vec<Row>, bool) {
        let (mut rows, mut cutter) = (Rows::default(), Cutter::new());
        for piece in text.as_bytes().chunks(piece) {
            cutter.push(piece, &mut rows).unwrap();
        }
        let was_cut = cutter.finish(&mut rows).unwrap();
        (rows.rows, was_cut)
    }

    /// Writes rows as the service does.
    fn written(rows: &[Row]) -> String {
        let field = |value: &Option<String>| match value {
            Some(text) => format!("\"{}\"", text.replace('"', "\"\"")),
            None => String::new(),
        };
        let row = |row: &Row| row.iter().map(field).collect::<Vec<_>>().join(",") + "\n";
        rows.iter().map(row).collect()
    }

    #[test]
    fn null_and_the_empty_text_differ() {
        let some = |text: &str| Some(text.to_owned());
        let check = |text: &str, expected: &[Row]| {
            assert_eq!(cut(text, 64), (expected.to_vec(), false), "{text:?}");
        };
        check("\"a\",\"\",\n", &[vec![some("a"), some(""), None]]);
        check(",\"b\"", &[vec![None, some("b")]]);
        // One column: NULL is an empty line.
        check(
            "\"c\"\n\n\"\"\n",
            &[vec![some("c")], vec![None], vec![some("")]],
        );
        check(
            "\"two\nlines\",\"say \"\"no\"\", he said\"\r\n1,x\r\n",
            &[
                vec![some("two\nlines"), some("say \"no\", he said")],
                vec![some("1"), some("x")],
            ],
        );
        check("", &[]);
    }

    #[test]
    fn a_truncated_value_is_detected() {
        assert!(cut("\"a\",\"b", 64).1);
        assert!(!cut("\"a\",\"b\"", 64).1);
    }

    proptest! {
        #[test]
        fn rows_are_the_same_for_all_chunk_sizes(
            rows in prop::collection::vec(
                prop::collection::vec(prop::option::of("[a\",\\n\\r é]{0,6}"), 3),
                0..6,
            ),
            piece in 1_usize..9,
        ) {
            let text = written(&rows);
            prop_assert_eq!(cut(&text, piece), (rows, false));
        }
    }
}
