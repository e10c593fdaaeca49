//! The values of rows, and how what is known of visitors and arms becomes some.

use samplit_domain::{Experiment, VariantId};
use samplit_store::exports::Exported;
use samplit_store::statistics::ArmStatistics;
use serde_json::json;
use time::OffsetDateTime;

use crate::Error;
use crate::results::ArmResults;
use crate::trail::unsigned;
use crate::visitor::stored_variants;

/// One value of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Nothing is known.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Count(u64),
    /// Any number.
    Number(f64),
    /// Text that may be anybody's.
    Text(String),
    /// A moment.
    Time(OffsetDateTime),
    /// JSON text.
    Json(String),
}

/// A row, in the order of [`Export::columns`](super::Export::columns); the first cell is its cursor.
pub type Row = Vec<Cell>;

/// The variants that a visitor was shown, by name and by id.
pub(super) fn shown(experiment: &Experiment, row: &Exported) -> (Cell, Cell) {
    let variants = stored_variants(experiment, row.variant_id, row.variants.as_ref());
    let names = variants
        .iter()
        .filter_map(|id| experiment.variant(*id).map(|variant| variant.name.as_str()));
    let names: Vec<&str> = names.collect();
    (Cell::Text(names.join(" + ")), ids(&variants))
}

pub(super) fn ids(variants: &[VariantId]) -> Cell {
    Cell::Json(json!(variants).to_string())
}

pub(super) fn text(text: Option<&str>) -> Cell {
    text.map_or(Cell::Null, |text| Cell::Text(text.to_owned()))
}

pub(super) fn time(at: Option<OffsetDateTime>) -> Cell {
    at.map_or(Cell::Null, Cell::Time)
}

pub(super) fn number(number: Option<f64>) -> Cell {
    number.map_or(Cell::Null, Cell::Number)
}

/// A sequence number; what is no such number says nothing.
pub(super) fn sequence(number: Option<i64>) -> Cell {
    let number = number.and_then(|number| u64::try_from(number).ok());
    number.map_or(Cell::Null, Cell::Count)
}

/// Visitors and conversions.
pub(super) fn counted(row: Option<ArmStatistics>) -> Result<[Cell; 2], Error> {
    let (visitors, conversions) = row.map_or((0, 0), |row| (row.assignments, row.conversions));
    Ok([
        Cell::Count(unsigned(visitors)?),
        Cell::Count(unsigned(conversions)?),
    ])
}

pub(super) fn arm_cells(arm: &ArmResults) -> [Cell; 23] {
    let [lift_low, lift_high] = bounds(arm.lift.map(|lift| lift.interval));
    let always_valid = arm.evidence.always_valid;
    let [valid_low, valid_high] = bounds(always_valid.map(|known| known.interval));
    [
        Cell::Text(arm.name.clone()),
        ids(&arm.variants),
        Cell::Bool(arm.is_control),
        Cell::Bool(arm.is_active),
        Cell::Count(arm.assignments),
        Cell::Count(arm.exposures),
        Cell::Count(arm.conversions),
        number(arm.rate),
        Cell::Number(arm.value_sum),
        Cell::Number(arm.posterior_mean),
        Cell::Number(arm.posterior_sd),
        Cell::Number(arm.credible_interval[0]),
        Cell::Number(arm.credible_interval[1]),
        Cell::Number(arm.p_best),
        Cell::Number(arm.expected_loss),
        number(arm.p_beats_control),
        number(arm.lift.map(|lift| lift.median)),
        lift_low,
        lift_high,
        number(always_valid.map(|known| known.estimate)),
        valid_low,
        valid_high,
        Cell::Number(arm.weight),
    ]
}

/// The two ends of an interval.
fn bounds(interval: Option<[f64; 2]>) -> [Cell; 2] {
    interval.map_or([Cell::Null, Cell::Null], |ends| ends.map(Cell::Number))
}
