//! Pages, which ask for all their experiments at once, beside one assign each.

use samplit_engine::{
    ElementDraft, Engine, ExperimentDraft, ExperimentId, InstallationDraft, NewApiKey, Role, Scope,
    SelectorDraft, Transition, VariantDraft,
};

use crate::report::{Goal, Report, rate};
use crate::server::{Load, Loaded, Server};
use crate::{Args, setup, writer};

/// Connections that ask for new visitors, and for known ones.
const NEW: usize = 256;
const KNOWN: usize = 64;
/// Known visitors: so few that the warm-up sees each of them on a page of twenty experiments.
const VISITORS: u64 = 1_000;

pub(crate) async fn measure(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let (_pg, url) = setup::migrated(true).await?;
    let engine = writer::engine(&url).await?;
    let server = Server::start(&url)?;
    for count in [1, 20] {
        let (token, ids) = site(&engine, count).await?;
        let assigns: Vec<String> = ids
            .iter()
            .map(|id| format!("/v1/experiments/{id}/assign"))
            .collect();
        for (known, connections) in [(None, NEW), (Some(VISITORS), KNOWN)] {
            let (mut pages, mut alone) = (0.0_f64, 0.0_f64);
            for round in 0..args.rounds {
                let load = Load {
                    paths: &["/v1/page".to_owned()],
                    connections,
                    seconds: args.seconds,
                    rate: None,
                    prefix: &format!("page-{round}-"),
                    known,
                    page: Some(&token),
                };
                let note = |what: &str, loaded: &Loaded| {
                    format!("{what}, {count} experiments, known {known:?}: {loaded:?}")
                };
                let page = server.load(&load)?;
                report.note(&note("pages", &page));
                pages = pages.max(page.rate);
                let assign = server.load(&Load {
                    paths: &assigns,
                    page: None,
                    prefix: &format!("assign-{round}-"),
                    ..load
                })?;
                report.note(&note("assigns", &assign));
                alone = alone.max(assign.rate);
            }
            let who = if known.is_some() { "returning" } else { "new" };
            let plural = if count == 1 { "" } else { "s" };
            #[expect(clippy::cast_precision_loss, reason = "twenty at most")]
            let decided = pages * ids.len() as f64;
            report.add(
                &format!("decisions by pages of {count} experiment{plural}, {who} visitors"),
                format!("{} in {}", rate(decided), rate(pages)),
                format!("one assign each, {}", rate(alone)),
                decided / alone,
                Goal::None,
            );
        }
    }
    drop(server);
    engine.shutdown().await;
    Ok(())
}

/// A site of an account of its own with `count` experiments: its token, and the experiments.
async fn site(engine: &Engine, count: usize) -> anyhow::Result<(String, Vec<ExperimentId>)> {
    let key = engine.create_api_key(NewApiKey {
        email: format!("site-{count}@example.com"),
        role: Role::Client,
        name: "bench".to_owned(),
        scopes: Scope::ALL.to_vec(),
        expires_at: None,
    });
    let owner = engine.authenticate(&key.await?.token).await?;
    let draft = InstallationDraft::new("bench", "bench.test");
    let token = engine.create_installation(&owner, &draft).await?.token;
    let text = |name: &str| serde_json::json!({ "text": name });
    let mut ids = Vec::with_capacity(count);
    for number in 0..count {
        let variants = vec![
            VariantDraft::control("A", text("A")),
            VariantDraft::new("B", text("B")),
            VariantDraft::new("C", text("C")),
        ];
        let mut element = ElementDraft::new("headline", variants);
        element.selector = Some(SelectorDraft {
            kind: "id".to_owned(),
            value: format!("headline-{number}"),
        });
        let mut draft = ExperimentDraft::new(format!("bench {number}"), vec![element]);
        draft.target_url = Some("https://bench.test/*".to_owned());
        let id = engine.create_experiment(&owner, draft).await?.id;
        let start = engine.transition(&owner, id, Transition::Start, Default::default(), None);
        start.await?;
        ids.push(id);
    }
    Ok((token, ids))
}
