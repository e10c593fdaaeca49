//! What requests hold. The handlers read field by field, to name every bad one; a test says that they
//! ask for these fields and no others.

#![expect(
    dead_code,
    reason = "the types stand for what is read and are never made"
)]

use std::collections::BTreeMap;

use samplit_domain::{
    ElementId, ElementType, ExclusionKind, ExperimentId, ExperimentType, FunnelCondition,
    FunnelEdgeId, FunnelNodeId, FunnelNodeType, GoalKind, GoalTrigger, Hypothesis,
    InstallationStatus, LeadStatus, Mode, Platform, PolicyKind, Role, Scope, SelectorType,
    StoppingRule, Strategy, VariantId, WebhookEvent,
};
use serde::Deserialize;
use serde_json::Value as Json;
use time::OffsetDateTime;
use utoipa::ToSchema;

/// A new experiment.
#[derive(ToSchema)]
pub(super) struct NewExperiment {
    /// 1 to 255 characters.
    #[schema(min_length = 1, max_length = 255)]
    name: String,
    /// What varies, at least one.
    #[schema(min_items = 1)]
    elements: Vec<NewElement>,
    /// What a feature flag is asked for by.
    key: Option<String>,
    description: Option<String>,
    /// The page, or a pattern of pages.
    target_url: Option<String>,
    /// The share of visitors that take part, 0 to 1.
    #[schema(minimum = 0, maximum = 1)]
    traffic_allocation: Option<f64>,
    allocation_strategy: Option<Strategy>,
    /// What the elements make it; leave it out.
    #[schema(example = "ab_test")]
    experiment_type: Option<ExperimentType>,
    allocation: Option<AllocationBody>,
    stopping: Option<StoppingBody>,
    hypothesis: Option<Hypothesis>,
    goals: Option<Vec<NewGoal>>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Json>,
}

/// Fields of an experiment that are to be others. After the start only `name`, `description`,
/// `target_url`, `traffic_allocation` and `metadata` may change.
#[derive(ToSchema)]
pub(super) struct ExperimentChange {
    #[schema(min_length = 1, max_length = 255)]
    name: Option<String>,
    #[schema(min_items = 1)]
    elements: Option<Vec<NewElement>>,
    key: Option<String>,
    description: Option<String>,
    target_url: Option<String>,
    #[schema(minimum = 0, maximum = 1)]
    traffic_allocation: Option<f64>,
    allocation_strategy: Option<Strategy>,
    #[schema(example = "ab_test")]
    experiment_type: Option<ExperimentType>,
    allocation: Option<AllocationBody>,
    stopping: Option<StoppingBody>,
    hypothesis: Option<Hypothesis>,
    goals: Option<Vec<NewGoal>>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Json>,
}

/// Something on a page, or in a program, that varies.
#[derive(ToSchema)]
pub(super) struct NewElement {
    #[schema(min_length = 1, max_length = 255)]
    name: String,
    selector: Option<SelectorBody>,
    /// Tried in their order where `selector` finds nothing.
    fallback_selectors: Option<Vec<SelectorBody>>,
    element_type: Option<ElementType>,
    original_content: Option<Json>,
    /// At least two, of which one is the control.
    #[schema(min_items = 2)]
    variants: Vec<NewVariant>,
}

/// One way to find an element.
#[derive(Deserialize, ToSchema)]
pub(super) struct SelectorBody {
    #[schema(value_type = SelectorType)]
    r#type: String,
    #[schema(min_length = 1, max_length = 1024)]
    value: String,
}

/// What an element may be.
#[derive(ToSchema)]
pub(super) struct NewVariant {
    #[schema(min_length = 1, max_length = 255)]
    name: String,
    content: Option<Json>,
    is_control: Option<bool>,
    /// Its share under the strategy `fixed`.
    weight: Option<f64>,
}

/// What counts.
#[derive(ToSchema)]
pub(super) struct NewGoal {
    #[schema(min_length = 1, max_length = 255)]
    name: String,
    kind: Option<GoalKind>,
    default_value: Option<f64>,
    trigger: Option<GoalTrigger>,
}

/// How visitors are given out.
#[derive(ToSchema)]
pub(super) struct AllocationBody {
    policy: Option<PolicyKind>,
    mode: Option<Mode>,
    /// Visitors of every arm before the policy takes over.
    warm_up: Option<u64>,
    /// The least share of an arm.
    floor: Option<f64>,
    prior_alpha: Option<f64>,
    prior_beta: Option<f64>,
    attribution_window_seconds: Option<u64>,
}

/// When there is enough evidence.
#[derive(ToSchema)]
pub(super) struct StoppingBody {
    rule: Option<StoppingRule>,
    threshold: Option<f64>,
    min_visitors_per_arm: Option<u64>,
    min_days: Option<f64>,
    planned_visitors: Option<u64>,
    planned_rate: Option<f64>,
    auto_complete: Option<bool>,
}

/// How it is completed.
#[derive(ToSchema)]
pub(super) struct Completion {
    /// The variant that won, by element.
    winner: Option<BTreeMap<ElementId, VariantId>>,
}

/// Which variants a link shows.
#[derive(ToSchema)]
pub(super) struct NewPreview {
    /// By element; the others show their control.
    variants: Option<BTreeMap<ElementId, VariantId>>,
    /// The page; without one, the experiment's.
    url: Option<String>,
}

/// What is known or guessed of an experiment. Either `rates` or `like_experiment`.
#[derive(ToSchema)]
pub(super) struct NewForecast {
    /// The conversion rate of every arm, the control first.
    #[schema(min_items = 2)]
    rates: Option<Vec<f64>>,
    /// The experiment whose rates, strategy and allocation are taken.
    #[schema(value_type = Option<ExperimentId>)]
    like_experiment: Option<String>,
    visitors_per_day: u64,
    days: Option<u64>,
    allocation_strategy: Option<Strategy>,
    allocation: Option<AllocationBody>,
    stop_at_p_best: Option<f64>,
    min_visitors_per_arm: Option<u64>,
    min_days: Option<f64>,
    seed: Option<u64>,
}

/// How a trail is sealed.
#[derive(ToSchema)]
pub(super) struct Sealing {
    /// Whether conversions are no longer waited for.
    close_window: Option<bool>,
}

/// Which payload is taken out.
#[derive(ToSchema)]
pub(super) struct Redaction {
    sequence_number: u64,
    /// Stands in the trail.
    reason: String,
}

/// How a trail goes on after a restore.
#[derive(ToSchema)]
pub(super) struct RestoreAcknowledgement {
    /// Stands in the trail.
    reason: String,
    /// Verifier keys whose signatures are good, too.
    accept_keys: Option<Vec<String>>,
}

/// A rule that keeps visits out.
#[derive(ToSchema)]
pub(super) struct NewExclusion {
    kind: ExclusionKind,
    value: String,
    /// Without one, the rule is for all.
    #[schema(value_type = Option<ExperimentId>)]
    experiment_id: Option<String>,
    is_active: Option<bool>,
}

/// What of a rule is to be otherwise.
#[derive(ToSchema)]
pub(super) struct ExclusionChange {
    value: Option<String>,
    is_active: Option<bool>,
}

/// A funnel, finished or not.
#[derive(ToSchema)]
pub(super) struct NewFunnel {
    /// 1 to 255 characters.
    #[schema(min_length = 1, max_length = 255)]
    name: String,
    description: Option<String>,
    /// How long a visitor has from the first step to the last, 1 to 2160; 168 if left out.
    window_hours: Option<u64>,
    viewport: Option<ViewportBody>,
    /// At most 100.
    #[schema(max_items = 100)]
    nodes: Option<Vec<FunnelNodeBody>>,
    /// At most 300.
    #[schema(max_items = 300)]
    edges: Option<Vec<FunnelEdgeBody>>,
}

/// What of a funnel is to be otherwise. Nodes and edges are given whole. Of a funnel that is no draft only
/// names and places of nodes may change, and no edge.
#[derive(ToSchema)]
pub(super) struct FunnelChange {
    #[schema(min_length = 1, max_length = 255)]
    name: Option<String>,
    description: Option<String>,
    window_hours: Option<u64>,
    viewport: Option<ViewportBody>,
    #[schema(max_items = 100)]
    nodes: Option<Vec<FunnelNodeBody>>,
    #[schema(max_items = 300)]
    edges: Option<Vec<FunnelEdgeBody>>,
}

/// Which part of the canvas is shown.
#[derive(Deserialize, ToSchema)]
pub(super) struct ViewportBody {
    x: Option<f64>,
    y: Option<f64>,
    zoom: Option<f64>,
}

/// A step of a funnel.
#[derive(Deserialize, ToSchema)]
pub(super) struct FunnelNodeBody {
    r#type: FunnelNodeType,
    /// Left out: the server makes one.
    #[schema(value_type = Option<FunnelNodeId>)]
    id: Option<String>,
    #[schema(max_length = 255)]
    name: Option<String>,
    x: Option<f64>,
    y: Option<f64>,
    config: Option<FunnelConfigBody>,
    /// One of the same account.
    #[schema(value_type = Option<ExperimentId>)]
    experiment_id: Option<String>,
}

/// What a step waits for. A page has a `url`, an action and a conversion a `trigger`, a wait `hours`.
#[derive(Deserialize, ToSchema)]
pub(super) struct FunnelConfigBody {
    url: Option<String>,
    trigger: Option<GoalTrigger>,
    hours: Option<u64>,
}

/// A way from one step to another.
#[derive(Deserialize, ToSchema)]
pub(super) struct FunnelEdgeBody {
    /// Left out: the server makes one.
    #[schema(value_type = Option<FunnelEdgeId>)]
    id: Option<String>,
    #[schema(value_type = FunnelNodeId)]
    source: String,
    #[schema(value_type = FunnelNodeId)]
    target: String,
    /// Left out: everybody may go.
    condition: Option<FunnelCondition>,
}

/// Where news are sent to.
#[derive(ToSchema)]
pub(super) struct NewWebhook {
    url: String,
    description: Option<String>,
    /// Empty: all.
    events: Option<Vec<WebhookEvent>>,
    is_enabled: Option<bool>,
}

/// What of a webhook is to be otherwise.
#[derive(ToSchema)]
pub(super) struct WebhookChange {
    url: Option<String>,
    description: Option<String>,
    events: Option<Vec<WebhookEvent>>,
    is_enabled: Option<bool>,
}

/// A site.
#[derive(ToSchema)]
pub(super) struct NewInstallation {
    #[schema(min_length = 1, max_length = 255)]
    name: String,
    domain: String,
    platform: Option<Platform>,
    /// Others than those of the domain.
    origins: Option<Vec<String>>,
    allow_raw_html: Option<bool>,
    respect_gpc: Option<bool>,
    hide_timeout_ms: Option<u64>,
}

/// What of a site is to be otherwise.
#[derive(ToSchema)]
pub(super) struct InstallationChange {
    name: Option<String>,
    domain: Option<String>,
    platform: Option<Platform>,
    origins: Option<Vec<String>>,
    allow_raw_html: Option<bool>,
    respect_gpc: Option<bool>,
    hide_timeout_ms: Option<u64>,
    status: Option<InstallationStatus>,
}

/// How a token is replaced.
#[derive(ToSchema)]
pub(super) struct Rotation {
    /// Whether a token that is still good for pages has to end.
    now: Option<bool>,
}

/// Where the snippet is looked for.
#[derive(ToSchema)]
pub(super) struct Verification {
    /// A page of the site; without one, the home page.
    url: Option<String>,
}

/// Which draft is edited, and on which page.
#[derive(ToSchema)]
pub(super) struct NewEditor {
    #[schema(value_type = ExperimentId)]
    experiment_id: String,
    url: String,
}

/// A variant of an element that is there, or of a new one.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
pub(super) enum EditorAddition {
    /// Of one that is there.
    ToElement {
        #[schema(value_type = Option<ElementId>)]
        element: Option<String>,
        variant: EditorVariant,
    },
    /// Of a new one.
    ToNew {
        variant: EditorVariant,
        name: String,
        selector: SelectorBody,
        fallback_selectors: Option<Vec<SelectorBody>>,
        element_type: Option<ElementType>,
        original_content: Option<Json>,
    },
}

/// What the element may be.
#[derive(Deserialize, ToSchema)]
pub(super) struct EditorVariant {
    name: String,
    content: Json,
}

/// What a page asks.
#[derive(ToSchema)]
pub(super) struct PageQuestion {
    /// The public token of the installation.
    token: String,
    url: String,
    visitor_id: Option<String>,
    session_id: Option<String>,
    #[schema(value_type = Option<Object>)]
    context: Option<Json>,
    /// The token of a link that shows chosen variants.
    preview: Option<String>,
}

/// What happened on a page.
#[derive(ToSchema)]
pub(super) struct PageReport {
    /// The public token of the installation.
    token: String,
    visitor_id: Option<String>,
    session_id: Option<String>,
    #[schema(min_items = 1, max_items = 50)]
    events: Vec<PageEventBody>,
}

/// One thing that happened. What is wrong with one spoils no other.
#[derive(Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum PageEventBody {
    /// The visitor sees the variant.
    Exposure {
        experiment_id: ExperimentId,
        event_id: String,
    },
    /// The visitor converts.
    Conversion {
        experiment_id: ExperimentId,
        event_id: String,
        goal: Option<String>,
        value: Option<f64>,
    },
    /// No selector found the element.
    NoMatch {
        experiment_id: ExperimentId,
        event_id: String,
        element_id: ElementId,
        url: String,
    },
}

/// What somebody leaves in a form on a page.
#[derive(ToSchema)]
pub(super) struct NewLead {
    /// The public token of the installation.
    token: String,
    /// The page with the form.
    url: String,
    visitor_id: Option<String>,
    /// The same one is the same lead.
    submission_id: Option<String>,
    /// What the form is called.
    form: Option<String>,
    /// It or `phone` has to be there.
    email: Option<String>,
    name: Option<String>,
    company: Option<String>,
    #[schema(example = "+49 30 901820")]
    phone: Option<String>,
    message: Option<String>,
    utm_source: Option<String>,
    utm_medium: Option<String>,
    utm_campaign: Option<String>,
    utm_term: Option<String>,
    utm_content: Option<String>,
    /// What else the form asks: texts.
    #[schema(value_type = Option<Object>)]
    fields: Option<Json>,
    /// Nobody sees it, so only programs fill it in; nothing is stored then.
    website: Option<String>,
}

/// What of a lead is to be otherwise.
#[derive(ToSchema)]
pub(super) struct LeadChange {
    status: Option<LeadStatus>,
    note: Option<String>,
}

/// The shop that is to be connected.
#[derive(ToSchema)]
pub(super) struct NewShop {
    shop: String,
}

/// Who signs in.
#[derive(ToSchema)]
pub(super) struct SignIn {
    email: String,
    password: String,
}

/// A link that is used up.
#[derive(ToSchema)]
pub(super) struct Redemption {
    token: String,
    email: Option<String>,
    name: Option<String>,
    password: Option<String>,
}

/// What of one's own account is to be otherwise.
#[derive(ToSchema)]
pub(super) struct AccountChange {
    name: Option<String>,
    company: Option<String>,
}

/// Another password.
#[derive(ToSchema)]
pub(super) struct PasswordChange {
    current: String,
    new: String,
}

/// Whom to invite.
#[derive(ToSchema)]
pub(super) struct NewUser {
    email: String,
    name: Option<String>,
    role: Option<Role>,
}

/// What of an account is to be otherwise.
#[derive(ToSchema)]
pub(super) struct UserChange {
    role: Option<Role>,
    disabled: Option<bool>,
}

/// What a new API key may do.
#[derive(ToSchema)]
pub(super) struct NewKey {
    #[schema(min_length = 1, max_length = 255)]
    name: String,
    scopes: Vec<Scope>,
    expires_at: Option<OffsetDateTime>,
}

/// How long both keys are good.
#[derive(ToSchema)]
pub(super) struct KeyRotation {
    overlap_seconds: Option<u64>,
}

/// What a plan is to be. A limit that is left out is none.
#[derive(ToSchema)]
pub(super) struct PlanBody {
    #[schema(min_length = 1, max_length = 255)]
    title: String,
    max_active_experiments: Option<u64>,
    max_monthly_visitors: Option<u64>,
    max_seats: Option<u64>,
    /// The price at Stripe that stands for it.
    provider_price_id: Option<String>,
}

/// Which plan an account is to be on.
#[derive(ToSchema)]
pub(super) struct PlanChoice {
    plan: String,
}
