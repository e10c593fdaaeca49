//! Funnels: the list of them, making one, drawing it, and what came of it.

mod edit;
mod list;
mod new;
mod one;
mod stream;
mod template;
mod told;
mod words;

use std::collections::BTreeMap;

use samplit_domain::{Experiment, Status};
use samplit_engine::{ExperimentFilter, Page, SignedIn};
use uuid::Uuid;

pub(crate) use edit::{edit, save};
pub(crate) use list::list;
pub(crate) use new::{create, new};
pub(crate) use one::{change, duplicate, show};

use crate::{call::Call, problem::Problem};

/// The newest hundred experiments of the account, to choose from and to call by their names.
async fn experiments(call: &Call, signed_in: &SignedIn) -> Result<Vec<Experiment>, Problem> {
    let page = Page {
        cursor: None,
        limit: 100,
    };
    let (engine, all) = (&call.app.engine, ExperimentFilter::default());
    let mut found = engine
        .experiments(&signed_in.principal, &all, &page)
        .await?
        .data;
    found.retain(|experiment| experiment.status != Status::Archived);
    Ok(found)
}

/// What experiments and their variants are called.
fn names(experiments: &[Experiment]) -> BTreeMap<Uuid, String> {
    let mut names = BTreeMap::new();
    for experiment in experiments {
        names.insert(experiment.id.0, experiment.name.clone());
        let variants = experiment.elements.iter().flat_map(|e| &e.variants);
        names.extend(variants.map(|variant| (variant.id.0, variant.name.clone())));
    }
    names
}
