//! The lifecycle of an experiment: its states and the only ways between them.

use crate::words;

words! {
    /// Where an experiment stands. The column `experiments.status`.
    Status {
        /// Being written; nobody is assigned.
        Draft => "draft",
        /// Assigning and learning.
        Active => "active",
        /// Known visitors keep their variant, new ones get control unrecorded, conversions count.
        Paused => "paused",
        /// Everybody gets the declared winner, nothing is recorded.
        Completed => "completed",
        /// Put away; kept for ever because its trail is.
        Archived => "archived",
    }
}

words! {
    /// What can be asked of an experiment.
    Transition {
        /// Draft to active.
        Start => "start",
        /// Active to paused.
        Pause => "pause",
        /// Paused to active.
        Resume => "resume",
        /// Active or paused to completed.
        Complete => "complete",
        /// Completed or draft to archived.
        Archive => "archive",
    }
}

/// A transition that the lifecycle does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot {transition} an experiment that is {from}")]
pub struct IllegalTransition {
    /// The status it has.
    pub from: Status,
    /// What was asked.
    pub transition: Transition,
}

impl Status {
    /// The status after `transition`.
    ///
    /// # Errors
    /// [`IllegalTransition`] when the lifecycle has no such step.
    pub const fn after(self, transition: Transition) -> Result<Self, IllegalTransition> {
        match (self, transition) {
            (Self::Draft, Transition::Start) | (Self::Paused, Transition::Resume) => {
                Ok(Self::Active)
            }
            (Self::Active, Transition::Pause) => Ok(Self::Paused),
            (Self::Active | Self::Paused, Transition::Complete) => Ok(Self::Completed),
            (Self::Draft | Self::Completed, Transition::Archive) => Ok(Self::Archived),
            _ => Err(IllegalTransition {
                from: self,
                transition,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Status, Transition};

    #[test]
    fn the_lifecycle_has_exactly_these_steps() {
        let mut steps = Vec::new();
        for &from in Status::ALL {
            for &transition in Transition::ALL {
                if let Ok(to) = from.after(transition) {
                    steps.push(format!("{from} -{transition}-> {to}"));
                }
            }
        }
        assert_eq!(
            steps,
            [
                "draft -start-> active",
                "draft -archive-> archived",
                "active -pause-> paused",
                "active -complete-> completed",
                "paused -resume-> active",
                "paused -complete-> completed",
                "completed -archive-> archived",
            ]
        );
    }
}
