//! Webhooks out: what is said, to whom, how often, and what becomes of it.

mod checkpoints;
mod delivering;
mod fairness;
mod findings;
mod outbox;
mod secrets;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use samplit_engine::{
    Engine, EngineConfig, Experiment, ManualClock, NewApiKey, NewWebhook, Page, Principal, Role,
    Scope, Secret, Transition, WebhookAnswer, WebhookDelivery, WebhookEvent, WebhookFailure,
    WebhookId, WebhookRequest, WebhookSender, WebhookWithSecret, from_micros,
};
use samplit_tests::{config, draft};
use serde_json::Value as Json;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What a receiver does with a message.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Status(u16),
    /// A status and when to try again.
    Later(u16, &'static str),
    /// A status, once it is let go.
    Held(u16, Arc<Notify>),
    Away,
    Silent,
    Panic,
}

/// Stands for every receiver there is: tells what it was sent, and answers as it is told. One whose address
/// is of `silent` never answers.
#[derive(Debug)]
pub(crate) struct Receiver {
    sent: UnboundedSender<WebhookRequest>,
    replies: Mutex<VecDeque<Reply>>,
    usual: Mutex<Reply>,
}

impl Receiver {
    pub(crate) fn new(usual: Reply) -> (Arc<Self>, UnboundedReceiver<WebhookRequest>) {
        let (sent, arrived) = unbounded_channel();
        let receiver = Self {
            sent,
            replies: Mutex::default(),
            usual: Mutex::new(usual),
        };
        (Arc::new(receiver), arrived)
    }

    /// From now on.
    pub(crate) fn will(&self, usual: Reply) {
        *self.usual.lock() = usual;
    }

    /// To what comes next.
    pub(crate) fn next(&self, replies: impl IntoIterator<Item = Reply>) {
        self.replies.lock().extend(replies);
    }
}

impl WebhookSender for Receiver {
    fn send<'a>(
        &'a self,
        request: &'a WebhookRequest,
    ) -> BoxFuture<'a, Result<WebhookAnswer, WebhookFailure>> {
        let reply = if request.url.contains("silent") {
            Some(Reply::Silent)
        } else {
            self.replies.lock().pop_front()
        };
        let reply = reply.unwrap_or_else(|| self.usual.lock().clone());
        // Whoever listened may be gone.
        let _ = self.sent.send(request.clone());
        Box::pin(async move {
            match reply {
                Reply::Status(status) => Ok(WebhookAnswer {
                    status,
                    body: format!("answer {status}\0"),
                    ..WebhookAnswer::default()
                }),
                Reply::Later(status, when) => Ok(WebhookAnswer {
                    status,
                    retry_after: Some(when.to_owned()),
                    ..WebhookAnswer::default()
                }),
                Reply::Held(status, go) => {
                    go.notified().await;
                    Ok(WebhookAnswer {
                        status,
                        ..WebhookAnswer::default()
                    })
                }
                Reply::Away => Err(WebhookFailure::Unreachable("nobody there".to_owned())),
                Reply::Silent => std::future::pending().await,
                Reply::Panic => panic!("a sender that panics, on purpose"),
            }
        })
    }
}

/// A clock that stands still.
pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(from_micros(1_767_323_045_000_000)))
}

/// A configuration that delivers.
pub(crate) fn delivering(
    seed: u64,
    clock: &Arc<ManualClock>,
    receiver: &Arc<Receiver>,
) -> EngineConfig {
    EngineConfig {
        clock: Arc::clone(clock) as _,
        secret: Some(Secret::new(&[[9; 32]]).unwrap()),
        webhook_sender: Some(Arc::clone(receiver) as _),
        webhook_every: Duration::from_millis(10),
        complete_every: Duration::from_millis(20),
        ..config(seed)
    }
}

/// Somebody who may do everything of an account of their own.
pub(crate) async fn owner(engine: &Engine, name: &str) -> Principal {
    let new = NewApiKey {
        email: format!("{name}@example.org"),
        role: Role::Client,
        name: "test".to_owned(),
        scopes: Scope::ALL.to_vec(),
        expires_at: None,
    };
    let key = engine.create_api_key(new).await.unwrap();
    engine.authenticate(&key.token).await.unwrap()
}

/// An endpoint that hears of `events`; of all, where there is none.
pub(crate) async fn listen(
    engine: &Engine,
    who: &Principal,
    events: &[WebhookEvent],
) -> WebhookWithSecret {
    listen_at(engine, who, "https://hooks.example.org/t0ken", events).await
}

/// The same at an address of one's choice.
pub(crate) async fn listen_at(
    engine: &Engine,
    who: &Principal,
    url: &str,
    events: &[WebhookEvent],
) -> WebhookWithSecret {
    let new = NewWebhook {
        url: url.to_owned(),
        description: "the team".to_owned(),
        events: events.to_vec(),
        is_enabled: true,
    };
    engine.create_webhook(who, new).await.unwrap()
}

/// A new experiment of an account.
pub(crate) async fn made(engine: &Engine, who: &Principal) -> Experiment {
    engine.create_experiment(who, draft(&[2])).await.unwrap()
}

pub(crate) async fn step(engine: &Engine, who: &Principal, of: &Experiment, step: Transition) {
    let done = engine.transition(who, of.id, step, Default::default(), None);
    done.await.unwrap();
}

/// The deliveries to an endpoint, newest first.
pub(crate) async fn deliveries(
    engine: &Engine,
    who: &Principal,
    id: WebhookId,
) -> Vec<WebhookDelivery> {
    let page = Page {
        cursor: None,
        limit: 100,
    };
    let found = engine.webhook_deliveries(who, id, None, &page).await;
    found.unwrap().data
}

pub(crate) fn body(request: &WebhookRequest) -> Json {
    serde_json::from_str(&request.body).unwrap()
}
