//! Rows against the entries that they name, field by field.

use samplit_audit::payload::{Assignment, Conversion};
use samplit_audit::{Payload, Pseudonym, TypedPayload};
use samplit_domain::{ERASED_PREFIX, VariantId};
use samplit_store::Session;
use samplit_store::doctor::{self, RowEntries};

use super::examine::Scene;
use super::{ERASED, ROWS, Tally};
use crate::Error;
use crate::trail::signed;
use crate::visitor;

/// Rows read at once.
const PAGE: i64 = 2_000;

/// Compares every row of an experiment, of which there are `count`: first along the trail, as they lie
/// in the table, and the rest, if there is any, by visitor. Read by visitor, each of ten million rows
/// would be a page of the table that nobody has in memory.
pub(super) async fn compare(
    tally: &mut Tally,
    session: &Session<'_>,
    scene: &Scene,
    count: i64,
) -> Result<(), Error> {
    let (id, draws) = (scene.id(), signed(scene.sets.len() as u64));
    let mut compared = 0;
    let mut after = 0;
    loop {
        let rows = doctor::rows_along_trail(session, id, after, PAGE, draws).await?;
        compared += signed(rows.len() as u64);
        rows.iter().for_each(|row| compare_row(tally, scene, row));
        match rows.last().and_then(|last| last.assignment_seq) {
            Some(seq) => after = seq,
            None => break,
        }
    }
    if compared == count {
        return Ok(());
    }
    let mut after = String::new();
    loop {
        let rows = doctor::rows_without_entry(session, id, &after, PAGE, draws).await?;
        rows.iter().for_each(|row| compare_row(tally, scene, row));
        match rows.into_iter().last() {
            Some(last) => after = last.visitor,
            None => return Ok(()),
        }
    }
}

fn compare_row(tally: &mut Tally, scene: &Scene, row: &RowEntries) {
    let pseudonym = pseudonym(scene, row);
    let says = |what: String| format!("row {}: {what}", row.id);
    let wrong = assignment(scene, row, pseudonym)
        .and_then(|()| conversion(scene, row, pseudonym))
        .err();
    tally.note(ROWS, scene.id(), wrong.map(says));
    let erased = scene.live.trail.as_ref().map(|trail| &trail.erased);
    let is_named = pseudonym
        .zip(erased)
        .is_some_and(|(p, erased)| erased.contains(&p));
    let wrong = || says("names a visitor who was erased".to_owned());
    tally.note(ERASED, scene.id(), is_named.then(wrong));
}

/// What the trail calls the visitor of a row, where that can still be told.
fn pseudonym(scene: &Scene, row: &RowEntries) -> Option<Pseudonym> {
    let key = scene.live.trail.as_ref()?.pid_key.as_ref()?;
    let is_erased = row.visitor == format!("{ERASED_PREFIX}{}", row.id);
    (!is_erased).then(|| key.pseudonym(scene.id().0, &row.visitor))
}

/// The variants that a row shows, one per element.
fn shown(scene: &Scene, row: &RowEntries) -> Vec<VariantId> {
    visitor::stored_variants(&scene.experiment, row.variant_id, row.variants.as_ref())
}

fn assignment(scene: &Scene, row: &RowEntries, pseudonym: Option<Pseudonym>) -> Result<(), String> {
    let (Some(first), Some(snapshot)) = (row.assignment_seq, row.snapshot_seq) else {
        // Older than the trail; or without its entry, which is counted elsewhere.
        return agree(
            "snapshot_seq",
            row.snapshot_seq.is_some() || row.assignment_seq.is_none(),
        );
    };
    let shown = shown(scene, row);
    agree("variant_id", row.variant_id == shown.first().copied())?;
    agree(
        "number of entries",
        row.assignments.len() == scene.sets.len(),
    )?;
    let mut rest = shown.as_slice();
    for ((draw, set), text) in scene.sets.iter().enumerate().zip(&row.assignments) {
        let width = set.arms.first().map_or(0, |arm| arm.variants.len());
        let (own, others) = rest.split_at(width.min(rest.len()));
        rest = others;
        let seq = first + signed(draw as u64);
        let Some(entry) = payload::<Assignment>(seq, text)? else {
            continue;
        };
        let arm = set.arms.get(usize::from(entry.arm));
        agree("variants", arm.is_some_and(|arm| arm.variants == own))?;
        agree("element", usize::from(entry.draw()) == draw)?;
        agree("snapshot_seq", signed(entry.snapshot_seq) == snapshot)?;
        agree(
            "user_identifier",
            pseudonym.is_none_or(|p| p == entry.visitor),
        )?;
    }
    Ok(())
}

fn conversion(scene: &Scene, row: &RowEntries, pseudonym: Option<Pseudonym>) -> Result<(), String> {
    let Some(seq) = row.conversion_seq else {
        // None, or one from before this column, which is counted elsewhere.
        return Ok(());
    };
    let Some((kind, text, at)) = &row.conversion else {
        return Err(format!("its conversion has no entry {seq}"));
    };
    agree("conversion_seq", kind == "conversion")?;
    agree("converted_at", row.converted_at == Some(*at))?;
    let Some(entry) = payload::<Conversion>(seq, text)? else {
        return Ok(());
    };
    let arms = visitor::arms(&scene.sets, &shown(scene, row));
    agree("variants of the conversion", entry.arms.as_slice() == arms)?;
    let assigned = row.assignment_seq.unwrap_or(0);
    agree(
        "assignment of the conversion",
        signed(entry.assignment_seq) == assigned,
    )?;
    let value = row.conversion_value.map(f64::to_bits);
    agree("conversion_value", value == Some(entry.value.to_bits()))?;
    agree(
        "visitor of the conversion",
        pseudonym.is_none_or(|p| p == entry.visitor),
    )
}

/// The payload of an entry; none where it was redacted.
fn payload<P: TypedPayload>(seq: i64, text: &str) -> Result<Option<P>, String> {
    let unlike = |error| format!("entry {seq} is of another kind: {error}");
    let payload = Payload::from_text(text.as_bytes()).map_err(unlike)?;
    if payload.is_redacted() {
        return Ok(None);
    }
    P::parse(payload.bytes()).map(Some).map_err(unlike)
}

fn agree(what: &str, is_so: bool) -> Result<(), String> {
    if is_so {
        Ok(())
    } else {
        Err(format!("{what} is not that of its entry"))
    }
}
