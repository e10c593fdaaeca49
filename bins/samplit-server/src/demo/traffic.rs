//! Visitors that are made up: they arrive, see an arm, and convert at its rate or do not.

use std::time::Duration;

use anyhow::Context as _;
use rand::rngs::ChaCha12Rng;
use rand::{Rng as _, SeedableRng as _};
use samplit_engine::{Assign, Convert, Engine, ExperimentId, Principal};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::ARMS;

/// How often a group of visitors arrives.
const EVERY: Duration = Duration::from_millis(50);

/// The longest that somebody thinks before converting.
const LONGEST_THOUGHT: Duration = Duration::from_secs(2);

/// Sends visitors for ever; ends only with an error.
pub(super) async fn run(
    engine: &Engine,
    experiment: ExperimentId,
    rate: u32,
    seed: u64,
) -> anyhow::Result<()> {
    let mut rng = ChaCha12Rng::seed_from_u64(seed);
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut visits = JoinSet::new();
    let mut arrived = 0_u64;
    // Visitors owed, in thousandths, so that any rate comes out right over time.
    let mut owed = 0_u64;
    loop {
        ticks.tick().await;
        owed += u64::from(rate) * u64::try_from(EVERY.as_millis())?;
        for _ in 0..owed / 1_000 {
            arrived += 1;
            let visitor = format!("visitor-{arrived}");
            let thought = LONGEST_THOUGHT.mul_f64(uniform(&mut rng));
            let visit = visit(
                engine.clone(),
                experiment,
                visitor,
                uniform(&mut rng),
                thought,
            );
            visits.spawn(visit);
        }
        owed %= 1_000;
        while let Some(visit) = visits.try_join_next() {
            visit?.context("a visitor was turned away")?;
        }
    }
}

/// One visitor, who converts if `mood` is below the rate of what is shown.
async fn visit(
    engine: Engine,
    experiment: ExperimentId,
    visitor: String,
    mood: f64,
    thought: Duration,
) -> Result<(), samplit_engine::Error> {
    let who = Principal::system();
    let request = Assign {
        visitor: visitor.clone(),
        ..Assign::default()
    };
    let assigned = engine.assign(&who, experiment, request).await?;
    let variants = &assigned.experiment.elements[0].variants;
    let shown = variants
        .iter()
        .position(|variant| variant.id == assigned.variants[0]);
    if shown.is_some_and(|arm| mood < ARMS[arm].1) {
        tokio::time::sleep(thought).await;
        let request = Convert {
            visitor,
            ..Convert::default()
        };
        engine.convert(&who, experiment, request).await?;
    }
    Ok(())
}

/// A number in `[0, 1)`.
fn uniform(rng: &mut ChaCha12Rng) -> f64 {
    f64::from(rng.next_u32()) / 2_f64.powi(32)
}
