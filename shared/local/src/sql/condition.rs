//! What a condition of a statement says about year, month and day: true, false, or not known for a
//! given day.

use chrono::{Datelike as _, NaiveDate};
use codec::column::PARTITIONS;

/// A column of a statement, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    /// The number of the table, view or subquery in its FROM; `None` where it stands without a name
    /// before it.
    pub(super) relation: Option<usize>,
    pub(super) name: String,
}

/// A whole number that a condition compares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Number {
    Column(Column),
    Literal(i64),
    Sum(Box<Number>, Box<Number>),
    Difference(Box<Number>, Box<Number>),
    Product(Box<Number>, Box<Number>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A condition, as far as it is understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    Compare(Number, Comparison, Number),
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    /// Depends on these columns and on nothing else, in a way that only the engine works out:
    /// `year = year(current_date)`.
    Opaque(Vec<Column>),
    /// Depends on something that a day does not tell.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Truth {
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

impl Column {
    fn is_partition(&self) -> bool {
        PARTITIONS.contains(&self.name.as_str())
    }

    fn on(&self, day: NaiveDate) -> Option<i64> {
        let place = PARTITIONS.iter().position(|name| *name == self.name)?;
        match place {
            0 => Some(i64::from(day.year())),
            1 => Some(i64::from(day.month())),
            _ => Some(i64::from(day.day())),
        }
    }
}

impl Number {
    fn on(&self, day: NaiveDate) -> Option<i64> {
        match self {
            Self::Column(column) => column.on(day),
            Self::Literal(number) => Some(*number),
            Self::Sum(a, b) => a.on(day)?.checked_add(b.on(day)?),
            Self::Difference(a, b) => a.on(day)?.checked_sub(b.on(day)?),
            Self::Product(a, b) => a.on(day)?.checked_mul(b.on(day)?),
        }
    }

    fn columns<'a>(&'a self, into: &mut Vec<&'a Column>) {
        match self {
            Self::Column(column) => into.push(column),
            Self::Literal(_) => {}
            Self::Sum(a, b) | Self::Difference(a, b) | Self::Product(a, b) => {
                a.columns(into);
                b.columns(into);
            }
        }
    }

    fn renamed(&self, rename: &impl Fn(&Column) -> Option<Column>) -> Option<Self> {
        let both =
            |a: &Self, b: &Self| Some((Box::new(a.renamed(rename)?), Box::new(b.renamed(rename)?)));
        Some(match self {
            Self::Column(column) => Self::Column(rename(column)?),
            Self::Literal(number) => Self::Literal(*number),
            Self::Sum(a, b) => both(a, b).map(|(a, b)| Self::Sum(a, b))?,
            Self::Difference(a, b) => both(a, b).map(|(a, b)| Self::Difference(a, b))?,
            Self::Product(a, b) => both(a, b).map(|(a, b)| Self::Product(a, b))?,
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

    /// The comparison with its sides changed.
    pub(super) fn mirrored(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            Self::Equal | Self::NotEqual => self,
        }
    }
}

impl Condition {
    /// Whether it holds on a day. `opaque` is the answer of what only the engine works out.
    pub(super) fn on(&self, day: NaiveDate, opaque: Truth) -> Truth {
        match self {
            Self::Compare(a, comparison, b) => {
                let sides = a.on(day).zip(b.on(day));
                Truth::of(sides.map(|(a, b)| comparison.holds(a, b)))
            }
            Self::All(parts) => decided(parts, day, opaque, Truth::False, Truth::True),
            Self::Any(parts) => decided(parts, day, opaque, Truth::True, Truth::False),
            Self::Not(part) => match part.on(day, opaque) {
                Truth::True => Truth::False,
                Truth::False => Truth::True,
                Truth::Unknown => Truth::Unknown,
            },
            Self::Opaque(columns) if columns.iter().all(Column::is_partition) => opaque,
            Self::Opaque(_) | Self::Unknown => Truth::Unknown,
        }
    }

    /// The condition with other names for its columns. What depends on a column that has none is
    /// unknown.
    pub(super) fn renamed(&self, rename: &impl Fn(&Column) -> Option<Column>) -> Self {
        let all = |parts: &[Self]| parts.iter().map(|part| part.renamed(rename)).collect();
        match self {
            Self::Compare(a, comparison, b) => match (a.renamed(rename), b.renamed(rename)) {
                (Some(a), Some(b)) => Self::Compare(a, *comparison, b),
                _ => Self::Unknown,
            },
            Self::All(parts) => Self::All(all(parts)),
            Self::Any(parts) => Self::Any(all(parts)),
            Self::Not(part) => Self::Not(Box::new(part.renamed(rename))),
            Self::Opaque(columns) => {
                let columns: Option<Vec<Column>> = columns.iter().map(rename).collect();
                columns.map_or(Self::Unknown, Self::Opaque)
            }
            Self::Unknown => Self::Unknown,
        }
    }

    /// Whether nothing of it is known.
    pub(super) fn is_unknown(&self) -> bool {
        match self {
            Self::Unknown => true,
            Self::Any(parts) => parts.iter().any(Self::is_unknown),
            Self::All(parts) => parts.iter().all(Self::is_unknown),
            Self::Not(part) => part.is_unknown(),
            Self::Compare(..) | Self::Opaque(_) => false,
        }
    }

    /// The columns of a number comparison.
    pub(super) fn columns(&self) -> Vec<&Column> {
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
            Self::Opaque(opaque) => columns.extend(opaque),
            Self::Unknown => {}
        }
        columns
    }
}

/// `decisive` as soon as a part says so, `otherwise` where all parts say the opposite.
fn decided(
    parts: &[Condition],
    day: NaiveDate,
    opaque: Truth,
    decisive: Truth,
    otherwise: Truth,
) -> Truth {
    let mut all = otherwise;
    for part in parts {
        match part.on(day, opaque) {
            truth if truth == decisive => return decisive,
            Truth::Unknown => all = Truth::Unknown,
            Truth::True | Truth::False => {}
        }
    }
    all
}
