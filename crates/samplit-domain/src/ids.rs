//! Typed identifiers: a UUID that cannot be mistaken for another table's.

use uuid::Uuid;

macro_rules! id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

id!(
    /// A row of `users`.
    UserId
);
id!(
    /// A row of `experiments`.
    ExperimentId
);
id!(
    /// A row of `experiment_elements`.
    ElementId
);
id!(
    /// A row of `element_variants`.
    VariantId
);
id!(
    /// A row of `assignments`.
    AssignmentId
);
id!(
    /// A row of `algorithm_audit_trail`.
    EntryId
);
id!(
    /// A row of `goals`.
    GoalId
);
id!(
    /// A row of `api_keys`.
    ApiKeyId
);
id!(
    /// A row of `platform_installations`.
    InstallationId
);
id!(
    /// A row of `exclusion_rules`.
    ExclusionId
);
id!(
    /// A row of `excluded_sessions`.
    ExcludedSessionId
);
id!(
    /// A row of `webhook_endpoints`.
    WebhookId
);
id!(
    /// A row of `webhook_messages`.
    WebhookMessageId
);
id!(
    /// A row of `webhook_deliveries`.
    WebhookDeliveryId
);
id!(
    /// A row of `sessions`.
    SessionId
);
id!(
    /// A row of `account_links`.
    LinkId
);
id!(
    /// A row of `activity_log`.
    ActivityId
);
id!(
    /// A row of `funnels`.
    FunnelId
);
id!(
    /// A row of `funnel_nodes`.
    FunnelNodeId
);
id!(
    /// A row of `funnel_edges`.
    FunnelEdgeId
);
id!(
    /// A row of `leads`.
    LeadId
);
id!(
    /// A row of `subscriptions`.
    SubscriptionId
);
