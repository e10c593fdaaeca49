//! `admin`: makes keys and links, and erases visitors.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use samplit_audit::Signer;
use samplit_engine::{
    Clock as _, Engine, EngineConfig, Entropy as _, KeyRing, NewApiKey, Principal, Role, Scope,
    Secret, SystemClock, SystemEntropy,
};
use serde::Serialize;
use time::OffsetDateTime;

use crate::audit::Source;
use crate::links::{LinkArgs, SignInArgs};
use crate::output::{self, Output};
use crate::settings::DatabaseSettings;
use crate::{database, links};

#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// Print a new key for `SAMPLIT_KEYS` or `--keys-file`, which seals secrets, or for
    /// `SAMPLIT_SECRET`, which signs links.
    GenerateKey,
    /// Make a new key for `SAMPLIT_SIGNING_KEYS` or `--signing-keys-file`, which signs checkpoints.
    Keygen(KeygenArgs),
    /// Make an API key, and the account it belongs to if there is none. The token is shown once.
    CreateKey(CreateKeyArgs),
    /// Make a link by which somebody becomes the first admin. Refused where an admin has a password.
    SetupLink(LinkArgs),
    /// Make a link that signs somebody in who has lost the password. Good once, for 15 minutes.
    SignInLink(SignInArgs),
    /// Remove a visitor's identifier and context everywhere. Trails keep the pseudonym, which nobody
    /// can link to the visitor without the keys.
    EraseVisitor(EraseArgs),
}

#[derive(Debug, Args)]
pub(crate) struct KeygenArgs {
    /// What stands before its signatures, like `experiments.example.org`; no white space, no plus
    /// sign.
    #[arg(long)]
    name: String,

    /// A new file for the secret key, readable by you only. Without it the secret key goes to standard
    /// output and the verifier key to standard error.
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct EraseArgs {
    /// The visitor, as in `visitor_id` of the API.
    visitor: String,

    #[command(flatten)]
    source: Source,
}

#[derive(Debug, Args)]
pub(crate) struct CreateKeyArgs {
    /// The email of the account.
    #[arg(long)]
    email: String,

    /// The role that a new account gets: `admin` sees everybody's experiments, `client` its own.
    #[arg(long, default_value = "client")]
    role: Role,

    /// What people call the key.
    #[arg(long)]
    name: String,

    /// What it may do: any of `manage`, `assign`, `read`.
    #[arg(long, value_delimiter = ',', required = true)]
    scopes: Vec<Scope>,

    /// For how long it is good; without this, for ever.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    expires_in_days: Option<u16>,

    /// How to print it.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,

    #[command(flatten)]
    database: DatabaseSettings,
}

/// What is printed of a new API key.
#[derive(Serialize)]
struct Created {
    id: String,
    user_id: String,
    email: String,
    name: String,
    scopes: Vec<&'static str>,
    #[serde(with = "time::serde::rfc3339::option")]
    expires_at: Option<OffsetDateTime>,
    token: String,
}

pub(crate) async fn run(command: AdminCommand) -> anyhow::Result<ExitCode> {
    match command {
        AdminCommand::GenerateKey => output::line(&STANDARD.encode(random_key()))?,
        AdminCommand::Keygen(args) => keygen(&args)?,
        AdminCommand::CreateKey(args) => create_key(args).await?,
        AdminCommand::SetupLink(args) => links::set_up(args).await?,
        AdminCommand::SignInLink(args) => links::sign_in(args).await?,
        AdminCommand::EraseVisitor(args) => erase_visitor(&args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn keygen(args: &KeygenArgs) -> anyhow::Result<()> {
    let signer = new_signer(&args.name)?;
    let public = signer.verifying_key();
    let Some(file) = &args.out else {
        output::line(&signer.expose())?;
        output::tell(&format!("verifier key, for auditors: {public}"));
        return Ok(());
    };
    let written = write_secret(file, &signer.expose());
    written.with_context(|| format!("cannot write {}", file.display()))?;
    output::line(&public.to_string())
}

/// A signing key that nobody else has.
pub(crate) fn new_signer(name: &str) -> anyhow::Result<Signer> {
    Signer::from_seed(name, &random_key()).with_context(|| format!("the name `{name}`"))
}

/// Writes a line to a new file that is never readable by others.
fn write_secret(file: &Path, line: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)?;
    writeln!(file, "{line}")?;
    file.sync_all()
}

async fn erase_visitor(args: &EraseArgs) -> anyhow::Result<()> {
    let engine = args.source.open().await?;
    let erased = engine
        .erase_visitor(&Principal::system(), &args.visitor)
        .await;
    engine.shutdown().await;
    let erased = erased.context("the visitor was not erased everywhere; do it again")?;
    let (rows, experiments) = (erased.rows, erased.experiments);
    output::line(&format!("erased {rows} rows in {experiments} experiments"))
}

/// 32 bytes from the operating system.
pub(crate) fn random_key() -> [u8; 32] {
    let mut key = [0; 32];
    SystemEntropy::default().fill(&mut key);
    key
}

/// A ring that nobody will ever have again, for work that seals nothing worth keeping.
pub(crate) fn throwaway_ring() -> anyhow::Result<KeyRing> {
    KeyRing::new(&[random_key()]).context("cannot make a key")
}

/// A secret that is good as long as the process.
pub(crate) fn throwaway_secret() -> anyhow::Result<Secret> {
    Secret::new(&[random_key()]).context("cannot make a secret")
}

async fn create_key(args: CreateKeyArgs) -> anyhow::Result<()> {
    let database = database::connect(args.database.to_store()?).await?;
    // API keys are hashed, not sealed: whoever makes one need not hold the ring.
    let engine = Engine::open(database, EngineConfig::new(throwaway_ring()?)).await?;
    let expires_at = args
        .expires_in_days
        .map(|days| SystemClock.now() + time::Duration::days(days.into()));
    let new = NewApiKey {
        email: args.email.clone(),
        role: args.role,
        name: args.name.clone(),
        scopes: args.scopes,
        expires_at,
    };
    let key = engine.create_api_key(new).await;
    engine.shutdown().await;
    let key = key.context("cannot make the key")?;
    let created = Created {
        id: key.id.to_string(),
        user_id: key.user_id.to_string(),
        email: args.email,
        name: args.name,
        scopes: key.scopes.iter().map(|scope| scope.as_str()).collect(),
        expires_at,
        token: key.token,
    };
    output::print(args.output, &created, |created| {
        format!(
            "{}\nkeep it now, it is not shown again (key {} of {})",
            created.token, created.id, created.email
        )
    })
}
