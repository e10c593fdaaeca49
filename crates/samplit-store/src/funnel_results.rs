//! What came of funnels: counts over `funnel_visits` and `funnel_steps`, all as of one moment.

use samplit_domain::{ExperimentId, FunnelId, FunnelNodeId, VariantId};
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::columns::Columns;
use crate::statement::{Params, Session, statements};
use crate::{Error, doctor};

statements! {
    /// Journeys that did not convert, by their last node: those whose time is over, and those that may
    /// go on. $2 is when the oldest of the latter began.
    COUNT_FUNNEL_ENDS = "SELECT last_node_id, count(*) FILTER (WHERE entered_at <= $2), \
        count(*) FILTER (WHERE entered_at > $2) FROM funnel_visits \
        WHERE funnel_id = $1 AND converted_at IS NULL GROUP BY last_node_id";
    /// All journeys, and those that converted.
    COUNT_FUNNEL_VISITS = "SELECT count(*), count(converted_at) FROM funnel_visits WHERE funnel_id = $1";
    /// Journeys that came to a node, by where they came from.
    COUNT_FUNNEL_STEPS = "SELECT from_node_id, node_id, count(*) FROM funnel_steps \
        WHERE funnel_id = $1 GROUP BY from_node_id, node_id";
    /// How long it took from the step before, in seconds, by node.
    MEDIAN_FUNNEL_STEPS = "SELECT s.node_id, percentile_cont(0.5) WITHIN GROUP \
        (ORDER BY extract(epoch FROM s.reached_at - p.reached_at)::float8) \
        FROM funnel_steps s JOIN funnel_steps p ON p.funnel_id = s.funnel_id \
        AND p.visit_id = s.visit_id AND p.node_id = s.from_node_id \
        WHERE s.funnel_id = $1 AND p.funnel_id = $1 GROUP BY s.node_id";
    /// Journeys that came to a node, and those of them that converted, by the variants of an experiment
    /// per node.
    COUNT_FUNNEL_STEP_VARIANTS = "SELECT w.node_id, shown.variant::uuid, count(*), \
        count(v.converted_at) FROM unnest($2::uuid[], $3::text[]) AS w(node_id, experiment) \
        JOIN funnel_steps s ON s.funnel_id = $1 AND s.node_id = w.node_id \
        JOIN funnel_visits v ON v.funnel_id = $1 AND v.id = s.visit_id \
        CROSS JOIN LATERAL jsonb_array_elements_text(v.variants -> w.experiment) AS shown(variant) \
        GROUP BY 1, 2";
    /// Journeys, and those of them that converted, by the variants of experiments.
    COUNT_FUNNEL_VARIANTS = "SELECT w.experiment::uuid, shown.variant::uuid, count(*), \
        count(v.converted_at) FROM unnest($2::text[]) AS w(experiment) \
        JOIN funnel_visits v ON v.funnel_id = $1 \
        CROSS JOIN LATERAL jsonb_array_elements_text(v.variants -> w.experiment) AS shown(variant) \
        GROUP BY 1, 2";
}

/// What is counted of a funnel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FunnelCounts {
    /// Journeys that began.
    pub entered: i64,
    /// Of those, converted.
    pub converted: i64,
    /// Where those end that did not convert.
    pub ends: Vec<FunnelEnd>,
    /// Steps from one node to another, and entries.
    pub flows: Vec<FunnelFlowCount>,
    /// Seconds from the step before, half of them shorter.
    pub medians: Vec<(FunnelNodeId, f64)>,
    /// By node and variant: came there, and converted.
    pub step_variants: Vec<(FunnelNodeId, VariantId, i64, i64)>,
    /// By experiment and variant: entered, and converted.
    pub variants: Vec<(ExperimentId, VariantId, i64, i64)>,
}

/// Journeys without a conversion whose last node is this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunnelEnd {
    /// The node.
    pub node: FunnelNodeId,
    /// Their time is over.
    pub over: i64,
    /// They may go on.
    pub open: i64,
}

/// Journeys that came from one node to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunnelFlowCount {
    /// From where; `None`: they began.
    pub from: Option<FunnelNodeId>,
    /// To which node.
    pub node: FunnelNodeId,
    /// How many.
    pub visitors: i64,
}

/// Counts a funnel, all at one moment: the first statement of a transaction of its own. Journeys that
/// began until `over_before` have no more time; `by` names the experiment of each node whose variants are
/// told apart, `experiments` those that are told apart as a whole.
///
/// # Errors
/// When PostgreSQL fails or a row holds what no journey can.
pub async fn count(
    session: &Session<'_>,
    funnel: FunnelId,
    over_before: OffsetDateTime,
    by: &[(FunnelNodeId, ExperimentId)],
    experiments: &[ExperimentId],
) -> Result<FunnelCounts, Error> {
    let nodes: Vec<Uuid> = by.iter().map(|(node, _)| node.0).collect();
    let of_nodes: Vec<String> = by.iter().map(|(_, id)| id.to_string()).collect();
    let experiments: Vec<String> = experiments.iter().map(ToString::to_string).collect();
    let id = funnel.0;
    let (one, ends): (Params<'_>, Params<'_>) = (&[&id], &[&id, &over_before]);
    let step_variants: Params<'_> = &[&id, &nodes, &of_nodes];
    let variants: Params<'_> = &[&id, &experiments];
    let ((), (), visits, ends, steps, medians, step_variants, variants) = tokio::try_join!(
        biased;
        doctor::begin_snapshot(session),
        doctor::plan_for_scans(session),
        session.query_one(COUNT_FUNNEL_VISITS, one),
        session.query(COUNT_FUNNEL_ENDS, ends),
        session.query(COUNT_FUNNEL_STEPS, one),
        session.query(MEDIAN_FUNNEL_STEPS, one),
        session.query(COUNT_FUNNEL_STEP_VARIANTS, step_variants),
        session.query(COUNT_FUNNEL_VARIANTS, variants),
    )?;
    let visits = Columns::new(&visits, "funnel_visits");
    Ok(FunnelCounts {
        entered: visits.get(0, "id")?,
        converted: visits.get(1, "converted_at")?,
        ends: all(&ends, |of| {
            Ok(FunnelEnd {
                node: FunnelNodeId(of.get(0, "last_node_id")?),
                over: of.get(1, "entered_at")?,
                open: of.get(2, "entered_at")?,
            })
        })?,
        flows: all(&steps, |of| {
            let from: Option<Uuid> = of.get(0, "from_node_id")?;
            Ok(FunnelFlowCount {
                from: from.map(FunnelNodeId),
                node: FunnelNodeId(of.get(1, "node_id")?),
                visitors: of.get(2, "visit_id")?,
            })
        })?,
        medians: all(&medians, |of| {
            Ok((
                FunnelNodeId(of.get(0, "node_id")?),
                of.get(1, "reached_at")?,
            ))
        })?,
        step_variants: all(&step_variants, |of| {
            let (came, converted) = (of.get(2, "visit_id")?, of.get(3, "converted_at")?);
            let node = FunnelNodeId(of.get(0, "node_id")?);
            Ok((node, VariantId(of.get(1, "variants")?), came, converted))
        })?,
        variants: all(&variants, |of| {
            let (entered, converted) = (of.get(2, "id")?, of.get(3, "converted_at")?);
            let experiment = ExperimentId(of.get(0, "variants")?);
            Ok((
                experiment,
                VariantId(of.get(1, "variants")?),
                entered,
                converted,
            ))
        })?,
    })
}

fn all<T>(rows: &[Row], read: impl Fn(Columns<'_>) -> Result<T, Error>) -> Result<Vec<T>, Error> {
    let rows = rows.iter();
    rows.map(|row| read(Columns::new(row, "funnel_steps")))
        .collect()
}
