//! What the tables hold, whatever they are: which of them are empty, and what of a row set is missing.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::{Client, NoTls};

/// Tables that may be empty, and why. None so far.
const MAY_BE_EMPTY: &[(&str, &str)] = &[];

/// Rows that no code of ours makes yet, or none that is there for long. Only of a table that is empty: once
/// there is code for it, it belongs into the scene. `me` and `experiment` stand for somebody and something
/// that is there.
const BY_HAND: &[(&str, &str)] = &[
    (
        "oauth_tokens",
        "INSERT INTO oauth_tokens (user_id, installation_id, provider, access_token) \
         SELECT user_id, id, 'custom', 'sealed' FROM platform_installations LIMIT 1",
    ),
    // Found a minute into a month, and written by a look that comes by itself.
    (
        "usage_baselines",
        "INSERT INTO usage_baselines (experiment_id, month, visitors_before) \
         SELECT id, '2026-01-01', 7 FROM experiments LIMIT 1",
    ),
    (
        "plan_warnings",
        "INSERT INTO plan_warnings (user_id, month, resource, level) \
         SELECT id, '2026-01-01', 'seats', 80 FROM users LIMIT 1",
    ),
    (
        "user_roles",
        "INSERT INTO user_roles (user_id, role) SELECT id, 'admin' FROM users LIMIT 1",
    ),
    // What an adopted database had of its own trail.
    (
        "algorithm_audit_trail_legacy",
        "INSERT INTO algorithm_audit_trail_legacy (id, experiment_id, sequence_number, decision_data, \
         current_hash) SELECT id, id, 1, '{}', repeat('0', 64) FROM experiments LIMIT 1",
    ),
];

/// A connection past the server.
pub(super) async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Every table of ours.
async fn tables(client: &Client) -> Vec<String> {
    let tables = "SELECT table_name::text FROM information_schema.tables \
        WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY 1";
    let tables = client.query(tables, &[]).await.unwrap();
    tables.iter().map(|row| row.get(0)).collect()
}

async fn is_empty(client: &Client, table: &str) -> bool {
    let rows = format!("SELECT NOT EXISTS (SELECT FROM {table})");
    client.query_one(&rows, &[]).await.unwrap().get(0)
}

/// Fills what the scene does not.
pub(super) async fn fill_by_hand(client: &Client) {
    for (table, insert) in BY_HAND {
        if is_empty(client, table).await {
            client.batch_execute(insert).await.unwrap();
        }
    }
}

/// Fails for a table without a row: nobody knows whether that would come back.
pub(super) async fn nothing_is_empty(client: &Client) {
    let mut empty = Vec::new();
    for table in tables(client).await {
        let may_be = MAY_BE_EMPTY.iter().any(|(name, _why)| *name == table);
        if !may_be && is_empty(client, &table).await {
            empty.push(table);
        }
    }
    assert!(
        empty.is_empty(),
        "add to the drill's scene what fills {empty:?}"
    );
}

/// What every table holds, row by row, but for what looking alone moves.
pub(super) async fn contents(client: &Client) -> BTreeMap<String, BTreeSet<String>> {
    let mut contents = BTreeMap::new();
    for table in tables(client).await {
        let rows =
            format!("SELECT (to_jsonb(t) - 'last_used_at' - 'last_seen_at')::text FROM {table} t");
        let rows = client.query(&rows, &[]).await.unwrap();
        contents.insert(table, rows.iter().map(|row| row.get(0)).collect());
    }
    contents
}

/// Whatever was `stored` is there as it was, but for what moved under load.
pub(super) async fn nothing_is_missing(
    client: &Client,
    stored: &BTreeMap<String, BTreeSet<String>>,
    loaded: &str,
) {
    let moves = "SELECT $1::text UNION SELECT v.id::text FROM element_variants v \
        JOIN experiment_elements e ON e.id = v.element_id WHERE e.experiment_id::text = $1";
    let moves = client.query(moves, &[&loaded]).await.unwrap();
    let moves: Vec<String> = moves.iter().map(|row| row.get(0)).collect();
    let restored = contents(client).await;
    assert_eq!(
        stored.keys().collect::<Vec<_>>(),
        restored.keys().collect::<Vec<_>>()
    );
    for (table, rows) in stored {
        let missing: Vec<_> = rows
            .difference(&restored[table])
            .filter(|row| !moves.iter().any(|id| row.contains(id.as_str())))
            .collect();
        assert!(missing.is_empty(), "{table}: {missing:#?}");
    }
}
