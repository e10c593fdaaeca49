//! The trail of an experiment, for people: what was decided, entry by entry, and what convinces somebody
//! who does not trust this server.

use std::borrow::Borrow;

use askama::Template;
use hyper::StatusCode;
use samplit_engine::{
    DecisionType, ErrorKind, Experiment, InclusionProof, SignedIn, StoredCheckpoint, TrailEntry,
    TrailState, Verdict, arm_sets,
};
use serde_json::Value as Json;
use time::OffsetDateTime;

use crate::{
    call::Call,
    dashboard::{
        form::sentence,
        format::{count, percent, plural, value},
        layout::{Frame, Section, html},
    },
    problem::Problem,
    response::Reply,
};

/// Entries of a page.
const PAGE: u64 = 50;

/// The largest sequence number that can be.
const MAX: u64 = i64::MAX.unsigned_abs();

#[derive(Template)]
#[template(path = "dashboard/experiment/trail.html")]
struct TrailPage {
    frame: Frame,
    experiment: Experiment,
    state: Option<TrailState>,
    checkpoint: Option<StoredCheckpoint>,
    entries: Vec<Told>,
    /// The sequence number before the first entry that is shown.
    after: u64,
    verdict: Option<Verified>,
    receipt: Option<Receipt>,
    inclusion: Option<Inclusion>,
}

/// An entry in words.
struct Told {
    seq: u64,
    at: OffsetDateTime,
    kind: &'static str,
    what: String,
    hash: String,
    previous: String,
    payload: String,
}

/// What a verification found.
struct Verified {
    is_sound: bool,
    title: String,
    detail: String,
}

/// What was asked about a visitor.
struct Receipt {
    visitor: String,
    /// Where to take it from, or why there is none.
    found: Result<String, String>,
}

/// What was asked about an entry.
struct Inclusion {
    sequence: u64,
    found: Result<InclusionProof, String>,
}

/// `GET /experiments/{id}/trail?after=&verify=&visitor=&sequence=`
pub(crate) async fn show(call: Call) -> Result<Reply, Problem> {
    let who = call.signed_in().await?;
    let mut query = call.query();
    let (engine, id) = (&call.app.engine, call.experiment_id());
    let experiment = engine.experiment(&who.principal, id).await?;
    let state = engine.trail_state(&who.principal, id).await?;
    let size = state.as_ref().map_or(0, |state| state.size);
    // The newest come first, unless an earlier page is asked for.
    let newest = size.saturating_sub(PAGE);
    let after = query.number("after", 0..=MAX, newest).min(size);
    let is_verify = query.text("verify").is_some();
    let visitor = query.text("visitor");
    let sequence = query.optional_number("sequence", 1..=MAX);
    let entries = if state.is_some() {
        let limit = usize::try_from(PAGE).unwrap_or(usize::MAX);
        engine.trail(&who.principal, id, after, limit).await?
    } else {
        Vec::new()
    };
    let mut entries: Vec<Told> = entries
        .iter()
        .map(|entry| tell(&experiment, entry))
        .collect();
    entries.reverse();
    let verdict = if is_verify && state.is_some() {
        Some(verified(engine.verify(&who.principal, id).await?))
    } else {
        None
    };
    let page = TrailPage {
        frame: Frame::new(
            &call,
            &who,
            Section::Experiments,
            format!("Trail of {}", experiment.name),
        )
        .below("Experiments", "/experiments")
        .below(experiment.name.clone(), format!("/experiments/{id}")),
        checkpoint: checkpoint(&call, &who).await?,
        receipt: match visitor {
            Some(visitor) => Some(receipt(&call, &who, visitor).await?),
            None => None,
        },
        inclusion: match sequence {
            Some(sequence) => Some(inclusion(&call, &who, sequence).await?),
            None => None,
        },
        experiment,
        state,
        entries,
        after,
        verdict,
    };
    Ok(html(StatusCode::OK, &page))
}

async fn checkpoint(call: &Call, who: &SignedIn) -> Result<Option<StoredCheckpoint>, Problem> {
    let found = call
        .app
        .engine
        .checkpoint(&who.principal, call.experiment_id());
    match found.await {
        Ok(checkpoint) => Ok(Some(checkpoint)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound("checkpoint")) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn receipt(call: &Call, who: &SignedIn, visitor: String) -> Result<Receipt, Problem> {
    let id = call.experiment_id();
    let found = match call.app.engine.receipt(&who.principal, id, &visitor).await {
        Ok(_) => {
            let path = format!("/v1/experiments/{id}/audit/receipt?");
            let mut query = form_urlencoded::Serializer::new(path);
            Ok(query.append_pair("visitor", &visitor).finish())
        }
        Err(error) => Err(refusal(error)?),
    };
    Ok(Receipt { visitor, found })
}

async fn inclusion(call: &Call, who: &SignedIn, sequence: u64) -> Result<Inclusion, Problem> {
    let (engine, id) = (&call.app.engine, call.experiment_id());
    let found = match engine
        .inclusion_proof(&who.principal, id, sequence, None)
        .await
    {
        Ok(proof) => Ok(proof),
        Err(error) => Err(refusal(error)?),
    };
    Ok(Inclusion { sequence, found })
}

/// What can be said on the page; everything else is a page of its own.
fn refusal(error: samplit_engine::Error) -> Result<String, Problem> {
    let problem = Problem::from(error);
    if !problem.status.is_client_error() {
        return Err(problem);
    }
    let first = problem.errors.first().map(|error| error.detail.as_str());
    Ok(sentence(first.unwrap_or(&problem.detail)))
}

fn verified(verdict: Verdict) -> Verified {
    match verdict {
        Ok(report) => {
            let replay = report.replay.as_ref().map_or_else(String::new, |replay| {
                format!(
                    " {} and {} were recounted, and every draw that can be was drawn again.",
                    plural(replay.assignments, "assignment"),
                    plural(replay.conversions, "conversion")
                )
            });
            Verified {
                is_sound: true,
                title: "Sound: nothing was changed".to_owned(),
                detail: format!(
                    "{} follow from each other.{replay} Root {}.",
                    entries(report.entries),
                    report.root
                ),
            }
        }
        Err(failure) => Verified {
            is_sound: false,
            title: "Not sound".to_owned(),
            detail: sentence(&failure.to_string()),
        },
    }
}

fn entries(number: u64) -> String {
    if number == 1 {
        "1 entry".to_owned()
    } else {
        format!("{} entries", count(number))
    }
}

/// An entry in words.
fn tell(experiment: &Experiment, entry: &TrailEntry) -> Told {
    let data = &entry.decision_data;
    let (kind, what) = if data["redacted"].is_null() {
        words(experiment, entry.decision_type, data)
    } else {
        (
            "Redacted",
            "The payload was replaced by its hash.".to_owned(),
        )
    };
    Told {
        seq: entry.sequence_number,
        at: entry.created_at,
        kind,
        what,
        hash: entry.current_hash.clone(),
        previous: entry.previous_hash.clone(),
        payload: serde_json::to_string_pretty(data).unwrap_or_default(),
    }
}

fn words(experiment: &Experiment, kind: DecisionType, data: &Json) -> (&'static str, String) {
    let sets = arm_sets(experiment);
    let arm = |element: usize, arm: Option<u64>| {
        let arm = arm.and_then(|arm| usize::try_from(arm).ok());
        let arms = sets.get(element).map(|set| &set.arms);
        let found = arms.zip(arm).and_then(|(arms, arm)| arms.get(arm));
        found.map_or_else(|| "an arm".to_owned(), |arm| format!("“{}”", arm.name))
    };
    let element = data["element"]
        .as_u64()
        .and_then(|element| usize::try_from(element).ok());
    let element = element.unwrap_or(0);
    let visitor = data["visitor"].as_str().unwrap_or_default();
    let visitor = visitor.get(..12).unwrap_or(visitor);
    match kind {
        DecisionType::Genesis => (
            "Start",
            "The trail begins: what is tested, by which rule, and a commitment to the key of every draw."
                .to_owned(),
        ),
        DecisionType::Assignment => {
            let at = data["r_ppb"].as_f64().unwrap_or(0.0) / 1e9;
            let arm = arm(element, data["arm"].as_u64());
            let snapshot = data["snapshot_seq"].as_u64().unwrap_or(0);
            (
                "Assignment",
                format!("Visitor {visitor}… got {arm}: drawn {at:.4} under the weights of entry {}.", count(snapshot)),
            )
        }
        DecisionType::Conversion => {
            let worth = data["value_f64"].as_str();
            let worth = worth.and_then(|bits| u64::from_str_radix(bits, 16).ok());
            let worth = worth.map_or_else(String::new, |bits| format!(", worth {}", value(f64::from_bits(bits))));
            let goal = data["goal"].as_str().unwrap_or("the goal");
            ("Conversion", format!("Visitor {visitor}… reached “{goal}”{worth}."))
        }
        DecisionType::Reallocation => ("New weights", weights(data, &sets)),
        DecisionType::Seal => (
            "Seal",
            "The end: the final counts, and the key of every draw, so that anybody can draw again.".to_owned(),
        ),
        DecisionType::Redaction => (
            "Redaction",
            format!(
                "The payload of entry {} was replaced by its hash: {}",
                data["sequence_number"].as_u64().or(data["target_seq"].as_u64()).unwrap_or(0),
                sentence(data["reason"].as_str().unwrap_or("no reason given"))
            ),
        ),
        DecisionType::Restore => (
            "Restore",
            format!(
                "The database was set back to a copy: {}",
                sentence(data["reason"].as_str().unwrap_or("no reason given"))
            ),
        ),
    }
}

/// The shares of a reallocation.
fn weights(data: &Json, sets: &[samplit_engine::ArmSet]) -> String {
    let method = match data["method"].as_str() {
        Some("uniform") => "Even split while little is known",
        Some("fixed") => "Fixed split",
        _ => "Traffic follows what was learned",
    };
    let many = data["elements"].as_array();
    let blocks: Vec<&Json> = many.map_or_else(|| vec![data], |blocks| blocks.iter().collect());
    let shares = blocks.into_iter().zip(sets).flat_map(|(block, set)| {
        let weights = block["weights_ppb"].as_array().into_iter().flatten();
        let told = set.arms.iter().zip(weights).map(|(arm, weight)| {
            format!(
                "“{}” {}",
                arm.name,
                percent(weight.as_f64().unwrap_or(0.0) / 1e9)
            )
        });
        told.collect::<Vec<_>>()
    });
    let shares: Vec<String> = shares.take(8).collect();
    format!("{method}: {}.", shares.join(", "))
}

impl TrailPage {
    fn count(&self, number: impl Borrow<u64>) -> String {
        count(*number.borrow())
    }

    fn size(&self) -> u64 {
        self.state.as_ref().map_or(0, |state| state.size)
    }

    /// Where older entries are, if there are any.
    fn older(&self) -> Option<u64> {
        (self.after > 0).then(|| self.after.saturating_sub(PAGE))
    }

    /// Where newer entries are, if there are any.
    fn newer(&self) -> Option<u64> {
        let next = self.after + PAGE;
        (next < self.size()).then_some(next)
    }

    fn last(&self) -> u64 {
        (self.after + PAGE).min(self.size())
    }

    /// The first entry that is shown.
    fn first(&self) -> u64 {
        (self.after + 1).min(self.size())
    }
}
