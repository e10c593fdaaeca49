//! Links for the operator: to set the server up, and to come in when locked out.

use std::net::SocketAddr;

use anyhow::Context as _;
use clap::Args;
use samplit_engine::{Engine, EngineConfig, ErrorKind, Link, LinkKind, Origin, Principal};
use serde::Serialize;
use time::OffsetDateTime;

use crate::output::{self, Output};
use crate::settings::{DatabaseSettings, ServerSettings};
use crate::{admin, database};

#[derive(Debug, Args)]
pub(crate) struct LinkArgs {
    /// How people reach the server.
    #[arg(
        long,
        env = "SAMPLIT_PUBLIC_URL",
        default_value = "http://127.0.0.1:8080"
    )]
    public_url: Origin,

    /// How to print it.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,

    #[command(flatten)]
    database: DatabaseSettings,
}

#[derive(Debug, Args)]
pub(crate) struct SignInArgs {
    /// The email of the account.
    #[arg(long)]
    email: String,

    #[command(flatten)]
    link: LinkArgs,
}

/// What is printed of a link.
#[derive(Serialize)]
struct Made {
    url: String,
    kind: LinkKind,
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
}

/// Makes the first admin, once.
pub(crate) async fn set_up(args: LinkArgs) -> anyhow::Result<()> {
    let engine = args.open().await?;
    let link = engine.setup_link(&Principal::system()).await;
    engine.shutdown().await;
    args.print(&link?)
}

/// Lets somebody in who has lost the password.
pub(crate) async fn sign_in(args: SignInArgs) -> anyhow::Result<()> {
    let engine = args.link.open().await?;
    let system = Principal::system();
    let link = engine.sign_in_link(&system, &args.email).await;
    engine.shutdown().await;
    let link = link.with_context(|| format!("the account {}", args.email))?;
    args.link.print(&link)
}

impl LinkArgs {
    async fn open(&self) -> anyhow::Result<Engine> {
        let database = database::connect(self.database.to_store()?).await?;
        // Links are hashed, not sealed.
        let config = EngineConfig::new(admin::throwaway_ring()?);
        Ok(Engine::open(database, config).await?)
    }

    fn print(&self, link: &Link) -> anyhow::Result<()> {
        let made = Made {
            url: url_of(self.public_url.as_str(), link),
            kind: link.kind,
            expires_at: link.expires_at,
        };
        output::print(self.output, &made, |made| {
            format!("{}\ngood once, until {}", made.url, made.expires_at)
        })
    }
}

/// The address of a link on the server at `base`.
pub(crate) fn url_of(base: &str, link: &Link) -> String {
    format!("{base}{}", link.path.as_deref().unwrap_or_default())
}

/// Logs a link that makes the first admin, if there is none with a password. A server that cannot make
/// one still serves.
pub(crate) async fn tell_set_up(engine: &Engine, settings: &ServerSettings, address: SocketAddr) {
    let base = match &settings.http.public_url {
        Some(url) => url.to_string(),
        None => format!("http://{address}"),
    };
    match engine.setup_link(&Principal::system()).await {
        Ok(link) => {
            let url = url_of(&base, &link);
            tracing::warn!(%url, "nobody can sign in yet; open this link, it works once, for 1 hour");
        }
        Err(error) if matches!(error.kind(), ErrorKind::Conflict { .. }) => {}
        Err(error) => tracing::warn!(error = ?error, "no link to set the server up could be made"),
    }
}
