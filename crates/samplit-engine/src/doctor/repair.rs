//! Mending what follows from something else, and nothing but that.

use std::sync::Arc;

use samplit_audit::{Options, Verifier};
use samplit_domain::ExperimentId;
use samplit_store::heads::HeadRow;
use samplit_store::{Session, doctor, experiments, heads, statistics, trail};

use super::examine::{Derived, Scene, columns, is_same};
use super::{COUNTERS, FRONTIERS, RATES, ROWS, STATISTICS, TRAIL, VISITORS, rows, unreadable};
use crate::live::Live;
use crate::proof::to_entry;
use crate::{Engine, Error};

/// Entries read at once.
const PAGE: i64 = 2_000;

/// A derived value that was corrected.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Repair {
    /// Of which experiment.
    pub experiment_id: ExperimentId,
    /// Which value.
    pub what: String,
    /// What it was.
    pub from: String,
    /// What it is.
    pub to: String,
}

impl Engine {
    /// Corrects derived values, and says each one that it corrected:
    ///
    /// - counters and conversion rates of variants, and statistics: from the rows, where these are
    ///   one per visitor and say what the trail says
    /// - the frontier of a head: from the entries, where their chain verifies and leads to the hash
    ///   of the head
    ///
    /// Rows, entries and checkpoints are never touched: what is wrong with those, or follows from
    /// them while something is, stays for somebody to look at. An experiment is examined while it
    /// serves. Only one that wants mending is examined once more under the lock of its head; its
    /// writes wait meanwhile.
    ///
    /// # Errors
    /// When PostgreSQL fails; what was mended before stays mended.
    pub async fn repair(&self) -> Result<Vec<Repair>, Error> {
        let mut repairs = Vec::new();
        for id in self.trails().await? {
            let wanting = match self.examined(id).await {
                Ok(found) => !found.has_passed(&[COUNTERS, RATES, STATISTICS, FRONTIERS]),
                Err(error) => unreadable(error).map(|_| false)?,
            };
            if !wanting {
                continue;
            }
            let live = self.core.live(id).await?;
            let live = &live;
            let mended = self.core.database.run_tx("repair", |session| {
                Box::pin(async move {
                    experiments::lock(session, id).await?;
                    let head = heads::lock(session, &[id.0]).await?.pop();
                    let mut repairs = derived(session, live).await?;
                    if let Some(head) = head {
                        repairs.extend(frontier(session, &head).await?);
                    }
                    Ok::<_, Error>(repairs)
                })
            });
            repairs.extend(mended.await?);
        }
        for repair in &repairs {
            tracing::warn!(?repair, "a derived value was corrected");
        }
        Ok(repairs)
    }
}

/// Counters, rates and statistics, under the lock of the head.
async fn derived(session: &Session<'_>, live: &Arc<Live>) -> Result<Vec<Repair>, Error> {
    let scene = Scene::read(session, live).await?;
    let id = scene.id();
    let mut tally = columns(session, id).await?;
    rows::compare(&mut tally, session, &scene).await?;
    if !tally.has_passed(&[VISITORS, TRAIL, ROWS]) {
        return Ok(Vec::new());
    }
    let derived = Derived::read(session, &scene).await?;
    let mut repairs = Vec::new();
    let mut mended = |what: String, from: String, to: String| {
        repairs.push(Repair {
            experiment_id: id,
            what,
            from,
            to,
        });
    };
    let mut counters = Vec::new();
    for (should, is) in derived.counters.iter().zip(&derived.stored_counters) {
        let is_off = (should.rate - is.rate).abs() > f64::EPSILON;
        let pairs = [
            ("total_allocations", is.allocations, should.allocations),
            ("total_conversions", is.conversions, should.conversions),
        ];
        let mut is_wrong = is_off;
        for (column, is_now, should_be) in pairs {
            if is_now != should_be {
                is_wrong = true;
                let what = format!("{column} of variant {}", is.variant_id);
                mended(what, is_now.to_string(), should_be.to_string());
            }
        }
        if is_off {
            let what = format!("conversion_rate of variant {}", is.variant_id);
            mended(what, is.rate.to_string(), should.rate.to_string());
        }
        if is_wrong {
            counters.push(*should);
        }
    }
    if !counters.is_empty() {
        doctor::set_counters(session, &counters).await?;
    }
    let mut is_wrong = false;
    for key in derived.keys() {
        let (should, is) = derived.pair(id, key);
        if is_same(&should, &is) {
            continue;
        }
        is_wrong = true;
        let what = format!(
            "statistics of element {} arm {} under the weights of entry {}",
            key.1, key.2, key.0
        );
        let tell = |s: statistics::ArmStatistics| {
            format!(
                "{} of {}, value {}",
                s.conversions, s.assignments, s.value_sum
            )
        };
        mended(what, tell(is), tell(should));
    }
    if is_wrong {
        let should: Vec<_> = derived.statistics.into_values().collect();
        doctor::delete_statistics(session, id).await?;
        statistics::add(session, &should).await?;
    }
    Ok(repairs)
}

/// The frontier, where the chain leads to the hash of the head.
async fn frontier(session: &Session<'_>, head: &HeadRow) -> Result<Option<Repair>, Error> {
    let id = head.experiment_id;
    let mut verifier = Verifier::new(id.0, Options::default());
    let mut tree = samplit_audit::merkle::Frontier::new();
    let mut after = 0;
    while after < head.size {
        let page = trail::page(session, id, after, head.size, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.sequence_number;
        for row in &page {
            let pushed = to_entry(id, row).and_then(|entry| {
                verifier.push_entry(&entry.as_ref())?;
                Ok(entry.current_hash)
            });
            let Ok(hash) = pushed else { return Ok(None) };
            tree.push(hash);
        }
    }
    let Ok(report) = verifier.finish() else {
        return Ok(None);
    };
    let leads =
        report.head.to_string() == head.head_hash && i64::try_from(report.entries) == Ok(head.size);
    let right = tree.to_bytes();
    if !leads || right == head.frontier {
        return Ok(None);
    }
    doctor::set_frontier(session, id, &right).await?;
    let root = |bytes: &[u8]| {
        let frontier = samplit_audit::merkle::Frontier::from_bytes(report.entries, bytes);
        frontier.map_or("no root".to_owned(), |frontier| frontier.root().to_string())
    };
    Ok(Some(Repair {
        experiment_id: id,
        what: "frontier of the head".to_owned(),
        from: root(&head.frontier),
        to: root(&right),
    }))
}
