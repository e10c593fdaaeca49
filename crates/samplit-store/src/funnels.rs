//! `funnels`, `funnel_nodes` and `funnel_edges`: a drawing as a whole, and as rows.
//!
//! Both are written in one transaction, and readers read the whole. The rows are for SQL, and carry the
//! foreign keys.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use samplit_domain::{
    ExperimentId, Funnel, FunnelCanvas, FunnelCondition, FunnelEdge, FunnelEdgeId,
    FunnelExperiment, FunnelId, FunnelNode, FunnelNodeId, FunnelStatus, FunnelStep, Status, UserId,
    VariantId,
};
use serde_json::{Map, Value as Json, json};
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::Error;
use crate::columns::Columns;
use crate::statement::{Session, statements};

const TABLE: &str = "funnels";

/// What [`from_row`] reads.
macro_rules! columns {
    () => {
        "id, user_id, name, description, status, window_hours, canvas_data, version, created_at, \
        updated_at, activated_at"
    };
}

statements! {
    /// One funnel.
    READ_FUNNEL = concat!("SELECT ", columns!(), " FROM funnels WHERE id = $1");
    /// One funnel, locked against other changes of it.
    LOCK_FUNNEL = concat!("SELECT ", columns!(), " FROM funnels WHERE id = $1 FOR NO KEY UPDATE");
    /// Lets one funnel of an account be activated at a time.
    LOCK_ACTIVE_FUNNELS = "SELECT pg_advisory_xact_lock(hashtextextended('funnels:' || $1, 0))";
    /// How many funnels of an account are active.
    COUNT_ACTIVE_FUNNELS = "SELECT count(*) FROM funnels WHERE user_id = $1 AND status = 'active'";
    /// A page of funnels without their drawings, newest first. Null parameters do not filter.
    LIST_FUNNELS = "SELECT f.id, f.name, f.description, f.status, f.window_hours, \
        (SELECT count(*) FROM funnel_nodes n WHERE n.funnel_id = f.id), \
        (SELECT count(*) FROM funnel_edges e WHERE e.funnel_id = f.id), \
        f.version, f.created_at, f.updated_at, f.activated_at FROM funnels f \
        WHERE ($1::uuid IS NULL OR f.user_id = $1) AND ($2::varchar IS NULL OR f.status = $2) \
        AND ($3::timestamptz IS NULL OR (f.created_at, f.id) < ($3, $4::uuid)) \
        ORDER BY f.created_at DESC, f.id DESC LIMIT $5";
    /// Every funnel there is.
    LIST_FUNNEL_IDS = "SELECT id FROM funnels ORDER BY id";
    /// A new funnel.
    INSERT_FUNNEL = "INSERT INTO funnels (id, user_id, name, description, status, window_hours, \
        canvas_data, version, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    /// Everything of a funnel that may change.
    UPDATE_FUNNEL = "UPDATE funnels SET name = $2, description = $3, status = $4, window_hours = $5, \
        canvas_data = $6, version = $7, updated_at = $8, activated_at = $9 WHERE id = $1";
    /// The edges of a funnel that are drawn no more.
    DELETE_FUNNEL_EDGES = "DELETE FROM funnel_edges WHERE funnel_id = $1 AND id <> ALL ($2::uuid[])";
    /// The nodes of a funnel that are drawn no more.
    DELETE_FUNNEL_NODES = "DELETE FROM funnel_nodes WHERE funnel_id = $1 AND id <> ALL ($2::uuid[])";
    /// The nodes of a funnel, new ones and others, but for those of another funnel.
    PUT_FUNNEL_NODES = "INSERT INTO funnel_nodes AS n (id, funnel_id, node_type, name, config, \
        experiment_id, position_x, position_y) SELECT d.id, $1, d.node_type, d.name, d.config, \
        d.experiment_id, d.x, d.y FROM unnest($2::uuid[], $3::varchar[], $4::varchar[], $5::jsonb[], \
        $6::uuid[], $7::float8[], $8::float8[]) \
        AS d(id, node_type, name, config, experiment_id, x, y) \
        ON CONFLICT (id) DO UPDATE SET node_type = excluded.node_type, name = excluded.name, \
        config = excluded.config, experiment_id = excluded.experiment_id, \
        position_x = excluded.position_x, position_y = excluded.position_y \
        WHERE n.funnel_id = excluded.funnel_id RETURNING n.id";
    /// The edges of a funnel, new ones and others, but for those of another funnel.
    PUT_FUNNEL_EDGES = "INSERT INTO funnel_edges AS e (id, funnel_id, source_node_id, target_node_id, \
        condition_type, condition) SELECT d.id, $1, d.source, d.target, d.condition_type, d.condition \
        FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::varchar[], $6::jsonb[]) \
        AS d(id, source, target, condition_type, condition) \
        ON CONFLICT (id) DO UPDATE SET source_node_id = excluded.source_node_id, \
        target_node_id = excluded.target_node_id, condition_type = excluded.condition_type, \
        condition = excluded.condition WHERE e.funnel_id = excluded.funnel_id RETURNING e.id";
    /// The nodes of a funnel, as rows.
    READ_FUNNEL_NODES = "SELECT id, node_type, name, config, experiment_id, position_x, position_y \
        FROM funnel_nodes WHERE funnel_id = $1 ORDER BY id";
    /// The edges of a funnel, as rows.
    READ_FUNNEL_EDGES = "SELECT id, source_node_id, target_node_id, condition_type, condition \
        FROM funnel_edges WHERE funnel_id = $1 ORDER BY id";
    /// Of some experiments those of one account, with their variants.
    READ_FUNNEL_EXPERIMENTS = "SELECT e.id, e.status, \
        ARRAY(SELECT v.id FROM element_variants v JOIN experiment_elements p ON p.id = v.element_id \
            WHERE p.experiment_id = e.id) \
        FROM experiments e WHERE e.id = ANY ($1) AND e.user_id IS NOT DISTINCT FROM $2::uuid";
}

/// A funnel without its drawing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunnelSummary {
    /// Its id.
    pub id: FunnelId,
    /// What people call it.
    pub name: String,
    /// What it is about.
    pub description: Option<String>,
    /// Where it stands in its lifecycle.
    pub status: FunnelStatus,
    /// How long a visitor has, in hours.
    pub window_hours: i32,
    /// How many nodes it has.
    pub nodes: i64,
    /// How many edges it has.
    pub edges: i64,
    /// The `ETag`.
    pub version: i64,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it last changed.
    pub updated_at: OffsetDateTime,
    /// When it was first activated.
    pub activated_at: Option<OffsetDateTime>,
}

/// Nodes and edges of a drawing that another funnel has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// The nodes.
    pub nodes: Vec<FunnelNodeId>,
    /// The edges.
    pub edges: Vec<FunnelEdgeId>,
}

/// A funnel.
///
/// # Errors
/// When PostgreSQL fails or the row breaks a rule that code relies on.
pub async fn read(session: &Session<'_>, id: FunnelId) -> Result<Option<Funnel>, Error> {
    let row = session.query_opt(READ_FUNNEL, &[&id.0]).await?;
    row.as_ref().map(from_row).transpose()
}

/// A funnel, locked until the transaction ends.
///
/// # Errors
/// When PostgreSQL fails or the row breaks a rule that code relies on.
pub async fn lock(session: &Session<'_>, id: FunnelId) -> Result<Option<Funnel>, Error> {
    let row = session.query_opt(LOCK_FUNNEL, &[&id.0]).await?;
    row.as_ref().map(from_row).transpose()
}

/// How many funnels of an account are active. Until the end of the transaction nobody else counts them.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn count_active(session: &Session<'_>, owner: UserId) -> Result<i64, Error> {
    let name = owner.to_string();
    // One after the other: what is counted has to be seen once the lock is there.
    session.execute(LOCK_ACTIVE_FUNNELS, &[&name]).await?;
    let row = session.query_one(COUNT_ACTIVE_FUNNELS, &[&owner.0]).await?;
    Columns::new(&row, "funnels").get(0, "id")
}

/// At most `limit` funnels of `owner`, or of everybody, newest first, that were made before `before`.
///
/// # Errors
/// When PostgreSQL fails or a row breaks a rule that code relies on.
pub async fn list(
    session: &Session<'_>,
    owner: Option<UserId>,
    status: Option<FunnelStatus>,
    before: Option<(OffsetDateTime, Uuid)>,
    limit: i64,
) -> Result<Vec<FunnelSummary>, Error> {
    let (before_at, before_id) = before.unzip();
    let (owner, status) = (owner.map(|id| id.0), status.map(FunnelStatus::as_str));
    let rows = session
        .query(
            LIST_FUNNELS,
            &[&owner, &status, &before_at, &before_id, &limit],
        )
        .await?;
    let funnels = rows.iter().map(|row| {
        let of = Columns::new(row, TABLE);
        Ok(FunnelSummary {
            id: FunnelId(of.get(0, "id")?),
            name: of.get(1, "name")?,
            description: of.get(2, "description")?,
            status: of.word(3, "status", FunnelStatus::Draft)?,
            window_hours: of.get(4, "window_hours")?,
            nodes: of.get(5, "nodes")?,
            edges: of.get(6, "edges")?,
            version: of.get(7, "version")?,
            created_at: made_at(of)?,
            updated_at: of.get(9, "updated_at")?,
            activated_at: of.get(10, "activated_at")?,
        })
    });
    funnels.collect()
}

/// Every funnel there is, for `doctor`.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn ids(session: &Session<'_>) -> Result<Vec<FunnelId>, Error> {
    let rows = session.query(LIST_FUNNEL_IDS, &[]).await?;
    let ids = rows.iter().map(|row| {
        let of = Columns::new(row, TABLE);
        of.get(0, "id").map(FunnelId)
    });
    ids.collect()
}

/// Stores a new funnel, drawing and rows; says what of it another funnel has, and then the
/// transaction must not be committed.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn insert(session: &Session<'_>, funnel: &Funnel) -> Result<Taken, Error> {
    session
        .execute(
            INSERT_FUNNEL,
            &[
                &funnel.id.0,
                &funnel.user_id.map(|id| id.0),
                &funnel.name,
                &funnel.description,
                &funnel.status.as_str(),
                &funnel.window_hours,
                &json!(funnel.canvas),
                &funnel.version,
                &funnel.created_at,
                &funnel.updated_at,
            ],
        )
        .await?;
    put_rows(session, funnel).await
}

/// Writes everything of a funnel that was `before`, drawing and rows; says what of it another funnel
/// has, and then the transaction must not be committed.
///
/// # Errors
/// When there is no such funnel, or PostgreSQL fails.
pub async fn update(
    session: &Session<'_>,
    before: &Funnel,
    funnel: &Funnel,
) -> Result<Taken, Error> {
    let updated = session
        .execute(
            UPDATE_FUNNEL,
            &[
                &funnel.id.0,
                &funnel.name,
                &funnel.description,
                &funnel.status.as_str(),
                &funnel.window_hours,
                &json!(funnel.canvas),
                &funnel.version,
                &funnel.updated_at,
                &funnel.activated_at,
            ],
        )
        .await?;
    Error::expect_rows(UPDATE_FUNNEL.name, 1, updated)?;
    let (before, now) = (&before.canvas, &funnel.canvas);
    if before.nodes == now.nodes && before.edges == now.edges {
        return Ok(Taken::default());
    }
    put_rows(session, funnel).await
}

/// Makes the rows of a funnel what its drawing is. Those that stay keep when they were made.
async fn put_rows(session: &Session<'_>, funnel: &Funnel) -> Result<Taken, Error> {
    let FunnelCanvas { nodes, edges, .. } = &funnel.canvas;
    let id = funnel.id.0;
    let node_ids: Vec<Uuid> = nodes.iter().map(|node| node.id.0).collect();
    let edge_ids: Vec<Uuid> = edges.iter().map(|edge| edge.id.0).collect();
    session
        .execute(DELETE_FUNNEL_EDGES, &[&id, &edge_ids])
        .await?;
    session
        .execute(DELETE_FUNNEL_NODES, &[&id, &node_ids])
        .await?;
    let types: Vec<&str> = nodes.iter().map(|n| n.step.node_type().as_str()).collect();
    let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    let configs: Vec<Json> = nodes.iter().map(|node| config(&node.step)).collect();
    let experiments: Vec<Option<Uuid>> = nodes
        .iter()
        .map(|node| node.experiment_id.map(|id| id.0))
        .collect();
    let xs: Vec<f64> = nodes.iter().map(|node| node.x).collect();
    let ys: Vec<f64> = nodes.iter().map(|node| node.y).collect();
    let put_nodes = session
        .query(
            PUT_FUNNEL_NODES,
            &[
                &id,
                &node_ids,
                &types,
                &names,
                &configs,
                &experiments,
                &xs,
                &ys,
            ],
        )
        .await?;
    let put_nodes = put(&put_nodes, "funnel_nodes")?;
    let mut taken = Taken::default();
    let missing = nodes.iter().map(|node| node.id);
    taken
        .nodes
        .extend(missing.filter(|id| !put_nodes.contains(&id.0)));
    if !taken.nodes.is_empty() {
        // Edges to nodes of another funnel are none.
        return Ok(taken);
    }
    let sources: Vec<Uuid> = edges.iter().map(|edge| edge.source.0).collect();
    let targets: Vec<Uuid> = edges.iter().map(|edge| edge.target.0).collect();
    let conditions = edges.iter().map(|edge| split(&edge.condition));
    let (types, conditions): (Vec<String>, Vec<Json>) = conditions.unzip();
    let put_edges = session
        .query(
            PUT_FUNNEL_EDGES,
            &[&id, &edge_ids, &sources, &targets, &types, &conditions],
        )
        .await?;
    let put_edges = put(&put_edges, "funnel_edges")?;
    let missing = edges.iter().map(|edge| edge.id);
    taken
        .edges
        .extend(missing.filter(|id| !put_edges.contains(&id.0)));
    Ok(taken)
}

fn put(rows: &[Row], table: &'static str) -> Result<HashSet<Uuid>, Error> {
    rows.iter()
        .map(|row| Columns::new(row, table).get(0, "id"))
        .collect()
}

/// The drawing of a funnel as its rows tell it, in the order of ids and without what only the whole
/// knows.
///
/// # Errors
/// When PostgreSQL fails or a row breaks a rule that code relies on.
pub async fn rows(session: &Session<'_>, id: FunnelId) -> Result<FunnelCanvas, Error> {
    let nodes = session.query(READ_FUNNEL_NODES, &[&id.0]).await?;
    let edges = session.query(READ_FUNNEL_EDGES, &[&id.0]).await?;
    Ok(FunnelCanvas {
        nodes: nodes.iter().map(node_from_row).collect::<Result<_, _>>()?,
        edges: edges.iter().map(edge_from_row).collect::<Result<_, _>>()?,
        ..FunnelCanvas::default()
    })
}

/// Those of `ids` that are experiments of `owner`.
///
/// # Errors
/// When PostgreSQL fails or a row breaks a rule that code relies on.
pub async fn experiments(
    session: &Session<'_>,
    owner: Option<UserId>,
    ids: &BTreeSet<ExperimentId>,
) -> Result<BTreeMap<ExperimentId, FunnelExperiment>, Error> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let rows = session
        .query(READ_FUNNEL_EXPERIMENTS, &[&ids, &owner.map(|id| id.0)])
        .await?;
    let experiments = rows.iter().map(|row| {
        let of = Columns::new(row, "experiments");
        let variants: Vec<Uuid> = of.get(2, "variants")?;
        let experiment = FunnelExperiment {
            status: of.word(1, "status", Status::Draft)?,
            variants: variants.into_iter().map(VariantId).collect(),
        };
        Ok((ExperimentId(of.get(0, "id")?), experiment))
    });
    experiments.collect()
}

/// The type of a condition, and the rest of it.
fn split(condition: &FunnelCondition) -> (String, Json) {
    let mut json = json!(condition);
    let kind = json.as_object_mut().and_then(|map| map.remove("type"));
    let kind = kind.as_ref().and_then(Json::as_str).unwrap_or_default();
    (kind.to_owned(), json)
}

/// What a node waits for, without its type.
fn config(step: &FunnelStep) -> Json {
    let mut json = json!(step);
    let config = json.as_object_mut().and_then(|map| map.remove("config"));
    config.unwrap_or_else(|| Json::Object(Map::new()))
}

/// The seed lets the column be null.
fn made_at(of: Columns<'_>) -> Result<OffsetDateTime, Error> {
    let made_at = of.get::<Option<_>>(8, "created_at")?;
    Ok(made_at.unwrap_or(OffsetDateTime::UNIX_EPOCH))
}

fn from_row(row: &Row) -> Result<Funnel, Error> {
    let of = Columns::new(row, TABLE);
    let id: Uuid = of.get(0, "id")?;
    let decode = || {
        let canvas: Option<Json> = of.get(6, "canvas_data")?;
        let canvas = canvas.unwrap_or_else(|| Json::Object(Map::new()));
        Ok(Funnel {
            id: FunnelId(id),
            user_id: of.get::<Option<Uuid>>(1, "user_id")?.map(UserId),
            name: of.get(2, "name")?,
            description: of.get(3, "description")?,
            status: of.word(4, "status", FunnelStatus::Draft)?,
            window_hours: of.get(5, "window_hours")?,
            canvas: serde_json::from_value(canvas)
                .map_err(|error| of.wrong("canvas_data", error))?,
            version: of.get(7, "version")?,
            created_at: made_at(of)?,
            updated_at: of.get(9, "updated_at")?,
            activated_at: of.get(10, "activated_at")?,
        })
    };
    decode().map_err(|error: Error| error.within(format_args!("row {id}")))
}

fn node_from_row(row: &Row) -> Result<FunnelNode, Error> {
    let of = Columns::new(row, "funnel_nodes");
    let id: Uuid = of.get(0, "id")?;
    let decode = || {
        let kind: Option<&str> = of.get(1, "node_type")?;
        let config: Option<Json> = of.get(3, "config")?;
        let step = json!({ "type": kind, "config": config.unwrap_or_else(|| json!({})) });
        Ok(FunnelNode {
            id: FunnelNodeId(id),
            step: serde_json::from_value(step).map_err(|error| of.wrong("config", error))?,
            name: of.get::<Option<_>>(2, "name")?.unwrap_or_default(),
            x: of.get::<Option<_>>(5, "position_x")?.unwrap_or_default(),
            y: of.get::<Option<_>>(6, "position_y")?.unwrap_or_default(),
            experiment_id: of
                .get::<Option<Uuid>>(4, "experiment_id")?
                .map(ExperimentId),
        })
    };
    decode().map_err(|error: Error| error.within(format_args!("row {id}")))
}

fn edge_from_row(row: &Row) -> Result<FunnelEdge, Error> {
    let of = Columns::new(row, "funnel_edges");
    let id: Uuid = of.get(0, "id")?;
    let decode = || {
        let kind: Option<&str> = of.get(3, "condition_type")?;
        let condition: Option<Json> = of.get(4, "condition")?;
        let mut condition = condition.unwrap_or_else(|| json!({}));
        if let Some(map) = condition.as_object_mut() {
            map.insert("type".to_owned(), json!(kind));
        }
        let condition = serde_json::from_value(condition);
        Ok(FunnelEdge {
            id: FunnelEdgeId(id),
            source: FunnelNodeId(of.get(1, "source_node_id")?),
            target: FunnelNodeId(of.get(2, "target_node_id")?),
            condition: condition.map_err(|error| of.wrong("condition", error))?,
        })
    };
    decode().map_err(|error: Error| error.within(format_args!("row {id}")))
}
