//! Reads the query of a URL and collects every parameter that breaks a rule.

use std::{fmt::Display, ops::RangeInclusive, str::FromStr};

use samplit_domain::Violations;

use crate::problem::Problem;

/// The parameters not yet taken. In `errors[]` the pointer of a parameter is `?name`.
#[derive(Debug)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
    violations: Violations,
}

impl Query {
    pub(crate) fn parse(query: &str) -> Self {
        let pairs = form_urlencoded::parse(query.as_bytes()).into_owned();
        Self {
            pairs: pairs.collect(),
            violations: Violations::default(),
        }
    }

    /// The text of a parameter that may be absent; an empty one counts as absent.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        let position = self.pairs.iter().position(|(key, _)| key == name)?;
        let (_, value) = self.pairs.remove(position);
        (!value.is_empty()).then_some(value)
    }

    /// A parameter that is a word of a closed set.
    pub(crate) fn word<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<T> {
        let text = self.text(name)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.refuse(name, "unknown_value", error.to_string());
                None
            }
        }
    }

    /// A whole number in `range`, `default` when absent.
    pub(crate) fn number(&mut self, name: &str, range: RangeInclusive<u64>, default: u64) -> u64 {
        let Some(text) = self.text(name) else {
            return default;
        };
        match text.parse() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let (low, high) = (range.start(), range.end());
                let detail = format!("must be a whole number from {low} to {high}");
                self.refuse(name, "out_of_range", detail);
                default
            }
        }
    }

    /// All parameters are taken.
    ///
    /// # Errors
    /// 422 with every parameter that broke a rule, is unknown or repeated.
    pub(crate) fn finish(mut self) -> Result<(), Problem> {
        for (name, _) in std::mem::take(&mut self.pairs) {
            self.refuse(
                &name,
                "unknown_parameter",
                "is not a parameter of this route, or is repeated",
            );
        }
        self.violations.into_result(()).map_err(Problem::invalid)
    }

    fn refuse(&mut self, name: &str, code: &'static str, detail: impl Into<String>) {
        self.violations.add(format!("?{name}"), code, detail);
    }
}

#[cfg(test)]
mod tests {
    use samplit_domain::Status;

    use super::Query;

    #[test]
    fn every_bad_parameter_is_named_at_once() {
        let read = |text: &str| {
            let mut query = Query::parse(text);
            let status: Option<Status> = query.word("status");
            let limit = query.number("limit", 1..=100, 50);
            let name = query.text("q");
            let errors = query.finish().err().map(|problem| problem.errors);
            let errors: Vec<_> = errors.into_iter().flatten().collect();
            let errors = errors.iter().map(|v| format!("{} {}", v.pointer, v.code));
            (
                format!("{status:?} {limit} {name:?}"),
                errors.collect::<Vec<_>>(),
            )
        };
        assert_eq!(
            read("status=draft&limit=100&q=a%20b+c"),
            ("Some(Draft) 100 Some(\"a b c\")".to_owned(), vec![])
        );
        assert_eq!(read("q="), ("None 50 None".to_owned(), vec![]));
        assert_eq!(
            read("status=gone&limit=101&q=a&q=b&x=1").1,
            [
                "?status unknown_value",
                "?limit out_of_range",
                "?q unknown_parameter",
                "?x unknown_parameter"
            ]
        );
        assert_eq!(read("limit=-1").1, ["?limit out_of_range"]);
    }
}
