//! `experiments` and `goals`: the configuration of an experiment, as a whole.

use std::collections::{BTreeMap, HashMap};

use samplit_domain::{
    Element, Experiment, ExperimentId, ExperimentType, Goal, GoalId, Hypothesis, Status, Strategy,
    UserId,
};
use serde_json::Value as Json;
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::columns::Columns;
use crate::like::containing;
use crate::statement::{Params, Session, statements};
use crate::{Error, elements};

const TABLE: &str = "experiments";

/// What [`from_row`] reads.
macro_rules! columns {
    () => {
        "id, user_id, name, description, target_url, status, experiment_type, \
        traffic_allocation, allocation_strategy, created_at, started_at, completed_at, metadata, \
        version, updated_at, allocation_config, declared_winner, archived_at, stopping_rule, \
        hypothesis, registration, key"
    };
}

/// Which experiments a list holds, and in which order. Null parameters do not filter. That of the
/// cursor is compared with `infinity` then, so that the comparison bounds the index whatever the plan.
macro_rules! listed {
    ($owner:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM experiments WHERE ",
            $owner,
            "(created_at, id) < (coalesce($1::timestamptz, 'infinity'), $2::uuid) \
            AND ($3::varchar IS NULL OR status = $3) \
            AND ($4::varchar IS NULL OR name ILIKE $4 OR key ILIKE $4 OR target_url ILIKE $4) \
            ORDER BY created_at DESC, id DESC LIMIT $5"
        )
    };
}

statements! {
    /// One experiment.
    READ_EXPERIMENT = concat!("SELECT ", columns!(), " FROM experiments WHERE id = $1");
    /// One experiment, locked against other changes of it.
    LOCK_EXPERIMENT = "SELECT version FROM experiments WHERE id = $1 FOR NO KEY UPDATE";
    /// A page of all experiments, newest first.
    LIST_EXPERIMENTS = listed!("");
    /// A page of the experiments of an account, newest first.
    LIST_EXPERIMENTS_OF = listed!("user_id = $6 AND ");
    /// The versions of many experiments, to see which have changed.
    READ_VERSIONS = "SELECT id, version, updated_at FROM experiments WHERE id = ANY($1)";
    /// The experiments of an account that pages may show: those that were started and not put away,
    /// with an element that a page can find. The newest 200.
    LIST_ON_PAGES = "SELECT id FROM experiments e WHERE user_id = $1 \
        AND (status IN ('active', 'paused') \
        OR (status = 'completed' AND declared_winner IS NOT NULL)) \
        AND EXISTS (SELECT FROM experiment_elements p \
        WHERE p.experiment_id = e.id AND p.selector_value IS NOT NULL) \
        ORDER BY created_at DESC, id DESC LIMIT 200";
    /// The experiments of an account that programs may ask for by a name: those that were started and
    /// not put away. The newest 1,000.
    LIST_FLAGS = "SELECT id, key FROM experiments WHERE user_id = $1 AND key IS NOT NULL \
        AND status IN ('active', 'paused', 'completed') ORDER BY created_at DESC, id DESC LIMIT 1000";
    /// A new experiment.
    INSERT_EXPERIMENT = "INSERT INTO experiments (id, user_id, name, description, target_url, status, \
        experiment_type, traffic_allocation, allocation_strategy, created_at, metadata, version, \
        updated_at, allocation_config, stopping_rule, hypothesis, key) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";
    /// Everything of an experiment that may change. What was announced may not after the start.
    UPDATE_EXPERIMENT = "UPDATE experiments SET name = $2, description = $3, target_url = $4, \
        status = $5, experiment_type = $6, traffic_allocation = $7, allocation_strategy = $8, \
        started_at = $9, completed_at = $10, archived_at = $11, metadata = $12, version = $13, \
        updated_at = $14, allocation_config = $15, declared_winner = $16, \
        stopping_rule = $17, \
        hypothesis = CASE WHEN started_at IS NULL THEN $18 ELSE hypothesis END, \
        registration = CASE WHEN started_at IS NULL THEN $19 ELSE registration END, key = $20 WHERE id = $1";
    /// The goals of experiments, the primary one of each first.
    READ_GOALS = "SELECT id, name, is_primary, kind, default_value, experiment_id, trigger \
        FROM goals WHERE experiment_id = ANY($1) ORDER BY is_primary DESC, created_at, id";
    /// The goals of a new experiment.
    INSERT_GOALS = "INSERT INTO goals (id, experiment_id, name, is_primary, kind, default_value, \
        trigger) SELECT id, $1, name, is_primary, kind, default_value, trigger FROM \
        unnest($2::uuid[], $3::varchar[], $4::boolean[], $5::varchar[], $6::float8[], $7::jsonb[]) \
        AS g(id, name, is_primary, kind, default_value, trigger)";
    /// The goals of a draft that is written anew.
    DELETE_GOALS = "DELETE FROM goals WHERE experiment_id = $1";
    /// Tells the other processes that an experiment changed.
    NOTIFY_EXPERIMENT = "SELECT pg_notify('samplit_experiment', $1)";
}

/// The channel that [`announce`] speaks on.
pub const CHANNEL: &str = "samplit_experiment";

/// Reads an experiment with its elements, variants and goals.
///
/// # Errors
/// When PostgreSQL fails or a row breaks a rule that code relies on.
pub async fn read(session: &Session<'_>, id: ExperimentId) -> Result<Option<Experiment>, Error> {
    let (key, ids): (Params<'_>, _) = (&[&id.0], [id.0]);
    let (row, mut parts) = tokio::try_join!(
        biased;
        session.query_opt(READ_EXPERIMENT, key),
        Parts::read(session, &ids),
    )?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(parts.complete(from_row(&row)?)))
}

/// Elements and goals of experiments.
struct Parts {
    elements: HashMap<ExperimentId, Vec<Element>>,
    goals: HashMap<ExperimentId, Vec<Goal>>,
}

impl Parts {
    async fn read(session: &Session<'_>, experiments: &[Uuid]) -> Result<Self, Error> {
        let ids: Params<'_> = &[&experiments];
        let (elements, rows) = tokio::try_join!(
            biased;
            elements::read(session, experiments),
            session.query(READ_GOALS, ids),
        )?;
        let mut goals = HashMap::<_, Vec<Goal>>::new();
        for row in &rows {
            let of = Columns::new(row, "goals").get(5, "experiment_id")?;
            let of = goals.entry(ExperimentId(of)).or_default();
            of.push(goal_from_row(row)?);
        }
        Ok(Self { elements, goals })
    }

    /// Gives an experiment what belongs to it.
    fn complete(&mut self, mut experiment: Experiment) -> Experiment {
        experiment.elements = self.elements.remove(&experiment.id).unwrap_or_default();
        experiment.goals = self.goals.remove(&experiment.id).unwrap_or_default();
        experiment
    }
}

/// Locks an experiment until the transaction ends and says which version it has.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn lock(session: &Session<'_>, id: ExperimentId) -> Result<Option<i64>, Error> {
    let row = session.query_opt(LOCK_EXPERIMENT, &[&id.0]).await?;
    row.map(|row| Columns::new(&row, TABLE).get(0, "version"))
        .transpose()
}

/// Which experiments to list.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Of this account only.
    pub user_id: Option<UserId>,
    /// With this status only.
    pub status: Option<Status>,
    /// With this text in the name, the key or the address of the page only, whatever the case.
    pub query: Option<String>,
    /// Only what was created before this one.
    pub before: Option<(OffsetDateTime, ExperimentId)>,
    /// At most so many.
    pub limit: i64,
}

/// The experiments that `listing` asks for, newest first.
///
/// # Errors
/// When PostgreSQL fails or a row breaks a rule that code relies on.
pub async fn list(session: &Session<'_>, listing: &Listing) -> Result<Vec<Experiment>, Error> {
    let (before_at, before_id) = listing.before.map(|(at, id)| (at, id.0)).unzip();
    let query = listing.query.as_deref().map(containing);
    let owner = listing.user_id.map(|id| id.0);
    let status = listing.status.map(Status::as_str);
    let all: Params<'_> = &[&before_at, &before_id, &status, &query, &listing.limit];
    let rows = match &owner {
        None => session.query(LIST_EXPERIMENTS, all).await?,
        Some(owner) => {
            let of: Vec<_> = all.iter().copied().chain([owner as _]).collect();
            session.query(LIST_EXPERIMENTS_OF, &of).await?
        }
    };
    let experiments: Vec<Experiment> = rows.iter().map(from_row).collect::<Result<_, _>>()?;
    if experiments.is_empty() {
        return Ok(experiments);
    }
    let ids: Vec<Uuid> = experiments
        .iter()
        .map(|experiment| experiment.id.0)
        .collect();
    let mut parts = Parts::read(session, &ids).await?;
    let complete = experiments
        .into_iter()
        .map(|experiment| parts.complete(experiment));
    Ok(complete.collect())
}

/// When an experiment last changed, as number and as time. The number alone does not tell a database
/// that was set back and changed since from one that was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// Grows by one with every change.
    pub number: i64,
    /// When that was.
    pub updated_at: OffsetDateTime,
}

/// The versions of `ids`; ids that do not exist are missing.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn versions(
    session: &Session<'_>,
    ids: &[Uuid],
) -> Result<Vec<(ExperimentId, Version)>, Error> {
    let rows = session.query(READ_VERSIONS, &[&ids]).await?;
    let versions = rows.iter().map(|row| {
        let of = Columns::new(row, TABLE);
        let version = Version {
            number: of.get(1, "version")?,
            updated_at: of.get(2, "updated_at")?,
        };
        Ok((ExperimentId(of.get(0, "id")?), version))
    });
    versions.collect()
}

/// The experiments of `owner` that pages may show, oldest first.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn on_pages(session: &Session<'_>, owner: UserId) -> Result<Vec<ExperimentId>, Error> {
    let rows = session.query(LIST_ON_PAGES, &[&owner.0]).await?;
    let id = |row: &Row| Columns::new(row, TABLE).get(0, "id").map(ExperimentId);
    rows.iter().rev().map(id).collect()
}

/// The experiments of `owner` that have a key and were started, by their keys. At most 1,000, the
/// newest.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn flags(
    session: &Session<'_>,
    owner: UserId,
) -> Result<BTreeMap<String, ExperimentId>, Error> {
    let rows = session.query(LIST_FLAGS, &[&owner.0]).await?;
    let flag = |row: &Row| {
        let of = Columns::new(row, TABLE);
        Ok((of.get(1, "key")?, ExperimentId(of.get(0, "id")?)))
    };
    rows.iter().map(flag).collect()
}

/// Inserts an experiment with its elements, variants and goals.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn insert(session: &Session<'_>, experiment: &Experiment) -> Result<(), Error> {
    session
        .execute(
            INSERT_EXPERIMENT,
            &[
                &experiment.id.0,
                &experiment.user_id.map(|id| id.0),
                &experiment.name,
                &experiment.description,
                &experiment.target_url,
                &experiment.status.as_str(),
                &experiment.experiment_type.as_str(),
                &experiment.traffic_allocation,
                &experiment.strategy.as_str(),
                &experiment.created_at,
                &experiment.metadata,
                &experiment.version,
                &experiment.updated_at,
                &serde_json::json!(experiment.allocation),
                &serde_json::json!(experiment.stopping),
                &hypothesis(experiment),
                &experiment.key,
            ],
        )
        .await?;
    insert_parts(session, experiment).await
}

/// Writes everything of an experiment that may change, but not its elements and goals.
///
/// # Errors
/// When there is no such experiment, or PostgreSQL fails.
pub async fn update(session: &Session<'_>, experiment: &Experiment) -> Result<(), Error> {
    let winner = (!experiment.declared_winner.is_empty())
        .then(|| serde_json::json!(experiment.declared_winner));
    let updated = session
        .execute(
            UPDATE_EXPERIMENT,
            &[
                &experiment.id.0,
                &experiment.name,
                &experiment.description,
                &experiment.target_url,
                &experiment.status.as_str(),
                &experiment.experiment_type.as_str(),
                &experiment.traffic_allocation,
                &experiment.strategy.as_str(),
                &experiment.started_at,
                &experiment.completed_at,
                &experiment.archived_at,
                &experiment.metadata,
                &experiment.version,
                &experiment.updated_at,
                &serde_json::json!(experiment.allocation),
                &winner,
                &serde_json::json!(experiment.stopping),
                &hypothesis(experiment),
                &experiment.registration,
                &experiment.key,
            ],
        )
        .await?;
    Error::expect_rows(UPDATE_EXPERIMENT.name, 1, updated)
}

fn hypothesis(experiment: &Experiment) -> Option<Json> {
    let hypothesis = experiment.hypothesis.as_ref();
    hypothesis.map(|hypothesis| serde_json::json!(hypothesis))
}

/// Replaces the elements, variants and goals of a draft.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn replace_parts(session: &Session<'_>, experiment: &Experiment) -> Result<(), Error> {
    elements::delete(session, experiment.id).await?;
    session.execute(DELETE_GOALS, &[&experiment.id.0]).await?;
    insert_parts(session, experiment).await
}

/// Tells the other processes, once the transaction commits, that `id` changed.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn announce(session: &Session<'_>, id: ExperimentId) -> Result<(), Error> {
    session
        .query_one(NOTIFY_EXPERIMENT, &[&id.to_string()])
        .await
        .map(drop)
}

async fn insert_parts(session: &Session<'_>, experiment: &Experiment) -> Result<(), Error> {
    elements::insert(session, experiment).await?;
    let goals = &experiment.goals;
    let ids: Vec<Uuid> = goals.iter().map(|goal| goal.id.0).collect();
    let names: Vec<&str> = goals.iter().map(|goal| goal.name.as_str()).collect();
    let primary: Vec<bool> = goals.iter().map(|goal| goal.is_primary).collect();
    let kinds: Vec<&str> = goals.iter().map(|goal| goal.kind.as_str()).collect();
    let values: Vec<f64> = goals.iter().map(|goal| goal.default_value).collect();
    let trigger = |goal: &Goal| {
        goal.trigger
            .as_ref()
            .map(|trigger| serde_json::json!(trigger))
    };
    let triggers: Vec<Option<Json>> = goals.iter().map(trigger).collect();
    session
        .execute(
            INSERT_GOALS,
            &[
                &experiment.id.0,
                &ids,
                &names,
                &primary,
                &kinds,
                &values,
                &triggers,
            ],
        )
        .await
        .map(drop)
}

fn from_row(row: &Row) -> Result<Experiment, Error> {
    let of = Columns::new(row, TABLE);
    let id: Uuid = of.get(0, "id")?;
    decode(of, id).map_err(|error| error.within(format_args!("row {id}")))
}

fn decode(of: Columns<'_>, id: Uuid) -> Result<Experiment, Error> {
    let started_at: Option<OffsetDateTime> = of.get(10, "started_at")?;
    Ok(Experiment {
        id: ExperimentId(id),
        user_id: of.get::<Option<Uuid>>(1, "user_id")?.map(UserId),
        name: of.get(2, "name")?,
        description: of.get(3, "description")?,
        target_url: of.get(4, "target_url")?,
        // The seed lets these columns be null; its defaults stand in.
        status: of.word(5, "status", Status::Draft)?,
        experiment_type: of.word(6, "experiment_type", ExperimentType::AbTest)?,
        traffic_allocation: of
            .get::<Option<f64>>(7, "traffic_allocation")?
            .unwrap_or(1.0),
        strategy: of.word(8, "allocation_strategy", Strategy::Adaptive)?,
        created_at: of
            .get::<Option<_>>(9, "created_at")?
            .unwrap_or(OffsetDateTime::UNIX_EPOCH),
        started_at,
        completed_at: of.get(11, "completed_at")?,
        metadata: of
            .get::<Option<_>>(12, "metadata")?
            .unwrap_or_else(|| Json::Object(Default::default())),
        version: of.get(13, "version")?,
        updated_at: of.get(14, "updated_at")?,
        allocation: serde_json::from_value(of.get(15, "allocation_config")?)
            .map_err(|error| of.wrong("allocation_config", error))?,
        declared_winner: of
            .get::<Option<Json>>(16, "declared_winner")?
            .map_or(Ok(Default::default()), serde_json::from_value)
            .map_err(|error| of.wrong("declared_winner", error))?,
        archived_at: of.get(17, "archived_at")?,
        stopping: serde_json::from_value(of.get(18, "stopping_rule")?)
            .map_err(|error| of.wrong("stopping_rule", error))?,
        // Since the start these two only tell what was announced, so one that was made unreadable by
        // hand takes nothing else away: it is not what was registered, which the report then says.
        hypothesis: match read_hypothesis(of) {
            Err(_) if started_at.is_some() => None,
            hypothesis => hypothesis?,
        },
        registration: of.get(20, "registration").unwrap_or(Some(Json::Null)),
        key: of.get(21, "key")?,
        elements: Vec::new(),
        goals: Vec::new(),
    })
}

fn read_hypothesis(of: Columns<'_>) -> Result<Option<Hypothesis>, Error> {
    let hypothesis = of.get::<Option<Json>>(19, "hypothesis")?;
    let hypothesis = hypothesis.map(serde_json::from_value).transpose();
    hypothesis.map_err(|error| of.wrong("hypothesis", error))
}

fn goal_from_row(row: &Row) -> Result<Goal, Error> {
    let of = Columns::new(row, "goals");
    let id: Uuid = of.get(0, "id")?;
    decode_goal(of, id).map_err(|error| error.within(format_args!("row {id}")))
}

fn decode_goal(of: Columns<'_>, id: Uuid) -> Result<Goal, Error> {
    let kind = of.get::<&str>(3, "kind")?.parse();
    Ok(Goal {
        id: GoalId(id),
        name: of.get(1, "name")?,
        is_primary: of.get(2, "is_primary")?,
        kind: kind.map_err(|error| of.wrong("kind", error))?,
        default_value: of.get(4, "default_value")?,
        trigger: of
            .get::<Option<Json>>(6, "trigger")?
            .map(serde_json::from_value)
            .transpose()
            .map_err(|error| of.wrong("trigger", error))?,
    })
}
