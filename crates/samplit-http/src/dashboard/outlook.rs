//! What an experiment may take, told for people: the forecast beside the form and on its own page.

use samplit_domain::{Allocation, Mode, Stopping, Strategy};
use samplit_engine::{Engine, ErrorKind, ForecastRequest, ForecastResults, Principal};
use serde_json::Value as Json;

use super::format::{count, percent, plural};
use crate::problem::Problem;

/// The day on which it ends in any case.
const HORIZON: u64 = 120;

/// Visitors that a forecast simulates at most.
const MAX_VISITORS: u64 = 100_000_000;

/// Enough for days and shares in whole numbers, and soon enough while somebody types.
const RUNS: u32 = 600;

/// What is to be forecast.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The conversion rate of what is there now.
    pub(crate) rate: f64,
    /// The relative lift of the best variant; the others are as good as control.
    pub(crate) effect: f64,
    pub(crate) arms: usize,
    /// Visitors who take part, a day.
    pub(crate) visitors_per_day: u64,
    pub(crate) strategy: Strategy,
    pub(crate) allocation: Allocation,
    pub(crate) stopping: Stopping,
}

/// The forecast in words.
#[derive(Debug)]
pub(crate) enum Outlook {
    /// Something is missing or does not fit: what.
    Unknown(String),
    Told(Box<Told>),
}

#[derive(Debug)]
pub(crate) struct Told {
    /// `12 days`, or `more than 120 days`.
    pub(crate) days: String,
    /// Nine in ten end by then.
    pub(crate) at_latest: String,
    pub(crate) visitors: String,
    /// The same without the word.
    pub(crate) visitor_count: String,
    pub(crate) right_choice: String,
    /// What it wins against an even split meanwhile, in conversions; empty where it is nothing.
    pub(crate) gained: String,
    /// What a classical test takes.
    pub(crate) classical: String,
    /// What makes it long, and what to do; empty where it ends in time.
    pub(crate) advice: String,
}

impl Plan {
    /// What the form of an experiment says; a sentence where it does not say enough.
    pub(crate) fn of_form(form: &Json) -> Result<Self, String> {
        let number = |pointer: &str| form.pointer(pointer).and_then(Json::as_f64);
        let share = |pointer: &str| number(pointer).filter(|share| *share > 0.0);
        let missing = |what: &str| format!("Fill in {what} to see how long it may take.");
        let allocation: Allocation = part(form, "allocation");
        let arms = arms(form, allocation.mode);
        if arms < 2 {
            return Err("Two variants are needed for a forecast.".to_owned());
        }
        let rate = share("/stopping/planned_rate").filter(|rate| *rate < 1.0);
        let rate = rate.ok_or_else(|| missing("the conversion rate, between 0 and 100 %,"))?;
        let effect = share("/hypothesis/minimum_effect");
        let effect = effect.ok_or_else(|| missing("the smallest lift worth having"))?;
        let visitors = form
            .pointer("/forecast/visitors_per_day")
            .and_then(Json::as_u64);
        let visitors = visitors.filter(|visitors| *visitors > 0);
        let visitors = visitors.ok_or_else(|| missing("the visitors a day, a whole number,"))?;
        let taking_part = number("/traffic_allocation").unwrap_or(1.0).clamp(0.0, 1.0);
        Ok(Self {
            rate,
            effect,
            arms,
            visitors_per_day: part_of(visitors, taking_part),
            strategy: match form["allocation_strategy"].as_str() {
                Some("fixed") => Strategy::Fixed,
                _ => Strategy::Adaptive,
            },
            allocation,
            stopping: part(form, "stopping"),
        })
    }

    fn request(&self) -> ForecastRequest {
        let best = (self.rate * (1.0 + self.effect)).min(0.999);
        let mut rates = vec![self.rate; self.arms.saturating_sub(1)];
        rates.push(best);
        let days = HORIZON
            .min(MAX_VISITORS / self.visitors_per_day.max(1))
            .max(1);
        ForecastRequest {
            rates,
            visitors_per_day: self.visitors_per_day,
            days: u32::try_from(days).unwrap_or(1),
            strategy: self.strategy,
            allocation: Allocation {
                weights: Vec::new(),
                ..self.allocation.clone()
            },
            stop_at_p_best: 0.95,
            min_visitors_per_arm: self.stopping.min_visitors_per_arm,
            min_days: self.stopping.min_days,
            rule: Some(self.stopping.clone()),
            max_runs: RUNS,
            seed: 1,
        }
    }

    /// Simulates it.
    ///
    /// # Errors
    /// What is no matter of the plan.
    pub(crate) async fn forecast(
        &self,
        engine: &Engine,
        who: &Principal,
    ) -> Result<Result<ForecastResults, String>, Problem> {
        match engine.forecast(who, self.request()).await {
            Ok(told) => Ok(Ok(told)),
            Err(error) => match error.kind() {
                ErrorKind::Invalid(violations) => {
                    let first = violations.0.first();
                    Ok(Err(first.map_or_else(String::new, |violation| {
                        let field = violation.pointer.rsplit('/').next().unwrap_or_default();
                        format!(
                            "No forecast: {} {}.",
                            field.replace('_', " "),
                            violation.detail
                        )
                    })))
                }
                _ => Err(error.into()),
            },
        }
    }

    /// The forecast in words.
    pub(crate) fn told(&self, told: &ForecastResults) -> Told {
        let horizon = self.request().days;
        let at_end = |day: f64| day >= f64::from(horizon) && told.stopped < 0.9;
        let day = |at: f64| {
            if at_end(at) {
                format!("more than {}", in_days(f64::from(horizon)))
            } else {
                in_days(at)
            }
        };
        let visitors = whole(told.days.p50 * as_real(self.visitors_per_day));
        let gained = whole(told.gained.mean);
        let classical = match (told.classical_visitors_per_arm, told.classical_days) {
            (Some(visitors), Some(needed)) => format!(
                "A classical test at 5 % with power 80 % takes {} visitors per variant, {}, and must not be looked at before.",
                count(visitors),
                in_days(needed),
            ),
            _ => String::new(),
        };
        Told {
            days: day(told.days.p50),
            at_latest: day(told.days.p90),
            visitors: plural(visitors, "visitor"),
            visitor_count: count(visitors),
            right_choice: percent(told.right_choice),
            gained: if gained == 0 {
                String::new()
            } else {
                plural(gained, "conversion")
            },
            classical,
            advice: if told.stopped < 0.5 {
                "Most runs do not end in that time. Test a bolder change, fewer variants, or a \
                 page with more visitors."
                    .to_owned()
            } else {
                String::new()
            },
        }
    }
}

impl Outlook {
    /// What the form of an experiment leads to.
    ///
    /// # Errors
    /// What is no matter of the form.
    pub(crate) async fn of_form(
        engine: &Engine,
        who: &Principal,
        form: &Json,
    ) -> Result<Self, Problem> {
        let plan = match Plan::of_form(form) {
            Ok(plan) => plan,
            Err(missing) => return Ok(Self::Unknown(missing)),
        };
        Ok(match plan.forecast(engine, who).await? {
            Ok(told) => Self::Told(Box::new(plan.told(&told))),
            Err(reason) => Self::Unknown(reason),
        })
    }
}

/// The arms of the largest draw.
fn arms(form: &Json, mode: Mode) -> usize {
    let elements = form["elements"].as_array().into_iter().flatten();
    let sizes = elements.map(|element| element["variants"].as_array().map_or(0, Vec::len));
    match mode {
        Mode::Factorial => sizes.fold(1, usize::saturating_mul),
        Mode::Independent => sizes.max().unwrap_or(0),
    }
}

/// A part of the form as the domain has it; its defaults where the form says nothing or nonsense.
fn part<T: serde::de::DeserializeOwned + Default>(form: &Json, name: &str) -> T {
    let part = form.get(name).cloned().unwrap_or_default();
    serde_json::from_value(part).unwrap_or_default()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "never negative, and a float beyond u64 is the greatest u64"
)]
fn whole(number: f64) -> u64 {
    number.max(0.0).round() as u64
}

fn in_days(days: f64) -> String {
    plural(whole(days.ceil()).max(1), "day")
}

#[expect(clippy::cast_precision_loss, reason = "a number of visitors")]
fn as_real(number: u64) -> f64 {
    number as f64
}

fn part_of(number: u64, share: f64) -> u64 {
    whole(as_real(number) * share).max(1)
}

#[cfg(test)]
mod tests {
    use samplit_domain::Strategy;
    use samplit_engine::{ForecastResults, ForecastSpread};
    use serde_json::json;

    use super::Plan;

    fn form() -> serde_json::Value {
        json!({
            "traffic_allocation": 0.5,
            "stopping": { "planned_rate": 0.03, "min_days": 14.0 },
            "hypothesis": { "minimum_effect": 0.2 },
            "forecast": { "visitors_per_day": 1_000 },
            "elements": [{ "variants": [{}, {}] }, { "variants": [{}, {}, {}] }],
        })
    }

    #[test]
    fn the_form_says_what_is_planned() {
        let plan = Plan::of_form(&form()).unwrap();
        assert_eq!((plan.arms, plan.visitors_per_day), (3, 500));
        assert_eq!(plan.strategy, Strategy::Adaptive);
        let request = plan.request();
        assert_eq!(request.rates.len(), 3);
        assert!((request.rates[2] - 0.036).abs() < 1e-12);
        assert!((request.min_days - 14.0).abs() < 1e-12);
        let mut factorial = form();
        factorial["allocation"] = json!({ "mode": "factorial" });
        assert_eq!(Plan::of_form(&factorial).unwrap().arms, 6);
    }

    #[test]
    fn what_is_missing_is_said() {
        for (pointer, value, word) in [
            ("/stopping/planned_rate", json!("many"), "rate"),
            ("/stopping/planned_rate", json!(1.0), "rate"),
            ("/hypothesis/minimum_effect", json!(null), "lift"),
            ("/forecast/visitors_per_day", json!(0), "visitors"),
            ("/elements", json!([]), "variants"),
        ] {
            let mut form = form();
            *form.pointer_mut(pointer).unwrap() = value;
            let said = Plan::of_form(&form).unwrap_err();
            assert!(said.contains(word), "{pointer}: {said}");
        }
    }

    #[test]
    fn an_end_that_nobody_saw_is_not_called_one() {
        let plan = Plan::of_form(&form()).unwrap();
        let spread = |p50: f64, p90: f64| ForecastSpread {
            mean: p50,
            p10: p50,
            p50,
            p90,
        };
        let results = |days, stopped| ForecastResults {
            runs: 600,
            days,
            stopped,
            right_choice: 0.9,
            shares: vec![0.2, 0.2, 0.6],
            regret: spread(0.0, 0.0),
            gained: spread(40.0, 40.0),
            classical_visitors_per_arm: Some(13_000),
            classical_days: Some(78.0),
        };
        let told = plan.told(&results(spread(20.0, 33.0), 1.0));
        assert_eq!(
            (told.days.as_str(), told.at_latest.as_str()),
            ("20 days", "33 days")
        );
        assert_eq!(told.gained, "40 conversions");
        assert!(told.visitors.ends_with("visitors") && told.advice.is_empty());
        let told = plan.told(&results(spread(120.0, 120.0), 0.2));
        assert!(told.days.starts_with("more than "), "{}", told.days);
        assert!(told.advice.contains("bolder"));
    }
}
