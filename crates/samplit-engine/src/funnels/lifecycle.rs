//! Steps through the lifecycle of a funnel, and copies of it.

use samplit_domain::{Action, Funnel, FunnelId, FunnelStatus, FunnelTransition};
use serde_json::json;

use super::save::Edit;
use crate::idempotency::{Made, Once};
use crate::{Engine, Error, Principal, Scope};

/// What is put behind the name of a copy.
const COPY: &str = " (copy)";

impl Engine {
    /// Activates, pauses, resumes or archives a funnel.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) `illegal_transition` when the lifecycle has no
    /// such step, and `too_many_funnels` when as many are active as can be,
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) with everything that keeps it from
    /// being activated, [`ErrorKind::VersionMismatch`](crate::ErrorKind::VersionMismatch).
    pub async fn move_funnel(
        &self,
        who: &Principal,
        id: FunnelId,
        transition: FunnelTransition,
        if_version: Option<i64>,
    ) -> Result<Funnel, Error> {
        let edit = Edit {
            id,
            if_version,
            name: match transition {
                FunnelTransition::Activate => "activate_funnel",
                FunnelTransition::Pause => "pause_funnel",
                FunnelTransition::Resume => "resume_funnel",
                FunnelTransition::Archive => "archive_funnel",
            },
            action: match transition {
                FunnelTransition::Activate => Action::FunnelActivated,
                FunnelTransition::Pause => Action::FunnelPaused,
                FunnelTransition::Resume => Action::FunnelResumed,
                FunnelTransition::Archive => Action::FunnelArchived,
            },
            detail: json!({}),
        };
        let now = self.core.config.clock.now();
        self.edit_funnel(who, edit, |current| {
            let mut next = current.clone();
            let status = current.status.after(transition);
            next.status = status.ok_or_else(|| illegal(transition, current.status))?;
            if next.status == FunnelStatus::Active {
                next.activated_at.get_or_insert(now);
            }
            Ok(next)
        })
        .await
    }

    /// Makes a draft that is drawn as a funnel is, with ids of its own, for the same account.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) where there is none that `who` may see.
    pub async fn duplicate_funnel(&self, who: &Principal, id: FunnelId) -> Result<Funnel, Error> {
        self.duplicate_funnel_once(who, id, None).await?.only_new()
    }

    /// Makes a copy, once.
    ///
    /// # Errors
    /// As [`Self::duplicate_funnel`],
    /// [`ErrorKind::IdempotencyKeyReused`](crate::ErrorKind::IdempotencyKeyReused) and
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) `idempotency_key_in_use`.
    pub async fn duplicate_funnel_once(
        &self,
        who: &Principal,
        id: FunnelId,
        once: Option<&Once<'_, Funnel>>,
    ) -> Result<Made<Funnel>, Error> {
        who.require(Scope::Manage)?;
        let original = self.funnel(who, id).await?;
        let now = self.core.config.clock.now();
        let copy = Funnel {
            id: FunnelId(self.core.ids.next()),
            name: name_of_copy(&original.name),
            status: FunnelStatus::Draft,
            canvas: original.canvas.with_new_ids(|| self.core.ids.next()),
            version: 1,
            created_at: now,
            updated_at: now,
            activated_at: None,
            ..original
        };
        let detail = json!({ "with": "copying" });
        self.insert_funnel(who, &copy, detail, once).await
    }
}

fn name_of_copy(name: &str) -> String {
    let room = 255 - COPY.len();
    let kept: String = name.chars().take(room).collect();
    format!("{kept}{COPY}")
}

fn illegal(transition: FunnelTransition, from: FunnelStatus) -> Error {
    let detail = format!("cannot {transition} a funnel that is {from}");
    Error::conflict("illegal_transition", detail)
}

#[cfg(test)]
mod tests {
    use super::name_of_copy;

    #[test]
    fn the_name_of_a_copy_fits() {
        assert_eq!(name_of_copy("Checkout"), "Checkout (copy)");
        let long = name_of_copy(&"ñ".repeat(255));
        assert_eq!(long.chars().count(), 255);
        assert!(long.ends_with("ñ (copy)"));
    }
}
