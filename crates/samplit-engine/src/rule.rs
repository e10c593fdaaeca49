//! The allocation rule that a genesis entry announces, as the statistics crate understands it.
//!
//! The writer and every verifier go through [`BanditRule`], so that what is replayed is what was
//! run.

use samplit_audit::payload::{Genesis, Policy as PolicyWord};
use samplit_audit::{AllocationRule, ArmCount};
use samplit_bandit::{ArmState, Policy, Prior, Rule, SCALE, allocate};

/// Computes weights from counts as a genesis entry says.
#[derive(Clone, Copy, Debug, Default)]
pub struct BanditRule;

impl AllocationRule for BanditRule {
    fn weights(
        &self,
        genesis: &Genesis,
        element: usize,
        counts: &[ArmCount],
    ) -> Result<Vec<u32>, String> {
        let arms: Vec<_> = counts
            .iter()
            .map(|&ArmCount { n, s, active }| ArmState { n, s, active })
            .collect();
        let allocation =
            allocate(&rule(genesis, element), &arms).map_err(|error| error.to_string())?;
        Ok(allocation.weights.as_slice().to_vec())
    }
}

/// The rule of one draw of an experiment.
pub(crate) fn rule(genesis: &Genesis, element: usize) -> Rule {
    let policy = match genesis.policy {
        PolicyWord::Thompson => Policy::Thompson,
        PolicyWord::TopTwo => Policy::TopTwo,
        PolicyWord::Fixed => {
            let shares = genesis.elements.as_slice().get(element);
            let shares = shares.map_or(&[][..], |element| element.weights_ppb.as_slice());
            Policy::Fixed(shares.iter().map(|&ppb| share(ppb)).collect())
        }
    };
    Rule {
        policy,
        prior: Prior {
            alpha: genesis.prior.alpha,
            beta: genesis.prior.beta,
        },
        floor: share(genesis.floor_ppb),
        warm_up: genesis.warm_up,
    }
}

/// Parts per billion as a share of one.
pub(crate) fn share(ppb: u32) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "10^9 is exact")]
    let scale = SCALE as f64;
    f64::from(ppb) / scale
}

/// What the statistics crate is told about the arms of a draw.
pub(crate) fn arm_states(counts: &[(u64, u64)], active: &[bool]) -> Vec<ArmState> {
    let arms = counts.iter().zip(active);
    arms.map(|(&(n, s), &active)| ArmState { n, s, active })
        .collect()
}
