//! The drill of `docs/DRILL.md`: an install with every kind of row is backed up under load, comes back in a
//! new cluster, shows the same figures, and goes on. Step by step as the document has them; the times that
//! it prints are those of the document.

mod figures;
mod load;
mod rows;
mod scene;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use samplit_devpg::DevPg;
use serde_json::json;
use tokio::time::Instant;

use crate::support::{Json, Running, code, command, http, run, stderr, stdout};
use figures::Figures;
use load::{Load, Told};
use scene::{Kept, Scene};

/// Prints how long each step takes.
struct Watch(Instant);

impl Watch {
    #[expect(
        clippy::print_stdout,
        reason = "what docs/DRILL.md shows is measured here"
    )]
    fn took(&mut self, step: &str) {
        println!("drill: {step}: {:.1} s", self.0.elapsed().as_secs_f64());
        self.0 = Instant::now();
    }
}

/// `samplit-migrate`, which lies beside the server; cargo makes it where only this package is tested.
fn migrate() -> PathBuf {
    let beside = Path::new(env!("CARGO_BIN_EXE_samplit-server")).with_file_name("samplit-migrate");
    if !beside.is_file() {
        let make = ["build", "--quiet", "--package", "samplit-migrate"];
        let made = Command::new(env!("CARGO")).args(make).output().unwrap();
        assert!(made.status.success(), "{}", stderr(&made));
    }
    beside
}

/// Runs `samplit-migrate` on a database.
fn migrate_on(url: &str, arguments: &[&str]) -> Output {
    Command::new(migrate())
        .args(arguments)
        .env("SAMPLIT_DATABASE_URL", url)
        .output()
        .unwrap()
}

fn succeeded(output: &Output) -> String {
    assert_eq!(code(output), 0, "{}{}", stdout(output), stderr(output));
    stdout(output)
}

/// A command of the server on a database, with everything that was kept.
fn with_all(kept: &Kept, url: &str, arguments: &[&str]) -> Output {
    let mut command = command(arguments);
    kept.give(&mut command, url);
    command.output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_backed_up_under_load_comes_back_in_a_new_cluster_and_goes_on() {
    let mut watch = Watch(Instant::now());
    let (scene, server) = Scene::set().await;
    let url = scene.database.url();
    let client = rows::connect(url).await;
    rows::fill_by_hand(&client).await;
    rows::nothing_is_empty(&client).await;
    watch.took("an install with every kind of row");

    // 1. Back up, while visitors come.
    let load = Load::start(scene.api, &scene.token, &scene.loaded, "before");
    load.reaches(100).await;
    let before = Figures::of(scene.api, &scene);
    let stored = rows::contents(&client).await;
    let promised = load.told();
    let folder = tempfile::tempdir().unwrap();
    let dump = folder.path().join("samplit.dump");
    let dump = dump.to_str().unwrap();
    watch.took("load, and a note of every figure");
    succeeded(&migrate_on(url, &["backup", dump]));
    let until = load.told().len();
    watch.took("samplit-migrate backup");
    assert!(
        until > promised.len(),
        "visitors came while it was backed up"
    );

    // What comes after it is lost, also what was signed of it.
    load.reaches(until + 20).await;
    load.stop();
    scene.api_of(&scene.loaded).checkpoint();
    let Scene { kept, loaded, .. } = &scene;
    server.terminate();

    // 2. Restore into a new cluster.
    let mut watch = Watch(Instant::now());
    let cluster = DevPg::builder().fsync(false).start().await.unwrap();
    cluster.create_database("samplit").await.unwrap();
    let restored = cluster.url("samplit");
    watch.took("a new cluster");
    let said = succeeded(&migrate_on(&restored, &["restore", dump]));
    assert!(said.contains("next: `samplit-server doctor`"), "{said}");
    watch.took("samplit-migrate restore");
    let client = rows::connect(&restored).await;
    rows::nothing_is_empty(&client).await;
    rows::nothing_is_missing(&client, &stored, loaded).await;

    // 3. Doctor, and every trail.
    succeeded(&with_all(kept, &restored, &["doctor"]));
    watch.took("samplit-server doctor");
    for id in scene.trails.iter().chain([loaded]) {
        let verify = ["audit", "verify", "--database", "--experiment", id];
        succeeded(&with_all(kept, &restored, &verify));
    }
    watch.took("samplit-server audit verify, of every trail");

    // 4. The server, which knows that the trail under load was longer.
    let mut serve = command(&crate::support::ANY_PORT);
    kept.give(&mut serve, &restored);
    let mut server = Running::start(serve);
    let (api, _) = server.addresses();
    watch.took("samplit-server serve, until it listens");
    before.are_those_of(api, &scene);
    figures_of_load(api, &scene, &promised, until);
    watch.took("the same figures");
    let path = format!("/v1/experiments/{loaded}/assign");
    let ask = |path: &str, body: &Json| http(api, "POST", path, Some(&scene.token), Some(body));
    let (_, new) = ask(&path, &json!({"visitor_id": "while on hold"}));
    let new: Json = serde_json::from_str(&new).unwrap();
    assert_eq!(new["degraded"], true, "{new}");

    // 5. Acknowledge what is lost, and go on.
    let reason = "the drill";
    let acknowledge = [
        "audit",
        "acknowledge-restore",
        "--experiment",
        loaded,
        "--reason",
        reason,
    ];
    succeeded(&with_all(kept, &restored, &acknowledge));
    let convert = format!("/v1/experiments/{loaded}/convert");
    let known = json!({"visitor_id": promised[0].visitor});
    let deadline = Instant::now() + Duration::from_secs(60);
    while ask(&convert, &known).0 == 503 {
        assert!(Instant::now() < deadline, "it never heard");
    }
    watch.took("audit acknowledge-restore, until it writes again");
    let load = Load::start(api, &scene.token, loaded, "after");
    load.reaches(50).await;
    load.stop();
    for id in &scene.running {
        let api = scene.api_at(api, id);
        api.assign(1_000..1_010);
        api.done("convert", &json!({"visitor_id": "visitor-1000"}));
        api.checkpoint();
    }
    watch.took("new visitors and conversions");

    // 6. What was written since is sound, in place and by the bundle that an auditor takes.
    for id in scene.running.iter().chain([loaded]) {
        let api = scene.api_at(api, id);
        api.checkpoint();
        let file = folder.path().join(format!("{id}.ndjson"));
        std::fs::write(&file, api.get("audit/bundle")).unwrap();
        let verify = [
            "audit",
            "verify",
            file.to_str().unwrap(),
            "--key",
            &kept.signing.public,
        ];
        let verified = succeeded(&run(&verify));
        let incarnation = if id == loaded {
            "incarnation 2"
        } else {
            "incarnation 1"
        };
        assert!(verified.contains(incarnation), "{verified}");
    }
    server.terminate();
    succeeded(&with_all(kept, &restored, &["doctor"]));
    watch.took("verified again, and doctor");
    without_what_was_kept(kept, &restored, &scene);
}

/// Of the experiment under load: who was promised a variant before the backup began has it, and what was
/// counted is no more than was told until it ended.
fn figures_of_load(api: std::net::SocketAddr, scene: &Scene, promised: &[Told], until: usize) {
    let of = scene.api_at(api, &scene.loaded);
    let results: Json = serde_json::from_str(&of.get("results")).unwrap();
    let visitors = results["visitors"].as_u64().unwrap();
    let (least, most) = (promised.len() as u64, until as u64 + load::CLIENTS as u64);
    assert!(
        (least..=most).contains(&visitors),
        "{least} {visitors} {most}"
    );
    for told in promised {
        let again = of.done("assign", &json!({"visitor_id": told.visitor}));
        let again: Json = serde_json::from_str(&again).unwrap();
        assert_eq!(again["is_new"], false, "{}: {again}", told.visitor);
        assert_eq!(again["assignment_id"], told.assignment["assignment_id"]);
        assert_eq!(again["variants"], told.assignment["variants"]);
    }
    let converted = promised.iter().filter(|told| told.has_converted).count();
    assert!(
        results["conversions"].as_u64().unwrap() >= converted as u64,
        "{results}"
    );
}

/// Each thing that has to be kept beside the dump, missed.
fn without_what_was_kept(kept: &Kept, url: &str, scene: &Scene) {
    // Another sealing key: nothing is opened, and it is said which key is missed.
    let other = scene::OTHER_KEY;
    let mut serve = command(&crate::support::ANY_PORT);
    kept.give(&mut serve, url);
    serve.env("SAMPLIT_KEYS", other);
    let refused = serve.output().unwrap();
    assert_eq!(code(&refused), 1, "{}", stderr(&refused));
    let said = stderr(&refused);
    assert!(
        said.contains("SAMPLIT_KEYS") && said.contains("not in the ring"),
        "{said}"
    );

    let mut doctor = command(&["doctor"]);
    kept.give(&mut doctor, url);
    let found = doctor.env("SAMPLIT_KEYS", other).output().unwrap();
    assert_eq!(code(&found), 1);
    assert!(
        stdout(&found).contains("FAIL everything can be read"),
        "{}",
        stdout(&found)
    );

    // Another secret: the server starts, and what it sealed cannot be used.
    let mut serve = command(&crate::support::ANY_PORT);
    kept.give(&mut serve, url);
    serve.env("SAMPLIT_SECRET", other);
    let mut server = Running::start(serve);
    let (api, _) = server.addresses();
    let test = format!("/v1/webhooks/{}/test", scene.webhook);
    let (status, tried) = http(api, "POST", &test, Some(&scene.token), Some(&json!({})));
    assert_eq!(status, 200, "{tried}");
    assert!(
        tried.contains("the secret of the webhook cannot be opened"),
        "{tried}"
    );
    server.terminate();

    // Without the directory of notes it does not start: a disk that is not mounted looks like one on which
    // nothing was ever exported.
    let mut serve = command(&crate::support::ANY_PORT);
    kept.give(&mut serve, url);
    serve.env(
        "SAMPLIT_CHECKPOINT_DIR",
        kept.notes.path().join("not-mounted"),
    );
    let refused = serve.output().unwrap();
    assert_eq!(code(&refused), 1);
    assert!(
        stderr(&refused).contains("not-mounted"),
        "{}",
        stderr(&refused)
    );
}
