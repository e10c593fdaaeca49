//! Funnels: paths through a site, drawn on a canvas as nodes and the edges between them.

mod canvas;
mod check;
mod lifecycle;
mod progress;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

pub use canvas::{FunnelCanvas, MAX_FUNNEL_EDGES, MAX_FUNNEL_NODES};
pub use check::{FunnelExperiment, FunnelFault};
pub use lifecycle::{FunnelStatus, FunnelTransition};
pub use progress::{FunnelDeed, FunnelFacts, FunnelMove, FunnelPlan, FunnelWatch};

use crate::{
    ExperimentId, FunnelEdgeId, FunnelId, FunnelNodeId, GoalTrigger, UserId, VariantId, Violations,
    words,
};

/// The longest a funnel may wait, and a wait in it, in hours: 90 days.
pub const MAX_FUNNEL_HOURS: i32 = 2_160;

/// How long a visitor has for a funnel where nobody says it, in hours.
pub const DEFAULT_FUNNEL_HOURS: i32 = 168;

words! {
    /// What a node waits for. The column `funnel_nodes.node_type`.
    FunnelNodeType {
        /// That a page is seen.
        Page => "page",
        /// That something is done on a page.
        Action => "action",
        /// Nothing: the ways part here.
        Decision => "decision",
        /// That time passes.
        Wait => "wait",
        /// What the funnel is about.
        Conversion => "conversion",
    }
}

/// A path through a site.
#[derive(Clone, Debug, PartialEq)]
pub struct Funnel {
    /// Its id.
    pub id: FunnelId,
    /// The account that owns it; none for rows older than accounts.
    pub user_id: Option<UserId>,
    /// What people call it, 1 to 255 characters.
    pub name: String,
    /// What it is about, at most 10,000 characters.
    pub description: Option<String>,
    /// Where it stands in its lifecycle.
    pub status: FunnelStatus,
    /// How long a visitor has from the first step to the last, in hours, 1 to [`MAX_FUNNEL_HOURS`].
    pub window_hours: i32,
    /// Its nodes and edges, as they are drawn.
    pub canvas: FunnelCanvas,
    /// Grows by one with every change; the `ETag`.
    pub version: i64,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it last changed.
    pub updated_at: OffsetDateTime,
    /// When it was first activated.
    pub activated_at: Option<OffsetDateTime>,
}

/// Which part of a canvas is shown.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Viewport {
    /// How far it is moved to the right, in pixels.
    pub x: f64,
    /// How far it is moved down, in pixels.
    pub y: f64,
    /// How much larger than life, 0.05 to 20.
    pub zoom: f64,
}

/// A step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FunnelNode {
    /// Its id, which no other funnel has.
    pub id: FunnelNodeId,
    /// What it waits for.
    #[serde(flatten)]
    pub step: FunnelStep,
    /// Its label, at most 255 characters; a draft may lack it.
    pub name: String,
    /// How far right it is drawn, in pixels.
    pub x: f64,
    /// How far down it is drawn, in pixels.
    pub y: f64,
    /// The experiment that runs on this step.
    pub experiment_id: Option<ExperimentId>,
}

/// What a node waits for. A draft may lack it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", content = "config", rename_all = "snake_case")]
pub enum FunnelStep {
    /// A page is seen.
    Page {
        /// Which, as a [`PagePattern`](crate::PagePattern).
        url: Option<String>,
    },
    /// Something is done on a page.
    Action {
        /// What: a click, a form that is sent, or an event that the page's own code tells of.
        trigger: Option<GoalTrigger>,
    },
    /// The ways part; whoever comes here is on at once.
    Decision {},
    /// Time passes since the step before.
    Wait {
        /// How much, in hours, 1 to [`MAX_FUNNEL_HOURS`].
        hours: Option<i32>,
    },
    /// What the funnel is about is reached.
    Conversion {
        /// By what.
        trigger: Option<GoalTrigger>,
    },
}

/// A way from one node to another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FunnelEdge {
    /// Its id, which no other funnel has.
    pub id: FunnelEdgeId,
    /// Where it leaves.
    pub source: FunnelNodeId,
    /// Where it arrives.
    pub target: FunnelNodeId,
    /// Who may go.
    pub condition: FunnelCondition,
}

/// Who may go along an edge. A draft may lack what is compared with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FunnelCondition {
    /// Everybody.
    Always,
    /// Who was assigned a variant.
    Variant {
        /// In which experiment.
        experiment_id: Option<ExperimentId>,
        /// Which variant.
        variant_id: Option<VariantId>,
    },
    /// Whose context has a value.
    Segment {
        /// The key in the context, such as `device`, 1 to 255 characters.
        key: String,
        /// The value, such as `phone`, 1 to 255 characters.
        value: String,
    },
    /// Of whom an event was reported.
    Event {
        /// Its name, 1 to 255 characters.
        name: String,
    },
}

impl FunnelStep {
    /// Its type, as a word.
    #[must_use]
    pub const fn node_type(&self) -> FunnelNodeType {
        match self {
            Self::Page { .. } => FunnelNodeType::Page,
            Self::Action { .. } => FunnelNodeType::Action,
            Self::Decision {} => FunnelNodeType::Decision,
            Self::Wait { .. } => FunnelNodeType::Wait,
            Self::Conversion { .. } => FunnelNodeType::Conversion,
        }
    }
}

impl FunnelCondition {
    /// Every word that `type` may be, for messages.
    pub const TYPES: &'static str = "`always` `variant` `segment` `event`";

    /// The experiment whose variant is compared, if one is.
    #[must_use]
    pub const fn experiment(&self) -> Option<ExperimentId> {
        match self {
            Self::Variant { experiment_id, .. } => *experiment_id,
            Self::Always | Self::Segment { .. } | Self::Event { .. } => None,
        }
    }
}

impl Default for Viewport {
    fn default() -> Self {
        Self {
            x: 0.0,
            y: 0.0,
            zoom: 1.0,
        }
    }
}

impl Funnel {
    /// Checks what is stored, finished or not. Whether it can be activated,
    /// [`FunnelCanvas::faults`] says.
    ///
    /// # Errors
    /// Every rule that is broken.
    pub fn check(&self) -> Result<(), Violations> {
        let mut violations = Violations::default();
        violations.name("/name", &self.name);
        if let Some(description) = &self.description {
            violations.description("/description", description);
        }
        if !(1..=MAX_FUNNEL_HOURS).contains(&self.window_hours) {
            violations.add("/window_hours", "out_of_range", hours_allowed());
        }
        self.canvas.check(&mut violations);
        violations.into_result(())
    }
}

fn hours_allowed() -> String {
    format!("must be between 1 and {MAX_FUNNEL_HOURS}")
}
