//! The overview: what runs, who leads and how sure that is, and what needs somebody to look at it.

use std::{collections::BTreeMap, sync::Arc};

use askama::Template;
use hyper::StatusCode;
use samplit_domain::{Experiment, ExperimentId, Installation, InstallationStatus, Status};
use samplit_engine::{
    ArmResults, ElementResults, Engine, ExperimentFilter, HeldTrail, Page, Principal, Results,
};
use time::Duration;

use super::{
    experiment::facts::{fewest, is_early, is_tied},
    format,
    layout::{Frame, Section, html},
    onboarding::Checklist,
    plans::Warnings,
};
use crate::{call::Call, problem::Problem, response::Reply};

/// So many running experiments are shown with their results; the rest is in the list.
const RUNNING: usize = 12;
/// So many of the others are named.
const OTHERS: usize = 5;
/// A site that was silent for so long is asked about.
const SILENT_AFTER: Duration = Duration::days(7);

#[derive(Template)]
#[template(path = "dashboard/overview.html")]
struct OverviewPage {
    frame: Frame,
    counts: BTreeMap<Status, u64>,
    visitors: u64,
    conversions: u64,
    running: Vec<Running>,
    held: Vec<HeldTrail>,
    unseen: Vec<Installation>,
    silent: Vec<Installation>,
    others: Vec<Experiment>,
    has_installation: bool,
    /// The first steps of the account, until they are done or put away.
    checklist: Option<Checklist>,
    limits: Warnings,
}

/// A running experiment, as it was a moment ago.
struct Running {
    results: Arc<Results>,
    draws: Vec<Draw>,
}

/// One draw of it, in words.
struct Draw {
    name: String,
    leader: String,
    is_control: bool,
    chance: String,
    lift: Option<String>,
    may_stop: bool,
    /// Nobody was assigned yet.
    is_fresh: bool,
    /// There is too little to say who is ahead.
    is_early: bool,
    /// Nobody is ahead.
    is_tied: bool,
    /// Visitors were not split as the weights say.
    mismatch: bool,
    bars: Vec<Bar>,
}

/// The part of the traffic that an arm gets.
struct Bar {
    arm: usize,
    name: String,
    /// In percent of the whole.
    from: f64,
    width: f64,
}

/// `GET /`
pub(crate) async fn show(call: Call) -> Result<Reply, Problem> {
    let who = call.signed_in().await?;
    let (engine, principal) = (&call.app.engine, &who.principal);
    let overview = engine.overview(principal).await?;
    let running = running(engine, principal).await?;
    let mut others = Vec::new();
    for status in [Status::Paused, Status::Draft, Status::Completed] {
        others.extend(list(engine, principal, status, OTHERS).await?);
    }
    let page = Page {
        cursor: None,
        limit: 100,
    };
    let installations = engine.installations(principal, &page).await?.data;
    let now = engine.now();
    let has_installation = !installations.is_empty();
    let (mut unseen, mut silent) = (Vec::new(), Vec::new());
    for site in installations {
        match site.last_seen_at.or(site.verified_at) {
            _ if site.status == InstallationStatus::Disabled => {}
            None => unseen.push(site),
            Some(at) if now - at > SILENT_AFTER => silent.push(site),
            Some(_) => {}
        }
    }
    let onboarding = engine.onboarding(principal).await?;
    let limits = engine.plan_warnings(principal).await?;
    let page = OverviewPage {
        checklist: Checklist::new(&onboarding, now),
        limits: Warnings::new(limits, true),
        frame: Frame::new(&call, &who, Section::Overview, "Overview"),
        counts: overview.experiments,
        visitors: running.iter().map(|one| one.results.visitors).sum(),
        conversions: running.iter().map(|one| one.results.conversions).sum(),
        running,
        held: overview.held,
        unseen,
        silent,
        others,
        has_installation,
    };
    Ok(html(StatusCode::OK, &page))
}

async fn list(
    engine: &Engine,
    who: &Principal,
    status: Status,
    limit: usize,
) -> Result<Vec<Experiment>, Problem> {
    let filter = ExperimentFilter {
        status: Some(status),
        query: None,
    };
    let page = Page {
        cursor: None,
        limit,
    };
    Ok(engine.experiments(who, &filter, &page).await?.data)
}

/// The running experiments with their results. One that is over by now is left out.
async fn running(engine: &Engine, who: &Principal) -> Result<Vec<Running>, Problem> {
    let active = list(engine, who, Status::Active, RUNNING).await?;
    let ids: Vec<ExperimentId> = active.iter().map(|experiment| experiment.id).collect();
    let results = engine.glances(who, &ids).await?;
    Ok(results.into_iter().map(Running::new).collect())
}

impl Running {
    fn new(results: Arc<Results>) -> Self {
        let draws = results.elements.iter();
        let warm_up = results.experiment.allocation.warm_up;
        let draws = draws.map(|draw| Draw::new(draw, warm_up)).collect();
        Self { results, draws }
    }

    fn rate(&self) -> String {
        format::rate(self.results.conversions, self.results.visitors)
    }

    fn days(&self) -> String {
        let days = self.results.elements.first().map(|draw| draw.stopping.days);
        format::days(days.unwrap_or_default())
    }
}

impl Draw {
    /// `warm_up`: visitors that every arm needs before anything is said of it.
    fn new(element: &ElementResults, warm_up: u64) -> Self {
        let leader = element.arms.get(element.stopping.leader);
        let mut from = 0.0;
        let mut bar = |(arm, of): (usize, &ArmResults)| {
            let bar = Bar {
                arm: arm % 8,
                name: of.name.clone(),
                from,
                width: 100.0 * of.weight,
            };
            from += bar.width;
            bar
        };
        let ratio = element.sample_ratio.as_ref();
        let conversions = element.arms.iter().map(|arm| arm.conversions).sum();
        Self {
            name: element.name.clone(),
            leader: leader.map_or_else(String::new, |arm| arm.name.clone()),
            is_control: leader.is_some_and(|arm| arm.is_control),
            chance: leader.map_or_else(String::new, |arm| format::chance(arm.p_best)),
            lift: leader
                .and_then(|arm| arm.lift.as_ref())
                .map(|lift| format::change(lift.median)),
            may_stop: element.stopping.may_stop,
            is_fresh: element.arms.iter().all(|arm| arm.assignments == 0),
            is_early: is_early(conversions, fewest(element), warm_up),
            is_tied: is_tied(element),
            mismatch: ratio.is_some_and(|ratio| ratio.verdict == "mismatch"),
            bars: element.arms.iter().enumerate().map(&mut bar).collect(),
        }
    }

    /// The bars for those who do not see them.
    fn split(&self) -> String {
        let part = |bar: &Bar| format!("{} {}", bar.name, format::share(bar.width / 100.0));
        let parts: Vec<String> = self.bars.iter().map(part).collect();
        format!("Share of new visitors: {}", parts.join(", "))
    }
}

impl OverviewPage {
    fn count(&self, status: Status) -> u64 {
        self.counts.get(&status).copied().unwrap_or_default()
    }

    fn has_more_running(&self) -> bool {
        self.count(Status::Active) > format::Count::number(self.running.len())
    }

    fn is_empty(&self) -> bool {
        self.counts.values().all(|count| *count == 0)
    }

    /// Experiments whose visitors were not split as the weights say.
    fn mismatched(&self) -> Vec<&Results> {
        let wrong = |one: &&Running| one.draws.iter().any(|draw| draw.mismatch);
        let running = self.running.iter().filter(wrong);
        running.map(|one| &*one.results).collect()
    }

    /// Experiments that may be decided.
    fn decidable(&self) -> Vec<&Results> {
        let running = self.running.iter().filter(|one| is_decidable(&one.draws));
        running.map(|one| &*one.results).collect()
    }

    fn needs_attention(&self) -> usize {
        self.held.len() + self.mismatched().len() + self.unseen.len() + self.silent.len()
    }
}

/// Whether every draw may stop, and none has visitors that its weights do not explain.
fn is_decidable(draws: &[Draw]) -> bool {
    let may_stop = |draw: &Draw| draw.may_stop && !draw.mismatch;
    !draws.is_empty() && draws.iter().all(may_stop)
}

#[cfg(test)]
mod tests {
    use samplit_engine::SampleRatioEvidence;

    use super::{Draw, is_decidable};
    use crate::dashboard::sample;

    #[test]
    fn nobody_leads_after_a_handful_of_visitors() {
        let mut element = sample::draw(1, &[0.33, 0.67]);
        assert!(!Draw::new(&element, 1_000).is_early);
        assert!(Draw::new(&element, 1_001).is_early);
        element.arms[0].conversions = 3;
        element.arms[1].conversions = 6;
        assert!(Draw::new(&element, 100).is_early);
        assert!(Draw::new(&sample::draw(0, &[0.5, 0.5]), 100).is_tied);
    }

    #[test]
    fn what_was_not_split_as_planned_is_not_decided() {
        let draw = |may_stop, verdict| {
            let mut element = sample::draw(1, &[0.03, 0.97]);
            element.stopping.may_stop = may_stop;
            element.sample_ratio = Some(SampleRatioEvidence {
                observed: vec![1_000, 1_000],
                expected: vec![1_000.0, 1_000.0],
                p_value: 1.0,
                always_valid_p: 1.0,
                leaked: 0,
                verdict,
            });
            Draw::new(&element, 100)
        };
        assert!(is_decidable(&[
            draw(true, "sound"),
            draw(true, "too_early")
        ]));
        assert!(!is_decidable(&[
            draw(true, "sound"),
            draw(true, "mismatch")
        ]));
        assert!(!is_decidable(&[draw(true, "sound"), draw(false, "sound")]));
        assert!(!is_decidable(&[]));
    }
}
