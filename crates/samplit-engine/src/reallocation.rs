//! Learning: when counts have moved, the posteriors become new weights.

use std::time::Duration;

use ring::rand::SystemRandom;
use samplit_audit::payload::{ArmState, Block, Genesis, Method as MethodWord, Reallocation};
use samplit_audit::{PerElement, Place};
use samplit_bandit::{Method, Weights, allocate};
use samplit_domain::{ArmSet, VariantId};
use samplit_store::statistics::ArmStatistics;
use uuid::Uuid;

use crate::Error;
use crate::core::Core;
use crate::live::Snapshot;
use crate::rule::{arm_states, rule};
use crate::trail::{Trail, unsigned};

/// A weight has to move by half a percentage point to be worth an entry ...
const MIN_MOVE_PPB: u32 = 5_000_000;

/// ... or the snapshot has to be this old.
const MAX_AGE: Duration = Duration::from_secs(60);

/// New weights and what they follow from.
#[derive(Clone, Debug)]
pub(crate) struct Proposal {
    method: MethodWord,
    pub(crate) weights: Vec<Weights>,
    blocks: Vec<Block>,
}

/// Counts `(n, s)` per element and arm.
pub(crate) type Totals = Vec<Vec<(u64, u64)>>;

/// Adds rows up in the shape of the experiment; arms without a row have nothing yet.
pub(crate) fn totals(arm_sets: &[ArmSet], rows: &[ArmStatistics]) -> Result<Totals, Error> {
    let mut totals: Totals = arm_sets
        .iter()
        .map(|set| vec![(0, 0); set.arms.len()])
        .collect();
    for row in rows {
        let element = usize::try_from(row.element)
            .ok()
            .and_then(|e| totals.get_mut(e));
        let arm = usize::try_from(row.arm)
            .ok()
            .zip(element)
            .and_then(|(a, e)| e.get_mut(a));
        let arm = arm.ok_or_else(|| {
            samplit_store::Error::inconsistent(
                "variant_statistics",
                "arm",
                format!(
                    "{} has no arm {} of element {}",
                    row.experiment_id, row.arm, row.element
                ),
            )
        })?;
        arm.0 += unsigned(row.assignments)?;
        arm.1 += unsigned(row.conversions)?;
    }
    Ok(totals)
}

/// Computes the weights that the rule of `genesis` gives for `totals`.
pub(crate) fn propose(
    genesis: &Genesis,
    arm_sets: &[ArmSet],
    totals: &Totals,
) -> Result<Proposal, Error> {
    let mut proposal = Proposal {
        method: MethodWord::Uniform,
        weights: Vec::new(),
        blocks: Vec::new(),
    };
    for (element, (set, counts)) in arm_sets.iter().zip(totals).enumerate() {
        let active = set.active();
        let allocation = allocate(&rule(genesis, element), &arm_states(counts, &active))
            .map_err(Error::internal)?;
        let arms = counts.iter().enumerate().map(|(arm, &(n, s))| ArmState {
            active: active[arm],
            n,
            s,
            alpha: allocation.posteriors[arm].alpha(),
            beta: allocation.posteriors[arm].beta(),
            p_best: allocation.p_best[arm].clamp(0.0, 1.0),
        });
        proposal.blocks.push(Block {
            arms: arms.collect(),
            weights_ppb: allocation.weights.as_slice().to_vec(),
        });
        // Elements leave the warm-up one by one; the entry is named after the first that has.
        if proposal.method == MethodWord::Uniform {
            proposal.method = word(allocation.method);
        }
        proposal.weights.push(allocation.weights);
    }
    Ok(proposal)
}

impl Proposal {
    /// Whether it differs enough from the weights in force to be worth an entry.
    pub(crate) fn is_worth(&self, snapshot: &Snapshot, now_us: i64) -> bool {
        let pairs = self.weights.iter().zip(&snapshot.weights);
        let moved = pairs.map(|(new, old)| new.max_move(old)).max().unwrap_or(0);
        let age = u64::try_from(now_us - snapshot.at_us).unwrap_or(0);
        moved >= MIN_MOVE_PPB || Duration::from_micros(age) >= MAX_AGE
    }

    /// Appends the entry and gives back the weights that are in force from it on.
    pub(crate) fn append(
        &self,
        core: &Core,
        genesis: &Genesis,
        trail: &mut Trail,
        now_us: i64,
    ) -> Result<Snapshot, Error> {
        let payload = self.payload(genesis, trail.size());
        let appended = trail.append_snapshot(core.ids.next(), now_us, &payload)?;
        core.meter.reallocations.increment(1);
        Ok(Snapshot {
            seq: appended.sequence,
            at_us: appended.at_us,
            method: self.method.as_str(),
            weights: self.weights.clone(),
        })
    }

    fn payload(&self, genesis: &Genesis, upto_seq: u64) -> Reallocation {
        let elements = match &genesis.elements {
            PerElement::One(_) => PerElement::One(self.blocks[0].clone()),
            PerElement::Many(_) => PerElement::Many(self.blocks.clone()),
        };
        Reallocation {
            upto_seq,
            method: self.method,
            elements,
        }
    }

    /// The posterior of each variant, sealed for `element_variants.algorithm_state`. A variant that
    /// takes part in several combinations gets what they add up to.
    pub(crate) fn sealed_states(
        &self,
        core: &Core,
        arm_sets: &[ArmSet],
        upto_seq: u64,
    ) -> Result<(Vec<Uuid>, Vec<String>), Error> {
        let mut states = Vec::<(VariantId, ArmState)>::new();
        for (set, block) in arm_sets.iter().zip(&self.blocks) {
            for (arm, state) in set.arms.iter().zip(&block.arms) {
                for &variant in &arm.variants {
                    match states.iter_mut().find(|(id, _)| *id == variant) {
                        Some((_, sum)) => {
                            sum.n += state.n;
                            sum.s += state.s;
                            sum.p_best += state.p_best;
                            // The prior counts once.
                            sum.alpha += count(state.s);
                            sum.beta += count(state.n - state.s);
                        }
                        None => states.push((variant, *state)),
                    }
                }
            }
        }
        let mut ids = Vec::with_capacity(states.len());
        let mut sealed = Vec::with_capacity(states.len());
        for (variant, state) in states {
            let plain = serde_json::json!({
                "alpha": state.alpha, "beta": state.beta, "n": state.n, "s": state.s,
                "p_best": state.p_best, "upto_seq": upto_seq,
            });
            let row = variant.to_string();
            let place = Place {
                table: "element_variants",
                row: &row,
                column: "algorithm_state",
            };
            let text = core
                .config
                .keys
                .seal_text(place, plain.to_string().as_bytes(), &SystemRandom::new())
                .map_err(Error::internal)?;
            ids.push(variant.0);
            sealed.push(text);
        }
        Ok((ids, sealed))
    }
}

fn word(method: Method) -> MethodWord {
    match method {
        Method::Uniform => MethodWord::Uniform,
        Method::Thompson => MethodWord::Thompson,
        Method::TopTwo => MethodWord::TopTwo,
        Method::Fixed => MethodWord::Fixed,
    }
}

/// A count as a real; exact below 2^53.
#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
pub(crate) const fn count(number: u64) -> f64 {
    number as f64
}
