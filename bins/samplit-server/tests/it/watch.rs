//! `audit watch` against a server that is honest, one that lost its tail, and one that tells another
//! story.

use std::fs::Permissions;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use samplit_audit::{Checkpoint, Hash, Signer, checkpoint::sign};
use samplit_devpg::{DevPg, TestDatabase};

use crate::support::{
    Api, Running, SigningKey, code, command, http, manager, migrated, run, stderr, stdout,
};

/// An auditor with a pinned key, an API key, and a memory.
struct Auditor {
    directory: tempfile::TempDir,
    pinned: String,
}

impl Auditor {
    fn new(pinned: &str, token: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        std::fs::write(&file, format!("{token}\n")).unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        Self {
            directory,
            pinned: pinned.to_owned(),
        }
    }

    fn state(&self) -> PathBuf {
        self.directory.path().join("state.note")
    }

    fn watch(&self, url: &str) -> Command {
        let mut watch = command(&["audit", "watch", url, "--key", &self.pinned, "--state"]);
        watch.arg(self.state());
        watch.arg("--token-file");
        watch.arg(self.directory.path().join("token"));
        watch
    }

    /// Looks once: exit code, and what it said on both streams.
    fn look(&self, url: &str) -> (i32, String) {
        let looked = self.watch(url).arg("--once").output().unwrap();
        (code(&looked), stdout(&looked) + &stderr(&looked))
    }
}

/// A copy of a database, as it is now. Nobody may be connected to it.
async fn backup(database: &TestDatabase) -> TestDatabase {
    let pg = DevPg::shared().await;
    pg.create_from_template(database.name()).await.unwrap()
}

#[tokio::test]
async fn a_trail_that_grows_is_fine_and_one_that_shrinks_or_forks_is_not() {
    let database = migrated().await;
    let key = SigningKey::make();
    let token = manager(&database);
    let auditor = Auditor::new(&key.public, &token);

    let mut server = Running::start(key.serve(database.url()));
    let api = Api::of_new(server.addresses().0, &token);
    let (status, told) = auditor.look(&api.url());
    assert_eq!(status, 74, "{told}");
    assert!(told.contains("there is no such checkpoint"), "{told}");
    api.assign(0..3);
    let first = api.checkpoint();
    let (status, told) = auditor.look(&api.url());
    assert!(
        status == 0 && told.starts_with("first look: 4 entries"),
        "{told}"
    );
    assert_eq!(std::fs::read_to_string(auditor.state()).unwrap(), first);
    let (status, told) = auditor.look(&api.url());
    assert!(
        status == 0 && told.starts_with("unchanged: 4 entries"),
        "{told}"
    );
    server.terminate();

    // A backup is made, and life goes on.
    let restored = backup(&database).await;
    let mut server = Running::start(key.serve(database.url()));
    let api = api.at(server.addresses().0);
    api.assign(3..6);
    let second = api.checkpoint();
    let (status, told) = auditor.look(&api.url());
    assert!(
        status == 0 && told.starts_with("grown from 4 to 7 entries"),
        "{told}"
    );
    assert_eq!(std::fs::read_to_string(auditor.state()).unwrap(), second);

    // Whom the auditor does not trust may sign what he likes.
    let stranger = Auditor::new(&SigningKey::make().public, &token);
    let (status, told) = stranger.look(&api.url());
    assert!(status == 2 && told.contains("ALARM"), "{told}");
    assert!(!stranger.state().exists());
    server.terminate();

    // The backup takes the place of the database.
    let mut server = Running::start(key.serve(restored.url()));
    let api = api.at(server.addresses().0);
    let (status, told) = auditor.look(&api.url());
    assert!(status == 1 && told.contains("SHRUNK"), "{told}");
    for evidence in [&first, &second] {
        assert!(told.contains(evidence.as_str()), "{told}");
    }
    // Other visitors take the places of those who are gone: first as many, then more.
    api.assign(100..103);
    api.checkpoint();
    let (status, told) = auditor.look(&api.url());
    assert!(status == 1 && told.contains("FORK"), "{told}");
    api.assign(103..105);
    api.checkpoint();
    let (status, told) = auditor.look(&api.url());
    assert!(status == 1 && told.contains("FORK"), "{told}");
    // What was kept stays, as evidence.
    assert_eq!(std::fs::read_to_string(auditor.state()).unwrap(), second);
    server.terminate();
}

#[tokio::test]
async fn what_cannot_be_looked_at_is_no_verdict() {
    let key = SigningKey::make();
    let auditor = Auditor::new(&key.public, "sk_unused");
    let id = "0197f0a0-0000-7000-8000-000000000001";
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (status, told) = auditor.look(&format!("http://{closed}/v1/experiments/{id}"));
    assert!(
        status == 74 && told.contains("cannot be looked at"),
        "{told}"
    );
    // What is kept must be a checkpoint of the pinned key.
    std::fs::write(auditor.state(), "4 entries\n").unwrap();
    let (status, told) = auditor.look(&format!("http://{closed}/v1/experiments/{id}"));
    assert!(
        status == 74 && told.contains("cannot use the state"),
        "{told}"
    );
    for (url, expected) in [
        ("http://127.0.0.1:1/v1/experiments/7", 74),
        ("ftp://127.0.0.1:1/v1/experiments/7", 64),
    ] {
        assert_eq!(auditor.look(url).0, expected, "{url}");
    }
    let keyless = [
        "audit",
        "watch",
        "http://127.0.0.1:1/",
        "--state",
        "x",
        "--once",
    ];
    assert_eq!(code(&run(&keyless)), 64);
}

/// Answers each request with the next of the answers, the last one for ever, and gives the address.
fn canned(answers: Vec<(u16, String)>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut answers = answers.into_iter().peekable();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let request = BufReader::new(stream.try_clone().unwrap());
            for line in request.lines() {
                if line.unwrap().is_empty() {
                    break;
                }
            }
            let (status, body) = answers.next().unwrap();
            if answers.peek().is_none() {
                answers = vec![(status, body.clone())].into_iter().peekable();
            }
            let length = body.len();
            write!(
                stream,
                "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            )
            .unwrap();
        }
    });
    address
}

#[test]
fn somebody_on_the_way_has_to_say_it_three_times() {
    let id = "0197f0a0-0000-7000-8000-000000000001";
    let signer = Signer::from_seed("o.example", &[1; 32]).unwrap();
    let stranger = Signer::from_seed("o.example", &[2; 32]).unwrap();
    let note = |signer: &Signer, size| {
        let checkpoint = Checkpoint {
            origin: format!("o.example/exp/{id}"),
            size,
            root: Hash::of(b""),
        };
        sign(&checkpoint, std::slice::from_ref(signer)).unwrap()
    };
    let good = || (200, note(&signer, 9));
    let larger = || (200, note(&signer, 10));
    let gone = || {
        let detail = "gone\u{9b}31m\nALARM\u{202e}";
        (404, serde_json::json!({"detail": detail}).to_string())
    };
    let page = || (200, "<h1>\u{1b}[2J at work</h1>\n".repeat(1000));
    let foreign = || (200, note(&stranger, 9));
    let no_proof = || (200, "{}".to_owned());
    for (what, answers, expected) in [
        ("once gone", vec![gone(), good()], 0),
        ("a page and gone", vec![page(), gone(), good()], 0),
        ("no proof", vec![larger(), no_proof(), good()], 0),
        ("gone", vec![gone()], 1),
        ("a page", vec![page()], 2),
        ("a stranger", vec![foreign()], 2),
        (
            "never a proof",
            vec![
                larger(),
                no_proof(),
                larger(),
                no_proof(),
                larger(),
                no_proof(),
            ],
            1,
        ),
        // What is signed convicts at once.
        ("shrunk", vec![(200, note(&signer, 8)), good()], 1),
    ] {
        let auditor = Auditor::new(&signer.verifying_key().to_string(), "sk_unused");
        std::fs::write(auditor.state(), note(&signer, 9)).unwrap();
        let url = format!("http://{}/v1/experiments/{id}", canned(answers));
        let looked = auditor
            .watch(&url)
            .args(["--once", "--every", "1ms"])
            .output();
        let looked = looked.unwrap();
        let told = stdout(&looked) + &stderr(&looked);
        assert_eq!(code(&looked), expected, "{what}: {told}");
        let again = told.matches("will look again").count();
        let expected = match what {
            "shrunk" => 0,
            "once gone" | "no proof" => 1,
            _ => 2,
        };
        assert_eq!(again, expected, "{what}: {told}");
        // Nothing of it acts on the screen, poses as ours, or fills it.
        assert!(!told.contains(['\u{9b}', '\u{202e}', '\u{1b}']), "{told:?}");
        if what == "gone" {
            assert!(told.contains(r"gone\u009b31m\u000aALARM\u202e"), "{told}");
        }
        assert!(told.len() < 16 * 1024, "{what}: {}", told.len());
    }
}

#[tokio::test]
async fn a_watch_waits_for_a_server_that_is_away() {
    let database = migrated().await;
    let key = SigningKey::make();
    let token = manager(&database);
    let auditor = Auditor::new(&key.public, &token);
    let mut server = Running::start(key.serve(database.url()));
    let api = Api::of_new(server.addresses().0, &token);
    let address: SocketAddr = api.address;
    server.terminate();

    let mut watch = auditor.watch(&api.url());
    watch.args(["--every", "100ms"]);
    let mut watch = watch
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut errors = BufReader::new(watch.stderr.take().unwrap()).lines();
    let away = errors.next().unwrap().unwrap();
    assert!(away.contains("cannot be looked at"), "{away}");
    let mut again = key.serve_at(&address.to_string(), database.url());
    again.env("SAMPLIT_CHECKPOINT_EVERY", "100ms");
    let mut server = Running::start(again);
    server.addresses();
    let mut told = BufReader::new(watch.stdout.take().unwrap()).lines();
    let first = told.next().unwrap().unwrap();
    assert!(first.starts_with("first look: "), "{first}");
    assert_eq!(http(address, "GET", "/v1/audit/keys", None, None).0, 200);
    kill(Pid::from_raw(watch.id().cast_signed()), Signal::SIGTERM).unwrap();
    assert!(watch.wait().unwrap().success());
    server.terminate();
}
