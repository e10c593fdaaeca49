//! What the variants of a factorial experiment add, one by one and in pairs.
//!
//! Arms are combinations with independent posteriors, so an effect is a contrast of posterior means
//! and its variance the sum of theirs: how often a combination was shown does not bias it. A main
//! effect is averaged over all settings of the other elements, each counting the same; an
//! interaction is the difference of differences. Intervals by normal approximation.
//!
//! There are many, so that at 95 % about one in twenty leaves zero out by chance. Which ones still do when
//! all are held to it together is said beside each (Bonferroni).

use samplit_bandit::{Estimate, bonferroni};
use samplit_domain::{Experiment, VariantId};
use serde::Serialize;

use super::{ArmResults, LEVEL};
use crate::Error;
use crate::reallocation::count;

/// What a variant, or a pair of variants of different elements, adds to the conversion rate.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Effect {
    /// One variant: its main effect against the control of its element. Two: what they add beyond
    /// the sum of their main effects at the other's control.
    pub variants: Vec<VariantId>,
    /// Their names joined by ` x `.
    pub name: String,
    /// In conversions per visitor.
    pub effect: f64,
    /// 95 % interval of the posterior, of this effect alone.
    pub interval: [f64; 2],
    /// Whether zero is left out also by the interval that is wide enough for all effects together.
    pub stands_out: bool,
}

/// A contrast of posterior means, before it is known how many there are.
struct Contrast {
    variants: Vec<VariantId>,
    name: String,
    estimate: Estimate,
}

/// Main effects and interactions of pairs; empty unless the arms are combinations.
pub(super) fn effects(experiment: &Experiment, arms: &[ArmResults]) -> Result<Vec<Effect>, Error> {
    if !experiment.is_factorial() {
        return Ok(Vec::new());
    }
    let controls: Vec<VariantId> = experiment
        .elements
        .iter()
        .filter_map(|e| e.control())
        .map(|v| v.id)
        .collect();
    let mut effects = Vec::new();
    for (first, element) in experiment.elements.iter().enumerate() {
        for variant in element.variants.iter().filter(|v| v.id != controls[first]) {
            let main = |shown: &[VariantId]| sign(shown[first], variant.id, controls[first]);
            effects.push(contrast(arms, &[(variant.id, &variant.name)], main)?);
        }
    }
    for (first, one) in experiment.elements.iter().enumerate() {
        for (second, other) in experiment.elements.iter().enumerate().skip(first + 1) {
            for a in one.variants.iter().filter(|v| v.id != controls[first]) {
                for b in other.variants.iter().filter(|v| v.id != controls[second]) {
                    let both = |shown: &[VariantId]| {
                        sign(shown[first], a.id, controls[first])
                            * sign(shown[second], b.id, controls[second])
                    };
                    effects.push(contrast(arms, &[(a.id, &a.name), (b.id, &b.name)], both)?);
                }
            }
        }
    }
    told(effects)
}

/// The effects with their intervals.
fn told(contrasts: Vec<Contrast>) -> Result<Vec<Effect>, Error> {
    if contrasts.is_empty() {
        return Ok(Vec::new());
    }
    let alpha = bonferroni(1.0 - LEVEL, contrasts.len()).map_err(Error::internal)?;
    let told = contrasts.into_iter().map(|contrast| {
        let estimate = contrast.estimate;
        let (low, high) = estimate.interval(LEVEL).map_err(Error::internal)?;
        let (least, most) = estimate.interval(1.0 - alpha).map_err(Error::internal)?;
        Ok(Effect {
            variants: contrast.variants,
            name: contrast.name,
            effect: estimate.value,
            interval: [low, high],
            stands_out: least > 0.0 || most < 0.0,
        })
    });
    told.collect()
}

/// +1 for the variant, -1 for the control, 0 for any other.
fn sign(shown: VariantId, variant: VariantId, control: VariantId) -> f64 {
    if shown == variant {
        1.0
    } else if shown == control {
        -1.0
    } else {
        0.0
    }
}

/// The contrast of posterior means whose coefficients are `signs`, scaled so that the positive ones
/// of each setting of the other elements sum to the same.
fn contrast(
    arms: &[ArmResults],
    variants: &[(VariantId, &String)],
    signs: impl Fn(&[VariantId]) -> f64,
) -> Result<Contrast, Error> {
    let signs: Vec<f64> = arms.iter().map(|arm| signs(&arm.variants)).collect();
    let used = signs.iter().filter(|sign| sign.abs() > 0.0).count() as u64;
    // 2 arms per setting of the others for a main effect, 4 for an interaction.
    let settings = count(used) / count(1 << variants.len());
    if settings < 1.0 {
        return Err(Error::internal("a factorial experiment lacks combinations"));
    }
    let (mut effect, mut variance) = (0.0, 0.0);
    for (arm, sign) in arms.iter().zip(&signs) {
        let coefficient = sign / settings;
        effect += coefficient * arm.posterior_mean;
        variance += (coefficient * arm.posterior_sd).powi(2);
    }
    let names: Vec<&str> = variants.iter().map(|(_, name)| name.as_str()).collect();
    Ok(Contrast {
        variants: variants.iter().map(|(id, _)| *id).collect(),
        name: names.join(" x "),
        estimate: Estimate {
            value: effect,
            standard_error: variance.sqrt(),
        },
    })
}
