//! An experiment as the API shows it.

use std::collections::BTreeMap;

use samplit_domain::{
    Element, ElementId, ElementType, Experiment, ExperimentId, ExperimentType, GoalId, GoalKind,
    GoalTrigger, Hypothesis, Mode, PolicyKind, Selector, Status, Stopping, StoppingRule, Strategy,
    Variant, VariantId,
};
use serde::Serialize;
use serde_json::Value as Json;
use time::OffsetDateTime;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
#[schema(as = Experiment)]
pub(crate) struct ExperimentJson<'a> {
    id: ExperimentId,
    name: &'a str,
    key: Option<&'a str>,
    description: Option<&'a str>,
    target_url: Option<&'a str>,
    status: Status,
    experiment_type: ExperimentType,
    traffic_allocation: f64,
    allocation_strategy: Strategy,
    allocation: AllocationJson,
    stopping: StoppingJson,
    hypothesis: Option<&'a Hypothesis>,
    elements: Vec<ElementJson<'a>>,
    goals: Vec<GoalJson<'a>>,
    declared_winner: &'a BTreeMap<ElementId, VariantId>,
    metadata: &'a Json,
    version: i64,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    started_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    completed_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    archived_at: Option<OffsetDateTime>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Allocation)]
pub(crate) struct AllocationJson {
    policy: PolicyKind,
    mode: Mode,
    warm_up: u64,
    floor: f64,
    prior_alpha: f64,
    prior_beta: f64,
    attribution_window_seconds: u64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Stopping)]
pub(crate) struct StoppingJson {
    rule: StoppingRule,
    threshold: f64,
    min_visitors_per_arm: u64,
    min_days: f64,
    planned_visitors: u64,
    planned_rate: f64,
    auto_complete: bool,
}

impl From<&Stopping> for StoppingJson {
    fn from(stopping: &Stopping) -> Self {
        Self {
            rule: stopping.rule,
            threshold: stopping.threshold(),
            min_visitors_per_arm: stopping.min_visitors_per_arm,
            min_days: stopping.min_days,
            planned_visitors: stopping.planned_visitors,
            planned_rate: stopping.planned_rate,
            auto_complete: stopping.auto_complete,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Element)]
pub(crate) struct ElementJson<'a> {
    id: ElementId,
    name: &'a str,
    selector: Option<&'a Selector>,
    fallback_selectors: &'a [Selector],
    element_type: Option<ElementType>,
    original_content: Option<&'a Json>,
    variants: Vec<VariantJson<'a>>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Variant)]
pub(crate) struct VariantJson<'a> {
    id: VariantId,
    name: &'a str,
    content: &'a Json,
    is_control: bool,
    is_active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<f64>,
    total_allocations: i64,
    total_conversions: i64,
    conversion_rate: Option<f64>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Goal)]
pub(crate) struct GoalJson<'a> {
    id: GoalId,
    name: &'a str,
    kind: GoalKind,
    is_primary: bool,
    default_value: f64,
    trigger: Option<&'a GoalTrigger>,
}

impl<'a> From<&'a Experiment> for ExperimentJson<'a> {
    fn from(experiment: &'a Experiment) -> Self {
        let allocation = &experiment.allocation;
        let elements = experiment.elements.iter().enumerate();
        Self {
            id: experiment.id,
            name: &experiment.name,
            key: experiment.key.as_deref(),
            description: experiment.description.as_deref(),
            target_url: experiment.target_url.as_deref(),
            status: experiment.status,
            experiment_type: experiment.experiment_type,
            traffic_allocation: experiment.traffic_allocation,
            allocation_strategy: experiment.strategy,
            allocation: AllocationJson {
                policy: allocation.policy,
                mode: allocation.mode,
                warm_up: allocation.warm_up,
                floor: allocation.floor,
                prior_alpha: allocation.prior_alpha,
                prior_beta: allocation.prior_beta,
                attribution_window_seconds: allocation.attribution_window_seconds,
            },
            stopping: StoppingJson::from(&experiment.stopping),
            hypothesis: experiment.hypothesis.as_ref(),
            elements: elements
                .map(|(index, element)| ElementJson::new(element, allocation.weights.get(index)))
                .collect(),
            goals: experiment
                .goals
                .iter()
                .map(|goal| GoalJson {
                    id: goal.id,
                    name: &goal.name,
                    kind: goal.kind,
                    is_primary: goal.is_primary,
                    default_value: goal.default_value,
                    trigger: goal.trigger.as_ref(),
                })
                .collect(),
            declared_winner: &experiment.declared_winner,
            metadata: &experiment.metadata,
            version: experiment.version,
            created_at: experiment.created_at,
            updated_at: experiment.updated_at,
            started_at: experiment.started_at,
            completed_at: experiment.completed_at,
            archived_at: experiment.archived_at,
        }
    }
}

impl<'a> ElementJson<'a> {
    pub(super) fn new(element: &'a Element, weights: Option<&Vec<f64>>) -> Self {
        let variants = element.variants.iter().enumerate();
        Self {
            id: element.id,
            name: &element.name,
            selector: element.selector.as_ref(),
            fallback_selectors: &element.fallback_selectors,
            element_type: element.element_type,
            original_content: element.original_content.as_ref(),
            variants: variants
                .map(|(index, variant)| {
                    let weight = weights.and_then(|weights| weights.get(index));
                    VariantJson::new(variant, weight.copied())
                })
                .collect(),
        }
    }
}

impl<'a> VariantJson<'a> {
    fn new(variant: &'a Variant, weight: Option<f64>) -> Self {
        Self {
            id: variant.id,
            name: &variant.name,
            content: &variant.content,
            is_control: variant.is_control,
            is_active: variant.is_active,
            weight,
            total_allocations: variant.total_allocations,
            total_conversions: variant.total_conversions,
            conversion_rate: rate(variant.total_conversions, variant.total_allocations),
        }
    }
}

/// None while there is nobody to convert.
fn rate(conversions: i64, allocations: i64) -> Option<f64> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a shown ratio; the counts stand beside it"
    )]
    (allocations > 0).then(|| conversions as f64 / allocations as f64)
}
