//! `funnel_visits` and `funnel_steps`: how visitors move through funnels that are active.

use postgres_types::Json;
use samplit_domain::{FunnelCanvas, FunnelFacts, FunnelId, FunnelNodeId, UserId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Error;
use crate::columns::Columns;
use crate::statement::{Params, Session, Statement, statements};

/// The journeys of visitors, named by parallel arrays; of funnels that are active only, so that nobody
/// moves on after a pause, whatever a process remembers. LATERAL keeps it one index probe each.
macro_rules! find {
    ($lock:literal) => {
        concat!(
            "SELECT v.id, v.funnel_id, v.user_identifier, v.converted_at, v.variants, v.context, \
            v.events FROM unnest($1::uuid[], $2::varchar[]) AS q(funnel_id, user_identifier) \
            JOIN funnels f ON f.id = q.funnel_id AND f.status = 'active' \
            CROSS JOIN LATERAL (SELECT * FROM funnel_visits v WHERE v.funnel_id = q.funnel_id \
            AND v.user_identifier = q.user_identifier LIMIT 1",
            $lock,
            ") AS v"
        )
    };
}

statements! {
    /// The funnels of an account that are active.
    ACTIVE_FUNNELS = "SELECT id, window_hours, canvas_data FROM funnels \
        WHERE user_id = $1 AND status = 'active' ORDER BY created_at, id LIMIT $2";
    /// Journeys as they are.
    FIND_FUNNEL_VISITS = find!("");
    /// Journeys that are about to go on: until the end of the transaction nobody else moves them.
    LOCK_FUNNEL_VISITS = find!(" FOR UPDATE");
    /// What journeys have reached, in order.
    READ_FUNNEL_STEPS = "SELECT s.funnel_id, s.visit_id, s.node_id, s.reached_at \
        FROM unnest($1::uuid[], $2::varchar[]) AS q(funnel_id, user_identifier) \
        CROSS JOIN LATERAL (SELECT v.id FROM funnel_visits v WHERE v.funnel_id = q.funnel_id \
        AND v.user_identifier = q.user_identifier LIMIT 1) AS v \
        CROSS JOIN LATERAL (SELECT * FROM funnel_steps s WHERE s.funnel_id = q.funnel_id \
        AND s.visit_id = v.id ORDER BY s.position LIMIT 100) AS s";
    /// New journeys. Waits for a transaction in flight that begins the same one, and then does nothing. Nobody
    /// pauses these funnels until the end of the transaction, so that no journey begins without a step.
    INSERT_FUNNEL_VISITS = "INSERT INTO funnel_visits (funnel_id, id, user_identifier, entered_at, \
        last_step_at, last_node_id) SELECT d.funnel_id, d.id, d.user_identifier, d.entered_at, \
        d.entered_at, d.node_id FROM unnest($1::uuid[], $2::uuid[], $3::varchar[], $4::timestamptz[], \
        $5::uuid[]) AS d(funnel_id, id, user_identifier, entered_at, node_id) \
        JOIN funnels f ON f.id = d.funnel_id AND f.status = 'active' FOR SHARE OF f \
        ON CONFLICT (funnel_id, user_identifier) DO NOTHING";
    /// Nodes that were reached.
    INSERT_FUNNEL_STEPS = "INSERT INTO funnel_steps (funnel_id, visit_id, node_id, position, \
        reached_at, from_node_id) SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], \
        $4::smallint[], $5::timestamptz[], $6::uuid[]) ON CONFLICT DO NOTHING";
    /// What is known of journeys that went on.
    UPDATE_FUNNEL_VISITS = "UPDATE funnel_visits v SET last_step_at = d.last_step_at, \
        last_node_id = d.last_node_id, converted_at = d.converted_at, variants = d.variants, \
        context = d.context, events = d.events FROM unnest($1::uuid[], $2::uuid[], \
        $3::timestamptz[], $4::uuid[], $5::timestamptz[], $6::jsonb[], $7::jsonb[], $8::jsonb[]) \
        AS d(funnel_id, id, last_step_at, last_node_id, converted_at, variants, context, events) \
        WHERE v.funnel_id = d.funnel_id AND v.id = d.id";
}

const TABLE: &str = "funnel_visits";

/// A funnel that visitors move through.
#[derive(Clone, Debug, PartialEq)]
pub struct ActiveFunnel {
    /// Its id.
    pub id: FunnelId,
    /// How long a visitor has, in hours.
    pub window_hours: i32,
    /// Its nodes and edges.
    pub canvas: FunnelCanvas,
}

/// A journey.
#[derive(Clone, Debug, PartialEq)]
pub struct FunnelVisit {
    /// Through which funnel.
    pub funnel_id: FunnelId,
    /// Its id.
    pub id: Uuid,
    /// Whose.
    pub visitor: String,
    /// When the first conversion was reached.
    pub converted_at: Option<OffsetDateTime>,
    /// What edges may ask for.
    pub facts: FunnelFacts,
    /// What was reached and when, in order.
    pub reached: Vec<(FunnelNodeId, OffsetDateTime)>,
}

/// The beginning of a journey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFunnelVisit {
    /// Through which funnel.
    pub funnel_id: FunnelId,
    /// Its id.
    pub id: Uuid,
    /// Whose.
    pub visitor: String,
    /// When.
    pub entered_at: OffsetDateTime,
    /// The entry.
    pub node: FunnelNodeId,
}

/// A node that a journey has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewFunnelStep {
    /// Which.
    pub node: FunnelNodeId,
    /// Which step of the journey it is, from 0 on.
    pub position: i16,
    /// When.
    pub reached_at: OffsetDateTime,
    /// From where.
    pub from: Option<FunnelNodeId>,
}

/// The funnels of an account that are active, the oldest first, `limit` at most.
///
/// # Errors
/// When PostgreSQL fails or a row holds what no funnel can.
pub async fn active(
    session: &Session<'_>,
    owner: UserId,
    limit: i64,
) -> Result<Vec<ActiveFunnel>, Error> {
    let rows = session.query(ACTIVE_FUNNELS, &[&owner.0, &limit]).await?;
    let funnels = rows.iter().map(|row| {
        let of = Columns::new(row, "funnels");
        let Json(canvas) = of.get(2, "canvas_data")?;
        Ok(ActiveFunnel {
            id: FunnelId(of.get(0, "id")?),
            window_hours: of.get(1, "window_hours")?,
            canvas,
        })
    });
    funnels.collect()
}

/// The journeys of visitors through active funnels, named by parallel slices; those that have not begun
/// are missing.
///
/// # Errors
/// When PostgreSQL fails or a row holds what no journey can.
pub async fn find(
    session: &Session<'_>,
    funnels: &[Uuid],
    visitors: &[&str],
) -> Result<Vec<FunnelVisit>, Error> {
    read(session, FIND_FUNNEL_VISITS, funnels, visitors).await
}

/// As [`find`], and nobody else moves these journeys until the end of the transaction. Who locks several
/// names them in the order of their funnels and visitors.
///
/// # Errors
/// As [`find`].
pub async fn lock(
    session: &Session<'_>,
    funnels: &[Uuid],
    visitors: &[&str],
) -> Result<Vec<FunnelVisit>, Error> {
    read(session, LOCK_FUNNEL_VISITS, funnels, visitors).await
}

async fn read(
    session: &Session<'_>,
    find: Statement,
    funnels: &[Uuid],
    visitors: &[&str],
) -> Result<Vec<FunnelVisit>, Error> {
    let named: Params<'_> = &[&funnels, &visitors];
    // Sent together, and run in this order: the steps are read once the journeys are locked.
    let (rows, steps) = tokio::try_join!(
        biased;
        session.query(find, named),
        session.query(READ_FUNNEL_STEPS, named),
    )?;
    let mut reached = std::collections::HashMap::<(Uuid, Uuid), Vec<_>>::new();
    for row in &steps {
        let of = Columns::new(row, "funnel_steps");
        let visit = (of.get(0, "funnel_id")?, of.get(1, "visit_id")?);
        let step = (
            FunnelNodeId(of.get(2, "node_id")?),
            of.get(3, "reached_at")?,
        );
        reached.entry(visit).or_default().push(step);
    }
    let visits = rows.iter().map(|row| {
        let of = Columns::new(row, TABLE);
        let (id, funnel) = (of.get(0, "id")?, of.get(1, "funnel_id")?);
        Ok(FunnelVisit {
            funnel_id: FunnelId(funnel),
            id,
            visitor: of.get(2, "user_identifier")?,
            converted_at: of.get(3, "converted_at")?,
            facts: FunnelFacts {
                variants: of.get::<Json<_>>(4, "variants")?.0,
                context: of.get::<Json<_>>(5, "context")?.0,
                events: of.get::<Json<_>>(6, "events")?.0,
            },
            reached: reached.remove(&(funnel, id)).unwrap_or_default(),
        })
    });
    visits.collect()
}

/// Begins journeys. One that has begun already stays as it is, and one through a funnel that is not active
/// does not begin.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn enter(session: &Session<'_>, visits: &[NewFunnelVisit]) -> Result<(), Error> {
    let funnels: Vec<Uuid> = visits.iter().map(|visit| visit.funnel_id.0).collect();
    let ids: Vec<Uuid> = visits.iter().map(|visit| visit.id).collect();
    let visitors: Vec<&str> = visits.iter().map(|visit| visit.visitor.as_str()).collect();
    let times: Vec<OffsetDateTime> = visits.iter().map(|visit| visit.entered_at).collect();
    let nodes: Vec<Uuid> = visits.iter().map(|visit| visit.node.0).collect();
    session
        .execute(
            INSERT_FUNNEL_VISITS,
            &[&funnels, &ids, &visitors, &times, &nodes],
        )
        .await
        .map(drop)
}

/// Stores what is new of journeys that are locked: their steps, and what is known of them by now.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn store(
    session: &Session<'_>,
    moved: &[(&FunnelVisit, &[NewFunnelStep])],
) -> Result<(), Error> {
    let steps = moved
        .iter()
        .flat_map(|(visit, steps)| steps.iter().map(move |step| (visit, step)));
    let steps: Vec<_> = steps.collect();
    let funnels: Vec<Uuid> = steps.iter().map(|(visit, _)| visit.funnel_id.0).collect();
    let visits: Vec<Uuid> = steps.iter().map(|(visit, _)| visit.id).collect();
    let nodes: Vec<Uuid> = steps.iter().map(|(_, step)| step.node.0).collect();
    let positions: Vec<i16> = steps.iter().map(|(_, step)| step.position).collect();
    let times: Vec<OffsetDateTime> = steps.iter().map(|(_, step)| step.reached_at).collect();
    let sources = steps.iter().map(|(_, step)| step.from.map(|node| node.0));
    let sources: Vec<Option<Uuid>> = sources.collect();
    let add_steps = async {
        if steps.is_empty() {
            return Ok(0);
        }
        session
            .execute(
                INSERT_FUNNEL_STEPS,
                &[&funnels, &visits, &nodes, &positions, &times, &sources],
            )
            .await
    };
    tokio::try_join!(biased; add_steps, update(session, moved)).map(drop)
}

async fn update(
    session: &Session<'_>,
    moved: &[(&FunnelVisit, &[NewFunnelStep])],
) -> Result<u64, Error> {
    let visits = || moved.iter().map(|(visit, _)| *visit);
    let at_last = visits().filter_map(|visit| Some((visit, visit.reached.last()?)));
    let at_last: Vec<_> = at_last.collect();
    let funnels: Vec<Uuid> = at_last.iter().map(|(visit, _)| visit.funnel_id.0).collect();
    let ids: Vec<Uuid> = at_last.iter().map(|(visit, _)| visit.id).collect();
    let times: Vec<OffsetDateTime> = at_last.iter().map(|(_, (_, at))| *at).collect();
    let nodes: Vec<Uuid> = at_last.iter().map(|(_, (node, _))| node.0).collect();
    let conversions: Vec<_> = at_last
        .iter()
        .map(|(visit, _)| visit.converted_at)
        .collect();
    let facts = || at_last.iter().map(|(visit, _)| &visit.facts);
    let variants: Vec<_> = facts().map(|facts| Json(&facts.variants)).collect();
    let context: Vec<_> = facts().map(|facts| Json(&facts.context)).collect();
    let events: Vec<_> = facts().map(|facts| Json(&facts.events)).collect();
    session
        .execute(
            UPDATE_FUNNEL_VISITS,
            &[
                &funnels,
                &ids,
                &times,
                &nodes,
                &conversions,
                &variants,
                &context,
                &events,
            ],
        )
        .await
}
