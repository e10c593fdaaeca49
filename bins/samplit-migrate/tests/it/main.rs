//! The binary as a user meets it: exit codes, output, and secrets that stay hidden.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod drill;

use std::path::Path;
use std::process::{Command, Output};

use samplit_devpg::{DevPg, TestDatabase};

/// Stands for a JSON value in assertions.
type Json = serde_json::Value;

async fn empty() -> TestDatabase {
    DevPg::shared()
        .await
        .create_from_template("template1")
        .await
        .unwrap()
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_samplit-migrate"));
    command.args(arguments).env_remove("SAMPLIT_DATABASE_URL");
    command
}

fn run(database: &TestDatabase, arguments: &[&str]) -> Output {
    command(arguments)
        .env("SAMPLIT_DATABASE_URL", database.url())
        .output()
        .unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn json(output: &Output) -> Json {
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn sql(database: &TestDatabase, statement: &str) {
    let psql = DevPg::shared().await.bin("psql");
    let status = Command::new(psql)
        .args([
            "-X",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-d",
            database.url(),
            "-c",
            statement,
        ])
        .status()
        .unwrap();
    assert!(status.success());
}

#[tokio::test]
async fn from_empty_to_verified() {
    let database = empty().await;
    let plan = run(&database, &["plan"]);
    assert_eq!(code(&plan), 0);
    assert!(stdout(&plan).contains("CREATE TABLE assignments"));
    assert_eq!(
        code(&run(&database, &["verify"])),
        3,
        "pending migrations are a difference"
    );

    let up = run(&database, &["up"]);
    assert_eq!(code(&up), 0, "{}", stderr(&up));
    assert_eq!(stderr(&up), "", "nothing to worry about");
    assert!(
        stdout(&up).starts_with("applied V1__core\n"),
        "{}",
        stdout(&up)
    );

    let status = json(&run(&database, &["status", "--output", "json"]));
    assert_eq!(status["current"], status["expected"]);
    assert_eq!(status["steps"][0]["name"], "core");
    assert_eq!(status["steps"][0]["state"], "applied");
    let again = json(&run(&database, &["--output", "json", "up"]));
    assert_eq!(again["applied"].as_array().unwrap().len(), 0);
    let plan = json(&run(&database, &["plan", "--output", "json"]));
    assert_eq!(plan["steps"].as_array().unwrap().len(), 0);
    assert_eq!(code(&run(&database, &["verify"])), 0);
}

#[tokio::test]
async fn a_difference_is_exit_code_3_and_named() {
    let database = empty().await;
    assert_eq!(code(&run(&database, &["up"])), 0);
    sql(&database, "DROP INDEX idx_leads_status").await;
    let text = run(&database, &["verify"]);
    assert_eq!(code(&text), 3);
    assert!(stdout(&text).contains("index leads.idx_leads_status is missing"));
    let verification = run(&database, &["verify", "--output", "json"]);
    assert_eq!(code(&verification), 3);
    let differences = &json(&verification)["differences"];
    assert_eq!(differences[0]["object"], "index leads.idx_leads_status");
    assert_eq!(differences[0]["found"], Json::Null);
}

#[tokio::test]
async fn the_planned_sql_runs_by_psql_and_baseline_adopts_the_outcome() {
    let database = empty().await;
    let plan = stdout(&run(&database, &["plan"]));
    sql(&database, &plan).await;
    let up = run(&database, &["up", "--output", "json"]);
    assert_eq!(code(&up), 1);
    assert!(
        json(&up)["error"]
            .as_str()
            .unwrap()
            .contains("samplit-migrate baseline")
    );
    assert_eq!(code(&run(&database, &["baseline"])), 0);
    assert_eq!(code(&run(&database, &["verify"])), 0);
}

#[tokio::test]
async fn baseline_names_what_it_does_not_know() {
    let database = empty().await;
    assert_eq!(code(&run(&database, &["baseline"])), 1, "nothing to adopt");
    sql(&database, "CREATE TABLE users (id INT)").await;
    let refused = run(&database, &["baseline", "--output", "json"]);
    assert_eq!(code(&refused), 3);
    assert!(
        json(&refused)["differences"]
            .to_string()
            .contains("table assignments")
    );
}

#[tokio::test]
async fn wrong_usage_is_exit_code_2() {
    let database = empty().await;
    assert_eq!(code(&command(&["up"]).output().unwrap()), 2, "no database");
    assert_eq!(code(&run(&database, &[])), 2, "no command");
    assert_eq!(code(&run(&database, &["sideways"])), 2);
    assert_eq!(code(&run(&database, &["up", "--output", "yaml"])), 2);
    assert_eq!(code(&run(&database, &["up", "--lock-wait", "soon"])), 2);
}

#[test]
fn passwords_stay_hidden() {
    for (url, expected) in [
        ("postgresql://ana:pa55word@127.0.0.1:1/site", 1),
        ("postgresql://ana:pa55word@127.0.0.1:port/site", 2),
        ("nonsense pa55word", 2),
    ] {
        for arguments in [
            &["--help"][..],
            &["up", "--help"],
            &["up"],
            &["up", "--output", "json"],
        ] {
            let output = command(arguments)
                .env("SAMPLIT_DATABASE_URL", url)
                .env("SAMPLIT_LOG", "trace")
                .output()
                .unwrap();
            let printed = stdout(&output) + &stderr(&output);
            assert!(!printed.contains("pa55word"), "{arguments:?}: {printed}");
            if !arguments.contains(&"--help") {
                assert_eq!(code(&output), expected, "{printed}");
            }
        }
    }
}

#[tokio::test]
async fn a_backup_restores_into_an_empty_database_only_unless_forced() {
    let (source, target) = (empty().await, empty().await);
    assert_eq!(code(&run(&source, &["up"])), 0);
    sql(
        &source,
        "INSERT INTO users (email, password_hash) VALUES ('ana@example.com', '!')",
    )
    .await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("samplit.dump");
    let file = file.to_str().unwrap();

    let backup = run(&source, &["backup", file, "--output", "json"]);
    assert_eq!(code(&backup), 0, "{}", stderr(&backup));
    assert_eq!(json(&backup)["version"], samplit_sql::expected_version());
    assert_eq!(code(&run(&source, &["backup", file])), 1, "the file exists");
    assert_eq!(code(&run(&source, &["backup", file, "--force"])), 0);
    assert!(!Path::new(&format!("{file}.partial")).exists());

    let restore = run(&target, &["restore", file]);
    assert_eq!(code(&restore), 0, "{}", stderr(&restore));
    assert!(
        stdout(&restore).contains("next: `samplit-server doctor`"),
        "{}",
        stdout(&restore)
    );
    let verified = run(&target, &["verify"]);
    assert_eq!(code(&verified), 0, "{}", stdout(&verified));
    sql(&target, "DELETE FROM users").await;
    let refused = run(&target, &["restore", file]);
    assert_eq!(code(&refused), 1);
    assert!(stderr(&refused).contains("--force"));
    let forced = run(&target, &["restore", file, "--force"]);
    assert_eq!(code(&forced), 0, "{}", stderr(&forced));
    sql(
        &target,
        "DO $$ BEGIN ASSERT (SELECT count(*) = 1 FROM users); END $$",
    )
    .await;
    let verified = run(&target, &["verify"]);
    assert_eq!(code(&verified), 0, "{}", stdout(&verified));

    assert_eq!(code(&run(&target, &["restore", "/no/such/file"])), 1);
    let output = command(&["backup", &format!("{file}.2")])
        .env("SAMPLIT_DATABASE_URL", source.url())
        .env("PATH", dir.path())
        .output()
        .unwrap();
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("pg_dump is not installed"));
}

#[tokio::test]
async fn a_backup_of_a_newer_schema_is_refused_before_anything_is_touched() {
    let (source, target) = (empty().await, empty().await);
    assert_eq!(code(&run(&source, &["up"])), 0);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("samplit.dump");
    let file = file.to_str().unwrap();
    let history = "INSERT INTO refinery_schema_history (version, name, applied_on, checksum) \
                   VALUES (9999, 'later', '2030-01-01T00:00:00Z', '1')";
    sql(&source, history).await;
    assert_eq!(code(&run(&source, &["backup", file])), 0);
    let refused = run(&target, &["restore", file, "--force"]);
    assert_eq!(code(&refused), 1);
    let told = stderr(&refused);
    assert!(
        told.contains("9999") && told.contains("newer samplit-migrate"),
        "{told}"
    );
    sql(
        &target,
        "DO $$ BEGIN ASSERT (SELECT count(*) = 0 FROM pg_tables WHERE schemaname = 'public'); END $$",
    )
    .await;
}

#[tokio::test]
async fn what_is_left_to_do_after_a_restore_is_said() {
    let (older, seed) = (empty().await, empty().await);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("samplit.dump");
    let file = file.to_str().unwrap();
    assert_eq!(code(&run(&older, &["up"])), 0);
    let last = "DELETE FROM refinery_schema_history WHERE version = \
                (SELECT max(version) FROM refinery_schema_history)";
    sql(&older, last).await;
    sql(&seed, "CREATE TABLE users (id INT)").await;
    for (source, expected) in [
        (&older, "samplit-migrate up"),
        (&seed, "samplit-migrate baseline"),
    ] {
        let target = empty().await;
        assert_eq!(code(&run(source, &["backup", file, "--force"])), 0);
        let restored = json(&run(&target, &["restore", file, "--output", "json"]));
        let next = restored["next"][0].as_str().unwrap();
        assert!(next.contains(expected), "{restored}");
    }
}

#[tokio::test]
async fn a_restored_schema_that_differs_is_exit_code_3() {
    let (source, target) = (empty().await, empty().await);
    assert_eq!(code(&run(&source, &["up"])), 0);
    sql(&source, "DROP INDEX idx_leads_status").await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("samplit.dump");
    let file = file.to_str().unwrap();
    assert_eq!(code(&run(&source, &["backup", file])), 0);
    let restored = run(&target, &["restore", file]);
    assert_eq!(code(&restored), 3);
    assert!(
        stderr(&restored).contains("idx_leads_status"),
        "{}",
        stderr(&restored)
    );
}
