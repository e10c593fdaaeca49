//! The settings of an engine.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use samplit_audit::{KeyRing, Signer};
use samplit_domain::Clock;

use crate::accounts::Mailing;
use crate::checkpoints::CheckpointSink;
use crate::plans::StripeSecret;
use crate::secret::Secret;
use crate::shops::ShopifyApp;
use crate::source::{Entropy, SystemClock, SystemEntropy};
use crate::webhooks::WebhookSender;

/// The settings of an [`Engine`](crate::Engine).
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Seals keys and posteriors at rest: the first key seals, every key opens.
    pub keys: Arc<KeyRing>,
    /// Whose trails these are, like `samplit.example`; stands in every genesis entry.
    pub origin: String,
    /// Requests that may wait per experiment; more are refused at once.
    pub queue_capacity: usize,
    /// Requests that share a transaction at most.
    pub max_batch: usize,
    /// Transactions in flight at once: while one commits, the next is prepared.
    pub lanes: usize,
    /// Known visitors kept in memory, over all experiments.
    pub cache_capacity: u64,
    /// How often changed experiments are looked for where no notification arrived.
    pub refresh_every: Duration,
    /// How often the stopping rules of experiments are asked that complete by themselves, or whose
    /// winner an endpoint is to hear of.
    pub complete_every: Duration,
    /// The least time between two reallocations of one experiment; zero: before every batch.
    pub reallocate_every: Duration,
    /// How long a page and a form wait until their steps of funnels are written, which they are all the
    /// same. A page that does not wait for it is not told what to watch for.
    pub step_patience: Duration,
    /// How often an experiment is looked at while somebody watches its results; less often where a look
    /// takes longer than a tenth of that.
    pub watch_every: Duration,
    /// The keys that sign checkpoints, all of them every one; none: no checkpoints.
    pub signers: Arc<[Signer]>,
    /// How often trails that grew are signed, and experiments that are over are sealed.
    pub checkpoint_every: Duration,
    /// Where checkpoints are kept outside the database; what is there has to agree with it.
    pub checkpoint_directory: Option<PathBuf>,
    /// Where else checkpoints go.
    pub checkpoint_sinks: Vec<Arc<dyn CheckpointSink>>,
    /// How long a shutdown may take over the last checkpoints, once the writer is done: signing what
    /// grew, and handing it to the sinks.
    pub shutdown_timeout: Duration,
    /// Seals what platforms entrust to the server, and signs links and tokens; none: what needs it is
    /// refused as `no_secret`.
    pub secret: Option<Secret>,
    /// The app at Shopify that shops install; none: what needs it is refused as `no_shopify`.
    pub shopify: Option<ShopifyApp>,
    /// What Stripe signs with what it tells of subscriptions; none: it is not listened to.
    pub stripe_secret: Option<StripeSecret>,
    /// How often it is looked for accounts that come near to a limit of their plan.
    pub plans_every: Duration,
    /// Posts what endpoints are to hear; none, and without a secret: it waits for another engine.
    pub webhook_sender: Option<Arc<dyn WebhookSender>>,
    /// How often it is looked for what endpoints are to hear; what happens here is said at once.
    pub webhook_every: Duration,
    /// What mails links to people; none: whoever makes a link hands it on.
    pub mail: Option<Mailing>,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where keys and identifiers come from.
    pub entropy: Arc<dyn Entropy>,
}

impl EngineConfig {
    /// The defaults, sealing with `keys`.
    #[must_use]
    pub fn new(keys: KeyRing) -> Self {
        Self {
            keys: Arc::new(keys),
            origin: "samplit".to_owned(),
            queue_capacity: 16_384,
            max_batch: 1_024,
            lanes: 2,
            cache_capacity: 200_000,
            refresh_every: Duration::from_secs(5),
            complete_every: Duration::from_secs(60),
            reallocate_every: Duration::from_secs(1),
            step_patience: Duration::from_millis(200),
            watch_every: Duration::from_secs(1),
            signers: Arc::from([]),
            checkpoint_every: Duration::from_secs(30),
            checkpoint_directory: None,
            checkpoint_sinks: Vec::new(),
            shutdown_timeout: Duration::from_secs(10),
            secret: None,
            shopify: None,
            stripe_secret: None,
            plans_every: Duration::from_secs(60),
            webhook_sender: None,
            webhook_every: Duration::from_secs(2),
            mail: None,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy::default()),
        }
    }
}
