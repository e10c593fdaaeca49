//! Funnels as they are drawn against their rows.

use std::collections::BTreeMap;

use samplit_domain::{FunnelCanvas, FunnelId};
use samplit_store::{doctor, funnels};

use super::{FUNNELS, Finding, Tally, unreadable};
use crate::{Engine, Error};

impl Engine {
    /// Compares every funnel, each as of one moment.
    pub(super) async fn funnels_compared(&self, tally: &mut Tally) -> Result<(), Error> {
        let database = &self.core.database;
        let ids = database.run(|session| Box::pin(funnels::ids(session)));
        for id in ids.await? {
            let compared = database.run_tx("doctor", |session| {
                Box::pin(async move {
                    doctor::begin_snapshot(session).await?;
                    let funnel = funnels::read(session, id).await?;
                    let rows = funnels::rows(session, id).await?;
                    Ok::<_, Error>(funnel.and_then(|funnel| difference(&funnel.canvas, &rows)))
                })
            });
            let wrong = match compared.await {
                Ok(wrong) => wrong,
                Err(error) => Some(unreadable(error)?),
            };
            tally.note_finding(FUNNELS, wrong.map(|what| of_funnel(id, what)));
        }
        Ok(())
    }
}

fn of_funnel(id: FunnelId, what: String) -> Finding {
    Finding {
        experiment_id: None,
        funnel_id: Some(id),
        what,
    }
}

/// The first node or edge that is not the same in both.
fn difference(drawn: &FunnelCanvas, rows: &FunnelCanvas) -> Option<String> {
    let nodes = |canvas: &FunnelCanvas| -> BTreeMap<_, _> {
        let nodes = canvas.nodes.iter();
        nodes.map(|node| (node.id, node.clone())).collect()
    };
    let edges = |canvas: &FunnelCanvas| -> BTreeMap<_, _> {
        let edges = canvas.edges.iter();
        edges.map(|edge| (edge.id, edge.clone())).collect()
    };
    first_difference("node", &nodes(drawn), &nodes(rows))
        .or_else(|| first_difference("edge", &edges(drawn), &edges(rows)))
}

fn first_difference<I: Ord + std::fmt::Display, T: PartialEq>(
    noun: &str,
    drawn: &BTreeMap<I, T>,
    rows: &BTreeMap<I, T>,
) -> Option<String> {
    let mut ids = drawn.keys().chain(rows.keys());
    let id = ids.find(|id| drawn.get(id) != rows.get(id))?;
    Some(match (drawn.get(id), rows.get(id)) {
        (Some(_), None) => format!("{noun} {id} is drawn and has no row"),
        (None, Some(_)) => format!("{noun} {id} has a row and is not drawn"),
        _ => format!("{noun} {id} is not drawn as its row says"),
    })
}
