//! Metric math, as far as the templates use it: "Using math expressions with CloudWatch metrics"
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html>).

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::vec::IntoIter;

/// A value for each data point of the evaluation range, the oldest first.
pub(super) type Series = Vec<Option<f64>>;

/// A parsed expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expression {
    Number(f64),
    Name(String),
    Binary(String, Box<Expression>, Box<Expression>),
    Call(String, Vec<Expression>),
    Array(Vec<Expression>),
}

/// The operators, those that bind least first.
const OPERATORS: [&[&str]; 5] = [
    &["OR", "||"],
    &["AND", "&&"],
    &["==", "!=", "<=", ">=", "<", ">"],
    &["+", "-"],
    &["*", "/"],
];

impl Expression {
    #[track_caller]
    pub(super) fn parse(text: &str) -> Self {
        let mut tokens = tokens(text).into_iter().peekable();
        let parsed = binary(&mut tokens, 0);
        assert_eq!(tokens.next(), None, "{text}");
        parsed
    }
}

type Tokens = Peekable<IntoIter<String>>;

fn tokens(text: &str) -> Vec<String> {
    let (mut tokens, mut chars) = (Vec::new(), text.chars().peekable());
    while let Some(first) = chars.next() {
        let mut token = String::from(first);
        let is_word = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
        if is_word(&first) {
            while let Some(next) = chars.next_if(is_word) {
                token.push(next);
            }
        } else if matches!(first, '=' | '!' | '<' | '>' | '&' | '|') {
            token.extend(chars.next_if(|c| matches!(c, '=' | '&' | '|')));
        } else if first.is_whitespace() {
            continue;
        }
        tokens.push(token);
    }
    tokens
}

fn binary(tokens: &mut Tokens, level: usize) -> Expression {
    let Some(operators) = OPERATORS.get(level) else {
        return primary(tokens);
    };
    let mut left = binary(tokens, level + 1);
    while let Some(operator) = tokens.next_if(|token| operators.contains(&token.as_str())) {
        let right = binary(tokens, level + 1);
        left = Expression::Binary(operator, Box::new(left), Box::new(right));
    }
    left
}

fn primary(tokens: &mut Tokens) -> Expression {
    let token = tokens.next().unwrap();
    match token.as_str() {
        "(" => {
            let inner = binary(tokens, 0);
            assert_eq!(tokens.next().as_deref(), Some(")"));
            inner
        }
        "[" => Expression::Array(list(tokens, "]")),
        number if number.starts_with(|c: char| c.is_ascii_digit()) => {
            Expression::Number(number.parse().unwrap())
        }
        _ if tokens.next_if(|next| next == "(").is_some() => {
            Expression::Call(token, list(tokens, ")"))
        }
        _ => Expression::Name(token),
    }
}

fn list(tokens: &mut Tokens, end: &str) -> Vec<Expression> {
    let mut items = Vec::new();
    loop {
        items.push(binary(tokens, 0));
        match tokens.next().as_deref() {
            Some(",") => {}
            Some(token) if token == end => return items,
            other => panic!("{other:?} where {end} was expected"),
        }
    }
}

/// The series of an id.
pub(super) fn evaluate(
    id: &str,
    metrics: BTreeMap<String, Series>,
    expressions: &BTreeMap<String, Expression>,
    fills_an_empty_series: bool,
) -> Series {
    let context = Context {
        metrics,
        expressions,
        fills_an_empty_series,
    };
    match context.named(id) {
        Operand::Series(series) => series,
        other @ (Operand::Scalar(_) | Operand::Array(_)) => {
            panic!("{id} is {other:?}, and not one series")
        }
    }
}

struct Context<'a> {
    metrics: BTreeMap<String, Series>,
    expressions: &'a BTreeMap<String, Expression>,
    fills_an_empty_series: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Operand {
    Scalar(f64),
    Series(Series),
    Array(Vec<Series>),
}

impl Operand {
    /// The value at a data point.
    fn at(&self, index: usize) -> Option<f64> {
        match self {
            Self::Scalar(value) => Some(*value),
            Self::Series(series) => series[index],
            Self::Array(_) => panic!("an array has no single value"),
        }
    }

    fn is_scalar(&self) -> bool {
        matches!(self, Self::Scalar(_))
    }

    #[track_caller]
    fn series(self) -> Series {
        match self {
            Self::Series(series) => series,
            Self::Scalar(_) | Self::Array(_) => panic!("{self:?} is not a series"),
        }
    }
}

impl Context<'_> {
    #[track_caller]
    fn named(&self, id: &str) -> Operand {
        match (self.metrics.get(id), self.expressions.get(id)) {
            (Some(series), _) => Operand::Series(series.clone()),
            (None, Some(expression)) => self.of(expression),
            (None, None) => panic!("there is no {id}"),
        }
    }

    fn of(&self, expression: &Expression) -> Operand {
        match expression {
            Expression::Number(value) => Operand::Scalar(*value),
            Expression::Name(name) => self.named(name),
            Expression::Array(items) => {
                Operand::Array(items.iter().map(|item| self.of(item).series()).collect())
            }
            Expression::Binary(operator, left, right) => {
                binary_value(operator, &self.of(left), &self.of(right))
            }
            Expression::Call(function, arguments) => self.call(function, arguments),
        }
    }

    fn call(&self, function: &str, arguments: &[Expression]) -> Operand {
        let first = self.of(&arguments[0]);
        match (function, arguments) {
            ("FILL", [_, Expression::Name(repeat)]) if repeat == "REPEAT" => {
                let mut last = None;
                let filled = first.series().into_iter().map(|value| {
                    last = value.or(last);
                    last
                });
                Operand::Series(filled.collect())
            }
            ("FILL", [_, value]) => {
                let (series, value) = (first.series(), self.of(value));
                if !self.fills_an_empty_series && series.iter().all(Option::is_none) {
                    return Operand::Series(series);
                }
                let filled = series
                    .iter()
                    .enumerate()
                    .map(|(index, old)| old.or(value.at(index)));
                Operand::Series(filled.collect())
            }
            ("ABS", [_]) => Operand::Series(
                first
                    .series()
                    .into_iter()
                    .map(|it| it.map(f64::abs))
                    .collect(),
            ),
            ("MAX", [_]) => over_all(first, f64::max),
            ("IF", [_, when_true, when_false]) => {
                if_value(&first, &self.of(when_true), Some(&self.of(when_false)))
            }
            ("IF", [_, when_true]) => if_value(&first, &self.of(when_true), None),
            _ => panic!(
                "the tests do not support {function} with {} arguments",
                arguments.len()
            ),
        }
    }
}

/// "Missing values in a time series are treated as 0", if the other one has a value. A division by zero has no result.
fn binary_value(operator: &str, left: &Operand, right: &Operand) -> Operand {
    let compute = |left: f64, right: f64| -> Option<f64> {
        let truth = |is_true: bool| Some(f64::from(u8::from(is_true)));
        match operator {
            "+" => Some(left + right),
            "-" => Some(left - right),
            "*" => Some(left * right),
            "/" => (right != 0.0).then(|| left / right),
            "==" => truth(left == right),
            "!=" => truth(left != right),
            "<" => truth(left < right),
            "<=" => truth(left <= right),
            ">" => truth(left > right),
            ">=" => truth(left >= right),
            "AND" | "&&" => truth(left != 0.0 && right != 0.0),
            "OR" | "||" => truth(left != 0.0 || right != 0.0),
            other => panic!("the tests do not support {other}"),
        }
    };
    let points = match (left, right) {
        (Operand::Scalar(left), Operand::Scalar(right)) => {
            return Operand::Scalar(compute(*left, *right).unwrap());
        }
        (Operand::Series(series), _) | (_, Operand::Series(series)) => series.len(),
        _ => panic!("the tests do not support {operator} on arrays"),
    };
    let both_series = !left.is_scalar() && !right.is_scalar();
    let at = |index: usize| match (left.at(index), right.at(index)) {
        (None, None) => None,
        (left, right) if both_series => compute(left.unwrap_or(0.0), right.unwrap_or(0.0)),
        (left, right) => compute(left?, right?),
    };
    Operand::Series((0..points).map(at).collect())
}

/// A point is 0 if the condition holds and the value for it is missing, and is dropped if it does not hold and the value
/// for that is missing.
fn if_value(condition: &Operand, when_true: &Operand, when_false: Option<&Operand>) -> Operand {
    let Operand::Series(condition) = condition else {
        panic!("the tests do not support a scalar condition");
    };
    let points = condition.iter().enumerate().map(|(index, condition)| {
        if (*condition)? == 0.0 {
            when_false?.at(index)
        } else {
            Some(when_true.at(index).unwrap_or(0.0))
        }
    });
    Operand::Series(points.collect())
}

/// The result of an array at each data point. Of one series it would be a scalar over the whole evaluation range, which
/// CloudWatch advises against in alarms.
#[track_caller]
fn over_all(array: Operand, combine: impl Fn(f64, f64) -> f64) -> Operand {
    let Operand::Array(all) = array else {
        panic!("{array:?} is not an array of series");
    };
    let points = all.first().map_or(0, Vec::len);
    let at = |index: usize| {
        all.iter()
            .filter_map(|series| series[index])
            .reduce(&combine)
    };
    Operand::Series((0..points).map(at).collect())
}

/// Asserts the result of an expression of `a`, `b` and `c`; `-` is a missing value.
#[track_caller]
fn check(expression: &str, metrics: [&str; 3], expected: &str) {
    let series =
        |text: &str| -> Series { text.split(' ').map(|value| value.parse().ok()).collect() };
    let known = ["a", "b", "c"].into_iter().zip(metrics);
    let known = known.map(|(id, values)| (id.to_owned(), series(values)));
    let expressions = BTreeMap::from([("e".to_owned(), Expression::parse(expression))]);
    let result = evaluate("e", known.collect(), &expressions, true);
    assert_eq!(result, series(expected), "{expression}");
}

#[test]
fn expressions_have_the_published_results() {
    // The tables under "Comparison and logical operators" and "Using IF expressions".
    let compared = ["30 20 0 0", "20 - 20 -", "- - - -"];
    check("a < b", compared, "0 0 1 0");
    check("a >= 30", compared, "1 0 0 0");
    check("a > 15 AND b > 15", compared, "1 0 0 0");
    let chosen = ["1 1 0 0 -", "30 - 0 0 30", "0 0 20 - 20"];
    check("IF(a, b, c)", chosen, "30 0 20 - -");
    check("IF(a, 5, c)", chosen, "5 5 20 - -");
    check("IF(a, b, 5)", chosen, "30 0 5 5 -");
}

#[test]
fn missing_values_are_zero_only_beside_a_value() {
    let metrics = ["1 - 3 -", "- 2 1 -", "0 0 0 0"];
    check("a - b", metrics, "1 -2 2 -");
    check("100 * a / b", metrics, "- 0 300 -");
    check("a / c", metrics, "- - - -");
    check("MAX([a, b])", metrics, "1 2 3 -");
    check("ABS(a - b)", metrics, "1 2 2 -");
    check("FILL(a, 0) + 2 * 3", metrics, "7 6 9 6");
    check("FILL(b, REPEAT)", metrics, "- 2 1 1");
    check("(a + c) * 2", metrics, "2 0 6 0");
}

#[test]
fn it_is_open_whether_fill_fills_an_empty_series() {
    let metrics = BTreeMap::from([("a".to_owned(), vec![None, None])]);
    let expressions = BTreeMap::from([("e".to_owned(), Expression::parse("FILL(a, 0)"))]);
    assert_eq!(
        evaluate("e", metrics.clone(), &expressions, true),
        [Some(0.0); 2]
    );
    assert_eq!(evaluate("e", metrics, &expressions, false), [None; 2]);
}
