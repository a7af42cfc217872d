//! What a predicate of a statement says about year, month and day: true, false or unknown for a given
//! day.

use chrono::{Datelike as _, NaiveDate};
use codec::tick_columns::PARTITIONS;

/// A column of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    /// The number of the table, view or subquery in its FROM; `None` if the name is not qualified.
    pub(crate) relation: Option<usize>,
    /// In lower case.
    pub(crate) name: String,
}

/// An integer expression that a predicate compares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Integer {
    Column(Column),
    Literal(i64),
    /// The year, month or day of the day on which the statement runs.
    Today(DatePart),
    Of(Box<Integer>, Operation, Box<Integer>),
}

/// A part of a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DatePart {
    Year,
    Month,
    Day,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Plus,
    Minus,
    Times,
    Over,
    Modulo,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A predicate, as far as it is understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Predicate {
    Compare(Integer, Comparison, Integer),
    All(Vec<Predicate>),
    Any(Vec<Predicate>),
    Not(Box<Predicate>),
    /// The column equals one value, which only the engine computes:
    /// `day = day(date_add('day', -1, current_date))`.
    Pinned(Column),
    /// Depends on more than the day, or is not understood: it may be true on every day.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Truth {
    True,
    False,
    Unknown,
}

impl Truth {
    fn of(known: Option<bool>) -> Self {
        match known {
            Some(true) => Self::True,
            Some(false) => Self::False,
            None => Self::Unknown,
        }
    }
}

impl DatePart {
    fn of(self, day: NaiveDate) -> i64 {
        match self {
            Self::Year => i64::from(day.year()),
            Self::Month => i64::from(day.month()),
            Self::Day => i64::from(day.day()),
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        let parts = [Self::Year, Self::Month, Self::Day];
        let mut named = PARTITIONS.into_iter().zip(parts);
        named
            .find(|(known, _)| *known == name)
            .map(|(_, part)| part)
    }
}

impl Column {
    fn part(&self) -> Option<DatePart> {
        DatePart::named(&self.name)
    }
}

impl Operation {
    /// As in both engines, a quotient of integers is truncated.
    fn apply(self, a: i64, b: i64) -> Option<i64> {
        match self {
            Self::Plus => a.checked_add(b),
            Self::Minus => a.checked_sub(b),
            Self::Times => a.checked_mul(b),
            Self::Over => a.checked_div(b),
            Self::Modulo => a.checked_rem(b),
        }
    }
}

impl Integer {
    fn on(&self, day: NaiveDate, today: Option<NaiveDate>) -> Option<i64> {
        match self {
            Self::Column(column) => Some(column.part()?.of(day)),
            Self::Literal(number) => Some(*number),
            Self::Today(part) => Some(part.of(today?)),
            Self::Of(a, operation, b) => operation.apply(a.on(day, today)?, b.on(day, today)?),
        }
    }

    fn columns<'a>(&'a self, into: &mut Vec<&'a Column>) {
        match self {
            Self::Column(column) => into.push(column),
            Self::Literal(_) | Self::Today(_) => {}
            Self::Of(a, _, b) => {
                a.columns(into);
                b.columns(into);
            }
        }
    }

    fn renamed(&self, rename: &impl Fn(&Column) -> Option<Column>) -> Option<Self> {
        Some(match self {
            Self::Column(column) => Self::Column(rename(column)?),
            Self::Literal(_) | Self::Today(_) => self.clone(),
            Self::Of(a, operation, b) => Self::Of(
                Box::new(a.renamed(rename)?),
                *operation,
                Box::new(b.renamed(rename)?),
            ),
        })
    }
}

impl Comparison {
    fn holds(self, a: i64, b: i64) -> bool {
        match self {
            Self::Equal => a == b,
            Self::NotEqual => a != b,
            Self::Less => a < b,
            Self::LessOrEqual => a <= b,
            Self::Greater => a > b,
            Self::GreaterOrEqual => a >= b,
        }
    }

    /// The comparison with its sides swapped.
    pub(crate) fn mirrored(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            Self::Equal | Self::NotEqual => self,
        }
    }
}

impl Predicate {
    /// Whether it holds on a day. With `today`, it measures how much the predicate narrows: today's
    /// date is known, and a column that equals one unknown value counts as different on the day.
    pub(crate) fn on(&self, day: NaiveDate, today: Option<NaiveDate>) -> Truth {
        match self {
            Self::Compare(a, comparison, b) => {
                let sides = a.on(day, today).zip(b.on(day, today));
                Truth::of(sides.map(|(a, b)| comparison.holds(a, b)))
            }
            Self::All(parts) => decided(parts, day, today, Truth::False, Truth::True),
            Self::Any(parts) => decided(parts, day, today, Truth::True, Truth::False),
            Self::Not(part) => match part.on(day, today) {
                Truth::True => Truth::False,
                Truth::False => Truth::True,
                Truth::Unknown => Truth::Unknown,
            },
            Self::Pinned(column) if today.is_some() && column.part().is_some() => Truth::False,
            Self::Pinned(_) | Self::Unknown => Truth::Unknown,
        }
    }

    /// The predicate with other names for its columns; unknown if a column has none.
    pub(crate) fn renamed(&self, rename: &impl Fn(&Column) -> Option<Column>) -> Self {
        let all = |parts: &[Self]| parts.iter().map(|part| part.renamed(rename)).collect();
        match self {
            Self::Compare(a, comparison, b) => match (a.renamed(rename), b.renamed(rename)) {
                (Some(a), Some(b)) => Self::Compare(a, *comparison, b),
                _ => Self::Unknown,
            },
            Self::All(parts) => Self::All(all(parts)),
            Self::Any(parts) => Self::Any(all(parts)),
            Self::Not(part) => Self::Not(Box::new(part.renamed(rename))),
            Self::Pinned(column) => rename(column).map_or(Self::Unknown, Self::Pinned),
            Self::Unknown => Self::Unknown,
        }
    }

    /// Whether it restricts nothing.
    pub(crate) fn is_unknown(&self) -> bool {
        match self {
            Self::Unknown => true,
            Self::Any(parts) => parts.iter().any(Self::is_unknown),
            Self::All(parts) => parts.iter().all(Self::is_unknown),
            Self::Not(part) => part.is_unknown(),
            Self::Compare(..) | Self::Pinned(_) => false,
        }
    }

    /// The columns that it refers to.
    pub(crate) fn columns(&self) -> Vec<&Column> {
        let mut columns = Vec::new();
        match self {
            Self::Compare(a, _, b) => {
                a.columns(&mut columns);
                b.columns(&mut columns);
            }
            Self::All(parts) | Self::Any(parts) => {
                columns.extend(parts.iter().flat_map(Self::columns));
            }
            Self::Not(part) => columns.extend(part.columns()),
            Self::Pinned(column) => columns.push(column),
            Self::Unknown => {}
        }
        columns
    }
}

/// `decisive` if any part is, `otherwise` if all parts are the opposite.
fn decided(
    parts: &[Predicate],
    day: NaiveDate,
    today: Option<NaiveDate>,
    decisive: Truth,
    otherwise: Truth,
) -> Truth {
    let mut all = otherwise;
    for part in parts {
        match part.on(day, today) {
            truth if truth == decisive => return decisive,
            Truth::Unknown => all = Truth::Unknown,
            Truth::True | Truth::False => {}
        }
    }
    all
}
