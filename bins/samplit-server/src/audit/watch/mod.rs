//! `audit watch`: remembers the last checkpoint of a server and compares the next one with it.
//!
//! What is remembered is the signed note itself. So the state needs no trust in whoever stored it, it
//! can be given to `audit verify --known`, and when the alarm sounds it is one half of the evidence.
//!
//! What the operator has signed convicts at the first look. Whatever else is wrong, a refusal, a text that
//! is no signed note, a proof that does not hold, may be somebody on the way: a proxy, a page of
//! maintenance. It has to be so three times in a row.

mod compare;
mod server;
mod state;

use std::fmt;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use hyper::Uri;
use samplit_audit::{SignedCheckpoint, VerifyingKey};

use crate::fetch::web_address;
use crate::output::{self, foreign};
use crate::settings::Span;
use crate::signals;
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

/// How often in a row nobody's signature has to be wrong before the alarm sounds.
const TRIES: u32 = 3;
/// The longest wait before the next of them.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// What a look came to.
#[derive(Debug)]
enum Look {
    /// Nothing to complain of.
    Fine(String),
    /// Nobody can say; another look may.
    Unknown(anyhow::Error),
    /// This would be an alarm, but the operator has not signed what speaks for it.
    Doubtful(Alarm),
    /// What the operator has signed speaks for it.
    Proved(Alarm),
}

/// What to sound the alarm about.
#[derive(Debug)]
enum Alarm {
    /// What was shown is not signed as it should be.
    Unsigned(String),
    /// History was changed.
    Changed(String),
}

impl Alarm {
    fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Unsigned(_) => 2,
            Self::Changed(_) => 1,
        })
    }
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned(what) => write!(f, "not signed: {what}"),
            Self::Changed(what) => write!(f, "history was changed: {what}"),
        }
    }
}

pub(super) async fn run(args: &WatchArgs) -> anyhow::Result<ExitCode> {
    let server = Server::new(&args.url, args.token_file.as_deref())?;
    let mut signal = pin!(signals::shutdown()?);
    let mut wait = args.every.0;
    let mut doubts = 0;
    loop {
        let mut pause = args.every.0;
        let mut code = Some(ExitCode::SUCCESS);
        match look(args, &server).await? {
            Look::Fine(what) => {
                output::line(&what)?;
                doubts = 0;
                wait = args.every.0;
            }
            Look::Unknown(error) => {
                output::print_error(&error.context("the server cannot be looked at"));
                code = Some(ExitCode::from(NOT_VERIFIED));
                wait = (2 * wait).clamp(args.every.0, MAX_WAIT.max(args.every.0));
                pause = wait;
            }
            Look::Doubtful(alarm) if doubts + 1 < TRIES => {
                doubts += 1;
                output::tell(&format!("will look again, {doubts} of {TRIES}: {alarm}"));
                code = None;
                pause = args.every.0.min(TRY_AGAIN);
            }
            Look::Doubtful(alarm) | Look::Proved(alarm) => {
                output::tell(&format!("ALARM, {alarm}"));
                return Ok(alarm.exit_code());
            }
        }
        if let Some(code) = code
            && args.once
        {
            return Ok(code);
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
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
            return Ok(Look::Doubtful(Alarm::Changed(what)));
        }
        Ok(Answer::Refused(why)) => return Ok(Look::Unknown(anyhow::anyhow!(why))),
        Err(error) => return Ok(Look::Unknown(error)),
    };
    let signed =
        SignedCheckpoint::parse(&shown).and_then(|signed| signed.verify(&args.key).map(|_| signed));
    let seen = match &signed {
        Ok(signed) => signed.checkpoint(),
        Err(error) => {
            let what = format!("{error}: {}", foreign(&shown));
            return Ok(Look::Doubtful(Alarm::Unsigned(what)));
        }
    };
    let changed = |what: &str| {
        let kept = kept.as_ref().map_or("", |kept| kept.note.as_str());
        Alarm::Changed(format!("{what}\n--- kept\n{kept}--- shown now\n{shown}"))
    };
    let first = kept.as_ref().map(|kept| &kept.checkpoint);
    let fine = match compare::step(first, seen, server.experiment()) {
        Step::Alarm(what) => return Ok(Look::Proved(changed(what))),
        Step::Unchanged => return Ok(Look::Fine(format!("unchanged: {} entries", seen.size))),
        Step::First => format!("first look: {} entries, root {}", seen.size, seen.root),
        Step::Grown { from } => match server.consistency(from.size, seen.size).await {
            Err(error) => return Ok(Look::Unknown(error)),
            Ok(Answer::Refused(why)) => {
                let what = format!("it cannot be proved that the trail only grew: {why}");
                return Ok(Look::Doubtful(changed(&what)));
            }
            Ok(Answer::Shown(proof)) if compare::proves(from, seen, &proof) => {
                format!(
                    "grown from {} to {} entries, root {}",
                    from.size, seen.size, seen.root
                )
            }
            Ok(Answer::Shown(_)) => {
                let what = "FORK: the proof that the trail only grew does not hold";
                return Ok(Look::Doubtful(changed(what)));
            }
        },
    };
    let written = state::write(&args.state, &shown);
    written.with_context(|| format!("cannot write the state {path}"))?;
    Ok(Look::Fine(fine))
}
