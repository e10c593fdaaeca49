//! Old tests run again in memory, with adaptive weights.

use std::ops::ControlFlow;

use rand::RngExt as _;
use samplit_bandit::{Policy, Prior, Rule, Weights, allocate, scale_to_ppb};
use samplit_domain::{Allocation, PolicyKind, Violations};
use serde::Serialize;

use super::random;
use super::{OldTest, RecordedOutcomes};
use crate::reallocation::count;
use crate::rule::arm_states;
use crate::{Engine, Error, Principal, Scope};

/// The most people of all tests together whose record is played; beyond, it takes too long to wait for.
const MAX_PEOPLE: u64 = 200_000_000;

/// Arms times changes of weights of all tests together, about: what a backtest costs.
const WORK: u64 = 400_000;

/// The least visitors between two changes of the weights.
const WAVE: u64 = 100;

/// Which stream of randomness decides who gets which arm; those of the arms count from 0.
const DRAWS: u64 = u64::MAX;

/// Old tests to be run again.
#[derive(Clone, Debug, PartialEq)]
pub struct Backtest {
    /// At least one.
    pub tests: Vec<OldTest>,
    /// Policy, floor, warm-up and prior.
    pub allocation: Allocation,
    /// The same seed gives the same report.
    pub seed: u64,
}

/// What became of one test.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BacktestRow {
    /// What the test is called.
    pub test: String,
    /// Its arms.
    pub arms: usize,
    /// The arm with the best record.
    pub best_arm: String,
    /// Visitors until a record was used up.
    pub visitors: u64,
    /// Conversions under adaptive weights.
    pub conversions: u64,
    /// What as many visitors would have done under an even split: at the mean of the arms' recorded rates.
    pub even_split: f64,
    /// What as many visitors would have done at the best recorded rate, which is known only afterwards.
    pub best_possible: f64,
    /// The share of the visitors who got the arm with the best record.
    pub best_arm_share: f64,
}

/// What became of all of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BacktestReport {
    /// One per test, in their order.
    pub rows: Vec<BacktestRow>,
    /// Visitors of all tests.
    pub visitors: u64,
    /// Conversions under adaptive weights.
    pub conversions: u64,
    /// Conversions expected under the even split.
    pub even_split: f64,
    /// Conversions expected under the arm with the best record, which is known only afterwards.
    pub best_possible: f64,
    /// By how much chance alone moves `conversions`, one standard deviation.
    pub chance: f64,
}

impl Engine {
    /// Runs old tests again. `step` is told how many are done, out of all, and may break it off;
    /// there is no report then.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for parameters that do not fit, or more people
    /// than can be waited for.
    pub async fn backtest(
        &self,
        who: &Principal,
        backtest: Backtest,
        step: impl FnMut(usize) -> ControlFlow<()> + Send + 'static,
    ) -> Result<Option<BacktestReport>, Error> {
        who.require(Scope::Read)?;
        backtest.check()?;
        let computed = tokio::task::spawn_blocking(move || backtest.run(step));
        computed.await.map_err(Error::internal)?
    }
}

impl Backtest {
    /// Checks every rule without running anything.
    ///
    /// # Errors
    /// All the rules that are broken.
    pub fn check(&self) -> Result<(), Violations> {
        let mut violations = Violations::default();
        if self.tests.is_empty() {
            violations.add("/tests", "required", "there is no test");
        }
        let people: u64 = self.tests.iter().map(OldTest::impressions).sum();
        if people > MAX_PEOPLE {
            let detail = format!("has {people} visitors, at most {MAX_PEOPLE} are allowed");
            violations.add("/tests", "out_of_range", detail);
        }
        let arms = self.tests.iter().map(|test| test.arms.len()).max();
        self.allocation
            .check("/allocation", arms.unwrap_or(0), &mut violations);
        violations.into_result(())
    }

    fn run(
        &self,
        mut step: impl FnMut(usize) -> ControlFlow<()>,
    ) -> Result<Option<BacktestReport>, Error> {
        let wave = self.wave();
        let mut rows = Vec::with_capacity(self.tests.len());
        for (position, test) in self.tests.iter().enumerate() {
            if step(position).is_break() {
                return Ok(None);
            }
            rows.push(self.replay(test, position as u64, wave)?);
        }
        Ok(Some(BacktestReport::new(rows)))
    }

    /// Visitors between two changes of the weights, so that the work stays within what can be waited
    /// for.
    fn wave(&self) -> u64 {
        let tests = self.tests.iter();
        let work: u64 = tests
            .map(|test| test.impressions().saturating_mul(test.arms.len() as u64))
            .fold(0, u64::saturating_add);
        (work / WORK).max(WAVE)
    }

    fn rule(&self) -> Rule {
        let Allocation {
            policy,
            warm_up,
            floor,
            prior_alpha: alpha,
            prior_beta: beta,
            ..
        } = self.allocation;
        Rule {
            policy: match policy {
                PolicyKind::Thompson => Policy::Thompson,
                PolicyKind::TopTwo => Policy::TopTwo,
            },
            prior: Prior { alpha, beta },
            floor,
            warm_up,
        }
    }

    fn replay(&self, test: &OldTest, position: u64, wave: u64) -> Result<BacktestRow, Error> {
        let rule = self.rule();
        let arms = test.arms.len();
        let records = test.arms.iter().enumerate();
        let mut records: Vec<_> = records
            .map(|(arm, of)| RecordedOutcomes::new(of, self.seed, position, arm as u64))
            .collect();
        let mut draws = random([self.seed, position, DRAWS]);
        let mut counts = vec![(0, 0); arms];
        let active = vec![true; arms];
        'waves: loop {
            let states = arm_states(&counts, &active);
            let weights: Weights = allocate(&rule, &states).map_err(Error::internal)?.weights;
            for _ in 0..wave {
                let arm = weights.choose(scale_to_ppb(draws.random()));
                let Some(clicked) = records[arm].next() else {
                    break 'waves;
                };
                counts[arm].0 += 1;
                counts[arm].1 += u64::from(clicked);
            }
        }
        let visitors = counts.iter().map(|(n, _)| n).sum();
        let (best, best_rate) = test.best();
        Ok(BacktestRow {
            test: test.name.clone(),
            arms,
            best_arm: test.arms[best].name.clone(),
            visitors,
            conversions: counts.iter().map(|(_, s)| s).sum(),
            even_split: count(visitors) * test.even_rate(),
            best_possible: count(visitors) * best_rate,
            best_arm_share: if visitors == 0 {
                0.0
            } else {
                count(counts[best].0) / count(visitors)
            },
        })
    }
}

impl BacktestRow {
    /// More conversions than under the even split, as a share of those; 0 where there were none.
    #[must_use]
    pub fn uplift(&self) -> f64 {
        uplift(count(self.conversions), self.even_split)
    }
}

impl BacktestReport {
    fn new(rows: Vec<BacktestRow>) -> Self {
        let conversions = rows.iter().map(|row| row.conversions).sum();
        Self {
            visitors: rows.iter().map(|row| row.visitors).sum(),
            conversions,
            even_split: rows.iter().map(|row| row.even_split).sum(),
            best_possible: rows.iter().map(|row| row.best_possible).sum(),
            // Conversions are rare, so their number varies as that of a Poisson process.
            chance: count(conversions).sqrt(),
            rows,
        }
    }

    /// More conversions than under the even split, as a share of those; 0 where there were none.
    #[must_use]
    pub fn uplift(&self) -> f64 {
        uplift(count(self.conversions), self.even_split)
    }

    /// The same for who always shows the arm with the best record.
    #[must_use]
    pub fn best_possible_uplift(&self) -> f64 {
        uplift(self.best_possible, self.even_split)
    }

    /// Tests with more conversions than under the even split.
    #[must_use]
    pub fn better(&self) -> usize {
        let better = |row: &&BacktestRow| row.uplift() > 0.0;
        self.rows.iter().filter(better).count()
    }
}

fn uplift(conversions: f64, even_split: f64) -> f64 {
    if even_split > 0.0 {
        conversions / even_split - 1.0
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use samplit_domain::Allocation;

    use super::{Backtest, BacktestReport};
    use crate::backtest::{OldArm, OldTest};

    fn test(name: &str, arms: &[(u64, u64)]) -> OldTest {
        let arm = |(position, &(impressions, clicks)): (usize, &(u64, u64))| OldArm {
            name: format!("{}.", position + 1),
            impressions,
            clicks,
        };
        OldTest {
            name: name.to_owned(),
            arms: arms.iter().enumerate().map(arm).collect(),
        }
    }

    fn backtest(seed: u64) -> Backtest {
        Backtest {
            tests: vec![
                test("differs", &[(4_000, 40), (4_000, 400), (4_000, 40)]),
                test("does not", &[(4_000, 120), (4_000, 120)]),
            ],
            allocation: Allocation::default(),
            seed,
        }
    }

    fn run(backtest: &Backtest) -> BacktestReport {
        let report = backtest.run(|_| ControlFlow::Continue(()));
        report.unwrap().expect("nobody breaks it off")
    }

    #[test]
    fn traffic_follows_what_converts_and_the_sums_are_those_of_the_rows() {
        let report = run(&backtest(1));
        let [differs, same] = &report.rows[..] else {
            panic!("{report:?}");
        };
        assert_eq!(differs.best_arm, "2.");
        assert!(differs.best_arm_share > 0.8, "{differs:?}");
        // An even split earns 4 %, the best arm 10 %.
        assert!(
            differs.uplift() > 0.8 && differs.uplift() < 1.5,
            "{differs:?}"
        );
        assert!(same.uplift().abs() < 0.3, "{same:?}");
        assert_eq!(report.visitors, differs.visitors + same.visitors);
        assert_eq!(report.conversions, differs.conversions + same.conversions);
        assert!(report.uplift() < report.best_possible_uplift());
        assert!(report.better() >= 1);
    }

    #[test]
    fn nobody_is_counted_whose_behaviour_is_not_on_record() {
        for seed in 0..20 {
            let report = run(&Backtest {
                tests: vec![test("small", &[(10, 10), (10, 0)])],
                ..backtest(seed)
            });
            let row = &report.rows[0];
            assert!((10..=20).contains(&row.visitors), "{row:?}");
            assert!(row.conversions <= 10, "{row:?}");
        }
    }

    /// Records are rarely even: the arm that did better was often shown more. Whoever splits evenly for ever,
    /// which is what a warm-up without end does, must not look better or worse than the even split.
    #[test]
    fn an_even_split_gains_nothing_whatever_the_record() {
        let (mut gained, mut variance) = (0.0, 0.0);
        for seed in 0..60 {
            let report = run(&Backtest {
                tests: vec![
                    test("uneven", &[(20_000, 2_000), (2_000, 60), (1_000, 20)]),
                    test("the other way", &[(900, 90), (12_000, 240)]),
                ],
                allocation: Allocation {
                    warm_up: u64::from(u32::MAX),
                    ..Allocation::default()
                },
                ..backtest(seed)
            });
            gained += crate::reallocation::count(report.conversions) - report.even_split;
            variance += crate::reallocation::count(report.conversions);
        }
        assert!(
            gained.abs() < 4.0 * variance.sqrt(),
            "{gained} of {variance}"
        );
        // The rate of all visitors together, 9.04 % of the first test, is far from the even 5 %.
        assert!(variance > 10_000.0, "there is something to see: {variance}");
    }

    #[test]
    fn the_report_follows_from_the_seed() {
        assert_eq!(run(&backtest(1)), run(&backtest(1)));
        assert_ne!(run(&backtest(1)), run(&backtest(2)));
    }

    #[test]
    fn it_can_be_broken_off() {
        let mut asked = Vec::new();
        let report = backtest(1).run(|done| {
            asked.push(done);
            if done == 1 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        assert_eq!(report.unwrap(), None);
        assert_eq!(asked, [0, 1]);
    }

    #[test]
    fn what_takes_too_long_is_refused() {
        let people = Backtest {
            tests: vec![test("large", &[(150_000_000, 1), (100_000_000, 1)])],
            ..backtest(1)
        };
        let none = Backtest {
            tests: Vec::new(),
            ..backtest(1)
        };
        let floor = Backtest {
            allocation: Allocation {
                floor: 0.4,
                ..Allocation::default()
            },
            ..backtest(1)
        };
        for (backtest, pointer) in [
            (people, "/tests"),
            (none, "/tests"),
            (floor, "/allocation/floor"),
        ] {
            let broken = backtest.check().unwrap_err();
            assert_eq!(broken.0[0].pointer, pointer);
        }
    }

    #[test]
    fn large_files_learn_less_often() {
        let large = Backtest {
            tests: vec![test("large", &[(40_000_000, 1), (40_000_000, 1)])],
            ..backtest(1)
        };
        assert_eq!((backtest(1).wave(), large.wave()), (100, 400));
    }
}
