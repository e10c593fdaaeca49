//! What Thompson sampling earns, told from the log of a uniform policy beside its own log.
//!
//! The Open Bandit Dataset (Saito, Aihara, Matsutani & Narita 2020, arXiv:2008.07146) has two logs
//! of the same days. An arm here is an item at a position of the page; the target policy plays it
//! as often as the Thompson log did.

use std::path::Path;

use anyhow::{Context as _, ensure};
use samplit_bandit::{Counts, Estimate, Logged, off_policy, wilson};
use serde::Deserialize;

use crate::number::{real, size};
use crate::table::Table;

#[derive(Debug, Deserialize)]
struct Impression {
    item_id: usize,
    /// From 1.
    position: usize,
    click: u8,
    /// Of the item, given the position.
    propensity: f64,
}

fn read(file: &Path) -> anyhow::Result<Vec<Impression>> {
    let name = file.display();
    let mut reader = csv::Reader::from_path(file).with_context(|| format!("cannot read {name}"))?;
    let rows: Result<Vec<Impression>, _> = reader.deserialize().collect();
    let rows = rows.with_context(|| format!("{name} has another form"))?;
    let placed = rows.iter().all(|row| row.position > 0);
    ensure!(placed && !rows.is_empty(), "{name}: positions count from 1");
    Ok(rows)
}

/// The estimates from the log at `uniform`, and the rate of the log at `thompson`.
pub(crate) fn table(uniform: &Path, thompson: &Path) -> anyhow::Result<Table> {
    let (uniform, thompson) = (read(uniform)?, read(thompson)?);
    let both = || uniform.iter().chain(&thompson);
    let positions = both().map(|i| i.position).max().unwrap_or(0);
    let items = both().map(|i| i.item_id).max().unwrap_or(0) + 1;
    let arm = |i: &Impression| i.item_id * positions + i.position - 1;
    let mut target = vec![0.0; items * positions];
    for impression in &thompson {
        target[arm(impression)] += 1.0 / size(&thompson);
    }
    let mut places = vec![0.0; positions];
    for impression in &uniform {
        places[impression.position - 1] += 1.0 / size(&uniform);
    }
    let log: Vec<Logged> = uniform
        .iter()
        .map(|i| {
            let propensity = i.propensity * places[i.position - 1];
            Logged::one(arm(i), propensity, f64::from(i.click))
        })
        .collect();
    let told = off_policy(&log, &target)?;
    let mut table = Table::new(&["click rate of the Thompson policy", "%", "95 % interval, %"]);
    let mut push = |what: &str, value: f64, (low, high): (f64, f64)| {
        table.push(vec![
            what.to_owned(),
            format!("{:.3}", 100.0 * value),
            format!("{:.3} to {:.3}", 100.0 * low, 100.0 * high),
        ]);
    };
    let estimates: [(&str, Estimate); 3] = [
        ("IPS, from the uniform log", told.ips),
        ("SNIPS, from the uniform log", told.snips),
        ("doubly robust, from the uniform log", told.doubly_robust),
    ];
    for (what, estimate) in estimates {
        push(what, estimate.value, estimate.interval(0.95)?);
    }
    for (what, log) in [
        ("its own log (Wilson)", &thompson),
        ("for contrast: the uniform log itself (Wilson)", &uniform),
    ] {
        let n = log.len() as u64;
        let s = log.iter().map(|i| u64::from(i.click)).sum();
        push(what, real(s) / real(n), wilson(Counts::new(n, s)?, 0.95)?);
    }
    table.push(vec![
        format!("effective sample size, of {}", uniform.len()),
        format!("{:.0}", told.effective_sample_size),
        String::new(),
    ]);
    Ok(table)
}
