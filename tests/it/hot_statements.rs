//! The hot path, statement by statement: what of it would stay on one shard if the tables were
//! distributed by `experiment_id`.

use std::collections::BTreeSet;
use std::time::Duration;

use samplit_devpg::DevPg;
use samplit_engine::{EngineConfig, Principal};
use samplit_store::Statement;
use samplit_tests::{connect, draft, engine, engine_with};

use crate::pages::{account, exposure, install, miss, on_page, report, run, show};
use crate::{conversion, visitor};

/// Not while the test runs.
const NEVER: Duration = Duration::from_secs(3_600);

/// Tables with a column `experiment_id`, which the hot path reads and writes.
const DISTRIBUTED: [&str; 7] = [
    "assignments",
    "algorithm_audit_trail",
    "audit_heads",
    "variant_statistics",
    "exposures",
    "variant_exposures",
    "selector_misses",
];

/// The counters that the original schema keeps per variant, in a table without the column: they are
/// found by the variant's id. `docs/SCALING.md` says what that means.
const BY_VARIANT: [&str; 2] = ["COUNT_VARIANTS", "SET_ALGORITHM_STATE"];

/// What assign, convert and pages have to run at least, or nothing was observed.
const EXPECTED: [&str; 12] = [
    "INSERT_ASSIGNMENTS",
    "LOCK_HEADS",
    "FIND_ASSIGNMENTS",
    "CONVERT_ASSIGNMENTS",
    "APPEND_ENTRIES",
    "ADVANCE_HEADS",
    "ADD_STATISTICS",
    "TOTAL_STATISTICS",
    "COUNT_VARIANTS",
    "INSERT_EXPOSURES",
    "ADD_EXPOSURES",
    "ADD_MISSES",
];

/// Names of distributed tables that a statement touches without saying which experiment is meant.
fn unfiltered(sql: &str) -> Vec<&str> {
    let words: Vec<&str> = sql
        .split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | ';'))
        .filter(|word| !word.is_empty())
        .collect();
    let mut found = Vec::new();
    for (at, table) in words.iter().enumerate() {
        let is_place = at > 0 && matches!(words[at - 1], "FROM" | "JOIN" | "UPDATE" | "INTO");
        if !is_place || !DISTRIBUTED.contains(table) {
            continue;
        }
        let names_experiment = if words[at - 1] == "INTO" {
            // New rows carry it, and conflicts are looked for within it.
            sql.contains("experiment_id, ")
                && (!sql.contains("ON CONFLICT") || sql.contains("ON CONFLICT (experiment_id, "))
        } else {
            let alias = match words.get(at + 1) {
                Some(&"AS") => words.get(at + 2).copied().unwrap_or_default(),
                Some(word) => word,
                None => "",
            };
            let named = [
                format!("{alias}.experiment_id = "),
                " experiment_id = ".to_owned(),
            ];
            named.iter().any(|wanted| sql.contains(wanted))
        };
        if !names_experiment {
            found.push(*table);
        }
    }
    found
}

#[test]
fn the_check_finds_what_it_is_there_for() {
    for (sql, expected) in [
        ("SELECT id FROM assignments WHERE user_identifier = $1", 1),
        ("SELECT id FROM assignments WHERE experiment_id = $1", 0),
        ("UPDATE assignments a SET x = 1 FROM d WHERE a.id = d.id", 1),
        (
            "UPDATE audit_heads h SET x = 1 FROM d WHERE h.experiment_id = d.experiment_id",
            0,
        ),
        (
            "SELECT FROM assignments a JOIN algorithm_audit_trail t ON t.id = a.id \
             WHERE a.experiment_id = $1",
            1,
        ),
        ("INSERT INTO assignments (id) VALUES ($1)", 1),
        (
            "INSERT INTO assignments (id, experiment_id, x) VALUES ($1, $2, $3) \
             ON CONFLICT (user_identifier) DO NOTHING",
            1,
        ),
    ] {
        assert_eq!(unfiltered(sql).len(), expected, "{sql}");
    }
}

#[tokio::test]
async fn every_statement_of_assign_convert_and_pages_names_the_experiment() {
    let pg = DevPg::start().await.unwrap();
    pg.create_database("hot").await.unwrap();
    let url = pg.url("hot");
    let mut client = connect(&url).await;
    let options = samplit_sql::Options::default();
    samplit_sql::up(&mut client, &options).await.unwrap();
    let setup = engine(&url, 1).await;
    let first = samplit_tests::start(&setup, draft(&[2])).await;
    let second = samplit_tests::start(&setup, draft(&[2, 3])).await;
    let owner = account(&setup, "owner@example.org").await;
    let site = install(&setup, &owner).await;
    let on_page = run(&setup, &owner, on_page("on a page")).await;
    setup.shutdown().await;
    setup.database().close();

    // Connections made from here on tell the log what they run.
    client
        .batch_execute("ALTER DATABASE hot SET log_statement = 'all'")
        .await
        .unwrap();
    // Nor does it look by itself for what has changed, however long all of this takes.
    let config = EngineConfig {
        refresh_every: NEVER,
        complete_every: NEVER,
        checkpoint_every: NEVER,
        plans_every: NEVER,
        webhook_every: NEVER,
        ..samplit_tests::config(2)
    };
    let engine = engine_with(&url, config).await;
    let me = Principal::system();
    let ids = [first.id, second.id];
    // The first look at an experiment reads its configuration, which the hot path never does.
    for id in ids {
        engine.assign(&me, id, visitor("first")).await.unwrap();
    }
    show(&engine, &site, "first").await;
    let log = pg.directory().join("log");
    let before = std::fs::read_to_string(&log).unwrap().len();
    for number in 0..300 {
        let name = format!("visitor-{number}");
        for id in ids {
            engine.assign(&me, id, visitor(&name)).await.unwrap();
            if number % 3 == 0 {
                engine.convert(&me, id, conversion(&name)).await.unwrap();
                engine.convert(&me, id, conversion(&name)).await.unwrap();
            }
        }
    }
    for number in 0..20 {
        let name = format!("page-{number}");
        assert_eq!(show(&engine, &site, &name).await.len(), 1);
        let events = [
            exposure(&on_page),
            exposure(&on_page),
            miss(&on_page, "https://shop.test/"),
        ];
        report(&engine, &site, &name, &events).await;
    }
    engine.shutdown().await;
    let text = std::fs::read_to_string(&log).unwrap();
    let known = samplit_store::statements();
    let ran: Vec<Statement> = named(&text[before..], &known);
    let names: BTreeSet<&str> = ran.iter().map(|statement| statement.name).collect();
    for expected in EXPECTED {
        assert!(
            names.contains(expected),
            "{expected} is not among {names:?}"
        );
    }
    for statement in ran {
        let unfiltered = unfiltered(statement.sql);
        assert!(
            unfiltered.is_empty(),
            "{} reads or writes {unfiltered:?} of all experiments",
            statement.name
        );
        let by_variant = statement.sql.contains("element_variants");
        assert_eq!(
            by_variant,
            BY_VARIANT.contains(&statement.name),
            "{}: docs/SCALING.md lists the exceptions",
            statement.name
        );
    }
}

/// The statements whose names stand in a log.
fn named(log: &str, known: &[Statement]) -> Vec<Statement> {
    let lines: BTreeSet<&str> = log
        .lines()
        .filter_map(|line| line.split_once("-- ").map(|(_, name)| name.trim()))
        .collect();
    let ran = known
        .iter()
        .filter(|statement| lines.contains(statement.name));
    ran.copied().collect()
}
