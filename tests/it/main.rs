//! The engine over a real PostgreSQL.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod accounts;
mod adopt;
mod checkpointer;
mod checkpoints;
mod doctor;
mod erasure;
mod exclusions;
mod exports;
mod faults;
mod foreign;
mod funnel_crowd;
mod funnel_journeys;
mod funnel_races;
mod funnels;
mod guard;
mod hot_statements;
mod leads;
mod learning;
mod lifecycle;
mod lists;
mod onboarding;
mod pages;
mod plans;
mod proofs;
mod races;
mod redaction;
mod registration;
mod restore;
mod results;
mod ring;
mod seal;
mod statements;
mod tamper;
mod watching;
mod webhooks;

use samplit_engine::{Assign, Convert, Engine, ExperimentId, Principal, Report};

fn visitor(name: impl Into<String>) -> Assign {
    Assign {
        visitor: name.into(),
        ..Assign::default()
    }
}

fn conversion(name: impl Into<String>) -> Convert {
    Convert {
        visitor: name.into(),
        ..Convert::default()
    }
}

/// The trail verifies, replay included, and everything that is stored agrees.
async fn sound(engine: &Engine, id: ExperimentId) -> Report {
    let report = engine.verify(&Principal::system(), id).await.unwrap();
    let report = report.unwrap_or_else(|failure| panic!("{failure}"));
    for check in engine.doctor().await.unwrap() {
        assert!(check.is_passed(), "{check:?}");
    }
    report
}
