//! How an experiment stands, in one line: for lists. From the counters of the variants, which are
//! read with the experiment; results tell more, and cost more.

use samplit_bandit::{Counts, Prior, p_best};
use samplit_domain::{Element, Experiment, Variant};

use crate::Error;
use crate::trail::unsigned;

/// How an experiment stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Visitors assigned.
    pub visitors: u64,
    /// Of those, converted.
    pub conversions: u64,
    /// The leader of each element, in their order. Empty before the first visitor, and where all
    /// combinations are arms of one draw: counters of variants do not tell which leads.
    pub leaders: Vec<Leader>,
}

/// The variant of an element that is most likely the best.
#[derive(Clone, Debug, PartialEq)]
pub struct Leader {
    /// The element.
    pub element: String,
    /// The variant.
    pub variant: String,
    /// Whether it is the one the others are compared with.
    pub is_control: bool,
    /// The probability of having the highest conversion rate among those that still get visitors.
    pub p_best: f64,
    /// The visitors of the variant that has the fewest, among those.
    pub fewest_visitors: u64,
}

impl Standing {
    /// How `experiment` stands by the counters that were read with it.
    ///
    /// # Errors
    /// When a counter or the prior is out of range.
    pub fn of(experiment: &Experiment) -> Result<Self, Error> {
        let mut standing = Self {
            visitors: 0,
            conversions: 0,
            leaders: Vec::new(),
        };
        // Every visitor is in every draw, so any one of them counts all.
        let counted = experiment.elements.first();
        for variant in counted.map_or(&[][..], |element| &element.variants) {
            standing.visitors += unsigned(variant.total_allocations)?;
            standing.conversions += unsigned(variant.total_conversions)?;
        }
        if standing.visitors > 0 && !experiment.is_factorial() {
            let prior = Prior {
                alpha: experiment.allocation.prior_alpha,
                beta: experiment.allocation.prior_beta,
            };
            for element in &experiment.elements {
                standing.leaders.extend(leader(element, prior)?);
            }
        }
        Ok(standing)
    }
}

/// `None`: no variant gets visitors.
fn leader(element: &Element, prior: Prior) -> Result<Option<Leader>, Error> {
    let playing: Vec<&Variant> = element.variants.iter().filter(|v| v.is_active).collect();
    if playing.is_empty() {
        return Ok(None);
    }
    let mut fewest_visitors = u64::MAX;
    let mut posteriors = Vec::with_capacity(playing.len());
    for variant in &playing {
        let n = unsigned(variant.total_allocations)?;
        // Counters older than the trail may tell of more conversions than visitors.
        let s = unsigned(variant.total_conversions)?.min(n);
        fewest_visitors = fewest_visitors.min(n);
        let posterior = prior.posterior(Counts { n, s });
        posteriors.push(posterior.map_err(Error::internal)?);
    }
    let best = p_best(&posteriors).map_err(Error::internal)?;
    let leader = playing.iter().zip(best).max_by(|a, b| a.1.total_cmp(&b.1));
    Ok(leader.map(|(variant, p_best)| Leader {
        element: element.name.clone(),
        variant: variant.name.clone(),
        is_control: variant.is_control,
        p_best,
        fewest_visitors,
    }))
}
