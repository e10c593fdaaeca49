//! Requests that are sent again: what was made is not made twice, and the answer is the one that was given.
//!
//! The answer is written in the transaction that makes the thing, so that there are both or neither, whatever
//! breaks. While that transaction is open, the key is held by a lock which ends with it: there is no state
//! "begun" to clean up behind a server that died. An answer that shows a secret is sealed.

use std::fmt;

use futures_util::future::BoxFuture;
use ring::digest::{Context, SHA256};
use samplit_audit::{Hash, Place};
use samplit_domain::{UserId, Violations};
use samplit_store::Session;
use samplit_store::idempotency::{self, AnswerRow};
use serde_json::json;

use crate::{Engine, Error, ErrorKind, Principal};

/// How long an answer is kept.
const KEPT: time::Duration = time::Duration::DAY;

/// The longest key, in characters.
const MAX_KEY: usize = 255;

/// A name that the caller gives to one request, and what the request says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    key: String,
    request_hash: String,
}

impl IdempotencyKey {
    /// `key` as the name of a request that is told from others by `method`, `path` and `body`.
    ///
    /// # Errors
    /// The key is not 1 to 255 characters of visible ASCII.
    pub fn new(key: &str, method: &str, path: &str, body: &[u8]) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        let is_visible = key.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_visible || !(1..=MAX_KEY).contains(&key.len()) {
            let rule = "must be 1 to 255 visible ASCII characters";
            violations.add("Idempotency-Key", "malformed", rule);
        }
        let request = [method.as_bytes(), b"\n", path.as_bytes(), b"\n", body].concat();
        violations.into_result(Self {
            key: key.to_owned(),
            request_hash: Hash::of(&request).to_string(),
        })
    }

    /// The number of the lock that stands for this key of `owner`.
    fn lock(&self, owner: UserId) -> i64 {
        let mut context = Context::new(&SHA256);
        context.update(b"samplit/idempotency/v1\n");
        context.update(owner.0.as_bytes());
        context.update(self.key.as_bytes());
        let digest = context.finish();
        let first = digest.as_ref().first_chunk::<8>();
        i64::from_be_bytes(*first.expect("SHA-256 gives 32 bytes"))
    }
}

/// An answer, as far as it has to be the same again.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Names and values of its headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The body may show a secret.
        f.debug_struct("Answer")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// Something is to be made once.
pub struct Once<'a, T> {
    /// The name of the request.
    pub key: &'a IdempotencyKey,
    /// How the request is answered when the thing is made.
    pub answer: &'a (dyn Fn(&T) -> Answer + Send + Sync),
    /// Whether the answer shows a secret, which must not be readable in the database.
    pub is_secret: bool,
}

impl<T> fmt::Debug for Once<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once")
            .field("key", self.key)
            .finish_non_exhaustive()
    }
}

/// What came of making something once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Made<T> {
    /// It was made.
    New(T),
    /// It had been made before, and this was the answer.
    Before(Answer),
}

impl<T> Made<T> {
    /// What was made where there was no key, so that it cannot have been made before.
    pub(crate) fn only_new(self) -> Result<T, Error> {
        match self {
            Self::New(made) => Ok(made),
            Self::Before(_) => Err(Error::internal("an answer to a request without a key")),
        }
    }
}

impl Engine {
    /// Makes something in one transaction, called `name` in metrics: `work` does it, unless `once` says
    /// that it was done before. The process itself, which has no account, has no keys.
    ///
    /// # Errors
    /// What `work` returns, [`ErrorKind::Conflict`] `idempotency_key_in_use` while the same request is under
    /// way, [`ErrorKind::IdempotencyKeyReused`] for another one under the key, `no_secret` where a secret
    /// would have to be sealed and the server has no secret of its own.
    pub(crate) async fn make_once<'env, T, F>(
        &'env self,
        who: &'env Principal,
        name: &'static str,
        once: Option<&'env Once<'env, T>>,
        work: &'env F,
    ) -> Result<Made<T>, Error>
    where
        T: Send + Sync,
        F: for<'s> Fn(&'s Session<'env>) -> BoxFuture<'s, Result<T, Error>> + Send + Sync,
    {
        let once = once.zip(who.user_id);
        let made = self.core.database.run_tx(name, move |session| {
            Box::pin(async move {
                if let Some((once, owner)) = once
                    && let Some(before) = self.answered(session, owner, once).await?
                {
                    return Ok(Made::Before(before));
                }
                let made = work(session).await?;
                if let Some((once, owner)) = once {
                    self.keep_answer(session, owner, once, &made).await?;
                }
                Ok(Made::New(made))
            })
        });
        made.await
    }

    /// The answer that was given before; takes hold of the key where there is none.
    async fn answered<T>(
        &self,
        session: &Session<'_>,
        owner: UserId,
        once: &Once<'_, T>,
    ) -> Result<Option<Answer>, Error> {
        let key = once.key;
        if !idempotency::try_lock(session, key.lock(owner)).await? {
            let detail = "a request with this key is under way; send it again in a moment";
            return Err(Error::conflict("idempotency_key_in_use", detail));
        }
        let since = self.core.config.clock.now() - KEPT;
        let Some(row) = idempotency::find(session, owner, &key.key, since).await? else {
            return Ok(None);
        };
        if row.request_hash != key.request_hash {
            return Err(ErrorKind::IdempotencyKeyReused.into());
        }
        let body = if row.is_sealed {
            let place = row_of(owner, key);
            let opened = self.secret()?.open(body_at(&place), &row.body);
            opened.map_err(Error::internal)?
        } else {
            row.body
        };
        Ok(Some(Answer {
            status: u16::try_from(row.status).map_err(Error::internal)?,
            headers: serde_json::from_value(row.headers).map_err(Error::internal)?,
            body,
        }))
    }

    async fn keep_answer<T: Sync>(
        &self,
        session: &Session<'_>,
        owner: UserId,
        once: &Once<'_, T>,
        made: &T,
    ) -> Result<(), Error> {
        let (key, answer) = (once.key, (once.answer)(made));
        let body = if once.is_secret {
            let place = row_of(owner, key);
            let sealed = self.secret()?.seal(body_at(&place), &answer.body);
            sealed.map_err(Error::internal)?
        } else {
            answer.body
        };
        let row = AnswerRow {
            request_hash: key.request_hash.clone(),
            status: i16::try_from(answer.status).map_err(Error::internal)?,
            headers: json!(answer.headers),
            body,
            is_sealed: once.is_secret,
        };
        let now = self.core.config.clock.now();
        Ok(idempotency::insert(session, owner, &key.key, &row, now, now - KEPT).await?)
    }

    /// Keeps another answer to a request than the one that stood to be expected when the thing was made. If
    /// that fails, a repeat is told what was expected.
    pub(crate) async fn answer_otherwise<T: Sync>(
        &self,
        who: &Principal,
        once: Option<&Once<'_, T>>,
        made: &T,
    ) {
        let Some((once, owner)) = once.zip(who.user_id) else {
            return;
        };
        let kept = self.core.database.run_tx("answer_otherwise", |session| {
            Box::pin(async move { self.keep_answer(session, owner, once, made).await })
        });
        if let Err(error) = kept.await {
            tracing::warn!(error = ?error, "the answer to a repeat could not be changed");
        }
    }
}

fn row_of(owner: UserId, key: &IdempotencyKey) -> String {
    format!("{owner}/{}", key.key)
}

const fn body_at(row: &str) -> Place<'_> {
    Place {
        table: "idempotency_keys",
        row,
        column: "body",
    }
}

#[cfg(test)]
mod tests {
    use samplit_audit::KeyRing;
    use samplit_devpg::DevPg;
    use samplit_domain::UserId;
    use samplit_store::{Database, Settings};
    use tokio_postgres::NoTls;
    use uuid::Uuid;

    use super::{Answer, IdempotencyKey, Made, Once};
    use crate::{Engine, EngineConfig, Error, ErrorKind, Principal, Role, Scope, Secret};

    const OWNER: UserId = UserId(Uuid::from_u128(1));

    /// Makes a token that is never shown again, under a key.
    async fn make(engine: &Engine, key: &str, token: &str) -> Result<Made<String>, Error> {
        let who = Principal {
            user_id: Some(OWNER),
            role: Role::Client,
            scopes: vec![Scope::Manage],
            key: None,
        };
        let key = IdempotencyKey::new(key, "POST", "/v1/keys", b"{}").unwrap();
        let answer = |token: &String| Answer {
            status: 201,
            headers: vec![("location".to_owned(), "/v1/keys/1".to_owned())],
            body: token.clone(),
        };
        let once = Once {
            key: &key,
            answer: &answer,
            is_secret: true,
        };
        engine
            .make_once(&who, "make", Some(&once), &|_session| {
                let token = token.to_owned();
                Box::pin(async move { Ok(token) })
            })
            .await
    }

    #[tokio::test]
    async fn an_answer_that_shows_a_secret_is_sealed_or_not_given() {
        let database = DevPg::shared().await;
        let database = database.create_from_template("template1").await.unwrap();
        let (mut client, connection) = tokio_postgres::connect(database.url(), NoTls)
            .await
            .unwrap();
        tokio::spawn(connection);
        samplit_sql::up(&mut client, &samplit_sql::Options::default())
            .await
            .unwrap();
        let user = "INSERT INTO users (id, email, password_hash) VALUES ($1, 'a@example.org', '!')";
        client.execute(user, &[&OWNER.0]).await.unwrap();
        let engine = async |secret| {
            let keys = KeyRing::new(&[[7; 32]]).unwrap();
            let config = EngineConfig {
                secret,
                ..EngineConfig::new(keys)
            };
            let pool = Database::connect(Settings::new(database.url())).await;
            Engine::open(pool.unwrap(), config).await.unwrap()
        };

        let refused = make(&engine(None).await, "k", "sk_1").await.unwrap_err();
        let is_named = matches!(
            refused.kind(),
            ErrorKind::Conflict {
                code: "no_secret",
                ..
            }
        );
        assert!(is_named, "{refused:?}");
        let engine = engine(Some(Secret::new(&[[9; 32]]).unwrap())).await;
        let made = make(&engine, "k", "sk_2").await.unwrap();
        assert_eq!(
            made,
            Made::New("sk_2".to_owned()),
            "nothing was left of the first"
        );
        let stored = "SELECT body, is_sealed FROM idempotency_keys";
        let row = client.query_one(stored, &[]).await.unwrap();
        assert!(row.get::<_, bool>(1));
        assert!(!row.get::<_, &str>(0).contains("sk_2"));
        let Made::Before(answer) = make(&engine, "k", "sk_3").await.unwrap() else {
            panic!("made twice");
        };
        assert_eq!((answer.status, answer.body.as_str()), (201, "sk_2"));
        assert!(!format!("{answer:?}").contains("sk_2"));

        // Sealed for this key: under another one it opens nothing.
        let moved = "UPDATE idempotency_keys SET key = 'other'";
        client.execute(moved, &[]).await.unwrap();
        let refused = make(&engine, "other", "sk_4").await.unwrap_err();
        assert_eq!(refused.kind(), &ErrorKind::Internal);
        let made = make(&engine, "k", "sk_5").await.unwrap();
        assert_eq!(made, Made::New("sk_5".to_owned()));
    }

    #[test]
    fn a_key_is_short_and_visible_and_a_request_is_told_by_all_it_says() {
        let of = |key: &str| IdempotencyKey::new(key, "POST", "/v1/experiments", b"{}");
        for good in ["a", "6f1c-9", "\"quoted\"", &"k".repeat(255)] {
            assert!(of(good).is_ok(), "{good}");
        }
        for bad in ["", " ", "a b", "a\n", "é", &"k".repeat(256)] {
            let refused = of(bad).unwrap_err();
            assert_eq!(refused.0[0].pointer, "Idempotency-Key", "{bad}");
        }
        let one = of("a").unwrap();
        for (method, path, body) in [
            ("PUT", "/v1/experiments", "{}"),
            ("POST", "/v1/exclusions", "{}"),
            ("POST", "/v1/experiments", "{ }"),
        ] {
            let other = IdempotencyKey::new("a", method, path, body.as_bytes()).unwrap();
            assert_ne!(
                one.request_hash, other.request_hash,
                "{method} {path} {body}"
            );
        }
    }
}
