//! Mending what follows from something else, and nothing but that.
//!
//! A derived value that disagrees with the trail may be the one thing that a forger forgot. So none
//! is mended unless all that it follows from has been checked: nothing else of the experiment is
//! amiss, and its entries verify, with replay.

use samplit_audit::merkle::Frontier;
use samplit_domain::ExperimentId;
use samplit_store::doctor::{self, Counters};
use samplit_store::statistics::{self, ArmStatistics};
use samplit_store::{experiments, heads, usage};

use super::examine::{Derived, Examined, is_same};
use super::{DERIVED, Finding, unreadable};
use crate::{Engine, Error};

/// How often an experiment is examined anew because it was written to meanwhile.
const MAX_TRIES: usize = 10;

/// What came of mending.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Repairs {
    /// What was corrected.
    pub made: Vec<Repair>,
    /// The experiments that were left as they are, and why.
    pub refused: Vec<Finding>,
}

/// A derived value that was corrected.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Repair {
    /// Of which experiment.
    pub experiment_id: ExperimentId,
    /// Which value.
    pub what: String,
    /// What it was.
    pub from: String,
    /// What it is.
    pub to: String,
}

impl Engine {
    /// Corrects derived values, and says each one that it corrected: counters and conversion rates
    /// of variants and statistics, which follow from the rows, and frontiers of heads, which follow
    /// from the entries.
    ///
    /// Rows, entries and checkpoints are never touched. An experiment of which anything else is
    /// amiss is left as it is for somebody to look at, and named among the refused.
    ///
    /// Everything is read and computed while the experiment serves. Under the lock of its head,
    /// only head and version are compared with what was read; where they have moved, it is examined
    /// anew, and refused after 10 times.
    ///
    /// # Errors
    /// When PostgreSQL fails; what was mended before stays mended.
    pub async fn repair(&self) -> Result<Repairs, Error> {
        let mut repairs = Repairs::default();
        for id in self.trails().await? {
            match self.repair_one(id).await? {
                Ok(made) => {
                    for repair in &made {
                        tracing::warn!(?repair, "a derived value was corrected");
                    }
                    repairs.made.extend(made);
                }
                Err(what) => {
                    tracing::error!(experiment = %id, what, "nothing was corrected");
                    repairs.refused.push(Finding::of_experiment(id, what));
                }
            }
        }
        Ok(repairs)
    }

    /// What was corrected of one experiment, or why nothing was.
    async fn repair_one(&self, id: ExperimentId) -> Result<Result<Vec<Repair>, String>, Error> {
        for _ in 0..MAX_TRIES {
            let examined = match self.examined(id).await {
                Ok(examined) => examined,
                Err(error) => return unreadable(error).map(Err),
            };
            if examined.tally.has_passed(&DERIVED) {
                return Ok(Ok(Vec::new()));
            }
            if let Some(why) = self.unsound(&examined).await? {
                return Ok(Err(why));
            }
            let mending = Mending::new(&examined);
            if self.mend(&examined, &mending).await? {
                return Ok(Ok(mending.repairs));
            }
        }
        let busy =
            "it was written to each time that it was examined; try when there is less traffic";
        Ok(Err(busy.to_owned()))
    }

    /// What is amiss beside derived values. Read behind what was examined: if the head has not moved
    /// when it is locked, it has not in between either.
    async fn unsound(&self, examined: &Examined) -> Result<Option<String>, Error> {
        let id = examined.scene.id();
        if let Some(found) = examined.tally.underived() {
            return Ok(Some(found));
        }
        if let Some(found) = self.compared(id).await?.underived() {
            return Ok(Some(found));
        }
        match self.verify_entries(id).await {
            Ok(verdict) => Ok(verdict.err().map(|failure| failure.to_string())),
            Err(error) => unreadable(error).map(Some),
        }
    }

    /// Writes what was found to be right, unless head or version have moved.
    async fn mend(&self, examined: &Examined, mending: &Mending) -> Result<bool, Error> {
        let id = examined.scene.id();
        let mended = self.core.database.run_tx("repair", |session| {
            Box::pin(async move {
                let version = experiments::lock(session, id).await?;
                let head = heads::lock(session, &[id.0]).await?.pop();
                let is_still = version == Some(examined.scene.experiment.version)
                    && head.as_ref() == Some(&examined.head);
                if !is_still {
                    return Ok::<_, Error>(false);
                }
                if !mending.counters.is_empty() {
                    doctor::set_counters(session, &mending.counters).await?;
                    usage::forget_baselines(session, id).await?;
                }
                if let Some(statistics) = &mending.statistics {
                    doctor::delete_statistics(session, id).await?;
                    statistics::add(session, statistics).await?;
                }
                if let Some(frontier) = &mending.frontier {
                    doctor::set_frontier(session, id, frontier).await?;
                }
                Ok(true)
            })
        });
        mended.await
    }
}

/// What is to be written, and how it is told.
struct Mending {
    experiment_id: ExperimentId,
    repairs: Vec<Repair>,
    counters: Vec<Counters>,
    statistics: Option<Vec<ArmStatistics>>,
    frontier: Option<Vec<u8>>,
}

impl Mending {
    fn new(examined: &Examined) -> Self {
        let mut mending = Self {
            experiment_id: examined.scene.id(),
            repairs: Vec::new(),
            counters: Vec::new(),
            statistics: None,
            frontier: None,
        };
        mending.counters(&examined.derived);
        mending.statistics(&examined.derived);
        mending.frontier(examined);
        mending
    }

    fn tell(&mut self, what: String, from: String, to: String) {
        self.repairs.push(Repair {
            experiment_id: self.experiment_id,
            what,
            from,
            to,
        });
    }

    fn counters(&mut self, derived: &Derived) {
        for (should, is) in derived.counters.iter().zip(&derived.stored_counters) {
            let is_off = (should.rate - is.rate).abs() > f64::EPSILON;
            let pairs = [
                ("total_allocations", is.allocations, should.allocations),
                ("total_conversions", is.conversions, should.conversions),
            ];
            let mut is_wrong = is_off;
            for (column, is_now, should_be) in pairs {
                if is_now != should_be {
                    is_wrong = true;
                    let what = format!("{column} of variant {}", is.variant_id);
                    self.tell(what, is_now.to_string(), should_be.to_string());
                }
            }
            if is_off {
                let what = format!("conversion_rate of variant {}", is.variant_id);
                self.tell(what, is.rate.to_string(), should.rate.to_string());
            }
            if is_wrong {
                self.counters.push(*should);
            }
        }
    }

    fn statistics(&mut self, derived: &Derived) {
        for key in derived.keys() {
            let (should, is) = derived.pair(self.experiment_id, key);
            if is_same(&should, &is) {
                continue;
            }
            let what = format!(
                "statistics of element {} arm {} under the weights of entry {}",
                key.1, key.2, key.0
            );
            let tell = |s: ArmStatistics| {
                format!(
                    "{} of {}, value {}",
                    s.conversions, s.assignments, s.value_sum
                )
            };
            self.tell(what, tell(is), tell(should));
            self.statistics = Some(derived.statistics.values().copied().collect());
        }
    }

    fn frontier(&mut self, examined: &Examined) {
        let right = examined.frontier.to_bytes();
        let stored = &examined.head.frontier;
        if *stored == right {
            return;
        }
        let stored = Frontier::from_bytes(examined.frontier.size(), stored);
        let from = stored.map_or("no root".to_owned(), |stored| stored.root().to_string());
        let to = examined.frontier.root().to_string();
        self.tell("frontier of the head".to_owned(), from, to);
        self.frontier = Some(right);
    }
}
