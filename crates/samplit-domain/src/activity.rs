//! Activity: who changed what, as the log of an account tells it.

use serde_json::Value as Json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{ActivityId, ApiKeyId, UserId, words};

words! {
    /// What can be done and is noted.
    Action {
        /// An experiment was drafted.
        ExperimentCreated => "experiment.created",
        /// An experiment was edited.
        ExperimentChanged => "experiment.changed",
        /// An experiment began.
        ExperimentStarted => "experiment.started",
        /// An experiment stopped taking new visitors for a while.
        ExperimentPaused => "experiment.paused",
        /// An experiment went on.
        ExperimentResumed => "experiment.resumed",
        /// An experiment came to its end.
        ExperimentCompleted => "experiment.completed",
        /// An experiment was put away.
        ExperimentArchived => "experiment.archived",
        /// A variant takes new visitors.
        VariantActivated => "variant.activated",
        /// A variant takes no new visitors any more.
        VariantDeactivated => "variant.deactivated",
        /// A trail was closed.
        TrailSealed => "trail.sealed",
        /// The payload of an entry was taken out of a trail.
        TrailRedacted => "trail.redacted",
        /// A trail that was behind its checkpoint was let go on.
        RestoreAcknowledged => "trail.restore_acknowledged",
        /// A visitor was erased.
        VisitorErased => "visitor.erased",
        /// A rule that keeps traffic out was made.
        ExclusionCreated => "exclusion.created",
        /// It was changed.
        ExclusionChanged => "exclusion.changed",
        /// It was taken away.
        ExclusionDeleted => "exclusion.deleted",
        /// A funnel was drafted or copied.
        FunnelCreated => "funnel.created",
        /// A funnel was drawn otherwise, or something of it changed.
        FunnelChanged => "funnel.changed",
        /// A funnel began to follow visitors.
        FunnelActivated => "funnel.activated",
        /// A funnel stopped following visitors for a while.
        FunnelPaused => "funnel.paused",
        /// A funnel went on.
        FunnelResumed => "funnel.resumed",
        /// A funnel was put away.
        FunnelArchived => "funnel.archived",
        /// A site was added.
        InstallationCreated => "installation.created",
        /// It was changed.
        InstallationChanged => "installation.changed",
        /// It was turned off.
        InstallationDisabled => "installation.disabled",
        /// It got a new token.
        InstallationRotated => "installation.rotated",
        /// Its snippet was found.
        InstallationVerified => "installation.verified",
        /// It got a secret that signs its orders.
        SigningSecretMade => "installation.signing_secret_made",
        /// A link was made that opens a draft in the editor on a page.
        EditorLinkCreated => "editor.link_created",
        /// A lead moved on, or got another note.
        LeadChanged => "lead.changed",
        /// A lead was erased.
        LeadErased => "lead.erased",
        /// A shop was connected.
        ShopConnected => "shop.connected",
        /// A shop was taken out.
        ShopRemoved => "shop.removed",
        /// The server got its first admin.
        ServerSetUp => "server.set_up",
        /// Somebody signed in.
        UserSignedIn => "user.signed_in",
        /// Somebody signed out, or a session was ended.
        SessionEnded => "session.ended",
        /// An account was made and its owner invited.
        UserInvited => "user.invited",
        /// An account was changed.
        UserChanged => "user.changed",
        /// Nobody comes in with the account any more.
        UserDisabled => "user.disabled",
        /// It can be used again.
        UserEnabled => "user.enabled",
        /// The password was changed or set.
        PasswordChanged => "user.password_changed",
        /// A link that lets somebody in was made.
        LinkCreated => "link.created",
        /// An API key was made.
        KeyCreated => "key.created",
        /// An API key got a successor.
        KeyRotated => "key.rotated",
        /// An API key was revoked.
        KeyRevoked => "key.revoked",
        /// An address was given that hears of experiments.
        WebhookCreated => "webhook.created",
        /// It was changed, or switched on or off by hand.
        WebhookChanged => "webhook.changed",
        /// It got a new secret.
        WebhookRotated => "webhook.rotated",
        /// It was taken away.
        WebhookDeleted => "webhook.deleted",
        /// It was sent a message, to try it.
        WebhookTested => "webhook.tested",
        /// A delivery to it was begun anew.
        WebhookReplayed => "webhook.replayed",
        /// It takes nothing any more, and was switched off for that.
        WebhookSwitchedOff => "webhook.switched_off",
        /// A plan was made or changed.
        PlanSaved => "plan.saved",
        /// Much of a limit of the plan is used, or all of it.
        PlanLimitNear => "plan.limit_near",
        /// An admin put an account on a plan.
        SubscriptionSet => "subscription.set",
        /// Stripe said something new of a subscription.
        SubscriptionChanged => "subscription.changed",
        /// The checklist of a new account was put away.
        OnboardingDismissed => "onboarding.dismissed",
        /// It was taken out again.
        OnboardingReopened => "onboarding.reopened",
    }
}

words! {
    /// What sort of somebody did it.
    ActorKind {
        /// Somebody who signed in.
        User => "user",
        /// A program with an API key.
        Key => "key",
        /// The server itself, or its operator on the command line.
        System => "system",
        /// Somebody else, as a client is shown it in place of who it was; no row says so.
        Administrator => "administrator",
    }
}

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actor {
    /// What sort of somebody.
    pub kind: ActorKind,
    /// The account; `None` of the system, and of an administrator.
    pub user_id: Option<UserId>,
    /// The key, if it was one.
    pub key_id: Option<ApiKeyId>,
}

/// One thing that was done.
#[derive(Clone, Debug, PartialEq)]
pub struct Activity {
    /// Its id.
    pub id: ActivityId,
    /// When.
    pub occurred_at: OffsetDateTime,
    /// Whose account it concerns; `None`: nobody's.
    pub user_id: Option<UserId>,
    /// Who did it.
    pub actor: Actor,
    /// The email of the account that did it.
    pub actor_email: Option<String>,
    /// What was done: an [`Action`], or a word that a newer version wrote.
    pub action: String,
    /// To what sort of thing: `experiment`, `installation`, `user`, ...
    pub subject_kind: String,
    /// To which; `None` where it has no id of ours.
    pub subject_id: Option<Uuid>,
    /// What else there is to say.
    pub detail: Json,
    /// The request that did it.
    pub request_id: Option<String>,
}
