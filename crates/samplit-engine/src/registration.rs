//! Pre-registration: what was announced before the first visitor, and whether it was kept to.
//!
//! At the start of an experiment with a hypothesis, a document of everything by which it can be
//! held to account is made: hypothesis, primary goal, stopping rule, how traffic is allocated and
//! how much of it takes part. The document is stored, and the hash of its canonical form stands in
//! the genesis entry: whoever changes it afterwards has to change the whole trail.
//!
//! Looking at the results before the end is no deviation. The stopping rules are Bayesian or always
//! valid, so what counts is when an experiment is stopped and not how often somebody looked.

use std::collections::BTreeSet;

use samplit_audit::payload::Reallocation;
use samplit_audit::{Hash, Payload, TypedPayload as _};
use samplit_domain::{Experiment, ExperimentId, Strategy};
use samplit_store::trail::EntryRow;
use serde_json::{Map, Value as Json, json};

use crate::auto_complete::{leaders, may_stop};
use crate::results::Record;
use crate::{Engine, Error, Principal, Scope};

/// What was registered and whether the experiment kept to it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RegistrationReport {
    /// The document of the start; `None` where nothing was registered. Reals are IEEE-754 bits in
    /// hexadecimal, under keys that end in `_f64`.
    pub registered: Option<Json>,
    /// The hash of its canonical form in the genesis entry.
    pub sha256: Option<Hash>,
    /// Where the experiment did not keep to it; empty: as registered.
    pub deviations: Vec<Deviation>,
}

/// Something that was not done as registered.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Deviation {
    /// A stable word for it.
    pub code: &'static str,
    /// What was registered and what was done.
    pub detail: String,
}

impl RegistrationReport {
    /// `none`, `as_registered` or `deviations`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match (&self.registered, self.deviations.is_empty()) {
            (None, true) => "none",
            (_, true) => "as_registered",
            (_, false) => "deviations",
        }
    }
}

impl Engine {
    /// What was registered when an experiment started, and every deviation from it so far:
    ///
    /// - `registration_missing`, `registration_altered`: the stored document is not the one whose
    ///   hash stands in the genesis entry
    /// - `hypothesis_changed`, `goal_changed`, `stopping_changed`, `allocation_changed`,
    ///   `traffic_changed`: the configuration is no longer what was registered
    /// - `variant_deactivated`: new visitors could not get a variant for a while
    /// - `stopped_early`: the stopping rule was not met when the experiment was completed, by the
    ///   conversions until then
    /// - `winner_not_leader`: it was met, and another variant than the leader was made the winner
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound).
    pub async fn registration(
        &self,
        who: &Principal,
        id: ExperimentId,
    ) -> Result<RegistrationReport, Error> {
        who.require(Scope::Read)?;
        if self.visible_live(who, id).await?.trail.is_none() {
            return Ok(RegistrationReport::default());
        }
        let record = self.record(who, id).await?;
        // Quadratures take milliseconds, which other requests need not wait for.
        let report = tokio::task::spawn_blocking(move || report(&record));
        report.await.map_err(Error::internal)?
    }
}

/// The document of an experiment that starts; `None` without a hypothesis.
///
/// # Errors
/// A sentence for whoever wrote the draft.
pub(crate) fn document(experiment: &Experiment) -> Result<Option<Json>, String> {
    if experiment.hypothesis.is_none() {
        return Ok(None);
    }
    let document = Json::Object(configuration(experiment));
    match Payload::from_json(&document) {
        Ok(_) => Ok(Some(document)),
        Err(error) => Err(format!(
            "hypothesis, goal, stopping rule and weights cannot be registered: {error}"
        )),
    }
}

/// The hash of what an experiment has registered.
pub(crate) fn hash(registered: &Json) -> Result<Hash, Error> {
    let canonical = Payload::from_json(registered).map_err(Error::internal)?;
    // Not the hash of the payload, which of the stub of a redaction would be the one it names.
    Ok(Hash::of(canonical.bytes()))
}

/// What is registered, as it is configured now.
fn configuration(experiment: &Experiment) -> Map<String, Json> {
    let stopping = &experiment.stopping;
    let mut document = Map::new();
    if let Some(hypothesis) = &experiment.hypothesis {
        let mut registered = json!({ "statement": hypothesis.statement });
        if let Some(effect) = hypothesis.minimum_effect {
            registered["minimum_effect_f64"] = real(effect);
        }
        document.insert("hypothesis".to_owned(), registered);
    }
    let goal = experiment.goals.iter().find(|goal| goal.is_primary);
    if let Some(goal) = goal {
        let goal = json!({ "kind": goal.kind.as_str(), "name": goal.name });
        document.insert("goal".to_owned(), goal);
    }
    let stopping = json!({
        "auto_complete": stopping.auto_complete,
        "min_days_f64": real(stopping.min_days),
        "min_visitors_per_arm": stopping.min_visitors_per_arm,
        "planned_rate_f64": real(stopping.planned_rate),
        "planned_visitors": stopping.planned_visitors,
        "rule": stopping.rule.as_str(),
        "threshold_f64": real(stopping.threshold()),
    });
    document.insert("stopping".to_owned(), stopping);
    let mut allocation = json!({ "strategy": experiment.strategy.as_str() });
    match experiment.strategy {
        Strategy::Adaptive => allocation["policy"] = experiment.allocation.policy.as_str().into(),
        Strategy::Fixed => {
            let shares = experiment.allocation.weights.iter();
            let shares = shares.map(|shares| shares.iter().copied().map(real).collect::<Json>());
            allocation["weights_f64"] = shares.collect();
        }
    }
    document.insert("allocation".to_owned(), allocation);
    let traffic = json!({ "share_f64": real(experiment.traffic_allocation) });
    document.insert("traffic".to_owned(), traffic);
    document
}

fn real(value: f64) -> Json {
    format!("{:016x}", value.to_bits()).into()
}

/// Compares what was done with what was registered.
pub(crate) fn report(record: &Record) -> Result<RegistrationReport, Error> {
    let experiment = &*record.experiment;
    let sha256 = record.genesis.hypothesis_sha256;
    let mut report = RegistrationReport {
        registered: experiment.registration.clone(),
        sha256,
        deviations: Vec::new(),
    };
    let mut deviates = |code, detail: String| report.deviations.push(Deviation { code, detail });
    let Some(registered) = &experiment.registration else {
        if let Some(hash) = sha256 {
            let detail = format!("the genesis entry names {hash}, and no document is stored");
            deviates("registration_missing", detail);
        }
        return Ok(report);
    };
    let stored = hash(registered).ok();
    if stored != sha256 {
        let named = sha256.map_or("nothing".to_owned(), |hash| hash.to_string());
        let stored = stored.map_or("has none".to_owned(), |hash| format!("has {hash}"));
        let detail = format!("the genesis entry names {named}, the stored document {stored}");
        deviates("registration_altered", detail);
    }
    let now = configuration(experiment);
    for (part, code) in PARTS {
        let (before, now) = (registered.get(part), now.get(part));
        if before != now {
            deviates(code, differences(part, before, now));
        }
    }
    let draws = record.genesis.elements.as_slice();
    for &(element, arm) in &record.paused_arms {
        let began = draws.get(element);
        let weight = began.and_then(|draw| draw.weights_ppb.get(arm));
        let name = began.and_then(|draw| draw.arms.get(arm));
        if let (Some(name), Some(1..)) = (name, weight) {
            let detail = format!("`{}` could not be drawn for a while", name.name);
            deviates("variant_deactivated", detail);
        }
    }
    if let Some(completed_at) = experiment.completed_at {
        let draws = record.at_completion(completed_at)?;
        if may_stop(&draws) {
            let leaders = leaders(experiment, &draws);
            for element in &experiment.elements {
                let leader = leaders
                    .get(&element.id)
                    .and_then(|&id| experiment.variant(id));
                let declared = experiment.declared_winner.get(&element.id);
                let winner = match declared {
                    Some(&id) => experiment.variant(id),
                    None => element.control(),
                };
                if let (Some(leader), Some(winner)) = (leader, winner)
                    && leader.id != winner.id
                {
                    let detail = format!(
                        "of `{}`, `{}` led and `{}` is shown to everybody",
                        element.name, leader.name, winner.name
                    );
                    deviates("winner_not_leader", detail);
                }
            }
        } else {
            let missing = draws.iter().flat_map(|draw| &draw.stopping.missing);
            let missing: Vec<&str> = missing.map(String::as_str).collect();
            let detail = format!("the stopping rule still wanted {}", missing.join("; "));
            deviates("stopped_early", detail);
        }
    }
    Ok(report)
}

/// The parts of a document, and what it is called when one is no longer what it was.
const PARTS: [(&str, &str); 5] = [
    ("hypothesis", "hypothesis_changed"),
    ("goal", "goal_changed"),
    ("stopping", "stopping_changed"),
    ("allocation", "allocation_changed"),
    ("traffic", "traffic_changed"),
];

/// The fields of a part that are not what they were.
fn differences(part: &str, before: Option<&Json>, now: Option<&Json>) -> String {
    let fields = |part: Option<&Json>| part.and_then(Json::as_object).cloned().unwrap_or_default();
    let (before, now) = (fields(before), fields(now));
    let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let told = names.into_iter().filter_map(|name| {
        let (before, now) = (before.get(name), now.get(name));
        let told = || {
            let (before, now) = (tell(name, before), tell(name, now));
            let name = name.strip_suffix("_f64").unwrap_or(name);
            format!("{part}.{name}: registered {before}, now {now}")
        };
        (before != now).then(told)
    });
    told.collect::<Vec<_>>().join("; ")
}

/// A value for people: reals as numbers.
fn tell(name: &str, value: Option<&Json>) -> String {
    let Some(value) = value else {
        return "nothing".to_owned();
    };
    let digits = value.as_str().filter(|_| name.ends_with("_f64"));
    match digits.map(|digits| u64::from_str_radix(digits, 16)) {
        Some(Ok(bits)) => f64::from_bits(bits).to_string(),
        _ => value.to_string(),
    }
}

/// The arms that some reallocation says cannot be drawn, as (element, arm).
pub(crate) fn paused_arms(snapshots: &[EntryRow]) -> Result<BTreeSet<(usize, usize)>, Error> {
    let mut paused = BTreeSet::new();
    for entry in snapshots {
        if entry.decision_type != "reallocation" {
            continue;
        }
        let payload =
            Payload::from_text(entry.decision_data.as_bytes()).map_err(Error::internal)?;
        let entry = Reallocation::parse(payload.bytes()).map_err(Error::internal)?;
        for (element, block) in entry.elements.as_slice().iter().enumerate() {
            let arms = block.arms.iter().enumerate();
            let inactive = arms.filter(|(_, arm)| !arm.active);
            paused.extend(inactive.map(|(arm, _)| (element, arm)));
        }
    }
    Ok(paused)
}
