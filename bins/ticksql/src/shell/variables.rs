//! The values that a shell keeps for parameters: `\set`, `\unset`, and `-p` at its start.

use crate::cli_error::CliError;
use crate::named::{self, Query, split_key};

/// Values by their keys: a name, or `name:type`.
type Values = Vec<(String, String)>;

/// Keeps a value, and drops an earlier one of the same name, whatever its type.
pub(super) fn set(values: &mut Values, key: &str, text: String) -> Result<(), CliError> {
    let name = named::name_of(key)?;
    if !named::is_name(name) {
        return Err(CliError::Usage(format!(
            "`{name}` is not a parameter name: write \\set NAME VALUE, for `:NAME` in statements"
        )));
    }
    values.retain(|(kept, _)| !is_of(kept, name));
    values.push((key.to_owned(), text));
    Ok(())
}

/// Drops a value.
pub(super) fn unset(values: &mut Values, name: &str) -> Result<(), CliError> {
    let before = values.len();
    values.retain(|(kept, _)| !is_of(kept, name));
    if values.len() == before {
        return Err(CliError::Usage(format!(
            "`{name}` is not set; \\set lists what is"
        )));
    }
    Ok(())
}

/// The values for a query: those given with it, and the kept ones that it takes and that are not given.
pub(super) fn for_query(query: &Query, kept: &[(String, String)], given: Values) -> Values {
    let of_shell = kept.iter().filter(|(key, _)| {
        let (name, _) = split_key(key);
        query.takes(name) && !given.iter().any(|(key, _)| is_of(key, name))
    });
    let of_shell: Values = of_shell.cloned().collect();
    [given, of_shell].concat()
}

fn is_of(key: &str, name: &str) -> bool {
    split_key(key).0 == split_key(name).0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(key: &str, text: &str) -> (String, String) {
        (key.to_owned(), text.to_owned())
    }

    #[test]
    fn a_query_gets_what_it_takes_and_what_is_given_wins() {
        let kept = [pair("from", "now-1d"), pair("t:varchar", "BTC")];
        let check = |text: &str, given: &[(String, String)], expected: &[(String, String)]| {
            let query = Query::parse(text).unwrap();
            assert_eq!(for_query(&query, &kept, given.to_vec()), expected, "{text}");
        };
        check("SELECT 1", &[], &[]);
        check("SELECT :t", &[], &kept[1..]);
        check("SELECT 1 FROM x WHERE :days AND t = :t", &[], &kept);
        check("SELECT :t", &[pair("t", "5")], &[pair("t", "5")]);
        // A value that is given for this query is passed on, so that an unknown one is reported.
        check("SELECT 1", &[pair("x", "5")], &[pair("x", "5")]);
    }

    #[test]
    fn a_name_has_one_value() {
        let mut values = vec![pair("a", "1")];
        set(&mut values, "a:varchar", "2".to_owned()).unwrap();
        assert_eq!(values, [pair("a:varchar", "2")]);
        for wrong in ["", "1a", "a-b", "a:text"] {
            assert!(set(&mut values, wrong, String::new()).is_err(), "{wrong}");
        }
        assert!(unset(&mut values, "b").is_err());
        unset(&mut values, "a").unwrap();
        assert!(values.is_empty());
    }
}
