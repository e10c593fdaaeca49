//! The one error of the crate: which argument was refused, and by which rule.

use std::borrow::Cow;

/// An argument that no answer exists for, or a computation that could not be certified.
///
/// The message names the argument and the rule it broke: `s: 12 conversions exceed 10 assignments`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{argument}: {rule}")]
pub struct Error {
    argument: &'static str,
    rule: Cow<'static, str>,
}

impl Error {
    pub(crate) fn new(argument: &'static str, rule: impl Into<Cow<'static, str>>) -> Self {
        Self {
            argument,
            rule: rule.into(),
        }
    }

    /// The name of the argument that was refused, as the function's documentation spells it.
    #[must_use]
    pub fn argument(&self) -> &'static str {
        self.argument
    }

    /// The rule that the argument broke, in words.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.rule
    }
}

/// Refuses a value outside `low..=high`, NaN included.
pub(crate) fn within(
    argument: &'static str,
    value: f64,
    low: f64,
    high: f64,
) -> Result<f64, Error> {
    if (low..=high).contains(&value) {
        Ok(value)
    } else {
        Err(Error::new(
            argument,
            format!("{value} is not within {low} to {high}"),
        ))
    }
}

/// Refuses a value that is not strictly between `low` and `high`, NaN included.
pub(crate) fn between(
    argument: &'static str,
    value: f64,
    low: f64,
    high: f64,
) -> Result<f64, Error> {
    if value > low && value < high {
        Ok(value)
    } else {
        Err(Error::new(
            argument,
            format!("{value} is not strictly between {low} and {high}"),
        ))
    }
}
