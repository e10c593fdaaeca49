//! Failures to connect.

use samplit_devpg::DevPg;
use samplit_store::{BreakerState, Database, Error, Server, Settings};

use crate::one_connection;

#[tokio::test]
async fn a_connection_that_postgresql_refuses_counts_as_postgresql_away() {
    let pg = DevPg::shared().await;
    let settings = Settings {
        failure_threshold: 2,
        ..one_connection(&pg.url("no_such_database"))
    };
    let database = Database::lazy(settings).unwrap();
    for _ in 0..2 {
        assert_eq!(database.breaker_state(), BreakerState::Closed);
        let refused = database.acquire().await.unwrap_err();
        assert!(refused.is_unavailable(), "{refused:?}");
        assert_eq!(sqlstate(&refused).as_deref(), Some("3D000"));
    }
    assert_eq!(database.breaker_state(), BreakerState::Open);
}

#[tokio::test]
async fn a_connection_that_cannot_be_set_up_counts_as_postgresql_away() {
    let pg = DevPg::shared().await;
    let settings = Settings {
        // More milliseconds than a parameter of PostgreSQL can hold.
        lock_timeout: std::time::Duration::from_secs(1 << 32),
        ..one_connection(&pg.url("postgres"))
    };
    let database = Database::lazy(settings).unwrap();
    let refused = database.acquire().await.unwrap_err();
    assert!(refused.is_unavailable(), "{refused:?}");
    assert_eq!(sqlstate(&refused).as_deref(), Some("22023"));
    assert!(!refused.is_about_data());
}

#[tokio::test]
async fn connections_of_ones_own_fail_in_the_same_way() {
    let pg = DevPg::shared().await;
    let server = Server::parse(&pg.url("no_such_database")).unwrap();
    let refused = server.connect().await.unwrap_err();
    assert!(refused.is_unavailable(), "{refused:?}");
}

fn sqlstate(error: &Error) -> Option<String> {
    let source = std::error::Error::source(error)?;
    let source: &tokio_postgres::Error = source.downcast_ref()?;
    Some(source.code()?.code().to_owned())
}
