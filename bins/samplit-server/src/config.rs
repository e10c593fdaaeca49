//! `config check`: which settings are in force, and whether they can be used.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use samplit_engine::EngineConfig;
use samplit_store::Database;
use serde::Serialize;
use serde_json::Value as Json;

use crate::admin;
use crate::output::{self, Output};
use crate::settings::{LogSettings, ServerSettings};

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print the settings in force, secrets hidden, and say what is wrong with them. Takes the flags
    /// and the environment of `serve`; connects to nothing. Exit code 1 if something is wrong.
    Check(CheckArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// How to print them.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,

    #[command(flatten)]
    settings: ServerSettings,
}

#[derive(Serialize)]
struct Checked<'a> {
    #[serde(flatten)]
    settings: &'a ServerSettings,
    log: &'a LogSettings,
    /// The public halves of the signing keys.
    verifier_keys: Vec<String>,
    problems: Vec<String>,
}

pub(crate) fn run(command: ConfigCommand, log: &LogSettings) -> anyhow::Result<ExitCode> {
    let ConfigCommand::Check(args) = command;
    let checked = Checked {
        problems: problems(&args.settings),
        verifier_keys: verifier_keys(&args.settings),
        settings: &args.settings,
        log,
    };
    let sound = checked.problems.is_empty();
    // A tree, because its order of keys is the same for both forms.
    output::print(args.output, &serde_json::to_value(checked)?, text)?;
    Ok(if sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn problems(settings: &ServerSettings) -> Vec<String> {
    let keys = settings.keys.ring().map(drop);
    // Reads the connection string without connecting.
    let database = settings.database.to_store();
    let database = database.and_then(|store| Ok(Database::lazy(store)?));
    let database = database.map(|database| database.close());
    let signing = admin::throwaway_ring()
        .and_then(|ring| settings.signing.apply(settings.engine.to_config(ring)))
        .map(drop);
    let integrations = admin::throwaway_ring()
        .and_then(|ring| settings.integrations.apply(EngineConfig::new(ring)))
        .map(drop);
    let mail = settings.mail.mailing(settings.http.public_url.as_ref());
    let mail = mail.map(drop);
    let wrong = [keys, database, signing, integrations, mail]
        .into_iter()
        .filter_map(Result::err);
    wrong.map(|error| format!("{error:#}")).collect()
}

fn verifier_keys(settings: &ServerSettings) -> Vec<String> {
    // What is wrong with them stands among the problems.
    let signers = settings.signing.signers().unwrap_or_default();
    let keys = signers.iter().map(|signer| signer.verifying_key());
    keys.map(ToString::to_string).collect()
}

fn text(checked: &Json) -> String {
    let mut text = String::new();
    for (section, settings) in checked.as_object().into_iter().flatten() {
        for (name, value) in settings.as_object().into_iter().flatten() {
            let value = match value {
                Json::String(value) => value.clone(),
                Json::Null => "(none)".to_owned(),
                other => other.to_string(),
            };
            text.push_str(&format!("{section}.{name} = {value}\n"));
        }
    }
    for key in checked["verifier_keys"].as_array().into_iter().flatten() {
        text.push_str(&format!("verifier key: {}\n", key.as_str().unwrap_or("")));
    }
    for problem in checked["problems"].as_array().into_iter().flatten() {
        text.push_str(&format!("problem: {}\n", problem.as_str().unwrap_or("")));
    }
    text
}
