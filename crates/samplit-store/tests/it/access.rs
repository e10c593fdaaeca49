//! Accounts and keys.

use samplit_domain::{ApiKeyId, UserId};
use samplit_store::access::{self, NewApiKey};
use samplit_store::{Database, Error};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{client, migrated, one_connection};

async fn ensure(pool: &Database, id: u128, email: &str, role: &str) -> (UserId, String) {
    let ensured: Result<_, Error> = pool
        .run_tx("ensure", |session| {
            let id = UserId(Uuid::from_u128(id));
            Box::pin(access::ensure_user(session, id, email, role))
        })
        .await;
    ensured.unwrap()
}

#[tokio::test]
async fn an_email_is_one_account_whatever_its_case() {
    let database = migrated().await;
    let pool = Database::connect(one_connection(database.url()))
        .await
        .unwrap();
    let account = |id, role: &str| (UserId(Uuid::from_u128(id)), role.to_owned());
    assert_eq!(
        ensure(&pool, 1, "You@Example.org", "client").await,
        account(1, "client")
    );
    assert_eq!(
        ensure(&pool, 2, "yOU@example.org", "admin").await,
        account(1, "client")
    );
    let client = client(database.url()).await;
    let emails = "SELECT string_agg(email, ' ') FROM users";
    let emails: String = client.query_one(emails, &[]).await.unwrap().get(0);
    assert_eq!(emails, "you@example.org");

    // Made by others, who told them apart.
    let others = "INSERT INTO users (id, email, password_hash, role, created_at) VALUES \
        ('00000000-0000-0000-0000-000000000003', 'ME@example.org', '!', 'client', '2020-01-01'), \
        ('00000000-0000-0000-0000-000000000004', 'Me@example.org', '!', 'admin', '2021-01-01')";
    client.batch_execute(others).await.unwrap();
    assert_eq!(
        ensure(&pool, 5, "Me@example.org", "client").await,
        account(4, "admin")
    );
    assert_eq!(
        ensure(&pool, 6, "me@example.org", "client").await,
        account(3, "client")
    );
}

#[tokio::test]
async fn a_key_has_each_scope_once_and_may_never_expire() {
    let database = migrated().await;
    let pool = Database::connect(one_connection(database.url()))
        .await
        .unwrap();
    let (user_id, _) = ensure(&pool, 1, "you@example.org", "client").await;
    let key = NewApiKey {
        id: ApiKeyId(Uuid::from_u128(2)),
        user_id,
        name: "key".to_owned(),
        prefix: "sk_1234".to_owned(),
        hash: "0".repeat(64),
        scopes: ["read", "assign", "read"].map(str::to_owned).to_vec(),
        created_at: OffsetDateTime::UNIX_EPOCH,
        expires_at: None,
    };
    let inserted = pool.run(|session| Box::pin(access::insert_api_key(session, &key)));
    let inserted: Result<(), Error> = inserted.await;
    inserted.unwrap();
    let forever = "UPDATE api_keys SET expires_at = 'infinity'";
    client(database.url())
        .await
        .batch_execute(forever)
        .await
        .unwrap();
    let found = pool.run(|session| {
        let now = OffsetDateTime::UNIX_EPOCH;
        Box::pin(access::find_api_key(session, &key.hash, now))
    });
    let found: Result<_, Error> = found.await;
    let found = found.unwrap().unwrap();
    assert_eq!(found.scopes, ["read", "assign"]);
    assert_eq!(found.expires_at, None);
}
