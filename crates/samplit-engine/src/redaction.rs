//! Taking the payload of an entry out of a trail, so that everybody can see that it was done.

use samplit_audit::Payload;
use samplit_domain::{Action, ExperimentId, Violations, to_micros};
use samplit_store::trail::{self, NewRedaction};
use samplit_store::{Session, activity, heads};
use serde_json::json;

use crate::trail::unsigned;
use crate::{Engine, Error, ErrorKind, Principal, Scope};

/// The longest reason, in characters.
const MAX_REASON: usize = 500;

impl Engine {
    /// Replaces the payload of an assignment or a conversion by its hash, and gives the sequence
    /// number of the entry that says so. The trail verifies as before; what it cannot show any more
    /// is what the payload said, so weights that follow from it are no longer recounted.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for an entry that is not there or is no
    /// assignment or conversion, and for a reason that is not 1 to 500 characters long,
    /// [`ErrorKind::Conflict`] `already_redacted`,
    /// [`ErrorKind::NotFound`],
    /// [`ErrorKind::NotRunning`] before the start, [`ErrorKind::OnHold`].
    pub async fn redact(
        &self,
        who: &Principal,
        id: ExperimentId,
        sequence: u64,
        reason: &str,
    ) -> Result<u64, Error> {
        who.require(Scope::Manage)?;
        let mut violations = Violations::default();
        violations.text("/reason", reason, MAX_REASON);
        violations.into_result(())?;
        let sequence = i64::try_from(sequence).map_err(|_| no_such_entry())?;
        let live = self.visible_live(who, id).await?;
        live.started()?;
        let owner = live.experiment.user_id;
        let core = &self.core;
        let redacted = core.database.run_tx("redact", |session| {
            Box::pin(async move {
                // The function locks the head, too; under the lock already, nobody comes between.
                let head = heads::lock(session, &[id.0]).await?.pop();
                if let Some(reason) = head.and_then(|head| head.hold) {
                    return Err(ErrorKind::OnHold { reason }.into());
                }
                let redaction = NewRedaction {
                    experiment_id: id,
                    sequence_number: sequence,
                    payload_sha256: payload_sha256(session, id, sequence).await?,
                    reason: reason.to_owned(),
                    entry_id: core.ids.next(),
                    now_us: to_micros(core.config.clock.now()),
                };
                let redacted = trail::redact(session, &redaction).await?;
                let mut entry = core.activity(who, owner, Action::TrailRedacted, id);
                entry.detail = json!({ "sequence_number": sequence });
                activity::insert(session, &entry).await?;
                Ok::<_, Error>(redacted)
            })
        });
        unsigned(redacted.await?)
    }
}

/// The hash of a payload that may be redacted.
async fn payload_sha256(
    session: &Session<'_>,
    id: ExperimentId,
    sequence: i64,
) -> Result<String, Error> {
    let entry = trail::entry(session, id, sequence).await?;
    let entry = entry.ok_or_else(no_such_entry)?;
    if !matches!(entry.decision_type.as_str(), "assignment" | "conversion") {
        return Err(refused(
            "not_redactable",
            format!(
                "entry {sequence} is a {}; only assignments and conversions may be redacted",
                entry.decision_type
            ),
        ));
    }
    let payload = Payload::from_text(entry.decision_data.as_bytes()).map_err(Error::internal)?;
    if payload.is_redacted() {
        let detail = format!("entry {sequence} is redacted already");
        return Err(Error::conflict("already_redacted", detail));
    }
    Ok(payload.hash().to_string())
}

fn no_such_entry() -> Error {
    refused("unknown_value", "the trail has no such entry".to_owned())
}

fn refused(code: &'static str, detail: String) -> Error {
    let mut violations = Violations::default();
    violations.add("/sequence_number", code, detail);
    violations.into()
}
