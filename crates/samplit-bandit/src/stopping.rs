//! May I stop: rules that are fixed before the start, and what is still missing to meet them.
//!
//! A rule only reports; nothing here stops anything. `ExpectedLoss` and `ProbabilityBest` are
//! statements about the posterior, not significance; `ConfidenceSequence` is a proof that may be
//! looked at as often as one likes; `Visitors` is the fixed horizon of a classical test.

use std::fmt;

use crate::error::{Error, within};
use crate::number::{real, whole};
use crate::sequence::Sequence;

/// The evidence that ends an experiment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StoppingRule {
    /// The leader's expected loss is below this, in conversions per visitor.
    ExpectedLoss {
        /// The threshold of caring.
        below: f64,
    },
    /// The leader is the best arm with at least this probability.
    ProbabilityBest {
        /// Such as 0.95.
        at_least: f64,
    },
    /// The leader is proven better than control; or, when control leads, every other arm worse.
    ConfidenceSequence,
    /// This many visitors have been assigned, whatever became of their arms.
    Visitors {
        /// All arms together.
        total: u64,
    },
}

/// What must be there whatever the evidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Minimums {
    /// Visitors in each arm that still competes.
    pub visitors_per_arm: u64,
    /// Whole days since the start, so that every weekday is in.
    pub days: f64,
}

impl Default for Minimums {
    /// 1,000 visitors an arm and one week.
    fn default() -> Self {
        Self {
            visitors_per_arm: 1_000,
            days: 7.0,
        }
    }
}

/// One arm at the moment of looking.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// Visitors assigned so far.
    pub visitors: u64,
    /// Visitors a day at the present pace and weight.
    pub visitors_per_day: f64,
    /// Probability of being the best.
    pub p_best: f64,
    /// Expected loss of choosing it.
    pub expected_loss: f64,
    /// Its difference from control; none for control itself, and for an arm that is turned off.
    pub versus_control: Option<Sequence>,
    /// Whether its minimum of visitors is waited for. It is not for an arm that is turned off, or
    /// that can hardly be best and so gets next to no traffic.
    pub competes: bool,
}

impl Standing {
    /// Its difference from control in half-widths of the interval, towards what is to be proven:
    /// that it is better, or worse where control leads. Proven beyond 1; negative if it looks the
    /// other way. `None` if there is no difference to prove.
    #[must_use]
    pub fn proof(&self, control_leads: bool) -> Option<f64> {
        let sequence = self.versus_control?;
        let towards = if control_leads { -1.0 } else { 1.0 };
        let proof = towards * sequence.estimate / sequence.half_width;
        Some(if proof.is_nan() { 0.0 } else { proof })
    }
}

/// Something that must still come before the rule is met.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Missing {
    /// More visitors for one arm.
    ArmVisitors {
        /// The arm.
        arm: usize,
        /// How many more.
        more: u64,
        /// How long that takes at the present pace, where there is one.
        days: Option<f64>,
    },
    /// More visitors in all.
    Visitors {
        /// How many more.
        more: u64,
        /// How long that takes at the present pace, where there is one.
        days: Option<f64>,
    },
    /// More time.
    Days {
        /// How many more.
        more: f64,
    },
    /// A smaller expected loss of the leader.
    ExpectedLoss {
        /// The leader's now.
        now: f64,
        /// What it must be below.
        below: f64,
    },
    /// A greater probability that the leader is the best.
    ProbabilityBest {
        /// The leader's now.
        now: f64,
        /// What it must reach.
        at_least: f64,
    },
    /// A confidence sequence that excludes zero.
    Difference {
        /// The arm whose difference from control is not proved.
        arm: usize,
        /// How long it takes at the present pace if the estimate holds, where that can be said.
        days: Option<f64>,
    },
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = match self {
            Self::ArmVisitors { arm, more, days } => {
                write!(f, "{more} more visitors for arm {arm}")?;
                *days
            }
            Self::Visitors { more, days } => {
                write!(f, "{more} more visitors")?;
                *days
            }
            Self::Days { more } => return write!(f, "{more:.1} more days"),
            Self::ExpectedLoss { now, below } => {
                return write!(f, "an expected loss below {below}, now {now:.2e}");
            }
            Self::ProbabilityBest { now, at_least } => {
                return write!(f, "a probability of {at_least} to be best, now {now:.3}");
            }
            Self::Difference { arm, days } => {
                write!(f, "a proven difference of arm {arm} from control")?;
                *days
            }
        };
        match days {
            Some(days) => write!(f, ", about {:.0} days at this pace", days.ceil()),
            None => Ok(()),
        }
    }
}

/// The answer to "may I stop".
#[derive(Debug, Clone, PartialEq)]
pub struct StoppingReport {
    /// The arm most likely to be best; the first of equals.
    pub leader: usize,
    /// What is still missing; empty when the rule is met.
    pub missing: Vec<Missing>,
}

impl StoppingReport {
    /// Whether rule and minimums are met.
    ///
    /// ```
    /// use samplit_bandit::{Minimums, Standing, StoppingRule, may_stop};
    /// let arm = |visitors, p_best| Standing {
    ///     visitors,
    ///     visitors_per_day: 100.0,
    ///     p_best,
    ///     expected_loss: 0.001,
    ///     versus_control: None,
    ///     competes: true,
    /// };
    /// let rule = StoppingRule::ProbabilityBest { at_least: 0.95 };
    /// let arms = [arm(1_200, 0.03), arm(900, 0.97)];
    /// let report = may_stop(rule, Minimums::default(), &arms, 8.0)?;
    /// assert_eq!(report.leader, 1);
    /// assert_eq!(
    ///     report.missing[0].to_string(),
    ///     "100 more visitors for arm 1, about 1 days at this pace"
    /// );
    /// # Ok::<(), samplit_bandit::Error>(())
    /// ```
    #[must_use]
    pub fn may_stop(&self) -> bool {
        self.missing.is_empty()
    }
}

/// Holds all arms against the rule and the minimums.
///
/// `days` is the time since the start.
///
/// # Errors
/// When there is no arm, or a number of an arm is out of its range.
pub fn may_stop(
    rule: StoppingRule,
    minimums: Minimums,
    arms: &[Standing],
    days: f64,
) -> Result<StoppingReport, Error> {
    within("days", days, 0.0, f64::MAX)?;
    for arm in arms {
        within("p_best", arm.p_best, 0.0, 1.0)?;
        within("expected_loss", arm.expected_loss, 0.0, f64::MAX)?;
        within("visitors_per_day", arm.visitors_per_day, 0.0, f64::MAX)?;
    }
    let mut leader = 0;
    for i in 0..arms.len() {
        if arms[i].p_best > arms[leader].p_best {
            leader = i;
        }
    }
    let Some(best) = arms.get(leader) else {
        return Err(Error::new("arms", "there is no arm"));
    };
    let mut missing = Vec::new();
    for (arm, standing) in arms.iter().enumerate().filter(|(_, arm)| arm.competes) {
        let more = minimums.visitors_per_arm.saturating_sub(standing.visitors);
        if more > 0 {
            let days = pace(real(more), standing.visitors_per_day);
            missing.push(Missing::ArmVisitors { arm, more, days });
        }
    }
    let more = minimums.days.ceil() - days;
    if more > 0.0 {
        missing.push(Missing::Days { more });
    }
    let visitors: u64 = arms.iter().map(|arm| arm.visitors).sum();
    let visitors_per_day: f64 = arms.iter().map(|arm| arm.visitors_per_day).sum();
    match rule {
        StoppingRule::ExpectedLoss { below } => {
            let now = best.expected_loss;
            if now >= below || below.is_nan() {
                missing.push(Missing::ExpectedLoss { now, below });
            }
        }
        StoppingRule::ProbabilityBest { at_least } => {
            let now = best.p_best;
            if now < at_least || at_least.is_nan() {
                missing.push(Missing::ProbabilityBest { now, at_least });
            }
        }
        StoppingRule::Visitors { total } => {
            let more = total.saturating_sub(visitors);
            if more > 0 {
                let days = pace(real(more), visitors_per_day);
                missing.push(Missing::Visitors { more, days });
            }
        }
        StoppingRule::ConfidenceSequence => {
            let control_leads = best.versus_control.is_none();
            let decisive = |arm: usize| control_leads || arm == leader;
            for (arm, standing) in arms.iter().enumerate().filter(|(arm, _)| decisive(*arm)) {
                if let Some(proof) = standing.proof(control_leads).filter(|proof| *proof <= 1.0) {
                    // Half-widths shrink about as one over the root of the visitors. What looks the
                    // other way is not proven by waiting.
                    let more = real(visitors) * (1.0 / (proof * proof) - 1.0);
                    let can_be_told = proof > 0.0 && more < 1e15;
                    let days = pace(real(whole(more)), visitors_per_day).filter(|_| can_be_told);
                    missing.push(Missing::Difference { arm, days });
                }
            }
        }
    }
    Ok(StoppingReport { leader, missing })
}

fn pace(visitors: f64, per_day: f64) -> Option<f64> {
    (per_day > 0.0).then(|| visitors / per_day)
}
