//! Onboarding: how far a new account has come, by what really happened.

use std::collections::BTreeMap;

use time::OffsetDateTime;

use crate::words;

words! {
    /// What a new account does first, in this order.
    OnboardingStep {
        /// Somebody came in.
        Welcome => "welcome",
        /// A site was added.
        Install => "install",
        /// A page of it carries the snippet.
        Verify => "verify",
        /// An experiment was drafted.
        CreateExperiment => "create_experiment",
        /// An experiment was started.
        Complete => "complete",
    }
}

/// When each step was done for the first time.
pub type StepsDone = BTreeMap<OnboardingStep, OffsetDateTime>;

/// How far an account has come. It goes forwards only: what was done stays done, also when the site or the
/// experiment that did it is gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Onboarding {
    /// When each step was done.
    pub done: StepsDone,
    /// When the last one was.
    pub completed_at: Option<OffsetDateTime>,
    /// When its owner put the checklist away.
    pub dismissed_at: Option<OffsetDateTime>,
}

impl Onboarding {
    /// With what was `seen` to be done by now.
    #[must_use]
    pub fn with(mut self, seen: &StepsDone) -> Self {
        for (step, at) in seen {
            self.done.entry(*step).or_insert(*at);
        }
        if self.next().is_none() {
            let last = self.done.values().max().copied();
            self.completed_at = self.completed_at.or(last);
        }
        self
    }

    /// The step to be done next; `None`: all are done.
    #[must_use]
    pub fn next(&self) -> Option<OnboardingStep> {
        let mut steps = OnboardingStep::ALL.iter().copied();
        steps.find(|step| !self.done.contains_key(step))
    }

    /// The step it is at: the one to be done next, or the last.
    #[must_use]
    pub fn step(&self) -> OnboardingStep {
        self.next().unwrap_or(OnboardingStep::Complete)
    }

    /// Whether there is something to do, and somebody who wants to be told.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.completed_at.is_none() && self.dismissed_at.is_none()
    }
}

#[cfg(test)]
mod tests {
    use time::{Duration, OffsetDateTime};

    use super::{Onboarding, OnboardingStep as S, StepsDone};

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + Duration::seconds(seconds)
    }

    #[test]
    fn it_goes_forwards_by_what_happened_and_never_back() {
        let seen = StepsDone::from([(S::Welcome, at(1)), (S::CreateExperiment, at(2))]);
        let mut onboarding = Onboarding::default().with(&seen);
        assert_eq!(onboarding.step(), S::Install, "the first that is missing");
        assert!(onboarding.is_open());

        // What did the steps is gone, or was done anew: the first time counts.
        onboarding = onboarding.with(&StepsDone::from([(S::Welcome, at(9))]));
        assert_eq!(onboarding.done[&S::Welcome], at(1));
        assert_eq!(onboarding.done.len(), 2);

        let rest = [
            (S::Install, at(5)),
            (S::Verify, at(6)),
            (S::Complete, at(3)),
        ];
        onboarding = onboarding.with(&StepsDone::from(rest));
        assert_eq!(onboarding.step(), S::Complete);
        assert_eq!(
            onboarding.completed_at,
            Some(at(6)),
            "when the last was done"
        );
        assert!(!onboarding.is_open());
    }

    #[test]
    fn what_was_put_away_goes_on_unseen() {
        let onboarding = Onboarding {
            dismissed_at: Some(at(1)),
            ..Onboarding::default()
        };
        let onboarding = onboarding.with(&StepsDone::from([(S::Welcome, at(2))]));
        assert!(!onboarding.is_open());
        assert_eq!(onboarding.step(), S::Install);
    }
}
