//! Does everything that is stored in more than one place agree?
//!
//! What is compared of an experiment is read in one transaction that sees one moment, so nothing is
//! amiss only because it was written meanwhile.

mod examine;
mod funnels;
mod repair;
mod rows;
mod tree;

use samplit_domain::{ExperimentId, FunnelId};
use samplit_store::doctor::{self, Comparison};

use crate::{Engine, Error, ErrorKind, Principal};

pub use repair::{Repair, Repairs};

const VISITORS: &str = "one row per visitor";
const COUNTERS: &str = "counters of variants are the rows";
const RATES: &str = "conversion rates are the counters";
const STATISTICS: &str = "statistics are the rows";
const TRAIL: &str = "rows are in the trail";
const ROWS: &str = "rows say what their entries say";
const ERASED: &str = "nobody who was erased is named";
const SEQUENCES: &str = "trails have no gap";
const HEADS: &str = "heads are the last entries";
const FRONTIERS: &str = "frontiers lead to the root";
const CHECKPOINTS: &str = "checkpoints are what the trails began with";
const HOLDS: &str = "no trail is on hold";
const SEALS: &str = "sealed trails end in their seal";
const REGISTRATIONS: &str = "registrations are those of the genesis";
const FUNNELS: &str = "funnels are drawn as their rows say";
const READABLE: &str = "everything can be read";
const VERIFIED: &str = "trails verify, with replay";

/// Every check, in the order in which they are told.
const NAMES: [&str; 17] = [
    VISITORS,
    COUNTERS,
    RATES,
    STATISTICS,
    TRAIL,
    ROWS,
    ERASED,
    SEQUENCES,
    HEADS,
    HOLDS,
    FRONTIERS,
    CHECKPOINTS,
    SEALS,
    REGISTRATIONS,
    FUNNELS,
    READABLE,
    VERIFIED,
];

/// Those of them that follow from everything else, and can be mended.
const DERIVED: [&str; 4] = [COUNTERS, RATES, STATISTICS, FRONTIERS];

/// One thing that was checked, over everything there is.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Check {
    /// What should hold.
    pub name: &'static str,
    /// How many comparisons were made.
    pub checked: usize,
    /// Where it does not hold.
    pub findings: Vec<Finding>,
}

/// Something that does not agree.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// Of which experiment, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub experiment_id: Option<ExperimentId>,
    /// Of which funnel, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub funnel_id: Option<FunnelId>,
    /// What should be what.
    pub what: String,
}

impl Finding {
    fn of_experiment(id: ExperimentId, what: String) -> Self {
        Self {
            experiment_id: Some(id),
            funnel_id: None,
            what,
        }
    }

    /// The id of what it was found at.
    #[must_use]
    pub fn place(&self) -> String {
        let experiment = self.experiment_id.map(|id| id.to_string());
        let funnel = self.funnel_id.map(|id| format!("funnel {id}"));
        experiment.or(funnel).unwrap_or_default()
    }
}

impl Check {
    /// Whether it holds everywhere.
    #[must_use]
    pub fn is_passed(&self) -> bool {
        self.findings.is_empty()
    }
}

/// What was found so far.
#[derive(Debug)]
struct Tally(Vec<Check>);

impl Tally {
    fn new() -> Self {
        let checks = NAMES.map(|name| Check {
            name,
            checked: 0,
            findings: Vec::new(),
        });
        Self(checks.into())
    }

    fn of(&mut self, name: &'static str) -> &mut Check {
        let check = self.0.iter_mut().find(|check| check.name == name);
        check.expect("every name is in the list")
    }

    /// Notes one comparison: what is wrong, if anything.
    fn note(&mut self, name: &'static str, experiment_id: ExperimentId, wrong: Option<String>) {
        let wrong = wrong.map(|what| Finding::of_experiment(experiment_id, what));
        self.note_finding(name, wrong);
    }

    fn note_finding(&mut self, name: &'static str, wrong: Option<Finding>) {
        let check = self.of(name);
        check.checked += 1;
        check.findings.extend(wrong);
    }

    fn compare(&mut self, name: &'static str, id: ExperimentId, comparisons: &[Comparison]) {
        for c in comparisons {
            let wrong = || format!("{}: {} expected, {} found", c.what, c.expected, c.found);
            self.note(name, id, (c.expected != c.found).then(wrong));
        }
    }

    fn has_passed(&self, names: &[&str]) -> bool {
        let mut named = self.0.iter().filter(|check| names.contains(&check.name));
        named.all(Check::is_passed)
    }

    /// The first finding that is not of a derived value.
    fn underived(&self) -> Option<String> {
        let mut checks = self.0.iter().filter(|check| !DERIVED.contains(&check.name));
        checks.find_map(|check| {
            let found = check.findings.first()?;
            Some(format!("{}: {}", check.name, found.what))
        })
    }

    fn merge(&mut self, other: Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            mine.checked += theirs.checked;
            mine.findings.extend(theirs.findings);
        }
    }
}

impl Engine {
    /// Compares rows, counters, statistics, checkpoints and trails of all experiments, verifies every
    /// trail, and compares the drawing of every funnel with its rows. Reads everything there is: takes minutes on a large database, and may run while
    /// it serves.
    ///
    /// # Errors
    /// When PostgreSQL fails. What cannot be read for what it holds is a finding.
    pub async fn doctor(&self) -> Result<Vec<Check>, Error> {
        let mut tally = Tally::new();
        for id in self.trails().await? {
            tally.merge(self.compared(id).await?);
            match self.examined(id).await {
                Ok(found) => {
                    tally.note(READABLE, id, None);
                    tally.merge(found.tally);
                }
                Err(error) => tally.note(READABLE, id, Some(unreadable(error)?)),
            }
            let wrong = match self.verify(&Principal::system(), id).await {
                Ok(verdict) => verdict.err().map(|failure| failure.to_string()),
                Err(error) => Some(unreadable(error)?),
            };
            tally.note(VERIFIED, id, wrong);
        }
        self.funnels_compared(&mut tally).await?;
        Ok(tally.0)
    }

    async fn trails(&self) -> Result<Vec<ExperimentId>, Error> {
        let trails = self
            .core
            .database
            .run(|session| Box::pin(doctor::trails(session)));
        Ok(trails.await?)
    }
}

/// An experiment that is too broken to be opened, or changes too much to be read, is a finding; a
/// lost database is not.
fn unreadable(error: Error) -> Result<String, Error> {
    match error.kind() {
        ErrorKind::Internal | ErrorKind::NotRunning(_) | ErrorKind::Conflict { .. } => {
            let cause = std::error::Error::source(&error);
            Ok(cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}")))
        }
        _ => Err(error),
    }
}
