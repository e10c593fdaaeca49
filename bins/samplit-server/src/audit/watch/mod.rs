//! `audit watch`: remembers the last checkpoint of a server and compares the next one with it.
//!
//! What is remembered is the signed note itself. So the state needs no trust in whoever stored it, it
//! can be given to `audit verify --known`, and when the alarm sounds it is one half of the evidence.

mod compare;
mod server;
mod state;

use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use hyper::Uri;
use samplit_audit::{SignedCheckpoint, VerifyingKey};

use crate::fetch::web_address;
use crate::settings::Span;
use crate::{output, signals};
use compare::Step;
use server::{Answer, Server};

use super::NOT_VERIFIED;

/// The longest wait before a server that is away is asked again, unless `--every` is longer.
const MAX_WAIT: Duration = Duration::from_secs(15 * 60);

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// The experiment, as <https://host/v1/experiments/ID>.
    #[arg(value_parser = web_address)]
    url: Uri,

    /// Where the last checkpoint is kept; made at the first look.
    #[arg(long)]
    state: PathBuf,

    /// A key that checkpoints must be signed with, as `name+id+base64`; may be given several times,
    /// one of them is enough.
    #[arg(long, required = true)]
    key: Vec<VerifyingKey>,

    /// A file with the API key to ask with; it needs the scope `read` only.
    #[arg(long)]
    token_file: Option<PathBuf>,

    /// How often to look.
    #[arg(long, default_value = "60s")]
    every: Span,

    /// Look once and end.
    #[arg(long)]
    once: bool,
}

/// What a look came to.
#[derive(Debug)]
enum Look {
    /// Nothing to complain of.
    Fine(String),
    /// Nobody can say; another look may.
    Unknown(anyhow::Error),
    /// What was shown is not signed as it should be.
    Unsigned(String),
    /// History was changed.
    Changed(String),
}

pub(super) async fn run(args: &WatchArgs) -> anyhow::Result<ExitCode> {
    let server = Server::new(&args.url, args.token_file.as_deref())?;
    let mut signal = pin!(signals::shutdown()?);
    let mut wait = args.every.0;
    loop {
        let look = look(args, &server).await?;
        wait = match look {
            Look::Fine(_) => args.every.0,
            _ => (2 * wait).clamp(args.every.0, MAX_WAIT.max(args.every.0)),
        };
        let code = match look {
            Look::Fine(what) => {
                output::line(&what)?;
                0
            }
            Look::Unknown(error) => {
                output::print_error(&error.context("the server cannot be looked at"));
                NOT_VERIFIED
            }
            Look::Unsigned(what) => {
                output::tell(&format!("ALARM, not signed: {what}"));
                return Ok(ExitCode::from(2));
            }
            Look::Changed(what) => {
                output::tell(&format!("ALARM, history was changed: {what}"));
                return Ok(ExitCode::from(1));
            }
        };
        if args.once {
            return Ok(ExitCode::from(code));
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = &mut signal => return Ok(ExitCode::SUCCESS),
        }
    }
}

/// Looks once.
///
/// # Errors
/// The state cannot be read or written.
async fn look(args: &WatchArgs, server: &Server) -> anyhow::Result<Look> {
    let path = args.state.display();
    let kept = state::read(&args.state, &args.key);
    let kept = kept.with_context(|| format!("cannot use the state {path}"))?;
    let shown = match server.checkpoint().await {
        Ok(Answer::Shown(note)) => note,
        Ok(Answer::Refused(why)) if kept.is_some() => {
            let what = format!("a checkpoint was shown before and is not any more: {why}");
            return Ok(Look::Changed(what));
        }
        Ok(Answer::Refused(why)) => return Ok(Look::Unknown(anyhow::anyhow!(why))),
        Err(error) => return Ok(Look::Unknown(error)),
    };
    let signed =
        SignedCheckpoint::parse(&shown).and_then(|signed| signed.verify(&args.key).map(|_| signed));
    let seen = match &signed {
        Ok(signed) => signed.checkpoint(),
        Err(error) => return Ok(Look::Unsigned(format!("{error}\n{shown}"))),
    };
    let changed = |what: &str| {
        let kept = kept.as_ref().map_or("", |kept| kept.note.as_str());
        Ok(Look::Changed(format!(
            "{what}\n--- kept\n{kept}--- shown now\n{shown}"
        )))
    };
    let first = kept.as_ref().map(|kept| &kept.checkpoint);
    let fine = match compare::step(first, seen, server.experiment()) {
        Step::Alarm(what) => return changed(what),
        Step::Unchanged => return Ok(Look::Fine(format!("unchanged: {} entries", seen.size))),
        Step::First => format!("first look: {} entries, root {}", seen.size, seen.root),
        Step::Grown { from } => match server.consistency(from.size, seen.size).await {
            Err(error) => return Ok(Look::Unknown(error)),
            Ok(Answer::Refused(why)) => {
                return changed(&format!(
                    "it cannot be proved that the trail only grew: {why}"
                ));
            }
            Ok(Answer::Shown(proof)) if compare::proves(from, seen, &proof) => {
                format!(
                    "grown from {} to {} entries, root {}",
                    from.size, seen.size, seen.root
                )
            }
            Ok(Answer::Shown(_)) => {
                return changed("FORK: the proof that the trail only grew does not hold");
            }
        },
    };
    let written = state::write(&args.state, &shown);
    written.with_context(|| format!("cannot write the state {path}"))?;
    Ok(Look::Fine(fine))
}
