//! Looking ahead and looking back: how an experiment may go, and what another split would have
//! earned.

use rand::SeedableRng as _;
use rand::rngs::ChaCha12Rng;
use samplit_bandit::{
    Comparison, Estimate, Minimums, Policy, Prior, Rule, Scenario, Spread, StoppingRule, allocate,
    days_needed, even_split, logged, off_policy, sample_size,
};
use samplit_domain::{Allocation, ExperimentId, PolicyKind, Stopping, Strategy, Violations};
use serde::Serialize;

use crate::reallocation::{count, totals};
use crate::results::{Evidence, IntervalEstimate, interval, stopping_rule};
use crate::rule::{arm_states, rule};
use crate::{Engine, Error, Principal, Scope};

/// Experiments simulated per forecast at most ...
const MAX_RUNS: u32 = 10_000;

/// ... and at least, where arms and days are many ...
const MIN_RUNS: u32 = 200;

/// ... so that arms times days times runs, which is what a forecast costs, stays a matter of seconds.
const MAX_WORK: u64 = 2_000_000;

/// The most visitors that one forecast simulates, days times traffic; beyond, it takes too long to
/// wait for.
const MAX_VISITORS: u64 = 100_000_000;

/// What is to be forecast.
#[derive(Clone, Debug, PartialEq)]
pub struct ForecastRequest {
    /// The true conversion rates, control first: 2 to 64, each strictly between 0 and 1.
    pub rates: Vec<f64>,
    /// Visitors a day, all arms together, at least 1.
    pub visitors_per_day: u64,
    /// The day on which it ends in any case, 1 to 366.
    pub days: u32,
    /// Adaptive or fixed at even shares.
    pub strategy: Strategy,
    /// Policy, floor, warm-up, prior.
    pub allocation: Allocation,
    /// The leader's probability of being best that ends it; in (0.5, 1).
    pub stop_at_p_best: f64,
    /// Visitors that every arm needs before it may end.
    pub min_visitors_per_arm: u64,
    /// Days before it may end.
    pub min_days: f64,
    /// The rule that is to be registered: its evidence ends it then, not `stop_at_p_best`.
    pub rule: Option<Stopping>,
    /// Experiments simulated at most, 200 to 10,000: fewer are told sooner and less exactly.
    pub max_runs: u32,
    /// The same seed gives the same forecast.
    pub seed: u64,
}

/// One quantity over all simulated experiments.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ForecastSpread {
    /// The mean.
    pub mean: f64,
    /// One in ten is below.
    pub p10: f64,
    /// Half are below.
    pub p50: f64,
    /// Nine in ten are below.
    pub p90: f64,
}

impl From<Spread> for ForecastSpread {
    fn from(
        Spread {
            mean,
            p10,
            p50,
            p90,
        }: Spread,
    ) -> Self {
        Self {
            mean,
            p10,
            p50,
            p90,
        }
    }
}

/// How an experiment may go.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ForecastResults {
    /// Experiments simulated.
    pub runs: u32,
    /// The day on which it ends.
    pub days: ForecastSpread,
    /// The share of runs that ended before the last day.
    pub stopped: f64,
    /// The share of runs whose leader in the end is the best arm, or as good as it.
    pub right_choice: f64,
    /// The mean share of visitors per arm.
    pub shares: Vec<f64>,
    /// Conversions lost against giving everybody the best arm.
    pub regret: ForecastSpread,
    /// Conversions gained against an even split for as long.
    pub gained: ForecastSpread,
    /// Visitors per arm that a classical test of the best arm against control takes (two-sided 5 %,
    /// power 80 %); `None` where control is the best.
    pub classical_visitors_per_arm: Option<u64>,
    /// Days for that at this traffic.
    pub classical_days: Option<f64>,
}

/// A split to be judged on what was logged.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// Every active arm as often.
    Even,
    /// These shares; they sum to 1.
    Shares(Vec<f64>),
    /// The shares that this policy and floor give for all that is known now.
    Policy {
        /// Which policy.
        policy: PolicyKind,
        /// Least share of an arm.
        floor: f64,
    },
}

/// What a split would have earned.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WhatIf {
    /// The shares that were judged.
    pub shares: Vec<f64>,
    /// Conversions per visitor as they were, all arms together.
    pub logged_rate: f64,
    /// Inverse propensity scoring: unbiased, noisy.
    pub ips: IntervalEstimate,
    /// Self-normalised: slightly biased, less noisy.
    pub snips: IntervalEstimate,
    /// Doubly robust: corrected by the arms' means.
    pub doubly_robust: IntervalEstimate,
    /// As many visitors drawn under the target would tell as much.
    pub effective_sample_size: f64,
}

impl ForecastRequest {
    /// Checks every rule without simulating anything.
    ///
    /// # Errors
    /// All the rules that are broken.
    pub fn check(&self) -> Result<(), Violations> {
        let mut violations = Violations::default();
        if !(2..=64).contains(&self.rates.len()) {
            violations.add(
                "/rates",
                "out_of_range",
                "must hold 2 to 64 rates, control first",
            );
        }
        for (index, rate) in self.rates.iter().enumerate() {
            if !(*rate > 0.0 && *rate < 1.0) {
                let detail = "must be between 0 and 1, both excluded";
                violations.add(format!("/rates/{index}"), "out_of_range", detail);
            }
        }
        if !(1..=366).contains(&self.days) {
            violations.add("/days", "out_of_range", "must be between 1 and 366");
        } else if self.work() > MAX_WORK / u64::from(MIN_RUNS) {
            let detail = "times the number of rates must be at most 10,000";
            violations.add("/days", "out_of_range", detail);
        }
        let visitors = self.visitors_per_day.saturating_mul(u64::from(self.days));
        if self.visitors_per_day == 0 || visitors > MAX_VISITORS {
            let detail = "must be at least 1, and times the days at most 100,000,000";
            violations.add("/visitors_per_day", "out_of_range", detail);
        }
        if !(self.stop_at_p_best > 0.5 && self.stop_at_p_best < 1.0) {
            violations.add(
                "/stop_at_p_best",
                "out_of_range",
                "must be between 0.5 and 1",
            );
        }
        if !(0.0..=366.0).contains(&self.min_days) {
            violations.add("/min_days", "out_of_range", "must be between 0 and 366");
        }
        if let Some(rule) = &self.rule {
            rule.check("/rule", &mut violations);
        }
        self.allocation
            .check("/allocation", self.rates.len(), &mut violations);
        violations.into_result(())
    }

    /// Arms times days.
    fn work(&self) -> u64 {
        self.rates.len() as u64 * u64::from(self.days)
    }

    fn runs(&self) -> u32 {
        let affordable = MAX_WORK / self.work().max(1);
        let affordable = u32::try_from(affordable).unwrap_or(MAX_RUNS);
        affordable.clamp(MIN_RUNS, self.max_runs.clamp(MIN_RUNS, MAX_RUNS))
    }

    fn scenario(&self) -> Scenario {
        let policy = match (self.strategy, self.allocation.policy) {
            (Strategy::Fixed, _) => Policy::Fixed(even_split(self.rates.len())),
            (Strategy::Adaptive, PolicyKind::Thompson) => Policy::Thompson,
            (Strategy::Adaptive, PolicyKind::TopTwo) => Policy::TopTwo,
        };
        Scenario {
            rates: self.rates.clone(),
            visitors_per_day: self.visitors_per_day,
            days: self.days,
            batches_per_day: 1,
            rule: Rule {
                policy,
                prior: Prior {
                    alpha: self.allocation.prior_alpha,
                    beta: self.allocation.prior_beta,
                },
                floor: self.allocation.floor,
                warm_up: self.allocation.warm_up,
            },
            stopping: match &self.rule {
                Some(registered) => stopping_rule(registered),
                None => StoppingRule::ProbabilityBest {
                    at_least: self.stop_at_p_best,
                },
            },
            minimums: Minimums {
                visitors_per_arm: self.min_visitors_per_arm,
                days: self.min_days,
            },
        }
    }
}

impl Engine {
    /// Simulates an experiment up to 10,000 times, reallocating once a day.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) with every rule that the request breaks.
    pub async fn forecast(
        &self,
        who: &Principal,
        request: ForecastRequest,
    ) -> Result<ForecastResults, Error> {
        who.require(Scope::Read)?;
        request.check()?;
        let computed = tokio::task::spawn_blocking(move || {
            let mut random = ChaCha12Rng::seed_from_u64(request.seed);
            let told = samplit_bandit::forecast(&request.scenario(), request.runs(), &mut random)
                .map_err(Error::internal)?;
            let control = request.rates[0];
            let best = request.rates.iter().copied().fold(control, f64::max);
            let classical = (best > control).then(|| {
                sample_size(Comparison {
                    rate: control,
                    effect: best - control,
                    alpha: 0.05,
                    power: 0.8,
                })
            });
            let classical = classical.transpose().map_err(Error::internal)?;
            let classical_days = classical.map(|size| {
                let arms = request.rates.len() as u64;
                days_needed(size.per_arm * arms, count(request.visitors_per_day))
            });
            Ok(ForecastResults {
                runs: request.runs(),
                days: told.days.into(),
                stopped: told.stopped,
                right_choice: told.right_choice,
                shares: told.shares,
                regret: told.regret.into(),
                gained: told.gained.into(),
                classical_visitors_per_arm: classical.map(|size| size.per_arm),
                classical_days: classical_days.transpose().map_err(Error::internal)?,
            })
        });
        computed.await.map_err(Error::internal)?
    }

    /// What another split would have earned, judged on the logged propensities of one draw.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for shares that do not fit,
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) for an experiment or an element that is
    /// not there, [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) before the first visitor.
    pub async fn what_if(
        &self,
        who: &Principal,
        id: ExperimentId,
        element: usize,
        target: Target,
    ) -> Result<WhatIf, Error> {
        who.require(Scope::Read)?;
        let record = self.record(who, id).await?;
        let sets = samplit_domain::arm_sets(&record.experiment);
        let set = sets
            .get(element)
            .ok_or(crate::ErrorKind::NotFound("element"))?;
        let (arms, active) = (set.arms.len(), set.active());
        let is_fixed = record.experiment.strategy == Strategy::Fixed;
        let shape = (element, arms, set.control());
        let evidence = Evidence::new(&record.rows, &record.weights(element), shape, is_fixed)?;
        let visitors: u64 = evidence
            .snapshots
            .iter()
            .map(samplit_bandit::Snapshot::visitors)
            .sum();
        if visitors == 0 {
            return Err(Error::conflict(
                "no_visitors",
                "there is no logged visitor to judge on",
            ));
        }
        let shares = match target {
            Target::Even => {
                let playing = count(active.iter().filter(|active| **active).count() as u64);
                active
                    .iter()
                    .map(|&active| if active { 1.0 / playing } else { 0.0 })
                    .collect()
            }
            Target::Shares(shares) => {
                let sum: f64 = shares.iter().sum();
                let fits = shares.len() == arms
                    && shares.iter().all(|share| (0.0..=1.0).contains(share))
                    && (sum - 1.0).abs() <= 1e-9;
                if !fits {
                    let mut violations = Violations::default();
                    let detail = format!("must be {arms} numbers from 0 to 1 that sum to 1");
                    violations.add("?shares", "weights_do_not_sum", detail);
                    return Err(violations.into());
                }
                shares
            }
            Target::Policy { policy, floor } => {
                let mut violations = Violations::default();
                if !(floor >= 0.0 && floor * count(arms as u64) < 1.0) {
                    let detail = format!("must be at least 0, and times {arms} arms below 1");
                    violations.add("?floor", "out_of_range", detail);
                }
                violations.into_result(())?;
                let counts = totals(&sets, &record.rows)?;
                let rule = Rule {
                    policy: match policy {
                        PolicyKind::Thompson => Policy::Thompson,
                        PolicyKind::TopTwo => Policy::TopTwo,
                    },
                    floor,
                    warm_up: 0,
                    ..rule(&record.genesis, element)
                };
                let states = arm_states(&counts[element], &active);
                allocate(&rule, &states)
                    .map_err(Error::internal)?
                    .weights
                    .to_probabilities()
            }
        };
        let log = logged(&evidence.snapshots).map_err(Error::internal)?;
        // What leaked to an arm of weight 0 was not drawn and tells nothing.
        let drawn: u64 = log.iter().map(|group| group.rewards.n).sum();
        let is_played = log.iter().any(|group| shares[group.arm] > 0.0);
        if drawn < 2 || !is_played {
            return Err(Error::conflict(
                "no_visitors",
                "fewer than two visitors were drawn, or none of them for an arm that the split plays",
            ));
        }
        let told = off_policy(&log, &shares).map_err(Error::internal)?;
        let converted: f64 = evidence
            .snapshots
            .iter()
            .flat_map(|snapshot| snapshot.arms())
            .map(|arm| arm.sum)
            .sum();
        let with_interval = |estimate: Estimate| interval(estimate, 0.0);
        Ok(WhatIf {
            shares,
            logged_rate: converted / count(visitors),
            ips: with_interval(told.ips)?,
            snips: with_interval(told.snips)?,
            doubly_robust: with_interval(told.doubly_robust)?,
            effective_sample_size: told.effective_sample_size,
        })
    }
}
