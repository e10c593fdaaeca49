//! Reads the query of a URL and collects every parameter that breaks a rule.

use std::{fmt::Display, ops::RangeInclusive, str::FromStr};

use samplit_domain::Violations;
use time::{
    Date, OffsetDateTime,
    format_description::well_known::{Iso8601, Rfc3339},
};

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

    /// A moment that may be absent, by RFC 3339, or a day, which begins in UTC.
    pub(crate) fn moment(&mut self, name: &str) -> Option<OffsetDateTime> {
        let text = self.text(name)?;
        let moment = parse_moment(&text);
        if moment.is_none() {
            let detail = "must be a moment by RFC 3339, such as 2026-05-04T12:00:00Z, or a day";
            self.refuse(name, "malformed", detail);
        }
        moment
    }

    /// Whether a parameter is there and not empty.
    pub(crate) fn is_given(&self, name: &str) -> bool {
        let mut pairs = self.pairs.iter();
        pairs.any(|(key, value)| key == name && !value.is_empty())
    }

    /// Notes it when a parameter is missing.
    pub(crate) fn require(&mut self, name: &str) {
        if !self.is_given(name) {
            self.refuse(name, "required", "is missing");
        }
    }

    /// A whole number in `range` that may be absent.
    pub(crate) fn optional_number(
        &mut self,
        name: &str,
        range: RangeInclusive<u64>,
    ) -> Option<u64> {
        let text = self.text(name)?;
        let number = text.parse().ok().filter(|number| range.contains(number));
        if number.is_none() {
            let (low, high) = (range.start(), range.end());
            let detail = format!("must be a whole number from {low} to {high}");
            self.refuse(name, "out_of_range", detail);
        }
        number
    }

    /// A whole number in `range`, `default` when absent.
    pub(crate) fn number(&mut self, name: &str, range: RangeInclusive<u64>, default: u64) -> u64 {
        self.optional_number(name, range).unwrap_or(default)
    }

    /// A share, 0 to 1.
    pub(crate) fn share(&mut self, name: &str) -> Option<f64> {
        let share = parse_share(&self.text(name)?);
        if share.is_none() {
            self.refuse(name, "out_of_range", "must be a number from 0 to 1");
        }
        share
    }

    /// Shares with commas between them; none when one is no number from 0 to 1.
    pub(crate) fn shares(&mut self, name: &str) -> Vec<f64> {
        let text = self.text(name).unwrap_or_default();
        let shares: Option<Vec<f64>> = text.split(',').map(parse_share).collect();
        if shares.is_none() {
            let detail = "must be numbers from 0 to 1 with commas between them";
            self.refuse(name, "out_of_range", detail);
        }
        shares.unwrap_or_default()
    }

    /// Which draw of an experiment: `element`, from 0 on.
    pub(crate) fn element(&mut self) -> usize {
        usize::try_from(self.number("element", 0..=99, 0)).expect("99 is a usize")
    }

    /// How long a page is to be: `limit`, 1 to 100.
    pub(crate) fn page_length(&mut self) -> usize {
        usize::try_from(self.number("limit", 1..=100, 50)).expect("100 is a usize")
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

    /// Notes that a parameter breaks the rule `code`.
    pub(crate) fn refuse(&mut self, name: &str, code: &'static str, detail: impl Into<String>) {
        self.violations.add(format!("?{name}"), code, detail);
    }
}

fn parse_moment(text: &str) -> Option<OffsetDateTime> {
    if text.len() == "2026-05-04".len() {
        let day = Date::parse(text, &Iso8601::DATE).ok()?;
        return Some(day.midnight().assume_utc());
    }
    OffsetDateTime::parse(text, &Rfc3339).ok()
}

fn parse_share(text: &str) -> Option<f64> {
    let share = text.trim().parse().ok();
    share.filter(|share| (0.0..=1.0).contains(share))
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
            let limit = query.page_length();
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

    #[test]
    fn moments_are_those_of_rfc_3339_or_days() {
        let read = |text: &str| {
            let mut query = Query::parse(text);
            let moment = query.moment("at").map(|at| at.unix_timestamp());
            (moment, query.finish().is_err())
        };
        assert_eq!(read("at=1970-01-02"), (Some(86_400), false));
        assert_eq!(read("at=1970-01-01T01:00:00%2B01:00"), (Some(0), false));
        for bad in ["at=1970-13-01", "at=today", "at=1970-01-01T00:00:00"] {
            assert_eq!(read(bad), (None, true), "{bad}");
        }
    }

    #[test]
    fn shares_are_numbers_from_0_to_1() {
        let read = |text: &str| {
            let mut query = Query::parse(text);
            query.require("shares");
            let (floor, shares) = (query.share("floor"), query.shares("shares"));
            let errors = query.finish().err().map(|problem| problem.errors);
            let errors = errors.into_iter().flatten();
            let errors: Vec<_> = errors
                .map(|v| format!("{} {}", v.pointer, v.code))
                .collect();
            (floor, shares, errors)
        };
        let good = read("floor=0.05&shares=0.2,%200.8");
        assert_eq!(good, (Some(0.05), vec![0.2, 0.8], vec![]));
        let bad = ["?floor out_of_range", "?shares out_of_range"];
        for text in ["floor=NaN&shares=0.5,x", "floor=-0.1&shares=1.5,-0.5"] {
            assert_eq!(read(text).2, bad, "{text}");
        }
        assert_eq!(
            read("shares=").2,
            ["?shares required", "?shares out_of_range"]
        );
    }
}
