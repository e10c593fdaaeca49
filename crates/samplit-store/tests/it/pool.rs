//! How many connections are open, and the handle that a process shares.

use std::time::Duration;

use samplit_devpg::DevPg;
use samplit_store::{Database, Settings};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// A way to PostgreSQL on which it takes longer to connect than the pool looks after itself; gives
/// back its port.
async fn slow_way(to: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            tokio::spawn(async move {
                sleep(Duration::from_millis(100)).await;
                let mut to = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                let _ = copy_bidirectional(&mut from, &mut to).await;
            });
        }
    });
    port
}

#[tokio::test]
async fn the_pool_opens_its_minimum_grows_to_its_maximum_and_shrinks_when_idle() {
    let port = slow_way(DevPg::shared().await.port()).await;
    let database = Database::connect(Settings {
        min_connections: 2,
        max_connections: 4,
        max_idle: Duration::from_millis(100),
        acquire_timeout: Duration::from_millis(200),
        ..Settings::new(format!("postgresql://postgres@127.0.0.1:{port}/postgres"))
    })
    .await
    .unwrap();
    assert_eq!(database.connections(), 2);
    let mut lent = Vec::new();
    for _ in 0..4 {
        lent.push(database.acquire().await.unwrap());
    }
    assert_eq!(database.connections(), 4);
    assert!(
        database.acquire().await.unwrap_err().is_unavailable(),
        "there is no fifth"
    );
    drop(lent);
    let shrunk = async {
        // Whoever gives one back ends its transaction first; while they do, a ping would open another.
        while database.connections() > 2 || database.pool_status().in_use > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), shrunk)
        .await
        .unwrap();
    database.ping().await.unwrap();
    assert_eq!(database.connections(), 2, "and not below the minimum");
}

#[tokio::test]
async fn a_process_shares_the_first_database_that_it_is_given() {
    let pg = DevPg::shared().await;
    let lazy = || Database::lazy(Settings::new(pg.url("postgres"))).unwrap();
    assert!(Database::shared().is_none());
    lazy().share().unwrap();
    Database::shared().unwrap().ping().await.unwrap();
    assert!(lazy().share().is_err(), "the first one stays");
}
