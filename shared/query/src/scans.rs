//! Where a statement reads the archive, and which days its conditions leave there. Read off the
//! statement alone, before any engine sees it.

mod pushdown;

use std::ops::ControlFlow;

use chrono::NaiveDate;
use datafusion::sql::sqlparser::ast::{
    Ident, ObjectName, Query, Select, SetExpr, TableAlias, Visit, Visitor,
};

use super::condition::{Comparison, Condition, Number, Truth};
use super::error::{Place, SqlError};
use super::relations::{Joined, Kind, Scope};
use pushdown::{by_alias, by_position, pushed};

/// The table of ticks, the views over it, and the table of the quarantine: all lie in folders of days.
const TABLES: [&str; 4] = ["price_archive", "price_history", "ticks", QUARANTINE];

/// The table with a folder of its own.
const QUARANTINE: &str = "quarantine";

/// Names of the time in milliseconds that the folders go by: of the event, or of receipt.
const TIMES_MS: [&str; 3] = ["ts", "timestamp", "received_at"];

/// The first year of which the archive may have days, as the table on Athena has it.
const FIRST_YEAR: i32 = 2000;

/// Queries inside one statement that are looked at: a chain of WITH that names each part twice
/// doubles with every part.
const QUERIES_MAX: usize = 10_000;

/// One place of a statement that reads the archive.
#[derive(Debug, Clone)]
pub struct ArchiveScan {
    /// The table or view, as it is named there.
    pub table: String,
    /// The database, where it is named there, in lower case.
    pub database: Option<String>,
    /// Where it stands in the statement.
    pub place: Option<Place>,
    conditions: Vec<Condition>,
}

impl ArchiveScan {
    /// Whether it reads the quarantine, whose files lie beside those of the ticks.
    #[must_use]
    pub fn is_of_quarantine(&self) -> bool {
        self.table.eq_ignore_ascii_case(QUARANTINE)
    }

    /// Whether the conditions may leave a day. What only the engine works out counts as true.
    #[must_use]
    pub fn keeps(&self, day: NaiveDate) -> bool {
        self.on(day, None)
    }

    /// The same on a given date: `year(current_date)` is that of `today`.
    #[must_use]
    pub fn keeps_as_of(&self, day: NaiveDate, today: NaiveDate) -> bool {
        self.on(day, Some(today))
    }

    /// Whether conditions on year, month and day leave out at least half of the days from 2000 to
    /// `today`. What is not understood leaves out none: `day <= 30` and `abs(year) > 0` are as good as
    /// no condition.
    #[must_use]
    pub fn is_narrowed(&self, today: NaiveDate) -> bool {
        let first = NaiveDate::from_ymd_opt(FIRST_YEAR, 1, 1).unwrap_or(today);
        let last = today.max(first);
        let days = || first.iter_days().take_while(|day| *day <= last);
        let left = days().filter(|day| self.on(*day, Some(today))).count();
        left * 2 <= days().count()
    }

    /// The range of the event time that the conditions ask for, in milliseconds since the epoch:
    /// the first moment, and the one after the last.
    #[must_use]
    pub fn time_range_ms(&self) -> (Option<i64>, Option<i64>) {
        let (mut from, mut to) = (None, None);
        let mut bound = |condition: &Condition| {
            let Condition::Compare(a, comparison, b) = condition else {
                return;
            };
            let (column, comparison, limit) = match (a, b) {
                (Number::Column(column), Number::Literal(limit)) => (column, *comparison, *limit),
                (Number::Literal(limit), Number::Column(column)) => {
                    (column, comparison.mirrored(), *limit)
                }
                _ => return,
            };
            if !TIMES_MS.contains(&column.name.as_str()) {
                return;
            }
            let next = limit.saturating_add(1);
            let (low, high) = match comparison {
                Comparison::Equal => (Some(limit), Some(next)),
                Comparison::Less => (None, Some(limit)),
                Comparison::LessOrEqual => (None, Some(next)),
                Comparison::Greater => (Some(next), None),
                Comparison::GreaterOrEqual => (Some(limit), None),
                Comparison::NotEqual => (None, None),
            };
            from = from.max(low);
            to = match (to, high) {
                (Some(a), Some(b)) => Some(i64::min(a, b)),
                (a, b) => a.or(b),
            };
        };
        for condition in &self.conditions {
            if let Condition::All(parts) = condition {
                parts.iter().for_each(&mut bound);
            } else {
                bound(condition);
            }
        }
        (from, to)
    }

    fn on(&self, day: NaiveDate, today: Option<NaiveDate>) -> bool {
        let mut conditions = self.conditions.iter();
        conditions.all(|condition| condition.on(day, today) != Truth::False)
    }
}

/// The places of a query that read the archive, each reference to a part of WITH counted, and the
/// names of what else it reads.
pub(super) fn of(query: &Query) -> Result<(Vec<ArchiveScan>, Vec<String>), SqlError> {
    let mut walk = Walk::default();
    walk.query(query, &[], Vec::new());
    if walk.queries > QUERIES_MAX {
        return Err(SqlError::Invalid {
            message: format!("the statement has more than {QUERIES_MAX} queries inside it"),
            place: None,
        });
    }
    Ok((walk.scans, walk.others))
}

/// A part of WITH.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) alias: &'a TableAlias,
    pub(super) query: &'a Query,
    /// How many of the parts before it are known to it.
    pub(super) knows: usize,
}

#[derive(Default)]
struct Walk {
    scans: Vec<ArchiveScan>,
    /// What is read and is none of [`TABLES`], as it is named.
    others: Vec<String>,
    /// Parts of WITH RECURSIVE, in lower case: they may read themselves.
    recursive: Vec<String>,
    queries: usize,
}

impl Walk {
    /// `outer` are the conditions on the query's own columns that stand around it.
    fn query(&mut self, query: &Query, parts: &[Part<'_>], outer: Vec<Condition>) {
        self.queries += 1;
        if self.queries > QUERIES_MAX {
            return;
        }
        let mut known = parts.to_vec();
        if let Some(with) = &query.with {
            for cte in &with.cte_tables {
                if with.recursive {
                    self.recursive.push(cte.alias.name.value.to_lowercase());
                }
                known.push(Part {
                    alias: &cte.alias,
                    query: &cte.query,
                    knows: known.len(),
                });
            }
        }
        // A condition around a LIMIT does not narrow what is counted off below it.
        let cut = query.limit_clause.is_some()
            || query.fetch.is_some()
            || !query.pipe_operators.is_empty();
        let outer = if cut { Vec::new() } else { outer };
        self.set(&query.body, &known, outer);
        if let Some(order_by) = &query.order_by {
            self.subqueries(order_by, &known);
        }
    }

    fn set(&mut self, body: &SetExpr, parts: &[Part<'_>], outer: Vec<Condition>) {
        match body {
            SetExpr::Select(select) => self.select(select, parts, &outer),
            SetExpr::Query(query) => self.query(query, parts, outer),
            SetExpr::SetOperation { left, right, .. } => {
                let of_right = by_position(&outer, left, right);
                self.set(left, parts, outer);
                self.set(right, parts, of_right);
            }
            SetExpr::Table(table) => {
                if let Some(name) = &table.table_name {
                    self.table(&ObjectName::from(vec![Ident::new(name)]), parts, outer);
                }
            }
            SetExpr::Values(_)
            | SetExpr::Insert(_)
            | SetExpr::Update(_)
            | SetExpr::Delete(_)
            | SetExpr::Merge(_) => self.subqueries(body, parts),
        }
    }

    fn select(&mut self, select: &Select, parts: &[Part<'_>], outer: &[Condition]) {
        let mut scope = Scope::of(select);
        for condition in pushed(outer, select, &scope) {
            scope.conditions.push(Joined {
                condition,
                spared: 0..0,
            });
        }
        scope.spread_over_equal_columns();
        for (number, relation) in scope.relations.iter().enumerate() {
            let conditions = scope.conditions_of(number);
            match &relation.kind {
                Kind::Named { name, columns } => {
                    // Other names for the columns hide the ones that are known.
                    let hidden = !columns.is_empty();
                    let conditions = if hidden { Vec::new() } else { conditions };
                    self.table(name, parts, conditions);
                }
                Kind::Subquery { query, columns } => {
                    let conditions = by_alias(conditions, columns, &query.body);
                    self.query(query, parts, conditions);
                }
                Kind::Other(factor) => self.relations_inside(*factor, parts),
            }
        }
        let Select {
            projection,
            selection,
            group_by,
            sort_by,
            having,
            qualify,
            ..
        } = select;
        self.subqueries(projection, parts);
        self.subqueries(selection, parts);
        self.subqueries(group_by, parts);
        self.subqueries(sort_by, parts);
        self.subqueries(having, parts);
        self.subqueries(qualify, parts);
        for joined in &select.from {
            for join in &joined.joins {
                self.subqueries(&join.join_operator, parts);
            }
        }
    }

    fn table(&mut self, name: &ObjectName, parts: &[Part<'_>], conditions: Vec<Condition>) {
        let Some(table) = last_name(name) else {
            return;
        };
        let lower = table.value.to_lowercase();
        let mut named = parts.iter().rev().filter(|_| name.0.len() == 1);
        if let Some(part) = named.find(|part| part.alias.name.value.to_lowercase() == lower) {
            let columns: Vec<String> = column_names(part.alias);
            let conditions = by_alias(conditions, &columns, &part.query.body);
            let known = parts.get(..part.knows).unwrap_or_default();
            self.query(part.query, known, conditions);
        } else if TABLES.contains(&lower.as_str()) {
            let start = table.span.start;
            let database = name.0.iter().rev().nth(1).and_then(|part| part.as_ident());
            self.scans.push(ArchiveScan {
                table: table.value.clone(),
                database: database.map(|name| name.value.to_lowercase()),
                place: (start.line > 0).then_some(Place {
                    line: start.line,
                    column: start.column,
                }),
                conditions,
            });
        } else if name.0.len() > 1 || !self.recursive.contains(&lower) {
            self.others.push(name.to_string());
        }
    }

    /// The queries in expressions. What stands around them does not narrow them.
    fn subqueries(&mut self, tree: &impl Visit, parts: &[Part<'_>]) {
        for query in outermost_queries(tree) {
            self.query(&query, parts, Vec::new());
        }
    }

    /// The tables inside something that is not taken apart here: nothing narrows them.
    fn relations_inside(&mut self, tree: &impl Visit, parts: &[Part<'_>]) {
        let mut names = Vec::new();
        let visited = datafusion::sql::sqlparser::ast::visit_relations(tree, |name| {
            names.push(name.clone());
            ControlFlow::<()>::Continue(())
        });
        debug_assert!(visited.is_continue());
        for name in names {
            self.table(&name, parts, Vec::new());
        }
    }
}

pub(super) fn last_name(name: &ObjectName) -> Option<&Ident> {
    name.0.last().and_then(|part| part.as_ident())
}

pub(super) fn column_names(alias: &TableAlias) -> Vec<String> {
    let names = alias.columns.iter();
    names
        .map(|column| column.name.value.to_lowercase())
        .collect()
}

fn outermost_queries(tree: &impl Visit) -> Vec<Query> {
    #[derive(Default)]
    struct Found {
        depth: usize,
        queries: Vec<Query>,
    }
    impl Visitor for Found {
        type Break = ();
        fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
            if self.depth == 0 {
                self.queries.push(query.clone());
            }
            self.depth += 1;
            ControlFlow::Continue(())
        }
        fn post_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
            self.depth -= 1;
            ControlFlow::Continue(())
        }
    }
    let mut found = Found::default();
    let visited = tree.visit(&mut found);
    debug_assert!(visited.is_continue());
    found.queries
}

#[cfg(test)]
mod tests;
