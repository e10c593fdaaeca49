//! Running the binary, and databases to run it on.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use samplit_devpg::{DevPg, TestDatabase};
use tokio::sync::OnceCell;

/// Arguments of a server that takes any port.
pub(crate) const ANY_PORT: [&str; 7] = [
    "serve",
    "--listen",
    "127.0.0.1:0",
    "--ops-listen",
    "127.0.0.1:0",
    "--log-format",
    "json",
];

/// An API key that may do everything.
pub(crate) fn manager(database: &TestDatabase) -> String {
    let arguments = [
        "--email",
        "me@example.org",
        "--name",
        "test",
        "--scopes",
        "manage,assign,read",
    ];
    create_key(&arguments, database)
}

pub(crate) fn create_key(arguments: &[&str], database: &TestDatabase) -> String {
    let all = [&["admin", "create-key", "--output", "json"], arguments].concat();
    // Without the ring: it is not needed for this.
    let made = on(database, &all)
        .env_remove("SAMPLIT_KEYS")
        .output()
        .unwrap();
    assert_eq!(code(&made), 0, "{}", stderr(&made));
    let made: Json = serde_json::from_str(&stdout(&made)).unwrap();
    made["token"].as_str().unwrap().to_owned()
}

/// Stands for a JSON value in assertions.
pub(crate) type Json = serde_json::Value;

/// A key ring for tests, and what must never be seen of it.
pub(crate) const KEYS: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// The binary without any setting of the outside.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_samplit-server"));
    command.args(arguments);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SAMPLIT_") {
            command.env_remove(name);
        }
    }
    command
}

pub(crate) fn run(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

/// Runs it on a database, with keys.
pub(crate) fn run_on(database: &TestDatabase, arguments: &[&str]) -> Output {
    on(database, arguments).output().unwrap()
}

pub(crate) fn on(database: &TestDatabase, arguments: &[&str]) -> Command {
    let mut command = command(arguments);
    command
        .env("SAMPLIT_DATABASE_URL", database.url())
        .env("SAMPLIT_KEYS", KEYS);
    command
}

pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// An empty database.
pub(crate) async fn empty() -> TestDatabase {
    let pg = DevPg::shared().await;
    pg.create_from_template("template1").await.unwrap()
}

/// A migrated database.
pub(crate) async fn migrated() -> TestDatabase {
    static TEMPLATE: OnceCell<()> = OnceCell::const_new();
    let pg = DevPg::shared().await;
    TEMPLATE
        .get_or_init(|| async {
            pg.create_database("migrated").await.unwrap();
            let url = pg.url("migrated");
            let (mut client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
                .await
                .unwrap();
            let connection = tokio::spawn(connection);
            samplit_sql::up(&mut client, &samplit_sql::Options::default())
                .await
                .unwrap();
            drop(client);
            connection.await.unwrap().unwrap();
        })
        .await;
    pg.create_from_template("migrated").await.unwrap()
}

/// Runs SQL on a database, past the triggers that guard it.
pub(crate) async fn execute(database: &TestDatabase, sql: &str) {
    let (client, connection) = tokio_postgres::connect(database.url(), tokio_postgres::NoTls)
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    client.batch_execute(sql).await.unwrap();
    drop(client);
    connection.await.unwrap().unwrap();
}

/// A process that is killed if the test does not end it.
pub(crate) struct Running {
    child: Child,
    /// What it has said on standard error until it listened.
    said: String,
    /// What it says afterwards: read all along, or it would wait for a reader once the pipe is full.
    rest: Option<JoinHandle<String>>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        Self {
            child: child.unwrap(),
            said: String::new(),
            rest: None,
        }
    }

    /// Reads log lines up to the one that says where it listens: the API and the ops address.
    pub(crate) fn addresses(&mut self) -> (SocketAddr, SocketAddr) {
        let stderr = self.child.stderr.take().unwrap();
        let mut lines = BufReader::new(stderr);
        loop {
            let mut line = String::new();
            assert_ne!(lines.read_line(&mut line).unwrap(), 0, "it never listened");
            self.said.push_str(&line);
            let event: Json = serde_json::from_str(&line).unwrap();
            if event["message"] == "listening" {
                let address = |name: &str| event[name].as_str().unwrap().parse().unwrap();
                let found = (address("address"), address("ops_address"));
                self.rest = Some(std::thread::spawn(move || read(lines)));
                return found;
            }
        }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Ends it in good order; what it said.
    pub(crate) fn terminate(self) -> Output {
        self.signal(Signal::SIGTERM);
        let ended = self.output();
        assert_eq!(code(&ended), 0, "{}", stderr(&ended));
        ended
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Waits for the end.
    pub(crate) fn output(mut self) -> Output {
        let mut output = Output {
            status: std::process::ExitStatus::default(),
            stdout: Vec::new(),
            stderr: Vec::new(),
        };
        let rest = self.rest.take().unwrap_or_else(|| {
            let stderr = self.child.stderr.take().unwrap();
            std::thread::spawn(move || read(stderr))
        });
        let mut stdout = self.child.stdout.take().unwrap();
        stdout.read_to_end(&mut output.stdout).unwrap();
        self.said.push_str(&rest.join().unwrap());
        output.stderr = std::mem::take(&mut self.said).into_bytes();
        output.status = self.child.wait().unwrap();
        output
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has usually ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A key that signs checkpoints, made by the binary itself.
pub(crate) struct SigningKey {
    directory: tempfile::TempDir,
    /// What auditors get.
    pub(crate) public: String,
}

impl SigningKey {
    pub(crate) fn make() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("signing-key");
        let out = out.to_str().unwrap();
        let made = run(&["admin", "keygen", "--name", "example.org", "--out", out]);
        assert_eq!(code(&made), 0, "{}", stderr(&made));
        Self {
            directory,
            public: stdout(&made).trim().to_owned(),
        }
    }

    pub(crate) fn file(&self) -> std::path::PathBuf {
        self.directory.path().join("signing-key")
    }

    /// The line in the file, which must never be seen elsewhere.
    pub(crate) fn secret(&self) -> String {
        let text = std::fs::read_to_string(self.file()).unwrap();
        text.trim().to_owned()
    }

    /// A server on a database that signs with this key when it is asked to.
    pub(crate) fn serve(&self, database_url: &str) -> Command {
        self.serve_at("127.0.0.1:0", database_url)
    }

    /// The same at an address of one's choice.
    pub(crate) fn serve_at(&self, listen: &str, database_url: &str) -> Command {
        let mut arguments = ANY_PORT;
        arguments[2] = listen;
        let mut command = command(&arguments);
        command
            .env("SAMPLIT_DATABASE_URL", database_url)
            .env("SAMPLIT_KEYS", KEYS)
            .env("SAMPLIT_SIGNING_KEYS_FILE", self.file())
            .env("SAMPLIT_CHECKPOINT_EVERY", "1h");
        command
    }
}

/// Everything under `/v1/experiments/{id}` of a server.
pub(crate) struct Api {
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
    pub(crate) id: String,
}

impl Api {
    /// Of a new experiment that runs.
    pub(crate) fn of_new(address: SocketAddr, token: &str) -> Self {
        let draft = serde_json::json!({
            "name": "Button",
            "elements": [{"name": "buy", "variants": [
                {"name": "grey", "content": {}, "is_control": true},
                {"name": "green", "content": {}}
            ]}]
        });
        let (status, made) = http(
            address,
            "POST",
            "/v1/experiments",
            Some(token),
            Some(&draft),
        );
        assert_eq!(status, 201, "{made}");
        let made: Json = serde_json::from_str(&made).unwrap();
        let api = Self {
            address,
            token: token.to_owned(),
            id: made["id"].as_str().unwrap().to_owned(),
        };
        api.done("start", &serde_json::json!({}));
        api
    }

    /// The same of another server.
    pub(crate) fn at(&self, address: SocketAddr) -> Self {
        Self {
            address,
            token: self.token.clone(),
            id: self.id.clone(),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1/experiments/{}", self.address, self.id)
    }

    pub(crate) fn ask(&self, method: &str, rest: &str, body: Option<&Json>) -> (u16, String) {
        let path = format!("/v1/experiments/{}/{rest}", self.id);
        http(self.address, method, &path, Some(&self.token), body)
    }

    /// What a question is answered with.
    pub(crate) fn get(&self, rest: &str) -> String {
        let (status, body) = self.ask("GET", rest, None);
        assert_eq!(status, 200, "{rest}: {body}");
        body
    }

    /// Does it, which must succeed.
    pub(crate) fn done(&self, rest: &str, body: &Json) -> String {
        let (status, answer) = self.ask("POST", rest, Some(body));
        assert!((200..300).contains(&status), "{rest}: {status} {answer}");
        answer
    }

    /// Assigns the visitors of these numbers.
    pub(crate) fn assign(&self, visitors: std::ops::Range<usize>) {
        for n in visitors {
            let visitor = serde_json::json!({"visitor_id": format!("visitor-{n}")});
            self.done("assign", &visitor);
        }
    }

    /// Signs a checkpoint now.
    pub(crate) fn checkpoint(&self) -> String {
        self.done("audit/checkpoint", &serde_json::json!({}))
    }
}

fn read(mut stream: impl std::io::Read) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// One HTTP request; returns status and body.
pub(crate) fn http(
    address: SocketAddr,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: Option<&Json>,
) -> (u16, String) {
    try_http(address, method, path, token, body).unwrap()
}

/// One HTTP request to a server that may be gone. Of HTTP/1.0, whose answers come in one piece.
pub(crate) fn try_http(
    address: SocketAddr,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: Option<&Json>,
) -> std::io::Result<(u16, String)> {
    let body = body.map(Json::to_string).unwrap_or_default();
    let authorization = token.map_or(String::new(), |token| {
        format!("Authorization: Bearer {token}\r\n")
    });
    let headers = format!("{authorization}Content-Type: application/json\r\n");
    exchange(address, method, path, &headers, &body)
}

/// One HTTP request whose body is plain text.
pub(crate) fn send_text(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
) -> (u16, String) {
    exchange(address, method, path, "Content-Type: text/plain\r\n", body).unwrap()
}

/// What a browser sends from a page of an origin, through a proxy that names its address.
pub(crate) fn from_page(
    address: SocketAddr,
    path: &str,
    (origin, client): (&str, &str),
    body: &Json,
) -> (u16, String) {
    let headers =
        format!("Origin: {origin}\r\nX-Forwarded-For: {client}\r\nContent-Type: text/plain\r\n");
    exchange(address, "POST", path, &headers, &body.to_string()).unwrap()
}

/// One HTTP request with these header lines.
pub(crate) fn with_headers(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> (u16, String) {
    exchange(address, method, path, headers, body).unwrap()
}

fn exchange(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: test\r\n{headers}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let cut = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(cut)?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Ok((status.ok_or_else(cut)?, body.to_owned()))
}
