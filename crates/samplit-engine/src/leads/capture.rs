//! A form on a site is sent.
//!
//! People click twice, and scripts send again what they did not hear of: what is the same submission, or
//! comes in the same words from the same person by the same form within ten minutes, is one lead. Whoever sends such a thing at the
//! same time waits for a lock that stands for the person and the form, so that the second one sees the first.

use std::collections::BTreeMap;
use std::sync::Arc;

use metrics::counter;
use ring::digest::{Context, SHA256};
use samplit_audit::Hash;
use samplit_domain::{
    Installation, Lead, LeadDraft, LeadId, LeadStatus, VariantId, Violations, Visit,
};
use samplit_store::leads::{self, CapturedRow, SeenRow, Submission};
use serde_json::{Value as Json, json};
use time::Duration;
use uuid::Uuid;

use crate::bots::is_bot;
use crate::{Engine, Error, ErrorKind};

/// For how long the same words of the same person by the same form are the same lead.
const SAME_FOR: Duration = Duration::minutes(10);

/// The metric, and what a submission may come to, but for refusals.
const CAPTURED: &str = "samplit_leads_total";
const OUTCOMES: [&str; 6] = ["new", "repeated", "trapped", "bot", "invalid", "failed"];

/// Lets all of them be seen before they happen.
pub(crate) fn begin_at_zero() {
    for outcome in OUTCOMES {
        counter!(CAPTURED, "outcome" => outcome).increment(0);
    }
}

/// What a form sends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeadSubmission {
    /// What somebody typed.
    pub draft: LeadDraft,
    /// Whether a field was filled in that nobody sees: only programs do that.
    pub is_trapped: bool,
}

/// What became of a submission. To whoever sent it, all of them look the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapturedLead {
    /// A lead was made of it.
    New(LeadId),
    /// It was one already.
    Repeated(LeadId),
    /// A program filled in what nobody sees; nothing is stored.
    Trapped,
    /// A known bot sent it; nothing is stored.
    Bot,
}

impl CapturedLead {
    const fn as_str(self) -> &'static str {
        match self {
            Self::New(_) => "new",
            Self::Repeated(_) => "repeated",
            Self::Trapped => "trapped",
            Self::Bot => "bot",
        }
    }
}

/// What a submission turns out to be when it is looked at.
#[derive(Debug)]
pub enum SiftedLead {
    /// Nothing to store.
    Out(CapturedLead),
    /// Something that [`Engine::keep_lead`] stores.
    In(Box<SoundLead>),
}

/// A submission that keeps all rules.
#[derive(Debug)]
pub struct SoundLead {
    lead: Lead,
    submission: Submission,
}

/// Counts what a submission came to.
fn count<T>(outcome: &Result<T, Error>, word: impl FnOnce(&T) -> Option<&'static str>) {
    let word = match outcome {
        Ok(done) => word(done),
        Err(error) if matches!(error.kind(), ErrorKind::Invalid(_)) => Some("invalid"),
        Err(_) => Some("failed"),
    };
    if let Some(word) = word {
        counter!(CAPTURED, "outcome" => word).increment(1);
    }
}

impl Engine {
    /// Takes in what a form on a page of `installation` sends: [`Self::sift_lead`], then [`Self::keep_lead`].
    ///
    /// # Errors
    /// Those of both.
    pub async fn capture_lead(
        &self,
        installation: &Installation,
        visit: &Visit<'_>,
        submission: LeadSubmission,
    ) -> Result<CapturedLead, Error> {
        match self.sift_lead(installation, visit, submission)? {
            SiftedLead::Out(captured) => Ok(captured),
            SiftedLead::In(sound) => self.keep_lead(installation, visit, *sound).await,
        }
    }

    /// Looks at what a form on a page of `installation` sends, and stores nothing. Of a visitor who asks not to
    /// be tracked only what was typed is kept.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for fields that break rules, and for a visitor that cannot be.
    pub fn sift_lead(
        &self,
        installation: &Installation,
        visit: &Visit<'_>,
        submission: LeadSubmission,
    ) -> Result<SiftedLead, Error> {
        let sifted = self.sifted(installation, visit, submission);
        count(&sifted, |sifted| match sifted {
            SiftedLead::Out(captured) => Some(captured.as_str()),
            SiftedLead::In(_) => None,
        });
        sifted
    }

    /// Stores what was sent, unless it is there already, and counts it where a lead is the goal.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when PostgreSQL is away.
    pub async fn keep_lead(
        &self,
        installation: &Installation,
        visit: &Visit<'_>,
        sound: SoundLead,
    ) -> Result<CapturedLead, Error> {
        let kept = self.kept(installation, visit, sound).await;
        count(&kept, |captured| Some(captured.as_str()));
        kept
    }

    fn sifted(
        &self,
        installation: &Installation,
        visit: &Visit<'_>,
        submission: LeadSubmission,
    ) -> Result<SiftedLead, Error> {
        if submission.is_trapped {
            return Ok(SiftedLead::Out(CapturedLead::Trapped));
        }
        if visit.user_agent.is_some_and(is_bot) {
            return Ok(SiftedLead::Out(CapturedLead::Bot));
        }
        let mut violations = Violations::default();
        let draft = submission.draft.tidy(&mut violations);
        let is_known = !visit.visitor.is_empty() && !installation.is_private(visit);
        let visitor = is_known.then(|| visit.visitor.to_owned());
        if let Some(visitor) = &visitor {
            violations.visitor("/visitor_id", visitor);
        }
        violations.into_result(())?;
        let sound = self.read_lead(installation, visitor, draft);
        Ok(SiftedLead::In(Box::new(sound)))
    }

    async fn kept(
        &self,
        installation: &Installation,
        visit: &Visit<'_>,
        SoundLead { lead, submission }: SoundLead,
    ) -> Result<CapturedLead, Error> {
        let lead = Arc::new(lead);
        let (captured, is_new) = self.store_lead(&lead, &submission).await?;
        if let Some(visitor) = &captured.visitor {
            let form = captured.source.as_deref();
            let visit = Visit { visitor, ..*visit };
            self.on_lead(installation, captured.id, is_new, &visit, form)
                .await;
        }
        Ok(if is_new {
            CapturedLead::New(captured.id)
        } else {
            CapturedLead::Repeated(captured.id)
        })
    }

    /// The lead that a draft becomes, and by what it is known again.
    fn read_lead(
        &self,
        installation: &Installation,
        visitor: Option<String>,
        draft: LeadDraft,
    ) -> SoundLead {
        let now = self.core.config.clock.now();
        let submission = Submission {
            key: draft
                .submission
                .as_ref()
                .map(|id| Hash::of(id.as_bytes()).to_string()),
            since: now - SAME_FOR,
            lock: lock_of(installation, &draft),
        };
        let lead = Lead {
            id: LeadId(self.core.ids.next()),
            user_id: installation.user_id,
            installation_id: Some(installation.id),
            email: draft.email,
            name: draft.name,
            company: draft.company,
            phone: draft.phone,
            message: draft.message,
            status: LeadStatus::New,
            source: draft.form,
            utm: draft.utm,
            page_url: draft.url,
            experiment_id: None,
            variant_id: None,
            visitor,
            metadata: json!({ "fields": draft.fields }),
            note: None,
            created_at: now,
            updated_at: now,
            version: 1,
        };
        SoundLead { lead, submission }
    }

    /// Stores a lead unless it is there already, with what its visitor was given; says whether it is new.
    async fn store_lead(
        &self,
        lead: &Arc<Lead>,
        submission: &Submission,
    ) -> Result<(CapturedRow, bool), Error> {
        let store = self.core.database.run_tx("capture_lead", |session| {
            let mut lead = Lead::clone(lead);
            Box::pin(async move {
                leads::lock_person(session, submission).await?;
                if let Some(captured) = leads::find_again(session, &lead, submission).await? {
                    return Ok((captured, false));
                }
                if let (Some(owner), Some(visitor)) = (lead.user_id, &lead.visitor) {
                    let seen = leads::seen(session, owner, visitor).await?;
                    note_seen(&mut lead, &seen);
                }
                if leads::insert(session, &lead, submission).await? {
                    let captured = CapturedRow {
                        id: lead.id,
                        visitor: lead.visitor,
                        source: lead.source,
                    };
                    return Ok((captured, true));
                }
                // Somebody with another contact has sent the same submission at the same time.
                let captured = leads::find_again(session, &lead, submission).await?;
                let captured = captured.ok_or_else(|| Error::internal("a lead came and went"))?;
                Ok((captured, false))
            })
        });
        store.await
    }
}

/// The number of the lock that stands for a person and a form.
fn lock_of(installation: &Installation, draft: &LeadDraft) -> i64 {
    let mut context = Context::new(&SHA256);
    context.update(b"samplit/lead/v1\n");
    context.update(installation.id.0.as_bytes());
    let contact = match (&draft.email, &draft.phone) {
        (Some(email), _) => email.to_lowercase(),
        (None, phone) => phone.clone().unwrap_or_default(),
    };
    context.update(&contact.len().to_be_bytes());
    context.update(contact.as_bytes());
    context.update(draft.form.as_deref().unwrap_or_default().as_bytes());
    let digest = context.finish();
    let first = digest.as_ref().first_chunk::<8>();
    i64::from_be_bytes(*first.expect("SHA-256 gives 32 bytes"))
}

/// Notes what the visitor was given: the newest in columns of its own, all of it beside.
fn note_seen(lead: &mut Lead, seen: &[SeenRow]) {
    if let Some(newest) = seen.first() {
        lead.experiment_id = Some(newest.experiment_id);
        lead.variant_id = newest.variant_id;
    }
    let variants = seen.iter().map(|seen| (seen.experiment_id, shown(seen)));
    let variants: BTreeMap<_, _> = variants.collect();
    if !variants.is_empty() {
        lead.metadata["variants"] = json!(variants);
    }
}

/// The variants of one experiment, that of the first element first.
fn shown(seen: &SeenRow) -> Vec<VariantId> {
    let all = seen.variants.as_ref().and_then(Json::as_object);
    let others = all.into_iter().flatten().filter_map(|(_, variant)| {
        let variant: Uuid = variant.as_str()?.parse().ok()?;
        Some(VariantId(variant)).filter(|variant| Some(*variant) != seen.variant_id)
    });
    seen.variant_id.into_iter().chain(others).collect()
}
