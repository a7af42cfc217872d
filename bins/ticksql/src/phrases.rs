//! Phrases that several messages use.

/// `1 row`, `3 rows`.
pub(crate) fn counted(number: usize, name: &str) -> String {
    format!("{number} {name}{}", if number == 1 { "" } else { "s" })
}

/// `: did you mean `a` or `b`?`, or nothing.
pub(crate) fn did_you_mean(names: &[String]) -> String {
    if names.is_empty() {
        String::new()
    } else {
        format!(": did you mean {}?", quoted(names, " or "))
    }
}

/// Names in backquotes, with a separator between them.
pub(crate) fn quoted(names: &[String], separator: &str) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_proposed_in_one_way() {
        assert_eq!(did_you_mean(&[]), "");
        let names = ["ticks".to_owned(), "token".to_owned()];
        assert_eq!(did_you_mean(&names), ": did you mean `ticks` or `token`?");
        assert_eq!(
            (counted(1, "row"), counted(0, "row")),
            ("1 row".to_owned(), "0 rows".to_owned())
        );
    }
}
