//! `demo`: everything at once, on a private PostgreSQL, with visitors that are made up.

mod status;
mod traffic;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use samplit_engine::{
    ElementDraft, Engine, EngineConfig, ExperimentDraft, ExperimentId, NewApiKey, Principal, Role,
    Scope, Transition, VariantDraft,
};
use samplit_http::{HttpConfig, Listeners};
use samplit_store::{Database, Settings};
use serde_json::json;
use tokio::net::TcpListener;

use crate::private_cluster::PrivateCluster;
use crate::{admin, links, output, signals};

/// The address when none is asked for and it is free.
const USUAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// The arms with the rates at which their visitors convert, which the engine is not told.
const ARMS: [(&str, f64); 3] = [
    ("Start now", 0.050),
    ("Try it free", 0.075),
    ("See it at work", 0.110),
];

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Where to listen. Default: 127.0.0.1:8080, or a free port if that is taken.
    #[arg(long, env = "SAMPLIT_LISTEN")]
    listen: Option<SocketAddr>,

    /// New visitors per second.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    rate: u32,

    /// Makes the visitors repeatable.
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Stop by itself after this many seconds.
    #[arg(long)]
    for_seconds: Option<u64>,
}

pub(crate) async fn run(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let mut signal = pin!(signals::shutdown()?);
    output::tell(
        "starting a private PostgreSQL (it forgets everything in the end, so it does not wait for \
         the disk)",
    );
    tokio::select! {
        // Whatever there is by then goes with the future that holds it.
        () = &mut signal => {}
        demo = Demo::start(args) => demo?.run(args, signal).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Everything that runs.
struct Demo {
    // Dropped in this order: the database last.
    engine: Engine,
    listener: TcpListener,
    experiment: ExperimentId,
    _cluster: PrivateCluster,
}

impl Demo {
    async fn start(args: &DemoArgs) -> anyhow::Result<Self> {
        let cluster = PrivateCluster::start().await?;
        let database = Database::connect(Settings::new(cluster.url())).await?;
        let signer = admin::new_signer("demo")?;
        let verifier = signer.verifying_key().to_string();
        let config = EngineConfig {
            origin: "demo".to_owned(),
            signers: [signer].into(),
            checkpoint_every: Duration::from_secs(10),
            secret: Some(admin::throwaway_secret()?),
            ..EngineConfig::new(admin::throwaway_ring()?)
        };
        let engine = Engine::start(database, config).await?;
        let experiment = start_experiment(&engine).await?;
        let key = engine
            .create_api_key(NewApiKey {
                email: "demo@localhost".to_owned(),
                role: Role::Admin,
                name: "demo".to_owned(),
                scopes: Scope::ALL.to_vec(),
                expires_at: None,
            })
            .await?;
        let listener = listen(args.listen).await?;
        let address = listener.local_addr()?;
        let system = Principal::system();
        let sign_in = engine.sign_in_link(&system, "demo@localhost").await?;
        let dashboard = links::url_of(&format!("http://{address}"), &sign_in);
        let text = welcome(address, experiment, &key.token, &verifier, &dashboard);
        output::line(&text)?;
        Ok(Self {
            engine,
            listener,
            experiment,
            _cluster: cluster,
        })
    }

    /// Serves visitors and watchers until the time is over or `signal` resolves.
    async fn run(
        self,
        args: &DemoArgs,
        signal: impl Future<Output = ()> + Send,
    ) -> anyhow::Result<()> {
        let listeners = Listeners {
            public: self.listener,
            ops: None,
        };
        let engine = &self.engine;
        let visitors = traffic::run(engine, self.experiment, args.rate, args.seed);
        let watching = status::run(engine, self.experiment);
        let over = async {
            tokio::select! {
                () = signal => {}
                () = lasts(args.for_seconds) => {}
            }
        };
        let outcome = tokio::select! {
            _ = samplit_http::serve(listeners, engine.clone(), HttpConfig::default(), over) => Ok(()),
            outcome = visitors => outcome,
            outcome = watching => outcome,
        };
        engine.shutdown().await;
        engine.database().close();
        outcome
    }
}

async fn lasts(seconds: Option<u64>) {
    match seconds {
        Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
        None => std::future::pending().await,
    }
}

async fn listen(wanted: Option<SocketAddr>) -> anyhow::Result<TcpListener> {
    let address = wanted.unwrap_or(USUAL);
    let listener = match TcpListener::bind(address).await {
        Err(error) if wanted.is_none() && error.kind() == ErrorKind::AddrInUse => {
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await
        }
        outcome => outcome,
    };
    listener.with_context(|| format!("cannot listen on {address}"))
}

async fn start_experiment(engine: &Engine) -> anyhow::Result<ExperimentId> {
    let variants = ARMS.iter().enumerate().map(|(position, (text, _))| {
        let content = json!({ "text": text });
        VariantDraft {
            is_control: position == 0,
            ..VariantDraft::new(*text, content)
        }
    });
    let button = ElementDraft::new("button", variants.collect());
    let draft = ExperimentDraft {
        description: Some("Made up: visitors and clicks come from a random source.".to_owned()),
        ..ExperimentDraft::new("Which words on the button?", vec![button])
    };
    let system = Principal::system();
    let id = engine.create_experiment(&system, draft).await?.id;
    let started = engine.transition(&system, id, Transition::Start, Default::default(), None);
    Ok(started.await?.id)
}

fn welcome(
    address: SocketAddr,
    id: ExperimentId,
    key: &str,
    verifier: &str,
    dashboard: &str,
) -> String {
    let base = format!("http://{address}");
    let api = format!("curl -s -H 'Authorization: Bearer {key}' '{base}/v1/experiments/{id}");
    let json = "-H 'Content-Type: application/json'";
    format!(
        "\nWatch it:  {base}/live/{id}#key={key}\n\
         Dashboard: {dashboard} (once, for 15 minutes)\n\
         API key:   {key}\n\n\
         Try it, in another terminal:\n\
         \x20 {api}/assign' {json} -d '{{\"visitor_id\": \"you\"}}'\n\
         \x20 {api}/convert' {json} -d '{{\"visitor_id\": \"you\"}}'\n\
         \x20 {api}/results'\n\
         \x20 {api}/audit/entries?limit=3'\n\
         \x20 {api}/audit/verify'\n\n\
         Every decision is in a trail signed every 10 s by a key made for this demo:\n\
         \x20 {api}/audit/checkpoint'\n\
         \x20 {api}/audit/bundle' > bundle.ndjson\n\
         \x20 samplit-server audit verify bundle.ndjson --key '{verifier}'\n\n\
         Ctrl-C stops it and leaves nothing behind.\n"
    )
}
