//! The lifecycle of a funnel: its states and the only ways between them.

use crate::words;

words! {
    /// Where a funnel stands. The column `funnels.status`.
    FunnelStatus {
        /// Being drawn; nobody is followed.
        Draft => "draft",
        /// Visitors are followed.
        Active => "active",
        /// Nobody is followed for now.
        Paused => "paused",
        /// Put away; its results stay.
        Archived => "archived",
    }
}

words! {
    /// What can be asked of a funnel.
    FunnelTransition {
        /// Draft to active.
        Activate => "activate",
        /// Active to paused.
        Pause => "pause",
        /// Paused to active.
        Resume => "resume",
        /// Draft, active or paused to archived.
        Archive => "archive",
    }
}

impl FunnelStatus {
    /// The status after `transition`; `None` where the lifecycle has no such step.
    #[must_use]
    pub const fn after(self, transition: FunnelTransition) -> Option<Self> {
        match (self, transition) {
            (Self::Draft, FunnelTransition::Activate)
            | (Self::Paused, FunnelTransition::Resume) => Some(Self::Active),
            (Self::Active, FunnelTransition::Pause) => Some(Self::Paused),
            (Self::Draft | Self::Active | Self::Paused, FunnelTransition::Archive) => {
                Some(Self::Archived)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FunnelStatus, FunnelTransition};

    #[test]
    fn the_lifecycle_has_exactly_these_steps() {
        let mut steps = Vec::new();
        for &from in FunnelStatus::ALL {
            for &transition in FunnelTransition::ALL {
                if let Some(to) = from.after(transition) {
                    steps.push(format!("{from} -{transition}-> {to}"));
                }
            }
        }
        assert_eq!(
            steps,
            [
                "draft -activate-> active",
                "draft -archive-> archived",
                "active -pause-> paused",
                "active -archive-> archived",
                "paused -resume-> active",
                "paused -archive-> archived",
            ]
        );
    }
}
