//! Looks at chosen variants on a real page before, or beside, everybody else. A signed link says which
//! ones, so that nobody makes up what others see; nothing is recorded of whoever follows it.

use std::collections::BTreeMap;

use samplit_domain::{
    ElementId, Experiment, ExperimentId, Installation, Status, VariantId, Violations, json_pointer,
};
use serde::{Deserialize, Serialize};
use time::Duration;

use crate::assign::{NotRecorded, outside};
use crate::page::owner_of;
use crate::{Assigned, Engine, Error, ErrorKind, PageView, Principal, Purpose, Scope, TokenError};

/// For how long a link shows its variants: long enough for a colleague to look at them.
const PREVIEW_FOR: Duration = Duration::days(7);

/// What a token of a preview says.
#[derive(Debug, Serialize, Deserialize)]
struct Preview {
    e: ExperimentId,
    v: BTreeMap<ElementId, VariantId>,
}

impl Engine {
    /// A token that shows one variant per element of `variants`, and the control of every other
    /// element, for seven days. Also gives the experiment.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for an element or a variant that is not of the experiment,
    /// [`ErrorKind::NotRunning`] for an archived one, [`ErrorKind::Conflict`] `no_secret`.
    pub async fn preview_token(
        &self,
        who: &Principal,
        id: ExperimentId,
        variants: BTreeMap<ElementId, VariantId>,
    ) -> Result<(Experiment, String), Error> {
        who.require(Scope::Manage)?;
        let experiment = self.experiment(who, id).await?;
        if experiment.status == Status::Archived {
            return Err(ErrorKind::NotRunning(experiment.status).into());
        }
        check(&experiment, &variants)?;
        let ends_at = self.core.config.clock.now() + PREVIEW_FOR;
        let preview = Preview { e: id, v: variants };
        let token = self.secret()?.sign(Purpose::Preview, &preview, ends_at);
        Ok((experiment, token))
    }

    /// What a page shows to whoever follows the link of a preview: that experiment alone, whatever its
    /// status, with the reason [`NotRecorded::Preview`]. Nothing once it is archived. Neither a row, nor
    /// an entry, nor a counter comes of it.
    ///
    /// # Errors
    /// [`ErrorKind::Token`] for a token that is not ours, over, or of another account;
    /// [`ErrorKind::Unavailable`] when the experiment cannot be read.
    pub async fn preview(
        &self,
        installation: &Installation,
        token: &str,
    ) -> Result<PageView, Error> {
        let now = self.core.config.clock.now();
        let secret = self.secret()?;
        let preview: Preview = secret.verify(Purpose::Preview, token, now)?;
        let live = self.visible_live(&owner_of(installation), preview.e).await;
        let live = live.map_err(|error| match error.kind() {
            ErrorKind::NotFound(_) => TokenError::NotOurs.into(),
            _ => error,
        })?;
        let experiment = &live.experiment;
        let chosen = experiment.elements.iter().filter_map(|element| {
            let chosen = preview.v.get(&element.id);
            // A draft may have changed since.
            let chosen = element.variants.iter().find(|v| Some(&v.id) == chosen);
            chosen.or_else(|| element.control()).map(|v| v.id)
        });
        let assigned = Assigned {
            variants: chosen.collect::<Vec<_>>().into(),
            ..outside(&live, NotRecorded::Preview)
        };
        let is_shown = experiment.status != Status::Archived;
        Ok(PageView {
            experiments: is_shown.then_some(assigned).into_iter().collect(),
            selectors: Vec::new(),
            steps: Vec::new(),
        })
    }
}

fn check(
    experiment: &Experiment,
    variants: &BTreeMap<ElementId, VariantId>,
) -> Result<(), Violations> {
    let mut violations = Violations::default();
    for (element, variant) in variants {
        let pointer = json_pointer("/variants", &element.to_string());
        match experiment.elements.iter().find(|e| e.id == *element) {
            None => violations.add(pointer, "conflict", "is no element of this experiment"),
            Some(element) if !element.variants.iter().any(|v| v.id == *variant) => {
                violations.add(pointer, "conflict", "is no variant of this element");
            }
            Some(_) => {}
        }
    }
    violations.into_result(())
}
