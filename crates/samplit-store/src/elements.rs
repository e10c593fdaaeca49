//! `experiment_elements` and `element_variants`: what is under test, with its counters.

use std::collections::HashMap;

use samplit_domain::{
    Element, ElementId, ElementType, Experiment, ExperimentId, Selector, SelectorType, Variant,
    VariantId,
};
use serde_json::Value as Json;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::Error;
use crate::columns::Columns;
use crate::statement::{Params, Session, statements};

statements! {
    /// The elements of experiments, those of each in order.
    READ_ELEMENTS = "SELECT id, name, selector_type, selector_value, fallback_selectors, element_type, \
        original_content, experiment_id FROM experiment_elements WHERE experiment_id = ANY($1) \
        ORDER BY element_order, id";
    /// The variants of experiments, those of each element in order.
    READ_VARIANTS = "SELECT v.element_id, v.id, v.name, v.content, v.is_control, v.is_active, \
        v.total_allocations, v.total_conversions FROM element_variants v \
        JOIN experiment_elements e ON e.id = v.element_id WHERE e.experiment_id = ANY($1) \
        ORDER BY v.variant_order, v.id";
    /// The elements of a new experiment.
    INSERT_ELEMENTS = "INSERT INTO experiment_elements (id, experiment_id, name, selector_type, \
        selector_value, fallback_selectors, element_type, original_content, element_order) \
        SELECT id, $1, name, selector_type, selector_value, fallback_selectors, element_type, \
        original_content, element_order - 1 \
        FROM unnest($2::uuid[], $3::varchar[], $4::varchar[], $5::varchar[], $6::jsonb[], \
        $7::varchar[], $8::jsonb[]) WITH ORDINALITY AS e(id, name, selector_type, selector_value, \
        fallback_selectors, element_type, original_content, element_order)";
    /// The variants of a new experiment.
    INSERT_VARIANTS = "INSERT INTO element_variants (id, element_id, name, content, is_control, \
        is_active, variant_order) SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::varchar[], \
        $4::jsonb[], $5::boolean[], $6::boolean[], $7::int[])";
    /// The elements of a draft that is written anew; its variants go with them.
    DELETE_ELEMENTS = "DELETE FROM experiment_elements WHERE experiment_id = $1";
    /// Whether new visitors may get a variant of an experiment.
    SET_VARIANT_ACTIVE = "UPDATE element_variants SET is_active = $2 WHERE id = $1 \
        AND element_id IN (SELECT id FROM experiment_elements WHERE experiment_id = $3)";
    /// Adds what one batch did to the counters of the variants.
    COUNT_VARIANTS = "UPDATE element_variants v SET \
        total_allocations = coalesce(v.total_allocations, 0) + d.allocations, \
        total_conversions = coalesce(v.total_conversions, 0) + d.conversions, \
        conversion_rate = coalesce((coalesce(v.total_conversions, 0) + d.conversions)::float8 \
        / nullif(coalesce(v.total_allocations, 0) + d.allocations, 0), 0) \
        FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS d(id, allocations, conversions) \
        WHERE v.id = d.id";
    /// The sealed posterior of each variant.
    SET_ALGORITHM_STATE = "UPDATE element_variants v SET algorithm_state = d.state \
        FROM unnest($1::uuid[], $2::text[]) AS d(id, state) WHERE v.id = d.id";
}

/// What a batch adds to the counters of one variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VariantCount {
    /// Which variant.
    pub id: Uuid,
    /// Visitors assigned.
    pub allocations: i64,
    /// Visitors converted.
    pub conversions: i64,
}

/// Reads the elements of experiments with their variants, those of each in order.
pub(crate) async fn read(
    session: &Session<'_>,
    experiments: &[Uuid],
) -> Result<HashMap<ExperimentId, Vec<Element>>, Error> {
    let ids: Params<'_> = &[&experiments];
    let (elements, variants) = tokio::try_join!(
        biased;
        session.query(READ_ELEMENTS, ids),
        session.query(READ_VARIANTS, ids),
    )?;
    let mut by_element = HashMap::<Uuid, Vec<Variant>>::new();
    for row in &variants {
        let of = Columns::new(row, "element_variants").get(0, "element_id")?;
        by_element
            .entry(of)
            .or_default()
            .push(variant_from_row(row)?);
    }
    let mut by_experiment = HashMap::<_, Vec<Element>>::new();
    for row in &elements {
        let mut element = element_from_row(row)?;
        element.variants = by_element.remove(&element.id.0).unwrap_or_default();
        let of = Columns::new(row, "experiment_elements").get(7, "experiment_id")?;
        by_experiment
            .entry(ExperimentId(of))
            .or_default()
            .push(element);
    }
    Ok(by_experiment)
}

/// Inserts the elements and variants of `experiment`.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn insert(session: &Session<'_>, experiment: &Experiment) -> Result<(), Error> {
    let elements = &experiment.elements;
    let ids: Vec<Uuid> = elements.iter().map(|e| e.id.0).collect();
    let names: Vec<&str> = elements.iter().map(|e| e.name.as_str()).collect();
    let kinds: Vec<Option<&str>> = elements
        .iter()
        .map(|e| e.selector.as_ref().map(|s| s.kind.as_str()))
        .collect();
    let values: Vec<Option<&str>> = elements
        .iter()
        .map(|e| e.selector.as_ref().map(|s| s.value.as_str()))
        .collect();
    let fallbacks: Vec<Json> = elements
        .iter()
        .map(|e| serde_json::json!(e.fallback_selectors))
        .collect();
    let types: Vec<Option<&str>> = elements
        .iter()
        .map(|e| e.element_type.map(ElementType::as_str))
        .collect();
    let originals: Vec<Option<&Json>> = elements
        .iter()
        .map(|e| e.original_content.as_ref())
        .collect();
    session
        .execute(
            INSERT_ELEMENTS,
            &[
                &experiment.id.0,
                &ids,
                &names,
                &kinds,
                &values,
                &fallbacks,
                &types,
                &originals,
            ],
        )
        .await?;

    let variants = || {
        elements
            .iter()
            .flat_map(|e| e.variants.iter().enumerate().map(move |(i, v)| (e, i, v)))
    };
    let ids: Vec<Uuid> = variants().map(|(_, _, v)| v.id.0).collect();
    let owners: Vec<Uuid> = variants().map(|(e, _, _)| e.id.0).collect();
    let names: Vec<&str> = variants().map(|(_, _, v)| v.name.as_str()).collect();
    let contents: Vec<&Json> = variants().map(|(_, _, v)| &v.content).collect();
    let controls: Vec<bool> = variants().map(|(_, _, v)| v.is_control).collect();
    let active: Vec<bool> = variants().map(|(_, _, v)| v.is_active).collect();
    let order: Vec<i32> = variants()
        .map(|(_, i, _)| i32::try_from(i).unwrap_or(i32::MAX))
        .collect();
    session
        .execute(
            INSERT_VARIANTS,
            &[&ids, &owners, &names, &contents, &controls, &active, &order],
        )
        .await
        .map(drop)
}

/// Deletes the elements of a draft.
///
/// # Errors
/// When PostgreSQL fails, or somebody was assigned to one of their variants.
pub async fn delete(session: &Session<'_>, experiment: ExperimentId) -> Result<(), Error> {
    session
        .execute(DELETE_ELEMENTS, &[&experiment.0])
        .await
        .map(drop)
}

/// Lets new visitors get a variant of `experiment`, or not any more.
///
/// # Errors
/// When the experiment has no such variant, or PostgreSQL fails.
pub async fn set_active(
    session: &Session<'_>,
    experiment: ExperimentId,
    variant: VariantId,
    is_active: bool,
) -> Result<(), Error> {
    let set = session
        .execute(SET_VARIANT_ACTIVE, &[&variant.0, &is_active, &experiment.0])
        .await?;
    Error::expect_rows(SET_VARIANT_ACTIVE.name, 1, set)
}

/// Adds to the counters of the variants, each named once. The rows of one experiment are guarded by its locked head.
///
/// # Errors
/// When one of the variants does not exist, or PostgreSQL fails.
pub async fn count(session: &Session<'_>, counts: &[VariantCount]) -> Result<(), Error> {
    let ids: Vec<Uuid> = counts.iter().map(|c| c.id).collect();
    let allocations: Vec<i64> = counts.iter().map(|c| c.allocations).collect();
    let conversions: Vec<i64> = counts.iter().map(|c| c.conversions).collect();
    let counted = session
        .execute(COUNT_VARIANTS, &[&ids, &allocations, &conversions])
        .await?;
    Error::expect_rows(COUNT_VARIANTS.name, counts.len() as u64, counted)
}

/// Stores the sealed posterior of each variant, each named once.
///
/// # Errors
/// When one of the variants does not exist, or PostgreSQL fails.
pub async fn set_algorithm_state(
    session: &Session<'_>,
    variants: &[Uuid],
    states: &[String],
) -> Result<(), Error> {
    let set = session
        .execute(SET_ALGORITHM_STATE, &[&variants, &states])
        .await?;
    Error::expect_rows(SET_ALGORITHM_STATE.name, variants.len() as u64, set)
}

fn element_from_row(row: &Row) -> Result<Element, Error> {
    let of = Columns::new(row, "experiment_elements");
    let id: Uuid = of.get(0, "id")?;
    decode_element(of, id).map_err(|error| error.within(format_args!("row {id}")))
}

fn decode_element(of: Columns<'_>, id: Uuid) -> Result<Element, Error> {
    let kind: Option<String> = of.get(2, "selector_type")?;
    let value: Option<String> = of.get(3, "selector_value")?;
    let selector = match kind.zip(value) {
        Some((kind, value)) => {
            let kind: SelectorType = kind
                .parse()
                .map_err(|error| of.wrong("selector_type", error))?;
            Some(Selector { kind, value })
        }
        None => None,
    };
    let element_type = of
        .get::<Option<String>>(5, "element_type")?
        .map(|word| word.parse())
        .transpose();
    Ok(Element {
        id: ElementId(id),
        name: of.get(1, "name")?,
        selector,
        fallback_selectors: fallbacks(of.get(4, "fallback_selectors")?)
            .map_err(|error| of.wrong("fallback_selectors", error))?,
        element_type: element_type.map_err(|error| of.wrong("element_type", error))?,
        original_content: of.get(6, "original_content")?,
        variants: Vec::new(),
    })
}

/// Ours are `{"type", "value"}`; rows older than us may hold plain CSS selectors as texts.
fn fallbacks(json: Option<Json>) -> Result<Vec<Selector>, serde_json::Error> {
    let items = match json {
        None => Vec::new(),
        Some(Json::Array(items)) => items,
        Some(other) => vec![other],
    };
    let selectors = items.into_iter().map(|item| match item {
        Json::String(value) => Ok(Selector {
            kind: SelectorType::Css,
            value,
        }),
        other => serde_json::from_value(other),
    });
    selectors.collect()
}

fn variant_from_row(row: &Row) -> Result<Variant, Error> {
    let of = Columns::new(row, "element_variants");
    let id: Uuid = of.get(1, "id")?;
    decode_variant(of, id).map_err(|error| error.within(format_args!("row {id}")))
}

fn decode_variant(of: Columns<'_>, id: Uuid) -> Result<Variant, Error> {
    Ok(Variant {
        id: VariantId(id),
        name: of.get(2, "name")?,
        content: of.get(3, "content")?,
        is_control: of.get::<Option<_>>(4, "is_control")?.unwrap_or(false),
        is_active: of.get::<Option<_>>(5, "is_active")?.unwrap_or(true),
        total_allocations: of.get::<Option<_>>(6, "total_allocations")?.unwrap_or(0),
        total_conversions: of.get::<Option<_>>(7, "total_conversions")?.unwrap_or(0),
    })
}
