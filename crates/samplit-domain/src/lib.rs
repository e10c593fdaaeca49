#![doc = include_str!("../README.md")]

mod account;
mod activity;
mod allocation;
mod arms;
mod cidr;
mod clock;
mod draft;
mod exclusion;
mod experiment;
mod facts;
mod funnel;
mod hypothesis;
mod ids;
mod installation;
mod key;
mod lead;
mod lifecycle;
mod onboarding;
mod origin;
mod page_event;
mod page_pattern;
mod plan;
mod selector;
mod stopping;
mod trigger;
mod violation;
mod visit;
mod webhook;

pub use account::{
    AccountSession, ApiKey, LinkKind, MAX_PASSWORD, MIN_PASSWORD, Role, Scope, User,
};
pub use activity::{Action, Activity, Actor, ActorKind};
pub use allocation::{Allocation, Mode, PolicyKind, Strategy};
pub use arms::{Arm, ArmSet, MAX_ARMS, arm_sets};
pub use cidr::{Cidr, MalformedCidr};
pub use clock::{Clock, ManualClock, from_micros, to_micros};
pub use draft::{ElementDraft, ExperimentDraft, GoalDraft, SelectorDraft, VariantDraft};
pub use exclusion::{ExclusionKind, ExclusionMatch, ExclusionRule, MAX_EXCLUSION_VALUE};
pub use experiment::{Element, Experiment, ExperimentType, Goal, GoalKind, Variant};
pub use facts::Visit;
pub use funnel::{
    DEFAULT_FUNNEL_HOURS, Funnel, FunnelCanvas, FunnelCondition, FunnelDeed, FunnelEdge,
    FunnelExperiment, FunnelFacts, FunnelFault, FunnelMove, FunnelNode, FunnelNodeType, FunnelPlan,
    FunnelStatus, FunnelStep, FunnelTransition, FunnelWatch, MAX_FUNNEL_EDGES, MAX_FUNNEL_HOURS,
    MAX_FUNNEL_NODES, Viewport,
};
pub use hypothesis::Hypothesis;
pub use ids::{
    ActivityId, ApiKeyId, AssignmentId, ElementId, EntryId, ExcludedSessionId, ExclusionId,
    ExperimentId, FunnelEdgeId, FunnelId, FunnelNodeId, GoalId, InstallationId, LeadId, LinkId,
    SessionId, SubscriptionId, UserId, VariantId, WebhookDeliveryId, WebhookId, WebhookMessageId,
};
pub use installation::{
    Installation, InstallationDraft, InstallationStatus, MAX_HIDE_TIMEOUT_MS, Platform,
};
pub use key::MAX_KEY;
pub use lead::{Lead, LeadDraft, LeadStatus, MAX_FORM_NAME, MAX_LEAD_TEXT, Utm};
pub use lifecycle::{IllegalTransition, Status, Transition};
pub use onboarding::{Onboarding, OnboardingStep, StepsDone};
pub use origin::{MalformedOrigin, Origin};
pub use page_event::{Happened, MAX_PAGE_EVENTS, PageEvent};
pub use page_pattern::{PagePattern, page_name};
pub use plan::{
    LimitWarning, Limits, Plan, Resource, SELF_HOSTED, Subscription, SubscriptionStatus, Told,
    Usage, WarningLevel, month_of,
};
pub use selector::{ElementType, MAX_SELECTOR, Selector, SelectorType};
pub use stopping::{Stopping, StoppingRule};
pub use trigger::GoalTrigger;
pub use violation::{Violation, Violations, json_pointer};
pub use visit::{
    Assign, Convert, DEFAULT_CONVERSION_VALUE, ERASED_PREFIX, MAX_CONVERSION_VALUE, MAX_IDENTIFIER,
};
pub use webhook::{
    Webhook, WebhookAttempt, WebhookDelivery, WebhookDeliveryStatus, WebhookEvent, WebhookOff,
};

/// A value outside the closed set of words that a column or field allows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not one of {allowed}")]
pub struct UnknownWord {
    /// What was given.
    pub value: String,
    /// The words allowed, for the message.
    pub allowed: &'static str,
}

/// Defines a closed set of words: an enum that reads and writes the column's spelling.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident => $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$vmeta])* #[serde(rename = $word)] $variant,)+
        }

        #[cfg(feature = "openapi")]
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .enum_values(Some([$($word),+]))
                    .into()
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::ToSchema for $name {}

        impl $name {
            /// Every value, in order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word as it stands in the column and in the API.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::UnknownWord;

            fn from_str(value: &str) -> Result<Self, Self::Err> {
                match value {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::UnknownWord {
                        value: value.to_owned(),
                        allowed: concat!($("`", $word, "` "),+),
                    }),
                }
            }
        }
    };
}
pub(crate) use words;
