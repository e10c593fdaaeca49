//! What of a batch can be done before the head is locked: the draws and the rows of new visitors.
//!
//! The rows go into the database before the lock as well, so that two lanes insert at the same
//! time; only the trail has to wait for its turn. A row that turns out to be somebody's already is
//! left out by the database.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use samplit_audit::scale;
use samplit_domain::{ExperimentId, VariantId, from_micros, to_micros};
use samplit_store::assignments::NewAssignment;
use samplit_store::trail::RawJson;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Job, What};
use crate::Error;
use crate::core::Core;
use crate::live::{Live, Snapshot};
use crate::trail::signed;
use crate::visitor;

/// A batch with its draws made.
pub(super) struct Prepared<'a> {
    pub(super) jobs: &'a [&'a Job],
    /// By experiment, in id order.
    pub(super) groups: BTreeMap<ExperimentId, Group>,
    /// The rows of visitors who may be new, in the order of experiment and visitor.
    pub(super) rows: Vec<NewAssignment>,
    /// The draw of each of those rows, by its id.
    pub(super) draws: HashMap<Uuid, Drawn>,
}

/// The requests of one experiment.
pub(super) struct Group {
    /// The newest configuration among the requests.
    pub(super) live: Arc<Live>,
    /// The weights that the draws used.
    pub(super) snapshot: Arc<Snapshot>,
    /// Positions in the batch, in order of arrival.
    pub(super) jobs: Vec<usize>,
}

/// What was drawn for a visitor.
#[derive(Debug)]
pub(super) struct Drawn {
    /// Per draw.
    pub(super) arms: Vec<u16>,
    /// Per element.
    pub(super) variants: Arc<[VariantId]>,
    /// What the row says.
    pub(super) assigned_at: OffsetDateTime,
}

impl<'a> Prepared<'a> {
    pub(super) fn new(core: &Core, jobs: &'a [&'a Job]) -> Result<Self, Error> {
        let groups = group(jobs)?;
        let now = from_micros(to_micros(core.config.clock.now()));
        let mut drawn = BTreeMap::<(ExperimentId, &str), NewAssignment>::new();
        let mut draws = HashMap::new();
        for job in jobs {
            let What::Assign {
                id,
                session,
                context,
                draws: numbers,
            } = &job.what
            else {
                continue;
            };
            let experiment_id = job.live.experiment.id;
            // Of several requests for one visitor the first one is to have the row.
            let Entry::Vacant(entry) = drawn.entry((experiment_id, &job.visitor)) else {
                continue;
            };
            let snapshot = &groups[&experiment_id].snapshot;
            let arms = numbers
                .iter()
                .zip(&snapshot.weights)
                .map(|(&number, weights)| u16::try_from(weights.choose(scale(number))))
                .collect::<Result<Vec<_>, _>>()
                .map_err(Error::internal)?;
            let variants = visitor::variants(&job.live.arm_sets, &arms);
            entry.insert(NewAssignment {
                id: *id,
                experiment_id: experiment_id.0,
                variant_id: variants.first().map_or(Uuid::nil(), |variant| variant.0),
                visitor: job.visitor.clone(),
                session: session.clone(),
                context: context.clone(),
                assigned_at: now,
                metadata: metadata(&job.live, &variants),
                snapshot_seq: signed(snapshot.seq),
            });
            draws.insert(
                *id,
                Drawn {
                    arms,
                    variants,
                    assigned_at: now,
                },
            );
        }
        Ok(Self {
            jobs,
            groups,
            rows: drawn.into_values().collect(),
            draws,
        })
    }
}

fn group(jobs: &[&Job]) -> Result<BTreeMap<ExperimentId, Group>, Error> {
    let mut groups = BTreeMap::<ExperimentId, Group>::new();
    for (index, job) in jobs.iter().enumerate() {
        let snapshot = || Ok::<_, Error>(job.live.started()?.snapshot.load_full());
        let group = match groups.entry(job.live.experiment.id) {
            Entry::Occupied(group) => group.into_mut(),
            Entry::Vacant(vacant) => vacant.insert(Group {
                live: Arc::clone(&job.live),
                snapshot: snapshot()?,
                jobs: Vec::new(),
            }),
        };
        if job.live.experiment.version > group.live.experiment.version {
            group.live = Arc::clone(&job.live);
            group.snapshot = snapshot()?;
        }
        group.jobs.push(index);
    }
    Ok(groups)
}

/// `{"variants": {element_id: variant_id}}` where there are several elements.
fn metadata(live: &Live, variants: &[VariantId]) -> Option<RawJson> {
    let elements = &live.experiment.elements;
    (elements.len() > 1).then(|| {
        let pairs = elements.iter().zip(variants);
        let map: serde_json::Map<_, _> = pairs
            .map(|(e, v)| (e.id.to_string(), v.to_string().into()))
            .collect();
        RawJson(serde_json::json!({ "variants": map }).to_string())
    })
}
