//! One old test as an experiment.

use futures_util::future::try_join_all;
use samplit_engine::{
    Allocation, Assign, Convert, ElementDraft, Engine, Error, ErrorKind, ExperimentDraft,
    ExperimentId, OldTest, Principal, RecordedOutcomes, Transition, VariantDraft, VariantId,
};
use serde_json::json;

/// An old test under way.
#[derive(Debug)]
pub(super) struct Test {
    pub(super) record: OldTest,
    pub(super) id: ExperimentId,
    /// In order of the arms.
    variants: Vec<VariantId>,
    outcomes: Vec<RecordedOutcomes>,
    arrived: u64,
    /// Visitors whose behaviour is on record, per arm.
    pub(super) visitors: Vec<u64>,
    pub(super) conversions: u64,
    pub(super) is_over: bool,
}

/// Visitors who were assigned and want to convert.
type Clicks = Vec<String>;

impl Test {
    /// Creates and starts the experiment.
    pub(super) async fn start(
        engine: &Engine,
        record: OldTest,
        allocation: &Allocation,
        seed: u64,
        position: usize,
    ) -> Result<Self, Error> {
        let system = Principal::system();
        let draft = draft(&record, allocation);
        let created = engine.create_experiment(&system, draft).await?;
        let id = created.id;
        engine
            .transition(&system, id, Transition::Start, Default::default(), None)
            .await?;
        let variants = created.elements[0].variants.iter().map(|v| v.id).collect();
        let arms = record.arms.iter().enumerate();
        Ok(Self {
            outcomes: arms
                .map(|(arm, of)| RecordedOutcomes::new(of, seed, position as u64, arm as u64))
                .collect(),
            visitors: vec![0; record.arms.len()],
            record,
            id,
            variants,
            arrived: 0,
            conversions: 0,
            is_over: false,
        })
    }

    /// Lets `size` visitors arrive at once; returns those who will click. The test is over as soon
    /// as one is given an arm whose record is used up.
    ///
    /// The very first visitor comes alone: the clock may have moved far since the experiment began,
    /// and then the engine thinks about its weights in the middle of the first wave.
    pub(super) async fn arrive(&mut self, engine: &Engine, size: u64) -> Result<Clicks, Error> {
        let system = Principal::system();
        let size = if self.arrived == 0 { 1 } else { size };
        let wave = self.arrived + 1..=self.arrived + size;
        self.arrived += size;
        let names: Vec<String> = wave.map(|number| format!("visitor-{number}")).collect();
        let assigned = names.iter().map(|name| {
            let request = Assign {
                visitor: name.clone(),
                ..Assign::default()
            };
            engine.assign(&system, self.id, request)
        });
        let assigned = try_join_all(assigned).await?;
        let mut clicks = Vec::new();
        for (name, assigned) in names.into_iter().zip(assigned) {
            let shown = assigned.variants[0];
            let arm = self.variants.iter().position(|variant| *variant == shown);
            let arm = arm.expect("an experiment shows its own variants");
            let Some(clicked) = self.outcomes[arm].next() else {
                self.is_over = true;
                break;
            };
            self.visitors[arm] += 1;
            if clicked {
                clicks.push(name);
            }
        }
        Ok(clicks)
    }

    /// Reports the clicks of a wave.
    pub(super) async fn click(&mut self, engine: &Engine, clicks: Clicks) -> Result<(), Error> {
        let system = Principal::system();
        let counted = clicks.into_iter().map(|visitor| {
            let request = Convert {
                visitor,
                ..Convert::default()
            };
            engine.convert(&system, self.id, request)
        });
        let counted = try_join_all(counted).await?;
        let fresh = counted.iter().filter(|converted| !converted.duplicate);
        self.conversions += fresh.count() as u64;
        Ok(())
    }

    /// Makes the engine think about the weights, which it does with every batch when it is time: by
    /// a conversion of somebody who never came, which counts nothing.
    pub(super) async fn learn(&self, engine: &Engine) -> Result<(), Error> {
        let request = Convert {
            visitor: "nobody".to_owned(),
            ..Convert::default()
        };
        match engine.convert(&Principal::system(), self.id, request).await {
            Err(error) if *error.kind() != ErrorKind::NotAssigned => Err(error),
            _ => Ok(()),
        }
    }

    /// Completes the experiment.
    pub(super) async fn complete(&self, engine: &Engine) -> Result<(), Error> {
        let system = Principal::system();
        let step = Transition::Complete;
        engine
            .transition(&system, self.id, step, Default::default(), None)
            .await
            .map(drop)
    }
}

fn draft(record: &OldTest, allocation: &Allocation) -> ExperimentDraft {
    let variants = record.arms.iter().enumerate().map(|(position, arm)| {
        let content = json!({ "text": arm.name });
        VariantDraft {
            is_control: position == 0,
            ..VariantDraft::new(arm.name.as_str(), content)
        }
    });
    ExperimentDraft {
        allocation: allocation.clone(),
        ..ExperimentDraft::new(
            record.name.as_str(),
            vec![ElementDraft::new("arm", variants.collect())],
        )
    }
}
