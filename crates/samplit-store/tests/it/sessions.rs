//! What a unit of work leaves behind on its connection.

use std::time::Duration;

use samplit_domain::ExperimentId;
use samplit_store::heads::{self, HeadRow};
use samplit_store::{Database, Error, Settings, assignments};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::{client, migrated, one_connection};

/// A head that stands for itself.
fn head(number: u128) -> HeadRow {
    HeadRow {
        experiment_id: ExperimentId(Uuid::from_u128(number)),
        incarnation: 1,
        size: 1,
        head_hash: "0".repeat(64),
        frontier: Vec::new(),
        last_us: 1,
        snapshot_seq: 1,
        snapshot_us: 1,
        config_version: 1,
        sealed_us: None,
        hold: None,
    }
}

/// Inserts `head` and an experiment for it.
async fn insert_head(client: &Client, head: &HeadRow) {
    let id = head.experiment_id.0;
    let experiment = "INSERT INTO experiments (id, name) VALUES ($1, 'test')";
    client.execute(experiment, &[&id]).await.unwrap();
    let row = "INSERT INTO audit_heads (experiment_id, incarnation, size, head_hash, frontier, \
        last_us, snapshot_seq, snapshot_us, config_version) \
        VALUES ($1, 1, 1, $2, '', 1, 1, 1, 1)";
    client.execute(row, &[&id, &head.head_hash]).await.unwrap();
}

/// The backend of the pool that waits for a lock, as soon as there is one.
async fn waiting_backend(client: &Client) -> i32 {
    let sql = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() \
        AND application_name = 'samplit' AND wait_event_type = 'Lock'";
    let found = async {
        loop {
            if let Some(row) = client.query_opt(sql, &[]).await.unwrap() {
                return row.get(0);
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), found)
        .await
        .unwrap()
}

async fn backend(database: &Database) -> i32 {
    let connection = database.acquire().await.unwrap();
    let row = connection.query_one("SELECT pg_backend_pid()", &[]).await;
    row.unwrap().get(0)
}

#[tokio::test]
async fn a_connection_whose_work_was_cancelled_is_not_lent_again() {
    let database = migrated().await;
    let (url, head) = (database.url(), head(1));
    let mut holder = client(url).await;
    insert_head(&holder, &head).await;
    let held = holder.transaction().await.unwrap();
    held.execute("SELECT 1 FROM audit_heads FOR UPDATE", &[])
        .await
        .unwrap();
    let watcher = client(url).await;
    let pool = Database::connect(one_connection(url)).await.unwrap();

    for in_transaction in [false, true] {
        let ids = [head.experiment_id.0];
        let work = async {
            if in_transaction {
                pool.run_tx("test", |session| Box::pin(heads::lock(session, &ids)))
                    .await
            } else {
                pool.run(|session| Box::pin(heads::lock(session, &ids)))
                    .await
            }
        };
        let cancelled = tokio::select! {
            locked = work => panic!("{locked:?} under somebody else's lock"),
            pid = waiting_backend(&watcher) => pid,
        };
        assert_ne!(
            backend(&pool).await,
            cancelled,
            "in a transaction: {in_transaction}"
        );
        let terminate = "SELECT pg_terminate_backend($1, 30000)";
        watcher.execute(terminate, &[&cancelled]).await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_goes_back_when_its_work_has_returned() {
    let database = migrated().await;
    let pool = Database::connect(one_connection(database.url()))
        .await
        .unwrap();
    let first = backend(&pool).await;
    let new = head(2);
    for _ in 0..2 {
        let missing = pool
            .run(|session| Box::pin(heads::read(session, new.experiment_id)))
            .await;
        assert_eq!(missing.unwrap(), None);
        assert_eq!(backend(&pool).await, first);
        // There is no such experiment.
        let refused = pool.run(|session| Box::pin(heads::insert(session, &new)));
        assert!(refused.await.unwrap_err().is_about_data());
        assert_eq!(backend(&pool).await, first);
        let refused: Result<(), Error> = pool
            .run_tx("test", |session| Box::pin(heads::insert(session, &new)))
            .await;
        assert!(refused.unwrap_err().is_about_data());
        assert_eq!(backend(&pool).await, first);
    }
}

#[tokio::test]
async fn work_that_swallowed_a_failed_statement_is_not_committed() {
    let database = migrated().await;
    let pool = Database::connect(one_connection(database.url()))
        .await
        .unwrap();
    let new = head(3);
    let outcome: Result<(), Error> = pool
        .run_tx("test", |session| {
            Box::pin(async {
                // There is no such experiment.
                heads::insert(session, &new).await.unwrap_err();
                Ok(())
            })
        })
        .await;
    let error = outcome.unwrap_err();
    assert!(!error.is_commit_unknown(), "{error:?}");
    assert!(!error.is_unavailable(), "{error:?}");
    assert!(!error.is_retryable(), "{error:?}");
    let after = pool.run_tx("test", |session| {
        Box::pin(heads::read(session, new.experiment_id))
    });
    assert_eq!(after.await.unwrap(), None);
}

#[tokio::test]
async fn joined_statements_run_in_order_whichever_of_them_are_prepared() {
    let database = migrated().await;
    let client = client(database.url()).await;
    let new = head(4);
    let experiment = "INSERT INTO experiments (id, name) VALUES ($1, 'test')";
    client
        .execute(experiment, &[&new.experiment_id.0])
        .await
        .unwrap();
    let pool = Database::connect(one_connection(database.url()))
        .await
        .unwrap();
    let outcome = pool.run_tx("test", |session| {
        Box::pin(async {
            let before = heads::read(session, new.experiment_id).await?;
            assert_eq!(before, None);
            // The second one is prepared by now, the first and the third are not.
            let ((), read, found) = tokio::try_join!(
                biased;
                heads::insert(session, &new),
                heads::read(session, new.experiment_id),
                assignments::find(session, &[], &[]),
            )?;
            assert!(found.is_empty());
            Ok::<_, Error>(read)
        })
    });
    assert_eq!(outcome.await.unwrap(), Some(new.clone()));
}

#[tokio::test]
async fn the_first_of_joined_failures_is_told() {
    let database = migrated().await;
    let pool = Database::connect(one_connection(database.url()))
        .await
        .unwrap();
    let new = head(5);
    let outcome: Result<(), Error> = pool
        .run_tx("test", |session| {
            Box::pin(async {
                // There is no such experiment; the second fails because the transaction is aborted.
                tokio::try_join!(
                    biased;
                    heads::insert(session, &new),
                    heads::read(session, new.experiment_id),
                )?;
                Ok(())
            })
        })
        .await;
    let error = outcome.unwrap_err();
    assert!(error.is_about_data(), "{error:?}");
}

#[tokio::test]
async fn a_transaction_left_open_is_not_lent_again() {
    let database = migrated().await;
    let observer = client(database.url()).await;
    let pool = Database::connect(one_connection(database.url()))
        .await
        .unwrap();
    let transaction = "SELECT pg_current_xact_id_if_assigned()::text, pg_backend_pid()";
    let experiment = "INSERT INTO experiments (name) VALUES ('left behind')";
    for (left_behind, stays_open) in [
        ("BEGIN", true),
        (experiment, true),
        ("BEGIN; SELECT 1 / 0", false),
    ] {
        let connection = pool.acquire().await.unwrap();
        let pid: i32 = connection.query_one(transaction, &[]).await.unwrap().get(1);
        let _ = connection.batch_execute("BEGIN").await;
        let _ = connection.batch_execute(left_behind).await;
        drop(connection);

        let connection = pool.acquire().await.unwrap();
        let row = connection.query_one(transaction, &[]).await.unwrap();
        assert_eq!(row.get::<_, Option<String>>(0), None, "{left_behind}");
        assert_eq!(row.get::<_, i32>(1) == pid, stays_open, "{left_behind}");
        let state = "SELECT state FROM pg_stat_activity WHERE pid = $1";
        let pid: i32 = row.get(1);
        let state: String = observer.query_one(state, &[&pid]).await.unwrap().get(0);
        assert_eq!(state, "idle", "{left_behind}");
    }
    let count = "SELECT count(*) FROM experiments";
    let count: i64 = observer.query_one(count, &[]).await.unwrap().get(0);
    assert_eq!(count, 0, "rolled back");
}

#[tokio::test]
async fn work_that_hears_nothing_is_given_up_and_its_connection_is_closed() {
    let database = migrated().await;
    let settings = Settings {
        statement_timeout: Duration::from_millis(10),
        ..one_connection(database.url())
    };
    let pool = Database::connect(settings).await.unwrap();
    let first = backend(&pool).await;
    let silent: Result<(), Error> = pool.run(|_| Box::pin(std::future::pending())).await;
    assert!(silent.unwrap_err().is_unavailable());
    assert_ne!(backend(&pool).await, first);
}
