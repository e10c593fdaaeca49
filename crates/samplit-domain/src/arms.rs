//! The arms of an experiment: what each of its draws chooses among.

use crate::{Experiment, VariantId};

/// The most arms one draw may have.
pub const MAX_ARMS: usize = 64;

/// What one draw may choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arm {
    /// The variant's name; for a combination the names joined by ` + `.
    pub name: String,
    /// The variants this arm shows: one, or one per element when the draw is over combinations.
    pub variants: Vec<VariantId>,
    /// Whether new visitors may get it.
    pub is_active: bool,
    /// Whether every variant of it is a control.
    pub is_control: bool,
}

/// The arms of one draw, by position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArmSet {
    /// The arms. The position of an arm never changes once the experiment has started.
    pub arms: Vec<Arm>,
}

impl ArmSet {
    /// The arm that shows exactly `variants`.
    #[must_use]
    pub fn position(&self, variants: &[VariantId]) -> Option<usize> {
        self.arms.iter().position(|arm| arm.variants == variants)
    }

    /// The arm the others are compared with.
    #[must_use]
    pub fn control(&self) -> usize {
        self.arms.iter().position(|arm| arm.is_control).unwrap_or(0)
    }

    /// Which arms new visitors may get.
    #[must_use]
    pub fn active(&self) -> Vec<bool> {
        self.arms.iter().map(|arm| arm.is_active).collect()
    }
}

/// The draws of an experiment: one per element, or a single one over all combinations.
///
/// Combinations are ordered with the last element varying fastest.
#[must_use]
pub fn arm_sets(experiment: &Experiment) -> Vec<ArmSet> {
    let per_element = experiment.elements.iter().map(|element| {
        let control = element.control().map(|variant| variant.id);
        let arms = element.variants.iter().map(|variant| Arm {
            name: variant.name.clone(),
            variants: vec![variant.id],
            is_active: variant.is_active,
            is_control: Some(variant.id) == control,
        });
        ArmSet {
            arms: arms.collect(),
        }
    });
    if !experiment.is_factorial() {
        return per_element.collect();
    }
    let product = per_element.reduce(|left, right| ArmSet {
        arms: left
            .arms
            .iter()
            .flat_map(|first| right.arms.iter().map(move |second| combine(first, second)))
            .collect(),
    });
    product.into_iter().collect()
}

fn combine(first: &Arm, second: &Arm) -> Arm {
    Arm {
        name: format!("{} + {}", first.name, second.name),
        variants: [first.variants.as_slice(), second.variants.as_slice()].concat(),
        is_active: first.is_active && second.is_active,
        is_control: first.is_control && second.is_control,
    }
}
