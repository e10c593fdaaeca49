//! The history against the database: what was promised is there, once; what was refused is not; and
//! of what nobody knows nothing is there by half.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use samplit_engine::Check;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::history::{History, Outcome, Row, What};

/// What came out.
#[derive(Debug, Default)]
pub(crate) struct Balance {
    /// Promised and not there, or there otherwise.
    pub(crate) lost: Vec<String>,
    /// There more often than once.
    pub(crate) doubled: Vec<String>,
    /// There although everybody was told that nothing was done.
    pub(crate) uncalled: Vec<String>,
    /// Of the visitors of whom nobody knew: who has a row after all.
    pub(crate) unknown_there: usize,
    /// What the doctor found.
    pub(crate) findings: Vec<Check>,
}

impl Balance {
    pub(crate) fn is_sound(&self) -> bool {
        self.lost.is_empty()
            && self.doubled.is_empty()
            && self.uncalled.is_empty()
            && self.findings.is_empty()
    }
}

/// A visitor's row as it is stored.
struct Stored {
    row: Row,
    event: Option<String>,
}

/// What the clients know of one visitor.
#[derive(Default)]
struct Told<'a> {
    rows: Vec<&'a Row>,
    /// Events that counted.
    counted: BTreeSet<&'a str>,
    /// Events that came second.
    duplicates: BTreeSet<&'a str>,
    unknown_events: BTreeSet<&'a str>,
    unknown_row: bool,
    missed: bool,
}

pub(crate) async fn balance(client: &Client, history: &History, findings: Vec<Check>) -> Balance {
    let mut balance = Balance {
        findings,
        ..Balance::default()
    };
    let stored = read(client, &mut balance).await;
    let mut told = BTreeMap::<&str, Told<'_>>::new();
    for attempt in &history.attempts {
        let told = told.entry(&attempt.visitor).or_default();
        match (&attempt.what, &attempt.outcome) {
            (What::Assign, Outcome::Assigned { row, .. }) => told.rows.push(row),
            (What::Assign, Outcome::Unknown(_) | Outcome::Wrong(_)) => told.unknown_row = true,
            (What::Convert(event), Outcome::Converted { duplicate: false }) => {
                told.counted.insert(event);
            }
            (What::Convert(event), Outcome::Converted { duplicate: true }) => {
                told.duplicates.insert(event);
            }
            (What::Convert(event), Outcome::Unknown(_) | Outcome::Wrong(_)) => {
                told.unknown_events.insert(event);
            }
            (What::Convert(_), Outcome::NotAssigned) => told.missed |= attempt.knows_row,
            _ => {}
        }
    }
    for (&visitor, told) in &told {
        compare(visitor, told, stored.get(visitor), &mut balance);
    }
    for visitor in stored
        .keys()
        .filter(|visitor| !told.contains_key(visitor.as_str()))
    {
        balance
            .uncalled
            .push(format!("{visitor}: nobody asked for a row"));
    }
    balance
}

fn compare(visitor: &str, told: &Told<'_>, stored: Option<&Stored>, balance: &mut Balance) {
    if told.missed {
        balance
            .lost
            .push(format!("{visitor}: was assigned and then not found"));
    }
    if told.counted.len() > 1 {
        balance
            .doubled
            .push(format!("{visitor}: {:?} counted", told.counted));
    }
    let Some(stored) = stored else {
        if !told.rows.is_empty() || !told.counted.is_empty() || !told.duplicates.is_empty() {
            balance.lost.push(format!("{visitor}: no row"));
        }
        return;
    };
    for row in told.rows.iter().filter(|row| ***row != stored.row) {
        balance
            .lost
            .push(format!("{visitor}: told {row:?}, stored {:?}", stored.row));
    }
    if told.rows.is_empty() {
        if told.unknown_row {
            balance.unknown_there += 1;
        } else {
            balance
                .uncalled
                .push(format!("{visitor}: a row that was refused"));
        }
    }
    let event = stored.event.as_deref();
    for counted in told
        .counted
        .iter()
        .filter(|counted| Some(**counted) != event)
    {
        balance
            .lost
            .push(format!("{visitor}: {counted} counted, stored {event:?}"));
    }
    for duplicate in &told.duplicates {
        if event.is_none_or(|event| event == *duplicate) {
            balance
                .lost
                .push(format!("{visitor}: {duplicate} came second to {event:?}"));
        }
    }
    if let Some(event) = event
        && !told.counted.contains(event)
        && !told.unknown_events.contains(event)
    {
        balance
            .uncalled
            .push(format!("{visitor}: {event} was refused and counts"));
    }
}

/// Reads the rows, and compares their numbers with those of the trail and of the counters: per
/// element a row has one entry and one count, and so has its conversion.
async fn read(client: &Client, balance: &mut Balance) -> HashMap<String, Stored> {
    let rows = client
        .query(
            "SELECT user_identifier, id, metadata -> 'variants', conversion_event_id \
             FROM assignments",
            &[],
        )
        .await
        .unwrap();
    let mut stored = HashMap::new();
    let (mut draws, mut conversions, mut converted_draws) = (0, 0, 0);
    for row in rows {
        let variants: serde_json::Value = row.get(2);
        let variants: BTreeMap<Uuid, Uuid> = serde_json::from_value(variants).unwrap();
        let (visitor, event): (String, Option<String>) = (row.get(0), row.get(3));
        draws += variants.len();
        conversions += usize::from(event.is_some());
        converted_draws += variants.len() * usize::from(event.is_some());
        let row = Row {
            id: row.get(1),
            variants,
        };
        if stored
            .insert(visitor.clone(), Stored { row, event })
            .is_some()
        {
            balance.doubled.push(format!("{visitor}: two rows"));
        }
    }
    let entries = "SELECT count(*) FROM algorithm_audit_trail WHERE decision_type =";
    for (what, sql, expected) in [
        (
            "entries of assignments",
            format!("{entries} 'assignment'"),
            draws,
        ),
        (
            "entries of conversions",
            format!("{entries} 'conversion'"),
            conversions,
        ),
        (
            "counted assignments",
            "SELECT sum(total_allocations)::bigint FROM element_variants".to_owned(),
            draws,
        ),
        (
            "counted conversions",
            "SELECT sum(total_conversions)::bigint FROM element_variants".to_owned(),
            converted_draws,
        ),
    ] {
        let found: i64 = client.query_one(&sql, &[]).await.unwrap().get(0);
        let found = usize::try_from(found).unwrap();
        let text = format!("{found} {what} for {expected}");
        match found.cmp(&expected) {
            std::cmp::Ordering::Less => balance.lost.push(text),
            std::cmp::Ordering::Equal => {}
            std::cmp::Ordering::Greater => balance.doubled.push(text),
        }
    }
    stored
}
