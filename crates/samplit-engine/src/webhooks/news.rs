//! What there is to say, and the JSON that says it.

use samplit_domain::{
    ElementId, Experiment, ExperimentId, Transition, UserId, VariantId, WebhookEvent, from_micros,
    to_micros,
};
use serde::Serialize;
use serde_json::{Value as Json, json};
use time::OffsetDateTime;

use crate::Error;
use crate::checkpoints::StoredCheckpoint;
use crate::results::{ElementResults, Results};

/// Of the checkpoints that are signed within this time one is told of, in microseconds.
const CHECKPOINT_PERIOD_US: i64 = 60_000_000;

/// Something that happened.
#[derive(Clone, Debug)]
pub(crate) struct News {
    /// What.
    pub(super) event: WebhookEvent,
    /// To whose experiment; nobody hears of what is nobody's.
    pub(super) owner: Option<UserId>,
    /// To which.
    pub(super) experiment_id: Option<ExperimentId>,
    /// When.
    pub(super) at: OffsetDateTime,
    /// By what it is known that it was said; `None`: it may be said again.
    pub(super) once_key: Option<String>,
    /// When it is to be said.
    pub(super) due_at: OffsetDateTime,
    /// The rest.
    data: Json,
}

/// What is sent.
#[derive(Serialize)]
struct Body<'a> {
    r#type: WebhookEvent,
    #[serde(with = "time::serde::rfc3339")]
    timestamp: OffsetDateTime,
    data: &'a Json,
}

impl News {
    /// A step of the lifecycle, after which `experiment` is what it is.
    pub(crate) fn of_step(experiment: &Experiment, transition: Transition) -> Self {
        let event = match transition {
            Transition::Start => WebhookEvent::Started,
            Transition::Pause => WebhookEvent::Paused,
            Transition::Resume => WebhookEvent::Resumed,
            Transition::Complete => WebhookEvent::Completed,
            Transition::Archive => WebhookEvent::Archived,
        };
        let mut data = about(experiment);
        if transition == Transition::Complete {
            let declared = &experiment.declared_winner;
            data["declared_winner"] = declared
                .iter()
                .map(|(element, variant)| named(experiment, *element, *variant))
                .collect();
        }
        Self::now(event, experiment, experiment.updated_at, data)
    }

    /// The stopping rule of an experiment is met for the first time.
    pub(crate) fn of_winner(found: &Results) -> Self {
        let mut data = about(&found.experiment);
        let stopping = &found.experiment.stopping;
        data["rule"] = json!({"name": stopping.rule, "threshold": stopping.threshold()});
        data["auto_complete"] = stopping.auto_complete.into();
        data["visitors"] = found.visitors.into();
        data["conversions"] = found.conversions.into();
        data["draws"] = found.elements.iter().map(leader).collect();
        Self::now(
            WebhookEvent::WinnerFound,
            &found.experiment,
            found.as_of,
            data,
        )
        .once()
    }

    /// Visitors of an experiment are not split as its weights say, seen for the first time.
    pub(crate) fn of_mismatch(found: &Results) -> Self {
        let mut data = about(&found.experiment);
        data["visitors"] = found.visitors.into();
        data["draws"] = found.elements.iter().map(split).collect();
        let event = WebhookEvent::SampleRatioMismatch;
        Self::now(event, &found.experiment, found.as_of, data).once()
    }

    /// A checkpoint was signed. It is told of at the end of its minute, if no newer one of the trail
    /// was signed in it; or so many minutes `late`.
    pub(crate) fn of_checkpoint(
        owner: Option<UserId>,
        signed: &StoredCheckpoint,
        late: i64,
    ) -> Self {
        let event = WebhookEvent::CheckpointSigned;
        let id = signed.experiment_id;
        let period = to_micros(signed.signed_at).div_euclid(CHECKPOINT_PERIOD_US) + late;
        Self {
            event,
            owner,
            experiment_id: Some(id),
            at: signed.signed_at,
            once_key: Some(format!("{event}/{id}/{period}")),
            due_at: from_micros((period + 1) * CHECKPOINT_PERIOD_US),
            data: json!({
                "experiment_id": id,
                "incarnation": signed.incarnation,
                "size": signed.size,
                "root": signed.root.to_string(),
                "note": signed.note,
            }),
        }
    }

    /// Nothing has happened: somebody tries an address.
    pub(super) fn of_test(owner: UserId, at: OffsetDateTime) -> Self {
        Self {
            event: WebhookEvent::Test,
            owner: Some(owner),
            experiment_id: None,
            at,
            once_key: None,
            due_at: at,
            data: json!({"message": "Samplit can reach this address."}),
        }
    }

    fn now(event: WebhookEvent, experiment: &Experiment, at: OffsetDateTime, data: Json) -> Self {
        Self {
            event,
            owner: experiment.user_id,
            experiment_id: Some(experiment.id),
            at,
            once_key: None,
            due_at: at,
            data,
        }
    }

    /// Said once in the life of the experiment.
    fn once(self) -> Self {
        let once_key = self.experiment_id.map(|id| format!("{}/{id}", self.event));
        Self { once_key, ..self }
    }

    /// What is sent, byte for byte.
    pub(super) fn body(&self) -> Result<String, Error> {
        let body = Body {
            r#type: self.event,
            timestamp: self.at,
            data: &self.data,
        };
        serde_json::to_string(&body).map_err(Error::internal)
    }
}

fn about(experiment: &Experiment) -> Json {
    json!({
        "experiment_id": experiment.id,
        "name": experiment.name,
        "key": experiment.key,
        "status": experiment.status,
        "version": experiment.version,
    })
}

fn named(experiment: &Experiment, element: ElementId, variant: VariantId) -> Json {
    let found = experiment.elements.iter().find(|e| e.id == element);
    let shown = found.and_then(|e| e.variants.iter().find(|v| v.id == variant));
    json!({
        "element_id": element,
        "element": found.map(|element| &element.name),
        "variant_id": variant,
        "variant": shown.map(|variant| &variant.name),
    })
}

/// What leads a draw, and by how much.
fn leader(draw: &ElementResults) -> Json {
    let leader = draw.arms.get(draw.stopping.leader);
    json!({
        "element": draw.name,
        "leader": leader.map(|arm| json!({
            "name": arm.name,
            "variants": arm.variants,
            "is_control": arm.is_control,
            "visitors": arm.assignments,
            "conversions": arm.conversions,
            "rate": arm.rate,
            "p_best": arm.p_best,
            "expected_loss": arm.expected_loss,
            "p_beats_control": arm.p_beats_control,
        })),
    })
}

/// How a draw was split, and how it should have been.
fn split(draw: &ElementResults) -> Json {
    let names: Vec<&str> = draw.arms.iter().map(|arm| arm.name.as_str()).collect();
    json!({"element": draw.name, "arms": names, "sample_ratio": draw.sample_ratio})
}

/// Whether visitors of any draw are not split as the weights say.
pub(super) fn is_mismatched(found: &Results) -> bool {
    let mut draws = found.elements.iter();
    draws.any(|draw| {
        let ratio = draw.sample_ratio.as_ref();
        ratio.is_some_and(|ratio| ratio.verdict == "mismatch")
    })
}
