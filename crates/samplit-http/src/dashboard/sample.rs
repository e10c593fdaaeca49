//! A draw for tests: so many arms, the first of them control, a thousand visitors each.

use samplit_engine::{ArmEvidence, ArmResults, ElementResults, StoppingProgress};

/// A draw whose arms are so likely to be the best.
pub(crate) fn draw(leader: usize, chances: &[f64]) -> ElementResults {
    let arms = chances.iter().enumerate().map(|(arm, p_best)| ArmResults {
        name: format!("arm {arm}"),
        variants: Vec::new(),
        is_control: arm == 0,
        is_active: true,
        assignments: 1_000,
        exposures: 0,
        conversions: 100,
        rate: Some(0.1),
        value_sum: 0.0,
        posterior_mean: 0.1,
        posterior_sd: 0.01,
        credible_interval: [0.08, 0.12],
        p_best: *p_best,
        expected_loss: 0.01 * (1.0 - p_best),
        p_beats_control: None,
        lift: None,
        expected_gain_per_1000: None,
        value: None,
        evidence: ArmEvidence::default(),
        weight: 1.0,
    });
    ElementResults {
        name: "headline".to_owned(),
        arms: arms.collect(),
        sample_ratio: None,
        stopping: StoppingProgress {
            leader,
            may_stop: false,
            missing: Vec::new(),
            days: 8.0,
            conditions: Vec::new(),
        },
        effects: Vec::new(),
    }
}
