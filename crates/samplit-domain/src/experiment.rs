//! An experiment as it stands in the database: a tree of elements and variants.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use time::OffsetDateTime;

use crate::{
    Allocation, ElementId, ElementType, ExperimentId, GoalId, GoalTrigger, Hypothesis, Mode,
    Selector, Status, Stopping, Strategy, UserId, VariantId, words,
};

words! {
    /// The column `experiments.experiment_type`.
    ExperimentType {
        /// One element.
        AbTest => "ab_test",
        /// Several elements at once.
        MultiElement => "multi_element",
    }
}

words! {
    /// What a goal measures.
    GoalKind {
        /// Whether a visitor converts.
        Conversion => "conversion",
        /// How much a visitor is worth.
        Value => "value",
    }
}

/// An experiment.
#[derive(Clone, Debug, PartialEq)]
pub struct Experiment {
    /// Its id.
    pub id: ExperimentId,
    /// The account that owns it; none for rows older than accounts.
    pub user_id: Option<UserId>,
    /// What people call it.
    pub name: String,
    /// What programs call it; unique among those of its owner.
    pub key: Option<String>,
    /// What it is about.
    pub description: Option<String>,
    /// The pages under test, a [`PagePattern`](crate::PagePattern); none: every page.
    pub target_url: Option<String>,
    /// Where it stands in its lifecycle.
    pub status: Status,
    /// One element or several.
    pub experiment_type: ExperimentType,
    /// Share of visitors who take part, in `[0, 1]`.
    pub traffic_allocation: f64,
    /// Adaptive or fixed weights.
    pub strategy: Strategy,
    /// The parameters of the strategy.
    pub allocation: Allocation,
    /// When it may stop.
    pub stopping: Stopping,
    /// What is expected of it, announced before anybody is assigned.
    pub hypothesis: Option<Hypothesis>,
    /// What was registered at the start; its hash stands in the genesis entry.
    pub registration: Option<Json>,
    /// The places under test, in `element_order`.
    pub elements: Vec<Element>,
    /// What counts as success; the primary goal first.
    pub goals: Vec<Goal>,
    /// Per element the variant that everybody gets after completion; empty: control.
    pub declared_winner: BTreeMap<ElementId, VariantId>,
    /// Free to the user.
    pub metadata: Json,
    /// Grows by one with every change; the `ETag`.
    pub version: i64,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it last changed.
    pub updated_at: OffsetDateTime,
    /// When it first became active.
    pub started_at: Option<OffsetDateTime>,
    /// When it was completed.
    pub completed_at: Option<OffsetDateTime>,
    /// When it was put away.
    pub archived_at: Option<OffsetDateTime>,
}

/// A place on the page under test.
#[derive(Clone, Debug, PartialEq)]
pub struct Element {
    /// Its id.
    pub id: ElementId,
    /// What people call it; unique within the experiment.
    pub name: String,
    /// How it is found on the page; none for experiments decided on a server.
    pub selector: Option<Selector>,
    /// Tried in order when `selector` matches nothing.
    pub fallback_selectors: Vec<Selector>,
    /// What kind of thing it is.
    pub element_type: Option<ElementType>,
    /// What stands there without the experiment.
    pub original_content: Option<Json>,
    /// What may stand there, in `variant_order`.
    pub variants: Vec<Variant>,
}

/// One content of an element.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// Its id.
    pub id: VariantId,
    /// What people call it; unique within the element.
    pub name: String,
    /// What a visitor sees; any JSON.
    pub content: Json,
    /// Whether it is the one the others are compared with.
    pub is_control: bool,
    /// Whether new visitors may get it.
    pub is_active: bool,
    /// Visitors assigned so far.
    pub total_allocations: i64,
    /// Of those, converted so far.
    pub total_conversions: i64,
}

/// What counts as success.
#[derive(Clone, Debug, PartialEq)]
pub struct Goal {
    /// Its id.
    pub id: GoalId,
    /// The name that conversions give; unique within the experiment.
    pub name: String,
    /// Whether the weights follow it.
    pub is_primary: bool,
    /// What it measures.
    pub kind: GoalKind,
    /// The value of a conversion that names none.
    pub default_value: f64,
    /// What on a page reaches it; none: only callers say so.
    pub trigger: Option<GoalTrigger>,
}

impl Element {
    /// The variant the others are compared with; the first one where none is marked (rows older
    /// than the rule).
    #[must_use]
    pub fn control(&self) -> Option<&Variant> {
        self.variants
            .iter()
            .find(|variant| variant.is_control)
            .or_else(|| self.variants.first())
    }
}

impl Experiment {
    /// Whether all combinations are arms of one draw.
    #[must_use]
    pub fn is_factorial(&self) -> bool {
        self.elements.len() > 1 && self.allocation.mode == Mode::Factorial
    }

    /// The variant with an id, whatever its element.
    #[must_use]
    pub fn variant(&self, id: VariantId) -> Option<&Variant> {
        self.elements
            .iter()
            .flat_map(|element| &element.variants)
            .find(|v| v.id == id)
    }

    /// The variant of each element that everybody gets once the experiment is completed.
    #[must_use]
    pub fn winners(&self) -> Vec<VariantId> {
        self.elements
            .iter()
            .filter_map(|element| {
                let declared = self.declared_winner.get(&element.id);
                declared
                    .copied()
                    .or_else(|| element.control().map(|control| control.id))
            })
            .collect()
    }
}
