//! Who may edit a draft on the pages of a site, without a key of the API: whoever follows a signed link
//! that names the site, the account and the experiment. The link is followed on a page that others
//! wrote, too, so it opens that one draft only, and only for two hours.

use samplit_domain::{
    Action, ExperimentId, Installation, InstallationId, InstallationStatus, Status, UserId,
};
use samplit_store::activity;
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::Duration;

use crate::experiments::not_a_draft;
use crate::{Engine, Error, ErrorKind, Principal, Purpose, Role, Scope};

/// For how long a link opens its draft.
const EDIT_FOR: Duration = Duration::hours(2);

/// What a token of the editor says.
#[derive(Debug, Serialize, Deserialize)]
struct Edit {
    i: InstallationId,
    u: UserId,
    e: ExperimentId,
}

/// Somebody who came in by a link of the editor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Editor {
    /// The site on whose pages it is used.
    pub installation: Installation,
    /// The account that owns site and experiment.
    pub who: Principal,
    /// The one experiment that it opens.
    pub experiment_id: ExperimentId,
}

impl Engine {
    /// A token that opens a draft on the pages of a site for two hours.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where `who` sees no such site or experiment, or they are of two accounts,
    /// [`ErrorKind::Conflict`] `not_a_draft` or `no_secret`.
    pub async fn editor_token(
        &self,
        who: &Principal,
        installation: &Installation,
        id: ExperimentId,
    ) -> Result<String, Error> {
        who.require(Scope::Manage)?;
        let experiment = self.experiment(who, id).await?;
        let owner = installation.user_id;
        let owner = owner.filter(|owner| experiment.user_id == Some(*owner));
        let owner = owner.ok_or(ErrorKind::NotFound("experiment"))?;
        if experiment.status != Status::Draft {
            return Err(not_a_draft(experiment.status));
        }
        let edit = Edit {
            i: installation.id,
            u: owner,
            e: id,
        };
        let ends_at = self.core.config.clock.now() + EDIT_FOR;
        let token = self.secret()?.sign(Purpose::Edit, &edit, ends_at);
        let note = self.core.database.run_tx("editor_link", |session| {
            let action = Action::EditorLinkCreated;
            let mut entry = self.core.activity(who, Some(owner), action, id);
            entry.detail = json!({ "installation_id": installation.id });
            Box::pin(async move { activity::insert(session, &entry).await })
        });
        note.await?;
        Ok(token)
    }

    /// Lets somebody in by a token of the editor.
    ///
    /// # Errors
    /// [`ErrorKind::Token`] for a token that is not ours or over, [`ErrorKind::UnknownInstallation`] when
    /// the site was turned off or changed hands since, or its account was disabled.
    pub async fn open_editor(&self, token: &str) -> Result<Editor, Error> {
        let now = self.core.config.clock.now();
        let edit: Edit = self.secret()?.verify(Purpose::Edit, token, now)?;
        let who = Principal {
            user_id: Some(edit.u),
            role: Role::Client,
            scopes: vec![Scope::Manage],
            key: None,
        };
        let installation = self.installation(&who, edit.i).await;
        let installation = installation.map_err(|error| match error.kind() {
            ErrorKind::NotFound(_) => ErrorKind::UnknownInstallation.into(),
            _ => error,
        })?;
        if installation.status != InstallationStatus::Active || !self.is_in_use(edit.u).await? {
            return Err(ErrorKind::UnknownInstallation.into());
        }
        Ok(Editor {
            installation,
            who,
            experiment_id: edit.e,
        })
    }
}
