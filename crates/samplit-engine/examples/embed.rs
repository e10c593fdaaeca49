//! Samplit inside your own service: no server, no HTTP. Runs as it is, on a throwaway PostgreSQL:
//! `cargo run -p samplit-engine --example embed`

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use samplit_devpg::DevPg;
use samplit_engine::{
    Assign, Convert, ElementDraft, Engine, EngineConfig, ExperimentDraft, KeyRing, Principal,
    Transition, VariantDraft,
};
use samplit_store::{Database, Settings};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Your own database would be migrated by `samplit-migrate up`.
    let pg = DevPg::start().await?;
    let url = pg.url("postgres");
    let (mut client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    samplit_sql::up(&mut client, &samplit_sql::Options::default()).await?;

    // From here on it is what your service does: open, start, ask, tell.
    let database = Database::connect(Settings::new(url)).await?;
    let engine = Engine::start(database, EngineConfig::new(KeyRing::new(&[[7; 32]])?)).await?;
    let me = Principal::system();
    let draft = ExperimentDraft::new(
        "checkout button",
        vec![ElementDraft::new(
            "button",
            vec![
                VariantDraft::control("buy", "Buy now".into()),
                VariantDraft::new("basket", "Add to basket".into()),
            ],
        )],
    );
    let id = engine.create_experiment(&me, draft).await?.id;
    engine
        .transition(&me, id, Transition::Start, Default::default(), None)
        .await?;
    for number in 0..500 {
        let visitor = format!("visitor-{number}");
        let ask = Assign {
            visitor: visitor.clone(),
            ..Assign::default()
        };
        let assigned = engine.assign(&me, id, ask).await?;
        let shown = assigned
            .experiment
            .variant(assigned.variants[0])
            .expect("one of its own");
        // One in ten buys, one in five from the basket.
        if number % (if shown.name == "basket" { 5 } else { 10 }) == 0 {
            engine
                .convert(
                    &me,
                    id,
                    Convert {
                        visitor,
                        ..Convert::default()
                    },
                )
                .await?;
        }
    }

    for arm in &engine.results(&me, id).await?.elements[0].arms {
        println!(
            "{:<8} {:>4} visitors, {:>3} conversions, best with probability {:.3}, share now {:.3}",
            arm.name, arm.assignments, arm.conversions, arm.p_best, arm.weight
        );
    }
    let report = engine.verify(&me, id).await??;
    println!(
        "{} entries verified, every draw and every weight recomputed",
        report.entries
    );
    engine.shutdown().await;
    Ok(())
}
