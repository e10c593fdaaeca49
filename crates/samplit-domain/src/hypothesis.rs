//! What an experiment is expected to show, announced before it starts.

use crate::Violations;

/// A hypothesis, kept in `experiments.hypothesis`; part of what is registered at the start.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Hypothesis {
    /// In a sentence or two, 1 to 2,000 characters.
    pub statement: String,
    /// The least relative lift over control that would be worth having, in (0, 10]; 0.05 is 5 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_effect: Option<f64>,
}

impl Hypothesis {
    /// Checks the rules.
    pub fn check(&self, pointer: &str, violations: &mut Violations) {
        violations.text(&format!("{pointer}/statement"), &self.statement, 2_000);
        let fits = |effect: f64| effect > 0.0 && effect <= 10.0;
        if !self.minimum_effect.is_none_or(fits) {
            violations.add(
                format!("{pointer}/minimum_effect"),
                "out_of_range",
                "must be a relative lift above 0 and at most 10",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Hypothesis;
    use crate::Violations;

    #[test]
    fn broken_rules_are_named() {
        let pointers = |statement: &str, minimum_effect| {
            let mut violations = Violations::default();
            let statement = statement.to_owned();
            Hypothesis {
                statement,
                minimum_effect,
            }
            .check("/hypothesis", &mut violations);
            let pointers = violations.0.into_iter().map(|violation| violation.pointer);
            pointers.collect::<Vec<_>>()
        };
        assert!(pointers("A red button sells more.", Some(0.05)).is_empty());
        assert!(pointers("A red button sells more.", None).is_empty());
        assert_eq!(pointers(" ", None), ["/hypothesis/statement"]);
        for effect in [0.0, -1.0, 10.5, f64::NAN, f64::INFINITY] {
            assert_eq!(pointers("x", Some(effect)), ["/hypothesis/minimum_effect"]);
        }
    }
}
