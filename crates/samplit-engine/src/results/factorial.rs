//! What the variants of a factorial experiment add, one by one and in pairs.
//!
//! Arms are combinations, so an effect is a contrast of their observed rates, and its variance the sum of
//! those of their posteriors. Not of posterior means: each is drawn towards one half, by the more the less
//! an arm was shown, and over all the settings that a variant was starved in that adds up to an effect. A
//! main effect is averaged over all settings of the other elements, each counting the same; an interaction
//! is the difference of differences. Intervals by normal approximation, which needs some conversions.
//!
//! There are many, so that at 95 % about one in twenty leaves zero out by chance. Which ones still do when
//! all are held to it together is said beside each (Bonferroni).

use samplit_bandit::{Estimate, bonferroni};
use samplit_domain::{Experiment, VariantId};
use serde::Serialize;

use super::{ArmResults, LEVEL};
use crate::Error;
use crate::reallocation::count;

/// Conversions that either side of a contrast has to have, so that it may stand out: with fewer, chance is
/// not normal.
const MIN_CONVERSIONS: u64 = 5;

/// What a variant, or a pair of variants of different elements, adds to the conversion rate. Told where each
/// combination that it is made of has visitors.
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
    /// 95 % interval of this effect alone.
    pub interval: [f64; 2],
    /// Whether zero is left out also by the interval that is wide enough for all effects together, with at
    /// least 5 conversions on either side.
    pub stands_out: bool,
}

/// What is known of a combination.
#[derive(Clone, Copy)]
struct Cell {
    visitors: u64,
    conversions: u64,
    /// The standard deviation of its posterior, which is more than 0 without a conversion, too.
    sd: f64,
}

/// A contrast of observed rates.
struct Measured {
    estimate: Estimate,
    /// Conversions of the side that has fewer.
    conversions: u64,
}

/// An effect before it is known how many there are.
struct Contrast {
    variants: Vec<VariantId>,
    name: String,
    /// `None`: a combination that it needs has no visitors.
    measured: Option<Measured>,
}

/// Main effects and interactions of pairs, as far as there are visitors to tell them by; empty unless the
/// arms are combinations.
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
    // Those that cannot be told yet count, too: which ones can is a matter of the data.
    let alpha = bonferroni(1.0 - LEVEL, contrasts.len()).map_err(Error::internal)?;
    let told = contrasts.into_iter().filter_map(|contrast| {
        let measured = contrast.measured?;
        Some((contrast.variants, contrast.name, measured))
    });
    let told = told.map(|(variants, name, measured)| {
        let interval = measured.estimate.interval(LEVEL);
        Ok(Effect {
            variants,
            name,
            effect: measured.estimate.value,
            interval: interval.map_err(Error::internal)?.into(),
            stands_out: measured.stands_out(alpha)?,
        })
    });
    told.collect()
}

impl Measured {
    /// Whether zero is left out at `1 - alpha`, by enough conversions to say so.
    fn stands_out(&self, alpha: f64) -> Result<bool, Error> {
        let interval = self.estimate.interval(1.0 - alpha);
        let (least, most) = interval.map_err(Error::internal)?;
        Ok(self.conversions >= MIN_CONVERSIONS && (least > 0.0 || most < 0.0))
    }
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

fn contrast(
    arms: &[ArmResults],
    variants: &[(VariantId, &String)],
    signs: impl Fn(&[VariantId]) -> f64,
) -> Result<Contrast, Error> {
    let cells = arms.iter().map(|arm| {
        let cell = Cell {
            visitors: arm.assignments,
            conversions: arm.conversions,
            sd: arm.posterior_sd,
        };
        (signs(&arm.variants), cell)
    });
    let cells: Vec<(f64, Cell)> = cells.filter(|(sign, _)| sign.abs() > 0.0).collect();
    let names: Vec<&str> = variants.iter().map(|(_, name)| name.as_str()).collect();
    Ok(Contrast {
        variants: variants.iter().map(|(id, _)| *id).collect(),
        name: names.join(" x "),
        measured: measure(&cells, variants.len())?,
    })
}

/// The contrast of the rates of `cells` by their signs, of `variants` variants, scaled so that the positive
/// ones of each setting of the other elements sum to the same; `None` where a rate is not known.
fn measure(cells: &[(f64, Cell)], variants: usize) -> Result<Option<Measured>, Error> {
    // 2 arms per setting of the others for a main effect, 4 for an interaction.
    let settings = count(cells.len() as u64) / count(1 << variants);
    if settings < 1.0 {
        return Err(Error::internal("a factorial experiment lacks combinations"));
    }
    let (mut effect, mut variance) = (0.0, 0.0);
    let (mut more, mut less) = (0, 0);
    for (sign, cell) in cells {
        if cell.visitors == 0 {
            return Ok(None);
        }
        let coefficient = sign / settings;
        effect += coefficient * count(cell.conversions) / count(cell.visitors);
        variance += (coefficient * cell.sd).powi(2);
        let side = if *sign > 0.0 { &mut more } else { &mut less };
        *side += cell.conversions;
    }
    Ok(Some(Measured {
        estimate: Estimate {
            value: effect,
            standard_error: variance.sqrt(),
        },
        conversions: more.min(less),
    }))
}

#[cfg(test)]
mod tests {
    use samplit_bandit::{Counts, Prior, bonferroni};

    use super::{Cell, measure};
    use crate::reallocation::count;

    fn cell(visitors: u64, conversions: u64) -> Cell {
        let counts = Counts {
            n: visitors,
            s: conversions,
        };
        Cell {
            visitors,
            conversions,
            sd: Prior::default()
                .posterior(counts)
                .unwrap()
                .standard_deviation(),
        }
    }

    /// Numbers in `[0, 1)` (`SplitMix64`).
    struct Chance(u64);

    impl Chance {
        fn next(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            count((z ^ (z >> 31)) >> 11) / count(1 << 53)
        }

        /// How many of `visitors` convert at `rate`, by inversion.
        fn conversions(&mut self, visitors: u64, rate: f64) -> u64 {
            let mut left = self.next();
            let mut p = (1.0 - rate).powf(count(visitors));
            let mut s = 0;
            while left >= p && s < visitors {
                left -= p;
                p *= count(visitors - s) / count(s + 1) * rate / (1.0 - rate);
                s += 1;
            }
            s
        }
    }

    /// The signs of all main effects and pairs of `elements` elements of two variants, arm by arm.
    fn contrasts(elements: u32) -> Vec<(usize, Vec<f64>)> {
        let sign = |arm: u32, element: u32| {
            if arm >> element & 1 == 1 { 1.0 } else { -1.0 }
        };
        let arms = || 0..1_u32 << elements;
        let mut all = Vec::new();
        for one in 0..elements {
            all.push((1, arms().map(|arm| sign(arm, one)).collect()));
            for other in one + 1..elements {
                let both = arms().map(|arm| sign(arm, one) * sign(arm, other));
                all.push((2, both.collect()));
            }
        }
        all
    }

    /// The share of experiments in which anything stands out although nothing has an effect: half of the
    /// combinations were taken out after `frozen` visitors each, those with the variant of one element.
    fn wrong(elements: u32, (frozen, others): (u64, u64), rate: f64) -> f64 {
        let contrasts = contrasts(elements);
        let alpha = bonferroni(0.05, contrasts.len()).unwrap();
        let mut chance = Chance(20_261_125);
        let experiments = 2_000_u32;
        let mut marked = 0_u32;
        for _ in 0..experiments {
            let arms = 0..1_u32 << elements;
            let cells = arms.map(|arm| {
                let visitors = if arm & 1 == 1 { frozen } else { others };
                cell(visitors, chance.conversions(visitors, rate))
            });
            let cells: Vec<Cell> = cells.collect();
            let stands_out = contrasts.iter().any(|(variants, signs)| {
                let cells: Vec<_> = signs.iter().copied().zip(cells.iter().copied()).collect();
                let measured = measure(&cells, *variants).unwrap().unwrap();
                measured.stands_out(alpha).unwrap()
            });
            marked += u32::from(stands_out);
        }
        f64::from(marked) / f64::from(experiments)
    }

    #[test]
    fn a_variant_that_was_starved_does_not_stand_out_by_that() {
        // Promised is 5 %; 2,000 experiments tell it to 0.5 % (one standard error).
        for (elements, visitors, rate) in [
            (6, (100, 2_000), 0.01),
            (2, (100, 2_000), 0.01),
            (2, (500, 20_000), 0.01),
            (3, (200, 2_000), 0.05),
        ] {
            let wrong = wrong(elements, visitors, rate);
            assert!(wrong <= 0.065, "{elements} {visitors:?} {rate}: {wrong}");
        }
    }

    #[test]
    fn an_effect_is_of_observed_rates_and_needs_visitors_and_conversions() {
        let signs = [1.0, -1.0, 1.0, -1.0];
        let of = |cells: [Cell; 4]| {
            let cells: Vec<_> = signs.into_iter().zip(cells).collect();
            measure(&cells, 1).unwrap()
        };
        let few = of([cell(10, 4), cell(9_000, 9), cell(10, 0), cell(9_000, 9)]).unwrap();
        assert!((few.estimate.value - 0.199).abs() < 1e-12);
        let some = of([cell(10, 4), cell(9_000, 9), cell(10, 4), cell(9_000, 9)]).unwrap();
        assert!(some.stands_out(0.05).unwrap());
        assert_eq!((few.conversions, some.conversions), (4, 8));
        assert!(!few.stands_out(0.5).unwrap(), "4 conversions");
        let none = of([cell(0, 0), cell(9_000, 9), cell(10, 4), cell(9_000, 9)]);
        assert!(none.is_none());
        assert!(measure(&[], 1).is_err());
    }
}
