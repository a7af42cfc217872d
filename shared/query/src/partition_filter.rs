//! Where a statement reads the archive, and which days its predicates leave there. Read off the
//! statement alone, before any engine sees it.

use std::ops::ControlFlow;

use chrono::NaiveDate;
use datafusion::sql::sqlparser::ast::{
    Ident, ObjectName, Query, Select, SetExpr, TableAlias, Visit, Visitor, visit_relations,
};

use crate::ast_names::{column_names, last_name};
use crate::error::SqlError;
use crate::from_clause::{JoinedPredicate, RelationKind, Scope};
use crate::position::Position;
use crate::predicate::{Comparison, Integer, Predicate, Truth};
use crate::pushdown::{by_alias, by_position, pushed};
use crate::table_names::{is_table, table_of};

/// Names of the time in milliseconds that decides the folder: of the event, or of receipt.
const TIMES_MS: [&str; 3] = ["ts", "timestamp", "received_at"];

/// Most queries inside one statement: a chain of WITH that names each part twice doubles with every
/// part.
const QUERIES_MAX: usize = 10_000;

/// One scan of the archive in a statement.
#[derive(Debug, Clone)]
pub struct ArchiveScan {
    /// The table or view, as it is named there.
    pub table: String,
    /// The database, if it is named there, in lower case.
    pub database: Option<String>,
    /// Where it is in the statement.
    pub position: Option<Position>,
    predicates: Vec<Predicate>,
}

impl ArchiveScan {
    /// The table whose files it reads: [`crate::PRICE_ARCHIVE`], [`crate::QUARANTINE`] or [`crate::ANOMALIES`], each of
    /// which has days of its own.
    #[must_use]
    pub fn files_of(&self) -> &'static str {
        table_of(&self.table)
    }

    /// Whether the predicates may leave a day. What only the engine can compute counts as true.
    #[must_use]
    pub fn keeps(&self, day: NaiveDate) -> bool {
        self.on(day, None)
    }

    /// How many of some days the predicates may leave if the query runs `today`, which is what
    /// `current_date` stands for.
    #[must_use]
    pub fn kept_count(&self, days: &[NaiveDate], today: NaiveDate) -> usize {
        let kept = |day: &&NaiveDate| self.on(**day, Some(today));
        days.iter().filter(kept).count()
    }

    /// The range of the event time that the predicates leave, in milliseconds since the epoch: the
    /// first moment, and the one after the last.
    #[must_use]
    pub fn time_range_ms(&self) -> (Option<i64>, Option<i64>) {
        let (mut from, mut to) = (None, None);
        let mut bound = |predicate: &Predicate| {
            let Predicate::Compare(a, comparison, b) = predicate else {
                return;
            };
            let (column, comparison, limit) = match (a, b) {
                (Integer::Column(column), Integer::Literal(limit)) => (column, *comparison, *limit),
                (Integer::Literal(limit), Integer::Column(column)) => {
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
        for predicate in &self.predicates {
            if let Predicate::All(parts) = predicate {
                parts.iter().for_each(&mut bound);
            } else {
                bound(predicate);
            }
        }
        (from, to)
    }

    fn on(&self, day: NaiveDate, today: Option<NaiveDate>) -> bool {
        let mut predicates = self.predicates.iter();
        predicates.all(|predicate| predicate.on(day, today) != Truth::False)
    }
}

/// The scans of the archive in a query, those of a part of WITH once for each reference to it, and the
/// names of what else the query reads.
pub(crate) fn scans_of(query: &Query) -> Result<(Vec<ArchiveScan>, Vec<String>), SqlError> {
    let mut walk = Walk::default();
    walk.query(query, &[], Vec::new());
    if walk.queries > QUERIES_MAX {
        return Err(SqlError::Invalid {
            message: format!("the statement has more than {QUERIES_MAX} queries inside it"),
            position: None,
        });
    }
    Ok((walk.scans, walk.others))
}

/// A part of WITH.
#[derive(Clone, Copy)]
struct Cte<'a> {
    alias: &'a TableAlias,
    query: &'a Query,
    /// How many of the earlier parts it can refer to.
    knows: usize,
    recursion: Recursion,
}

/// How a part of WITH RECURSIVE reads itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Recursion {
    /// It does not.
    None,
    /// A part that does, seen from outside. A predicate on its rows must not narrow what it reads:
    /// rows that the predicate filters out lead to others that it leaves.
    Outside,
    /// The same, seen from inside.
    Inside,
}

#[derive(Default)]
struct Walk {
    scans: Vec<ArchiveScan>,
    /// Everything else that is read, as it is named.
    others: Vec<String>,
    queries: usize,
}

impl Walk {
    /// `outer` are the predicates on the query's own columns that are around it.
    fn query(&mut self, query: &Query, parts: &[Cte<'_>], outer: Vec<Predicate>) {
        self.queries += 1;
        if self.queries > QUERIES_MAX {
            return;
        }
        let mut known = parts.to_vec();
        if let Some(with) = &query.with {
            for cte in &with.cte_tables {
                let reads_itself = with.recursive && reads(&cte.query, &cte.alias.name);
                known.push(Cte {
                    alias: &cte.alias,
                    query: &cte.query,
                    knows: known.len(),
                    recursion: match reads_itself {
                        true => Recursion::Outside,
                        false => Recursion::None,
                    },
                });
            }
        }
        // A predicate around a LIMIT does not narrow the rows that the LIMIT counts.
        let cut = query.limit_clause.is_some()
            || query.fetch.is_some()
            || !query.pipe_operators.is_empty();
        let outer = if cut { Vec::new() } else { outer };
        self.set(&query.body, &known, outer);
        if let Some(order_by) = &query.order_by {
            self.subqueries(order_by, &known);
        }
    }

    fn set(&mut self, body: &SetExpr, parts: &[Cte<'_>], outer: Vec<Predicate>) {
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

    fn select(&mut self, select: &Select, parts: &[Cte<'_>], outer: &[Predicate]) {
        let mut scope = Scope::of(select);
        for predicate in pushed(outer, select, &scope) {
            scope.predicates.push(JoinedPredicate {
                predicate,
                preserved_side: 0..0,
            });
        }
        scope.spread_over_equal_columns();
        for (number, relation) in scope.relations.iter().enumerate() {
            let predicates = scope.predicates_of(number);
            match &relation.kind {
                RelationKind::Named { name, columns } => {
                    // New names for the columns hide the known ones.
                    let hidden = !columns.is_empty();
                    let predicates = if hidden { Vec::new() } else { predicates };
                    self.table(name, parts, predicates);
                }
                RelationKind::Subquery { query, columns } => {
                    let predicates = by_alias(predicates, columns, &query.body);
                    self.query(query, parts, predicates);
                }
                RelationKind::Other(factor) => self.relations_inside(*factor, parts),
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

    fn table(&mut self, name: &ObjectName, parts: &[Cte<'_>], predicates: Vec<Predicate>) {
        let Some(table) = last_name(name) else {
            return;
        };
        let lower = table.value.to_lowercase();
        let mut named = parts.iter().rev().filter(|_| name.0.len() == 1);
        if let Some(part) = named.find(|part| part.alias.name.value.to_lowercase() == lower) {
            self.cte(part, parts, predicates);
        } else if is_table(&lower) {
            let database = name.0.iter().rev().nth(1).and_then(|part| part.as_ident());
            self.scans.push(ArchiveScan {
                table: table.value.clone(),
                database: database.map(|name| name.value.to_lowercase()),
                position: Position::new(table.span.start.line, table.span.start.column),
                predicates,
            });
        } else {
            self.others.push(name.to_string());
        }
    }

    fn cte(&mut self, part: &Cte<'_>, parts: &[Cte<'_>], predicates: Vec<Predicate>) {
        let mut known = parts.get(..part.knows).unwrap_or_default().to_vec();
        let predicates = match part.recursion {
            // Its scans are counted where it is read from outside.
            Recursion::Inside => return,
            Recursion::Outside => {
                known.push(Cte {
                    recursion: Recursion::Inside,
                    ..*part
                });
                Vec::new()
            }
            Recursion::None => by_alias(predicates, &column_names(part.alias), &part.query.body),
        };
        self.query(part.query, &known, predicates);
    }

    /// The queries in expressions. Predicates around them do not narrow them.
    fn subqueries(&mut self, tree: &impl Visit, parts: &[Cte<'_>]) {
        for query in outermost_queries(tree) {
            self.query(&query, parts, Vec::new());
        }
    }

    /// The tables inside something that is not analysed here: nothing narrows them.
    fn relations_inside(&mut self, tree: &impl Visit, parts: &[Cte<'_>]) {
        let mut names = Vec::new();
        let visited = visit_relations(tree, |name| {
            names.push(name.clone());
            ControlFlow::<()>::Continue(())
        });
        debug_assert!(visited.is_continue());
        for name in names {
            self.table(&name, parts, Vec::new());
        }
    }
}

/// Whether a query reads a table of that name.
fn reads(query: &Query, name: &Ident) -> bool {
    let is_it = |table: &ObjectName| match table.0.as_slice() {
        [only] => only
            .as_ident()
            .is_some_and(|table| table.value.eq_ignore_ascii_case(&name.value)),
        _ => false,
    };
    let visited = visit_relations(query, |table| match is_it(table) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    });
    visited.is_break()
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
