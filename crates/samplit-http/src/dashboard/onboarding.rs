//! The checklist of a new account, on the overview until everything is done or it is put away.

use askama::{Template, filters::HtmlSafe};
use samplit_domain::{Onboarding, OnboardingStep, Violations};
use time::OffsetDateTime;

use super::{form::Form, format::Moment, notice::done};
use crate::{call::Call, problem::Problem, response::Reply};

/// The first steps, as a card.
#[derive(Debug, Template)]
#[template(path = "dashboard/onboarding.html")]
pub(super) struct Checklist {
    items: Vec<Item>,
}

/// Its template escapes what comes from people.
impl HtmlSafe for Checklist {}

/// One step.
#[derive(Debug)]
struct Item {
    title: &'static str,
    text: &'static str,
    /// What can be done for it, and where.
    action: Option<(&'static str, &'static str)>,
    done: Option<Moment>,
    /// Whether it is the one to be done now.
    is_next: bool,
}

impl Checklist {
    /// `None` where there is nothing to do, or nobody wants to be told.
    pub(super) fn new(of: &Onboarding, now: OffsetDateTime) -> Option<Self> {
        let next = of.next();
        let item = |&step: &OnboardingStep| {
            let (title, text, action) = words(step);
            // Before its turn a site cannot be checked, and no draft be started.
            let can_wait = matches!(step, OnboardingStep::Verify | OnboardingStep::Complete);
            Item {
                title,
                text,
                action: action.filter(|_| next == Some(step) || !can_wait),
                done: of
                    .done
                    .get(&step)
                    .map(|at| Moment::new(*at, now).relative()),
                is_next: next == Some(step),
            }
        };
        let items = OnboardingStep::ALL.iter().map(item).collect();
        of.is_open().then_some(Self { items })
    }

    fn done(&self) -> usize {
        self.items.iter().filter(|item| item.done.is_some()).count()
    }
}

/// What a step is called, what it is for, and where it is done.
fn words(
    step: OnboardingStep,
) -> (
    &'static str,
    &'static str,
    Option<(&'static str, &'static str)>,
) {
    match step {
        OnboardingStep::Welcome => ("Come in", "Your account is there.", None),
        OnboardingStep::Install => (
            "Put Samplit on your site",
            "One line in the head of your pages. Services that decide on a server need no site: they \
             ask the API with a key.",
            Some(("Add a site", "/installations")),
        ),
        OnboardingStep::Verify => (
            "See it at work",
            "Open a page of your site in a browser. The line in its head tells this server that it is there.",
            Some(("Check the site", "/installations")),
        ),
        OnboardingStep::CreateExperiment => (
            "Say what you want to know",
            "Which element, which variants, and what counts as success. The rest has sensible defaults.",
            Some(("Make an experiment", "/experiments/new")),
        ),
        OnboardingStep::Complete => (
            "Start it, and watch",
            "More visitors get what works better, from the first hundred on. You are told when it is \
             safe to decide.",
            Some(("See the drafts", "/experiments?status=draft")),
        ),
    }
}

/// `POST /onboarding`: puts the checklist away or takes it out again, as the button `do` says.
pub(crate) async fn change(mut call: Call) -> Result<Reply, Problem> {
    let who = call.signed_in().await?;
    let form = Form::read(&mut call).await?;
    let is_dismissed = match form.extra("do") {
        Some("dismiss") => true,
        Some("reopen") => false,
        _ => {
            let mut violations = Violations::default();
            violations.add("/do", "unknown_value", "must be `dismiss` or `reopen`");
            return Err(Problem::invalid(violations));
        }
    };
    let engine = &call.app.engine;
    engine
        .dismiss_onboarding(&who.principal, is_dismissed)
        .await?;
    let code = if is_dismissed {
        "onboarding_dismissed"
    } else {
        "onboarding_reopened"
    };
    Ok(done("/", code))
}

#[cfg(test)]
mod tests {
    use samplit_domain::{Onboarding, OnboardingStep, StepsDone};
    use time::OffsetDateTime;

    use super::Checklist;

    #[test]
    fn the_checklist_leads_to_the_next_step_and_ends() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let of = Onboarding::default().with(&StepsDone::from([(OnboardingStep::Welcome, now)]));
        let shown = Checklist::new(&of, now).unwrap().to_string();
        assert!(shown.contains("1 of 5"), "{shown}");
        let primary = r#"<a class="button small primary" href="/installations">Add a site</a>"#;
        assert!(shown.contains(primary), "{shown}");
        assert_eq!(shown.matches("primary").count(), 1, "{shown}");

        let away = Onboarding {
            dismissed_at: Some(now),
            ..of
        };
        assert!(Checklist::new(&away, now).is_none());
        let all = OnboardingStep::ALL.iter().map(|step| (*step, now));
        let all = Onboarding::default().with(&all.collect());
        assert!(Checklist::new(&all, now).is_none());
    }
}
