//! What came of a funnel: who came to which step, where the others were lost, and how long it took.
//!
//! Every journey is counted where it is: one that did not convert ends at its last node, and is dropped
//! there once its time is over. So what is dropped at the nodes is what was abandoned, and nobody is
//! lost twice where ways part and meet again.

use std::collections::BTreeMap;

use samplit_domain::{ExperimentId, Funnel, FunnelId, FunnelNodeId, VariantId, Violations};
use samplit_store::funnel_results::{self, FunnelCounts, FunnelEnd};
use serde::Serialize;
use time::{Duration, OffsetDateTime};

use crate::reallocation::count;
use crate::trail::unsigned;
use crate::{Engine, Error, Principal, Scope};

/// What came of a funnel.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FunnelResults {
    /// Of which funnel.
    pub funnel_id: FunnelId,
    /// As of when: all counts are of this moment.
    #[serde(with = "time::serde::rfc3339")]
    pub as_of: OffsetDateTime,
    /// Visitors who came in.
    pub entered: u64,
    /// Of those, who reached a conversion.
    pub converted: u64,
    /// Of those, who did not and still may.
    pub in_progress: u64,
    /// Of those, whose time went by.
    pub abandoned: u64,
    /// Of every node, in the order in which they are drawn.
    pub steps: Vec<FunnelStepResults>,
    /// From node to node.
    pub flows: Vec<FunnelFlow>,
    /// Every experiment on the way.
    pub experiments: Vec<FunnelExperimentResults>,
}

/// What came of one node.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FunnelStepResults {
    /// The node.
    pub node_id: FunnelNodeId,
    /// Visitors who came here.
    pub reached: u64,
    /// Of those, whose last step it was, without a conversion, and whose time went by.
    pub dropped: u64,
    /// Of those, whose last step it is, without a conversion, and who may still go on.
    pub in_progress: u64,
    /// Time from the step before, half of all shorter; `None` at the entry and where nobody came.
    pub median_seconds: Option<f64>,
    /// `reached` per visitor who came in; `None` without any.
    pub rate_of_entered: Option<f64>,
    /// By variants of the experiment that was asked for, else of the one that stands on the node.
    pub by_variant: Vec<FunnelVariantReach>,
}

/// Who came to a node with a variant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FunnelVariantReach {
    /// The variant.
    pub variant_id: VariantId,
    /// Visitors who came here.
    pub reached: u64,
    /// Of those, who reached a conversion.
    pub converted: u64,
}

/// Who went from one node to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FunnelFlow {
    /// From where.
    pub source: FunnelNodeId,
    /// To where.
    pub target: FunnelNodeId,
    /// How many visitors. Each came to a node from one other, the last one that it was open from.
    pub visitors: u64,
}

/// An experiment on the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FunnelExperimentResults {
    /// Which.
    pub experiment_id: ExperimentId,
    /// The node on which it stands; `None` where only edges ask for it.
    pub node_id: Option<FunnelNodeId>,
    /// Its variants, of all its elements.
    pub variants: Vec<FunnelVariantResults>,
}

/// A variant on the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FunnelVariantResults {
    /// Which.
    pub variant_id: VariantId,
    /// What people call it.
    pub name: String,
    /// Visitors of the funnel who were assigned it.
    pub entered: u64,
    /// Of those, who reached a conversion.
    pub converted: u64,
}

impl Engine {
    /// What came of a funnel so far. `by` is the experiment whose variants are told apart at every node;
    /// `None`: at each node that of its own. Counts journeys, which takes the longer the more there are.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) where there is no funnel that `who` may see,
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for an experiment that is not on its way.
    pub async fn funnel_results(
        &self,
        who: &Principal,
        id: FunnelId,
        by: Option<ExperimentId>,
    ) -> Result<FunnelResults, Error> {
        who.require(Scope::Read)?;
        let funnel = self.funnel(who, id).await?;
        let experiments = funnel.canvas.experiments();
        if let Some(by) = by.filter(|by| !experiments.contains(by)) {
            let mut violations = Violations::default();
            let detail = format!("{by} is no experiment on the way of this funnel");
            violations.add("?by", "unknown", detail);
            violations.into_result(())?;
        }
        let of_node = |node: &samplit_domain::FunnelNode| by.or(node.experiment_id);
        let nodes = funnel.canvas.nodes.iter();
        let by: Vec<_> = nodes
            .filter_map(|node| Some((node.id, of_node(node)?)))
            .collect();
        let as_of = self.core.config.clock.now();
        let over_before = as_of - Duration::hours(funnel.window_hours.into());
        let told_apart: Vec<ExperimentId> = experiments.iter().copied().collect();
        let (by, told_apart) = (&by, &told_apart);
        let counts = self.core.database.run_tx("count_funnel", |session| {
            Box::pin(funnel_results::count(
                session,
                id,
                over_before,
                by,
                told_apart,
            ))
        });
        let counts = counts.await?;
        let mut names = BTreeMap::new();
        for experiment in &experiments {
            let live = self.visible_live(who, *experiment).await?;
            let variants = live.experiment.elements.iter().flat_map(|e| &e.variants);
            let variants = variants.map(|variant| (variant.id, variant.name.clone()));
            names.insert(*experiment, variants.collect());
        }
        build(&funnel, as_of, &counts, by, &names)
    }
}

/// The variants of experiments with their names, in order.
type Names = BTreeMap<ExperimentId, Vec<(VariantId, String)>>;

fn build(
    funnel: &Funnel,
    as_of: OffsetDateTime,
    counts: &FunnelCounts,
    by: &[(FunnelNodeId, ExperimentId)],
    names: &Names,
) -> Result<FunnelResults, Error> {
    let entered = unsigned(counts.entered)?;
    let converted = unsigned(counts.converted)?;
    let all = |ends: fn(&FunnelEnd) -> i64| unsigned(counts.ends.iter().map(ends).sum());
    let (in_progress, abandoned) = (all(|end| end.open)?, all(|end| end.over)?);
    let mut steps = Vec::with_capacity(funnel.canvas.nodes.len());
    for node in &funnel.canvas.nodes {
        let came = counts.flows.iter().filter(|flow| flow.node == node.id);
        let reached = unsigned(came.map(|flow| flow.visitors).sum())?;
        let end = counts.ends.iter().find(|end| end.node == node.id);
        let dropped = unsigned(end.map_or(0, |end| end.over))?;
        let open = unsigned(end.map_or(0, |end| end.open))?;
        let median = counts.medians.iter().find(|(id, _)| *id == node.id);
        let shown = by.iter().find(|(id, _)| *id == node.id);
        let shown = shown.and_then(|(_, experiment)| names.get(experiment));
        let by_variant = shown.into_iter().flatten().map(|&(variant_id, _)| {
            let mut rows = counts.step_variants.iter();
            let row = rows.find(|row| (row.0, row.1) == (node.id, variant_id));
            let (reached, converted) = row.map_or((0, 0), |row| (row.2, row.3));
            Ok(FunnelVariantReach {
                variant_id,
                reached: unsigned(reached)?,
                converted: unsigned(converted)?,
            })
        });
        let by_variant = by_variant.collect::<Result<_, Error>>()?;
        steps.push(FunnelStepResults {
            node_id: node.id,
            reached,
            dropped,
            in_progress: open,
            median_seconds: median.map(|(_, seconds)| *seconds),
            rate_of_entered: (entered > 0).then(|| count(reached) / count(entered)),
            by_variant,
        });
    }
    let mut flows = Vec::new();
    for flow in &counts.flows {
        if let Some(source) = flow.from {
            flows.push(FunnelFlow {
                source,
                target: flow.node,
                visitors: unsigned(flow.visitors)?,
            });
        }
    }
    flows.sort_by_key(|flow| (std::cmp::Reverse(flow.visitors), flow.source, flow.target));
    let experiments = names.iter().map(|(id, variants)| {
        let mut nodes = funnel.canvas.nodes.iter();
        let node = nodes.find(|node| node.experiment_id == Some(*id));
        let variants = variants.iter().map(|(variant_id, name)| {
            let mut rows = counts.variants.iter();
            let row = rows.find(|row| (row.0, row.1) == (*id, *variant_id));
            let (entered, converted) = row.map_or((0, 0), |row| (row.2, row.3));
            Ok(FunnelVariantResults {
                variant_id: *variant_id,
                name: name.clone(),
                entered: unsigned(entered)?,
                converted: unsigned(converted)?,
            })
        });
        Ok(FunnelExperimentResults {
            experiment_id: *id,
            node_id: node.map(|node| node.id),
            variants: variants.collect::<Result<_, Error>>()?,
        })
    });
    Ok(FunnelResults {
        funnel_id: funnel.id,
        as_of,
        entered,
        converted,
        in_progress,
        abandoned,
        steps,
        flows,
        experiments: experiments.collect::<Result<_, Error>>()?,
    })
}
