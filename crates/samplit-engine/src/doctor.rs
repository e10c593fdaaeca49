//! Does everything that is stored about visitors agree?

use samplit_domain::ExperimentId;
use samplit_store::doctor::{self, Comparison};

use crate::{Engine, Error, ErrorKind, Principal};

/// One thing that was checked, over all experiments.
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
    /// Of which experiment.
    pub experiment_id: ExperimentId,
    /// What should be what.
    pub what: String,
}

impl Check {
    /// Whether it holds everywhere.
    #[must_use]
    pub fn is_passed(&self) -> bool {
        self.findings.is_empty()
    }

    fn new(name: &'static str, comparisons: &[Comparison]) -> Self {
        let wrong = comparisons.iter().filter(|c| c.expected != c.found);
        Self {
            name,
            checked: comparisons.len(),
            findings: wrong
                .map(|c| Finding {
                    experiment_id: c.experiment_id,
                    what: format!("{}: {} expected, {} found", c.what, c.expected, c.found),
                })
                .collect(),
        }
    }
}

impl Engine {
    /// Compares rows, counters, statistics and trails of all experiments, and verifies every trail.
    /// Reads everything there is: takes minutes on a large database, and may run while it serves.
    ///
    /// # Errors
    /// When something cannot be read.
    pub async fn doctor(&self) -> Result<Vec<Check>, Error> {
        let database = &self.core.database;
        let counters = database.run(|session| Box::pin(doctor::counters(session)));
        let counters = Check::new("counters of variants are the rows", &counters.await?);
        let statistics = database.run(|session| Box::pin(doctor::statistics(session)));
        let statistics = Check::new("statistics are the rows", &statistics.await?);
        let trail = database.run(|session| Box::pin(doctor::trail(session)));
        let trail = Check::new("rows are in the trail", &trail.await?);
        let sequences = database.run(|session| Box::pin(doctor::sequences(session)));
        let sequences = Check::new("trails have no gap", &sequences.await?);
        let heads = database.run(|session| Box::pin(doctor::heads(session)));
        let heads = Check::new("heads are the last entries", &heads.await?);
        let verified = self.verify_all().await?;
        Ok(vec![
            counters, statistics, trail, sequences, heads, verified,
        ])
    }

    async fn verify_all(&self) -> Result<Check, Error> {
        let trails = self
            .core
            .database
            .run(|session| Box::pin(doctor::trails(session)));
        let trails = trails.await?;
        let mut findings = Vec::new();
        let system = Principal::system();
        for &experiment_id in &trails {
            let what = match self.verify(&system, experiment_id).await {
                Ok(Ok(_)) => continue,
                Ok(Err(failure)) => failure.to_string(),
                // A trail that is too broken to be opened is a finding, a lost database is not.
                Err(error) if matches!(error.kind(), ErrorKind::Internal) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    format!("{error}: {}", cause.unwrap_or_default())
                }
                Err(error) => return Err(error),
            };
            findings.push(Finding {
                experiment_id,
                what,
            });
        }
        Ok(Check {
            name: "trails verify, with replay",
            checked: trails.len(),
            findings,
        })
    }
}
